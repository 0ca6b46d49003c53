"""A trained compressor at work: picture → CLIP → few tokens → full grid, and what of it is kept on disk. `course_lib.infer` is its door.

NAME.safetensors of a picture holds, in float32 and in CLIP's own scale,

    compressed (n, dim)    what passes, row by row of the output grid        cls (dim)
    rebuilt (height, width, dim)    what the decoder makes of it

and as metadata of what picture, checkpoint, CLIP and layer they are, both grids, and the measures of the table. To use it:

    stored = read("outputs/infer/cat.jpg.safetensors")
    trained = load_trained(stored.about["checkpoint"])      with the clip=… and layer=… of the command, if it had any

    Retrieval: trained.clip.replay(stored.compressed[None], stored.cls[None]) is the picture's embedding, of unit length; its products
    with `trained.clip.text_embedding(texts)`, or with the embeddings of other pictures, are cosines, and the highest is the answer.
    Generation: `stored.compressed` is the picture as n words, to be put before those of a language model (through a linear layer, as
    LLaVA does), or as what a diffusion model attends to; `stored.rebuilt` stands in wherever a full grid of CLIP's tokens is asked for.
    Other programs read the file by safetensors alone: safetensors.torch.load_file(path)["compressed"].
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL.Image import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm.auto import tqdm

from course_lib.core.errors import BadInput, one_line, refusal
from course_lib.core.paths import atomic, file_sha256, write_csv
from course_lib.core.randomness import as_it_is
from course_lib.core.run import check_writable
from course_lib.tokens.compressor import Grid
from course_lib.tokens.figures_tokens import compression_figure
from course_lib.tokens.metrics import centred_cosine, cosine, variance_unexplained
from course_lib.tokens.photos import Photos, on_cpu
from course_lib.tokens.small_clip import denormalized
from course_lib.tokens.trained import Trained, load_trained

KEPT = ("compressed", "rebuilt", "cls")
COLUMNS = ("name", "cosine", "centred_cosine", "variance_unexplained", "seconds")  # of summary.csv
IDENTITY = {"picture_sha256": "picture", "checkpoint_sha256": "checkpoint", "clip_sha256": "CLIP", "layer": "layer"}  # what results follow from
LONGEST = 100  # bytes of a name; with the endings of files that are being written it must stay below 255, on encrypted disks below 143


class Stored(NamedTuple):
    """What is kept of one picture."""

    compressed: Float[Tensor, "n dim"]
    rebuilt: Float[Tensor, "height width dim"]
    cls: Float[Tensor, "dim"]
    about: dict[str, str]


class Passed(NamedTuple):
    """A batch of pictures on its way through the bottleneck, on the CPU."""

    tokens: Grid
    cls: Float[Tensor, "batch dim"]
    compressed: Float[Tensor, "batch n dim"]
    rebuilt: Grid
    seconds: float  # from pixels to the rebuilt grids, for one picture


class Report(NamedTuple):
    """rows of the table, one for each picture that is done; how many of them this call made; a sentence for each picture left out."""

    rows: list[dict[str, str]]
    made: int
    skipped: list[str]


class OnePicture(Photos):
    """A single file in the place of a folder."""

    def __init__(self, path: Path):
        self.name = path.name
        super().__init__(path.parent, _no_preprocess)

    def _find(self) -> tuple[list[str], list[int]]:
        return [self.name], [-1]


def infer(checkpoint: str, image: str | Path, out: str | Path = "outputs/infer", clip: str | None = None, layer: int | None = None,
          figures: bool = True, overwrite: bool = False, batch_size: int = 8, workers: int = 0, progress: bool = True) -> Report:
    """Compress a picture, or every picture of a folder, and write out/NAME.safetensors, out/NAME.png and out/summary.csv.

    NAME is the whole name of the picture, "cat.jpg" or in class folders "cats/1.jpg", so that no two pictures share one; beyond 100
    bytes it is cut and gets a hash. What is there already, of the same picture, checkpoint and CLIP, is not made again. Broken
    pictures are left out, with a line for each. In memory are `batch_size` pictures (and 2 batches for each worker). One process
    at a time may write into `out`.
    checkpoint, clip, layer: as in `load_trained`. Raises `BadInput` as that does; no such picture or folder, or none that can be read;
    an `out` among the pictures, or with results of another picture, checkpoint or CLIP; a disk that is full or refuses; settings
    out of range; a compressor that gives no finite numbers.
    """
    image, out = Path(image), Path(out)
    if batch_size < 1 or workers < 0:
        raise BadInput(f"batch_size must be at least 1 and workers at least 0, not {batch_size} and {workers}.")
    if not os.path.exists(image):  # also where Path.exists would raise: a name too long, a folder that may not be searched
        raise BadInput(f"there is no picture or folder {image}; check the name.")
    photos = Photos(image, _no_preprocess) if os.path.isdir(image) else OnePicture(image)
    _keep_apart(photos, out)
    trained = load_trained(checkpoint, clip, layer)
    check_writable(out)
    photos.preprocess = on_cpu(trained.clip.processor)
    paths = [out / f"{name_of(file)}.safetensors" for file in photos.files]
    _tidy([out / "summary.csv", *paths])
    found = {} if overwrite else {k: about for k, path in enumerate(paths) if (about := _there(path, photos, k, trained, figures))}
    skipped, before = list(photos.skipped), len(found)
    for line in skipped:
        tqdm.write(f"left out: {line}", file=sys.stderr)
    pending = [k for k in range(len(photos)) if k not in found]
    with tqdm(total=len(photos), initial=before, desc="pictures", unit="picture", disable=not (progress and pending)) as bar:
        for batch in DataLoader(Subset(photos, pending), batch_size, num_workers=workers, collate_fn=as_it_is):
            for line in batch.skipped:
                tqdm.write(f"left out: {line}", file=sys.stderr)
            skipped += batch.skipped
            passed = passes(trained, batch.pixels) if len(batch.names) else None
            for row, k in enumerate(batch.indices.tolist()):
                about = trained.about | _about_picture(photos, k) | measures(trained, passed, row)
                found[k] = _write(paths[k], trained, passed, row, about, batch.pixels[row] if figures else None)
                bar.update()
            bar.update(len(batch.skipped))
    if not found:
        many, first = len(photos), skipped[len(photos.skipped)]
        raise BadInput(first if isinstance(photos, OnePicture) else f"none of the {many} pictures of {image} can be used; the first: {first}")
    rows = [{name: found[k][name] for name in COLUMNS} for k in sorted(found)]
    with _refusals(out):
        write_csv(out / "summary.csv", rows, COLUMNS)
    return Report(rows, len(found) - before, skipped)


@torch.no_grad()
def passes(trained: Trained, pixels: Float[Tensor, "batch 3 rows columns"]) -> Passed:
    """Encode, compress, expand. Raises `BadInput` if a number is not finite."""
    began = time.perf_counter()
    encoded = trained.clip.encode(pixels.to(trained.model.scale.mean.device))
    compressed = trained.model(encoded.tokens)
    found = [part.cpu() for part in (*encoded, compressed.tokens, trained.model.expand(compressed))]
    if not all(part.isfinite().all() for part in found):
        raise BadInput(f"the tokens that {trained.about['checkpoint']} makes are not finite numbers: its training diverged; name another checkpoint.")
    return Passed(*found, (time.perf_counter() - began) / len(pixels))


def measures(trained: Trained, passed: Passed, row: int) -> dict[str, str]:
    """Of one picture's rebuilt grid: cosine and centred cosine, means over places, and the share of variance that is lost."""
    rebuilt, tokens, mean = passed.rebuilt[row], passed.tokens[row], trained.model.scale.mean.cpu()
    found = {"cosine": float(cosine(rebuilt, tokens).mean()), "centred_cosine": float(centred_cosine(rebuilt, tokens, mean).mean()),
             "variance_unexplained": variance_unexplained(rebuilt[None], tokens[None], mean), "seconds": passed.seconds}
    return {name: f"{value:.6f}" for name, value in found.items()}


def name_of(file: str) -> str:
    """NAME of a picture's results: its own, in UTF-8, with the folders above it; beyond 100 bytes its beginning and a hash of the whole."""
    name = os.fsencode(Path(file).as_posix()).decode(errors="backslashreplace")
    folder, last = os.path.split(name)
    if len(last.encode()) > LONGEST:
        ending = f"-{hashlib.sha256(last.encode()).hexdigest()[:8]}"
        last = last.encode()[: LONGEST - len(ending)].decode(errors="ignore") + ending
    return os.path.join(folder, last)


def read(path: str | Path) -> Stored:
    """What `infer` kept of a picture. Raises `BadInput` for a file that is missing or something else."""
    with _opened(path) as file:
        return Stored(*(file.get_tensor(name) for name in KEPT), file.metadata())


@contextmanager
def _opened(path: str | Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path} holds no compressed picture ({one_line(error)}); take it away, or name another.") from error


def _write(path: Path, trained: Trained, passed: Passed, row: int, about: dict[str, str], pixels: Tensor | None) -> dict[str, str]:
    """Picture first, tokens last: where NAME.safetensors is, both are whole. Returns `about`."""
    model, kept = trained.model, {name: getattr(passed, name)[row].contiguous() for name in KEPT}
    with _refusals(path.parent), atomic(path) as temporary:
        if pixels is not None:
            image, mean, std = denormalized(pixels[None], trained.clip.processor)[0], model.scale.mean.cpu(), model.scale.std.cpu()
            grids = [(grid - mean) / std for grid in (passed.tokens[row], kept["compressed"].unflatten(0, model.output_grid), kept["rebuilt"])]
            compression_figure(image, cosine(kept["rebuilt"], passed.tokens[row]), *grids, save_path=path.with_suffix(".png"))
        save_file(kept, temporary, about)
    return about


def _about_picture(photos: Photos, k: int) -> dict[str, str]:
    return {"name": Path(name_of(photos.files[k])).as_posix(), "picture_sha256": file_sha256(photos.folder / photos.files[k])}


def _there(path: Path, photos: Photos, k: int, trained: Trained, figures: bool) -> dict[str, str] | None:
    """`about` of a picture that is done; None if it is not. Raises `BadInput` if the file is of something else."""
    if not path.exists() or (figures and not path.with_suffix(".png").exists()):
        return None
    try:
        now = trained.about | _about_picture(photos, k)
    except OSError:  # the picture can no longer be read, which is said when its turn comes
        return None
    with _opened(path) as file:
        was = file.metadata() or {}
    if other := [what for name, what in IDENTITY.items() if was.get(name) != now[name]]:
        raise BadInput(f"{path} is of another {' and another '.join(other)}; name another folder with out=FOLDER, "
                       "or write over it with overwrite=true.")
    return was


def _keep_apart(photos: Photos, out: Path) -> None:
    """Else the next call would take the pictures that this one makes for pictures to compress."""
    folder, target = photos.folder.resolve(), out.resolve()
    if target == folder or (photos.classes and folder in target.parents):
        raise BadInput(f"results may not be written among the pictures, into {out}; name another folder with out=FOLDER.")


def _tidy(paths: Sequence[Path]) -> None:
    """Remove what a killed process was writing: see `atomic`."""
    ours = {*paths, *(path.with_suffix(".png") for path in paths)}
    for folder in {path.parent for path in paths}:
        for left in folder.glob(".*.????????.*"):
            if folder / left.name[1:].rsplit(".", 2)[0] in ours:
                left.unlink()


@contextmanager
def _refusals(out: Path) -> Iterator[None]:
    """A disk's refusal as one sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise BadInput(f"cannot write into {out} ({refusal(error)}); make room or name another folder: "
                       "what is complete stays, and the same command goes on from there.") from error


def _no_preprocess(picture: Image) -> Tensor:
    raise RuntimeError("a CLIP must say first how it takes pictures")
