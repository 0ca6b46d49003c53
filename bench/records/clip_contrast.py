"""What is each part of the contrast good for? Small CLIPs, one thing changed at a time; keeps data/runs/clip_contrast.json.

    python bench/records/clip_contrast.py                 # all that the record lacks, two seeds
    python bench/records/clip_contrast.py --seeds 0 --only as_it_is one_sided

A training takes a minute or two on one free core. The record is written after each, and a second call goes on where the first stopped.
"""

import argparse
import json
from statistics import mean

import torch
from trained import machine

from course_lib.core.paths import DATA, write_json
from course_lib.tokens.failures_clip import CHANGES, LR, PAIRS, SMALL, contrast_row

SEEDS, EPOCHS, STEPS = (0, 1), 8, 100
RECORD = DATA / "runs" / "clip_contrast.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/records/clip_contrast.py", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="default: 0 1")
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="CHANGE", help="some of: " + ", ".join(CHANGES))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(RECORD.read_text(encoding="utf-8"))["rows"] if RECORD.exists() else []
    for seed in chosen.seeds:
        for change in chosen.only:
            if not any((row["change"], row["seed"]) == (change, seed) for row in rows):
                rows.append(contrast_row(change, seed, epochs=EPOCHS, steps=STEPS))
                print(rows[-1], flush=True)
                keep(rows)


def keep(rows: list[dict]) -> None:
    """In the order of `CHANGES`; the numbers that may be quoted are means over the seeds, NAME_CHANGE."""
    rows.sort(key=lambda row: (list(CHANGES).index(row["change"]), row["seed"]))
    by_change = {change: [row for row in rows if row["change"] == change] for change in CHANGES}
    names = [name for name in rows[0] if name not in ("change", "seed")]
    record = {"what": f"small CLIPs after {EPOCHS * STEPS} steps, one thing changed at a time; measures of 400 scenes that none has seen",
              "command": "python bench/records/clip_contrast.py", **machine(), "settings": SMALL | {"pairs": PAIRS, "lr": LR, "steps": EPOCHS * STEPS},
              "measured": {f"{name}_{change}": mean(row[name] for row in found) for change, found in by_change.items() if found for name in names},
              "rows": rows}
    write_json(RECORD, record)


if __name__ == "__main__":
    main()
