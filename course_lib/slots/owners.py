"""Which slot owns which object: what is left over when slots fail, counted object by object."""

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from course_lib.slots.metrics import overlaps
from course_lib.slots.scenes import Scenes

WHOLE, PIECE = 0.9, 0.1  # a slot that holds so much of an object holds all of it; or a piece of it


def owners(ids: Tensor, masks: Tensor) -> tuple[Int64[Tensor, "batch objects"], Float[Tensor, "batch objects"], Bool[Tensor, "batch objects"]]:
    """For the background (first) and every object: the slot that holds most of its pixels, the share it holds, and
    whether anything of it can be seen."""
    counts = overlaps(ids, masks)
    total = counts.sum(2)
    return counts.argmax(2), counts.amax(2) / total.clamp(min=1), total > 0


def object_errors(ids: Tensor, masks: Tensor) -> dict[str, float]:
    """Shares of all visible objects of a batch that are

    merged: another object has the same owner; split: a slot that owns neither it nor the background holds 10 % of it or more;
    swallowed: the owner is the background's owner, too. One object may be several of these. A rim that is lost to the
    background is none of them.
    """
    owner, _, seen = owners(ids, masks)
    counts = overlaps(ids, masks).double()
    others = (counts / counts.sum(2, keepdim=True).clamp(min=1)).scatter(2, owner[..., None], 0)
    others = others.scatter(2, owner[:, :1, None].expand(-1, others.shape[1], -1), 0)
    objects, present = owner[:, 1:], seen[:, 1:]
    same = (objects[:, :, None] == objects[:, None]) & present[:, None] & present[:, :, None]
    merged = same.sum(2) > 1
    swallowed = (objects == owner[:, :1]) & seen[:, :1]
    found = {"merged": merged, "split": others[:, 1:].amax(2) >= PIECE, "swallowed": swallowed}
    return {name: float(wrong[present].double().mean()) for name, wrong in found.items()}


def same_colour(scenes: Scenes) -> Bool[Tensor, "batch objects objects"]:
    """Pairs (i < j) of visible objects that have the same colour."""
    colour, seen = scenes["colour"], scenes["visible"] > 0
    equal = (colour[:, :, None] - colour[:, None]).abs().amax(-1) < 1e-4
    return (equal & seen[:, :, None] & seen[:, None]).triu(1)


def told_apart(scenes: Scenes, masks: Tensor) -> tuple[float, float]:
    """Shares of the pairs of visible objects whose owners differ: of pairs of one colour, and of pairs of two colours."""
    owner, _, seen = owners(scenes["ids"], masks)
    owner, seen = owner[:, 1:], seen[:, 1:]
    n = owner.shape[1]
    apart = owner[:, :, None] != owner[:, None]
    twins = same_colour(scenes)[:, :n, :n]
    others = (seen[:, :, None] & seen[:, None]).triu(1) & ~twins
    return float(apart[twins].double().mean()), float(apart[others].double().mean())
