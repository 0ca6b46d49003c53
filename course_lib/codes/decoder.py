"""From a few vectors to a picture: a transformer whose queries are the places of the picture."""

from typing import NamedTuple

from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.slots.autoencoder import waves


class Painted(NamedTuple):
    """What a decoder makes of codes. Both are of the whole picture, or a `strip` of the cells that were asked for."""

    reconstruction: Float[Tensor, "batch 3 height width"]
    masks: Float[Tensor, "batch slots height width"]  # who is responsible for a pixel; sums to 1 over the slots


class CrossAttention(nn.Module):
    """Every place asks all codes: softmax over codes of q(place) · k(code) / √(dim / heads), then the mean of v(code).

    One block of a transformer decoder (Vaswani et al. 2017, sec. 3.1) before normalisation, without attention among the
    places: a place knows of others only what the codes say, so any choice of places can be asked alone.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_places, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_query, self.to_keys_values, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(approximate="tanh"), nn.Linear(2 * dim, dim))

    def forward(
        self, places: Float[Tensor, "batch n dim"], codes: Float[Tensor, "batch k dim"]
    ) -> tuple[Float[Tensor, "batch n dim"], Float[Tensor, "batch heads n k"]]:
        query = rearrange(self.to_query(self.norm_places(places)), "b n (h d) -> b h n d", h=self.heads)
        keys, values = rearrange(self.to_keys_values(codes), "b k (two h d) -> two b h k d", two=2, h=self.heads)
        weights = (query @ keys.mT * query.shape[-1] ** -0.5).softmax(-1)
        places = places + self.out(rearrange(weights @ values, "b h n d -> b n (h d)"))
        return places + self.mlp(self.norm_mlp(places)), weights


class TransformerDecoder(nn.Module):
    """One query for each 4×4 cell of the picture, `layers` blocks of cross-attention to the codes, 16 pixels out.

    A query is W γ(x, y) + b with the waves γ of Part II's decoder. masks: the share of a cell's attention that each code
    gets, the mean over the heads of the last block; it never ruled the mixture, so it is softer than a mask that did.
    """

    stride, octaves = 4, 4

    def __init__(self, slot_dim: int, dim: int = 128, layers: int = 3, heads: int = 4):
        super().__init__()
        if dim % heads:
            raise BadInput(f"{dim} numbers cannot be shared out evenly among {heads} heads.")
        self.place, self.code = nn.Linear(2 + 4 * self.octaves, dim), nn.Linear(slot_dim, dim)
        self.norm_codes = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(CrossAttention(dim, heads) for _ in range(layers))
        self.paint = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 3 * self.stride**2))

    def forward(self, slots: Float[Tensor, "batch k slot_dim"], places: Float[Tensor, "cells 2"], columns: int) -> Painted:
        """Paint the cells with these centres (x and y from 0 to 1), `columns` of them side by side."""
        state = repeat(self.place(waves(places, self.octaves)), "n d -> b n d", b=len(slots))
        codes = self.norm_codes(self.code(slots))
        for block in self.blocks:
            state, weights = block(state, codes)
        pixels = rearrange(self.paint(state), "b (h w) (c p q) -> b c (h p) (w q)", c=3, p=self.stride, w=columns)
        masks = rearrange(weights.mean(1), "b (h w) k -> b k h w", w=columns)
        return Painted(pixels, F.interpolate(masks, scale_factor=self.stride))
