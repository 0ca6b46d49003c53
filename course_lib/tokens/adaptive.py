"""Compression adapted to the picture: fewer tokens where there is little to say, more where there is much, at an equal average number.

The grid is cut into regions, and each region takes one of several compressors that go with it, say of 4, 9, 16 and 36 places a token:

    choice of a region = argmin over compressors k of  error_k + price · tokens_k        the same price everywhere

No other choice with as few tokens in sum has a smaller error in sum (Everett 1963), and prices differ for different budgets. The price
is found on training pictures; then each picture is coded by itself, and a simple one gets by with less than the average. What was
chosen is told to the receiver, and counted.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from einops import rearrange, reduce, repeat
from jaxtyping import Float, Int64
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Compressor, Grid, Standard
from course_lib.tokens.merging import owner_bits
from course_lib.tokens.metrics import coded_bits, quantised

HALVINGS = 60  # of the interval in which the price lies

Errors = Float[Tensor, "units choices"]
Chosen = Int64[Tensor, "batch rows columns"]  # which of the compressors each region takes


class Adapted(NamedTuple):
    """Pictures coded and expanded again. side_bits: for one picture, what tells the choices; bits: for one picture, that and the tokens
    rounded to a step and entropy-coded, where a step is given."""

    rebuilt: Grid
    chosen: Chosen
    tokens: Int64[Tensor, "batch"]  # how many pass for each picture
    side_bits: float
    bits: float | None


def choices(error: Errors, cost: Float[Tensor, "choices"], price: float) -> Int64[Tensor, "units"]:
    """argmin_k error_k + price · cost_k of every unit."""
    return (error + price * cost).argmin(1)


def price_for(error: Errors, cost: Float[Tensor, "choices"], budget: float) -> float:
    """The lowest price at which the mean cost of the units is within the budget. Raises `BadInput` if even the cheapest choices are not,
    or an error is no number."""
    if not error.isfinite().all():
        raise BadInput("an error is not a finite number; a compressor that made it has diverged.")
    if budget < float(cost.min()):
        raise BadInput(f"a budget of {budget:g} is less than the cheapest choice costs, {float(cost.min()):g}.")
    low, high = 0.0, 1.0
    while float(cost[choices(error, cost, high)].mean()) > budget:
        low, high = high, 2 * high
    if float(cost[choices(error, cost, 0.0)].mean()) <= budget:
        return 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if float(cost[choices(error, cost, middle)].mean()) <= budget else (middle, high)
    return high


class Adaptive:
    """Several compressors of the same tokens, from many tokens to few, and a price; see above.

    regions: (rows, columns) that the grid is cut into. (1, 1): a compressor for each picture. Else each region is rebuilt from its own
    tokens alone, and so must the compressors do (PCA of fields, a field decoder): who looks beyond needs what was not sent.
    Raises `BadInput`: one compressor, or of different pictures; regions that fields do not fit into; a compressor that looks beyond.
    """

    def __init__(self, compressors: Sequence[Compressor], grid: Sequence[int], dim: int, regions: tuple[int, int] = (1, 1), price: float = 0.0):
        if len(compressors) < 2:
            raise BadInput(f"to choose needs at least two compressors, not {len(compressors)}.")
        for each in compressors:
            if any(n % few or out % few for n, out, few in zip(grid, each.output_grid, regions)):
                raise BadInput(f"{each.output_grid[0]} × {each.output_grid[1]} tokens for {grid[0]} × {grid[1]} places cannot be parted into "
                               f"{regions[0]} × {regions[1]} regions.")
        self.compressors, self.grid, self.regions, self.price = list(compressors), tuple(grid), regions, price
        self.scale = Standard(dim)
        many = math.prod(regions)
        self.cost = torch.tensor([math.prod(each.output_grid) / many for each in compressors])  # tokens of a region
        if not (self.cost.diff() < 0).all():
            raise BadInput("give the compressors from the one that passes most tokens to the one that passes fewest.")
        if many > 1 and (wide := [each for each in compressors if not self._stays_inside(each, dim)]):
            raise BadInput(f"{type(wide[0]).__name__} rebuilds a region with tokens of others, which may not have been sent; take compressors "
                           "that rebuild each field from its own token, or one region.")

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor], tokens: float) -> "Adaptive":
        """Find the price at which training pictures pass so many tokens on average, at most; errors are in standard units."""
        batches = list(batches)
        self.scale.fit(torch.cat([each.flatten(0, 2) for each in batches]))
        errors = torch.cat([self.errors(each, [c.expand(c(each)) for c in self.compressors]).flatten(1) for each in batches], 1)
        self.price = price_for(errors.mT, self.cost, tokens / math.prod(self.regions))
        return self

    def errors(self, tokens: Grid, rebuilt: Sequence[Grid]) -> Float[Tensor, "choices batch rows columns"]:
        """The squared error of each region by each compressor."""
        apart = torch.stack([(self.scale(each) - self.scale(tokens)).square().sum(3) for each in rebuilt])
        return reduce(apart, "k b (r h) (c w) -> k b r c", "sum", r=self.regions[0], c=self.regions[1])

    @torch.no_grad()
    def __call__(self, tokens: Grid, step: float | None = None) -> Adapted:
        """Code these pictures, each by itself, and expand them again. step: what the tokens are rounded to, in their own units."""
        passed = [each(tokens) for each in self.compressors]
        rebuilt = [each.expand(these) for each, these in zip(self.compressors, passed)]
        error = rearrange(self.errors(tokens, rebuilt), "k b r c -> (b r c) k")
        chosen = choices(error, self.cost, self.price).unflatten(0, (len(tokens), *self.regions))
        if step is not None:
            whole = [quantised(these.tokens, step) for these in passed]
            rebuilt = [each.expand(these._replace(tokens=(steps * step).to(tokens))) for each, these, steps in zip(self.compressors, passed, whole)]
        height, width = (n // few for n, few in zip(self.grid, self.regions))
        place = repeat(chosen, "b r c -> 1 b (r h) (c w) 1", h=height, w=width)
        found = torch.stack(rebuilt).gather(0, place.expand(1, *tokens.shape))[0]
        many, side = self.cost[chosen].sum((1, 2)).round().long(), owner_bits(chosen.flatten(1), len(self.compressors))
        bits = None if step is None else side + sum(self._bits(steps, number, chosen) for number, steps in enumerate(whole))
        return Adapted(found, chosen, many, side, bits)

    def _bits(self, whole: Int64[Tensor, "batch n dim"], number: int, chosen: Chosen) -> float:
        """Bits for a picture of the tokens that pass by one of the compressors, coded as `coded_bits` does."""
        output_grid = self.compressors[number].output_grid
        height, width = (n // few for n, few in zip(output_grid, self.regions))
        passes = repeat(chosen == number, "b r c -> b (r h c w)", h=height, w=width)
        passing = whole[passes]
        return len(passing) * coded_bits(passing) / len(whole) if len(passing) else 0.0

    def _stays_inside(self, compressor: Compressor, dim: int) -> bool:
        """Whether the first region stays as it is when the tokens of all others change."""
        tokens = torch.randn(1, *self.grid, dim, generator=torch.Generator().manual_seed(0))
        (rows, columns), output = (tuple(n // few for n, few in zip(sizes, self.regions)) for sizes in (self.grid, compressor.output_grid))
        with torch.no_grad():
            passed = compressor(tokens)
            other = passed.tokens.unflatten(1, compressor.output_grid).clone()
            other[:, output[0] :], other[:, :, output[1] :] = 0.0, 0.0
            both = [compressor.expand(passed._replace(tokens=these))[:, :rows, :columns] for these in (passed.tokens, other.flatten(1, 2))]
        return torch.allclose(*both, atol=1e-4, rtol=1e-4)
