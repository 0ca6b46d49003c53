"""Compressors that learn nothing, or only means and covariances: what a learned one must beat. Those that merge are in `merging`.

All are called alike (`compressor.Compressor`): tokens in, `Compressed(tokens, owner, bits)` out, `expand` back to the grid. bits
is side information for one picture: what the receiver must be told beside the tokens. Where every token stands follows from
the grids alone, it is 0.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.core.memory import free_memory
from course_lib.core.weights import buildable
from course_lib.tokens.compressor import Compressed, Compressor, Grid, by_field, field_size, owners
from course_lib.tokens.draws import draws
from course_lib.tokens.fields import extract_rf_targets

ITERATIONS = 15  # of `leading`

Pixels = Float[Tensor, "batch channels rows columns"]


class Downsampled(Compressor):
    """The picture is made smaller before CLIP sees it: mean over areas, output_grid · patch pixels, then CLIP as ever.

    The classic control (fewer tokens from a smaller picture, and less work too). CLIP interpolates its positions to the
    smaller grid. clip: a `ClipTokens`; takes its normalised pixels. Side information: none. Its own CLS is not used: like all
    compressors it is judged with the CLS of the whole picture.
    """

    takes = "pixels"

    def __init__(self, clip: nn.Module, output_grid: Sequence[int] = (6, 6)):
        super().__init__()
        self.clip, self.output_grid = clip, sizes(output_grid)

    def forward(self, pixels: Pixels) -> Compressed:
        grid = self.clip.grid_of(*pixels.shape[2:])
        owner = nearest_cells(grid, self.output_grid).to(pixels.device)
        small = F.interpolate(pixels, [side * self.clip.patch for side in self.output_grid], mode="area")
        tokens = self.clip.encode(small).tokens
        return Compressed(tokens.flatten(1, 2), owner.expand(len(pixels), -1, -1), 0.0)


class AveragePooling(Compressor):
    """token = mean of the tokens of its field. Of all single vectors the one nearest to its field in squared error.

    Side information: none. Raises `BadInput` for a grid that output_grid does not divide.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6)):
        super().__init__()
        self.output_grid = sizes(output_grid)

    def forward(self, tokens: Grid) -> Compressed:
        return by_field(extract_rf_targets(tokens, self.output_grid).mean(2), tokens, self.output_grid)


class Bilinear(Compressor):
    """The grid resized as a picture is: bilinear down to output_grid, and bilinear up again in `expand`. Any pair of grids.

    antialias: widen the triangle of the interpolation with the factor, so that every token counts. Without it (the usual call,
    and the default) each new token is a mean of at most four, and the others have no say.
    Side information: none.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6), antialias: bool = False):
        super().__init__()
        self.output_grid, self.antialias = sizes(output_grid), antialias

    def forward(self, tokens: Grid) -> Compressed:
        owner = nearest_cells(tokens.shape[1:3], self.output_grid).to(tokens.device)
        small = resize(tokens, self.output_grid, self.antialias)
        return Compressed(small.flatten(1, 2), owner.expand(len(tokens), -1, -1), 0.0)

    def expand(self, compressed: Compressed) -> Grid:
        return resize(compressed.tokens.unflatten(1, self.output_grid), compressed.owner.shape[1:])


class StridedPick(Compressor):
    """token = the token at one fixed place of its field: its middle (⌊height/2⌋, ⌊width/2⌋), or `place` (row, column).

    A picked token is a real one, so the distribution of tokens is nearly kept, whatever is lost.
    Side information: none. Raises `BadInput`: a grid that output_grid does not divide, a place outside the field.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6), place: Sequence[int] | None = None):
        super().__init__()
        self.output_grid, self.place = sizes(output_grid), None if place is None else tuple(place)

    def forward(self, tokens: Grid) -> Compressed:
        field = field_size(tokens.shape[1:3], self.output_grid)
        row, column = self.place or (field[0] // 2, field[1] // 2)
        if not (0 <= row < field[0] and 0 <= column < field[1]):
            raise BadInput(f"place ({row}, {column}) is outside a field of {field[0]} × {field[1]} tokens; count from 0.")
        picked = tokens[:, row :: field[0], column :: field[1]]
        return by_field(picked.flatten(1, 2), tokens, self.output_grid)


class RandomPick(Compressor):
    """n = output height · width different places of each picture, all sets equally likely; kept row by row. A place belongs to
    the nearest picked one (of several the first).

    Side information: which set it was, log₂ C(N, n) bits of N places (576 → 36: 190 bits). It is counted because a pruner whose choice
    depends on the picture must tell it; only who shares the random numbers with the receiver need not.
    The set follows from the seed and the picture's own tokens (`draws`): the same in any batch.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6), seed: int = 0):
        super().__init__()
        self.output_grid, self.seed = sizes(output_grid), seed

    def forward(self, tokens: Grid) -> Compressed:
        _, height, width, dim = tokens.shape
        n, places = count(tokens, self.output_grid), height * width
        chosen = draws(tokens, places, self.seed).argsort(1)[:, :n].sort(1).values  # (batch, n)
        where = torch.cartesian_prod(torch.arange(height), torch.arange(width)).to(tokens.device)  # (places, 2)
        away = (where[None, :, None] - where[chosen][:, None]).square().sum(-1)  # (batch, places, n)
        picked = tokens.flatten(1, 2).gather(1, chosen[..., None].expand(-1, -1, dim))
        return Compressed(picked, away.argmin(2).unflatten(1, (height, width)), log2_choose(places, n))


@buildable
class MeanToken(Compressor):
    """Nothing passes: no token, no bit. Every place gets the mean token of the training set; what is measured beside it began
    from there. Put back into CLIP it leaves CLS alone.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))

    @classmethod
    def fit(cls, batches: Iterable[Tensor]) -> "MeanToken":
        """From batches (batch, height, width, dim) of training tokens, summed in float64. Raises `BadInput` for none."""
        total, many = 0.0, 0
        for tokens in batches:
            total, many = total + tokens.double().sum((0, 1, 2)), many + math.prod(tokens.shape[:3])
        if not many:
            raise BadInput("there are no tokens to take the mean of; give at least one batch.")
        model = cls(len(total)).to(total.device)
        model.mean.copy_(total / many)
        return model

    def forward(self, tokens: Grid) -> Compressed:
        return Compressed(tokens[:, 0, :0], torch.zeros(tokens.shape[:3], dtype=torch.int64, device=tokens.device), 0.0)

    def expand(self, compressed: Compressed) -> Grid:
        return self.mean.expand(*compressed.owner.shape, -1)


@buildable
class PCAField(Compressor):
    """The best linear compressor of fields: no other linear code of `dim` numbers for a field has a smaller squared error.

        token = basisᵀ (x − mean)         x: the height · width · dim values of a field; basis: the `dim` leading eigenvectors
        x̂ = basis · token + mean          of their covariance (Pearson 1901; Eckart & Young 1936)

    per_field: every field of the grid has a mean and a basis of its own; else all share one. A code is a number per direction,
    not a token of CLIP: rebuilt it counts, put back into CLIP as it is it means nothing.
    Side information: none. `explained`: the share of the training variance that the basis holds, per basis.
    Raises `BadInput`: a grid that output_grid does not divide, tokens of another grid or width.
    """

    def __init__(self, dim: int, grid: Sequence[int], output_grid: Sequence[int] = (6, 6), per_field: bool = False):
        super().__init__()
        self.register_buffer("owner", owners(grid, output_grid), persistent=False)
        self.dim, self.grid, self.output_grid, self.per_field = dim, sizes(grid), sizes(output_grid), per_field
        values = math.prod(self.grid) // math.prod(self.output_grid) * dim
        bases = math.prod(self.output_grid) if per_field else 1
        self.register_buffer("mean", torch.zeros(bases, values))
        self.register_buffer("basis", torch.zeros(bases, values, dim))
        self.register_buffer("explained", torch.zeros(bases))

    @classmethod
    def fit(cls, batches: Iterable[Tensor], output_grid: Sequence[int] = (6, 6), per_field: bool = False) -> "PCAField":
        """From batches (batch, height, width, dim) of training tokens, of which only sums are kept, in float64:

            Σ (x − x₀)  and  Σ (x − x₀)(x − x₀)ᵀ        x₀: the mean of the first batch

        so that no digits are lost where the mean is large against the spread. Sums over one batch are in the precision of its
        tokens (float64 would take twice as long).
        Raises `BadInput`: no batch; fields so large that their covariance does not fit into memory.
        """
        model, many = None, 0
        for tokens in batches:
            if model is None:
                model = cls(tokens.shape[3], tokens.shape[1:3], output_grid, per_field).to(tokens.device)
                _check_memory(*model.mean.shape, tokens.device)
                first = model.fields(tokens).mean(1, keepdim=True)  # (bases, 1, values)
                total = torch.zeros_like(first, dtype=torch.float64)
                squares = total.new_zeros(len(first), first.shape[2], first.shape[2])
            x = model.fields(tokens) - first
            total += x.sum(1, keepdim=True, dtype=torch.float64)
            squares += torch.bmm(x.mT, x)
            many += x.shape[1]
        if model is None:
            raise BadInput("there are no tokens to fit a PCA to; give at least one batch.")
        shift = total / many
        covariance = squares.div_(many).baddbmm_(shift.mT, shift, alpha=-1)  # in place: of 36 × 128 values it takes 170 MB
        values, vectors = leading(covariance, model.dim)
        model.mean.copy_((first + shift).squeeze(1))
        model.basis.copy_(vectors)
        model.explained.copy_(values.sum(-1) / covariance.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=torch.finfo(values.dtype).tiny))
        return model

    def fields(self, tokens: Grid) -> Float[Tensor, "bases samples values"]:
        """The values of every field as one row, sorted by the basis they belong to. Samples: pictures, or all fields of all pictures."""
        if tokens.shape[1:] != (*self.grid, self.dim):
            raise BadInput(f"this PCA takes grids of {self.grid[0]} × {self.grid[1]} tokens of {self.dim} numbers, "
                           f"not of shape {list(tokens.shape[1:])}.")
        height, width = self.output_grid
        split = "b (oh fh) (ow fw) d -> (oh ow) b (fh fw d)" if self.per_field else "b (oh fh) (ow fw) d -> 1 (b oh ow) (fh fw d)"
        return rearrange(tokens, split, oh=height, ow=width)

    def forward(self, tokens: Grid) -> Compressed:
        code = torch.bmm(self.fields(tokens) - self.mean[:, None], self.basis)
        code = rearrange(code, "n b d -> b n d") if self.per_field else rearrange(code, "1 (b n) d -> b n d", b=len(tokens))
        return Compressed(code, self.owner.expand(len(tokens), -1, -1), 0.0)

    def expand(self, compressed: Compressed) -> Grid:
        code = compressed.tokens
        code = rearrange(code, "b n d -> n b d") if self.per_field else rearrange(code, "b n d -> 1 (b n) d")
        x = torch.baddbmm(self.mean[:, None], code, self.basis.mT)
        (height, width), (rows, columns) = self.output_grid, (n // few for n, few in zip(self.grid, self.output_grid))
        whole = "(oh ow) b (fh fw d) -> b (oh fh) (ow fw) d" if self.per_field else "1 (b oh ow) (fh fw d) -> b (oh fh) (ow fw) d"
        return rearrange(x, whole, oh=height, ow=width, fh=rows, fw=columns)


def leading(matrix: Float[Tensor, "some n n"], many: int) -> tuple[Float[Tensor, "some many"], Float[Tensor, "some n many"]]:
    """The largest eigenvalues of symmetric matrices, falling, and their eigenvectors.

    Of few out of many by orthogonal iteration, X ← orthonormal(C X), with more columns than asked for, then exactly within their span
    (Golub & Van Loan 2013, sec. 8.2.4): what it misses is as large as eigenvalues that hardly differ from the last one taken.
    """
    columns = many + max(32, many // 2)
    if 3 * columns > matrix.shape[-1]:
        values, vectors = torch.linalg.eigh(matrix)  # rising
    else:
        basis = torch.randn(matrix.shape[-1], columns, generator=torch.Generator().manual_seed(0)).to(matrix).expand(len(matrix), -1, -1)
        for _ in range(ITERATIONS):
            basis = torch.linalg.qr(matrix @ basis).Q
        values, within = torch.linalg.eigh(basis.mT @ matrix @ basis)
        vectors = basis @ within
    return values[..., -many:].flip(-1), vectors[..., -many:].flip(-1)


def sizes(grid: Sequence[int]) -> tuple[int, int]:
    """(height, width) as whole numbers; raises `BadInput` for what is no grid."""
    if len(grid) != 2 or min(grid) < 1:
        raise BadInput(f"a grid is (height, width), both at least 1, not {tuple(grid)}.")
    return int(grid[0]), int(grid[1])


def resize(tokens: Grid, size: Sequence[int], antialias: bool = False) -> Float[Tensor, "batch rows columns dim"]:
    """A grid of tokens enlarged or made smaller as a picture is, bilinearly."""
    channels = F.interpolate(rearrange(tokens, "b h w d -> b d h w"), tuple(size), mode="bilinear", antialias=antialias)
    return rearrange(channels, "b d h w -> b h w d")


def count(tokens: Grid, output_grid: Sequence[int]) -> int:
    """n = height · width of output_grid; raises `BadInput` if the picture has fewer tokens than that."""
    n = math.prod(output_grid)
    if n > (places := math.prod(tokens.shape[1:3])):
        raise BadInput(f"{n} tokens cannot be kept of a picture that has {places}; take a smaller output_grid.")
    return n


def nearest_cells(grid: Sequence[int], output_grid: Sequence[int]) -> Int64[Tensor, "height width"]:
    """The cell of output_grid, row by row, in which the middle of each place lies: ⌊(i + ½) · output / height⌋. Any two grids;
    where one divides the other, these are the fields of `owners`."""
    row, column = ((2 * torch.arange(n) + 1) * few // (2 * n) for n, few in zip(grid, output_grid))
    return row[:, None] * output_grid[1] + column


def log2_choose(n: int, k: int) -> float:
    """log₂ C(n, k): the bits that tell which k of n things were chosen."""
    return math.log2(math.comb(n, k))


def _check_memory(bases: int, values: int, device: torch.device) -> None:
    """Three square matrices in float64: the sums, the covariance and its eigenvectors."""
    wanted, free = 3 * 8 * bases * values**2, free_memory(device)
    if wanted > free:
        raise BadInput(f"the covariance of {bases} × {values} values takes {wanted / 1e9:.1f} GB and {free / 1e9:.1f} GB are left; take a larger "
                       "output_grid, or one basis for all fields.")
