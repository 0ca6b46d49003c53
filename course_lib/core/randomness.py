"""Random numbers and the order of samples: everything follows from one small seed, in every process."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

NOISE, ORDER = 1, 2  # what a stream of random numbers is for


def stream_seed(seed: int, purpose: int, index: int = 0) -> int:
    """A 32-bit seed of its own for each (seed, purpose, index): seeds 0 and 1 share no epoch's order, no noise."""
    return int(numpy.random.SeedSequence([seed, purpose, index]).generate_state(1)[0])


def seed_noise(seed: int, process: int = 0) -> None:
    """Seed Python's, NumPy's and torch's global generators, differently in each process."""
    number = stream_seed(seed, NOISE, process)
    random.seed(number)
    numpy.random.seed(number)
    torch.manual_seed(number)


def epoch_order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of `samples` indices in `epoch` (counted from 1); depends on nothing else."""
    generator = torch.Generator().manual_seed(stream_seed(seed, ORDER, epoch))
    return torch.randperm(samples, generator=generator)


@contextmanager
def unchanged_randomness() -> Iterator[None]:
    """Whatever the block draws from the global generators, afterwards they are as they were before."""
    python, legacy = random.getstate(), numpy.random.get_state()
    gpu = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=gpu):
        yield
    random.setstate(python)
    numpy.random.set_state(legacy)


class EpochOrder(Sampler[int]):
    """Indices in the order of `epoch_order`; Accelerate calls `set_epoch` before each epoch.

    Of `endless` data, drawn on the fly, every epoch takes the samples that follow those of the epoch before.
    """

    def __init__(self, samples: int, seed: int, endless: bool = False):
        self.samples, self.seed, self.endless, self.epoch = samples, seed, endless, 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch, counted from 1."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[int]:
        first = self.samples * max(self.epoch - 1, 0) if self.endless else 0
        return iter((first + epoch_order(self.samples, self.seed, self.epoch)).tolist())


class Rows(Dataset):
    """The rows of a tensor; a whole batch is picked with one index instead of one by one."""

    def __init__(self, rows: Tensor):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Tensor:
        return self.rows[torch.tensor(indices)]


def batches(data: Tensor | Dataset, batch_size: int, seed: int, workers: int = 0) -> DataLoader:
    """A loader of shuffled batches; the last one of an epoch may be smaller.

    Data with `__getitems__` return a whole batch at once, as it is; data with a true `endless` have a scene, say, for
    every index from 0 on, and `len(data)` is what one epoch takes of them.
    """
    order = EpochOrder(len(data), seed, getattr(data, "endless", False))
    data = Rows(data) if isinstance(data, Tensor) else data
    whole = hasattr(data, "__getitems__")
    return DataLoader(data, batch_size, sampler=order, num_workers=workers, collate_fn=as_it_is if whole else None)


def as_it_is(batch):
    """What a loader of whole batches does to put them together: nothing."""
    return batch
