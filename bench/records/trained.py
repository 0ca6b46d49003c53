"""What the records share: one training from the command line, and where its numbers come from."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parents[2]))
from course_lib.core.weights import read_card  # noqa: E402


def trained(experiment: str, out: Path, *settings: str, name: str | None = None) -> dict:
    """Train, or go on where an interrupted run stopped, and return the card; a run that has its card is not repeated.

    name: of the files that are written, if it is not that of the experiment.
    """
    name = experiment if name is None else name
    if not (out / f"{name}.json").exists():
        command = [sys.executable, "-m", "course_lib.train", f"experiment={experiment}", f"out={out}", "resume=auto",
                   "checkpoint_every=5", "tracker=none", *settings]
        subprocess.run(command, check=True)
    return read_card(out / name)


def machine() -> dict:
    """What a record says about versions and hardware."""
    return {"versions": {"python": platform.python_version(), "torch": torch.__version__},
            "hardware": {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count(), "gpu": None}}
