"""What all compressors of Part IV have in common: a grid of tokens in, a few tokens out, and back to the grid."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

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
