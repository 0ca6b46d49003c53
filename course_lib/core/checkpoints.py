"""Checkpoints of a training run: complete or absent, and exact to the last bit.

    FOLDER/checkpoints/NAME/checkpoint_epoch_50    every `checkpoint_every` epochs and at the end
    FOLDER/checkpoints/NAME/best_model             the epoch with the lowest loss (or validation measure)

Each is a folder written by Accelerate's `save_state` (model in safetensors, optimiser, schedule, every random
generator) plus `state.json` (epoch, settings, history). Accelerate reads its files with `weights_only=True`.
"""

import hashlib
import json
import pickle
import random
import shutil
from pathlib import Path

import numpy
import safetensors
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from course_lib.core.errors import BadInput

STATE = "state.json"


def write(accelerator: Accelerator, folder: Path, state: dict) -> None:
    """Save the whole state of the run as `folder`, replacing an older one; every process must call this.

    It is written under another name and renamed when complete. A process killed between the two renames leaves the
    old folder as `.NAME.old`, which `tidy` puts back.
    """
    partial, old = folder.parent / f".{folder.name}.partial", _old(folder)
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))
    randomness = gather_object([_fingerprint()])
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        full = {**state, "processes": accelerator.num_processes, "randomness": randomness}
        (partial / STATE).write_text(json.dumps(full), encoding="utf-8")
        if folder.exists():
            folder.replace(old)
        partial.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def tidy(parent: Path) -> None:
    """Remove what a killed process left half-written below `parent`, and put back what it was replacing."""
    for partial in parent.glob(".*.partial"):
        shutil.rmtree(partial)
    for old in parent.glob(".*.old"):
        folder = parent / old.name.removeprefix(".").removesuffix(".old")
        if folder.exists():
            shutil.rmtree(old)
        else:
            old.replace(folder)


def newest(parent: Path) -> Path | None:
    """The complete checkpoint below `parent` with the most epochs, or None."""
    complete = [file.parent for file in parent.glob(f"*/{STATE}") if not file.parent.name.startswith(".")]
    return max(complete, key=lambda folder: read(folder)["epoch"], default=None)


def read(folder: Path) -> dict:
    """Return the `state.json` of a checkpoint; raises `BadInput` if there is none."""
    if not folder.exists():
        raise BadInput(f"there is no checkpoint {folder}; name a folder such as checkpoints/NAME/checkpoint_epoch_50.")
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if not {"epoch", "settings", "history", "processes", "randomness"} <= state.keys():
            raise ValueError("it lacks a part")
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{folder} is not a complete checkpoint; name a folder such as checkpoints/NAME/checkpoint_epoch_50."
        ) from error
    return state


def restore(accelerator: Accelerator, folder: Path, state: dict) -> None:
    """Load everything that `write` saved into the prepared model, optimiser and schedule, and every generator."""
    if state["processes"] != accelerator.num_processes:
        raise BadInput(f"{folder} was written by {state['processes']} process(es); resume it with as many, "
                       f"not {accelerator.num_processes}.")
    try:
        accelerator.load_state(str(folder))
    except (OSError, RuntimeError, ValueError, KeyError, EOFError,
            pickle.UnpicklingError, safetensors.SafetensorError) as error:
        raise BadInput(f"{folder} is damaged or holds another model ({type(error).__name__}); remove it to go on from "
                       "an older checkpoint, or start afresh with resume=never.") from error
    if _fingerprint() != state["randomness"][accelerator.process_index]:
        # Accelerate only logs when it cannot restore a generator; the run would go on with other numbers.
        raise RuntimeError(f"the random generators saved in {folder} were not restored")


def set_aside(path: Path) -> None:
    """Rename `path`, if it exists, to the first free of `path`.earlier, `path`.earlier2, …"""
    if path.exists():
        number = 1
        while (target := path.parent / f"{path.name}.earlier{number if number > 1 else ''}").exists():
            number += 1
        path.replace(target)


def _old(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.old"


def _fingerprint() -> str:
    """A hash of the state of every random generator of this process."""
    kind, words, *rest = numpy.random.get_state()
    digest = hashlib.sha256(repr((random.getstate(), kind, words.tolist(), rest)).encode())
    digest.update(torch.get_rng_state().numpy().tobytes())
    for state in torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []:
        digest.update(state.numpy().tobytes())
    return digest.hexdigest()
