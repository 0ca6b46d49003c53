"""The pictures of notebook 06, vector quantisation: tensors and numbers in, `matplotlib.figure.Figure` out.

Points that are quantised are green triangles if an encoder makes them and hollow orange squares if they are data; a code is a red diamond with
its number, on its cell, and a code that no point chose is a grey cross.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.codes.plane import Codes, History, Points
from course_lib.codes.quantizer import entropy_bits, nearest
from course_lib.core.errors import BadInput
from course_lib.core.style import DASH, LOOKS, PALETTE, dressed, mark, new_figure
from course_lib.slots.figures import LETTERS, RGB, show_picture
from course_lib.slots.figures_attention import GREY

MOST = 32  # codes that a picture of the plane has room for
LIMIT = 3.2  # the plane is shown from −LIMIT to LIMIT, by default
FINE = 300  # places along a side at which the nearest code is looked up
PALE, BORDER = 0.8, 0.45  # how much white is in a cell's colour, and the grey of the border between two
DATA, ENCODED, CODE = (mark(name) for name in ("data_x", "latent_z_hat", "output_x_hat"))


def cells_picture(codes: Codes, limit: float = LIMIT, fine: int = FINE) -> Float[Tensor, "fine fine 3"]:
    """The plane from −limit to limit, each place in the pale colour of its nearest code, with the borders; first row at the bottom."""
    line = limit * (torch.arange(fine) + 0.5).mul(2 / fine).sub(1)
    places = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).flatten(0, 1)
    owner = nearest(places[None], codes[None])[0].view(fine, fine)
    picture = (PALE + (1 - PALE) * RGB)[owner % len(RGB)]
    edge = torch.zeros(fine, fine, dtype=torch.bool)
    edge[:, 1:] |= owner[:, 1:] != owner[:, :-1]
    edge[1:] |= owner[1:] != owner[:-1]
    picture[edge] = BORDER
    return picture


class Cells:
    """The plane cut into Voronoi cells, with codes, points and (small) targets; `set` shows other ones. At most 32 codes."""

    def __init__(self, axes: Axes, limit: float = LIMIT, fine: int = FINE):
        self.limit, self.fine = limit, fine
        nothing = np.ones((fine, fine, 3))
        self.cells = axes.imshow(nothing, extent=(-limit, limit, -limit, limit), origin="lower", interpolation="nearest", zorder=0)
        (self.targets,), (self.points,), (self.dead,), (self.codes,) = (
            axes.plot([], [], **look, zorder=order) for order, look in enumerate((
                DATA | {"markersize": 3.4, "markeredgewidth": 1.0}, ENCODED | {"markersize": 4, "markeredgewidth": 0},
                {"linestyle": "", "marker": "X", "color": GREY, "markersize": 9, "markeredgecolor": "white"},
                CODE | {"markersize": 13, "markeredgecolor": "white"}), start=1))
        self.numbers = [axes.text(0, 0, str(k + 1), size=7, zorder=6, **LETTERS) for k in range(MOST)]
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="first number", ylabel="second number")
        axes.grid(False)
        self.artists = [self.cells, self.targets, self.points, self.dead, self.codes, *self.numbers]

    def set(self, codes: Codes, targets: Float[Tensor, "m 2"] | None = None, points: Points | None = None) -> None:
        """Show codes and their cells, data (`targets`) and encoded points. A code is alive if one of the points, or without
        points one of the targets, is in its cell. Raises `BadInput` for more than 32 codes."""
        if len(codes) > MOST:
            raise BadInput(f"a picture of the plane has room for {MOST} codes, not {len(codes)}.")
        quantised = targets if points is None else points
        used = torch.zeros(len(codes), dtype=torch.bool)
        if quantised is not None:
            used[nearest(quantised[None], codes[None])[0]] = True
        self.cells.set_data(cells_picture(codes, self.limit, self.fine).numpy())
        for line, where in ((self.targets, targets), (self.points, points), (self.codes, codes[used]), (self.dead, codes[~used])):
            line.set_data(*(where.T.numpy() if where is not None else ([], [])))
        for k, number in enumerate(self.numbers):
            inside = k < len(codes) and bool(used[k]) and float(codes[k].abs().max()) < self.limit
            number.set_visible(inside)
            number.set_position(codes[k].tolist() if inside else (0, 0))


def cells_figure(panels: Mapping[str, tuple[Points, Codes]], limit: float = LIMIT) -> Figure:
    """Panels side by side: data and the codes that speak for them, with distortion (mean squared distance) and perplexity in the title.

    limit: the plane is shown from −limit to limit. Raises `BadInput` for more than 32 codes.
    """
    figure = new_figure(min(13.0, 3.9 * len(panels)), 13.0 / max(3.3, len(panels)) + 0.75)
    for axes, (name, (points, codes)) in zip(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels.items()):
        Cells(axes, limit).set(codes, points)
        chosen = nearest(points[None], codes[None])[0]
        distortion = (codes[chosen] - points).square().sum(1).mean()
        perplexity = entropy_bits(torch.bincount(chosen, minlength=len(codes))).exp2()
        axes.set_title(f"{name}\ndistortion {distortion:.2f}, perplexity {perplexity:.1f}", size=11)
        axes.label_outer()
    return figure


def line_figure(points: Sequence[float], rows: Mapping[str, Sequence[float]]) -> Figure:
    """Quantisation on a line: for each row the points, the codes, the border between each two, and which code a point has."""
    figure = new_figure(9, 0.75 + 0.8 * len(rows))
    axes = figure.add_subplot()
    data, edge = torch.tensor(points), 1.25 * max(abs(x) for x in points)
    for height, (name, codes) in zip(range(len(rows), 0, -1), rows.items()):
        entries = torch.tensor(codes)
        chosen = entries[nearest(data[None, :, None], entries[None, :, None])[0]]
        for x, code in zip(points, chosen.tolist()):
            axes.annotate("", (code, height), (x, height), arrowprops={"arrowstyle": "->", "color": PALETTE["encode_line"], "linewidth": 1.5})
        axes.plot(points, [height] * len(points), **DATA, markersize=8, label="points" if height == 1 else "")
        axes.plot(codes, [height] * len(codes), **CODE, markersize=12, markeredgecolor="white", label="codes" if height == 1 else "")
        ordered = sorted(codes)
        for left, right in zip(ordered, ordered[1:]):
            axes.plot([(left + right) / 2] * 2, [height - 0.35, height + 0.35], color=GREY, linestyle="--", label="border" if height == 1 else "")
    axes.set(xlim=(-edge, edge), ylim=(0.4, len(rows) + 0.6), yticks=range(len(rows), 0, -1), yticklabels=list(rows), xlabel="position")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def staircase_figure(codes: Sequence[float], target: float) -> Figure:
    """The loss (q(z) − target)² over z on a line, and its three gradients: the true one, straight through, and without codes."""
    entries, z = torch.tensor(sorted(codes)), torch.linspace(min(codes) - 0.6, max(codes) + 0.6, 1200)
    quantized = entries[nearest(z[None, :, None], entries[None, :, None])[0]]
    figure = new_figure(11, 3.8)
    left, right = figure.subplots(1, 2)
    jumps = quantized.diff() != 0
    steps = (quantized - target).square().masked_fill(torch.cat([jumps, jumps.new_zeros(1)]), torch.nan)
    left.plot(z, (z - target) ** 2, color=GREY, linestyle=":", label="(z − t)², without codes")
    left.plot(z, steps, color=PALETTE["output_x_hat"], linewidth=2.5, label="(q(z) − t)²: the staircase")
    for code in entries.tolist():
        height, slope, reach = (code - target) ** 2, 2 * (code - target), 0.22
        left.plot([code - reach, code + reach], [height - slope * reach, height + slope * reach], color=PALETTE["decode_line"], linewidth=2.5,
                  label="slope straight through" if code == entries[0] else "")
    left.plot(entries, (entries - target) ** 2, **CODE, markersize=8, markeredgecolor="white", label="codes")
    left.set(xlabel="z", ylabel="loss", title="Loss", ylim=(-0.25, float(((entries - target) ** 2).max()) + 1.3))
    right.plot(z, 2 * (z - target), color=GREY, linestyle=":", label="2(z − t), without codes")
    through = (2 * (quantized - target)).masked_fill(torch.cat([jumps, jumps.new_zeros(1)]), torch.nan)
    right.plot(z, through, color=PALETTE["decode_line"], linewidth=2.5, label="2(q(z) − t), straight through")
    right.plot(z, 0 * z, color=PALETTE["output_x_hat"], linestyle=DASH["output_x_hat"], linewidth=2, label="0, the true gradient")
    right.set(xlabel="z", ylabel="gradient", title="Gradient")
    for axes in (left, right):
        axes.axvline(target, color=PALETTE["data_x"], linestyle="-.", label=f"target t = {target:g}")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return figure


def pair_figure(runs: Mapping[str, tuple[History, Tensor | None]], target: float = 0.0) -> Figure:
    """One point z and its code e on a line over the steps, a panel for each run.

    runs: {name: (history, theory)}: the first numbers of its first point and code, and as dots at every sixth step (z, e) by theory,
    (t, 2), if it is not None. target: where z is to go.
    """
    figure = new_figure(min(13.0, 3.4 * len(runs)), 3.5)
    for axes, (name, (history, theory)) in zip(figure.subplots(1, len(runs), squeeze=False, sharey=True)[0], runs.items()):
        step = np.arange(len(history.points))
        axes.axhline(target, color=PALETTE["data_x"], linestyle="-.", label="target")
        axes.plot(step, history.points[:, 0, 0], color=PALETTE["latent_z_hat"], linestyle=DASH["latent_z_hat"], linewidth=2, label="point z")
        axes.plot(step, history.codes[:, 0, 0], color=PALETTE["output_x_hat"], linewidth=2, label="its code e")
        if theory is not None:
            axes.plot(step[::6], theory[::6], "o", color="black", markersize=3, label=["theory", ""])
        axes.set(title=name, xlabel="step")
    figure.axes[0].set_ylabel("place on the line")
    figure.legend(*figure.axes[-1].get_legend_handles_labels(), loc="outside right upper")
    return figure


def follow_figure(left: Mapping[str, Float[Tensor, "t clusters"]], theory: Mapping[str, Float[Tensor, "t clusters"]],
                  shares: Sequence[float]) -> Figure:
    """What is left of the way to the new place for the code of each cluster, 1 to 0.02, a panel for each way of learning; marks are theory.

    shares: of the points that each cluster has.
    """
    figure = new_figure(11, 3.5)
    for axes, (name, remaining) in zip(figure.subplots(1, len(left), squeeze=False, sharey=True)[0], left.items()):
        step = np.arange(len(remaining))
        for k, (share, (colour, marker, dash)) in enumerate(zip(shares, LOOKS)):
            axes.plot(step, remaining[:, k], color=colour, linestyle=dash, linewidth=2, label=f"{share:g} of the points")
            axes.plot(step[4 * k :: 20], theory[name][4 * k :: 20, k], marker, color=colour, markersize=5)
        axes.set(title=name, xlabel="step after the move", yscale="log", ylim=(0.02, 1.3))
    figure.axes[0].set_ylabel("share of the way still to go")
    figure.legend(*figure.axes[-1].get_legend_handles_labels(), loc="outside right upper")
    return figure


def sweep_figure(weights: Sequence[float], panels: Mapping[str, Mapping[str, Float[Tensor, "seeds weights"]]], xlabel: str = "commitment weight",
                 log: bool = True) -> Figure:
    """A panel for each measure over the same settings: lines are means over seeds, small marks the single seeds.

    panels: {measure: {line: values}}. The settings `weights` stand at equal distances, named `xlabel`; log: logarithmic height.
    Raises `BadInput` for more than seven lines.
    """
    figure = new_figure(min(12.0, 1.5 + 5.0 * len(panels)), 3.6)
    x = np.arange(len(weights))
    for axes, (measure, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
        for (name, values), (colour, marker, dash) in dressed(lines, LOOKS):
            axes.plot(x, values.mean(0), color=colour, linestyle=dash, marker=marker, markersize=6, label=name)
            axes.plot(x, values.T, color=colour, linestyle="", marker=marker, markersize=3, alpha=0.5)
        axes.set(xticks=x, xticklabels=[f"{w:g}" for w in weights], xlabel=xlabel, ylabel=measure, yscale="log" if log else "linear")
        if len(lines) > 1:
            axes.legend(loc="best")
    return figure


def bits_figure(lines: Mapping[str, Mapping[float, float]], entries: Mapping[str, Sequence[int | str]] | None = None) -> Figure:
    """Distortion, as a share of the variance, over nominal bits, a line for each `lines[name][bits]`; entries: labels of the points.

    The axes are fixed: 0 to 39 bits, 0.015 to 1.1 on a logarithmic height. Raises `BadInput` for more than seven lines.
    """
    figure = new_figure(9.5, 4.2)
    axes = figure.add_subplot()
    for (name, points), (colour, marker, dash) in dressed(lines, LOOKS):
        axes.plot(list(points), list(points.values()), color=colour, marker=marker, linestyle=dash, label=name)
        for (bits, height), words in zip(points.items(), (entries or {}).get(name, ())):
            axes.annotate(str(words), (bits, height), (4, 4), textcoords="offset points", size=8.5, color=colour)
    axes.set(xlabel="bits per vector (nominal)", ylabel="distortion (share of the variance)", yscale="log", ylim=(0.015, 1.1), xlim=(0, 39))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def rebuilt_figure(rows: Mapping[str, Float[Tensor, "batch 3 height width"]], columns: int = 8) -> Figure:
    """Pictures in [0, 1], a row for each name, the first `columns` of it, the same scenes one below the other."""
    figure = new_figure(1.15 * columns + 1.6, 1.15 * len(rows) + 0.1, layout="compressed")
    for (name, pictures), axes in zip(rows.items(), figure.subplots(len(rows), columns, squeeze=False)):
        for place, picture in zip(axes, pictures):
            show_picture(place, picture, framed=True)
        axes[0].set_ylabel(name, rotation=0, ha="right", va="center", size=10)
    return figure


def through_figure(codes: Sequence[float]) -> Figure:
    """q(z) on a line: forwards the staircase, and the straight line of slope 1 that the backward pass takes it for."""
    entries, z = torch.tensor(sorted(codes)), torch.linspace(min(codes) - 0.6, max(codes) + 0.6, 1200)
    quantized = entries[nearest(z[None, :, None], entries[None, :, None])[0]]
    jumps = quantized.diff() != 0
    figure = new_figure(8, 3.4)
    axes = figure.add_subplot()
    axes.plot(z, quantized.masked_fill(torch.cat([jumps, jumps.new_zeros(1)]), torch.nan), color=PALETTE["output_x_hat"], linewidth=2.5,
              label="forwards: q(z), slope 0")
    axes.plot(z, z, color=PALETTE["decode_line"], linestyle="--", linewidth=2, label="backwards: as if q(z) were z, slope 1")
    axes.plot(entries, entries, **CODE, markersize=9, markeredgecolor="white", label="codes")
    axes.set(xlabel="z", ylabel="q(z)", title="target: straight through")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
