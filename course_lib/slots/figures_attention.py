"""The pictures of notebook 04, which looks inside slot attention: tensors and numbers in, `matplotlib.figure.Figure` out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, LOOKS, PALETTE, new_figure
from course_lib.slots.figures import LETTERS, slot_colour

HATCHES = ("", "///", "...")
GREY = PALETTE["coupling_train"]


def matrix_panel(axes: Axes, matrix: Float[Tensor, "k n"], columns: Sequence[str], rows: Sequence[str], title: str = "") -> None:
    """A as a heat map from 0 to 1 with every number printed; rows are slots, columns inputs."""
    axes.imshow(matrix.numpy(), cmap=IMAGE_CMAP, vmin=0, vmax=1, aspect="auto")
    for k, row in enumerate(matrix.tolist()):
        for n, value in enumerate(row):
            axes.text(n, k, f"{value:.2f}", size=10 if len(row) < 9 else 7.5, **LETTERS)
    axes.set(xticks=range(len(columns)), xticklabels=columns, yticks=range(len(rows)), yticklabels=rows, xlabel="input", title=title)
    axes.grid(False)


def iteration_figure(inputs: Float[Tensor, "n"], before: Float[Tensor, "k"], matrix: Float[Tensor, "k n"], after: Float[Tensor, "k"]) -> Figure:
    """One iteration on a line. Left: A, number by number. Right: the inputs, and each slot's way from before to after."""
    figure = new_figure(10, 2.9)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 1.25]})
    names = [f"slot {k + 1}" for k in range(len(before))]
    matrix_panel(left, matrix, [f"{x:g}".replace("-", "−") for x in inputs.tolist()], names, "attention")
    right.plot(inputs, [0.0] * len(inputs), "o", color=GREY, markersize=9, label="inputs")
    for k, (start, end) in enumerate(zip(before.tolist(), after.tolist())):
        height = len(names) - k  # slot 1 on top, as in the matrix
        right.annotate("", (end, height), (start, height), arrowprops={"arrowstyle": "-|>", "color": slot_colour(k), "linewidth": 2})
        right.plot(start, height, "o", markerfacecolor="white", markeredgecolor=slot_colour(k), markersize=9)
        right.plot(end, height, "o", color=slot_colour(k), markersize=11)
    edge = 1.1 * float(inputs.abs().max())
    right.set(xlim=(-edge, edge), ylim=(-0.5, len(names) + 0.6), yticks=range(len(names) + 1), yticklabels=["inputs", *reversed(names)],
              xlabel="position", title="one iteration: ring = before, disc = after")
    return figure


def paths_figure(points: Float[Tensor, "n 2"], paths: Mapping[str, Float[Tensor, "t k 2"]]) -> Figure:
    """One panel for each name: inputs in the plane and the way of every slot, from its ring to its numbered disc."""
    figure = new_figure(4.4 * len(paths), 4.2)
    edge = 1.15 * max(float(points.abs().max()), *(float(path.abs().max()) for path in paths.values()))
    for axes, (name, path) in zip(figure.subplots(1, len(paths), squeeze=False)[0], paths.items()):
        axes.plot(*points.T, "o", color=GREY, markersize=6)
        for k in range(path.shape[1]):
            line, colour = path[:, k].numpy(), slot_colour(k)
            axes.plot(*line.T, "-", color=colour, linewidth=1.5)
            axes.plot(*line[0], "o", markerfacecolor="white", markeredgecolor=colour, markersize=8)
            axes.plot(*line[-1], "o", color=colour, markersize=15)
            axes.text(*line[-1], str(k + 1), size=9, **LETTERS)
        axes.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal", xlabel="first number", ylabel="second number", title=name)
    return figure


def matrices_figure(matrices: Mapping[str, Float[Tensor, "k n"]], rows: Sequence[Sequence[str]] | None = None) -> Figure:
    """Attention matrices side by side, with their numbers; `rows` names the slots of each (default: slot 1, slot 2, …)."""
    widest = max(matrix.shape[1] for matrix in matrices.values())
    figure = new_figure(min(14.0, len(matrices) * (1.4 + 0.62 * widest)), 1.4 + 0.4 * max(len(matrix) for matrix in matrices.values()))
    for i, (axes, (name, matrix)) in enumerate(zip(figure.subplots(1, len(matrices), squeeze=False)[0], matrices.items())):
        names = rows[i] if rows else [f"slot {k + 1}" for k in range(len(matrix))]
        matrix_panel(axes, matrix, [str(n + 1) for n in range(matrix.shape[1])], names, name)
    return figure


def lines_figure(x: Sequence[float], lines: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, title: str = "",
                 log: bool = False, ylim: tuple[float, float] | None = None, mark: tuple[float, str] | None = None) -> Figure:
    """Named lines over x. log: logarithmic height, where zeros are left out; mark: (x, words) of a dotted vertical line.

    Raises `BadInput` for a line with another number of points than x, or more lines than there are looks.
    """
    if len(lines) > len(LOOKS) or any(len(y) != len(x) for y in lines.values()):
        raise BadInput(f"give at most {len(LOOKS)} lines, each with {len(x)} points.")
    figure = new_figure(9, 3.6)
    axes = figure.add_subplot()
    for (name, y), (colour, marker, dash) in zip(lines.items(), LOOKS):
        height = np.asarray(y, float)
        axes.plot(x, np.where(height > 0, height, np.nan) if log else height, color=colour, marker=marker, linestyle=dash, markersize=5, label=name)
    if mark:
        axes.axvline(mark[0], color=GREY, linestyle=":", label=mark[1])
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title, yscale="log" if log else "linear")
    if ylim:
        axes.set_ylim(ylim)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def bars_figure(bars: Mapping[str, Mapping[str, float]], ylabel: str, title: str = "", log: bool = False) -> Figure:
    """Groups of bars: `bars[series][group]`, each with its value printed above. On a logarithmic axis a zero has no bar, but its 0.

    Raises `BadInput` for more than three series, and for series with different groups.
    """
    groups = list(next(iter(bars.values())))
    if len(bars) > len(HATCHES) or any(list(values) != groups for values in bars.values()):
        raise BadInput(f"give at most {len(HATCHES)} series, all with the same groups.")
    figure = new_figure(1.5 + 2.1 * len(groups), 3.6)
    axes = figure.add_subplot()
    width = 0.8 / len(bars)
    every = [value for values in bars.values() for value in values.values() if value > 0]
    floor = min(every) / 3 if log else 0.0
    for i, (name, values) in enumerate(bars.items()):
        x = np.arange(len(groups)) + (i - (len(bars) - 1) / 2) * width
        heights = [max(value, floor) if log else value for value in values.values()]
        axes.bar(x, [h - floor for h in heights] if log else heights, 0.92 * width, bottom=floor if log else 0,
                 color=LOOKS[i][0], alpha=0.75, hatch=HATCHES[i], edgecolor="white", label=name)
        for place, height, value in zip(x, heights, values.values()):
            axes.annotate(f"{value:.2g}", (place, height), (0, 2), textcoords="offset points", ha="center", size=8.5)
    axes.set(xticks=range(len(groups)), xticklabels=groups, ylabel=ylabel, title=title)
    if log:
        axes.set_yscale("log")
        axes.set_ylim(floor, 3 * max(every))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
