"""Sampling scenes from the prior: with the KV cache against full recomputation, the same codes from the same random numbers.

    python bench/prior.py [ROUNDS]        (part of: make bench)

4 slots × 4 codebooks × 512 codes, the default 6 layers of 128, 512 scenes at a time. Without a cache every step computes all
positions up to its own, no later ones, and the logits of the last one only: 136 inputs of the blocks in place of 16, so 8.5
times is the most there is to win. What both must do 16 times (call each operation, pick the codes) is won nowhere, and
with few scenes it is nearly all. The limit is for processor time with one thread, and the two take turns in going first.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.codes.prior import Prior
from course_lib.core.threads import one_thread

LIMIT = 5.0
SCENES = 512
OTHERS = ((4, 4, 1), (4, 4, 16), (4, 4, 64), (6, 4, 64), (64, 1, 32))  # slots, codebooks, scenes: reported only


def made(slots: int, codebooks: int) -> Prior:
    """A prior with the default width, whose heads do not hold all codes equally likely as those of a new one do."""
    prior = Prior(slots, codebooks).eval()
    torch.nn.init.normal_(prior.head, std=0.1)
    return prior


def seconds(generate: Callable[..., Tensor], **how) -> tuple[Tensor, float, float]:
    """Return the codes and how long they take: of the processor, and on the wall."""
    processor, wall = time.process_time(), time.perf_counter()
    codes = generate(**how)
    return codes, time.process_time() - processor, time.perf_counter() - wall


def measured(slots: int, codebooks: int, scenes: int, rounds: int) -> tuple[Tensor, int]:
    """Return median milliseconds, a row with the cache and one without: of the processor, and on the wall; and how many
    scenes differ between the two."""
    torch.manual_seed(0)
    prior, different = made(slots, codebooks), 0
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for number in range(rounds + 1):
        codes = {}
        for cache in (True, False) if number % 2 else (False, True):
            chance = torch.Generator().manual_seed(number)
            codes[cache], *taken = seconds(prior.generate, n=scenes, generator=chance, cache=cache)
            if number:  # warm by then
                times[cache].append(taken)
        different += int((codes[True] != codes[False]).any(2).any(1).sum())
    medians = [[1000 * statistics.median(clock) for clock in zip(*times[cache])] for cache in (True, False)]
    return torch.tensor(medians), different


def main(rounds: int) -> int:
    (_, quick), (_, slow) = measured(4, 4, SCENES, rounds)[0].tolist()
    threads = f"on the wall with {torch.get_num_threads()} threads {quick:.0f} and {slow:.0f} ms, {slow / quick:.1f} times"
    with one_thread():
        clocks, different = measured(4, 4, SCENES, rounds)
        others = [(*size, *measured(*size, 1)[0][:, 0].tolist()) for size in OTHERS]
    (quick, wall), (slow, slow_wall) = clocks.tolist()
    print(f"prior, 4 × 4 × 512, {SCENES} scenes, median of {rounds}: with the cache {quick:.0f} ms, recomputed {slow:.0f} ms "
          f"of the processor, {slow / quick:.1f} times faster (limit {LIMIT:.0f}); on the wall {wall:.0f} and {slow_wall:.0f} "
          f"ms; {threads}; {different} of {(rounds + 1) * SCENES} scenes differ; " + "; ".join(
              f"{slots} × {codebooks}, {scenes} at once: {quick:.0f} and {slow:.0f} ms, {slow / quick:.1f} times"
              for slots, codebooks, scenes, quick, slow in others))
    # a random number within rounding of the border between two codes (about one in a million) may fall on either side
    return 0 if slow / quick >= LIMIT and different <= 1 else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
