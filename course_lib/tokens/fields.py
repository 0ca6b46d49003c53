"""Receptive fields: which places of the grid a compressed token stands for, one token of each, all of each, and what one token can reach.

A grid (height, width) is divided into output_grid (rows, columns) equal fields, numbered row by row, and so are the places within a
field. Any two grids that nest, square or not; a field may be a single token. Others raise `BadInput`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Compressor, Grid, field_size

Fields = Float[Tensor, "batch n field dim"]  # the tokens of every field
AT_ONCE = 8  # compressed tokens whose gradients are in memory together


class ReceptiveField(NamedTuple):
    """What compressed tokens depend on, mean over pictures."""

    share: Float[Tensor, "n height width"]  # of the squared gradient of each, where it lies; sums to 1
    inside: Float[Tensor, "n"]  # how much of it lies on the places that the token stands for


def get_rf_indices(grid: Sequence[int], output_grid: Sequence[int]) -> Int64[Tensor, "n field"]:
    """The places of every field: numbers of tokens in the flattened full grid, (24, 24) and (6, 6) give (36, 16)."""
    rows, columns = field_size(grid, output_grid)
    places = torch.arange(grid[0] * grid[1])
    return rearrange(places, "(oh fh ow fw) -> (oh ow) (fh fw)", oh=output_grid[0], fh=rows, ow=output_grid[1], fw=columns)


def extract_rf_targets(tokens: Grid, output_grid: Sequence[int]) -> Fields:
    """All tokens of every field, what a field decoder has to rebuild: those of the flattened grid at `get_rf_indices`. `assemble_rf` undoes it."""
    field_size(tokens.shape[1:3], output_grid)
    return rearrange(tokens, "b (oh fh) (ow fw) d -> b (oh ow) (fh fw) d", oh=output_grid[0], ow=output_grid[1])


def assemble_rf(fields: Fields, grid: Sequence[int], output_grid: Sequence[int]) -> Grid:
    """The full grid of fields that stand side by side: the exact inverse of `extract_rf_targets`. Raises `BadInput` for other fields."""
    (rows, columns), n = field_size(grid, output_grid), output_grid[0] * output_grid[1]
    if fields.shape[1:3] != (n, rows * columns):
        raise BadInput(f"a grid of {grid[0]} × {grid[1]} tokens has {n} fields of {rows * columns} tokens, not {fields.shape[1]} of {fields.shape[2]}.")
    return rearrange(fields, "b (oh ow) (fh fw) d -> b (oh fh) (ow fw) d", oh=output_grid[0], fh=rows)


def sample_rf_tokens(tokens: Grid, output_grid: Sequence[int], generator: torch.Generator | None = None) -> Float[Tensor, "batch n dim"]:
    """One token of every field of every picture, all of a field equally likely and independently: 36 real ones to set against 36 compressed.

    generator: where chance comes from, by default torch's own on the CPU; the same draws on every device. Only what is chosen is read.
    """
    where = get_rf_indices(tokens.shape[1:3], output_grid)  # (n, field)
    n, field = where.shape
    source = "cpu" if generator is None else generator.device
    chosen = torch.randint(field, (len(tokens), n), generator=generator, device=source).cpu()
    place = where[torch.arange(n), chosen].to(tokens.device)  # (batch, n)
    width = tokens.shape[2]
    return tokens[torch.arange(len(tokens), device=tokens.device)[:, None], place // width, place % width]


def field_resultant(tokens: Grid, output_grid: Sequence[int], lengths: Float[Tensor, "batch height width"] | None = None,
                    ) -> Float[Tensor, "batch rows columns"]:
    """R = ‖mean of u‖ of every field, u = x / ‖x‖ its unit tokens: 1 if all point one way, 0 if they cancel (Mardia & Jupp 2000, sec. 9.2).

    Theorem. The mean cosine of one token c with a field is at most R, and R is reached by the direction of the mean of u. For, with c
    of length 1, mean (c · u) = c · mean u ≤ ‖mean u‖ (Cauchy–Schwarz), equal where c points along mean u.
    So R is the ceiling of whatever puts one token for a field: of every compressed token put back, average pooling included (the mean
    of x, not of u, so it only comes near). A decoder that writes another token at each place is not bound by it.
    A token of length 0 has no direction and adds nothing. lengths: ‖x‖, if they are known already.
    """
    rows, columns = field_size(tokens.shape[1:3], output_grid)
    batch, height, width, dim = tokens.shape
    shorter = (1 / (torch.linalg.vector_norm(tokens, dim=-1) if lengths is None else lengths)).nan_to_num(posinf=0.0)
    # weighted sums along each row of a field, then over its rows: one pass over the tokens, with no copy of them
    along = torch.bmm(shorter.reshape(-1, 1, columns), tokens.reshape(-1, columns, dim))
    sums = along.view(batch, output_grid[0], rows, output_grid[1], dim).sum(2)
    return torch.linalg.vector_norm(sums, dim=-1) / (rows * columns)


def measured_receptive_field(compressor: Compressor, grid: Grid, std: Float[Tensor, "dim"] | None = None, seed: int = 0) -> ReceptiveField:
    """Which tokens of the grid each compressed token depends on, by gradients, beside those that it is said to stand for.

        share_k(i, j) = ‖J_kᵀ v‖² at place (i, j) / the same over all places        J_k: derivative of token k by the grid

    with v a random direction for each picture and token: on average over v, ‖J_kᵀ v‖² is the sum of squares of all of J_k.
    grid: tokens of some pictures, all measured at once. std: the spread of the channels, so that a change is counted in these units;
    without it one channel of small spread, which a standardising compressor magnifies, may stand for all.
    Raises `BadInput`: a compressor of pixels, or of no tokens; one that gives no gradient; a token that depends on nothing.
    """
    if compressor.takes != "tokens":
        raise BadInput(f"{type(compressor).__name__} takes pixels, so its tokens do not depend on a grid of tokens; measure one that takes tokens.")
    units = torch.ones(grid.shape[-1], device=grid.device) if std is None else std.to(grid.device)
    with torch.no_grad():
        n = compressor(grid).tokens.shape[1]
    if not n:
        raise BadInput(f"{type(compressor).__name__} lets no token pass, so there is no receptive field to measure.")
    chance, found = torch.Generator().manual_seed(seed), []
    for some in torch.arange(n).split(AT_ONCE):
        found.append(_dependence(compressor, grid, units, some.to(grid.device), chance))
    share, inside = (torch.cat(parts) for parts in zip(*found))
    return ReceptiveField(share, inside)


def _dependence(compressor: Compressor, grid: Grid, units: Tensor, some: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Share and inside of some compressed tokens: a copy of every picture for each, so that one backward pass gives all gradients."""
    copies = grid.detach().repeat_interleave(len(some), 0).requires_grad_()
    which = some.repeat(len(grid))
    with torch.enable_grad():
        compressed = compressor(copies)
        tokens = compressed.tokens[torch.arange(len(which), device=which.device), which]
        if not tokens.requires_grad:
            raise BadInput(f"{type(compressor).__name__} gives tokens without gradients, by which dependence is measured.")
        v = torch.randn(tokens.shape, generator=chance).to(tokens)
        (gradient,) = torch.autograd.grad((tokens * v).sum(), copies)
    squares = (gradient * units).square().sum(-1)  # (pictures · some, height, width)
    total = squares.sum((1, 2), keepdim=True)
    if not (total > 0).all():
        raise BadInput(f"compressed token {int(which[(total[:, 0, 0] <= 0).nonzero()[0, 0]])} depends on no token of the grid.")
    share = squares / total
    inside = (share * (compressed.owner == which[:, None, None])).sum((1, 2))
    return rearrange(share, "(b k) h w -> k b h w", k=len(some)).mean(1), rearrange(inside, "(b k) -> k b", k=len(some)).mean(1)
