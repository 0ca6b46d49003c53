"""What all compressors of Part IV have in common: a grid of tokens in, a few tokens out, and back to the grid."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput

Grid = Float[Tensor, "batch height width dim"]  # the tokens of pictures, each at its place


class Compressed(NamedTuple):
    """What passes the bottleneck."""

    tokens: Float[Tensor, "batch n dim"]
    owner: Int64[Tensor, "batch height width"]  # which of the n tokens stands for a place of the full grid
    bits: float  # side information for one picture: what must be told beside the tokens to put them back


class Compressor(nn.Module):
    """Called with a `Grid` (or, where `takes` is "pixels", with pictures), it returns `Compressed`; `expand` gives a full grid back."""

    takes = "tokens"

    def forward(self, tokens: Grid) -> Compressed:
        raise NotImplementedError

    def expand(self, compressed: Compressed) -> Grid:
        """Every place gets the token that stands for it."""
        tokens, owner = compressed.tokens, compressed.owner
        return tokens[torch.arange(len(tokens), device=tokens.device)[:, None, None], owner]


class ConvCompressor(Compressor):
    """The grid made smaller stage by stage: a convolution with a stride, beside it a pooled skip path.

        x ← skip(pool(x)) + W gelu(conv(x))        at each of `num_layers` stages; pool: the mean
        token = whole(tokens) + W' x                whole: one matrix for all values of a field, see `Whole`

    `whole` starts as the mean of the field and W' at zero, so an untrained compressor with residuals is average pooling to the last bit:
    whatever the training finds is what averaging had lost. With `whole` alone every linear code of fields is possible, the best of
    them too (`baselines.PCAField`). Without use_residual only the other convolutions are left, x ← W gelu(conv(x)), and
    token = W' x. The pooled skip path is that of He, T. et al. 2019 (fig. 2c, ResNet-D).

    A stage of factor f has a kernel of f + 2 and a stride of f: it sees one place more than its field on every side, so the
    receptive fields of neighbouring tokens overlap, and the more so the more stages there are. The factor (per axis) is
    shared out among the stages: 24 → 6 in three stages is 2 · 2 · 1, 24 → 8 is 3 · 1 · 1; a stage of 1 · 1 only looks around.

    hidden: channels inside, by default `dim`. Tokens come and go in CLIP's own scale; inside they are standardised, see `Standard`.
    owner: the field of output_grid that a place lies in. No side information: places follow from the grids.
    Raises `BadInput`: a grid that output_grid does not divide, no layers, tokens of another grid or width.
    """

    def __init__(self, dim: int, grid: Sequence[int] = (24, 24), output_grid: Sequence[int] = (6, 6), num_layers: int = 3,
                 use_residual: bool = True, hidden: int | None = None):
        super().__init__()
        owner = owners(grid, output_grid)
        if min(dim, num_layers, dim if hidden is None else hidden) < 1:
            raise BadInput(f"dim, num_layers and hidden must be at least 1, not {dim}, {num_layers} and {hidden}.")
        self.dim, self.grid, self.output_grid = dim, tuple(grid), tuple(output_grid)
        self.field = field_size(grid, output_grid)
        self.use_residual, width = use_residual, hidden or dim
        widths = [dim, *[width] * num_layers]
        self.scale = Standard(dim)
        self.stages = nn.ModuleList(
            Stage(into, out, factor, use_residual) for into, out, factor in zip(widths, widths[1:], factors(self.field, num_layers)))
        self.out = nn.Conv2d(width, dim, 1)
        self.whole = Whole(dim, self.field) if use_residual else None
        if use_residual:
            nn.init.zeros_(self.out.weight), nn.init.zeros_(self.out.bias)
        self.register_buffer("owner", owner, persistent=False)

    def forward(self, tokens: Grid) -> Compressed:
        if tokens.shape[1:] != (*self.grid, self.dim):
            raise BadInput(f"this compressor takes grids of {self.grid[0]} × {self.grid[1]} tokens of {self.dim} numbers, "
                           f"not of shape {list(tokens.shape[1:])}.")
        units = self.scale(tokens)
        x = rearrange(units, "b h w d -> b d h w")  # a view: channels last in memory, as convolutions like it
        for stage in self.stages:
            x = stage(x)  # (b, hidden, h / f, w / f)
        x = rearrange(self.out(x), "b d h w -> b (h w) d")
        if self.use_residual:
            x = self.whole(units) + x
        return Compressed(self.scale.back(x), self.owner.expand(len(tokens), -1, -1), 0.0)


class Stage(nn.Module):
    """y = skip(pool(x)) + W gelu(conv(x)), `factor` times smaller; skip is a 1 × 1 convolution where the widths differ."""

    def __init__(self, into: int, out: int, factor: tuple[int, int], use_residual: bool):
        super().__init__()
        self.factor = factor
        self.look = nn.Conv2d(into, out, (factor[0] + 2, factor[1] + 2), factor, padding=1)
        self.mix = nn.Conv2d(out, out, 1)
        self.skip = (nn.Identity() if into == out else nn.Conv2d(into, out, 1)) if use_residual else None

    def forward(self, x: Float[Tensor, "batch into h w"]) -> Float[Tensor, "batch out h2 w2"]:
        y = self.mix(F.gelu(self.look(x)))
        return y if self.skip is None else self.skip(F.avg_pool2d(x, self.factor)) + y


class Whole(nn.Module):
    """token = W x / √n, x: the n · dim values of a field of n places. Every linear code of a field with dim numbers is such a W.

    It is the convolution whose kernel and stride are the field. W (dim, n · dim) starts with 1/√n where channel meets channel: the
    mean of the field. Its rows are then orthonormal, as those of the best W are; so are those of its mirror `decoder.Spread`, and
    one learning rate suits both.
    """

    def __init__(self, dim: int, field: Sequence[int]):
        super().__init__()
        self.field = tuple(field)
        self.weight = repeated(dim, field)

    def forward(self, tokens: Grid) -> Float[Tensor, "batch n dim"]:
        x = rearrange(tokens, "b (oh fh) (ow fw) d -> b (oh ow) (fh fw d)", fh=self.field[0], fw=self.field[1])
        return x @ self.weight.mT / math.prod(self.field) ** 0.5


def repeated(dim: int, field: Sequence[int]) -> nn.Parameter:
    """(dim, n · dim): the identity side by side for all n places of a field, with rows of length 1."""
    return nn.Parameter(torch.eye(dim).repeat(1, math.prod(field)) / math.prod(field) ** 0.5)


class Standard(nn.Module):
    """(x − mean) / std for each channel, with the statistics of the training tokens: part of the model, and of its weights.

    A few channels of CLIP's tokens are many times larger than all others; unscaled, a loss or a critic would see only them.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    @torch.no_grad()
    def fit(self, tokens: Float[Tensor, "*lead dim"]) -> None:
        """Take the statistics of these tokens. A channel that never changes keeps its size: dividing by its spread means nothing."""
        flat = tokens.reshape(-1, tokens.shape[-1]).double()
        std = flat.std(0, correction=0)
        self.mean.copy_(flat.mean(0))
        self.std.copy_(torch.where(std > 1e-6 * (1 + self.mean.abs()), std, 1.0))

    def forward(self, tokens: Float[Tensor, "*lead dim"]) -> Float[Tensor, "*lead dim"]:
        return (tokens - self.mean) / self.std

    def back(self, units: Float[Tensor, "*lead dim"]) -> Float[Tensor, "*lead dim"]:
        """CLIP's own scale again."""
        return units * self.std + self.mean


def owners(grid: Sequence[int], output_grid: Sequence[int]) -> Int64[Tensor, "height width"]:
    """The number of the field, row by row, in which each place lies when `grid` is divided into `output_grid` equal fields.

    Raises `BadInput` for a grid that cannot be divided so.
    """
    if min(*grid, *output_grid) < 1 or grid[0] % output_grid[0] or grid[1] % output_grid[1]:
        raise BadInput(f"a grid of {grid[0]} × {grid[1]} tokens cannot be divided into {output_grid[0]} × {output_grid[1]} equal fields; "
                       "choose divisors of its height and its width.")
    row, column = (torch.arange(n) // (n // few) for n, few in zip(grid, output_grid))
    return row[:, None] * output_grid[1] + column


def field_size(grid: Sequence[int], output_grid: Sequence[int]) -> tuple[int, int]:
    """(rows, columns) of places in a field; raises `BadInput` for grids that do not nest."""
    owners(grid, output_grid)
    return grid[0] // output_grid[0], grid[1] // output_grid[1]


def by_field(passed: Float[Tensor, "batch n dim"], tokens: Grid, output_grid: Sequence[int]) -> Compressed:
    """One token for each field of output_grid, row by row. Places follow from the grids: no side information."""
    owner = owners(tokens.shape[1:3], output_grid).to(tokens.device)
    return Compressed(passed, owner.expand(len(tokens), -1, -1), 0.0)


def factors(field: Sequence[int], stages: int) -> list[tuple[int, int]]:
    """What each stage divides height and width by: the prime factors of `field`, largest first, each to a stage that has least yet."""
    shares = [[1] * stages, [1] * stages]
    for share, whole in zip(shares, field):
        for prime in _primes(whole):
            share[share.index(min(share))] *= prime
    return list(zip(*shares))


def _primes(number: int) -> list[int]:
    """The prime factors of a number, largest first."""
    found, prime = [], 2
    while number > 1:
        while number % prime == 0:
            found.append(prime)
            number //= prime
        prime += 1
    return found[::-1]
