"""Pictures from disk for CLIP: a folder of class folders as ImageNet has them, or a plain folder of pictures.

A picture that cannot be used is left out, with one sentence that says why, and the rest of the folder is still read.
"""

import os
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from course_lib.core.errors import BadInput, one_line
from course_lib.core.randomness import stream_seed

ENDINGS = (*IMG_EXTENSIONS, ".gif", ".jfif")
MAX_PIXELS = 80_000_000  # 240 MB once decoded; PIL itself warns from 89 million on
MIN_SIDE, MAX_RATIO = 4, 100  # the finest patch of a CLIP here; beyond it, the short side enlarged to 336 makes the long one 33,600
BACKGROUND = "white"
SUBSET, HELD_OUT = 3, 4  # what random numbers are for, see `core.randomness.stream_seed`
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError,
           struct.error, zlib.error)  # PIL's readers raise all of these on damaged files

Preprocess = Callable[[Image.Image], Tensor]


class PhotoBatch(NamedTuple):
    """Pictures that could be read, and a sentence for each that could not; there may be no picture at all."""

    pixels: Float[Tensor, "batch channels height width"]
    names: list[str]  # of the files, below the folder
    labels: Int64[Tensor, "batch"]  # number of the class in `Photos.classes`; −1 in a plain folder
    indices: Int64[Tensor, "batch"]  # which pictures of the data set these are
    skipped: list[str]


def open_picture(path: str | Path, max_pixels: int = MAX_PIXELS, background: str = BACKGROUND) -> Image.Image:
    """The picture in a file as 8-bit RGB, upright.

    Grey, CMYK, palette and one-bit pictures are converted; 16-bit grey is divided by 257, so that white stays white; of an
    animated picture the first frame is taken; EXIF orientation is carried out. What is transparent is laid on `background`:
    white, for cut-outs, logos and drawings are made to stand on a page. (Without this, colours would appear that nobody
    was meant to see: a transparent pixel has one too, most often black.)
    Raises `BadInput`, one sentence each: no file, no permission, no picture, damaged or cut short, more than `max_pixels`
    pixels (a small file can unpack to gigabytes), less than 4 pixels wide or high, over 100 times as long as wide, 32-bit numbers.
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # odd metadata; the picture is fine, or an error follows
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # above PIL's own limit, should max_pixels be higher
        try:
            with Image.open(path) as image:
                width, height = image.size
                _check_size(path, width, height, max_pixels)
                return _upright_rgb(path, image, background)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise BadInput(f"{path} has more pixels than the {Image.MAX_IMAGE_PIXELS} that PIL takes for safe; make it smaller.") from None
        except BadInput:
            raise
        except FileNotFoundError:
            raise BadInput(f"there is no picture {path}; check the name.") from None
        except PermissionError:
            raise BadInput(f"{path} may not be read (no permission); make it readable.") from None
        except IsADirectoryError:
            raise BadInput(f"{path} is a folder, not a picture; name a file in it.") from None
        except UnidentifiedImageError:
            raise BadInput(f"{path} is not a picture, whatever its name says; take it away or save it as JPEG or PNG.") from None
        except DAMAGED as error:
            raise BadInput(f"{path} is damaged or cut short ({one_line(error)}); get it again.") from None


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise BadInput(f"{path} has {width} × {height} pixels, more than the {max_pixels} that are allowed; make it smaller.")
    if min(width, height) < MIN_SIDE:
        raise BadInput(f"{path} has only {width} × {height} pixels, and a picture needs at least {MIN_SIDE} × {MIN_SIDE}.")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BadInput(f"{path} has {width} × {height} pixels, and a picture may be at most {MAX_RATIO} times as long as wide; cut it.")


def _upright_rgb(path: Path, image: Image.Image, background: str) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # PIL would cut these off at 255
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise BadInput(f"{path} holds 32-bit numbers, for which no white is agreed; save it with 8 or 16 bits.")
        return Image.fromarray((values / 257).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, background)
        return Image.alpha_composite(page, image).convert("RGB")
    return image.convert("RGB")


class _Classes(ImageFolder):
    """torchvision's reader of class folders, without hidden ones: .ipynb_checkpoints would shift every label."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir() and not entry.name.startswith("."))
        return classes, {name: number for number, name in enumerate(classes)}


class Photos(Dataset):
    """The pictures of a folder. `photos[i]` is (pixels, label); `photos.__getitems__(indices)` a `PhotoBatch`, broken ones left out.

    folder      with `split` ("train" or "val") its sub-folder of that name. If pictures lie in the folder itself, these are all
                (`classes` is empty, labels are −1); else each sub-folder is a class, read by torchvision's ImageFolder.
    preprocess  PIL picture -> pixels (3, height, width), or with a batch of one in front; the CLIP in use has one
    use_subset  take `subset_size` pictures, drawn with `seed` (all, if there are fewer): the same ones for the same seed
    Files whose names begin with a dot, or do not end like a picture's, are passed over.
    Raises `BadInput`: folder missing, unreadable, empty or without pictures, a subset of none. `skipped` says which
    sub-folders may not be read.
    """

    def __init__(self, folder: str | Path, preprocess: Preprocess, split: str | None = None, use_subset: bool = False,
                 subset_size: int = 1000, seed: int = 0, max_pixels: int = MAX_PIXELS, background: str = BACKGROUND):
        self.folder = Path(str(folder)) / split if split else Path(str(folder))  # Hydra takes 2026 for a number
        self.preprocess, self.max_pixels, self.background = preprocess, max_pixels, background
        self.skipped: list[str] = []
        self.classes: list[str] = []
        self.files, labels = self._find()
        self.labels = torch.tensor(labels)
        if not self.files:
            why = f" that may be read ({self.skipped[0]})" if self.skipped else f" ({', '.join(ENDINGS)})"
            raise BadInput(f"{self.folder} holds no pictures{why}; name a folder of pictures, or of class folders with pictures.")
        if use_subset:
            if subset_size < 1:
                raise BadInput(f"subset_size must be at least 1 picture, not {subset_size}.")
            self._keep(_draw(len(self), seed, SUBSET)[:subset_size])

    def _find(self) -> tuple[list[str], list[int]]:
        try:
            entries = sorted(os.scandir(self.folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            raise BadInput(f"there is no folder {self.folder}; check the name.") from None
        except NotADirectoryError:
            raise BadInput(f"{self.folder} is not a folder; name the folder in which the pictures lie.") from None
        except OSError as error:
            raise BadInput(f"the folder {self.folder} may not be read ({error.strerror}); make it readable.") from None
        plain = [entry.name for entry in entries if _is_picture(entry.name) and not entry.is_dir()]
        if plain:
            return plain, [-1] * len(plain)
        inside = [entry.path for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        self.skipped = [f"the folder {path} may not be read (no permission)" for path in inside if not _may_be_read(path)]
        if not inside:
            return [], []
        found = _Classes(str(self.folder), is_valid_file=_is_picture, allow_empty=True)
        self.classes = found.classes
        return [str(Path(path).relative_to(self.folder)) for path, _ in found.samples], list(found.targets)

    def _keep(self, indices: Tensor) -> None:
        indices = indices.sort().values
        self.files, self.labels = [self.files[index] for index in indices.tolist()], self.labels[indices]

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Tensor:
        """The pixels of one picture. Raises `BadInput` as `open_picture` does."""
        picture = open_picture(self.folder / self.files[index], self.max_pixels, self.background)
        pixels = self.preprocess(picture)
        return pixels[0] if pixels.ndim == 4 else pixels

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.read(index), int(self.labels[index])

    def __getitems__(self, indices: Sequence[int]) -> PhotoBatch:
        pixels, read, skipped = [], [], []
        for index in indices:
            try:
                pixels.append(self.read(index))
                read.append(index)
            except BadInput as error:
                skipped.append(str(error))
        places = torch.tensor(read, dtype=torch.int64)
        stacked = torch.stack(pixels) if pixels else torch.zeros(0, 3, 0, 0)
        return PhotoBatch(stacked, [self.files[index] for index in read], self.labels[places], places, skipped)

    def provenance(self) -> dict:
        """What a cache must know of its source: the folder, and the name and size in bytes of every file."""
        sizes = [(self.folder / name).stat().st_size for name in self.files]
        return {"folder": str(self.folder), "background": self.background, "max_pixels": self.max_pixels,
                "files": [list(pair) for pair in zip(self.files, sizes)]}


def create_photos(folder: str | Path, preprocess: Preprocess, use_subset: bool = False, subset_size: int = 1000, seed: int = 0,
                  held_out: float = 0.1, **options) -> tuple[Photos, Photos]:
    """(training, held-out) pictures: those of train/ and val/ where these lie in the folder, else a seeded share `held_out` apart.

    The subset is drawn of the training pictures. Of the held-out ones every run takes the same: they follow from no seed.
    Raises `BadInput` as `Photos` does, and where a folder of one picture cannot be divided.
    """
    if all((Path(str(folder)) / split).is_dir() for split in ("train", "val")):
        return (Photos(folder, preprocess, "train", use_subset, subset_size, seed, **options), Photos(folder, preprocess, "val", **options))
    training, rest = Photos(folder, preprocess, **options), Photos(folder, preprocess, **options)
    many = len(rest)
    apart = max(1, round(held_out * many))
    if not 0 < held_out < 1 or apart >= many:
        raise BadInput(f"held_out must be between 0 and 1 and leave pictures on both sides, not {held_out} of {many}.")
    order = _draw(many, 0, HELD_OUT)
    rest._keep(order[:apart])
    kept = order[apart:].sort().values
    if use_subset:
        if subset_size < 1:
            raise BadInput(f"subset_size must be at least 1 picture, not {subset_size}.")
        kept = kept[_draw(len(kept), seed, SUBSET)[:subset_size]]
    training._keep(kept)
    return training, rest


def on_cpu(processor: Callable) -> Preprocess:
    """What `ClipTokens.preprocess` does, by its `processor` alone: workers then need neither the model nor its GPU."""
    return partial(_process, processor)


def _process(processor: Callable, picture: Image.Image) -> Tensor:
    return processor(images=[picture], return_tensors="pt")["pixel_values"][0]


def _draw(many: int, seed: int, purpose: int) -> Int64[Tensor, "many"]:
    return torch.randperm(many, generator=torch.Generator().manual_seed(stream_seed(seed, purpose)))


def _may_be_read(folder: str) -> bool:
    """torchvision would pass over it without a word."""
    try:
        os.scandir(folder).close()
    except PermissionError:
        return False
    return True


def _is_picture(name: str) -> bool:
    name = os.path.basename(name)
    return name.lower().endswith(ENDINGS) and not name.startswith(".")
