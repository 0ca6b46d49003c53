"""The paired critic: single tokens in, one number for each; one compressed token against one token of its field, 36 against 36.

    critic:     E[c(fake)] − E[c(real)] + λ · penalty        generator:  −E[c(fake)]        (the formulas of `losses`, for each token)
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Grid
from course_lib.tokens.fields import extract_rf_targets, sample_rf_tokens
from course_lib.tokens.losses import Samples, Values, critic_loss, generator_loss, gradient_penalty

SEES = ("token", "position", "mean")
Tokens = Float[Tensor, "batch n dim"]


class RFCritic(nn.Module):
    """c(token): an MLP with leaky ReLUs on one token alone, with the same weights for all n of a picture.

    sees    what it knows beside the token, and so what the compressor must get right to win:
        token       nothing. The compressed tokens of all fields together must be distributed as tokens are. A token of another
                    field, of another picture even, is as good as one's own.
        position    the number of the field: the distribution must be right at each place. Another picture's tokens still pass.
        mean        the mean token of the field: the token must belong to what is there. It is as fair, for real tokens are seen
                    beside the same mean.
    One thing fools all three: the token at one place of the field, copied (`StridedPick`), where places of a field are much alike. It
    is a real token of its field, as the sampled one is, and fifteen others are lost. So a paired critic never measures what is
    kept of a field; only a reconstruction does.

    dropout     after every hidden layer, in training mode. With it each call is another function c_m, of another mask m (its scaled
                values are right on average): real, fake and penalty see three draws of it. The penalty then holds ‖∇c_m‖ at 1 of each,
                and ‖E ∇c_m‖ ≤ E ‖∇c_m‖: the mean critic, which eval() approximates and which the generator follows on average, is
                flatter than 1, the more so the more is dropped. So W is underestimated in training as in eval(), and never comes
                without noise. The penalty is not wrong but stricter than it says; compare W of critics with equal dropout only.
    No BatchNorm, as in `critic`. Raises `BadInput`: sizes below 1, dropout outside [0, 1), another `sees`.
    """

    def __init__(self, dim: int, output_grid: Sequence[int] = (6, 6), hidden: int = 128, num_layers: int = 2, dropout: float = 0.0,
                 sees: str = "token"):
        super().__init__()
        if min(dim, hidden, num_layers, *output_grid) < 1:
            raise BadInput(f"dim, hidden, num_layers and output_grid of a critic must be at least 1, not {dim}, {hidden}, {num_layers} and "
                           f"{output_grid[0]} × {output_grid[1]}.")
        if not 0 <= dropout < 1:
            raise BadInput(f"dropout must be at least 0 and below 1, not {dropout}.")
        self.sees, self.n = sees_of(sees), output_grid[0] * output_grid[1]
        self.read = nn.Linear(dim, hidden)
        self.beside = nn.Linear(dim, hidden, bias=False) if sees == "mean" else None
        self.place = nn.Parameter(torch.randn(self.n, hidden) / hidden**0.5) if sees == "position" else None
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(num_layers - 1))
        self.value, self.dropout = nn.Linear(hidden, 1), nn.Dropout(dropout)

    def forward(self, tokens: Tokens, seen: Tokens | None = None) -> Float[Tensor, "batch n"]:
        """seen: the mean of every field, for sees = "mean" and for that only. Raises `BadInput` if it is missing or too much."""
        if (seen is None) == (self.sees == "mean"):
            raise BadInput(f"a critic that sees the {self.sees} takes {'' if self.sees == 'mean' else 'no '}means of fields beside the tokens.")
        if self.place is not None and tokens.shape[1] != self.n:
            raise BadInput(f"this critic knows {self.n} positions, and is shown {tokens.shape[1]} tokens of a picture.")
        x = self.read(tokens)
        if self.place is not None:
            x = x + self.place
        if seen is not None:
            x = x + self.beside(seen)
        x = self.dropout(F.leaky_relu(x, 0.2))
        for layer in self.layers:
            x = self.dropout(F.leaky_relu(layer(x), 0.2))
        return self.value(x).squeeze(2)


class RFPair(NamedTuple):
    """One token of each field, real and compressed, and what the critic sees beside either."""

    real: Tokens
    fake: Tokens
    seen: Tokens | None


def rf_opponents(tokens: Grid, compressed: Tokens, output_grid: Sequence[int], sees: str = "token",
                 generator: torch.Generator | None = None) -> RFPair:
    """What the critic is shown: a random token of every field against the compressed one, and the mean of the field if it sees that.

    All in the units in which they are given: standardised ones, say. Raises `BadInput`: grids that do not nest, another number of
    compressed tokens than of fields; and for sees = "mean" fields of one token, which would be compared with itself.
    """
    n, many = output_grid[0] * output_grid[1], tokens.shape[1] * tokens.shape[2]
    real = sample_rf_tokens(tokens, output_grid, generator)
    if compressed.shape != real.shape:
        raise BadInput(f"{n} fields need {n} compressed tokens of {tokens.shape[3]} numbers for each of {len(tokens)} pictures, "
                       f"not of shape {list(compressed.shape)}.")
    if sees_of(sees) != "mean":
        return RFPair(real, compressed, None)
    if many == n:
        raise BadInput("a field of one token is its own mean, so a critic that sees the mean has nothing to judge; let it see the token or position.")
    return RFPair(real, compressed, extract_rf_targets(tokens, output_grid).mean(2))


def compute_rf_gradient_penalty(critic: Callable[..., Float[Tensor, "batch n"]], real: Tokens, fake: Tokens, seen: Tokens | None = None,
                                unit: float = 1.0, **bounds) -> Float[Tensor, ""]:
    """Mean over pairs of (unit · ‖∂c/∂x̂‖₂ − 1)², x̂ = α · real + (1 − α) · fake; always in float32.

    Every pair of tokens is a sample of its own: an α for each, and a norm over dim only. The norm over a picture's n tokens together
    would ask for slopes of 1/√n. What is seen beside the token is held fixed: for each field the critic has slope 1 in the token.
    unit, bounds: as in `losses.gradient_penalty`; √dim makes distances root mean squares of a number.
    """
    batch = len(real)
    beside = None if seen is None else seen.detach().float()

    def of_pairs(x: Samples) -> Values:
        return critic(x.unflatten(0, (batch, -1)), *([] if beside is None else [beside])).flatten()

    return gradient_penalty(of_pairs, real.flatten(0, 1), fake.flatten(0, 1), unit, **bounds)


class RFCriticLoss(NamedTuple):
    """loss = −wasserstein + lambda_gp · penalty; the last two detached, for trackers."""

    loss: Float[Tensor, ""]
    wasserstein: Float[Tensor, ""]
    penalty: Float[Tensor, ""]


def rf_critic_loss(critic: nn.Module, pair: RFPair, lambda_gp: float = 10.0, unit: float = 1.0) -> RFCriticLoss:
    """Of the critic, mean over fields and pictures. wasserstein: its estimate of W between single tokens (of each field, if it sees that)."""
    judge = partial(critic, seen=pair.seen)
    gap = critic_loss(judge(pair.real).flatten(), judge(pair.fake).flatten())
    penalty = compute_rf_gradient_penalty(critic, *pair, unit)
    return RFCriticLoss(gap + lambda_gp * penalty, -gap.detach(), penalty.detach())


def rf_generator_loss(critic: nn.Module, pair: RFPair) -> Float[Tensor, ""]:
    """−E[c(compressed)] for the compressor; what is seen beside its tokens is no way for it to climb."""
    return generator_loss(critic(pair.fake, None if pair.seen is None else pair.seen.detach()).flatten())


def sees_of(name: str) -> str:
    """The name, if it is one of `SEES`; raises `BadInput` for another."""
    if name not in SEES:
        raise BadInput(f"what a critic sees must be one of {', '.join(SEES)}, not {name!r}.")
    return name
