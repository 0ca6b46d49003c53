"""The pictures of the lecture on Part IV that need no tokens: a critic and a game on the line of Part I, where the truth is known."""

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from course_lib.core.frames import Frames
from course_lib.core.projector import SCREEN, photograph
from course_lib.core.style import PALETTE, new_figure, signed
from course_lib.latents.mixture import Mixture
from course_lib.tokens.figures_global import line_critics_figure
from course_lib.tokens.wgan import even, train_critic_1d, train_wgan_1d

EPOCHS = (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24)  # stops of the game


def critics() -> Figure:
    """Two critics on a line, charged for slopes above 1 only, and for every slope that is not 1."""
    mixture = Mixture()
    data, fakes = even(mixture.quantile, 1024), torch.full((1024, 1), mixture.mean)
    found = {}
    for name, one_sided in (("one-sided", True), ("two-sided, as in the paper", False)):
        critic, said = train_critic_1d(data, fakes, one_sided=one_sided, epochs=30, progress=False)
        found[f"{name}: says {said:.2f}"] = critic
    figure = line_critics_figure(data, fakes, found)
    for axes in figure.axes:
        axes.title.set_size(14)
    for text in figure.axes[0].get_legend().get_texts():
        text.set_size(13)
    return figure


class GamePicture:
    """What a generator makes beside the data, for each of two games, and the two distances; `set` shows another epoch.

    games: {name: ({epoch: what is generated}, `History.epochs` with "w1" and "wasserstein")}.
    """

    def __init__(self, data: Tensor, games: dict[str, tuple[dict[int, Tensor], dict[str, list[float]]]]):
        self.games, self.bins = games, np.linspace(-6, 20, 105)
        self.figure = new_figure(11.5, 4.2)
        panels = self.figure.subplots(1, len(games), sharey=True)
        self.titles, self.steps = [], []
        for axes, name in zip(panels, games):
            axes.hist(data.flatten().numpy(), self.bins, density=True, color=PALETTE["data_x"], alpha=0.6, label="data")
            self.steps.append(axes.stairs(np.zeros(len(self.bins) - 1), self.bins, color=PALETTE["output_x_hat"], linewidth=2, label="generated"))
            axes.set(xlabel="x", xlim=(-6, 20), ylim=(0, 1.05))
            self.titles.append(axes.set_title("", size=14))
        panels[0].set_ylabel("density")
        panels[0].legend(loc="upper right")

    def set(self, epoch: int) -> str:
        """Show an epoch of `EPOCHS`, 0 the start, and return the distances in words."""
        said = []
        for (name, (made, told)), title, steps in zip(self.games.items(), self.titles, self.steps):
            counts, _ = np.histogram(made[epoch].flatten().numpy(), self.bins)
            steps.set_data(counts / len(made[epoch]) / (self.bins[1] - self.bins[0]))
            title.set_text(name)
            if epoch:
                true, critic = told["w1"][epoch - 1], signed(told["wasserstein"][epoch - 1], ".2f")
                title.set_text(f"{name}: W1 {true:.2f}, critic says {critic}")
                said.append(f"{name}: the true distance is {true:.2f}, the critic says {critic}")
        return "; ".join(said) + "." if said else "Before training both generators are the same and make nearly one point."


def game_frames() -> Frames:
    """Two WGAN-GP on a line, equal but for the penalty: what the generator makes epoch by epoch."""
    mixture, z = Mixture(), torch.special.ndtri((torch.arange(1000) + 0.5) / 1000)[:, None]
    games = {}
    for name, one_sided in (("one-sided", True), ("two-sided", False)):
        made: dict[int, Tensor] = {}

        def watch(epoch: int, game: nn.ModuleDict, made: dict[int, Tensor] = made) -> None:
            if epoch in EPOCHS:
                with torch.no_grad():
                    made[epoch] = game["generator"](z)

        played = train_wgan_1d(mixture, epochs=EPOCHS[-1], lr=2e-3, one_sided=one_sided, watch=watch, progress=False)
        games[name] = made, played.history.epochs
    images, words = [], []
    with matplotlib.rc_context(SCREEN):
        picture = GamePicture(even(mixture.quantile, 2000), games)
        for epoch in EPOCHS:
            words.append(picture.set(epoch))
            images.append(photograph(picture.figure))
    return Frames(images, [str(epoch) for epoch in EPOCHS], words, "epoch", 0)
