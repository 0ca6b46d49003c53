"""How a compressor is trained field by field: a plain function for notebooks, and `run` for the command line.

Single tokens against a paired critic (`critic_rf`), each field rebuilt from its own token (`decoder_rf`), and all of it measured field by
field. Turns, optimisers and data are those of `recipe`.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.core.checkpoints import set_aside
from course_lib.core.errors import BadInput
from course_lib.core.launch import is_main_process
from course_lib.core.projector import photograph
from course_lib.core.training import History, Run
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.compressor import Grid
from course_lib.tokens.critic_rf import RFCritic, rf_critic_loss, rf_generator_loss, rf_opponents
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.decoder_rf import RFCompressor
from course_lib.tokens.fields import extract_rf_targets
from course_lib.tokens.figures_rf import create_rf_heatmap, distribution_figure, profile_figure, save_rf_pictures
from course_lib.tokens.loaders import AT_ONCE, create_data
from course_lib.tokens.losses_rf import RF_RECONSTRUCTIONS, RFStatistics, compute_rf_statistics, rf_reconstruction_loss
from course_lib.tokens.metrics import cosine
from course_lib.tokens.recipe import BATCH, EPOCHS, LR, Players, Turns, build, device, keep, play, tokens_of, training

WATCHED = 96  # dots to an inch of figures in a tracker


@dataclass
class RFObjective(Turns):
    """Of the generator: ae · mean loss of fields + wgan · −E[c(compressed)]; of the critic: −W + lambda_gp · penalty (see `critic_rf`).

    All see standardised tokens. Slopes of the critic are taken in root mean squares of a number of a token, so `wasserstein`, between
    single tokens, is in standard deviations, and both weights at 1 pull alike.
    Measures: those of `recipe.Objective`, and in the generator's turns worst_field: of every field the mean loss over the batch, the largest.
    """

    KINDS: ClassVar = RF_RECONSTRUCTIONS

    def __call__(self, players: Players, batch: Tensor) -> dict[str, Tensor]:
        tokens, model = players.tokens(batch), players.compressor
        compressed, units = model(tokens), model.scale(tokens)
        if self.wgan:
            pair = rf_opponents(units, model.scale(compressed.tokens), model.output_grid, players.critic.sees)
        if self.critics_turn:
            found = rf_critic_loss(players.critic, pair, self.lambda_gp, math.sqrt(model.dim))
            return {"loss": found.loss, "wasserstein": found.wasserstein, "gradient_penalty": found.penalty}
        rebuilt = model.expand(compressed)
        fields = (extract_rf_targets(grid, model.output_grid) for grid in (model.scale(rebuilt), units))
        error, per_field = rf_reconstruction_loss(*fields, self.reconstruction)
        measures = {"loss": self.ae * error, "reconstruction": error.detach(), "worst_field": per_field.detach().mean(0).max(),
                    "cosine_similarity": cosine(rebuilt.detach(), tokens.detach()).mean()}
        if self.wgan:
            pull = rf_generator_loss(players.critic, pair)
            measures |= {"loss": measures["loss"] + self.wgan * pull, "generator_loss": pull.detach()}
        return measures


def train_rf_compressor(
    model: LearnedCompressor, data: Tensor | Dataset, *, critic: RFCritic | None = None, clip: ClipTokens | None = None,
    held_out: Tensor | None = None, picture: Float[Tensor, "3 high wide"] | None = None, pictures_every: int = 1, epochs: int = EPOCHS,
    batch_size: int = BATCH, lr: float = LR, seed: int = 0, run: Run | None = None, progress: bool = True, workers: int = 0,
    watch: Callable | None = None, **objective,
) -> History:
    """Train `model`, an `RFCompressor` or any other, field by field, in place, and return the history: measures of `RFObjective` at each
    step, of `field_statistics` of the held-out grids after each epoch, as held_out_cosine, held_out_poor, held_out_row_0 …

    All is as in `recipe.train_compressor` but the critic and the objective's settings. With `run` and `held_out` the first held-out grid
    is drawn after every `pictures_every` epochs, into FOLDER/visualizations (`save_rf_pictures`); picture: what it is of, in [0, 1].
    Raises `BadInput`: fields of a single token, a bad `pictures_every`, and as `train_compressor` does.
    """
    if tuple(model.grid) == tuple(model.output_grid):
        raise BadInput(f"{model.grid[0]} × {model.grid[1]} compressed tokens for as many of CLIP's make fields of a single token, of which nothing "
                       "is lost; choose a smaller output_grid_size.")
    if type(pictures_every) is not int or pictures_every < 1:
        raise BadInput(f"pictures_every must be a whole number from 1 on, not {pictures_every!r}.")
    settings, looks = RFObjective.against(critic, **objective), {}
    if held_out is not None:
        looks = {"validate": partial(validation, batch=held_out), "pictures": partial(maps, batch=held_out), "best": "held_out_unexplained"}
        if run is not None:
            watch = partial(draw, first=held_out[:1], picture=picture, folder=run.folder, every=pictures_every, then=watch)
    return play(Players(model, critic if settings.wgan else None, clip), settings, data, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed,
                run=run, progress=progress, workers=workers, watch=watch, **looks)


@torch.no_grad()
def field_statistics(model: LearnedCompressor, tokens: Grid) -> RFStatistics:
    """`compute_rf_statistics` of what the model makes of these grids, on the CPU."""
    device, parts = model.scale.mean.device, []
    for part in tokens.split(AT_ONCE):
        part = part.to(device)
        parts.append(compute_rf_statistics(model.expand(model(part)), part, model.output_grid, model.scale.mean))
    return RFStatistics(*(torch.cat(each).cpu() for each in zip(*parts)))


@torch.no_grad()
def validation(players: Players, batch: Tensor) -> dict[str, float]:
    """The statistics of held-out data under the names held_out_…, and what the critic says of them: held_out_wasserstein.

    The critic is shown the same tokens of the fields after every epoch, and it is in eval mode: without dropout.
    """
    tokens, model = tokens_of(players, batch), players.compressor
    found = {f"held_out_{name}": value for name, value in field_statistics(model, tokens).summary().items()}
    if players.critic is not None:
        chance, values = torch.Generator().manual_seed(0), []
        for part in tokens.to(model.scale.mean.device).split(AT_ONCE):
            real, fake, seen = rf_opponents(model.scale(part), model.scale(model(part).tokens), model.output_grid, players.critic.sees, chance)
            values.append(players.critic(real, seen) - players.critic(fake, seen))
        found["held_out_wasserstein"] = float(torch.cat(values).mean())
    return found


def maps(players: Players, batch: Tensor) -> dict[str, Tensor]:
    """For the tracker, of all held-out grids: where fields are rebuilt well, how often how well, and the profile of rows and columns."""
    found = field_statistics(players.compressor, tokens_of(players, batch))
    figures = {"rf_heatmap": create_rf_heatmap(found.cosine.mean(0), "Cosine of each field, mean over pictures"),
               "rf_distribution": distribution_figure(found.cosine, found.resultant), "rf_profile": profile_figure(found.cosine, found.resultant)}
    pixels = {name: np.asarray(photograph(figure, WATCHED).convert("RGB")) / 255 for name, figure in figures.items()}
    return {name: torch.from_numpy(values).movedim(2, 0)[None] for name, values in pixels.items()}


@torch.no_grad()
def draw(epoch: int, players: Players, first: Tensor, picture: Tensor | None, folder: Path, every: int, then: Callable | None) -> None:
    """The pictures of an epoch of one held-out grid; before the first epoch those of an earlier run are moved aside."""
    if is_main_process() and epoch == 0:
        set_aside(folder / "visualizations")
    elif is_main_process() and epoch % every == 0:
        tokens = tokens_of(players, first)
        model = players.compressor
        rebuilt = model.expand(model(tokens.to(model.scale.mean.device))).cpu()
        save_rf_pictures(folder, epoch, rebuilt, tokens, model.output_grid, picture)
    if then is not None:
        then(epoch, players)


def gpu(number: int | str | None) -> torch.device:
    """The GPU of that number (from 0), from now on that of the whole process; None for `recipe.device`, one of its own for each process.

    Raises `BadInput` where there is no such GPU, and if there are several processes.
    """
    if number is None:
        chosen = device()
    else:
        many = torch.cuda.device_count()
        if type(number) is not int or not 0 <= number < many:
            there = f"the GPUs here are 0 to {many - 1}" if many > 1 else "the only GPU here is 0" if many else "there is none here"
            raise BadInput(f"hardware.cuda_device={number} must be the number of a GPU, and {there}; leave it null to train on what there is.")
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise BadInput(f"hardware.cuda_device={number} is one GPU, and of several processes each has its own; leave it null.")
        chosen = torch.device("cuda", number)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)  # what Accelerate takes
    return chosen


def run(cfg: DictConfig) -> None:
    """`experiment=compress_rf`: train, and write NAME.safetensors, its card and visualizations/ into cfg.out, NAME = cfg.name."""
    clip, model = build(cfg, RFCompressor, cfg.model.rf_autoencoder, gpu(cfg.hardware.cuda_device))
    critic = RFCritic(clip.dim, model.output_grid, **cfg.model.rf_discriminator) if cfg.loss.weights.wgan else None
    data = create_data(clip, seed=cfg.seed, **cfg.data)
    history = train_rf_compressor(model, data.training, critic=critic, clip=None if clip.freeze else clip, held_out=data.held_out,
                                  picture=data.picture, pictures_every=cfg.pictures_every, lambda_gp=cfg.loss.rf_wgan.lambda_gp, **training(cfg))
    keep(cfg, "compress_rf", model, clip, history, lambda tokens: field_statistics(model, tokens).summary(), data.held_out)
