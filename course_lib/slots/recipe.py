"""How a slot autoencoder is trained: a plain function for notebooks, and `run` for the command line."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from einops import rearrange
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from course_lib.core.errors import BadInput
from course_lib.core.launch import is_main_process
from course_lib.core.muon import Muon
from course_lib.core.run import settings_of
from course_lib.core.schedules import warm_up_and_decay
from course_lib.core.training import History, Run, train
from course_lib.core.weights import save_weights
from course_lib.slots.autoencoder import SlotAutoencoder, strip
from course_lib.slots.figures import segmentation_picture, visualize_slots
from course_lib.slots.loaders import create_datasets
from course_lib.slots.losses import sharing, squared_error, usage
from course_lib.slots.metrics import scene_metrics, slot_consistency
from course_lib.slots.scenes import SceneDataset, Scenes, start_chance

LR, BATCH, CLIP = 4e-4, 32, 0.1  # lr and batch as in the seed; the paper warms up for 10,000 of 500,000 steps
PACE = {"decoder": 5.0, "encoder": 2.5, "attention": 1.25, "start": 1.25}  # times lr: what paints may learn faster than what looks
SCORED = 1000  # held-out scenes that a card's metrics are the mean of, if there are so many
KEPT = ("mse", "fg_ari", "full_ari")  # of what validation measures, epoch by epoch in the card: the way to its quality


@dataclass
class SlotObjective:
    """Squared error + weight · (`sharing_cost` · sharing + `usage_cost` · usage) of the masks, see `losses`.

    The weight is 0 for the first `settle_from` of the steps, until slots have found objects, and then grows to 1 within a
    tenth of them. Each step looks at `cells` of the picture's 4×4-pixel cells, chosen by its number: a quarter of a
    64×64 picture takes less than half of the time of the whole. So is its number of iterations,
    from `fewer` below the model's own to `more` above it: with bi-level gradients only the last iteration learns, so each
    must be the last now and then, or the attention of the others need not stay with the objects.
    """

    steps: int
    sharing_cost: float = 0.004
    usage_cost: float = 0.0005
    settle_from: float = 0.25
    cells: int = 64
    fewer: int = 1
    more: int = 2
    weight: float = 0.0
    done: int = 0

    def __post_init__(self):
        if min(self.sharing_cost, self.usage_cost) < 0 or not 0 <= self.settle_from <= 1:
            raise BadInput("sharing_cost and usage_cost must be at least 0 and settle_from from 0 to 1, not "
                           f"{self.sharing_cost}, {self.usage_cost} and {self.settle_from}.")
        if self.cells < 1 or min(self.fewer, self.more) < 0:
            raise BadInput("cells must be at least 1, fewer and more at least 0, not "
                           f"{self.cells}, {self.fewer} and {self.more}.")

    def before_step(self, done: int) -> None:
        """The weight of the costs after so many updates; the number is also the seed of what the step looks at."""
        self.done = done
        self.weight = min(max(10 * (done / self.steps - self.settle_from), 0.0), 1.0)

    def __call__(self, model: SlotAutoencoder, scenes: Scenes) -> dict[str, Tensor]:
        _, parts = self.look(model, scenes)
        return {"loss": self.charged(parts), **parts}

    def look(self, model: nn.Module, scenes: Scenes) -> tuple[tuple, dict[str, Tensor]]:
        """What the model makes of some cells of the pictures, and its error, sharing and usage."""
        image, stride = scenes["image"], model.decoder.stride
        many, chance = image[0, 0].numel() // stride**2, torch.Generator().manual_seed(self.done)
        cells = torch.randperm(many, generator=chance)[: self.cells].to(image.device)  # in every process the same
        least = max(model.num_iterations - self.fewer, 1)
        iterations = int(torch.randint(least, model.num_iterations + self.more + 1, (1,), generator=chance))
        out = model(image, iterations=iterations, chance=start_chance(scenes, self.done), cells=cells)
        masks = out.masks.float()
        return out, {"error": squared_error(out.reconstruction.float(), strip(image, cells, stride)),
                     "sharing": sharing(masks), "usage": usage(masks)}

    def charged(self, parts: dict[str, Tensor]) -> Tensor:
        """The error and, by now, its two costs."""
        return parts["error"] + self.weight * (self.sharing_cost * parts["sharing"] + self.usage_cost * parts["usage"])


def make_optimizers(model: nn.Module, lr: float, matrices: str = "muon", pace: Mapping[str, float] = PACE) -> list[Optimizer]:
    """Adam, or for matrices Muon (Jordan et al. 2024), with `lr` times the `pace` of each part of the model.

    Muon's step of a matrix is orthogonal: every direction in it moves equally far, however small its gradient, where
    Adam's step is ruled by a few. Slots find objects with either; with Muon they keep them.
    Adam remembers squared gradients for 100 steps instead of 1000: when slots begin to find objects the gradient grows
    tenfold within 300 steps, and a longer memory would take steps that are far too large.
    """
    if matrices not in ("muon", "adam"):
        raise BadInput(f"matrices must be muon or adam, not {matrices!r}.")
    groups = [(list(part.parameters()), lr * pace[name]) for name, part in model.named_children()]
    flat, others = ([{"params": [p for p in part if (p.ndim == 2 and matrices == "muon") == wanted], "lr": rate}
                     for part, rate in groups] for wanted in (True, False))
    adam = torch.optim.Adam(others, lr=lr, betas=(0.9, 0.99), fused=True)
    if matrices == "adam":
        return [adam]
    return [Muon(flat, lr), adam]


def train_slots(model: SlotAutoencoder, data: Dataset, *, epochs: int, lr: float = LR, batch_size: int = BATCH,
                seed: int = 0, held_out: Dataset | None = None, run: Run | None = None, progress: bool = True,
                watch: Callable | None = None, workers: int = 0, matrices: str = "muon", clip: float = CLIP,
                **objective: float) -> History:
    """Train `model` in place on scenes and return the history: the loss and its parts at each step, and after each epoch
    what `measure` finds on the `held_out` scenes, if there are any. matrices: of `make_optimizers`; clip: the largest norm of
    the gradient; objective: of `SlotObjective`.
    """
    steps = epochs * math.ceil(len(data) / max(batch_size, 1))  # `train` refuses a batch_size of 0
    objective = SlotObjective(steps, **objective)
    validate = Watch(held_out.batch(range(len(held_out))), progress) if held_out is not None else None
    few = held_out.batch(range(min(8, len(held_out)))) if validate else None
    return train(model, objective, data, before_step=objective.before_step, epochs=epochs, batch_size=batch_size, lr=lr,
                 optimizers=partial(make_optimizers, matrices=matrices),
                 scheduler=partial(warm_up_and_decay, steps=steps), clip=clip, seed=seed, validate=validate,
                 best="mse" if validate else "loss", run=run, progress=progress, watch=watch, workers=workers,
                 pictures=partial(mask_pictures, scenes=few) if validate else None)


@torch.no_grad()
def measure(model: SlotAutoencoder, scenes: Scenes, num_slots: int | None = None, iterations: int | None = None,
            size: int = 50) -> dict[str, float]:
    """Mean over scenes of mse, fg_ari, full_ari, miou and mbo by the decoder's masks, attention_fg_ari by the last attention.

    Without true masks (CLEVR's original release) only mse. `size` scenes at a time.
    """
    total: dict[str, list[Tensor]] = {}
    for first in range(0, len(scenes["image"]), size):
        part = {name: value[first : first + size] for name, value in scenes.items()}
        image = part["image"].to(next(model.parameters()).device)
        out = model(image, num_slots, iterations, start_chance(part))
        found = {"mse": (out.reconstruction - image).square().mean((1, 2, 3))}
        if "ids" in part:
            found |= scene_metrics(part["ids"], out.masks.cpu())
            found["attention_fg_ari"] = scene_metrics(part["ids"], out.attention[:, -1].cpu())["fg_ari"]
        for name, value in found.items():
            total.setdefault(name, []).append(value.cpu())
    return {name: float(torch.cat(values).nanmean()) for name, values in total.items()}


@torch.no_grad()
def measure_consistency(model: SlotAutoencoder, data: SceneDataset, scenes: int = 200, motion: float = 0.06) -> float:
    """Share of objects that keep their slot when every object moves by `motion` (0.06 is two of 64 pixels), same start."""
    before, after = data.batch(range(scenes)), data.batch(range(scenes), motion)
    device = next(model.parameters()).device
    masks = [model(part["image"].to(device), chance=start_chance(part)).masks.cpu() for part in (before, after)]
    return float(slot_consistency(before["ids"], masks[0], after["ids"], masks[1]).nanmean())


@dataclass
class Watch:
    """`measure` on fixed scenes, which says aloud whenever the verdict changes."""

    scenes: Scenes
    aloud: bool = True
    last: str = ""

    def __call__(self, model: SlotAutoencoder) -> dict[str, float]:
        metrics = measure(model, self.scenes)
        if self.aloud and "fg_ari" in metrics and is_main_process():
            said = verdict(metrics)
            if said.split(":")[0] != self.last:
                tqdm.write(said, file=sys.stderr)
            self.last = said.split(":")[0]
        return metrics


def mask_pictures(model: nn.Module, scenes: Scenes) -> dict[str, Tensor]:
    """Picture, reconstruction and segmentation of each scene, one above the other."""
    image = scenes["image"].to(next(model.parameters()).device)
    out = model(image, chance=start_chance(scenes))
    segmented = rearrange(segmentation_picture(out.masks), "b h w c -> b c h w")
    return {"masks": torch.cat([scenes["image"], out.reconstruction.clamp(0, 1).cpu(), segmented], 2)}


def verdict(metrics: dict[str, float]) -> str:
    """Did it bind? A finding, a colon, and its reason in one sentence on the metrics of `measure`."""
    fg, full = metrics["fg_ari"], metrics["full_ari"]
    if fg < 0.3:
        return f"no binding yet: the slots do not follow the objects (FG-ARI {fg:.2f})."
    if fg < 0.8:
        return f"binding has begun: some objects still share a slot or lie in pieces (FG-ARI {fg:.2f})."
    if full < 0.6:
        return f"objects bound, background in pieces: FG-ARI {fg:.2f}, full ARI {full:.2f}."
    return f"bound: objects and background have slots of their own (FG-ARI {fg:.2f}, full ARI {full:.2f})."


def run(cfg: DictConfig) -> None:
    """`experiment=slots_shapes / slots_multi_dsprites / slots_clevr6`: train, save weights with a card, draw.

    Writes NAME.safetensors, NAME.json and NAME.png into cfg.out, with NAME the experiment; logs/ and checkpoints/ beside.
    """
    name = HydraConfig.get().runtime.choices.experiment
    torch.manual_seed(cfg.seed)
    model = SlotAutoencoder(**cfg.model)
    data, held_out = create_datasets(seed=cfg.seed, progress=cfg.progress and is_main_process(), **cfg.data)
    history = train_slots(model, data, epochs=cfg.epochs, lr=cfg.lr, batch_size=cfg.batch_size, seed=cfg.seed,
                          held_out=held_out, run=Run.from_config(cfg, name), progress=cfg.progress, workers=cfg.workers,
                          matrices=cfg.matrices, clip=cfg.clip, **cfg.objective)
    if is_main_process():
        scenes = held_out.batch(range(SCORED if held_out.endless else min(SCORED, len(held_out))))
        counts = [k for k in cfg.scored_slots if k != model.num_slots and (cfg.model.start != "queries" or k <= cfg.model.queries)]
        card = {"experiment": name, "config": settings_of(cfg), "seed": cfg.seed, "seconds": history.seconds,
                "metrics": measure(model, scenes),
                "metrics_by_slots": {str(k): measure(model, scenes, k) for k in counts},
                "epochs": {key: [round(value, 5) for value in history.epochs[key]]
                           for key in KEPT if key in history.epochs}}
        save_weights(model, Path(cfg.out) / name, card=card)
        few = held_out.batch(range(min(6, len(held_out))))
        out = model(few["image"], chance=start_chance(few))
        visualize_slots(few["image"], out.reconstruction, out.masks, save_path=Path(cfg.out) / f"{name}.png")
