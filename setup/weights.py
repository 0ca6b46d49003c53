"""Train every shipped model again, with the experiment and the settings on its card: data/weights/NAME.json.

New weights and new cards replace the old ones only when the whole run ended well.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from course_lib.core.paths import DATA
from course_lib.core.weights import read_card

OF_THE_RUN = {"out", "resume", "tracker", "checkpoint_every", "progress"}  # keys that do not change what is learned


def command_of(card: dict) -> tuple[str, ...]:
    """Return the command line that trains the model of `card`, writing into the folder `outputs`."""
    settings = [f"{key}={value}" for key, value in _leaves(card["config"]) if key not in OF_THE_RUN]
    return (sys.executable, "-m", "course_lib.train", f"experiment={card['experiment']}", *settings,
            "out=outputs", "tracker=none", "progress=false")


def retrain(folder: Path = DATA / "weights") -> list[str]:
    """Train all models of `folder`, those of one run together; return the names of the files that were replaced."""
    runs: dict[tuple[str, ...], list[str]] = {}
    cards = {path.name.removesuffix(".json"): read_card(path) for path in sorted(folder.glob("*.json"))}
    for name in sorted(cards, key=lambda name: bool(cards[name]["config"].get("weights"))):  # what learns from other weights comes after them
        runs.setdefault(command_of(cards[name]), []).append(name)
    for command, names in runs.items():
        print("training", ", ".join(names), flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            subprocess.run(command, cwd=temporary, check=True)
            for name in names:
                for ending in (".safetensors", ".json"):
                    (Path(temporary) / "outputs" / f"{name}{ending}").replace(folder / f"{name}{ending}")
    return [name for names in runs.values() for name in names]


def _leaves(config: dict, prefix: str = "") -> list[tuple[str, str]]:
    """Return every setting as `a.b` and its value, as Hydra reads them on a command line."""
    found = []
    for key, value in config.items():
        inside = isinstance(value, dict)
        found += _leaves(value, f"{prefix}{key}.") if inside else [(f"{prefix}{key}", json.dumps(value))]
    return found


if __name__ == "__main__":
    try:
        print(f"{len(retrain())} models trained again")
    except subprocess.CalledProcessError as error:
        sys.exit(f"the run `{' '.join(error.cmd[1:])}` failed; the weights that it was to replace are still there.")
