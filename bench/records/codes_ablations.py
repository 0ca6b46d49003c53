"""What does each part of SVQ do? A real sweep of small runs, one thing changed at a time; keeps data/runs/codes_ablations.json.

    python bench/records/codes_ablations.py             # all that the record lacks, two seeds
    python bench/records/codes_ablations.py --seeds 0 --only as_it_is no_rate

The sweep is a multirun of Hydra. Small scenes: 32 pixels, three objects of three colours, so that independent colours obey
the rule in 22 % of the scenes. It shows what a part does to the way there. A member that is refused has its sentence in
the record, and the others go on. An interrupted sweep goes on where it stopped.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import mean

from trained import machine

from course_lib.codes.ablations import CHANGES, gather
from course_lib.core.paths import DATA, write_json

SEEDS = (0, 1)
OUT, RECORD = Path("outputs/ablations"), DATA / "runs" / "codes_ablations.json"
BASE = ("epochs=16", "batch_size=32", "lr=0.001", "dataset.resolution=32", "+dataset.colours=3", "model.codes=64", "model.channels=32",
        "model.decoder_dim=64", "model.decoder_layers=2", "objective.cells=32", "objective.settle_from=0.7", "prior.samples=20000",
        "prior.lr=0.002", "prior.model.dim=64", "prior.model.layers=3")
QUOTED = ("mse", "fg_ari", "attention_fg_ari", "perplexity", "nll", "right", "right_independent", "unparsable", "same_colour")


def sweep(changes: list[str], seed: int) -> None:
    """One multirun of the changes that have no row yet. Its exit status is 2 if a member was refused; that member's row says why."""
    missing = [change for change in changes if not (OUT / f"{change}_{seed}" / "row.json").exists()]
    if missing:
        command = [sys.executable, "-m", "course_lib.train", "-m", "experiment=svq_ablation", f"change={','.join(missing)}", f"seed={seed}",
                   f"out={OUT}", "resume=auto", "tracker=none", *BASE]
        if (code := subprocess.run(command).returncode) not in (0, 2):
            sys.exit(f"the sweep of seed {seed} stopped with status {code}; the same command goes on where it stopped.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/records/codes_ablations.py", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="default: 0 1")
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="CHANGE", help="some of: " + ", ".join(CHANGES))
    chosen = parser.parse_args()
    for seed in chosen.seeds:
        sweep(chosen.only, seed)
    rows = gather(OUT)
    by_change = {change: [row for row in rows if row["change"] == change and "failed" not in row] for change in CHANGES}
    record = {"what": "small SVQs and priors over their codes, one thing changed at a time; measures of 1000 held-out and 1000 generated scenes",
              "command": "python bench/records/codes_ablations.py", **machine(), "base": " ".join(BASE),
              "measured": {f"{name}_{change}": mean(row[name] for row in found) for change, found in by_change.items() if found for name in QUOTED},
              "rows": rows}
    write_json(RECORD, record)


if __name__ == "__main__":
    main()
