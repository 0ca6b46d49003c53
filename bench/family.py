"""`train_family` over 24 β's against the textbook loop, one β after another, with the same batches and steps.

    python bench/family.py [STEPS]        (part of: make bench)

The family uses the threads that it chooses (one). The textbook is timed with the threads that torch chooses, and with one,
which is its best where other programs use the machine; the limit holds for the faster of the two. Of the 24 single runs a few are
trained, in turn with the whole family, and their mean time is multiplied by 24: each costs the same, whatever its β.
"""

import statistics
import sys
from functools import partial
from pathlib import Path
from timeit import timeit

import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))
from course_lib.core.threads import one_thread  # noqa: E402
from course_lib.latents.family import BETAS, draws, start, train_family  # noqa: E402
from course_lib.latents.mixture import Mixture  # noqa: E402
from tests.latents.textbook import TextbookVAE, train_one  # noqa: E402

LIMIT, LIVE_SECONDS = 8, 30
SINGLES = (0.1, 1.0, 10.0)  # the β's trained one after another
LIVE_STEPS = 4000
seconds = partial(timeit, number=1)  # of one call


def main(steps: int) -> int:
    x = Mixture().sample()

    def family() -> None:
        train_family(x, BETAS, steps=steps, progress=False)

    def single(beta: float) -> None:
        train_one(TextbookVAE().copy_from(start(0).state_dict()), x, beta, draws(len(x), 64, steps, 1, 0), steps, lr=3e-3)

    train_family(x, BETAS, steps=20, progress=False)  # warm up
    train_one(TextbookVAE(), x, 1.0, draws(len(x), 64, 20, 1, 0), 20, lr=3e-3)
    together, default, alone = [], [], []
    for beta in SINGLES:  # in turn, so that whatever else the machine does meets all
        together.append(seconds(family))
        default.append(seconds(lambda: single(beta)))
        with one_thread():
            alone.append(seconds(lambda: single(beta)))
    family_seconds = statistics.mean(together)
    threads, thread = (len(BETAS) * statistics.mean(one) for one in (default, alone))
    ratio = min(threads, thread) / family_seconds
    live = seconds(lambda: train_family(x, BETAS, steps=LIVE_STEPS, progress=False))
    print(f"{len(BETAS)} β-VAEs, {steps} steps: one after another {threads:.1f} s with {torch.get_num_threads()} threads and "
          f"{thread:.1f} s with one ({len(SINGLES)} of them timed, times {len(BETAS)}/{len(SINGLES)}), together {family_seconds:.2f} s: "
          f"ratio {threads / family_seconds:.1f} and {thread / family_seconds:.1f} (limit {LIMIT}); the live family, "
          f"{LIVE_STEPS} steps: {live:.1f} s (limit {LIVE_SECONDS})")
    return 0 if ratio >= LIMIT and live <= LIVE_SECONDS else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 400))
