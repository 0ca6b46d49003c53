"""A critic alone on tokens: how well it tells real grids from compressed ones that do not learn. So a game is judged before anybody plays it.

    sides(tokens) → (real, fake), standardised grids of the same size;   critic: grid → one number
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.core.errors import BadInput
from course_lib.core.threads import one_thread
from course_lib.core.training import Objective, train
from course_lib.tokens.baselines import sizes
from course_lib.tokens.compressor import Compressed, Compressor, Grid, Standard, by_field
from course_lib.tokens.critic import Shown, opponents
from course_lib.tokens.fields import sample_rf_tokens
from course_lib.tokens.losses import between, critic_loss, gradient_penalty, slope
from course_lib.tokens.recipe import BETAS, LAMBDA, unit_of

Sides = Callable[[Grid], tuple[Shown, Shown]]


class FieldPick(Compressor):
    """token = one token of its field, drawn at random, at every call anew: every one is real, and stands near its place.

    Draws from torch's global generator. Side information: none, for the receiver puts it at all places of the field.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6)):
        super().__init__()
        self.output_grid = sizes(output_grid)

    def forward(self, tokens: Grid) -> Compressed:
        return by_field(sample_rf_tokens(tokens, self.output_grid), tokens, self.output_grid)


class Verdict(NamedTuple):
    """Of a critic on grids that it has not learned from."""

    wasserstein: float  # E[c(real)] − E[c(fake)], as units of `gradient_penalty` count
    floor: float  # |E[c(real)] − E[c(other real)]|: a difference that is chance
    told_apart: float  # how often a real grid has a higher value than a compressed one: 0.5 by guessing, 1 always
    slope: float  # mean length of the critic's gradient between real and fake; the penalty asks for 1


def sides(game: str, compressor: Compressor, scale: Standard) -> Sides:
    """The two sides of a `critic.opponents` game, standardised. The compressor is not trained."""
    return partial(_sides, game, compressor, scale)


@torch.no_grad()
def _sides(game: str, compressor: Compressor, scale: Standard, tokens: Grid) -> tuple[Shown, Shown]:
    real, fake = opponents(game, compressor, tokens, compressor(tokens))
    return scale(real), scale(fake)


def train_critic(critic: nn.Module, shown: Sides, tokens: Grid, *, epochs: int = 3, batch_size: int = 16, lr: float = 1e-3,
                 lambda_gp: float = LAMBDA, seed: int = 0, **penalty) -> nn.Module:
    """Train the critic in place against sides that stay as they are, and return it. penalty: as in `gradient_penalty`."""

    def objective(player: nn.Module, batch: Grid) -> dict[str, Tensor]:
        real, fake = shown(batch)
        steep = gradient_penalty(player, real, fake, unit_of(real), **penalty)
        return {"loss": critic_loss(player(real), player(fake)) + lambda_gp * steep}

    return fit_critic(critic, objective, tokens, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed)


def fit_critic(critic: nn.Module, objective: Objective, tokens: Grid, **options: float) -> nn.Module:
    """Train a critic that plays alone, in place, on the CPU, and return it. options: epochs, batch_size, lr and seed of `train`."""
    with one_thread():
        train(critic, objective, tokens, cpu=True, progress=False, **options,
              optimizers=lambda player, rate: [torch.optim.Adam(player.parameters(), lr=rate, betas=BETAS, fused=True)])
    return critic


def judge(critic: nn.Module, shown: Sides, tokens: Grid) -> Verdict:
    """What a critic makes of held-out tokens: the first half compressed and not, the other half for the floor."""
    if len(tokens) < 2:
        raise BadInput(f"to judge a critic takes at least 2 pictures, not {len(tokens)}.")
    some, others = tokens.split([len(tokens) // 2, len(tokens) - len(tokens) // 2])
    (real, fake), (again, _) = shown(some), shown(others)
    with torch.no_grad():
        a, b, c = critic(real), critic(fake), critic(again)
    return Verdict(float(a.mean() - b.mean()), float((a.mean() - c.mean()).abs()), float((a[:, None] > b).float().mean()),
                   float(slopes(critic, real, fake).mean()))


def slopes(critic: nn.Module, real: Shown, fake: Shown) -> Float[Tensor, "batch"]:
    """The length of the critic's gradient at a point between each real and fake grid, in the unit of `unit_of`: what the penalty should see."""
    x = between(real, fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x)
    return unit_of(real) * slope(gradient)


def distinct(grid: Shown) -> Float[Tensor, "batch"]:
    """The share of tokens that differ from their right neighbour in any number. A critic with this idea alone wins "put_back"."""
    return (grid[:, :, 1:] != grid[:, :, :-1]).any(3).float().mean((1, 2))
