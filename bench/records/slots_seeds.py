"""Train each slot model that is shipped with three seeds, ship the median one, keep all scores in data/runs/slots_seeds.json.

    python bench/records/slots_seeds.py           # six runs of about 15 minutes on one free core
    python bench/records/slots_seeds.py --only slots_shapes

An interrupted run goes on where it stopped. The median is that of FG-ARI on 1000 held-out scenes.
"""

import argparse
import json
import shutil
from pathlib import Path

from trained import machine, trained

from course_lib.core.paths import DATA, write_json

SEEDS = (0, 1, 2)
SETTINGS = {"slots_shapes": ("epochs=50", "precision=bf16"), "slots_multi_dsprites": ("epochs=26", "batch_size=8", "precision=bf16")}
OUT, RECORD = Path("outputs/seeds"), DATA / "runs" / "slots_seeds.json"


def ship_median(name: str) -> dict:
    """Train all seeds of one model, copy the median one to data/weights, and return what all of them measured."""
    folders = {seed: OUT / f"{name}_{seed}" for seed in SEEDS}
    cards = {seed: trained(name, folder, *SETTINGS[name], f"seed={seed}") for seed, folder in folders.items()}
    shipped = sorted(SEEDS, key=lambda seed: cards[seed]["metrics"]["fg_ari"])[len(SEEDS) // 2]
    for ending in (".safetensors", ".json"):
        shutil.copy(folders[shipped] / f"{name}{ending}", DATA / "weights")
    return {"settings": " ".join(SETTINGS[name]), "shipped": shipped,
            "seconds": {str(seed): card["seconds"] for seed, card in cards.items()},
            "metrics": {str(seed): card["metrics"] for seed, card in cards.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/records/slots_seeds.py", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME", help=" or ".join(SETTINGS))
    models = json.loads(RECORD.read_text(encoding="utf-8"))["models"] if RECORD.exists() else {}
    models |= {name: ship_median(name) for name in parser.parse_args().only}
    measured = {f"{name.removeprefix('slots_')}_{metric}_{which.__name__}": which(card[metric] for card in model["metrics"].values())
                for name, model in models.items() for metric in ("fg_ari", "full_ari", "miou", "mse") for which in (min, max)}
    record = {"what": "all seeds of the shipped slot models, metrics on 1000 held-out scenes",
              "command": "python bench/records/slots_seeds.py", **machine(), "measured": measured, "models": models}
    write_json(RECORD, record)
    print(json.dumps(models, indent=1))


if __name__ == "__main__":
    main()
