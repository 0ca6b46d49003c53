"""WGAN-GP where everything can be checked: the mixture of Part I on a line, whose Wasserstein distances are known exactly.

On a line W1 is the area between two cumulative distributions (Peyré & Cuturi 2019, remark 2.30): scipy sorts and adds. A critic
must find the same number by learning.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.stats import wasserstein_distance
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from course_lib.core.errors import BadInput
from course_lib.core.threads import one_thread
from course_lib.core.training import History, train
from course_lib.latents.mixture import Mixture, check_data
from course_lib.tokens.losses import critic_loss, generator_loss, gradient_penalty

BETAS = (0.0, 0.9)  # Gulrajani et al. 2017, algorithm 1: a critic must not go on running after fakes that have moved
LAMBDA, N_CRITIC = 10.0, 5  # the same
CRITICS_PACE = 3.0  # times lr: the critic learns faster than what it judges (Heusel et al. 2017)
Column = Float[Tensor, "batch 1"]


class Warmup(NamedTuple):
    """A trained game on a line. history.epochs: `w1`, the true distance of generator and data, and `wasserstein`, what the critic says."""

    generator: nn.Module
    critic: nn.Module
    history: History


def mlp(into: int, hidden: int = 64, layers: int = 2) -> nn.Sequential:
    """Leaky ReLUs throughout: a slope that is never 0 on a whole half of the line."""
    widths = [into, *[hidden] * layers]
    return nn.Sequential(*(part for a, b in zip(widths, widths[1:]) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))), nn.Linear(hidden, 1))


def train_wgan_1d(mixture: Mixture = Mixture(), *, samples: int = 2048, epochs: int = 120, batch_size: int = 128, lr: float = 1e-3,
                  n_critic: int = N_CRITIC, lambda_gp: float = LAMBDA, one_sided: bool = True, seed: int = 0,
                  loss: Callable[[Tensor], Tensor] = generator_loss, watch: Callable[[int, nn.Module], None] | None = None,
                  progress: bool = True, **penalty: Callable) -> Warmup:
    """Train a generator of x from z ~ N(0, 1) against a critic: `n_critic` batches for the critic, then one for the generator.

    After each epoch both distances are taken between the data's exact quantiles and the generator's outputs at even z.

    one_sided: as in `gradient_penalty`. The paper's own penalty fails on a line. For a critic c(x) = s x and fakes at a distance W the
    critic's loss is −s W + λ (|s| − 1)². It has two minima as long as W < 2λ: a critic of the wrong sign stays there, and the
    generator runs from the data until W is 2λ = 20. In many dimensions a slope can turn without passing through 0.
    loss, penalty (points, length): of the generator and of `gradient_penalty`, to see what a bug does. watch: as in `train`.
    """
    if n_critic < 1 or samples < (n_critic + 1) * batch_size:
        raise BadInput(f"n_critic must be at least 1 and samples at least (n_critic + 1) · batch_size, not {n_critic} and {samples}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        game = nn.ModuleDict({"generator": mlp(1), "critic": mlp(1)})
    data, true, z = mixture.sample(samples, seed), even(mixture.quantile), even(_normal)
    generators_turn = False

    def turn(done: int) -> int:
        return int(done % (n_critic + 1) < n_critic)  # 0: generator, 1: critic

    def before_step(done: int) -> None:
        nonlocal generators_turn
        generators_turn = turn(done) == 0

    def objective(game: nn.ModuleDict, real: Column) -> dict[str, Tensor]:
        fake = game["generator"](torch.randn_like(real))
        if generators_turn:
            return {"loss": loss(values(game["critic"], fake))}
        return _critics_loss(game["critic"], real, fake, lambda_gp, one_sided=one_sided, **penalty)

    def validate(game: nn.ModuleDict) -> dict[str, float]:
        fake = game["generator"](z)
        return {"w1": w1(true, fake), "wasserstein": float(-critic_loss(values(game["critic"], true), values(game["critic"], fake)))}

    with one_thread():
        history = train(game, objective, data, epochs=epochs, batch_size=batch_size, lr=lr, optimizers=_adams("generator", "critic"), turn=turn,
                        before_step=before_step, validate=validate, best="w1", watch=watch, seed=seed, cpu=True, progress=progress)
    return Warmup(game["generator"], game["critic"], history)


def train_critic_1d(real: Float[Tensor, "n 1"], fake: Float[Tensor, "m 1"], *, epochs: int = 200, batch_size: int = 128, lr: float = 1e-3,
                    lambda_gp: float = LAMBDA, one_sided: bool = True, seed: int = 0, progress: bool = True,
                    **penalty: Callable) -> tuple[nn.Module, float]:
    """Train a critic between two samples that stay as they are; return it and what it says: E[c(real)] − E[c(fake)], near W1.

    Near, and rather above than below: the penalty does not forbid slopes above 1, it charges for them. Where W is the distance, a
    critic of slope s gains s W and pays λ (s − 1)², so s = 1 + W / 2λ. A W of 2 at λ = 10 is over-estimated by a tenth.
    """
    real, fake = check_data(real), check_data(fake)
    if real.shape != fake.shape:
        raise BadInput(f"the two samples must be equally many, not {len(real)} and {len(fake)}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        game = nn.ModuleDict({"critic": mlp(1)})

    def objective(game: nn.ModuleDict, pairs: Float[Tensor, "batch 2"]) -> dict[str, Tensor]:
        shuffled = pairs[torch.randperm(len(pairs)), 1:]
        return _critics_loss(game["critic"], pairs[:, :1], shuffled, lambda_gp, one_sided=one_sided, **penalty)

    steps = epochs * math.ceil(len(real) / max(batch_size, 1))
    with one_thread():
        train(game, objective, torch.cat([real, fake], 1), epochs=epochs, batch_size=batch_size, lr=lr, optimizers=_adams("critic"), seed=seed,
              scheduler=lambda adam: CosineAnnealingLR(adam, steps), cpu=True, progress=progress)  # at a constant pace it swings
    with torch.no_grad():
        return game["critic"], float(-critic_loss(values(game["critic"], real), values(game["critic"], fake)))


def w1(one: Float[Tensor, "n 1"], other: Float[Tensor, "m 1"]) -> float:
    """The exact Wasserstein distance of two samples on a line."""
    return float(wasserstein_distance(one.flatten().double().numpy(), other.flatten().double().numpy()))


def values(critic: nn.Module, x: Column) -> Float[Tensor, "batch"]:
    """c(x) of each sample."""
    return critic(x).squeeze(1)


def even(quantile: Callable, n: int = 1000) -> Float[Tensor, "n 1"]:
    """The middles of n parts of equal probability: a sample without chance."""
    return torch.as_tensor(quantile(((torch.arange(n) + 0.5) / n).double().numpy()), dtype=torch.float32)[:, None]


def _normal(probability):
    return torch.special.ndtri(torch.as_tensor(probability))


def _critics_loss(critic: nn.Module, real: Column, fake: Column, lambda_gp: float, **penalty) -> dict[str, Tensor]:
    gap = critic_loss(values(critic, real), values(critic, fake))
    steep = gradient_penalty(lambda x: values(critic, x), real, fake, **penalty)
    return {"loss": gap + lambda_gp * steep, "penalty": steep}


def _adams(*players: str) -> Callable[[nn.ModuleDict, float], list[Optimizer]]:
    """An optimiser for each player, in this order."""
    paces = {"generator": 1.0, "critic": CRITICS_PACE}
    return lambda game, lr: [torch.optim.Adam(game[player].parameters(), lr=paces[player] * lr, betas=BETAS, fused=True) for player in players]
