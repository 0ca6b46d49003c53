"""The quantiser, forward, backward and EMA step: ours against the PyPI module `vector-quantize-pytorch` on the same tensors.

    python bench/quantizer.py [ROUNDS]        (part of: make bench)

Batch 32, 4 slots of dim 64, 4 codebooks × 512 codes × 16, EMA with decay 0.99, both looking for dead codes at every
step. Theirs is its product configuration: 4 heads with a codebook each, straight through as in the paper. Both start from
the same codes, see new vectors in every round, and take turns in going first. The limit is for processor time with one
thread: a step of ours is over before another program gets its turn, one of theirs is not, so that on a busy machine
the clock on the wall would flatter us.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import VectorQuantize

from course_lib.codes.quantizer import ProductQuantizer
from course_lib.core.threads import one_thread

LIMIT = 0.9
BATCH, SLOTS = 32, 4
WARM_UP = 5


def both() -> tuple[ProductQuantizer, VectorQuantize]:
    """Ours with its defaults, and theirs with the same settings and codes."""
    ours = ProductQuantizer(start="normal")
    dead = ours.restart * BATCH * SLOTS / ours.codes  # theirs takes the number itself, not a share
    theirs = VectorQuantize(ours.dim, ours.codes, codebook_dim=ours.code_dim, heads=ours.codebooks, decay=ours.decay,
                            separate_codebook_per_head=True, eps=ours.eps, commitment_weight=ours.commitment_weight,
                            rotation_trick=False, threshold_ema_dead_code=dead)
    theirs._codebook.embed.copy_(ours.codebook)
    theirs._codebook.embed_avg.copy_(ours.codebook)
    return ours, theirs


def seconds(quantize: Callable[[Tensor], tuple], inputs: Tensor) -> tuple[float, float]:
    """Return how long the forward and backward pass take, EMA included: of the processor, and on the wall."""
    inputs = inputs.clone().requires_grad_()
    processor, wall = time.process_time(), time.perf_counter()
    quantized, _, loss, *_ = quantize(inputs)
    (quantized.square().sum() + loss).sum().backward()
    return time.process_time() - processor, time.perf_counter() - wall


def milliseconds(rounds: int) -> Tensor:
    """Return median milliseconds, a row for ours and one for theirs: of the processor, and on the wall."""
    torch.manual_seed(0)
    ours, theirs = both()
    times: dict[nn.Module, list[tuple[float, float]]] = {ours: [], theirs: []}
    for number in range(rounds + WARM_UP):
        inputs = torch.randn(BATCH, SLOTS, ours.dim)
        for module in (ours, theirs) if number % 2 else (theirs, ours):
            taken = seconds(module, inputs)
            if number >= WARM_UP:
                times[module].append(taken)
    return torch.tensor([[1000 * statistics.median(clock) for clock in zip(*times[module])] for module in (ours, theirs)])


def main(rounds: int) -> int:
    (_, mine), (_, its) = milliseconds(rounds).tolist()
    threads = f"on the wall with {torch.get_num_threads()} threads {mine:.2f} and {its:.2f} ms, ratio {mine / its:.2f}"
    with one_thread():
        (mine, wall), (its, their_wall) = milliseconds(rounds).tolist()
    print(f"quantiser, forward + backward + EMA, batch {BATCH}, {SLOTS} slots, 4 × 512 × 16, median of {rounds}: ours {mine:.2f} ms, "
          f"PyPI's {its:.2f} ms of the processor, ratio {mine / its:.2f} (limit {LIMIT}); on the wall {wall:.2f} and "
          f"{their_wall:.2f} ms, ratio {wall / their_wall:.2f}; {threads}")
    return 0 if mine / its <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
