"""Random numbers that belong to a picture: the same in any batch, order and process."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from course_lib.tokens.compressor import Grid


def draws(tokens: Grid, many: int, seed: int) -> Float[Tensor, "batch many"]:
    """So many numbers from [0, 1) for each picture, that follow from its own tokens and the seed: no batch, no call before changes them.

    The bits of all its numbers, hashed, are where it starts to count; what is counted is mixed (SplitMix64, Steele et al. 2014).
    """
    bits = tokens.detach().float().flatten(1).contiguous().view(torch.int32).long()
    start = (bits * mixed(torch.arange(bits.shape[1], device=bits.device))).sum(1, keepdim=True) + mixed(bits.new_tensor(seed))
    return (mixed(mixed(start) + torch.arange(many, device=bits.device)) >> 11 & 2**53 - 1).double() * 2.0**-53


def mixed(number: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """SplitMix64's step from a counter to 64 bits that look random; products wrap around."""
    z = (number + 1) * -0x61C8864680B583EB
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        z = (z ^ (z >> shift & 2 ** (64 - shift) - 1)) * factor
    return z ^ (z >> 31 & 2**33 - 1)
