"""The picture of Part I: latent on the left, data on the right, and lines for who is mapped to whom."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from course_lib.core.style import DASH, PALETTE, mark

Z, X = (-4.0, 4.0), (-5.0, 5.0)  # fixed limits: axes must not jump when a slider moves
SIDE = 0.3  # width of the strip for a density, in lengths of the lines
TALLEST = 0.9  # where a density is cut off, per unit of z or x: a collapsed output is a spike of any height


class Histogram:
    """A density histogram whose heights can be replaced by `set(values)`; drawn from `base`, `scale` axis units per unit."""

    def __init__(self, axes: Axes, key: str, limits: tuple[float, float], *, bins: int = 80, base: float = 0, scale: float = 1,
                 orientation: str = "vertical", label: str | None = None):
        self.edges, self.base, self.scale = np.linspace(*limits, bins + 1), base, scale
        self.steps = axes.stairs(np.full(bins, float(base)), self.edges, orientation=orientation, baseline=base, label=label,
                                 color=PALETTE[key], linestyle=DASH[key], linewidth=1.6, zorder=3)
        self.artists = [self.steps]

    def set(self, values) -> None:
        """Show the density of these values."""
        values = np.ravel(values)
        count, _ = np.histogram(values, self.edges)  # what lies outside is not drawn, but counted in the share
        self.steps.set_data(self.base + self.scale * count / len(values) / np.diff(self.edges))


class Lines:
    """Straight lines from heights at 0 to heights at 1, with a marker at either end; `set` moves them."""

    def __init__(self, axes: Axes, key: str, ends: tuple[str, str]):
        self.lines = LineCollection([], colors=PALETTE[key], linestyles=[DASH[key]], linewidths=1.0, alpha=0.8, zorder=2)
        axes.add_collection(self.lines, autolim=False)
        self.ends = [axes.plot([], [], **mark(end), markersize=4.5, zorder=4)[0] for end in ends]
        self.artists = [self.lines, *self.ends]

    def set(self, left: np.ndarray, right: np.ndarray) -> None:
        """Join each height at the left with its height at the right, both (lines,)."""
        self.lines.set_segments(np.stack([np.c_[0 * left, left], np.c_[0 * right + 1, right]], axis=1))
        for end, at, heights in zip(self.ends, (0, 1), (left, right)):
            end.set_data(np.full_like(heights, at), heights)


class Coupling:
    """One coupling picture in `spec` of `figure`: the latent at 0, the data at 1, a density on either side, lines between.

    `lines(key, z, x)`, `latent(key, values)` and `data(key, values)` draw at the first call and move afterwards;
    `moving` lists what they drew. `key` names a meaning of the palette. Heights are in units of the data.
    """

    def __init__(self, figure: Figure, spec: SubplotSpec, title: str, *, latent: tuple[float, float] = Z,
                 data: tuple[float, float] = X, latent_name: str = "latent z", data_name: str = "data x"):
        self.axes = figure.add_subplot(spec)
        self.limits, self._drawn = {"latent": latent, "data": data}, {}
        self.axes.set(xlim=(-SIDE, 1 + SIDE), ylim=data, xticks=[], ylabel=latent_name)
        ticks = np.arange(np.ceil(latent[0] / 2) * 2, latent[1] + 1, 2 if latent[1] - latent[0] < 13 else 4)
        self.axes.set_yticks(self._height("latent", ticks), [f"{tick:g}".replace("-", "−") for tick in ticks])
        mirror = self.axes.secondary_yaxis("right")
        mirror.set_ylabel(data_name)
        self.axes.set_title(title, loc="center")
        self.axes.grid(False)
        self.axes.spines[:].set_visible(False)
        mirror.spines[:].set_visible(False)
        for side in (0, 1):
            self.axes.axvline(side, color="black", linewidth=1.8, zorder=3.5)  # hides the empty bins

    @property
    def moving(self) -> list[Artist]:
        """All artists that were drawn by `lines`, `latent` and `data`."""
        return [artist for drawn in self._drawn.values() for artist in drawn.artists]

    def density(self, side: str, key: str, at: np.ndarray, p: np.ndarray) -> None:
        """A fixed, filled reference density on one side ("latent" or "data")."""
        base, scale = self._side(side)
        self.axes.fill_betweenx(self._height(side, at), base, base + scale * p, color=PALETTE[key], alpha=0.35, linewidth=0)

    def latent(self, key: str, values) -> None:
        """The density of values z at the left."""
        self._histogram("latent", key, values)

    def data(self, key: str, values) -> None:
        """The density of values x at the right."""
        self._histogram("data", key, values)

    def lines(self, key: str, z, x, ends: tuple[str, str] = ("prior_z", "data_x")) -> None:
        """Join each z on the left with its x on the right; `ends` names the meaning of either end."""
        if key not in self._drawn:
            self._drawn[key] = Lines(self.axes, key, ends)
        self._drawn[key].set(self._height("latent", z), self._height("data", x))

    def _histogram(self, side: str, key: str, values) -> None:
        if (name := f"{side} {key}") not in self._drawn:
            base, scale = self._side(side)
            # heights are in units of the data, so a latent density is rescaled to stay one per unit of z
            unit = np.ptp(self.limits["data"]) / np.ptp(self.limits[side])
            self._drawn[name] = Histogram(self.axes, key, self.limits["data"], base=base, scale=scale * unit,
                                          orientation="horizontal")
        self._drawn[name].set(self._height(side, values))

    def _side(self, side: str) -> tuple[float, float]:
        return (0, -SIDE / TALLEST) if side == "latent" else (1, SIDE / TALLEST)

    def _height(self, side: str, values) -> np.ndarray:
        (low, high), (bottom, top) = self.limits[side], self.limits["data"]
        return bottom + (np.asarray(values, dtype=float).ravel() - low) / (high - low) * (top - bottom)
