"""The toy that the tests of training share: a small noisy network, and `short` runs of it."""

import numpy
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from course_lib.core.training import History, Run, train

DATA = torch.linspace(-1, 1, 50)[:, None]


class Samples(Dataset):
    """The same samples, one at a time."""

    def __len__(self) -> int:
        return len(DATA)

    def __getitem__(self, index: int) -> Tensor:
        return DATA[index]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 1))


def objective(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    noise = 0.1 * torch.randn_like(x) + 0.1 * float(numpy.random.rand())
    return {"loss": ((model(x + noise) - x) ** 2).mean(), "noise": noise.mean()}


def cosine(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)


class Game(nn.Module):
    """Two players, of whom one learns at a time: `even` in steps 0, 2, 4, …, `odd` in the others."""

    def __init__(self):
        super().__init__()
        self.even, self.odd, self.now = network(), network(), 0

    def take(self, done: int) -> None:
        self.now = done % 2

    def objective(self, _: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The two play through each other, so both would get a gradient in every step."""
        loss = objective(nn.Sequential(self.even, self.odd), x)["loss"]
        return {"loss": loss, ("odd" if self.now else "even"): loss.detach()}

    def optimizers(self, _: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(self.even.parameters(), lr=lr), torch.optim.Adam(self.odd.parameters(), lr=lr / 2)]

    def play(self, **changes) -> History:
        return short(self, **{"objective": self.objective, "optimizers": self.optimizers, "turn": lambda done: done % 2, "before_step": self.take,
                              **changes})


def short(model: nn.Module | None = None, **changes) -> History:
    arguments = {"lr": 0.01, "epochs": 3, "batch_size": 16, "progress": False, "cpu": True, **changes}
    data = arguments.pop("data", DATA)
    return train(model or network(), arguments.pop("objective", objective), data, **arguments)


def kept(folder, **changes) -> Run:
    return Run(folder, "toy", **{"tracker": "none", "checkpoint_every": 2, **changes})


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def numbers(history: History) -> tuple:
    return history.step, history.steps, history.epochs, history.epoch, history.updates, history.best_epoch
