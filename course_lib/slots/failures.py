"""Ways to fail, built exactly: masks made from the truth, so that each measure can be seen to notice them or not."""

import torch
from jaxtyping import Int64, Integer, UInt8
from torch import Tensor
from torch.nn import functional as F

from course_lib.slots.baselines import paint
from course_lib.slots.figures_training import Failure
from course_lib.slots.metrics import scene_metrics
from course_lib.slots.scenes import Scenes

Labels = Int64[Tensor, "batch height width"]
Ids = UInt8[Tensor, "batch height width"]


def paper_scene() -> Ids:
    """A scene for pencil and paper, (1, 40, 40): four objects of 5 % of the picture each, and 80 % background."""
    ids = torch.zeros(1, 40, 40, dtype=torch.uint8)
    for number, (row, column) in enumerate(((4, 4), (4, 26), (26, 4), (26, 26)), start=1):
        ids[:, row : row + 8, column : column + 10] = number
    return ids


def from_labels(labels: Integer[Tensor, "batch height width"], slots: int | None = None) -> Tensor:
    """Masks of 0 and 1 (batch, slots, height, width): slot k owns the pixels labelled k."""
    return F.one_hot(labels.long(), slots or int(labels.max()) + 1).movedim(-1, 1).float()


def background_in_pieces(ids: Ids, pieces: int = 4) -> Labels:
    """Every object has a slot of its own; the background is cut into strips, one slot for each."""
    return torch.where(ids > 0, ids + pieces - 1, stripes(ids, pieces))


def objects_in_one(ids: Ids) -> Labels:
    """The background has a slot, and one slot owns all objects."""
    return (ids > 0).long()


def objects_in_pairs(ids: Ids) -> Labels:
    """Objects 1 and 2 share a slot, 3 and 4 the next, and so on; the background has its own."""
    return (ids.long() + 1) // 2


def objects_in_halves(ids: Ids) -> Labels:
    """Every object is cut at the middle of its columns, a slot for each half; the background has its own."""
    labels = torch.zeros_like(ids, dtype=torch.long)
    for picture, owner in zip(ids, labels):
        for number in range(1, int(picture.max()) + 1):
            inside = picture == number
            if inside.any():
                columns = inside.any(0).nonzero()
                right = torch.arange(picture.shape[1]) >= (columns[0] + columns[-1] + 1) / 2
                owner[inside] = 2 * number - 1
                owner[inside & right] = 2 * number
    return labels


def stripes(ids: Ids, slots: int = 7) -> Labels:
    """Upright strips of equal width, whatever the picture shows."""
    width = ids.shape[2]
    return (torch.arange(width) * slots // width).expand(ids.shape).clone()


def halves(ids: Ids) -> Labels:
    """One slot owns the upper half and one the lower."""
    return stripes(ids.transpose(1, 2), 2).transpose(1, 2)


def failure(title: str, words: str, scenes: Scenes, masks: Tensor, reconstruction: Tensor | None = None, which: int = 0) -> Failure:
    """A row of `figures_training.failure_gallery`: scene number `which` of a batch, with its measures and "largest mask", the mean
    over pixels of the largest mask there (1: every pixel has one owner). Without a reconstruction every slot paints the mean
    colour of what it owns (`baselines.paint`)."""
    one = slice(which, which + 1)
    image, ids, masks = scenes["image"][one], scenes["ids"][one], masks[one]
    rebuilt = paint(image, masks) if reconstruction is None else reconstruction[one]
    metrics = {name: float(value) for name, value in scene_metrics(ids, masks).items() if name in ("fg_ari", "full_ari")}
    metrics |= {"mse": float((rebuilt - image).square().mean()), "largest mask": float(masks.amax(1).mean())}
    return Failure(title, image[0], masks[0], rebuilt[0], metrics, words)
