"""A paired critic alone against compressors that do not learn: what it sees, and so what can fool it. Field by field what `games` is for whole grids."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import sizes
from course_lib.tokens.compressor import Compressed, Compressor, Grid, Standard, by_field
from course_lib.tokens.critic_rf import RFCritic, RFPair, compute_rf_gradient_penalty, rf_opponents
from course_lib.tokens.fields import sample_rf_tokens
from course_lib.tokens.games import Verdict, fit_critic
from course_lib.tokens.losses import between, critic_loss, slope
from course_lib.tokens.recipe import LAMBDA

Penalty = Callable[..., Float[Tensor, ""]]


class OtherField(Compressor):
    """token = a real token of another field of the same picture, each field's used once: every one is real, and none is where it belongs.

    Draws from torch's global generator, at every call anew. Raises `BadInput` for a single field, which has no other.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6)):
        super().__init__()
        self.output_grid = sizes(output_grid)
        if math.prod(self.output_grid) == 1:
            raise BadInput("a picture of one field has no other field to take a token from; choose a larger output_grid.")

    def forward(self, tokens: Grid) -> Compressed:
        n = math.prod(self.output_grid)
        step = int(torch.randint(1, n, ()))
        return by_field(sample_rf_tokens(tokens, self.output_grid).roll(step, 1), tokens, self.output_grid)


class OtherPicture(Compressor):
    """token = a real token of the same field of the next picture of the batch: right in its kind and place, and it says nothing of this picture.

    Raises `BadInput` for a batch of one picture.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6)):
        super().__init__()
        self.output_grid = sizes(output_grid)

    def forward(self, tokens: Grid) -> Compressed:
        if len(tokens) < 2:
            raise BadInput("a batch of one picture has no other picture to take tokens from; give at least two.")
        return by_field(sample_rf_tokens(tokens, self.output_grid).roll(1, 0), tokens, self.output_grid)


def pair_of(compressor: Compressor, scale: Standard, tokens: Grid, sees: str = "token") -> RFPair:
    """What the critic is shown of these grids, standardised. The compressor is not trained; real tokens are drawn anew at every call."""
    with torch.no_grad():
        return rf_opponents(scale(tokens), scale(compressor(tokens).tokens), compressor.output_grid, sees)


def train_rf_critic(critic: RFCritic, compressor: Compressor, scale: Standard, tokens: Grid, *, epochs: int = 10, batch_size: int = 16,
                    lr: float = 1e-3, lambda_gp: float = LAMBDA, seed: int = 0, penalty: Penalty = compute_rf_gradient_penalty) -> RFCritic:
    """Train the critic in place against a compressor that stays as it is, and return it. Distances are root mean squares of a number."""
    unit = math.sqrt(tokens.shape[-1])

    def objective(player: RFCritic, batch: Grid) -> dict[str, Tensor]:
        pair = pair_of(compressor, scale, batch, player.sees)
        judge = partial(player, seen=pair.seen)
        return {"loss": critic_loss(judge(pair.real).flatten(), judge(pair.fake).flatten()) + lambda_gp * penalty(player, *pair, unit)}

    return fit_critic(critic, objective, tokens, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed)


def judge_rf(critic: nn.Module, compressor: Compressor, scale: Standard, tokens: Grid) -> Verdict:
    """What a paired critic makes of held-out pictures; told_apart compares the tokens of one field, real and compressed.

    critic: an `RFCritic`, or any module that has its `sees`. floor: between two draws of real tokens, one of every field each; a
    difference that is chance.
    """
    critic.eval()
    pair, again = (pair_of(compressor, scale, tokens, critic.sees) for _ in range(2))
    with torch.no_grad():
        real, fake, other = critic(pair.real, pair.seen), critic(pair.fake, pair.seen), critic(again.real, again.seen)
    won = (real > fake).float() + 0.5 * (real == fake).float()
    return Verdict(float((real - fake).mean()), float((real - other).mean().abs()), float(won.mean()), float(slopes_rf(critic, pair).mean()))


def slopes_rf(critic: nn.Module, pair: RFPair) -> Float[Tensor, "batch n"]:
    """The length of the critic's gradient at a point between each real and fake token, times √dim: what the penalty should see."""
    batch, _, dim = pair.real.shape
    x = between(pair.real.flatten(0, 1), pair.fake.flatten(0, 1)).unflatten(0, (batch, -1)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x, pair.seen).sum(), x)
    return math.sqrt(dim) * slope(gradient.flatten(0, 1)).unflatten(0, (batch, -1))


def penalty_of_pictures(critic: nn.Module, real: Tensor, fake: Tensor, seen: Tensor | None = None, unit: float = 1.0) -> Float[Tensor, ""]:
    """Bug: one norm over all n tokens of a picture, (unit · ‖∇c‖ − 1)². A critic of slope s everywhere has ‖∇c‖ = s √n there, so s becomes 1 / √n.

    A new α for every token, as in the right one: only the norm differs.
    """
    x = between(real.detach().flatten(0, 1), fake.detach().flatten(0, 1)).view_as(real).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x, None if seen is None else seen.detach()).sum(), x, create_graph=True)
    return (unit * slope(gradient) - 1).square().mean()
