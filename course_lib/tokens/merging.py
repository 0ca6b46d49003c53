"""Compressors that merge like tokens, wherever they are: k-means and ToMe. Who was merged with whom must be told.

Both keep the whole owner map, so it is side information. It is counted as an adaptive code would write it, label by label
(`owner_bits`): nothing else need be sent, and no table of frequencies. A code that knew that neighbours go together would need
less; one without any model needs N log₂ n bits (576 places, 36 tokens: 2978).
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import count, sizes
from course_lib.tokens.compressor import Compressed, Compressor, Grid
from course_lib.tokens.draws import draws

Points = Float[Tensor, "batch places dim"]
Owner = Int64[Tensor, "batch places"]


class KMeans(Compressor):
    """The tokens of each picture in n = output height · width clusters; token = mean of its cluster, the places are lost in the owner map.

    A start by k-means++ (Arthur & Vassilvitskii 2007), then `steps` rounds of Lloyd: every token to the nearest centre, every centre
    to the mean of its tokens. A cluster that lost all its tokens stays where it is. The start follows from the seed and the picture's
    own tokens (`draws`): the same in any batch.
    Side information: `owner_bits`.
    Raises `BadInput`: more clusters than tokens, no steps.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6), steps: int = 10, seed: int = 0):
        super().__init__()
        if steps < 1:
            raise BadInput(f"k-means needs at least 1 step of Lloyd, not {steps}.")
        self.output_grid, self.steps, self.seed = sizes(output_grid), steps, seed

    def forward(self, tokens: Grid) -> Compressed:
        n, points = count(tokens, self.output_grid), tokens.flatten(1, 2)
        middle = points.mean(1, keepdim=True)
        points = points - middle  # distances by products then lose no digits to a mean that all tokens share
        centres = kmeans_start(points, draws(tokens, n, self.seed))
        for _ in range(self.steps):
            owner = nearest(points, centres)
            many = counts_of(owner, n)[..., None]
            centres = torch.where(many > 0, sums_of(points, owner, n) / many.clamp(min=1), centres)
        return Compressed(centres + middle, owner.unflatten(1, tokens.shape[1:3]), owner_bits(owner, n))


class ToMe(Compressor):
    """Token merging (Bolya et al. 2023, section 3), in rounds until n = output height · width tokens remain.

    A round: tokens go by turns into sets A and B (first, third, … and second, fourth, … of those that remain, row by row). Every token
    of A finds its most similar one in B (cosine); the r most similar pairs are merged, each into the place of its B token, as the mean
    weighted by how many tokens each stands for. So a round removes at most half.
    rounds: how many, with the same share removed in each; None for the fewest, each but the last then removes half. More rounds
    compare merged tokens anew, so that fewer unlike ones are forced together.
    In the paper similarity is that of attention keys, inside a network; here that of the tokens themselves, once.
    Side information: `owner_bits`.
    Raises `BadInput`: more tokens than there are, too few rounds.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6), rounds: int | None = None):
        super().__init__()
        self.output_grid, self.rounds = sizes(output_grid), rounds

    def forward(self, tokens: Grid) -> Compressed:
        n, x = count(tokens, self.output_grid), tokens.flatten(1, 2)
        owner = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        size = x.new_ones(x.shape[:2])
        for remain in schedule(x.shape[1], n, self.rounds):
            x, size, moved = merge(x, size, x.shape[1] - remain)
            owner = moved.gather(1, owner)
        return Compressed(x, owner.unflatten(1, tokens.shape[1:3]), owner_bits(owner, n))


def merge(
    x: Points, size: Float[Tensor, "batch places"], r: int
) -> tuple[Float[Tensor, "batch fewer dim"], Float[Tensor, "batch fewer"], Owner]:
    """One round of bipartite soft matching that removes r tokens: (tokens, their sizes, the new number of each old token).

    What remains stays in order: A tokens that were not merged and all B tokens. Raises `BadInput` for r above half.
    """
    batch, places, _ = x.shape
    if not 0 <= r <= places // 2:
        raise BadInput(f"a round can remove 0 to {places // 2} of {places} tokens, not {r}.")
    unit = F.normalize(x, dim=-1)
    score, partner = (unit[:, ::2] @ unit[:, 1::2].mT).max(2)  # (batch, a) each
    gone = 2 * score.argsort(dim=1, descending=True, stable=True)[:, :r]  # their numbers among all
    target = torch.arange(places, device=x.device).repeat(batch, 1)
    target.scatter_(1, gone, 2 * partner.gather(1, gone // 2) + 1)
    stays = torch.ones_like(target, dtype=torch.bool).scatter_(1, gone, False)
    moved = (stays.cumsum(1) - 1).gather(1, target)
    new_size = size.new_zeros(batch, places - r).scatter_add_(1, moved, size)
    return sums_of(x * size[..., None], moved, places - r) / new_size[..., None], new_size, moved


def schedule(places: int, n: int, rounds: int | None) -> list[int]:
    """How many tokens remain after each round, n at the end: the same share each time, and never less than half.

    Raises `BadInput` if so few rounds cannot do it.
    """
    halved, remain = [], places
    while remain > n:
        remain = max(n, remain - remain // 2)
        halved.append(remain)
    if rounds is None:
        return halved
    if rounds < len(halved):
        raise BadInput(f"from {places} to {n} tokens takes at least {len(halved)} rounds, for each removes at most half, not {rounds}.")
    remain = [places]
    for left in range(rounds, 0, -1):
        remain.append(max(n, remain[-1] - remain[-1] // 2, int(remain[-1] * (n / remain[-1]) ** (1 / left))))
    return remain[1:]


def kmeans_start(points: Points, chances: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n dim"]:
    """n tokens of each picture by k-means++: each drawn with probability ∝ its squared distance to the nearest one before it.

    chances: uniform from [0, 1), one for each draw. A loop over centres: every draw waits for the one before.
    """
    chosen_at = chances.to(points).mT[..., None]
    squares, away = points.square().sum(2), torch.ones_like(points[..., 0])
    centres = []
    for number in range(chances.shape[1]):
        reached = away.cumsum(1)
        chosen = torch.searchsorted(reached, chosen_at[number] * reached[:, -1:], right=True).clamp(max=points.shape[1] - 1)
        centre = points.gather(1, chosen[..., None].expand(-1, -1, points.shape[2]))  # (batch, 1, dim)
        distance = squares + centre.square().sum(2) - 2 * torch.bmm(points, centre.mT).squeeze(2)
        distance = distance.clamp(min=0).scatter(1, chosen, 0.0)
        away = torch.minimum(away, distance) if number else distance
        centres.append(centre)
    return torch.cat(centres, 1)


def nearest(points: Points, centres: Float[Tensor, "batch n dim"]) -> Owner:
    """The nearest centre of each point: argmin |c|² − 2 x · c, one matrix product."""
    return torch.baddbmm(centres.square().sum(2)[:, None], points, centres.mT, alpha=-2).min(2).indices


def sums_of(points: Points, owner: Owner, n: int) -> Float[Tensor, "batch n dim"]:
    """The sum of the points of each owner."""
    rows = owner + n * torch.arange(len(points), device=owner.device)[:, None]
    return points.new_zeros(len(points) * n, points.shape[2]).index_add_(0, rows.flatten(), points.flatten(0, 1)).unflatten(0, (-1, n))


def counts_of(owner: Owner, n: int) -> Int64[Tensor, "batch n"]:
    """How many places each owner has."""
    return owner.new_zeros(len(owner), n).scatter_add_(1, owner, torch.ones_like(owner))


def owner_bits(owner: Owner, n: int) -> float:
    """Bits that tell the owner of each of N places, mean over the pictures, by Laplace's adaptive code:

        bits = log₂ [(N + n − 1)! / ((n − 1)! Π_k N_k!)]

    N_k places have owner k; the next label is k with probability (seen so far + 1) / (all so far + n). One owner: 0 bits.
    """
    counts, places = counts_of(owner, n).double(), owner.shape[1]
    nats = math.lgamma(places + n) - math.lgamma(n) - torch.lgamma(counts + 1).sum(1)
    return max(0.0, float(nats.mean()) / math.log(2))  # rounding may put 0 a little below
