"""Scenes drawn by one core against scenes that one training step consumes on two.

    python bench/scenes.py [ROUNDS]        (part of: make bench)

A step is that of `train_slots` on 32 scenes of 64 × 64: objective, backward, clipping, Muon and Adam. It is timed with
two threads, and with one, whose time two could at best halve: where other programs use the machine, two threads wait
for each other. The limit holds for the faster of the two. Steps and batches take turns, and medians are compared. Also
printed: how drawing grows with the number of objects and the resolution.
"""

import statistics
import sys
from functools import partial
from timeit import timeit

import torch

from course_lib.core.threads import one_thread
from course_lib.slots.autoencoder import SlotAutoencoder
from course_lib.slots.recipe import BATCH, CLIP, LR, SlotObjective, make_optimizers
from course_lib.slots.scenes import MultiDSprites, SceneDataset, Scenes, Shapes

LIMIT = 4
OBJECTS = {Shapes: (2, 4, 6, 8), MultiDSprites: (2, 4, 6, 8, 10)}  # ten shapes that may not touch do not fit
RESOLUTIONS = (32, 64, 128)
seconds = partial(timeit, number=1)  # of one call


def draw_seconds(worlds: list[SceneDataset], rounds: int) -> list[float]:
    """Return the median seconds that one core needs to draw a batch of each world; the worlds take turns."""
    taken: list[list[float]] = [[] for _ in worlds]
    with one_thread():
        for number in range(rounds + 1):
            for world, times in zip(worlds, taken):
                times.append(seconds(lambda: world.batch(range(number * BATCH, (number + 1) * BATCH))))
    return [statistics.median(times[1:]) for times in taken]


def step_seconds(model: SlotAutoencoder, optimizers: list[torch.optim.Optimizer], scenes: Scenes) -> float:
    """Return how long one training step takes."""
    def step() -> None:
        model.zero_grad()
        SlotObjective(1)(model, scenes)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for optimizer in optimizers:
            optimizer.step()

    return seconds(step)


def main(rounds: int) -> int:
    torch.set_num_threads(2)
    worlds = {"Shapes": Shapes(), "MultiDSprites": MultiDSprites(),
              "MultiDSprites, coloured": MultiDSprites(background="coloured")}
    model, scenes = SlotAutoencoder(), Shapes().batch(range(BATCH))
    optimizers = make_optimizers(model, LR)
    step_seconds(model, optimizers, scenes)
    two, one, drawn = [], [], []
    for _ in range(rounds):  # in turn, so that whatever else the machine does meets all
        two.append(step_seconds(model, optimizers, scenes))
        with one_thread():
            one.append(step_seconds(model, optimizers, scenes))
        drawn.append(draw_seconds(list(worlds.values()), 1))
    threads, thread = statistics.median(two), statistics.median(one)
    step = min(threads, thread / 2)
    print(f"a training step on {BATCH} pictures takes {1000 * threads:.0f} ms with two threads and "
          f"{1000 * thread:.0f} ms with one: two cores consume at most {BATCH / step:.0f} pictures a second")
    ratios = []
    for name, times in zip(worlds, zip(*drawn)):
        draw = statistics.median(times)
        ratios.append(step / draw)
        print(f"{name}: one core draws {BATCH / draw:.0f} scenes a second, ratio {ratios[-1]:.1f} (limit {LIMIT})")
    for cls, counts in OBJECTS.items():
        sizes = {f"{n} objects": cls(min_objects=n, max_objects=n) for n in counts}
        sizes |= {f"{px} px": cls(px) for px in RESOLUTIONS}
        times = draw_seconds(list(sizes.values()), rounds)
        grows = ", ".join(f"{name} {1000 * taken / BATCH:.2f}" for name, taken in zip(sizes, times))
        print(f"{cls.__name__}, milliseconds a scene: {grows}")
    return 0 if min(ratios) >= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
