"""How SVQ and the patch VQ-VAE are trained: a plain function for notebooks, and `run` for the command line."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.codes.loaders import create_datasets
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.core.errors import BadInput
from course_lib.core.launch import is_main_process
from course_lib.core.run import settings_of
from course_lib.core.schedules import warm_up_and_decay
from course_lib.core.training import History, Run, train
from course_lib.core.weights import find_weights, round_to_half, save_weights
from course_lib.slots.autoencoder import SlotAutoencoder
from course_lib.slots.figures import visualize_slots
from course_lib.slots.metrics import scene_metrics
from course_lib.slots.recipe import PACE, SlotObjective, make_optimizers, mask_pictures
from course_lib.slots.scenes import Scenes, start_chance

MODELS = {"svq": SVQ, "vqvae": PatchVQ}  # by experiment
LR, BATCH, CLIP = 4e-4, 8, 1.0
CODE_PACE = PACE | {"quantizer": 2.5, "position": 5.0}  # a codebook that is trained by its loss learns as the encoder does
VARIANCE_OF = 256  # scenes whose pixels say how large an error is large
SCORED = 1000
LATEST = 0.9  # share of the training, at which a weight must begin to grow if it is to reach 1


@dataclass
class CodeObjective(SlotObjective):
    """(squared error + costs of the masks) / variance of the pixels + the loss of the codes (van den Oord et al. 2017).

    Divided by the variance, an error of 1 says that nothing is known, in any world: only so is a commitment of 0.25 the
    same share of the whole everywhere. The costs are Part II's; a decoder whose masks do not mix pictures has no use for them.
    When they begin, so does the quantiser's `rate_weight`: codes that mean the same can be told only when they mean something.
    """

    variance: float = 1.0
    sharing_cost: float = 0.0
    usage_cost: float = 0.0
    settle_from: float = 0.5

    def __call__(self, model: SVQ | PatchVQ, scenes: Scenes) -> dict[str, Tensor]:
        model.quantizer.rate_share = self.weight
        out, parts = self.look(model, scenes)
        codes = out.encoded.codes
        return {"loss": self.charged(parts) / self.variance + codes.loss, "commitment": codes.commitment, **parts}


def take_slots(model: SVQ, name: str) -> None:
    """Begin with the encoder, the start and the slot attention of other weights, of Part II or an SVQ, so that pictures are parted already;
    and with their decoder, if it is of the same kind as the model's, so that nothing is new but the codes.

    name: as in `find_weights`. Raises `BadInput` as it does, and if the parts have other sizes.
    """
    source = find_weights(name, (SlotAutoencoder, SVQ))
    parts = ["encoder", "start", "attention"] + ["decoder"] * (type(source.decoder) is type(model.decoder))
    for part in parts:
        try:
            getattr(model, part).load_state_dict(getattr(source, part).state_dict())
        except RuntimeError as error:
            raise BadInput(f"the {part} of {name} has other parts or sizes than that of the model; give both the same slot_dim, channels, "
                           "hidden_dim, start, update, decoder_dim and decoder_layers.") from error


def variance_of(data: Dataset) -> float:
    """The mean squared distance of a pixel from the mean colour of its picture's data set."""
    image = data.batch(range(min(VARIANCE_OF, len(data))))["image"]
    return float((image - image.mean((0, 2, 3), keepdim=True)).square().mean())


def train_codes(model: SVQ | PatchVQ, data: Dataset, *, epochs: int, lr: float = LR, batch_size: int = BATCH, seed: int = 0,
                held_out: Dataset | None = None, run: Run | None = None, progress: bool = True, watch=None, workers: int = 0,
                matrices: str = "muon", **objective: float) -> History:
    """Train `model` in place on scenes and return the history; after each epoch what `measure` finds on `held_out` scenes."""
    steps = epochs * math.ceil(len(data) / max(batch_size, 1))
    if model.quantizer.rate_weight and objective.get("settle_from", 0) > LATEST:
        raise BadInput(f"with a rate_weight settle_from must be at most {LATEST}, not {objective['settle_from']}: it grows for a tenth of the "
                       "training.")
    objective = CodeObjective(steps, variance=variance_of(data), **objective)
    scenes = held_out.batch(range(len(held_out))) if held_out is not None else None
    few = held_out.batch(range(min(8, len(held_out)))) if held_out is not None else None
    return train(model, objective, data, before_step=objective.before_step, epochs=epochs, batch_size=batch_size, lr=lr,
                 optimizers=partial(make_optimizers, matrices=matrices, pace=CODE_PACE),
                 scheduler=partial(warm_up_and_decay, steps=steps), clip=CLIP, seed=seed,
                 validate=partial(measure, scenes=scenes) if scenes else None, best="mse" if scenes else "loss", run=run,
                 progress=progress, watch=watch, workers=workers, pictures=partial(mask_pictures, scenes=few) if few else None)


@torch.no_grad()
def measure(model: SVQ | PatchVQ, scenes: Scenes, size: int = 50) -> dict[str, float]:
    """mse; fg_ari, full_ari and attention_fg_ari as in Part II; perplexity of the codes and the share of them that is used (codes_used),
    means over codebooks."""
    total: dict[str, list[Tensor]] = {}
    indices = []
    for first in range(0, len(scenes["image"]), size):
        part = {name: value[first : first + size] for name, value in scenes.items()}
        image = part["image"].to(next(model.parameters()).device)
        out = model(image, chance=start_chance(part))
        found = {"mse": (out.reconstruction - image).square().mean((1, 2, 3))}
        masked = scene_metrics(part["ids"], out.masks.cpu())
        found |= {"fg_ari": masked["fg_ari"], "full_ari": masked["full_ari"],
                  "attention_fg_ari": scene_metrics(part["ids"], out.encoded.attention[:, -1].cpu())["fg_ari"]}
        indices.append(out.encoded.codes.indices)
        for name, value in found.items():
            total.setdefault(name, []).append(value.cpu())
    codes = torch.cat(indices)
    return {name: float(torch.cat(values).nanmean()) for name, values in total.items()} | {
        "perplexity": float(model.quantizer.perplexity(codes).mean()), "codes_used": float(model.quantizer.usage(codes).mean())}


def run(cfg: DictConfig) -> None:
    """`experiment=svq / vqvae`: train, save weights with a card, draw. Writes NAME.safetensors, NAME.json and NAME.png, with
    NAME = cfg.name, svq_rules for example."""
    experiment = HydraConfig.get().runtime.choices.experiment
    torch.manual_seed(cfg.seed)
    model = MODELS[experiment](**cfg.model)
    if cfg.get("slots_of"):
        take_slots(model, cfg.slots_of)
    data, held_out = create_datasets(seed=cfg.seed, **cfg.dataset)
    history = train_codes(model, data, epochs=cfg.epochs, lr=cfg.lr, batch_size=cfg.batch_size, seed=cfg.seed,
                          held_out=held_out, run=Run.from_config(cfg, cfg.name), progress=cfg.progress, workers=cfg.workers,
                          matrices=cfg.matrices, **cfg.objective)
    if is_main_process():
        round_to_half(model)
        card = {"experiment": experiment, "config": settings_of(cfg), "seed": cfg.seed, "seconds": history.seconds,
                "metrics": measure(model, held_out.batch(range(SCORED))),
                "epochs": {key: [round(value, 5) for value in history.epochs[key]] for key in ("mse", "fg_ari", "full_ari", "perplexity")}}
        save_weights(model, Path(cfg.out) / cfg.name, card=card)
        few = held_out.batch(range(6))
        out = model(few["image"], chance=start_chance(few))
        visualize_slots(few["image"], out.reconstruction, out.masks, save_path=Path(cfg.out) / f"{cfg.name}.png")
