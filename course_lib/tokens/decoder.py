"""From a few tokens back to the full grid, by convolutions or by attention; and compressor and decoder as one."""

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput, at_least_one
from course_lib.core.weights import buildable
from course_lib.tokens.compressor import Compressed, Compressor, ConvCompressor, Grid, Standard, factors, field_size, owners, repeated

Tokens = Float[Tensor, "batch n dim"]


class Decoder(nn.Module):
    """What the decoders share: a linear way from each token to its field, and a correction that a subclass gives.

        rebuilt = spread(token) at the places of its field + correction(tokens)        spread: see `Spread`

    `spread` starts as repetition, every place gets the token of its field, and the last layer of the correction at zero, so an
    untrained decoder only puts tokens back. Tokens come and go in CLIP's own scale; inside they are standardised.
    Raises `BadInput`: grids that do not fit together, no layers, other tokens than output_grid has.
    """

    def __init__(self, dim: int, grid: Sequence[int], output_grid: Sequence[int]):
        super().__init__()
        self.dim, self.grid, self.output_grid = dim, tuple(grid), tuple(output_grid)
        self.scale = Standard(dim)
        self.register_buffer("owner", owners(grid, output_grid), persistent=False)
        self.field = field_size(grid, output_grid)
        self.spread = Spread(dim, self.field)

    def correction(self, tokens: Tokens) -> Grid:
        """What is added to the linear way; all in standard units."""
        raise NotImplementedError

    def forward(self, tokens: Tokens) -> Grid:
        n = self.output_grid[0] * self.output_grid[1]
        if tokens.shape[1:] != (n, self.dim):
            raise BadInput(f"this decoder takes {n} tokens of {self.dim} numbers, not of shape {list(tokens.shape[1:])}.")
        tokens = self.scale(tokens)
        return self.scale.back(self.spread(tokens, self.output_grid) + self.correction(tokens))


class Spread(nn.Module):
    """field = √n Wᵀ token + b, the mirror of `compressor.Whole`: the transposed convolution whose kernel and stride are the field.

    W starts as that of the mirror, so every place gets the token of its field; b, a number for each of the n · dim values, at zero.
    """

    def __init__(self, dim: int, field: Sequence[int]):
        super().__init__()
        self.field = tuple(field)
        self.weight, self.bias = repeated(dim, field), nn.Parameter(torch.zeros(math.prod(field) * dim))

    def forward(self, tokens: Tokens, output_grid: Sequence[int]) -> Grid:
        x = tokens @ self.weight * math.prod(self.field) ** 0.5 + self.bias
        (height, width), (rows, columns) = output_grid, self.field
        return rearrange(x, "b (oh ow) (fh fw d) -> b (oh fh) (ow fw) d", oh=height, ow=width, fh=rows, fw=columns)


class ConvDecoder(Decoder):
    """The way of `ConvCompressor` backwards: at each stage x ← skip(repeat(x)) + W gelu(transposed conv(x)), `factor` times larger.

    The transposed convolution has the kernel and stride of the stage that it mirrors, so every token paints its field and one
    place around it. hidden: channels inside, by default `dim`.
    """

    def __init__(self, dim: int, grid: Sequence[int] = (24, 24), output_grid: Sequence[int] = (6, 6), num_layers: int = 3,
                 hidden: int | None = None):
        super().__init__(dim, grid, output_grid)
        at_least_one(dim=dim, num_layers=num_layers, hidden=dim if hidden is None else hidden)
        width = hidden or dim
        widths = [dim, *[width] * num_layers]
        self.stages = nn.ModuleList(
            Rise(into, out, factor) for into, out, factor in zip(widths, widths[1:], factors(self.field, num_layers)[::-1]))
        self.out = zeroed(nn.Conv2d(width, dim, 1))

    def correction(self, tokens: Tokens) -> Grid:
        x = rearrange(tokens, "b (h w) d -> b d h w", h=self.output_grid[0])
        for stage in self.stages:
            x = stage(x)  # (b, hidden, h · f, w · f)
        return rearrange(self.out(x), "b d h w -> b h w d")


class Rise(nn.Module):
    """y = skip(repeat(x)) + W gelu(transposed conv(x)), `factor` times larger; skip is a 1 × 1 convolution where the widths differ.

    around: how many places beside its own every place paints, on each side of each axis.
    """

    def __init__(self, into: int, out: int, factor: tuple[int, int], around: tuple[int, int] = (1, 1)):
        super().__init__()
        self.factor = factor
        self.paint = nn.ConvTranspose2d(into, out, (factor[0] + 2 * around[0], factor[1] + 2 * around[1]), factor, padding=around)
        self.mix = nn.Conv2d(out, out, 1)
        self.skip = nn.Identity() if into == out else nn.Conv2d(into, out, 1)

    def forward(self, x: Float[Tensor, "batch into h w"]) -> Float[Tensor, "batch out h2 w2"]:
        repeated = F.interpolate(self.skip(x), scale_factor=[float(f) for f in self.factor], mode="nearest")
        return repeated + self.mix(F.gelu(self.paint(x)))


class AttentionDecoder(Decoder):
    """Every place of the full grid asks all compressed tokens; the places do not ask each other.

        state = place + W token[owner];   state ← state + attention(state, tokens + their places);   state ← state + MLP(state)

    Blocks of a transformer decoder (Vaswani et al. 2017, sec. 3.1) before normalisation, without self-attention: 576 × n weights
    in each head in place of 576 × 576. hidden: width of the state, by default `dim`; rounded up to a multiple of the heads.
    """

    HEADS = 4

    def __init__(self, dim: int, grid: Sequence[int] = (24, 24), output_grid: Sequence[int] = (6, 6), num_layers: int = 3,
                 hidden: int | None = None):
        super().__init__(dim, grid, output_grid)
        at_least_one(dim=dim, num_layers=num_layers, hidden=dim if hidden is None else hidden)
        width = -(-(hidden or dim) // self.HEADS) * self.HEADS
        self.place = nn.Parameter(torch.randn(*grid, width) / width**0.5)
        self.token_place = nn.Parameter(torch.randn(output_grid[0] * output_grid[1], width) / width**0.5)
        self.read, self.own = nn.Linear(dim, width), nn.Linear(dim, width)
        self.norm_tokens = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(AskTokens(width, self.HEADS) for _ in range(num_layers))
        self.norm, self.out = nn.LayerNorm(width), zeroed(nn.Linear(width, dim))

    def correction(self, tokens: Tokens) -> Grid:
        known = self.norm_tokens(self.read(tokens) + self.token_place)  # (b, n, width)
        state = rearrange(self.place + self.own(tokens)[:, self.owner], "b h w c -> b (h w) c")
        for block in self.blocks:
            state = block(state, known)
        return rearrange(self.out(self.norm(state)), "b (h w) d -> b h w d", h=self.grid[0])


class AskTokens(nn.Module):
    """state + Σ softmax(q(state) · k(tokens) / √head_dim) v(tokens), then + MLP: cross-attention before normalisation."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_query, self.to_keys_values, self.to_out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, state: Float[Tensor, "batch places width"], tokens: Float[Tensor, "batch n width"]) -> Float[Tensor, "batch places width"]:
        query = rearrange(self.to_query(self.norm_attention(state)), "b p (m d) -> b m p d", m=self.heads)
        keys, values = rearrange(self.to_keys_values(tokens), "b n (two m d) -> two b m n d", two=2, m=self.heads)
        found = F.scaled_dot_product_attention(query, keys, values)
        state = state + self.to_out(rearrange(found, "b m p d -> b p (m d)"))
        return state + self.mlp(self.norm_mlp(state))


@buildable
class LearnedCompressor(Compressor):
    """`ConvCompressor` and a decoder as one `Compressor`: `expand` is the decoder, so every place gets a token of its own.

    Untrained and with residuals it is average pooling there and back. use_attention: `AttentionDecoder` in place of `ConvDecoder`.
    decoder_layers: its stages or blocks, by default num_layers. The other arguments, and what is refused, are those of its parts.
    To put the tokens back as they are, as for the baselines: `Compressor.expand(model, compressed)`.
    """

    DECODERS = ConvDecoder, AttentionDecoder

    def __init__(self, dim: int, grid: Sequence[int] = (24, 24), output_grid: Sequence[int] = (6, 6), num_layers: int = 3,
                 use_residual: bool = True, hidden: int | None = None, use_attention: bool = False, decoder_layers: int | None = None):
        super().__init__()
        self.compressor = ConvCompressor(dim, grid, output_grid, num_layers, use_residual, hidden)
        kind = self.DECODERS[use_attention]
        self.decoder = kind(dim, grid, output_grid, num_layers if decoder_layers is None else decoder_layers, hidden)
        self.dim, self.grid, self.output_grid = dim, tuple(grid), tuple(output_grid)

    @property
    def scale(self) -> Standard:
        """Mean and spread of the training tokens."""
        return self.compressor.scale

    def fit(self, tokens: Float[Tensor, "*lead dim"]) -> None:
        """Take mean and spread of the channels from training tokens; before anything is learned."""
        for part in (self.compressor, self.decoder):
            part.scale.fit(tokens)

    def forward(self, tokens: Grid) -> Compressed:
        return self.compressor(tokens)

    def expand(self, compressed: Compressed) -> Grid:
        return self.decoder(compressed.tokens)


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with weights and bias 0: what it corrects is at first left as it is."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
