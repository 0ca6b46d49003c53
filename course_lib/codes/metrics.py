"""How well generated scenes obey the rule of their world, and what the codes know about the objects.

A picture is read back into objects by comparing each place with every picture that a place can show; what cannot be
read clearly counts as wrong. Measures are given per picture, with the interval of their mean, or per codebook.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest, t
from torch import Tensor

from course_lib.codes.world import BACKGROUND, RuleWorld, States
from course_lib.core.errors import BadInput
from course_lib.core.shares import Share, share  # noqa: F401  share is one of the measures, and imported from here

BLURS = (0.0, 0.6, 1.2, 2.0)  # standard deviations in 1/64 of the picture: a template is compared sharp and blurred
MOVE = 1  # of 64 pixels: so far an object may be from the middle of its place
MARGIN, ERROR = 0.4, 0.005  # see `parse`; the error is that of noise with a standard deviation of 0.07
AT_ONCE = 256  # pictures compared in one matrix product
ENOUGH = 20_000  # objects for a mutual information with 512 codes


def parse(images: Tensor, world: RuleWorld, margin: float = MARGIN, error: float = ERROR) -> dict[str, Tensor]:
    """Read pictures (batch, 3, height, width), RGB in [0, 1], back into objects on the world's places.

    x is what a place shows, T_j the template j: empty, or a kind × colour × size, in the middle or up to 1/64 of the picture
    beside it, sharp or blurred by up to 2/64, since generated pictures are so. The state is that of the best template,
    b = argmin_j ‖x − T_j‖². Its margin is min_j (‖x − T_j‖² − ‖x − T_b‖²) / ‖T_j − T_b‖² over templates of other states: 1 for the template
    itself, 0 where x lies halfway to another state. A place is *clear* with at least `margin`, and a mean squared error
    per value of at most `error`. A picture is *parsable* if all places are clear, and the rim around them is empty with that error.

    states, kind, colour, size    int (batch, places) and present bool (batch, places), see `RuleWorld.objects`
    margin, error                 float (batch, places);  clear bool (batch, places);  parsable bool (batch,)

    The numbers of a place that is not clear are a guess. Values outside [0, 1] are cut off, as on a screen. At 64 pixels
    true scenes are read rightly with a blur of up to 2 pixels and noise of 0.05, or with every object one pixel off its place.
    Raises `BadInput` for pictures of another size, and for NaN.
    """
    n = world.resolution
    if images.ndim != 4 or images.shape[1:] != (3, n, n):
        raise BadInput(f"pictures of this world must have shape (batch, 3, {n}, {n}), not {tuple(images.shape)}.")
    if images.isnan().any():
        raise BadInput("pictures hold NaN; the model that made them has diverged.")
    templates, state, apart = (table.to(images.device) for table in _variants(world))
    parts = [_compare(part.float().clamp(0, 1) - BACKGROUND, templates, apart, world) for part in images.split(AT_ONCE)]
    template, margins, errors, rim = (torch.cat(values) for values in zip(*parts, strict=True))
    states, clear = state[template], (margins >= margin) & (errors <= error)
    return {"states": states, "margin": margins, "error": errors, "clear": clear,
            "parsable": clear.all(1) & (rim <= error)} | world.objects(states)


@lru_cache(maxsize=4)
def _variants(world: RuleWorld) -> tuple[Tensor, Tensor, Tensor]:
    """Templates (templates, values) minus the background, of every state moved and blurred; the state of each; and their squared
    distances (templates, templates), 0 for the same state."""
    pixel = world.resolution / 64
    step = round(MOVE * pixel)
    moves = product((-step, 0, step), repeat=2) if step else [(0, 0)]
    moved = [world.templates.roll(move, (2, 3)).numpy() for move in moves]  # no object is so large that it would come round
    variants = [gaussian_filter(each, (0, 0, blur * pixel, blur * pixel), mode="constant", cval=BACKGROUND)
                for each in moved for blur in BLURS]
    templates = torch.from_numpy(np.stack(variants)).flatten(2).flatten(0, 1) - BACKGROUND
    state = torch.arange(len(templates)) % len(world.templates)
    apart = torch.cdist(templates, templates).square()
    return templates, state, apart.masked_fill(state[:, None] == state, 0)


def _compare(images: Tensor, templates: Tensor, apart: Tensor, world: RuleWorld) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best template of every place, its margin, its error, and the error of the rim (batch,)."""
    side, cell = world.side, world.templates.shape[-1]
    rim = (world.resolution - side * cell) // 2
    inside = images[:, :, rim:rim + side * cell, rim:rim + side * cell]
    places = rearrange(inside, "b c (row y) (column x) -> b (row column) (c y x)", row=side, column=side)
    power = places.square().sum(2)
    distance = power[..., None] - 2 * places @ templates.T + templates.square().sum(1)  # ‖x − T‖², (b, places, templates)
    best, template = distance.min(2)
    gap = (distance - best[..., None]) / apart[template]
    margin = gap.masked_fill(apart[template] == 0, torch.inf).amin(2)
    left = (images.square().sum((1, 2, 3)) - power.sum(1)) / max(images.shape[1:].numel() - places.shape[1:].numel(), 1)
    return template, margin, best.clamp(min=0) / templates.shape[1], left


def judge(images: Tensor, world: RuleWorld) -> dict[str, Bool[Tensor, "batch"]]:
    """What becomes of each picture, one of four: right (it is read clearly and obeys the rule), unparsable, wrong_number (of
    objects), or same_colour (of two objects).

    The share of right ones is the *generation accuracy*: what cannot be parsed counts as wrong. Compare it with
    `world.lawful_by_chance`, what correct objects with independent colours would reach.
    """
    found = parse(images, world)
    parsable, number = found["parsable"], found["present"].sum(1) == world.max_objects
    lawful = world.obeys(found["states"])
    return {"right": parsable & lawful, "unparsable": ~parsable, "wrong_number": parsable & ~number,
            "same_colour": parsable & number & ~lawful}


def over_seeds(shares: Sequence[Share]) -> Share:
    """The mean m of the shares of k ≥ 3 models that differ in their seed, with an interval for the mean over all seeds:

    m ± t s / √k, s² = Σ (p − m)² / (k − 1), t = the 97.5 % point of Student's distribution with k − 1 degrees of freedom
    (4.30 for three seeds), cut to [0, 1]; and at least Wilson's interval of all pictures together, for seeds may agree by luck.
    """
    k = len(shares)
    if k < 3:
        raise BadInput(f"an interval over seeds needs at least 3 of them, not {k}.")
    values = torch.tensor([each.value for each in shares], dtype=torch.float64)
    mean, reach = float(values.mean()), float(t.ppf(0.975, k - 1) * values.std() / k**0.5)
    of = sum(each.of for each in shares)
    low, high = binomtest(round(mean * of), of).proportion_ci(0.95, method="wilson")
    return Share(mean, max(0.0, min(mean - reach, float(low))), min(1.0, max(mean + reach, float(high))), of)


def copies(states: States, training: Int64[Tensor, "training places"], world: RuleWorld) -> Bool[Tensor, "batch"]:
    """Which scenes, as sets of objects, occur among the training scenes; those are `world.first(n)`.

    Compare their share with `world.seen_by_chance(n)`: a perfect generator copies that much without having learned by heart.
    """
    return torch.isin(world.key(states).cpu(), world.key(training))


def factor_information(codes: Int64[Tensor, "objects codebooks"], factors: dict[str, Tensor],
                       least: int = ENOUGH, shuffles: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """How much each codebook tells about each factor: I(C; F) = H(C) + H(F) − H(C, F), from counts over objects.

    With H = −Σ p log₂ p + (m − 1)/(2 n ln 2), where m of the bins are not empty: the correction of Miller & Madow (1955).
    Without it, 512 codes seem to know 8 colours that they do not (0.13 bits with 20,000 objects, 0.8 with 3000). All float64:

    bits      (codebooks, factors): I in bits; about 0, or a little below, where there is nothing to know
    share     (codebooks, factors): I / H(F), NaN for a factor that never changes
    shuffled  (codebooks, factors): the same share with the objects' codes exchanged at random, mean of `shuffles`
    entropy   (factors,): H(F) in bits;  code_entropy (codebooks,): H(C) in bits

    Factors (objects,) are numbers from 0 on, in the order of the dict; a continuous one must be cut into bins first.
    Raises `BadInput` for fewer than `least` objects (name a smaller number to have it anyway), and for impossible numbers.
    """
    n, books = codes.shape
    if n < max(least, 2):
        raise BadInput(f"mutual information with many codes needs at least {max(least, 2)} objects, not {n}; "
                       "fewer look better than they are (name `least` to have it anyway).")
    if not factors or not books or any(len(value) != n for value in factors.values()):
        raise BadInput(f"there must be at least one codebook and one factor, and a value of each for all {n} objects.")
    values = torch.stack(list(factors.values()), 1).cpu()
    codes = codes.cpu()
    if min(codes.min(), values.min()) < 0:
        raise BadInput("codes and factors must be numbers from 0 on; leave out objects that have none.")
    bits, entropy, code_entropy = _information(codes, values)
    generator = torch.Generator().manual_seed(seed)
    chance = [_information(codes[torch.randperm(n, generator=generator)], values)[0] for _ in range(shuffles)]
    nothing = torch.where(entropy > 0, entropy, torch.nan)
    return {"bits": bits, "share": bits / nothing, "shuffled": torch.stack(chance).mean(0) / nothing if chance else bits * torch.nan,
            "entropy": entropy, "code_entropy": code_entropy}


def _information(codes: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """I (codebooks, factors), H of the factors and H of the codes, in bits, from one table of counts."""
    books, kinds = codes.shape[1], values.shape[1]
    c, v = int(codes.max()) + 1, int(values.max()) + 1
    pair = torch.arange(books * kinds).view(books, kinds)
    bins = (pair * c + codes[:, :, None]) * v + values[:, None]  # (objects, codebooks, factors)
    counts = torch.bincount(bins.flatten(), minlength=books * kinds * c * v).view(books, kinds, c, v)
    code, factor, both = _entropy(counts.sum(3)), _entropy(counts.sum(2)), _entropy(counts.flatten(2))
    return code + factor - both, factor[0], code[:, 0]


def _entropy(counts: Int64[Tensor, "*tables bins"]) -> Float[Tensor, "*tables"]:
    n = counts.sum(-1)
    p = counts.double() / n[..., None]
    return (-torch.xlogy(p, p).sum(-1) + ((counts > 0).sum(-1) - 1).double() / (2 * n)) / math.log(2)
