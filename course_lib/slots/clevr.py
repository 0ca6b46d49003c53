"""CLEVR6: the real pictures of CLEVR with at most six objects, from the original release or from DeepMind's files."""

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from course_lib.core.errors import BadInput
from course_lib.core.paths import atomic
from course_lib.slots.clevr_files import Broken, Scene, find_files
from course_lib.slots.scenes import Batched, Scenes

CHUNK = 1000  # scenes of the source per file of the cache: what an interruption can lose


class CLEVR6(Batched):
    """Scenes of CLEVR with min_objects to max_objects objects. A batch is a dict as in `scenes.SceneDataset`, where

    image     the paper's crop (see `clevr_files`) resized bilinearly; smoothed first where it shrinks to less than 2/3
    ids       nearest pixels of the masks; absent without masks, and then no score of a segmentation can be given
    kind      index into `kinds`; colour: CLEVR's named colour in RGB or, from DeepMind's files, the mean visible colour
    position  of the object's centre; beyond ±1 the crop has cut it off, though it is still `present`
    size      radius of a sphere there, seen from the camera: the same unit as position
    angle     rotation about the vertical

    and `way`, `visible` and `background` do not exist. A GZIP file has no random access and pictures are slow to
    decode, so all scenes are read once and kept as uint8 in `cache` (default: course_cache beside the data), in files
    of `CHUNK` source scenes; an interrupted reading goes on from there. DeepMind's 70,000 for training take about
    75 minutes of one core, and 2.3 GB at 128 pixels. Broken scenes are left out: `skipped` lists them, and one sentence
    at the end.

    folder: see `clevr_files.find_files`. samples: at most so many scenes; None for all.
    split: "train", or "val" (the release's own; of DeepMind's file the last 30 %).
    """

    endless = False

    def __init__(self, folder: str | Path | None = None, resolution: int = 128, min_objects: int = 2,
                 max_objects: int = 6, samples: int | None = None, split: str = "train",
                 cache: str | Path | None = None, progress: bool = True):
        if resolution < 16:
            raise BadInput(f"resolution must be at least 16 pixels, not {resolution}: objects would be invisible.")
        if not 1 <= min_objects <= max_objects <= 10:
            raise BadInput("CLEVR's scenes have 3 to 10 objects: 1 ≤ min_objects ≤ max_objects ≤ 10 must hold, not "
                           f"{min_objects} and {max_objects}.")
        if split not in ("train", "val") or (samples is not None and not (type(samples) is int and samples > 0)):
            raise BadInput("split must be train or val and samples a whole number, at least 1, or None, "
                           f"not {split!r} and {samples}.")
        self.source = find_files(folder)
        self.resolution, self.min_objects, self.max_objects, self.split = resolution, min_objects, max_objects, split
        self.kinds, self.masks = self.source.kinds, self.source.masks
        self.count = self.source.count(split)
        file = self.source.path(split)
        self.cache = Path(cache or file.parent / "course_cache") / (
            f"{file.stem}_{file.stat().st_size:x}_{split}_{min_objects}-{max_objects}_objects_{resolution}px")
        self.skipped: list[str] = []
        self.chunks: list[Path] = []
        self.ends: list[int] = []  # how many scenes lie in the first 1, 2, … chunks
        self._prepare(samples or self.count, progress)
        if not self.ends or not self.ends[-1]:
            why = f" (skipped: {self.skipped[0]})" if self.skipped else ""
            raise BadInput(f"{file} holds no readable scene of {min_objects} to {max_objects} objects for split "
                           f"{split!r}{why}.")
        self.samples = min(self.ends[-1], samples or self.count)
        del self.source  # the list of 70,000 scenes is not needed any more, least of all in every worker

    def _prepare(self, wanted: int, progress: bool) -> None:
        """Find or write the chunks, from the first on, until they hold `wanted` scenes."""
        missing = [first for first in range(0, self.count, CHUNK) if not self._chunk(first).exists()]
        if progress and missing:
            size = min(wanted, self.count) * (4 if self.masks else 3) * self.resolution**2 / 1e6
            unscored = "" if self.masks else " It has no masks: only the reconstruction can be scored."
            tqdm.write(f"Reading CLEVR once into {self.cache}: at most {size:.0f} MB. Interrupted, it goes on from "
                       f"there.{unscored}", file=sys.stderr)
        records, at = iter(()), -1
        with tqdm(total=self.count, desc="CLEVR", unit="scene", disable=not (progress and missing)) as bar:
            for first in range(0, self.count, CHUNK):
                if not self._chunk(first).exists():
                    records = records if at == first else self.source.records(self.split, first)
                    at = first + CHUNK
                    self._write(self._chunk(first), islice(records, min(CHUNK, self.count - first)))
                self._add(self._chunk(first))
                bar.update(min(CHUNK, self.count - first))
                if self.ends[-1] >= wanted:
                    break
        if self.skipped:
            more = f" and {len(self.skipped) - 5} more" if len(self.skipped) > 5 else ""
            tqdm.write(f"CLEVR: {len(self.skipped)} unreadable scenes were left out: {'; '.join(self.skipped[:5])}"
                       f"{more}.", file=sys.stderr)

    def _chunk(self, first: int) -> Path:
        return self.cache / f"from_{first:06d}.safetensors"

    def _write(self, path: Path, records: Iterable) -> None:
        scenes, skipped = [], []
        for name, record in records:
            try:
                scene = self.source.decode(record, self.min_objects, self.max_objects)
            except Broken as error:
                skipped.append(f"{name} ({error})")
                continue
            if scene is not None:
                scenes.append(self._pad(scene))
        names = scenes[0] if scenes else {"present": 0}
        rows = {name: torch.stack([scene[name] for scene in scenes]) if scenes else torch.zeros(0, 1) for name in names}
        with atomic(path) as temporary:
            save_file(rows, temporary, {"skipped": json.dumps(skipped)})

    def _pad(self, scene: Scene) -> dict[str, Tensor]:
        """Resize the pictures and give every factor max_objects rows."""
        n, size = len(scene["kind"]), (self.resolution, self.resolution)
        image = torch.tensor(scene["image"]).permute(2, 0, 1)[None].float()
        smooth = self.resolution * 3 < image.shape[-1] * 2  # the paper's 192 → 128 is not smoothed
        image = F.interpolate(image, size, mode="bilinear", antialias=smooth)
        row = {"image": image[0].round().clamp(0, 255).byte(), "present": torch.arange(self.max_objects) < n}
        if "ids" in scene:
            row["ids"] = F.interpolate(torch.tensor(scene["ids"])[None, None], size, mode="nearest-exact")[0, 0]
        for name in ("kind", "colour", "position", "size", "angle"):
            value = torch.tensor(scene[name])
            row[name] = torch.cat([value, value.new_zeros(self.max_objects - n, *value.shape[1:])])
        return row

    def _add(self, path: Path) -> None:
        try:
            with safe_open(path, "pt") as file:
                self.skipped += json.loads(file.metadata()["skipped"])
                many = file.get_slice("present").get_shape()[0]
        except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
            raise BadInput(f"{path} is damaged ({error}); delete it, and it is written anew.") from None
        self.chunks.append(path)
        self.ends.append(many + (self.ends[-1] if self.ends else 0))

    def batch(self, indices: Sequence[int]) -> Scenes:
        """The scenes of these numbers; each chunk that holds one is opened once."""
        numbers = np.asarray(indices, np.int64)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"scenes {numbers.min()} to {numbers.max()} of {len(self)}")
        chunk = np.searchsorted(self.ends, numbers, side="right")
        rows: list[dict[str, Tensor]] = [{}] * len(numbers)
        for which in np.unique(chunk):
            before = self.ends[which - 1] if which else 0
            with safe_open(self.chunks[which], "pt") as file:
                slices = {name: file.get_slice(name) for name in file.keys()}
                for place in np.flatnonzero(chunk == which):
                    row = int(numbers[place] - before)
                    rows[place] = {name: part[row : row + 1] for name, part in slices.items()}
        scenes = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
        return scenes | {"image": scenes["image"].float() / 255, "number": torch.from_numpy(numbers)}
