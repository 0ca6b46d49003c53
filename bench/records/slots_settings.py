"""What does each knob of Part II do? Trains small scenes with one thing changed at a time and keeps data/runs/slots_settings.json.

    python bench/records/slots_settings.py             # all that the record lacks, two seeds
    python bench/records/slots_settings.py --seeds 0 --only "Adam alone" "3 slots"

Small scenes, so that anyone can repeat a row: 32 pixels, two to four objects, 3200 steps, two minutes a row on one core. It
shows what a knob does to the way there. An interrupted run goes on where it stopped. Two of these commands may work
side by side on different seeds.
"""

import argparse
import json
from pathlib import Path
from statistics import mean

from trained import machine, trained

from course_lib.core.paths import DATA, write_json

SEEDS = (0, 1)
OUT, RECORD = Path("outputs/settings"), DATA / "runs" / "slots_settings.json"
BASE = ("epochs=4", "batch_size=8", "lr=0.001", "data.resolution=32", "data.max_objects=4", "model.num_slots=5", "model.channels=32",
        "objective.cells=32", "objective.settle_from=0.5", "scored_slots=[]")
SETTINGS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "3 slots": ("model.num_slots=3",),
    "7 slots": ("model.num_slots=7",),
    "10 slots": ("model.num_slots=10",),
    "lr 1e-4": ("lr=0.0001",),
    "lr 4e-4": ("lr=0.0004",),
    "lr 4e-3": ("lr=0.004",),
    "no clipping": ("clip=1e9",),
    "lr 4e-3, no clipping": ("lr=0.004", "clip=1e9"),
    "batch 16": ("batch_size=16",),
    "batch 64": ("batch_size=64",),
    "half as many scenes": ("data.samples=3200",),
    "twice as many scenes": ("data.samples=12800",),
    "64 pixels": ("data.resolution=64", "objective.cells=64"),
    "always 3 iterations": ("objective.fewer=0", "objective.more=0"),
    "always 5 iterations": ("model.num_iterations=5", "objective.fewer=0", "objective.more=0"),
    "Gaussian start": ("model.start=gaussian",),
    "learned queries": ("model.start=queries",),
    "full gradient": ("model.gradient=full",),
    "implicit gradient": ("model.gradient=implicit",),
    "eps 1e-8": ("model.eps=1e-8",),
    "Adam alone": ("matrices=adam",),
    "no costs": ("objective.sharing_cost=0.0", "objective.usage_cost=0.0"),
    "costs from the start": ("objective.settle_from=0.0",),
    "decoder of 3 layers": ("model.decoder_layers=3", "model.decoder_dim=256"),
    "128 pixels": ("data.resolution=128", "objective.cells=256"),
}


def key(name: str) -> str:
    """The name of a setting as a key that text can quote."""
    return name.replace(",", "").replace(" ", "_").replace("-", "_")


def keep(name: str, seed: int, found: dict) -> None:
    """Add one run to the record; another command may have added others in the meantime."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"runs": {}}
    record["runs"].setdefault(name, {})[str(seed)] = found
    runs = {name: dict(sorted(record["runs"][name].items())) for name in SETTINGS if name in record["runs"]}
    record = {
        "what": "small scenes of Shapes, short trainings, one setting changed at a time; metrics on 1000 held-out scenes",
        "command": "python bench/records/slots_settings.py",
        "base": " ".join(BASE),
        "settings": {name: " ".join(SETTINGS[name]) for name in runs},
        **machine(),
        "measured": {f"{metric}_{key(name)}": mean(run["metrics"][metric] for run in seeds.values())
                     for name, seeds in runs.items() for metric in ("fg_ari", "full_ari", "mse")},
        "runs": runs,
    }
    write_json(RECORD, record)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/records/slots_settings.py", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="default: 0 1")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME",
                        help="some of: " + ", ".join(SETTINGS))
    chosen = parser.parse_args()
    for seed in chosen.seeds:
        for name in chosen.only:
            runs = json.loads(RECORD.read_text(encoding="utf-8"))["runs"] if RECORD.exists() else {}
            if str(seed) not in runs.get(name, {}):
                card = trained("slots_shapes", OUT / f"{key(name)}_{seed}", *BASE, f"seed={seed}", *SETTINGS[name])
                keep(name, seed, {measure: card[measure] for measure in ("metrics", "seconds", "epochs")})


if __name__ == "__main__":
    main()
