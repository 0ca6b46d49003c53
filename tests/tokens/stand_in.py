"""A module with the interface of `ClipTokens` and a few hundred weights: patches times a matrix, and one attention for the rest."""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import normalize


class Encoded(NamedTuple):
    tokens: Tensor
    cls: Tensor


class StandIn(nn.Module):
    """Every patch of the picture becomes a token; CLS is the mean token; the embedding is what CLS reads from the tokens."""

    def __init__(self, resolution: int = 12, patch: int = 3, dim: int = 8, embed: int = 6, seed: int = 0, layer: int = 1):
        super().__init__()
        self.name, self.layer, self.resolution, self.patch, self.dim = f"stand-in {seed}", layer, resolution, patch, dim
        chance = torch.Generator().manual_seed(seed)
        self.see = nn.Parameter(torch.randn(3 * patch**2, dim, generator=chance) / patch, requires_grad=False)
        self.say = nn.Parameter(torch.randn(dim, embed, generator=chance), requires_grad=False)

    @property
    def grid(self):
        return self.grid_of(self.resolution, self.resolution)

    def grid_of(self, height, width):
        return height // self.patch, width // self.patch

    def encode(self, pixels):
        patches = rearrange(pixels, "b c (h p) (w q) -> b h w (c p q)", p=self.patch, q=self.patch)
        tokens = patches @ self.see
        return Encoded(tokens, tokens.mean((1, 2)))

    def replay(self, tokens, cls):
        every = torch.cat([cls[:, None], tokens], 1)
        weight = torch.einsum("bnd,bd->bn", every, cls).softmax(1)
        return normalize(torch.einsum("bn,bnd->bd", weight, every) @ self.say, dim=-1)

    def image_embedding(self, pixels):
        tokens, cls = self.encode(pixels)
        return self.replay(tokens.flatten(1, 2), cls)

    def normalized(self, image):
        return (image - 0.5) / 0.25
