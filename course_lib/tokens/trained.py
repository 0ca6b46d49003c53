"""A trained compressor and the CLIP whose tokens it was trained on: what a command line means by `checkpoint`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from course_lib.core import checkpoints
from course_lib.core.errors import BadInput, one_line
from course_lib.core.paths import DATA, file_sha256
from course_lib.core.weights import find_weights, load_weights, read_card
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.provenance import clip_record

LAYER = -2  # where neither command nor card names one


class Trained(NamedTuple):
    """A compressor with its CLIP; `about` says which they are, as metadata."""

    model: LearnedCompressor
    clip: ClipTokens
    about: dict[str, str]


def load_trained(checkpoint: str, clip: str | None = None, layer: int | None = None) -> Trained:
    """The compressor and its CLIP, both in eval mode, on the accelerator if there is one.

    checkpoint  weights: a shipped name, or the path of NAME.safetensors; or a folder that a finished training left,
                such as outputs/checkpoints/NAME/best_model, with outputs/NAME.json, which says how the model is built
    clip        as in `ClipTokens.load`; None for the one that the card names. A CLIP that learned too is in the folder.
    layer       behind which its tokens are taken; None for the card's, or −2
    Raises `BadInput`: neither weights nor checkpoint; of another kind of model, damaged, of an unfinished training; a card that names no
    CLIP, or one that learned and was not kept; a CLIP of another grid or width; and as `find_clip` does.
    """
    model, card, sha256, learned = _find_compressor(checkpoint)
    try:
        said = dict(card["config"]["model"]["clip"])
    except (KeyError, TypeError, ValueError):  # made by hand, not by a recipe
        said = {}
    if clip is None and "model_name" not in said:
        raise BadInput(f"the card of {checkpoint} names no CLIP; name the one whose tokens it was trained on: clip=NAME.")
    if clip is None and said.get("freeze") is False and not learned:
        raise BadInput(f"the CLIP of {checkpoint} learned with it, and the weights of the compressor do not hold it; name the checkpoint that does, "
                       "such as outputs/checkpoints/NAME/best_model.")
    name = str(said["model_name"]) if clip is None else clip
    seen = ClipTokens.load(name, said.get("layer", LAYER) if layer is None else layer)
    if (seen.grid, seen.dim) != (tuple(model.grid), model.dim):
        raise BadInput(f"{checkpoint} compresses {model.grid[0]} × {model.grid[1]} tokens of {model.dim} numbers, and the CLIP {name} has "
                       f"{seen.grid[0]} × {seen.grid[1]} of {seen.dim}; name the CLIP that it was trained with: clip=NAME.")
    if clip is None and learned:
        with _fits(checkpoint, f"the CLIP {name}"):
            seen.load_state_dict(learned)
    known = clip_record(seen)
    about = {"checkpoint": checkpoint, "checkpoint_sha256": sha256, "clip": name, "clip_sha256": known["sha256"], "layer": str(known["layer"]),
             "grid": json.dumps(model.grid), "output_grid": json.dumps(model.output_grid), "model": type(model).__name__}
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    return Trained(model.to(device), seen.to(device), about)


def _find_compressor(checkpoint: str) -> tuple[LearnedCompressor, dict, str, dict[str, Tensor]]:
    """Model, card, SHA-256 of the file that its weights are from, and the weights of a CLIP that learned with it."""
    own = checkpoint.removesuffix(".safetensors")
    files = [Path(f"{base}.safetensors") for base in (own, DATA / "weights" / own)]
    if Path(checkpoint).is_dir() and not any(file.is_file() for file in files):
        return _from_training(Path(checkpoint))
    model = find_weights(checkpoint, LearnedCompressor)
    card = read_card(own if files[0].exists() else DATA / "weights" / own)
    return model, card, card["sha256"], {}


def _from_training(folder: Path) -> tuple[LearnedCompressor, dict, str, dict[str, Tensor]]:
    """The same of a checkpoint, OUT/checkpoints/NAME/best_model: built by the card OUT/NAME.json, filled with the weights of the checkpoint.

    There their names begin with "model.", for `train` wraps model and objective, and with "module." before it if there were several processes.
    """
    state, run = checkpoints.read(folder), folder.resolve().parent
    base = run.parent.parent / run.name
    if not base.with_name(f"{base.name}.json").exists():
        raise BadInput(f"{folder} is of a training that has not ended, or was moved: {base}.json, which says how to build the model, is missing; "
                       "let it go on with resume=auto, or name weights.")
    model, card = load_weights(base, LearnedCompressor), read_card(base)
    if card["config"] != state["settings"].get("config"):
        raise BadInput(f"{folder} was trained with other settings than {base}.json says; name a checkpoint of that run, or weights.")
    file = folder / "model.safetensors"
    with _fits(folder, f"the {type(model).__name__} of {base.name}.json"):
        weights = {name.removeprefix("module.").removeprefix("model."): value for name, value in load_file(file).items()}
        compressor, learned = ({name.removeprefix(part): value for name, value in weights.items() if name.startswith(part)}
                               for part in ("compressor.", "clip."))  # as `recipe.Players` calls them
        model.load_state_dict(compressor)
    return model, card, file_sha256(file), learned


@contextmanager
def _fits(checkpoint: str | Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        raise BadInput(f"{checkpoint} is damaged or does not fit {what} ({one_line(error)}); name another.") from error
