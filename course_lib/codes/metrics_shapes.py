"""How many generated Shapes scenes can be read: every spot a circle, square or triangle in one of the eight colours."""

from functools import cache

import numpy as np
import torch
from einops import einsum
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import center_of_mass, label
from torch import Tensor
from torch.nn.functional import max_pool2d, one_hot

from course_lib.codes.metrics import share
from course_lib.slots.scenes import COLOURS, Inside, Shapes

SPECK = 4  # pixels: a smaller spot is none
FIT, HUE = 0.8, 0.25  # least intersection over union with the best outline; largest distance from the nearest of the colours
PALETTE = np.array(list(COLOURS.values()))


def read_shapes(image: Float[Tensor, "3 height width"], world: Shapes) -> list[dict]:
    """The spots of a picture: `kind`, `colour` (numbers of `kinds` and `COLOURS`), `fit`, `hue`, centre `x`, `y` and `radius` in pixels.

    The background is the median colour, since objects cover less than half. A spot is what hangs together of the pixels that
    are nearer to one of the eight colours than to it. Every outline is laid over it with the spot's own area and centre of gravity;
    `fit` is the best intersection over union.
    """
    pixels = image.clamp(0, 1).permute(1, 2, 0).numpy()  # as on a screen
    away = np.linalg.norm(pixels[..., None, :] - np.vstack([np.median(pixels, (0, 1)), PALETTE]), axis=-1)
    spots, many = label(away.argmin(-1) > 0)
    found = []
    for number in range(1, many + 1):
        spot = spots == number
        area = spot.sum()
        if area < SPECK:
            continue
        y, x = center_of_mass(spot)
        radii = [(area / _area(inside)) ** 0.5 for inside in world.kinds.values()]
        fits = [_overlap(spot, inside, y, x, radius) for inside, radius in zip(world.kinds.values(), radii)]
        kind, hues = int(np.argmax(fits)), np.linalg.norm(PALETTE - np.median(pixels[spot], 0), axis=1)
        found.append({"kind": kind, "fit": fits[kind], "colour": int(hues.argmin()), "hue": float(hues.min()), "x": x, "y": y,
                      "radius": radii[kind]})
    return found


def readable(images: Float[Tensor, "batch 3 height width"], world: Shapes) -> Bool[Tensor, "batch"]:
    """Whether every spot has an outline (fit ≥ 0.8) and a colour (within 0.25 of one), and there are as many as the world draws."""
    def clear(spots: list[dict]) -> bool:
        return (world.min_objects <= len(spots) <= world.max_objects
                and all(spot["fit"] >= FIT and spot["hue"] <= HUE for spot in spots))

    return torch.tensor([clear(read_shapes(image, world)) for image in images], dtype=torch.bool)


def share_readable(images: Float[Tensor, "batch 3 height width"], world: Shapes) -> dict[str, float]:
    """The share of `readable` pictures, with its interval (low, high)."""
    found = share(readable(images, world))
    return {"readable": found.value, "low": found.low, "high": found.high}


def touching(masks: Float[Tensor, "batch slots height width"]) -> Bool[Tensor, "batch"]:
    """Whether pixels of two objects are neighbours. An object: the pixels that one slot owns, but for the slot that owns most, the background,
    and for slots of less than `SPECK` pixels."""
    owner, slots = masks.argmax(1), masks.shape[1]
    many = one_hot(owner.flatten(1), slots).sum(1)  # (batch, slots)
    thing = (many >= SPECK) & (many < many.amax(1, keepdim=True))
    on = thing.gather(1, owner.flatten(1)).view_as(owner)
    found = torch.zeros(len(masks), dtype=torch.bool)
    for axis in (1, 2):
        (a, b), (on_a, on_b) = ([each.narrow(axis, first, each.shape[axis] - 1) for first in (0, 1)] for each in (owner, on))
        found |= ((a != b) & on_a & on_b).flatten(1).any(1)
    return found


@cache
def _area(inside: Inside) -> float:
    """Of the outline of radius 1, on a fine grid."""
    axis = torch.linspace(-1, 1, 401)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    return 4 * float(inside(u, v).float().mean())


def _overlap(spot: Bool[np.ndarray, "height width"], inside: Inside, y: float, x: float, radius: float) -> float:
    """Intersection over union of a spot and an outline drawn at this place."""
    rows, columns = (torch.arange(n, dtype=torch.float32) for n in spot.shape)
    drawn = inside((columns[None] - x) / radius, (rows[:, None] - y) / radius).numpy()
    return float((spot & drawn).sum() / (spot | drawn).sum())


def rims(ids: UInt8[Tensor, "batch height width"], reach: int = 2) -> Bool[Tensor, "batch height width"]:
    """The pixels that have one of another owner within `reach` pixels, in rows and columns. ids: who owns a pixel."""
    owner, window = ids[:, None].float(), (2 * reach + 1, 1, reach)  # size, step, frame of the pooling
    return (max_pool2d(owner, *window) != -max_pool2d(-owner, *window)).squeeze(1)


def colour_kept(drawn: Float[Tensor, "batch 3 height width"], coded: Float[Tensor, "batch 3 height width"],
                ids: UInt8[Tensor, "batch height width"], least: int = 40) -> float:
    """How much of what differs in colour from object to object is still there: R² = 1 − Σ‖ĉ − c‖² / Σ‖c − c̄‖².

    c and ĉ are an object's mean colours over its own pixels in `drawn` and `coded`; ids: 0 for the background, n for object n.
    Only objects of more than `least` pixels count.
    """
    owners = one_hot(ids.long()).float()
    many = owners.sum((1, 2))
    many[:, 0] = 0  # the background is no object
    sums = (einsum(owners, images, "b h w object, b c h w -> b object c") for images in (drawn, coded))
    true, found = (each[many > least] / many[many > least][:, None] for each in sums)
    return float(1 - (found - true).square().sum() / (true - true.mean(0)).square().sum())
