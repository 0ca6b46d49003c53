"""How a learned compressor is trained, with a critic or without: a plain function for notebooks, and `run` for the command line."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.data import Dataset

from course_lib.core.errors import BadInput
from course_lib.core.launch import is_main_process
from course_lib.core.muon import Muon
from course_lib.core.run import settings_of
from course_lib.core.schedules import warm_up_and_decay
from course_lib.core.training import History, Run, train
from course_lib.core.weights import round_to_half, save_weights
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.compressor import Grid, Whole
from course_lib.tokens.critic import CRITICS, GAMES, opponents
from course_lib.tokens.decoder import LearnedCompressor, Spread
from course_lib.tokens.loaders import AT_ONCE, create_data
from course_lib.tokens.losses import RECONSTRUCTIONS, critic_loss, generator_loss, gradient_penalty
from course_lib.tokens.metrics import centred_cosine, cosine, variance_unexplained
from course_lib.tokens.provenance import clip_record

EPOCHS, BATCH, LR, N_CRITIC, LAMBDA = 100, 32, 1e-4, 5, 10.0  # as in the study that Part IV grew from
TURN = 100.0  # times the learning rate: radians by which a step turns the linear ways, in every direction and whatever their size
BETAS = (0.5, 0.9)  # Gulrajani et al. 2017, sec. 5.1; of the autoencoder without a critic too, so that only the critic differs
FITTED = 256  # grids whose mean and spread the model takes
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
class Turns:
    """n_critic steps of the critic, then one of the generator, and what counts in their losses; the losses themselves a subclass gives."""

    n_critic: int = N_CRITIC
    lambda_gp: float = LAMBDA
    wgan: float = 1.0
    ae: float = 1.0
    reconstruction: str = "mse"
    critics_turn: bool = field(default=False, init=False)

    KINDS: ClassVar = tuple(RECONSTRUCTIONS)

    def __post_init__(self):
        if self.reconstruction not in self.KINDS:
            raise BadInput(f"loss.reconstruction must be one of {', '.join(self.KINDS)}, not {self.reconstruction!r}.")
        if self.n_critic < 1 or min(self.lambda_gp, self.wgan, self.ae) < 0 or not self.wgan + self.ae:
            raise BadInput("n_critic must be at least 1, lambda_gp and the weights wgan and ae at least 0 and one weight above it, "
                           f"not {self.n_critic}, {self.lambda_gp}, {self.wgan} and {self.ae}.")

    @classmethod
    def against(cls, critic: nn.Module | None, **settings) -> "Turns":
        """With these settings; without a critic the generator plays alone (wgan = 0)."""
        return cls(**(settings if critic is not None else {"ae": 1.0, **settings, "wgan": 0.0}))

    def turn(self, done: int) -> range:
        """Whose turn it is: the numbers of the optimisers, as `make_optimizers` returns them."""
        return range(2, 3) if done % (self.n_critic + 1) < self.n_critic else range(2)

    def before_step(self, done: int) -> None:
        """Note whose turn the step after so many updates is."""
        self.critics_turn = bool(self.wgan) and self.turn(done) == range(2, 3)


@dataclass
class Objective(Turns):
    """Of the generator: ae · reconstruction + wgan · −E[c(fake)]; of the critic: −W + lambda_gp · penalty (see `losses`).

    Reconstruction and critic see standardised tokens. Slopes of the critic are taken in root mean squares of a number, so
    `wasserstein` is in standard deviations, whatever the grid, and both weights at 1 pull alike.
    Measures: loss (of whose turn it is); reconstruction, cosine_similarity (mean over places, in CLIP's own scale) and
    generator_loss in the generator's turns; wasserstein (the critic's estimate of W) and gradient_penalty in the critic's.
    """

    game: str = "put_back"

    def __post_init__(self):
        super().__post_init__()
        if self.game not in GAMES:
            raise BadInput(f"loss.wgan.game must be one of {', '.join(GAMES)}, not {self.game!r}.")

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
    settings = Objective.against(critic, **objective)
    looks = {}
    if held_out is not None:
        looks = {"validate": partial(validation, batch=held_out, game=settings.game), "pictures": partial(cosine_maps, batch=held_out[:SHOWN]),
                 "best": "held_out_unexplained"}
    return play(Players(model, critic if settings.wgan else None, clip), settings, data, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed,
                run=run, progress=progress, workers=workers, watch=watch, **looks)


def play(players: Players, settings: Turns, data: Tensor | Dataset, *, epochs: int, batch_size: int, lr: float, **options) -> History:
    """`train` in turns, the model first fitted to the data. options: others of `train`. Raises `BadInput` if an epoch is too short for a round."""
    batches = math.ceil(len(data) / max(batch_size, 1))
    if settings.wgan and batches < settings.n_critic + 1:
        raise BadInput(f"an epoch has {batches} batches, too few for {settings.n_critic} steps of the critic and one of the generator; "
                       "take more data, a smaller batch_size or a smaller n_critic.")
    with torch.no_grad():
        players.compressor.fit(tokens_of(players, rows(data, range(min(FITTED, len(data)))) if len(data) else data))
    return train(players, settings, data, before_step=settings.before_step, turn=settings.turn if settings.wgan else None, epochs=epochs,
                 batch_size=batch_size, lr=lr, optimizers=partial(make_optimizers, steps=epochs * batches, n_critic=settings.n_critic),
                 scheduler=lambda optimizer: warm_up_and_decay(optimizer, optimizer.param_groups[0]["steps"]), **options)


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
    """Adam for these parameters; `steps` of its own, which its schedule counts, are kept with them."""
    return torch.optim.Adam([{"params": parameters, "steps": steps}], lr=lr, betas=BETAS, fused=True)


def rows(data: Tensor | Dataset, indices: Sequence[int]) -> Tensor:
    """These rows of the data as one batch."""
    if isinstance(data, Tensor):
        return data[list(indices)]
    return data.__getitems__(list(indices)) if hasattr(data, "__getitems__") else torch.stack([data[index] for index in indices])


def tokens_of(players: Players, batch: Tensor) -> Grid:
    """The token grids of a batch of any size, on the CPU."""
    device = next(players.parameters()).device
    return torch.cat([players.tokens(part.to(device)).cpu() for part in batch.split(AT_ONCE)])


@torch.no_grad()
def validation(players: Players, batch: Tensor, game: str) -> dict[str, float]:
    """`measure` on held-out data under the names held_out_…, and what the critic says of them: held_out_wasserstein."""
    tokens, model = tokens_of(players, batch), players.compressor
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
    tokens = tokens_of(players, batch).to(players.compressor.scale.mean.device)
    cosines = cosine(players.compressor.expand(players.compressor(tokens)), tokens).clamp(0, 1)
    return {"cosine_map": F.interpolate(cosines[:, None].cpu(), scale_factor=ENLARGED).expand(-1, 3, -1, -1)}


def run(cfg: DictConfig) -> None:
    """`experiment=compress_global`: train, and write NAME.safetensors and its card into cfg.out, NAME = cfg.name."""
    if cfg.model.critic not in CRITICS:
        raise BadInput(f"model.critic must be one of {', '.join(CRITICS)}, not {cfg.model.critic!r}.")
    clip, model = build(cfg, LearnedCompressor, cfg.model.autoencoder, device())
    critic = CRITICS[cfg.model.critic](clip.dim) if cfg.loss.weights.wgan else None
    data = create_data(clip, seed=cfg.seed, **cfg.data)
    history = train_compressor(model, data.training, critic=critic, clip=None if clip.freeze else clip, held_out=data.held_out,
                               lambda_gp=cfg.loss.wgan.lambda_gp, game=cfg.loss.wgan.game, **training(cfg))
    keep(cfg, "compress_global", model, clip, history, lambda tokens: measure(model, tokens), data.held_out)


def build(cfg: DictConfig, kind: type[LearnedCompressor], decoder: DictConfig, place: torch.device) -> tuple[ClipTokens, LearnedCompressor]:
    """The CLIP of an experiment, at its place, and an untrained compressor of its tokens. With cfg.fast the settings are made tiny first."""
    for key, value in (FAST if cfg.fast else {}).items():
        OmegaConf.update(cfg, key, value)
    said = cfg.model.compressor
    output_grid = [said.output_grid_size] * 2 if isinstance(said.output_grid_size, int) else list(said.output_grid_size)
    if len(output_grid) != 2:
        raise BadInput(f"model.compressor.output_grid_size must be a number or [height, width], not {said.output_grid_size}.")
    clip = ClipTokens.load(cfg.model.clip.model_name, cfg.model.clip.layer, cfg.model.clip.freeze).to(place)
    torch.manual_seed(cfg.seed)
    return clip, kind(clip.dim, clip.grid, output_grid, said.num_layers, said.use_residual, said.hidden, decoder.use_attention, decoder.num_layers)


def training(cfg: DictConfig) -> dict:
    """What an experiment's settings say about its training, as both functions that train take it."""
    said = cfg.training
    return {"epochs": said.epochs, "batch_size": said.batch_size, "lr": said.learning_rate, "n_critic": said.n_critic, "seed": cfg.seed,
            "run": Run.from_config(cfg, cfg.name), "progress": cfg.progress, "workers": cfg.workers, "reconstruction": cfg.loss.reconstruction,
            **cfg.loss.weights}


def keep(cfg: DictConfig, experiment: str, model: LearnedCompressor, clip: ClipTokens, history: History,
         measured: Callable[[Grid], dict[str, float]], held_out: Tensor) -> None:
    """Write the weights and their card, with what is `measured` of the weights as they are kept."""
    if is_main_process():
        round_to_half(model)
        players = Players(model, clip=None if clip.freeze else clip)
        card = {"experiment": experiment, "config": settings_of(cfg), "seed": cfg.seed, "seconds": history.seconds,
                "metrics": measured(tokens_of(players, held_out)), "clip": clip_record(clip),
                "epochs": {name: [round(value, 5) for value in values] for name, values in history.epochs.items()}}
        save_weights(model, Path(cfg.out) / cfg.name, card=card)


def device() -> torch.device:
    """Where this process trains: its accelerator, if there is one."""
    if not torch.accelerator.is_available():
        return torch.device("cpu")
    return torch.device(torch.accelerator.current_accelerator().type, int(os.environ.get("LOCAL_RANK", 0)))
