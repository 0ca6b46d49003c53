"""The two forms in which CLEVR is published, read scene by scene; `clevr.CLEVR6` makes a data set of them.

Both show the same world through the same lens. Blender fits the camera to the wider side of the picture, so the 480
pixels of the original release see what the 320 of DeepMind's files see, and the paper's crop [29:221, 64:256] of the
latter (Locatello et al. 2020; their slot_attention/data.py) is [24:312, 96:384] of the former.
"""

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from course_lib.core.errors import BadInput

RELEASE, RECORDS = "CLEVR_v1.0", "clevr_with_masks_train.tfrecords"
WHERE = (f"put {RELEASE}/ (https://cs.stanford.edu/people/jcjohns/clevr/, pictures without masks) or {RECORDS} "
         "(https://github.com/google-deepmind/multi_object_datasets, with masks) into a folder and name it: "
         "data.folder=PATH on the command line, folder=PATH in Python")
KINDS = ("cube", "sphere", "cylinder")
# colours and radii (in the world's unit) as in properties.json of clevr-dataset-gen
COLOURS = {"gray": (87, 87, 87), "red": (173, 35, 35), "blue": (42, 75, 215), "green": (29, 105, 20),
           "brown": (129, 74, 25), "purple": (129, 38, 192), "cyan": (41, 208, 208), "yellow": (255, 238, 51)}
RADII = {"large": 0.7, "small": 0.35}
LENS = 35 / 32  # focal length by sensor width, in mm: an object of radius r at depth d has radius LENS·width·r/d pixels
ENTITIES, HEIGHT, WIDTH = 11, 240, 320  # DeepMind's: the background and at most ten objects
OFFICIAL, TRAIN = 100_000, 0.7  # scenes in DeepMind's file; the paper trains on the first 70,000, tests on what follows

Scene = dict[str, np.ndarray]  # image (side, side, 3) and perhaps ids (side, side), uint8, and the factors of n objects


class Broken(Exception):
    """One scene that cannot be read; says why."""


def find_files(folder: str | Path | None) -> "Release | Records":
    """Return the reader for what lies in `folder`, of both forms the one with masks. Raises `BadInput` for neither."""
    if folder is None or not Path(str(folder)).exists():
        raise BadInput(f"CLEVR is not there{'' if folder is None else f' ({folder} does not exist)'}: {WHERE}.")
    folder = Path(str(folder))  # Hydra takes 2026 for a number
    for path in (folder, folder / RECORDS):
        if path.is_file():
            return Records(path)
    for path in (folder, folder / RELEASE):
        if (path / "scenes").is_dir():
            return Release(path)
    raise BadInput(f"{folder} holds neither {RELEASE} nor {RECORDS}: {WHERE}.")


def factors(kind: Any, colour: Any, pixels: Any, radius: Any, degrees: Any, corner: tuple[int, int],
            width: int) -> Scene:
    """Factors as scenes have them: `pixels` (n, 3) are column, row and depth in a picture of so many columns, and
    `corner` (column, row) is where the crop of 0.6 · width begins."""
    pixels, half = np.asarray(pixels, np.float32).reshape(-1, 3), 0.3 * width
    size = np.asarray(radius, np.float32) * LENS * width / np.maximum(pixels[:, 2], 1e-6) / half
    return {"kind": np.asarray(kind, np.int64), "colour": np.asarray(colour, np.float32).reshape(-1, 3) / 255,
            "position": (pixels[:, :2] - np.float32(corner)) / np.float32(half) - 1, "size": size.astype(np.float32),
            "angle": np.deg2rad(np.asarray(degrees, np.float32))}


class Release:
    """CLEVR v1.0 (Johnson et al. 2017): images/SPLIT/*.png and scenes/CLEVR_SPLIT_scenes.json, SPLIT train or val.

    It has no masks.
    """

    masks, kinds = False, KINDS

    def __init__(self, folder: Path):
        self.folder, self.scenes = folder, {}

    def path(self, split: str) -> Path:
        """The list of the scenes of a split."""
        return self.folder / "scenes" / f"CLEVR_{split}_scenes.json"

    def count(self, split: str) -> int:
        """Scenes of this split. Raises `BadInput` if their list is missing or cannot be read."""
        if split not in self.scenes:
            path = self.path(split)
            try:
                scenes = json.loads(path.read_bytes())["scenes"]
                fields = (("image_filename", str), ("objects", list))
                if not all(isinstance(scene[name], kind) for scene in scenes for name, kind in fields):
                    raise TypeError
            except FileNotFoundError:
                raise BadInput(f"{path} is missing: {WHERE}.") from None
            except (ValueError, KeyError, TypeError):
                raise BadInput(f"{path} is not a list of CLEVR scenes; unpack the original again.") from None
            self.scenes[split] = scenes
        return len(self.scenes[split])

    def records(self, split: str, start: int = 0) -> Iterator[tuple[str, Any]]:
        """(name, what `decode` takes) of every scene from number `start` on."""
        self.count(split)
        for scene in self.scenes[split][start:]:
            name = Path(scene["image_filename"]).name
            yield name, (self.folder / "images" / split / name, scene["objects"])

    def decode(self, record: Any, least: int, most: int) -> Scene | None:
        """The scene, or None if it has fewer than `least` or more than `most` objects. Raises `Broken`."""
        path, objects = record
        if not least <= len(objects) <= most:
            return None
        try:
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
        except (OSError, SyntaxError) as error:  # PIL tells some broken files by a SyntaxError
            raise Broken("no such file" if isinstance(error, FileNotFoundError) else "no readable picture") from None
        if pixels.shape != (320, 480, 3):
            raise Broken(f"{pixels.shape[1]} × {pixels.shape[0]} pixels instead of 480 × 320")
        try:
            rows = [(KINDS.index(one["shape"]), COLOURS[one["color"]], one["pixel_coords"], RADII[one["size"]],
                     one["rotation"]) for one in objects]
            return {"image": pixels[24:312, 96:384]} | factors(*zip(*rows), corner=(96, 24), width=480)
        except (KeyError, ValueError, TypeError):
            raise Broken("its objects are not described as CLEVR's are") from None


class Records:
    """DeepMind's clevr_with_masks (multi_object_datasets, 2019): one TFRecord file, GZIP or not, a mask per object.

    It numbers shapes, colours and sizes without a legend: `kind` is the number less one, `colour` the mean colour of
    the object's visible pixels, and the radius follows from z, the height of its centre. The first 70 % train.
    """

    masks, kinds = True, ("shape 1", "shape 2", "shape 3")

    def __init__(self, file: Path):
        try:
            from google.protobuf.message import DecodeError
            from tfrecord import example_pb2, writer
        except ImportError:
            raise BadInput("TFRecords are read with a package of its own: pip install \"tfrecord>=1.14.6\".") from None
        self.file, self.crc = file, writer.TFRecordWriter.masked_crc
        self.example, self.error = example_pb2.Example, DecodeError

    def path(self, split: str) -> Path:
        """The file, which holds both splits."""
        return self.file

    def count(self, split: str) -> int:
        """Scenes of this split."""
        train = int(TRAIN * self.every)
        return train if split == "train" else self.every - train

    @cached_property
    def every(self) -> int:
        """Scenes in the file; only one too small to be DeepMind's is counted: theirs would take minutes."""
        return OFFICIAL if self.file.stat().st_size > 2**30 else sum(1 for _ in self._framed())

    def records(self, split: str, start: int = 0) -> Iterator[tuple[str, Any]]:
        """(name, what `decode` takes) of every scene from number `start` on; the others are read past."""
        first = start if split == "train" else start + self.count("train")
        for number, record in islice(enumerate(self._framed()), first, None):
            yield f"scene {number}", record

    def _framed(self) -> Iterator[tuple[bytes, bytes] | Broken]:
        """Each record and its checksum. A gap leaves no way to find the next record: the last item says so.

        tfrecord's own loop reads a GZIP file twice, checks no sum and raises at a damaged place; its parser we use.
        """
        with self.file.open("rb") as raw:
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = gzip.open(raw) if zipped else raw
            try:
                while head := stream.read(12):
                    if len(head) < 12 or self.crc(head[:8]) != head[8:]:
                        raise EOFError
                    (length,) = struct.unpack("<Q", head[:8])
                    record, crc = stream.read(length), stream.read(4)
                    if len(record) < length or len(crc) < 4:
                        raise EOFError
                    yield record, crc
            except (EOFError, OSError, zlib.error):
                yield Broken("here the file is damaged or cut short, so nothing after it can be read; fetch it again")

    def decode(self, record: Any, least: int, most: int) -> Scene | None:
        """The scene, or None if it has fewer than `least` or more than `most` objects.

        Raises `Broken`, or `BadInput` if the file holds other things than CLEVR.
        """
        if isinstance(record, Broken):
            raise record
        if self.crc(record[0]) != record[1]:
            raise Broken("its checksum is wrong")
        try:
            features = self.example.FromString(record[0]).features.feature
        except self.error:
            raise BadInput(f"{self.file} is not {RECORDS}: its records are not tf.train.Example messages.") from None
        there = self._floats(features, "visibility", ENTITIES) > 0
        objects = np.flatnonzero(there[1:]) + 1
        if not least <= len(objects) <= most:
            return None
        image = self._bytes(features, "image", (HEIGHT, WIDTH, 3))[29:221, 64:256]
        masks = self._bytes(features, "mask", (ENTITIES, HEIGHT, WIDTH))[:, 29:221, 64:256]
        ids = masks[[0, *objects]].argmax(0).astype(np.uint8)
        seen = [image[ids == k] for k in range(1, len(objects) + 1)]
        colour = [pixels.mean(0) if len(pixels) else np.zeros(3) for pixels in seen]
        large = self._floats(features, "z", ENTITIES)[objects] > 0.42  # z = r, and r/√2 for a cube
        radius = np.where(large, RADII["large"], RADII["small"])
        return {"image": image, "ids": ids} | factors(
            self._bytes(features, "shape", (ENTITIES,))[objects].astype(np.int64) - 1, colour,
            self._floats(features, "pixel_coords", 3 * ENTITIES).reshape(-1, 3)[objects], radius,
            self._floats(features, "rotation", ENTITIES)[objects], corner=(64, 29), width=WIDTH)

    def _bytes(self, features: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """DeepMind stored every byte as a string of its own; one string for all is read too."""
        raw = b"".join(features[name].bytes_list.value)
        self._check(name, len(raw), int(np.prod(shape)), "bytes")
        return np.frombuffer(raw, np.uint8).reshape(shape)

    def _floats(self, features: Any, name: str, size: int) -> np.ndarray:
        values = np.array(features[name].float_list.value, np.float32)
        self._check(name, len(values), size, "numbers")
        return values

    def _check(self, name: str, found: int, wanted: int, what: str) -> None:
        if found != wanted:
            raise BadInput(f"{self.file} is not {RECORDS}: {name!r} holds {found} {what} instead of {wanted}.")
