"""The training loop of the whole course, on Hugging Face Accelerate (device, precision, processes, trackers).

    for every epoch, for every batch:   loss = objective(model, batch)["loss"];  one optimiser step

A notebook calls `train` without `run`: nothing is written. With a `Run` there are logs and checkpoints, and a run
that was killed and resumed gives the very same numbers as one that never was.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs, ProjectConfiguration
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from course_lib.core.errors import BadInput
from course_lib.core.randomness import batches, seed_noise, unchanged_randomness
from course_lib.core.run import History, Run

Batch = Tensor | dict[str, Tensor]  # what the data set's own __getitems__ gives, or rows put together
Objective = Callable[[nn.Module, Batch], dict[str, Tensor]]
__all__ = ["History", "Run", "train"]


def train(
    model: nn.Module,
    objective: Objective,
    data: Tensor | Dataset,
    *,
    epochs: int,
    batch_size: int,
    lr: float | int,
    optimizers: Callable[[nn.Module, float], list[Optimizer]] | None = None,
    scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    turn: Callable[[int], int | range] | None = None,
    clip: float | int | None = None,
    seed: int = 0,
    before_step: Callable[[int], None] | None = None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    best: str = "loss",
    watch: Callable[[int, nn.Module], None] | None = None,
    pictures: Callable[[nn.Module], dict[str, Tensor]] | None = None,
    run: Run | None = None,
    log_every: int = 1,
    workers: int = 0,
    cpu: bool = False,
    progress: bool = True,
) -> History:
    """Train `model` in place and return the history; the model comes back on its own device, in eval mode.

    objective: (model, batch) -> scalars by name; "loss" is minimised, the others are recorded.
    data: a tensor whose first axis counts samples, or a map-style data set. The order of samples follows from `seed`
        and the epoch alone; noise comes from the global generators, seeded here from `seed` (and the process).
    lr: the learning rate. optimizers: (model, lr) -> optimisers that share the parameters among them; by default one
        Adam. scheduler: optimiser -> schedule, stepped after every update. clip: largest gradient norm.
    turn: number of updates made so far -> number of the optimiser whose turn it is, or a range of several, for games such as a WGAN; by
        default all step.
        Those that rest keep their schedules, and their parameters ask for no gradient in this step. A measure that only some
        turns have is repeated until it is taken again; every epoch needs at least one turn that has it.
    before_step: called before every step with the number of updates made so far, to change a weight of the objective, say.
    validate: model -> measures of held-out data, once an epoch, in eval mode without gradients.
    best: the measure (epoch mean or of `validate`) whose lowest value is kept as `best_model`.
    watch: called as watch(epoch, model) before training with epoch 0 and after every epoch.
    pictures: model -> float pictures (n, 3, height, width) by name, for the run's tracker at each periodic checkpoint.
        None of `validate`, `watch` and `pictures` can disturb the run by drawing random numbers.
    run: where to log and to keep checkpoints. log_every: steps from one record of the history to the next.
    cpu: stay on the CPU even if there is a GPU (small models are faster there).
    With several processes (`accelerate launch`) each batch is split among them.
    Raises `BadInput`: empty or non-finite data, bad numbers, a loss that is not finite, no memory, and `Run`'s errors.
    """
    _check(data, epochs=epochs, batch_size=batch_size, seed=seed, log_every=log_every, workers=workers, lr=lr, clip=clip)
    accelerator = _accelerator(run, cpu, turns=turn is not None)
    if batch_size % accelerator.num_processes:
        raise BadInput(f"batch_size {batch_size} cannot be split among {accelerator.num_processes} processes.")

    home = next(model.parameters()).device
    chosen = optimizers(model, lr) if optimizers else [torch.optim.Adam(model.parameters(), lr=lr, fused=True)]
    loader = accelerator.prepare(batches(data, batch_size, seed, workers))
    update = _Update(accelerator, _Step(model, objective), chosen, scheduler, turn, clip)
    seed_noise(seed, accelerator.process_index)

    arguments = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "clip": clip, "seed": seed, "log_every": log_every, "samples": len(data)}
    history = run.begin(accelerator, arguments) if run else History()
    bar = tqdm(total=epochs * len(loader), initial=history.epoch * len(loader), unit="step", mininterval=0.5,
               desc=run.name if run else None, disable=not (progress and accelerator.is_main_process))
    try:
        with _enough_memory(batch_size):
            if history.epoch == 0:
                _looked(watch and partial(watch, 0), model)
            while history.epoch < epochs:
                started, rows = time.perf_counter(), []
                loader.set_epoch(history.epoch + 1)
                model.train()
                for done, batch in enumerate(loader, history.updates):
                    if before_step:
                        before_step(done)
                    rows.append(update(done, batch))
                    bar.update()
                history.add_epoch(_numbers(accelerator, rows), log_every, run.newest if run else None)
                history.add_validation({name: float(value) for name, value in _looked(validate, model).items()})
                history.note_best(best)
                history.seconds += time.perf_counter() - started
                bar.set_postfix({best: f"{history.epochs[best][-1]:.4g}"}, refresh=False)
                if run:
                    run.after_epoch(accelerator, history, epochs)
                    _log_pictures(pictures if run.is_due(history.epoch, epochs) else None, model, accelerator, history)
                _looked(watch and partial(watch, history.epoch), model)
    finally:
        bar.close()
        update.end_turns()
        for tracker in accelerator.trackers:
            tracker.finish()
    model.to(home).eval()
    return history


class _Step(nn.Module):
    """Model and objective as one module, so that gradients are shared whichever methods of the model are called."""

    def __init__(self, model: nn.Module, objective: Objective):
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        measures = self.objective(self.model, batch)
        if "loss" not in measures:
            raise BadInput(f"the objective must return a 'loss'; it returned {', '.join(measures) or 'nothing'}.")
        return measures


class _Update:
    """One update of the model: gradients of a batch, and a step of the optimisers whose turn it is, with their schedules."""

    def __init__(self, accelerator: Accelerator, step: _Step, optimizers: list[Optimizer],
                 scheduler: Callable[[Optimizer], LRScheduler] | None, turn: Callable[[int], int | range] | None, clip: float | None):
        self.accelerator, self.turn, self.clip = accelerator, turn, clip
        self.players = [[p for group in optimizer.param_groups for p in group["params"] if p.requires_grad] for optimizer in optimizers]
        schedules = [scheduler(optimizer) for optimizer in optimizers] if scheduler else []
        self.step, *prepared = accelerator.prepare(step, *optimizers)
        self.schedules = [accelerator.prepare(schedule) for schedule in schedules]
        # Accelerate's optimiser looks for an optional package at every step (0.1 ms); only scaled gradients (fp16) need it.
        self.optimizers = prepared if accelerator.scaler else optimizers

    def __call__(self, done: int, batch: Batch) -> dict[str, Tensor]:
        """Update number `done`, counted from 0; return the measures of its batch."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        now = slice(None) if self.turn is None else self._take_turn(self.turn(done))
        measures = self.step(batch)
        self.accelerator.backward(measures["loss"])
        if self.clip:
            self.accelerator.clip_grad_norm_(self.step.parameters(), self.clip)
        for each in self.optimizers[now] + self.schedules[now]:
            each.step()
        return {name: value.detach() for name, value in measures.items()}

    def end_turns(self) -> None:
        """Afterwards all parameters ask for gradients again."""
        if self.turn:
            self._ask_for_gradients(range(len(self.players)))

    def _take_turn(self, turn: int | range) -> slice:
        """Let only the parameters of these optimisers ask for gradients; return their places among the optimisers."""
        active, many = turn if isinstance(turn, range) else [turn], len(self.players)
        if not active or any(number not in range(many) for number in active):
            raise BadInput(f"turn must name one of the {many} optimisers, 0 to {many - 1}, not {turn!r}.")
        self._ask_for_gradients(active)
        return slice(active[0], active[-1] + 1)

    def _ask_for_gradients(self, active: Sequence[int]) -> None:
        for number, parameters in enumerate(self.players):
            for parameter in parameters:
                parameter.requires_grad_(number in active)


def _accelerator(run: Run | None, cpu: bool, turns: bool) -> Accelerator:
    settings = {"kwargs_handlers": [DistributedDataParallelKwargs(find_unused_parameters=True)]} if turns else {}
    cpu = cpu or not torch.accelerator.is_available()  # without this, several processes on CPUs stay strangers
    if run:
        project = ProjectConfiguration(project_dir=str(run.folder), logging_dir=str(run.folder / "logs"))
        settings |= {"log_with": None if run.tracker == "none" else run.tracker, "project_config": project,
                     "mixed_precision": run.precision}
    try:
        return Accelerator(cpu=cpu, dataloader_config=DataLoaderConfiguration(split_batches=True), **settings)
    except ValueError as error:  # another device or precision than earlier in this process
        raise BadInput(f"cannot train on this device or precision: {str(error).rstrip('.')}.") from error


def _numbers(accelerator: Accelerator, rows: list[dict[str, Tensor]]) -> dict[str, list[float]]:
    """Every measure of every step of an epoch as numbers, the mean over processes. A step that lacks one repeats the last one
    before it, or the first after it if there is none before."""
    numbers = {}
    for name in {name: None for row in rows for name in row}:
        measured = [step for step, row in enumerate(rows) if name in row]
        if rows[measured[0]][name].ndim:
            raise BadInput(f"the objective's {name!r} must be one number, not of shape {list(rows[measured[0]][name].shape)}.")
        values = accelerator.reduce(torch.stack([rows[step][name] for step in measured]), "mean").tolist()
        numbers[name] = [values[max(bisect_right(measured, step) - 1, 0)] for step in range(len(rows))]
    return numbers


def _looked(look: Callable[[nn.Module], Any] | None, model: nn.Module) -> Any:
    """What `look` returns for the model in eval mode; {} if there is nothing to look with."""
    if look is None:
        return {}
    model.eval()
    with unchanged_randomness(), torch.no_grad():
        return look(model)


def _log_pictures(pictures: Callable | None, model: nn.Module, accelerator: Accelerator, history: History) -> None:
    if pictures and accelerator.is_main_process:
        for tracker in accelerator.trackers:
            tracker.log_images(_looked(pictures, model), step=history.updates)


@contextmanager
def _enough_memory(batch_size: int) -> Iterator[None]:
    """Say in one sentence that memory ran out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or should_reduce_batch_size(error):
            raise BadInput(f"out of memory with batch_size {batch_size}; use a smaller batch or resolution.") from error
        raise


def _check(data: Tensor | Dataset, **numbers) -> None:
    for name, value in numbers.items():
        if name in ("lr", "clip"):
            none = name == "clip" and value is None
            good, what = none or (_is_number(value) and 0 < value < math.inf), "a positive number"
        else:
            least = 0 if name in ("seed", "workers") else 1
            good, what = type(value) is int and value >= least, f"a whole number from {least} on"
        if not good:
            raise BadInput(f"{name} must be {what}, not {value!r}.")
    if len(data) == 0:
        raise BadInput("the data are empty; training needs at least one sample.")
    if isinstance(data, Tensor) and not torch.isfinite(data).all():
        raise BadInput("the data contain NaN or infinite values; remove them before training.")


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
