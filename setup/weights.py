"""Train every shipped model again, with the experiment and the settings on its card: data/weights/NAME.json.

New weights and new cards replace the old ones only when the whole run ended well.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from course_lib.core.paths import DATA
from course_lib.core.run import NOT_SETTINGS
from course_lib.core.weights import read_card


def command_of(card: dict) -> tuple[str, ...]:
    """Return the command line that trains the model of `card`, writing into the folder `outputs`. ++: also what the experiment does not list."""
    settings = [f"++{key}={value}" for key, value in _leaves(card["config"]) if key not in NOT_SETTINGS]
    return (sys.executable, "-m", "course_lib.train", f"experiment={card['experiment']}", *settings,
            "out=outputs", "tracker=none", "progress=false")


def retrain(folder: Path = DATA / "weights") -> list[str]:
    """Train all models of `folder`, those of one run together; return the names of the files that were replaced."""
    runs: dict[tuple[str, ...], list[str]] = {}
    cards = {path.name.removesuffix(".json"): read_card(path) for path in sorted(folder.glob("*.json"))}
    for name in in_order(cards):
        runs.setdefault(command_of(cards[name]), []).append(name)
    for command, names in runs.items():
        print("training", ", ".join(names), flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            subprocess.run(command, cwd=temporary, check=True)
            for name in names:
                for ending in (".safetensors", ".json"):
                    (Path(temporary) / "outputs" / f"{name}{ending}").replace(folder / f"{name}{ending}")
    return [name for names in runs.values() for name in names]


def in_order(cards: dict[str, dict]) -> list[str]:
    """The names of `cards`, each after the one whose weights it learns from: a model to go on with or to begin with, or the CLIP that makes
    its tokens."""
    def steps(name: str) -> int:
        config = cards[name]["config"] if name in cards else {}
        model = config.get("model")
        clip = model.get("clip") if isinstance(model, dict) else None
        source = config.get("weights") or config.get("slots_of") or (clip or {}).get("model_name")
        return 1 + steps(source) if source else 0

    return sorted(cards, key=steps)


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
