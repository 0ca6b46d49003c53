"""How a prior over codes is trained: a plain function for notebooks, and `run` for the command line."""

import math
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Int
from omegaconf import DictConfig
from torch import Tensor
from torch.optim import Optimizer

from course_lib.codes.figures import pictures_figure
from course_lib.codes.generation import Codes, encode_scenes, generated, judged, shape_of
from course_lib.codes.loaders import create_datasets
from course_lib.codes.metrics_shapes import share_readable
from course_lib.codes.order import random_order
from course_lib.codes.prior import Independent, Prior
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.launch import is_main_process
from course_lib.core.muon import muon_and_adam
from course_lib.core.run import settings_of
from course_lib.core.schedules import warm_up_and_decay
from course_lib.core.training import History, Run, train
from course_lib.core.weights import find_weights, round_to_half, save_weights
from course_lib.slots.scenes import Shapes

LR, BATCH, CLIP = 1e-3, 64, 1.0
MODELS = (SVQ, PatchVQ)


def make_optimizers(prior: Prior, lr: float) -> list[Optimizer]:
    """Muon for the matrices of the blocks (Jordan et al. 2024), Adam for tables, heads, norms and biases: a row of a table
    is a vector of its own, and most rows have no gradient in a step, so there is no matrix to make orthogonal."""
    return muon_and_adam([p for p in prior.blocks.parameters() if p.ndim == 2], prior, lr, (0.9, 0.99))


def train_prior(prior: Prior, codes: Codes, *, epochs: int, lr: float = LR, batch_size: int = BATCH, seed: int = 0,
                held_out: Int[Tensor, "fresh slots codebooks"] | None = None, shuffle: bool = False, run: Run | None = None, progress: bool = True,
                watch=None) -> History:
    """Train `prior` in place on scenes of codes: the mean NLL in nats is the loss; `nll` is that of the `held_out` scenes.

    shuffle: tell the slots of a scene in another order each time (there is no canonical one).
    """
    prior.check(codes)

    def objective(model: Prior, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": model.nll(random_order(batch) if shuffle else batch).mean()}

    steps = epochs * math.ceil(len(codes) / max(batch_size, 1))
    return train(prior, objective, codes, epochs=epochs, batch_size=batch_size, lr=lr, optimizers=make_optimizers,
                 scheduler=partial(warm_up_and_decay, steps=steps), clip=CLIP, seed=seed,
                 validate=partial(measure_nll, codes=held_out) if held_out is not None else None,
                 best="loss" if held_out is None else "nll", run=run, progress=progress, watch=watch)


@torch.no_grad()
def measure_nll(prior: Prior | Independent, codes: Codes, size: int = 200) -> dict[str, float]:
    """nll: nats per scene, the mean over scenes."""
    device = next(iter(prior.state_dict().values())).device
    return {"nll": float(torch.cat([prior.nll(part.to(device)) for part in codes.split(size)]).mean())}


def counted(codes: Codes, prior: Prior) -> Independent:
    """The prior of the same shape whose codes know nothing of each other, from the same scenes."""
    independent = Independent(prior.slots, prior.codebooks, prior.codes)
    independent.count(codes)
    return independent


def run(cfg: DictConfig) -> None:
    """`experiment=svq_prior`: scenes to codes, a prior over them, its weights with a card, pictures it generates.

    Writes NAME.safetensors, NAME.json and NAME.png into cfg.out, with NAME = cfg.name. cfg.weights: the model whose codes are
    learned, a shipped name or a path. In the rule world the card says how many generated scenes obey the rule, of Shapes how many
    can be read.
    """
    model = find_weights(cfg.weights, MODELS)
    torch.manual_seed(cfg.seed)
    shown = cfg.progress and is_main_process()
    data, held_out = create_datasets(seed=cfg.seed, **cfg.dataset)
    prior = Prior(**shape_of(model, cfg.dataset.resolution), **cfg.model)
    codes = encode_scenes(model, data, cfg.dataset.samples, cfg.order, cfg.seed, shown)
    fresh = encode_scenes(model, held_out, cfg.dataset.held_out, cfg.order, cfg.seed)
    history = train_prior(prior, codes, epochs=cfg.epochs, lr=cfg.lr, batch_size=cfg.batch_size, seed=cfg.seed, held_out=fresh,
                          shuffle=cfg.order == "random", run=Run.from_config(cfg, cfg.name), progress=cfg.progress)
    if is_main_process():
        round_to_half(prior)
        metrics = measure_nll(prior, fresh) | {"nll_of_training": measure_nll(prior, codes[: len(fresh)])["nll"]}
        independent = counted(codes, prior)
        metrics["nll_independent"] = measure_nll(independent, fresh)["nll"]
        images, alone = (generated(model, each, cfg.scored, cfg.temperature, seed=cfg.seed, size=cfg.dataset.resolution)
                         for each in (prior, independent))
        if isinstance(data, RuleWorld):
            metrics |= {"entropy": data.entropy, "lawful_by_chance": data.lawful_by_chance,
                        "seen_by_chance": data.seen_by_chance(len(data))}
            metrics |= judged(images, data, training=data.first(len(data)))
            metrics |= {f"{name}_independent": value for name, value in judged(alone, data).items()}
        elif isinstance(data, Shapes):
            metrics |= share_readable(images, data) | {f"{name}_independent": value for name, value in share_readable(alone, data).items()}
        card = {"experiment": "svq_prior", "config": settings_of(cfg), "seed": cfg.seed, "seconds": history.seconds,
                "metrics": metrics, "epochs": {name: [round(value, 5) for value in history.epochs[name]] for name in ("loss", "nll")}}
        save_weights(prior, Path(cfg.out) / cfg.name, card=card)
        pictures_figure(images[:32], save_path=Path(cfg.out) / f"{cfg.name}.png")
