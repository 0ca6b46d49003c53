"""What compression costs and what is left: nearness of tokens, of their distributions, use for CLIP, and the rate.

Each measure by itself; `comparison` takes all of them of every compressor.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.core.shares import Share, share  # noqa: F401  share is one of the measures, and imported from here
from course_lib.tokens.compressor import Compressed, Compressor, Grid, field_size

BANDS = ("excellent", "good", "fair", "poor")  # > 0.9, 0.8 to 0.9, 0.6 to below 0.8, < 0.6
DIRECTIONS, AT_ONCE = 256, 32  # of the sliced distance; how many of them are sorted together
ROWS = 1024  # points whose kernel with all others is in memory at a time

Points = Float[Tensor, "n dim"]
Others = Float[Tensor, "m dim"]


class Seen(NamedTuple):
    """A batch of pictures: tokens and CLS at CLIP's layer, and the pixels they were made from."""

    tokens: Grid
    cls: Float[Tensor, "batch dim"]
    pixels: Float[Tensor, "batch channels rows columns"] | None = None


class Distance(NamedTuple):
    """Between made and real tokens; and, as far as nothing can be nearer, between real and other real tokens, as many of each."""

    value: float
    floor: float


# one token against another


def cosine(a: Float[Tensor, "*lead dim"], b: Float[Tensor, "*lead dim"]) -> Float[Tensor, "*lead"]:
    """a · b / (‖a‖ ‖b‖), 0 where one is 0. Of CLIP's tokens even two that have nothing in common reach 0.8: they share a mean."""
    return F.cosine_similarity(a, b, dim=-1)


def centred_cosine(a: Float[Tensor, "*lead dim"], b: Float[Tensor, "*lead dim"], mean: Float[Tensor, "dim"]) -> Float[Tensor, "*lead"]:
    """The cosine of a − mean and b − mean, mean: of the training tokens. The constant mean token reaches 0."""
    return cosine(a - mean, b - mean)


def variance_unexplained(rebuilt: Grid, tokens: Grid, mean: Float[Tensor, "dim"]) -> float:
    """Σ ‖x̂ − x‖² / Σ ‖x − mean‖² over all places of all pictures, mean: of the training tokens. The constant mean token has 1.

    Raises `BadInput` if all tokens are the mean, of which nothing can be left unexplained.
    """
    error, all_of_it = (float((tokens - other).double().square().sum()) for other in (rebuilt, mean))
    if not all_of_it:
        raise BadInput("all tokens equal the mean, so there is no variance to explain; measure on real pictures.")
    return error / all_of_it


def field_cosine(rebuilt: Grid, tokens: Grid, output_grid: Sequence[int]) -> Float[Tensor, "batch rows columns"]:
    """The mean cosine over the places of every field of output_grid. Raises `BadInput` for a grid that it does not divide."""
    field_size(tokens.shape[1:3], output_grid)
    split = "b (oh fh) (ow fw) -> b oh ow (fh fw)"
    return rearrange(cosine(rebuilt, tokens), split, oh=output_grid[0], ow=output_grid[1]).mean(3)


def band_of(cosines: Float[Tensor, "*lead"]) -> Int64[Tensor, "*lead"]:
    """The number of the band in `BANDS`: 0 excellent (> 0.9), 1 good (0.8 to 0.9), 2 fair (0.6 to below 0.8), 3 poor (< 0.6)."""
    return (cosines <= 0.9).long() + (cosines < 0.8) + (cosines < 0.6)


def bands(cosines: Float[Tensor, "*lead"]) -> dict[str, int]:
    """How many fields are in each of `BANDS`, see `band_of`. Raises `BadInput` for NaN."""
    if cosines.isnan().any():
        raise BadInput("a cosine is NaN, which is in no band; the model that made it has diverged.")
    return dict(zip(BANDS, torch.bincount(band_of(cosines).flatten(), minlength=len(BANDS)).tolist()))


# distributions


def sliced_wasserstein(a: Points, b: Others, p: int = 2, directions: int = DIRECTIONS, seed: int = 0) -> float:
    """(mean over directions u of W_p(u · a, u · b)^p)^(1/p); u uniform on the unit sphere, the same for the same seed and dim.

    On a line W_p is exact: ∫₀¹ |F⁻¹(t) − G⁻¹(t)|^p dt of the two step functions that sorting gives, whatever n and m are.
    Bonneel et al. 2015. It grows with the scale of tokens and falls with n, so read it beside a floor: that of real tokens to other real ones.
    """
    if min(len(a), len(b), directions) < 1 or p not in (1, 2):
        raise BadInput(f"sliced Wasserstein needs points on both sides, a direction and p of 1 or 2, not {len(a)}, {len(b)}, {directions}, {p}.")
    n, m = len(a), len(b)
    u = F.normalize(torch.randn(directions, a.shape[1], generator=torch.Generator().manual_seed(seed)), dim=1).to(a)
    steps = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).sort().values.to(a.device)  # in units of 1 / (n m)
    width = steps.diff(prepend=steps.new_zeros(1)).double() / (n * m)
    at, total = ((steps - 1) // m, (steps - 1) // n), 0.0  # which of the sorted points a quantile is
    for some in u.split(AT_ONCE):
        x, y = (points.matmul(some.mT).sort(0).values[place] for points, place in zip((a, b), at))
        total += float(((x - y).abs().double() ** p * width[:, None]).sum())
    return (total / directions) ** (1 / p)


def mmd(a: Points, b: Others, bandwidth: float | None = None) -> float:
    """The squared maximum mean discrepancy, unbiased (Gretton et al. 2012, eq. 3), so it may be below 0:

        mean_{i≠j} k(aᵢ, aⱼ) + mean_{i≠j} k(bᵢ, bⱼ) − 2 mean k(aᵢ, bⱼ)        k(x, y) = exp(−‖x − y‖² / 2σ²)

    bandwidth: σ; None for the median distance of both together (`median_distance`).
    """
    n, m = len(a), len(b)
    if min(n, m) < 2 or (bandwidth is not None and not 0 < bandwidth < math.inf):
        raise BadInput(f"MMD needs at least 2 points on both sides and a positive bandwidth, not {n}, {m} and {bandwidth}.")
    sigma = median_distance(torch.cat([a, b])) if bandwidth is None else bandwidth

    def total(x: Tensor, y: Tensor) -> float:
        return sum(float((-torch.cdist(some, y, compute_mode="donot_use_mm_for_euclid_dist").square() / (2 * sigma**2)).exp().double().sum())
                   for some in x.split(ROWS))

    return (total(a, a) - n) / (n * (n - 1)) + (total(b, b) - m) / (m * (m - 1)) - 2 * total(a, b) / (n * m)


def median_distance(points: Points, most: int = 1000, seed: int = 0) -> float:
    """The median of ‖xᵢ − xⱼ‖ over i < j, of at most so many of the points, drawn with the seed. Raises `BadInput` if it is 0."""
    found = float(torch.pdist(draw(points, most, seed)).median()) if len(points) > 1 else 0.0
    if not found > 0:
        raise BadInput("the median distance of the points is 0 or NaN, so the kernel has no scale; give a bandwidth.")
    return found


def draw(points: Points, most: int, seed: int) -> Float[Tensor, "fewer dim"]:
    """At most so many of the points, in random order."""
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
    return points[order[:most].to(points.device)]


# rate


def coded_bits(steps: Int64[Tensor, "samples dim"]) -> float:
    """Bits of one token whose numbers are whole multiples of a step: Σ over its dim channels of the entropy of that channel,

        H = Σ_v (count_v / samples) log₂ (samples / count_v) + (values − 1) / (2 samples ln 2)

    the second term against the bias of counting (Miller 1955). An ideal code for each number alone: what tokens and channels say
    about one another is not used.
    """
    samples, dim = steps.shape
    if not steps.numel():
        return 0.0
    low = steps.amin(0)
    reach = int((steps.amax(0) - low).max()) + 1
    key = torch.arange(dim, device=steps.device) * reach + (steps - low)  # a number for each (channel, value)
    count = key.flatten().unique(return_counts=True)[1].double()
    return float((count / samples * (samples / count).log2()).sum()) + (len(count) - dim) / (2 * samples * math.log(2))


def quantised(tokens: Float[Tensor, "*lead dim"], step: float) -> Int64[Tensor, "*lead dim"]:
    """round(x / step). Raises `BadInput` for a step that is not positive."""
    if not 0 < step < math.inf:
        raise BadInput(f"the step of the quantisation must be a positive number, not {step}.")
    return (tokens / step).round().long()


def compress(compressor: Compressor, batch: tuple) -> Compressed:
    """What passes; raises `BadInput` if pixels are needed and not there."""
    if compressor.takes == "tokens":
        return compressor(batch.tokens)
    if getattr(batch, "pixels", None) is None:
        raise BadInput(f"{type(compressor).__name__} takes pixels, and the batch has none; encode pictures on the fly and give them too.")
    return compressor(batch.pixels)


# use


def zero_shot(images: Float[Tensor, "pictures embed"], texts: Float[Tensor, "*each candidates embed"],
              correct: int | Int64[Tensor, "pictures"] = 0) -> Bool[Tensor, "pictures"]:
    """Whether the right text is nearer (cosine) to each picture than all others; a tie is wrong.

    texts: of unit length, candidates of its own for each picture, or the same for all (names of classes). correct: which is right.
    Raises `BadInput` for another number of pictures than of candidates' rows.
    """
    texts = texts.to(images).expand(len(images), -1, -1) if texts.ndim == 2 else texts.to(images)
    if len(texts) != len(images):
        raise BadInput(f"the questions are about {len(texts)} pictures, and {len(images)} embeddings are given; give one for each.")
    scores = torch.einsum("pke,pe->pk", texts, images)
    place = torch.as_tensor(correct, device=scores.device).expand(len(images))[:, None]
    others = scores.scatter(1, place, -math.inf).amax(1)
    return scores.gather(1, place)[:, 0] > others


def gain(right: Bool[Tensor, "pictures"], before: Bool[Tensor, "pictures"]) -> Share:
    """share(right) − share(before) of the same pictures: mean d ± 1.96 s / √n of the n paired differences, of −1, 0 and 1."""
    d = right.double() - before.double()
    reach = 1.96 * float(d.std(correction=1)) / math.sqrt(len(d)) if len(d) > 1 else 1.0
    return Share(float(d.mean()), float(d.mean()) - reach, float(d.mean()) + reach, len(d))
