"""A step of Muon computed in float32 against torch's own, which computes in bfloat16; of one matrix, and in the training of SVQ.

    python bench/muon.py [ROUNDS]        (part of: make bench)

The matrix is 128 × 256, that of a decoder's MLP. The training step is that of `train_codes` on 8 scenes of 64 × 64: objective,
backward, clipping, Muon for the matrices and Adam for the rest; the two optimisers take turns on two models that are alike. Which of
the two is faster depends on the machine: one whose processor has instructions for bfloat16 is faster with torch's, and one without
spends most of a training step in it. So there is no limit on the ratio; it says which of the two this machine is. What must hold
everywhere are the steps themselves: those of a matrix are the same but for the rounding of bfloat16. Times are of the processor, with
one thread, medians.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from course_lib.codes.recipe import BATCH, CLIP, CODE_PACE, LR, CodeObjective, variance_of
from course_lib.codes.svq import SVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.muon import Muon
from course_lib.core.threads import one_thread
from course_lib.slots.recipe import make_optimizers
from course_lib.slots.scenes import Scenes

ROWS, COLUMNS = 128, 256
ALIKE = 0.05  # bfloat16 has eight bits, and five iterations add up
AT_ONCE = 20  # steps of the matrix in one measurement, which alone would be too short for the clock


def torchs(groups: list, lr: float) -> torch.optim.Muon:
    """torch's Muon with the settings of ours."""
    return torch.optim.Muon(groups, lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")


KINDS: dict[str, Callable[[list, float], Optimizer]] = {"ours": Muon, "theirs": torchs}


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work()` takes the processor."""
    started = time.process_time()
    work()
    return time.process_time() - started


def in_turn(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each work; they take turns in going first, and the first round warms up."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name in list(works)[:: 1 if number % 2 else -1]:
            taken[name].append(seconds(works[name]))
    return {name: 1000 * statistics.median(times[1:]) for name, times in taken.items()}


def of_a_matrix(kind: str) -> tuple[Callable[[], None], Tensor]:
    """Return what makes 20 steps of one matrix with a gradient that stays, and the matrix's first step."""
    chance = torch.Generator().manual_seed(0)
    matrix = nn.Parameter(torch.randn(ROWS, COLUMNS, generator=chance))
    matrix.grad = torch.randn(ROWS, COLUMNS, generator=chance)
    before, optimizer = matrix.detach().clone(), KINDS[kind]([matrix], 0.01)
    optimizer.step()
    first = matrix.detach() - before

    def steps() -> None:
        for _ in range(AT_ONCE):
            optimizer.step()

    return steps, first


def of_svq(kind: str, scenes: Scenes, variance: float) -> Callable[[], None]:
    """Return what makes one training step of a new SVQ."""
    torch.manual_seed(0)
    model, objective = SVQ(), CodeObjective(1, variance=variance)
    muon, adam = make_optimizers(model, LR, pace=CODE_PACE)
    optimizers = [KINDS[kind]([{"params": group["params"], "lr": group["lr"]} for group in muon.param_groups], LR), adam]

    def step() -> None:
        model.zero_grad()
        objective(model, scenes)["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for optimizer in optimizers:
            optimizer.step()

    return step


def main(rounds: int) -> int:
    world = RuleWorld()
    scenes, variance = world.batch(range(BATCH)), variance_of(world)
    matrices = {kind: of_a_matrix(kind) for kind in KINDS}
    first = {kind: step for kind, (_, step) in matrices.items()}
    apart = float((first["ours"] - first["theirs"]).norm() / first["theirs"].norm())
    with one_thread():
        matrix = {kind: time / AT_ONCE for kind, time in in_turn({kind: steps for kind, (steps, _) in matrices.items()}, rounds).items()}
        training = in_turn({kind: of_svq(kind, scenes, variance) for kind in KINDS}, rounds)
    faster = {what: times["theirs"] / times["ours"] for what, times in (("matrix", matrix), ("training", training))}
    kind = "without" if faster["matrix"] > 1 else "with"
    print(f"Muon in float32 against torch's in bfloat16, median of {rounds}, of the processor: a step of one {ROWS} × {COLUMNS} matrix "
          f"{matrix['ours']:.2f} and {matrix['theirs']:.2f} ms, ratio {faster['matrix']:.2f}; a training step of SVQ on {BATCH} scenes "
          f"{training['ours']:.0f} and {training['theirs']:.0f} ms, ratio {faster['training']:.2f}; so, by these times, this is a machine {kind} "
          f"bfloat16 units; the first steps of the matrix are {apart:.1%} apart (limit {ALIKE:.0%})")
    return 0 if apart <= ALIKE else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
