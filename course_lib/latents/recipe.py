"""How each model of Part I is trained: plain functions for notebooks, and `run` for the command line."""

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from jaxtyping import Float
from matplotlib.figure import Figure
from omegaconf import DictConfig
from torch import Tensor, nn

from course_lib.core.errors import BadInput
from course_lib.core.launch import is_main_process
from course_lib.core.paths import atomic
from course_lib.core.run import settings_of
from course_lib.core.threads import one_thread
from course_lib.core.training import History, Run, train
from course_lib.core.weights import save_weights
from course_lib.latents.coupling import Z
from course_lib.latents.family import train_family
from course_lib.latents.figures import autoencoder_figure, decoder_figure
from course_lib.latents.losses import beta_vae_loss, check_beta, squared_error
from course_lib.latents.metrics import even_data, even_normal, generation_error, rate_and_distortion, wasserstein1
from course_lib.latents.mixture import Mixture, check_data
from course_lib.latents.models import HIDDEN, VAE, Autoencoder, Decoder

Pairing = Callable[[Tensor, Tensor], Tensor]
EPOCHS, BATCH, LR = 2000, 64, 1e-3  # as in Gen_Study, the study Part I grew from


def random_pairing(z: Float[Tensor, "batch latent"], x: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch latent"]:
    """Leave z as drawn: which z meets which x is pure chance."""
    return z


def rank_pairing(z: Float[Tensor, "batch 1"], x: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
    """Reorder z so that its smallest value meets the smallest x, and so on: optimal transport on a line.

    Among all pairings this one has the least Σ |zᵢ − xᵢ|² (Peyré & Cuturi 2019, remark 2.28).
    """
    rank = x.squeeze(1).argsort().argsort()
    return z.sort(dim=0).values[rank]


PAIRINGS = {"random": random_pairing, "rank": rank_pairing}


def decoder_objective(model: Decoder, x: Tensor, pairing: Pairing = random_pairing) -> dict[str, Tensor]:
    """Mean (g(z) − x)² with z ~ N(0, 1) drawn anew at every step: a fixed pairing would be memorised."""
    z = torch.randn(len(x), model.card_arguments["latent"], device=x.device)
    return {"loss": squared_error(model.decode(pairing(z, x)), x)}


def autoencoder_objective(model: Autoencoder, x: Tensor) -> dict[str, Tensor]:
    """Mean (g(f(x)) − x)²."""
    return {"loss": squared_error(model(x), x)}


def vae_objective(model: VAE, x: Tensor, beta: float = 1.0) -> dict[str, Tensor]:
    """Mean (x̂ − x)² + β·KL with one sampled z per x."""
    noise = torch.randn(len(x), model.card_arguments["latent"], device=x.device)
    x_hat, mu, log_var = model(x, noise)
    return beta_vae_loss(x_hat, x, mu, log_var, beta)


def train_decoder(x: Float[Tensor, "n 1"], pairing: Pairing = random_pairing, **options) -> tuple[Decoder, History]:
    """Train g on pairs (z, x) chosen by `pairing`; `options`: see `_fit`."""
    return _fit(Decoder, x, partial(decoder_objective, pairing=pairing), **options)


def train_autoencoder(x: Float[Tensor, "n 1"], **options) -> tuple[Autoencoder, History]:
    """Train f and g to give x back; `options`: see `_fit`."""
    return _fit(Autoencoder, x, autoencoder_objective, **options)


def train_vae(x: Float[Tensor, "n 1"], beta: float = 1.0, **options) -> tuple[VAE, History]:
    """Train one β-VAE; `options`: see `_fit`. For many β's at once there is `family.train_family`."""
    return _fit(VAE, x, partial(vae_objective, beta=check_beta(beta)), **options)


@one_thread()
def _fit(cls: type[nn.Module], x: Tensor, objective: Callable, *, start: nn.Module | None = None, hidden: Sequence[int] = HIDDEN,
         latent: int = 1, lr: float = LR, epochs: int = EPOCHS, batch_size: int = BATCH, seed: int = 0,
         **options) -> tuple[nn.Module, History]:
    """Build `cls` from `seed`, or copy `start`, and train it with Adam.

    `options` (watch, run, progress …) go to `core.training.train`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = copy.deepcopy(start) if start else cls(hidden, latent)
    history = train(model, objective, check_data(x), lr=lr, epochs=epochs, batch_size=batch_size, seed=seed, cpu=True, **options)
    return model, history


class Film:
    """Give it to `train(watch=…)`: keeps what the model makes of z while it trains, for the epoch slider.

    A frame at every early epoch, then at ever fewer, and at the last, number `epochs`. After training `taken` lists
    the epochs, and `outputs` is (frames, n, 1).
    """

    def __init__(self, z: Float[Tensor, "n latent"], epochs: int):
        self.z, self.taken, self._frames = z, [], []
        self.epochs = {*range(11), *(round(10 * 1.2**k) for k in range(60)), epochs}

    def __call__(self, epoch: int, model: nn.Module) -> None:
        if epoch in self.epochs:
            self.taken.append(epoch)
            self._frames.append(model.decode(self.z).detach().cpu())

    @property
    def outputs(self) -> Float[Tensor, "frames n 1"]:
        """What was made of z, frame by frame."""
        return torch.stack(self._frames)


def run(cfg: DictConfig) -> None:
    """`experiment=latents / decoder / autoencoder / vae`: train, save weights with cards, draw; files in cfg.out.

    For each model: STEM_model.safetensors, STEM_model.json, STEM_visualization.png, with STEM one of nid_decoder,
    autoencoder, vae_beta1.0 (the β as Python writes it).
    """
    if cfg.model.latent != 1:
        raise BadInput(f"model.latent must be 1, not {cfg.model.latent}: the pictures and measures of Part I are those of a line.")
    mixture = Mixture()
    x = mixture.sample(cfg.data.samples, cfg.seed)
    betas = cfg.betas if "betas" in cfg else [cfg.model.get("beta", 1.0)]
    pairing = PAIRINGS.get(cfg.get("pairing", "random"))
    if pairing is None:
        raise BadInput(f"pairing={cfg.pairing} is not known; there are {', '.join(PAIRINGS)}.")
    stem = "nid_decoder" if pairing is random_pairing else "rank_decoder"
    jobs = {"decoder": [(stem, partial(train_decoder, pairing=pairing))], "autoencoder": [("autoencoder", train_autoencoder)],
            "vae": [(f"vae_beta{check_beta(beta)}", partial(train_vae, beta=beta)) for beta in betas]}
    if unknown := [name for name in cfg.models if name not in jobs]:
        raise BadInput(f"models={unknown[0]} is not a model of Part I; there are {', '.join(jobs)}.")
    if empty := [key for key in ("models", "betas") if key in cfg and not cfg[key]]:
        raise BadInput(f"{empty[0]}=[] leaves nothing to train; name at least one.")
    for stem, fit in [job for name in cfg.models for job in jobs[name]]:
        model, history = fit(x, hidden=list(cfg.model.hidden), lr=cfg.lr, epochs=cfg.epochs, batch_size=cfg.batch_size,
                             seed=cfg.seed, progress=cfg.progress, run=Run.from_config(cfg, stem))
        if is_main_process():
            card = {"experiment": HydraConfig.get().runtime.choices.experiment, "config": settings_of(cfg), "seed": cfg.seed,
                    "seconds": history.seconds, "metrics": measure(model, mixture)}
            save_weights(model, Path(cfg.out) / f"{stem}_model", card=card)
            with atomic(Path(cfg.out) / f"{stem}_visualization.png") as picture:
                visualize(model, x, mixture, pairing).savefig(picture)


def run_family(cfg: DictConfig) -> None:
    """`experiment=latents_family`: all β's of the explorer at once; writes latents_family.safetensors and its card."""
    Run.from_config(cfg, "latents_family")  # refuses a wrong tracker or checkpoint_every, as everywhere
    if cfg.resume != "never":
        raise BadInput(f"resume={cfg.resume}: the family trains in seconds and keeps no checkpoints; leave resume=never.")
    mixture = Mixture()
    started = time.perf_counter()
    family, _ = train_family(mixture.sample(cfg.data.samples, cfg.seed), cfg.betas, [cfg.seed], steps=cfg.steps, lr=cfg.lr,
                             batch_size=cfg.batch_size, hidden=list(cfg.model.hidden), progress=cfg.progress)
    seconds = time.perf_counter() - started
    rate, distortion = rate_and_distortion(family, mixture)
    metrics = {"rate_nats": rate.tolist(), "distortion": distortion.tolist(),
               "generation_w1": generation_error(family, mixture).tolist()}
    card = {"experiment": HydraConfig.get().runtime.choices.experiment, "config": settings_of(cfg), "seed": cfg.seed, "seconds": seconds}
    save_weights(family, Path(cfg.out) / "latents_family", card=card | {"metrics": metrics})


@torch.no_grad()
def measure(model: nn.Module, mixture: Mixture) -> dict[str, float]:
    """The measures of one model against the true density; see `metrics` for formulas and units."""
    fresh, noise = even_data(mixture, 2000), even_normal(2000)
    measured = {"generation_w1": float(generation_error(model, mixture))}
    if isinstance(model, VAE):
        rate, distortion = rate_and_distortion(model, mixture)
        return measured | {"rate_nats": float(rate), "distortion": float(distortion)}
    if isinstance(model, Autoencoder):
        return measured | {"distortion": float(squared_error(model(fresh), fresh)),
                           "latent_w1": wasserstein1(model.encode(fresh), noise)}
    output = model.decode(noise)
    return measured | {"output_mean": float(output.mean()), "output_std": float(output.std())}


@torch.no_grad()
def visualize(model: nn.Module, x: Float[Tensor, "n 1"], mixture: Mixture, pairing: Pairing = random_pairing) -> Figure:
    """The coupling pictures of one trained model: of its training data x (as `pairing` paired it), and of z from the prior."""
    z = even_normal(800)
    generator = torch.Generator().manual_seed(0)
    if isinstance(model, Decoder):
        how = "at random" if pairing is random_pairing else "by rank"
        paired_z = pairing(torch.randn(x.shape, generator=generator), x)
        return decoder_figure(paired_z, x, z, model.decode(z), mixture, how)
    if isinstance(model, VAE):
        z_hat = model.reparameterize(*model.encode(x), torch.randn(x.shape, generator=generator))
        latent = Z
    else:
        z_hat = model.encode(x)
        reach = float(z_hat.abs().max()) * 1.1
        latent = (-reach, reach)
    return autoencoder_figure(x, z_hat, model.decode(z_hat), z, model.decode(z), mixture, latent)
