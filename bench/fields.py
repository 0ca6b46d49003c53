"""Receptive fields on 32 pictures of 24 × 24 tokens of 1024 numbers, 4 × 4 to a field: sampling, targets and statistics of fields, each
against copying the tokens once, which is the least that anything does that returns as much.

    python bench/fields.py [ROUNDS]        (part of: make bench)

All take turns in every round. A copy is `tokens.clone()`: like the targets, it asks for new memory, which costs more than the copying
itself; how much more, into memory that is there already, is printed beside it. Sampling and statistics write next to
nothing, and statistics read two grids. The limit is for processor time with one thread, so that other programs do not count.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from course_lib.core.threads import one_thread
from course_lib.tokens.fields import extract_rf_targets, sample_rf_tokens
from course_lib.tokens.losses_rf import compute_rf_statistics

LIMIT = 1.5
BATCH, GRID, OUTPUT, DIM = 32, (24, 24), (6, 6), 1024
WARM_UP = 1


def contenders() -> dict[str, Callable[[], object]]:
    """The four calls by name, and the copy into memory that is there."""
    torch.manual_seed(0)
    tokens = torch.randn(BATCH, *GRID, DIM)
    rebuilt, mean, there, chance = tokens + torch.randn_like(tokens), torch.randn(DIM), torch.empty_like(tokens), torch.Generator()
    return {"copy": tokens.clone, "copy in place": lambda: there.copy_(tokens), "sampling": lambda: sample_rf_tokens(tokens, OUTPUT, chance),
            "targets": lambda: extract_rf_targets(tokens, OUTPUT), "statistics": lambda: compute_rf_statistics(rebuilt, tokens, OUTPUT, mean)}


def milliseconds(rounds: int) -> dict[str, float]:
    """Median milliseconds of the processor."""
    calls = contenders()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + WARM_UP):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if number >= WARM_UP:
                times[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(each) for name, each in times.items()}


def main(rounds: int) -> int:
    with one_thread():
        found = milliseconds(rounds)
    ratios = {name: found[name] / found["copy"] for name in ("sampling", "targets", "statistics")}
    said = ", ".join(f"{name} {found[name]:.1f} ms, ratio {ratio:.2f}" for name, ratio in ratios.items())
    print(f"fields of {BATCH} × {GRID[0] * GRID[1]} × {DIM} tokens, median of {rounds}: a copy {found['copy']:.1f} ms of the processor "
          f"({found['copy in place']:.1f} ms into memory that is there); {said} (limit {LIMIT} each); together {sum(ratios.values()):.2f}")
    return 0 if max(ratios.values()) <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
