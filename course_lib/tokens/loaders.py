"""What compressors are trained on: captioned scenes or photos, as tokens of a CLIP or, where it learns too, as its pixels."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.core.errors import BadInput
from course_lib.core.memory import free_memory
from course_lib.tokens.cache import KeptTokens, LiveTokens
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.photos import create_photos, on_cpu
from course_lib.tokens.small_clip import denormalized

HELD_OUT = 2**40  # seed of the scenes that are only measured; no training is numbered so
AT_ONCE = 32  # held-out pictures encoded together


class Data(NamedTuple):
    """Tokens of a frozen CLIP, or pixels for one that learns."""

    training: Dataset
    held_out: Float[Tensor, "held_out *one"]
    picture: Float[Tensor, "3 high wide"]  # the first of the held-out ones, in [0, 1]


class Pixels(Dataset):
    """A data set of scenes or photos as batches of pixels, for a CLIP that learns."""

    def __init__(self, clip: ClipTokens, source: Dataset):
        self.normalized, self.source, self.endless = clip.normalized, source, getattr(source, "endless", False)

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, indices: Sequence[int]) -> Tensor:
        batch = self.source.__getitems__(list(indices))
        return self.normalized(batch["image"]) if isinstance(batch, dict) else batch.pixels


class Readable(Dataset):
    """Batches of which at least one picture can be read: where none can, the next one behind them that can stands in.

    An empty batch has no mean, so its loss and every weight after it would be NaN.
    """

    def __init__(self, data: Dataset):
        self.data, self.source = data, data.source

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, indices: Sequence[int]) -> Tensor:
        batch = self.data.__getitems__(list(indices))
        for further in range(1, len(self) + 1):
            if len(batch):
                return batch
            batch = self.data.__getitems__([(indices[-1] + further) % len(self)])
        raise BadInput("none of the training pictures can be read; look at the first by hand.")


def create_data(clip: ClipTokens, imagenet_root: str | None = None, use_subset: bool = False, subset_size: int = 1000, samples: int = 3200,
                held_out: int = 200, seed: int = 0) -> Data:
    """Training data and a held-out batch.

    imagenet_root: a folder of pictures as `create_photos` takes it; None for captioned scenes, `samples` new ones in every epoch, or
    with use_subset always the same `subset_size`. Of a fixed set, a CLIP that is frozen encodes every picture once, if the tokens fit
    into half of the memory that is left.
    """
    if min(samples, subset_size, held_out) < 1:
        raise BadInput(f"data.samples, data.subset_size and data.held_out must be at least 1, not {samples}, {subset_size} and {held_out}.")
    if imagenet_root is None:
        source = CaptionedScenes(clip.resolution, samples=subset_size if use_subset else samples, seed=seed)
        fresh = CaptionedScenes(clip.resolution, samples=held_out, seed=HELD_OUT)
    else:
        source, fresh = create_photos(imagenet_root, on_cpu(clip.processor), use_subset, subset_size, seed)
    endless = imagenet_root is None and not use_subset
    fits = not endless and 2 * KeptTokens.wanted(clip, source) <= free_memory(torch.device("cpu"))
    live = LiveTokens if clip.freeze else Pixels
    data, rest = (KeptTokens if fits and clip.freeze else live)(clip, source), live(clip, fresh)
    data = data if imagenet_root is None else Readable(data)
    data.endless = endless
    many = min(held_out, len(rest))
    parts = [rest.__getitems__(range(first, min(first + AT_ONCE, many))).cpu() for first in range(0, many, AT_ONCE)]
    if not sum(map(len, parts)):
        raise BadInput(f"none of the held-out pictures of {imagenet_root} can be read; look at the first by hand.")
    pixels = (Pixels(clip, fresh).__getitems__([index]) for index in range(many))
    shown = denormalized(next(one for one in pixels if len(one)), clip.processor)[0]
    return Data(data, torch.cat([part for part in parts if len(part)]), shown.cpu())
