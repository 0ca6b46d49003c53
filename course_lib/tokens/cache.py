"""Tokens on disk: pictures go through CLIP once, and training reads what came out; or, where that is too much, tokens on the fly.

A cache is a folder of safetensors files of some pictures each and cache.json, which says what the tokens are of (`provenance`).
1000 pictures by ViT-L/14-336 in float16 take 1.2 GB, all of ImageNet 1.5 TB.
"""

import json
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from course_lib.core.errors import BadInput, one_line, refusal
from course_lib.core.memory import free_memory
from course_lib.core.paths import atomic
from course_lib.core.randomness import as_it_is
from course_lib.slots.scenes import Scenes
from course_lib.tokens.compressor import Grid
from course_lib.tokens.photos import PhotoBatch, Photos
from course_lib.tokens.provenance import RECORD, check, clip_record, described, read_record

DTYPES = {"float16": torch.float16, "float32": torch.float32}
SHARD_BYTES = 64 * 2**20  # of a file: what is in memory while caching, and what a kill can lose


class Tokens(NamedTuple):
    """A batch of encoded pictures. labels: the class of a photo (−1: none), the number of a scene."""

    tokens: Grid
    cls: Float[Tensor, "batch dim"]
    labels: Int64[Tensor, "batch"]


class LiveTokens(Dataset):
    """Pictures → tokens at every access, in float32 and on CLIP's device. `source` as in `cache_tokens`.

    `__getitems__(indices)` is a grid (batch, height, width, dim), `batch(indices)` has CLS and labels too. Of pictures that cannot be
    read there are no tokens: the batch is smaller, and `skipped` has a sentence for each. Use it without worker processes: CLIP
    would be in each of them.
    """

    def __init__(self, clip: nn.Module, source: Dataset):
        self.clip, self.source, self.skipped = clip, source, []

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, indices: Sequence[int]) -> Tokens:
        """Tokens, CLS and labels of the pictures of these numbers, fewer where some cannot be read."""
        found, skipped = _encoded(self.clip, self.source.__getitems__(list(indices)), self.clip.grid)
        self.skipped += skipped
        return found

    def __getitems__(self, indices: Sequence[int]) -> Grid:
        return self.batch(indices).tokens


class KeptTokens(LiveTokens):
    """The same, with every picture encoded only once: afterwards its tokens are in memory, in float16, and rounded to it from the first.

    For a fixed set that fits: see `wanted`. A picture that cannot be read is tried, and named, once.
    """

    def __init__(self, clip: nn.Module, source: Dataset):
        super().__init__(clip, source)
        self._kept: dict[int, Tensor | None] = {}

    @staticmethod
    def wanted(clip: nn.Module, source: Dataset) -> int:
        """Bytes of memory when all is kept."""
        return 2 * len(source) * math.prod(clip.grid) * clip.dim

    def __getitems__(self, indices: Sequence[int]) -> Grid:
        if new := [index for index in dict.fromkeys(indices) if index not in self._kept]:
            batch = self.source.__getitems__(new)
            (tokens, *_), skipped = _encoded(self.clip, batch, self.clip.grid)
            self.skipped += skipped
            self._kept |= dict.fromkeys(new) | dict(zip(batch.indices.tolist() if isinstance(batch, PhotoBatch) else new, tokens.half().cpu()))
        there = [self._kept[index] for index in indices if self._kept[index] is not None]
        tokens = torch.stack(there) if there else torch.zeros(0, *self.clip.grid, self.clip.dim)
        return tokens.float().to(next(self.clip.parameters()).device)


class TokenCache(Dataset):
    """The tokens that `cache_tokens` wrote. `__getitems__(indices)` is a grid (batch, height, width, dim) in float32.

    Files are mapped, not read: only the rows asked for come into memory. `batch(indices)` has CLS and labels too, `labels` are all
    labels, `load()` brings everything into memory. record: cache.json.
    clip, source: what the tokens must be of, if given.
    Raises `BadInput`: no cache, an unfinished or damaged one; tokens of another model, layer, preprocessing or source.
    """

    def __init__(self, folder: str | Path, clip: nn.Module | None = None, source: Dataset | None = None):
        self.folder = Path(folder)
        self.record = read_record(self.folder)
        if self.record is None:
            raise BadInput(f"{self.folder} holds no tokens ({RECORD} is missing); cache them first.")
        if self.record["count"] is None:
            raise BadInput(f"the tokens in {self.folder} are not complete; the command that began to cache them goes on where it stopped.")
        if clip is not None:
            check(self.folder, self.record, {"clip": clip_record(clip)} if source is None else described(clip, source))
        self.grid, self.dim = tuple(self.record["grid"]), self.record["dim"]
        self.ends = np.cumsum([rows for _, rows in self.record["shards"]])
        self._open: dict[int, dict[str, Tensor]] = {}
        self.labels = torch.cat([self._shard(number)["labels"] for number in range(len(self.ends))])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def batch(self, indices: Sequence[int]) -> Tokens:
        """Tokens, CLS and labels of the pictures of these numbers; raises IndexError for a number that there is not."""
        numbers = np.asarray(indices, np.int64)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"pictures {numbers.min()} to {numbers.max()} of {len(self)}")
        tokens, cls = torch.empty(len(numbers), *self.grid, self.dim), torch.empty(len(numbers), self.dim)
        which = np.searchsorted(self.ends, numbers, side="right")
        for shard in np.unique(which).tolist():
            places = np.flatnonzero(which == shard)
            rows = numbers[places] - (self.ends[shard - 1] if shard else 0)
            tokens[places], cls[places] = (self._shard(shard)[name][rows].float() for name in ("tokens", "cls"))
        return Tokens(tokens, cls, self.labels[numbers])

    def __getitems__(self, indices: Sequence[int]) -> Grid:
        return self.batch(indices).tokens

    def __getitem__(self, index: int) -> Float[Tensor, "height width dim"]:
        return self.batch([index]).tokens[0]

    def load(self) -> Tokens:
        """Everything in memory, in float32. Raises `BadInput` if there is not that much memory left."""
        wanted = 4 * len(self) * (math.prod(self.grid) + 1) * self.dim
        if wanted > (free := free_memory(torch.device("cpu"))):
            raise BadInput(f"the {_size(wanted)} of all tokens in {self.folder} do not fit into the {_size(free)} of memory that are left; "
                           "read them batch by batch.")
        return self.batch(range(len(self)))

    def _shard(self, number: int) -> dict[str, Tensor]:
        if number not in self._open:
            self._open[number] = _map_shard(self.folder / self.record["shards"][number][0])
        return self._open[number]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_open": {}}  # a worker maps the files itself


def cache_tokens(clip: nn.Module, source: Dataset, folder: str | Path, dtype: str = "float16", batch_size: int = 32, workers: int = 0,
                 shard: int | None = None, progress: bool = True) -> TokenCache:
    """Encode every picture of `source` once and keep tokens and CLS in `folder`; return them. What is there already is not done again.

    clip      a `ClipTokens`
    source    `Photos`, or scenes as `slots.scenes.SceneDataset` gives them (`image` in [0, 1], `number`)
    shard     pictures in a file; None for files of 64 MB
    How many bytes will be written is said before. Killed, the same call goes on after the last whole file; a half-written one is
    never read. Broken pictures are left out: a line for each, and `record["skipped"]`. One process at a time may write.
    Raises `BadInput`: less free disk than needed, or a disk that becomes full or refuses; a cache of other things in this folder;
    no picture that can be read; numbers that float16 cannot hold; settings out of range.
    """
    folder = Path(folder)
    if dtype not in DTYPES or min(batch_size, 1 if shard is None else shard) < 1 or workers < 0:
        raise BadInput(f"dtype must be float16 or float32, batch_size and shard at least 1 and workers at least 0, "
                       f"not {dtype!r}, {batch_size}, {shard} and {workers}.")
    new, old = described(clip, source) | {"dtype": dtype}, read_record(folder)
    each = DTYPES[dtype].itemsize * (math.prod(new["grid"]) + 1) * new["dim"] + 8
    if old:
        check(folder, old, new)
        if old["count"] is not None:
            return TokenCache(folder)
    new["shard"] = old["shard"] if old else (shard or max(1, SHARD_BYTES // each))
    parts = {folder / f"from_{first:07d}.safetensors": range(first, min(first + new["shard"], len(source)))
             for first in range(0, len(source), new["shard"])}
    missing = {path: part for path, part in parts.items() if not path.exists()}
    _announce(folder, each * sum(map(len, missing.values())), len(source), new)
    try:
        for left in (*folder.glob(".from_*"), *folder.glob(f".{RECORD}*")):  # of a process that was killed
            left.unlink()
        with atomic(folder / RECORD) as temporary:
            temporary.write_text(json.dumps(new | {"count": None}, indent=1), encoding="utf-8")
        _write(clip, source, missing, new, batch_size, workers, progress)
        found = {path: _rows(path) for path in parts}
        new["skipped"] = [line for _, lines in found.values() for line in lines]
        new["shards"] = [[path.name, rows] for path, (rows, _) in found.items()]
        new["count"] = sum(rows for rows, _ in found.values())
        if not new["count"]:
            raise BadInput(f"none of the {len(source)} pictures can be used; the first: {new['skipped'][0]}")
        with atomic(folder / RECORD) as temporary:
            temporary.write_text(json.dumps(new, indent=1), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise BadInput(f"cannot go on caching tokens into {folder} ({refusal(error)}); make room or name another folder: what is complete stays, and "
                       "the same command goes on from there.") from None
    if new["skipped"]:
        tqdm.write(f"{folder}: {len(new['skipped'])} of {len(source)} pictures were left out.", file=sys.stderr)
    return TokenCache(folder)


def _write(clip: nn.Module, source: Dataset, missing: dict[Path, range], record: dict, batch_size: int, workers: int,
           progress: bool) -> None:
    """Encode the pictures of each missing file, and write it when it has all of them."""
    dtype = DTYPES[record["dtype"]]
    batches = [list(part[first : first + batch_size]) for part in missing.values() for first in range(0, len(part), batch_size)]
    ready: Iterator = iter(DataLoader(source, batch_sampler=batches, num_workers=workers, collate_fn=as_it_is))
    for line in source.skipped if isinstance(source, Photos) else ():
        tqdm.write(f"left out: {line}", file=sys.stderr)
    with tqdm(total=sum(map(len, missing.values())), desc="tokens", unit="picture", disable=not (progress and missing)) as bar:
        for path, part in missing.items():
            pieces, skipped = [], []
            for _ in range(0, len(part), batch_size):
                found, lines = _encoded(clip, next(ready), record["grid"])
                for line in lines:
                    tqdm.write(f"left out: {line}", file=sys.stderr)
                skipped += lines
                pieces.append([found.tokens.to("cpu", dtype), found.cls.to("cpu", dtype), found.labels.cpu()])
                bar.update(len(found.labels) + len(lines))
            rows = {name: torch.cat(column).contiguous() for name, column in zip(Tokens._fields, zip(*pieces))}
            if not (rows["tokens"].isfinite().all() and rows["cls"].isfinite().all()):
                raise BadInput(f"a token holds a number that {record['dtype']} cannot hold, or none at all; "
                               "take dtype=float32, or look for NaN in the model.")
            with atomic(path) as temporary:
                save_file(rows, temporary, {"skipped": json.dumps(skipped)})


@torch.no_grad()
def _encoded(clip: nn.Module, batch: PhotoBatch | Scenes, grid: Sequence[int]) -> tuple[Tokens, list[str]]:
    """What CLIP makes of a batch of `Photos` or of scenes, and the sentences on pictures that could not be read."""
    device = next(clip.parameters()).device
    if isinstance(batch, PhotoBatch):
        pixels, labels, skipped = batch.pixels.to(device), batch.labels, batch.skipped
    else:
        pixels, labels, skipped = clip.normalized(batch["image"].to(device)), batch["number"], []
    if not len(pixels):  # of every picture of the batch there is a sentence
        return Tokens(torch.zeros(0, *grid, clip.dim), torch.zeros(0, clip.dim), labels), skipped
    tokens, cls = clip.encode(pixels)
    return Tokens(tokens.float(), cls.float(), labels), skipped


def _map_shard(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, mapped: their numbers are read from disk when they are used."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in Tokens._fields}
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path} is missing or damaged ({one_line(error)}); delete it and {RECORD}, "
                       "and cache the tokens again.") from None


def _rows(path: Path) -> tuple[int, list[str]]:
    """How many pictures are in a file, and which were left out."""
    with safe_open(path, "pt") as file:
        return file.get_slice("labels").get_shape()[0], json.loads(file.metadata()["skipped"])


def _announce(folder: Path, wanted: int, many: int, record: dict) -> None:
    """Say how much will be written; raise `BadInput` if there is not that much room."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if wanted > free:
        raise BadInput(f"the tokens of {many} pictures take {_size(wanted)} more, and {folder} has {_size(free)} left; take a subset, float16, "
                       "another folder, or encode on the fly.")
    height, width = record["grid"]
    tqdm.write(f"Caching {height} × {width} tokens of {record['dim']} numbers for {many} pictures in {record['dtype']}: {_size(wanted)} to be "
               f"written into {folder}, which has {_size(free)} left.", file=sys.stderr)


def _size(many: int) -> str:
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if many >= one:
            return f"{many / one:.1f} {unit}"
    return f"{many / 1e3:.1f} kB"
