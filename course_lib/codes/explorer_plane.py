"""The sliders of notebook 06: vector quantisation in the plane, while points and codes move."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from matplotlib.figure import Figure

from course_lib.codes.figures_plane import MOST, Cells
from course_lib.codes.plane import History, clusters, codebook, train, untrained
from course_lib.core.explorer import Explorer, choice, stops
from course_lib.core.style import DASH, PALETTE, new_figure

CODES = (2, 3, 4, 5, 6, 8, 12, 16, 24, 32)
WEIGHTS = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
STEPS = (0, 1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 35, 40, 45, 50, 55, 60, 70, 80)
SEEDS, RATE, DECAY = 8, 0.2, 0.9  # a faster world than a network's: 80 steps are enough
WIDE = 4.2  # the plane is shown from −WIDE to WIDE: points run away with a weak commitment
LOWEST, HIGHEST = 0.01, 30.0  # of the curves
FINE = 220  # places along a side of the plane: fewer than in a still picture, so that a frame is quick


@lru_cache(maxsize=512)
def story(codes: int, weight: float, seed: int, restart: float) -> History:
    """Free points that start as one small cloud, and codes that start as N(0, 1), for 80 steps."""
    quantizer = codebook(codes, seed, start="normal", commitment_weight=weight, decay=DECAY, restart=restart)
    return train(quantizer, clusters(), STEPS[-1], points=untrained(seed=seed), rate=RATE, seed=seed)


class VoronoiPicture:
    """Left the plane with its cells, right the errors over the steps and how often each code is used; `set` shows another moment."""

    def __init__(self):
        self.figure = new_figure(11.2, 5.0)
        grid = self.figure.add_gridspec(2, 2, width_ratios=[1, 1.15], height_ratios=[1.3, 1])
        plane, curves, bars = (self.figure.add_subplot(spec) for spec in (grid[:, 0], grid[0, 1], grid[1, 1]))
        self.cells = Cells(plane, WIDE, FINE)
        plane.set_title("□ targets  ▲ points z  ◆ codes  × unused", loc="left")
        (self.error,) = curves.plot([], [], color=PALETTE["output_x_hat"], linewidth=2, label="task error ‖q(z) − target‖²")
        (self.gap,) = curves.plot([], [], color=PALETTE["latent_z_hat"], linestyle=DASH["latent_z_hat"], linewidth=2, label="gap ‖z − q(z)‖²")
        (self.now,) = curves.plot([0, 0], [LOWEST, HIGHEST], color=PALETTE["coupling_train"], linestyle=":")
        curves.set(xlim=(-2, STEPS[-1] + 2), ylim=(LOWEST, HIGHEST), yscale="log", xlabel="step", ylabel="squared distance")
        curves.set_title("Errors", loc="left")
        curves.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
        self.bars = bars.bar(np.arange(1, MOST + 1), np.zeros(MOST), color=PALETTE["output_x_hat"])
        bars.set(xlim=(0.3, MOST + 0.7), ylim=(0, 1), xlabel="code", ylabel="share of the points")
        bars.set_title("Who is used", loc="left")
        self.set(story(8, 0.25, 0, 0.1), 0, 0.25)
        self.moving = [*self.cells.artists, self.error, self.gap, self.now, *self.bars]

    def set(self, history: History, step: int, weight: float) -> None:
        """Show the moment after so many steps; weight: of the commitment, for the words."""
        self.weight, self.step, self.codes = weight, step, history.codes.shape[1]
        self.numbers = {name: getattr(history, name) for name in ("error", "gap", "perplexity")}
        points, counts = history.points[step], history.counts[step]
        self.used = int((counts > 0).sum())
        self.outside = int((points.abs().amax(1) > WIDE).sum())
        self.cells.set(history.codes[step], history.targets, points)
        for line, name in ((self.error, "error"), (self.gap, "gap")):
            line.set_data(np.arange(len(history.codes)), self.numbers[name])
        self.now.set_xdata([step, step])
        shares = (counts / counts.sum()).tolist() + [0.0] * (MOST - self.codes)
        for bar, share in zip(self.bars, shares):
            bar.set_height(share)

    def words(self) -> str:
        """One line that says what the picture shows."""
        error, gap, perplexity = (float(self.numbers[name][self.step]) for name in ("error", "gap", "perplexity"))
        outside = f"; {self.outside} points are outside the picture" if self.outside else ""
        return (f"<b>{self.codes} codes, commitment {self.weight:g}, step {self.step}</b>: task error {error:.2f}, gap {gap:.2f}; {self.used} of "
                f"{self.codes} codes are used, perplexity {perplexity:.1f} of {self.codes}, at most {np.log2(self.codes):.2f} bits, entropy "
                f"{np.log2(perplexity):.2f} bits{outside}.")


class VoronoiExplorer(Explorer):
    """Watch free points and their codes learn. Controls: `codes` (2 to 32), `commitment` (0 to 8), `step` (0 to 80), `seed` (0 to 7), and
    `restart`, 0.1 or 0.0: whether codes that are not used are drawn anew. Each setting is trained when it is first asked for.
    """

    def __init__(self, codes: int = 8, commitment: float = 0.25):
        self._picture = VoronoiPicture()
        restart = choice([("drawn anew", 0.1), ("left alone", 0.0)], "unused codes")
        super().__init__(self._picture.figure, self._picture.moving, codes=stops(list(CODES), "codes", codes, width="17em"),
                         commitment=stops(list(WEIGHTS), "commitment", commitment, width="20em"), step=stops(list(STEPS), "step", width="20em"),
                         seed=stops(list(range(SEEDS)), "start", width="14em"), restart=restart)

    def update(self) -> str:
        self._picture.set(self._story(self.commitment.value), self.step.value, self.commitment.value)
        return self._picture.words()

    def still(self, weights: Sequence[float] = (0.0, 0.25, 1.0, 8.0), steps: Sequence[int] = (0, 12, 80)) -> Figure:
        """Small multiples: a row for each commitment weight and a column for each step, the other controls as they stand."""
        figure = new_figure(3.1 * len(steps) + 0.3, 3.1 * len(weights) + 0.2)
        for row, weight in zip(figure.subplots(len(weights), len(steps), squeeze=False, sharex=True, sharey=True), weights):
            history = self._story(weight)
            for axes, step in zip(row, steps):
                Cells(axes, WIDE).set(history.codes[step], history.targets, history.points[step])
                axes.set_title(f"commitment {weight:g}, step {step}\nerror {history.error[step]:.2f}, gap {history.gap[step]:.2f}", size=10)
                axes.label_outer()
        return figure

    def _story(self, weight: float) -> History:
        return story(self.codes.value, weight, self.seed.value, self.restart.value)
