"""How the small CLIP is trained: a plain function for notebooks, and `run` for the command line."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.optim import Optimizer

from course_lib.core.launch import is_main_process
from course_lib.core.muon import muon_and_adam
from course_lib.core.run import settings_of
from course_lib.core.schedules import warm_up_and_decay
from course_lib.core.training import History, Run, train
from course_lib.core.weights import find_weights, round_to_half, save_weights
from course_lib.slots.scenes import Scenes
from course_lib.tokens.captions import FACTORS, WORDS, Captioned, CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.figures_clip import zero_shot_figure
from course_lib.tokens.loaders import HELD_OUT
from course_lib.tokens.losses_clip import contrastive_loss
from course_lib.tokens.small_clip import GREATEST, SmallClip
from course_lib.tokens.zero_shot import QUESTIONS, ZeroShot, embedded

LR, BATCH, CLIP = 2e-3, 32, 1.0
SCORED = 400  # scenes of a card's metrics; 100 after every epoch
JOINT = 200  # scenes of the joint question, which has by far the most texts


def make_optimizers(model: SmallClip, lr: float) -> list[Optimizer]:
    """Muon for the matrices of the layers (Jordan et al. 2024), Adam for tables, patches, projections, norms and biases."""
    return muon_and_adam([p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name], model, lr, (0.9, 0.98))


def objective(model: SmallClip, batch: Scenes, loss: Callable[[Tensor, Tensor, Tensor], Tensor] = contrastive_loss) -> dict[str, Tensor]:
    """The contrastive loss, the share of pictures that find their own caption in the batch, and the scale, at most 100."""
    with torch.no_grad():
        model.clip.logit_scale.clamp_(max=GREATEST)
    images, texts, log_scale = model(batch["image"], batch["text"])
    images, texts = images.float(), texts.float()
    right = torch.arange(len(images), device=images.device)
    return {"loss": loss(images, texts, log_scale), "found": ((images @ texts.mT).argmax(1) == right).float().mean(),
            "scale": log_scale.exp()}


def train_clip(model: SmallClip, data: CaptionedScenes, *, epochs: int, lr: float = LR, batch_size: int = BATCH, seed: int = 0,
               held_out: Scenes | None = None, run: Run | None = None, progress: bool = True, workers: int = 0,
               watch: Callable | None = None) -> History:
    """Train `model` in place on captioned scenes, without flips, as captions say left and right.

    batch_size: scenes, or pairs of neighbours if the data have them. held_out: scenes for `validation` after each epoch.
    With several processes each contrasts its own part of a batch.
    """
    steps = epochs * math.ceil(len(data) / max(batch_size, 1))
    history = train(model, objective, Captioned(data, model.tokenizer), epochs=epochs, batch_size=batch_size, lr=lr, optimizers=make_optimizers,
                    scheduler=partial(warm_up_and_decay, steps=steps), clip=CLIP, seed=seed,
                    validate=partial(validation, scenes=held_out) if held_out is not None else None,
                    best="loss" if held_out is None else "wrong", run=run, progress=progress, workers=workers, watch=watch)
    with torch.no_grad():
        model.clip.logit_scale.clamp_(max=GREATEST)
    return history


def validation(model: SmallClip, scenes: Scenes) -> dict[str, float]:
    """Zero-shot accuracy of each factor, and `wrong`, 1 − their mean."""
    clip = ClipTokens.of(model, freeze=False).eval()
    found = ZeroShot.about(scenes, clip, FACTORS).accuracy(embedded(clip, scenes["image"]))
    return found | {"wrong": 1 - sum(found.values()) / len(found)}


def measure(clip: ClipTokens, scored: int = SCORED, joint: int = JOINT) -> dict[str, float]:
    """Zero-shot accuracy on `scored` held-out scenes: NAME of each factor and of all (on `joint` of the scenes), NAME_held_out
    where the first object is of a combination that no training scene has, and NAME_chance."""
    metrics = {}
    for combinations, ending in (("seen", ""), ("held_out", "_held_out")):
        world = CaptionedScenes(clip.resolution, samples=scored, seed=HELD_OUT, combinations=combinations)
        for questions, many in ((FACTORS, scored), (QUESTIONS[len(FACTORS):], min(joint, scored))):
            scenes = world.batch(range(many))
            asked = ZeroShot.about(scenes, clip, questions)
            metrics |= {f"{name}{ending}": value for name, value in asked.accuracy(embedded(clip, scenes["image"])).items()}
            metrics |= {f"{name}_chance": value for name, value in asked.chance.items()}
    return metrics


def run(cfg: DictConfig) -> None:
    """`experiment=clip`: train the small CLIP and write its weights with a card.

    Writes NAME.safetensors, NAME.json and NAME.png into cfg.out, with NAME = cfg.name; logs/ and checkpoints/ beside. cfg.weights: go on
    from these, a shipped name or a path, at cfg.resolution; cfg.model is not used then.
    """
    torch.manual_seed(cfg.seed)
    if cfg.weights is None:
        model = SmallClip(cfg.resolution, words=WORDS, **cfg.model)
    else:
        model = find_weights(cfg.weights, SmallClip).at_resolution(cfg.resolution)
    many = {"min_objects": cfg.dataset.min_objects, "max_objects": cfg.dataset.max_objects}
    data = CaptionedScenes(cfg.resolution, samples=cfg.dataset.samples, seed=cfg.seed, neighbours=cfg.dataset.neighbours, **many)
    held_out = CaptionedScenes(cfg.resolution, samples=cfg.dataset.held_out, seed=HELD_OUT, **many)
    history = train_clip(model, data, epochs=cfg.epochs, lr=cfg.lr, batch_size=cfg.batch_size, seed=cfg.seed,
                         held_out=held_out.batch(range(len(held_out))), run=Run.from_config(cfg, cfg.name), progress=cfg.progress,
                         workers=cfg.workers)
    if is_main_process():
        round_to_half(model)
        card = {"experiment": "clip", "config": settings_of(cfg), "seed": cfg.seed, "seconds": history.seconds,
                "metrics": measure(ClipTokens.of(model), cfg.scored, cfg.scored_joint),
                "epochs": {name: [round(value, 5) for value in values] for name, values in history.epochs.items()}}
        save_weights(model, Path(cfg.out) / cfg.name, card=card)
        zero_shot_figure(card["metrics"], QUESTIONS, save_path=Path(cfg.out) / f"{cfg.name}.png")
