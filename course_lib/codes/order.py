"""The order of a scene's slots: slots are a set, what a prior reads is a sequence, so someone must choose."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.slots.autoencoder import cell_centres

Codes = Int[Tensor, "batch slots codebooks"]
SHARP = 4


def row_major(masks: Float[Tensor, "batch slots height width"], rows: int = 4) -> Float[Tensor, "batch slots"]:
    """A key that sorts slots as a page is read: by the row of their mask's centre, then from left to right.

    The centre is that of the mask's `SHARP`-th power: what a slot shares with others hardly counts. The picture is cut into
    `rows` rows, so that a pixel more or less of height does not change places. One slot that is no object comes first: the
    one that owns more than half of the picture, else the one whose best pixel is the least its own.
    Raises `BadInput` for less than one row.
    """
    if rows < 1:
        raise BadInput(f"a picture is cut into at least 1 row, not {rows}.")
    sharp = masks.pow(SHARP).flatten(2)
    places = cell_centres(*masks.shape[2:], 1).to(masks)  # (height · width, 2), from 0 to 1
    x, y = (sharp @ places / sharp.sum(2, keepdim=True).clamp(min=1e-8)).unbind(-1)
    key = 2 * (rows * y).floor() + x  # twice, because x may be 1
    share, peak = masks.mean((2, 3)), masks.amax((2, 3))
    nothing = torch.where(share.amax(1) > 0.5, share.argmax(1), peak.argmin(1))
    return key.scatter(1, nothing[:, None], -1.0)


def canonical_order(codes: Codes, key: Float[Tensor, "batch slots"] | None = None) -> Codes:
    """The scenes with their slots in ascending order of `key`; equal keys keep their order.

    Without a key slots are sorted by their codes, the first codebook first: two scenes with the same slots in any order
    become equal, which is how copies are found.
    Raises `BadInput` for a key of another shape or with NaN.
    """
    if key is None:
        for codebook in reversed(range(codes.shape[2])):  # the last sort rules, and the ones before it settle its ties
            codes = _arranged(codes, codes[:, :, codebook].argsort(dim=1, stable=True))
        return codes
    if key.shape != codes.shape[:2] or key.isnan().any():
        raise BadInput(f"the key needs one number for each of {len(codes)} × {codes.shape[1]} slots and no NaN; "
                       f"it has shape {tuple(key.shape)}.")
    return _arranged(codes, key.argsort(dim=1, stable=True))


def random_order(codes: Codes, generator: torch.Generator | None = None) -> Codes:
    """The scenes with their slots shuffled, each by itself; random numbers are of the CPU: the same on every device."""
    return _arranged(codes, torch.rand(codes.shape[:2], generator=generator).argsort(1).to(codes.device))


def _arranged(codes: Codes, order: Int[Tensor, "batch slots"]) -> Codes:
    return codes.gather(1, order[..., None].expand_as(codes))
