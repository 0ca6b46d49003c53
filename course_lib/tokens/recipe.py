"""How a learned compressor is trained, with a critic or without: a plain function for notebooks, and `run` for the command line."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.data import Dataset

from course_lib.core.errors import BadInput
from course_lib.core.launch import is_main_process
from course_lib.core.memory import free_memory
from course_lib.core.muon import Muon
from course_lib.core.run import settings_of
from course_lib.core.schedules import warm_up_and_decay
from course_lib.core.training import History, Run, train
from course_lib.core.weights import round_to_half, save_weights
from course_lib.tokens.cache import KeptTokens, LiveTokens
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.compressor import Grid, Whole
from course_lib.tokens.critic import CRITICS, GAMES, opponents
from course_lib.tokens.decoder import LearnedCompressor, Spread
from course_lib.tokens.losses import RECONSTRUCTIONS, critic_loss, generator_loss, gradient_penalty
from course_lib.tokens.metrics import centred_cosine, cosine, variance_unexplained
from course_lib.tokens.photos import create_photos, on_cpu
from course_lib.tokens.provenance import clip_record

EPOCHS, BATCH, LR, N_CRITIC, LAMBDA = 100, 32, 1e-4, 5, 10.0  # as in the study that Part IV grew from
TURN = 100.0  # times the learning rate: radians by which a step turns the linear ways, in every direction and whatever their size
BETAS = (0.5, 0.9)  # Gulrajani et al. 2017, sec. 5.1; of the autoencoder without a critic too, so that only the critic differs
FITTED = 256  # grids whose mean and spread the model takes
HELD_OUT = 2**40  # seed of the scenes that are only measured; no training is numbered so
AT_ONCE = 32  # held-out grids measured together
SHOWN, ENLARGED = 8, 8  # cosine maps for the tracker, and pixels to a token's side
FAST = {"training.epochs": 2, "training.batch_size": 4, "data.samples": 28, "data.use_subset": True, "data.subset_size": 28, "data.held_out": 6,
        "model.compressor.hidden": 16}


class Players(nn.Module):
    """What a run trains together: compressor, critic, and a CLIP if it is not frozen."""

    def __init__(self, compressor: LearnedCompressor, critic: nn.Module | None = None, clip: ClipTokens | None = None):
        super().__init__()
        self.compressor, self.critic, self.clip = compressor, critic, clip
        if clip is not None:  # text, and what comes after the tokens, have no part in this
            vision = clip.clip.vision_model
            clip.requires_grad_(False)
            for part in (vision.embeddings, vision.pre_layrnorm, *vision.encoder.layers[: clip.layer]):
                part.requires_grad_(True)

    def tokens(self, batch: Tensor) -> Grid:
        """A batch of token grids, or what the CLIP that learns makes of a batch of pixels."""
        return batch.float() if self.clip is None else self.clip.encode(batch).tokens


@dataclass
class Objective:
    """Of the generator: ae · reconstruction + wgan · −E[c(fake)]; of the critic: −W + lambda_gp · penalty (see `losses`).

    Reconstruction and critic see standardised tokens. Slopes of the critic are taken in root mean squares of a number, so
    `wasserstein` is in standard deviations, whatever the grid, and both weights at 1 pull alike.
    Measures: loss (of whose turn it is); reconstruction, cosine_similarity (mean over places, in CLIP's own scale) and
    generator_loss in the generator's turns; wasserstein (the critic's estimate of W) and gradient_penalty in the critic's.
    """

    n_critic: int = N_CRITIC
    lambda_gp: float = LAMBDA
    wgan: float = 1.0
    ae: float = 1.0
    reconstruction: str = "mse"
    game: str = "put_back"
    critics_turn: bool = False

    def __post_init__(self):
        if self.reconstruction not in RECONSTRUCTIONS:
            raise BadInput(f"loss.reconstruction must be one of {', '.join(RECONSTRUCTIONS)}, not {self.reconstruction!r}.")
        if self.game not in GAMES:
            raise BadInput(f"loss.wgan.game must be one of {', '.join(GAMES)}, not {self.game!r}.")
        if self.n_critic < 1 or min(self.lambda_gp, self.wgan, self.ae) < 0 or not self.wgan + self.ae:
            raise BadInput("n_critic must be at least 1, lambda_gp and the weights wgan and ae at least 0 and one weight above it, "
                           f"not {self.n_critic}, {self.lambda_gp}, {self.wgan} and {self.ae}.")

    def turn(self, done: int) -> range:
        """n_critic steps of the critic, then one of the generator: the numbers of their optimisers, as `make_optimizers` returns them."""
        return range(2, 3) if done % (self.n_critic + 1) < self.n_critic else range(2)

    def before_step(self, done: int) -> None:
        self.critics_turn = bool(self.wgan) and self.turn(done) == range(2, 3)

    def __call__(self, players: Players, batch: Tensor) -> dict[str, Tensor]:
        tokens, model = players.tokens(batch), players.compressor
        compressed = model(tokens)
        rebuilt = None if self.critics_turn and self.game != "rebuilt" else model.expand(compressed)
        if self.wgan:
            real, fake = (model.scale(grid) for grid in opponents(self.game, model, tokens, compressed, rebuilt))
        if self.critics_turn:
            gap = critic_loss(players.critic(real), players.critic(fake))
            penalty = gradient_penalty(players.critic, real, fake, unit_of(real))
            return {"loss": gap + self.lambda_gp * penalty, "wasserstein": -gap.detach(), "gradient_penalty": penalty.detach()}
        error = RECONSTRUCTIONS[self.reconstruction](model.scale(rebuilt), model.scale(tokens))
        found = {"loss": self.ae * error, "reconstruction": error.detach(), "cosine_similarity": cosine(rebuilt.detach(), tokens.detach()).mean()}
        if self.wgan:
            pull = generator_loss(players.critic(fake))
            found |= {"loss": found["loss"] + self.wgan * pull, "generator_loss": pull.detach()}
        return found


def unit_of(grids: Float[Tensor, "batch h w dim"]) -> float:
    """√(numbers of a grid): the norm of a change by 1 everywhere, so that distances are root mean squares."""
    return math.sqrt(grids[0].numel())


def train_compressor(
    model: LearnedCompressor, data: Tensor | Dataset, *, critic: nn.Module | None = None, clip: ClipTokens | None = None,
    held_out: Tensor | None = None, epochs: int = EPOCHS, batch_size: int = BATCH, lr: float = LR, seed: int = 0, run: Run | None = None,
    progress: bool = True, workers: int = 0, watch: Callable | None = None, **objective,
) -> History:
    """Train `model` in place and return the history: measures of `Objective` at each step, of `measure` after each epoch.

    data: token grids, a tensor (n, h, w, dim) or a data set whose __getitems__ gives a batch of them; with a `clip` that learns
        too, pixels in their place, and `held_out` alike.
    critic: without one the plain autoencoder is trained (wgan = 0). objective: settings of `Objective`.
    Mean and spread of the channels are taken from the first grids of the data. Raises `BadInput`: grids or settings that do not fit,
    epochs of fewer batches than a round has, and as `train` does.
    """
    settings = Objective(**(objective if critic is not None else {"ae": 1.0, **objective, "wgan": 0.0}))
    players = Players(model, critic if settings.wgan else None, clip)
    batches = math.ceil(len(data) / max(batch_size, 1))
    if settings.wgan and batches < settings.n_critic + 1:
        raise BadInput(f"an epoch has {batches} batches, too few for {settings.n_critic} steps of the critic and one of the generator; "
                       "take more data, a smaller batch_size or a smaller n_critic.")
    with torch.no_grad():
        model.fit(_tokens(players, rows(data, range(min(FITTED, len(data)))) if len(data) else data))
    best = "loss" if held_out is None else "held_out_unexplained"
    return train(players, settings, data, before_step=settings.before_step, turn=settings.turn if settings.wgan else None, epochs=epochs,
                 batch_size=batch_size, lr=lr, optimizers=partial(make_optimizers, steps=epochs * batches, n_critic=settings.n_critic),
                 scheduler=lambda optimizer: warm_up_and_decay(optimizer, optimizer.param_groups[0]["steps"]), seed=seed, run=run, progress=progress,
                 validate=partial(validation, batch=held_out, game=settings.game) if held_out is not None else None, best=best, workers=workers,
                 watch=watch, pictures=partial(cosine_maps, batch=held_out[:SHOWN]) if held_out is not None else None)


def make_optimizers(players: Players, lr: float, steps: int, n_critic: int) -> list[Optimizer]:
    """Of the generator Muon for the linear ways and Adam for all else (with a CLIP that learns), then Adam for the critic.

    Each is told how many of the `steps` are its own. A linear code learns in Adam's steps first what varies most, and what varies
    little hardly at all; Muon's steps are equal in all directions.
    """
    linear, rest = [], []
    for part in players.compressor.modules():
        matrices = [part.weight] if isinstance(part, (Whole, Spread)) else []
        linear += matrices
        rest += [p for p in part.parameters(recurse=False) if p.requires_grad and not any(p is matrix for matrix in matrices)]
    rest += [] if players.clip is None else [p for p in players.clip.parameters() if p.requires_grad]
    own = steps if players.critic is None else max(1, steps // (n_critic + 1))
    size = 0.2 * max(max(matrix.shape) for matrix in linear) ** 0.5  # of Muon's step at a rate of 1
    found = [Muon([{"params": linear, "steps": own}], TURN * lr / size), adam(rest, lr, own)]
    return found if players.critic is None else [*found, adam(list(players.critic.parameters()), lr, max(1, steps - own))]


def adam(parameters: list[nn.Parameter], lr: float, steps: int) -> Optimizer:
    return torch.optim.Adam([{"params": parameters, "steps": steps}], lr=lr, betas=BETAS, fused=True)


def rows(data: Tensor | Dataset, indices: Sequence[int]) -> Tensor:
    """These rows of the data as one batch."""
    if isinstance(data, Tensor):
        return data[list(indices)]
    return data.__getitems__(list(indices)) if hasattr(data, "__getitems__") else torch.stack([data[index] for index in indices])


def _tokens(players: Players, batch: Tensor) -> Grid:
    """The token grids of a batch of any size, on the CPU."""
    device = next(players.parameters()).device
    return torch.cat([players.tokens(part.to(device)).cpu() for part in batch.split(AT_ONCE)])


@torch.no_grad()
def validation(players: Players, batch: Tensor, game: str) -> dict[str, float]:
    """`measure` on held-out data under the names held_out_…, and what the critic says of them: held_out_wasserstein."""
    tokens, model = _tokens(players, batch), players.compressor
    found = {f"held_out_{name}": value for name, value in measure(model, tokens).items()}
    if players.critic is not None:
        values = []
        for part in tokens.to(model.scale.mean.device).split(AT_ONCE):
            real, fake = (model.scale(grid) for grid in opponents(game, model, part, model(part)))
            values.append(players.critic(real) - players.critic(fake))
        found["held_out_wasserstein"] = float(torch.cat(values).mean())
    return found


@torch.no_grad()
def measure(model: LearnedCompressor, tokens: Grid) -> dict[str, float]:
    """Of rebuilt grids: cosine and centred_cosine, means over places, and unexplained, the share of variance that is lost."""
    mean, device = model.scale.mean.cpu(), model.scale.mean.device
    rebuilt = torch.cat([model.expand(model(part.to(device))).cpu() for part in tokens.split(AT_ONCE)])
    return {"cosine": float(cosine(rebuilt, tokens).mean()), "centred_cosine": float(centred_cosine(rebuilt, tokens, mean).mean()),
            "unexplained": variance_unexplained(rebuilt, tokens, mean)}


@torch.no_grad()
def cosine_maps(players: Players, batch: Tensor) -> dict[str, Tensor]:
    """For the tracker: the cosine of rebuilt and original token at every place of some held-out grids, black 0 and white 1."""
    tokens = _tokens(players, batch).to(players.compressor.scale.mean.device)
    cosines = cosine(players.compressor.expand(players.compressor(tokens)), tokens).clamp(0, 1)
    return {"cosine_map": F.interpolate(cosines[:, None].cpu(), scale_factor=ENLARGED).expand(-1, 3, -1, -1)}


class Pixels(Dataset):
    """A data set of scenes or photos as batches of pixels, for a CLIP that learns."""

    def __init__(self, clip: ClipTokens, source: Dataset):
        self.normalized, self.source, self.endless = clip.normalized, source, getattr(source, "endless", False)

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, indices: Sequence[int]) -> Tensor:
        batch = self.source.__getitems__(list(indices))
        return self.normalized(batch["image"]) if isinstance(batch, dict) else batch.pixels


def create_data(clip: ClipTokens, imagenet_root: str | None = None, use_subset: bool = False, subset_size: int = 1000, samples: int = 3200,
                held_out: int = 200, seed: int = 0) -> tuple[Dataset, Tensor]:
    """(training data, held-out batch): tokens of `clip`, or pixels if it is not frozen.

    imagenet_root: a folder of pictures as `create_photos` takes it; None for captioned scenes, `samples` new ones in every epoch, or
    with use_subset always the same `subset_size`. Of a fixed set, a CLIP that is frozen encodes every picture once, if the tokens fit
    into half of the memory that is left.
    """
    if min(samples, subset_size, held_out) < 1:
        raise BadInput(f"data.samples, data.subset_size and data.held_out must be at least 1, not {samples}, {subset_size} and {held_out}.")
    if imagenet_root is None:
        source = CaptionedScenes(clip.resolution, samples=subset_size if use_subset else samples, seed=seed)
        fresh = CaptionedScenes(clip.resolution, samples=held_out, seed=HELD_OUT)
    else:
        source, fresh = create_photos(imagenet_root, on_cpu(clip.processor), use_subset, subset_size, seed)
    endless = imagenet_root is None and not use_subset
    fits = not endless and 2 * KeptTokens.wanted(clip, source) <= free_memory(torch.device("cpu"))
    live = LiveTokens if clip.freeze else Pixels
    data, rest = (KeptTokens if fits and clip.freeze else live)(clip, source), live(clip, fresh)
    data.endless = endless
    many = min(held_out, len(rest))
    parts = [rest.__getitems__(range(first, min(first + AT_ONCE, many))).cpu() for first in range(0, many, AT_ONCE)]
    if not sum(map(len, parts)):
        raise BadInput(f"none of the held-out pictures of {imagenet_root} can be read; look at the first by hand.")
    return data, torch.cat([part for part in parts if len(part)])


def run(cfg: DictConfig) -> None:
    """`experiment=compress_global`: train, and write NAME.safetensors and its card into cfg.out, NAME = cfg.name."""
    for key, value in (FAST if cfg.fast else {}).items():
        OmegaConf.update(cfg, key, value)
    size, hidden = cfg.model.compressor.output_grid_size, cfg.model.compressor.hidden
    output_grid = [size, size] if isinstance(size, int) else list(size)
    if len(output_grid) != 2 or not (hidden is None or type(hidden) is int):
        raise BadInput(f"model.compressor.output_grid_size must be a number or [height, width] and hidden a whole number, not {size} and {hidden}.")
    if cfg.model.critic not in CRITICS:
        raise BadInput(f"model.critic must be one of {', '.join(CRITICS)}, not {cfg.model.critic!r}.")
    clip = ClipTokens.load(cfg.model.clip.model_name, cfg.model.clip.layer, cfg.model.clip.freeze).to(device())
    torch.manual_seed(cfg.seed)
    model = LearnedCompressor(clip.dim, clip.grid, output_grid, cfg.model.compressor.num_layers, cfg.model.compressor.use_residual, hidden,
                              cfg.model.autoencoder.use_attention, cfg.model.autoencoder.num_layers)
    critic = CRITICS[cfg.model.critic](clip.dim) if cfg.loss.weights.wgan else None
    data, held_out = create_data(clip, seed=cfg.seed, **cfg.data)
    history = train_compressor(
        model, data, critic=critic, clip=None if clip.freeze else clip, held_out=held_out, epochs=cfg.training.epochs,
        batch_size=cfg.training.batch_size, lr=cfg.training.learning_rate, seed=cfg.seed, run=Run.from_config(cfg, cfg.name),
        progress=cfg.progress, workers=cfg.workers, n_critic=cfg.training.n_critic, lambda_gp=cfg.loss.wgan.lambda_gp, game=cfg.loss.wgan.game,
        reconstruction=cfg.loss.reconstruction, **cfg.loss.weights)
    if is_main_process():
        round_to_half(model)
        players = Players(model, clip=None if clip.freeze else clip)
        card = {"experiment": "compress_global", "config": settings_of(cfg), "seed": cfg.seed, "seconds": history.seconds,
                "metrics": measure(model, _tokens(players, held_out)), "clip": clip_record(clip),
                "epochs": {name: [round(value, 5) for value in values] for name, values in history.epochs.items()}}
        save_weights(model, Path(cfg.out) / cfg.name, card=card)


def device() -> torch.device:
    """Where this process trains: its accelerator, if there is one."""
    if not torch.accelerator.is_available():
        return torch.device("cpu")
    return torch.device(torch.accelerator.current_accelerator().type, int(os.environ.get("LOCAL_RANK", 0)))
