"""Pictures for notebook 05: numbers and small rows of pictures in, `matplotlib.figure.Figure` out."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, SHADES, new_figure
from course_lib.slots.figures import bare, show_picture, show_segmentation
from course_lib.slots.figures_training import LOOK, NAMES, SCORE, in_words

# What goes wrong with objects: colour, marker and dash, as scores have them in `figures_training.LOOK`.
WRONG = {"merged": (SHADES["rose"], "o", "-"), "split": (SHADES["indigo"], "s", "--"), "swallowed": (SHADES["green"], "^", ":")}


def segmentations_figure(rows: Mapping[str, tuple[Float[Tensor, "slots height width"], Mapping[str, float]]]) -> Figure:
    """Side by side who owns which pixel, each with a title and its measures below it. Raises `BadInput` for nothing to show."""
    if not rows:
        raise BadInput("there is no segmentation to show.")
    figure = new_figure(2.6 * len(rows), 3.0)
    for axes, (title, (masks, metrics)) in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows.items()):
        show_segmentation(axes, masks, title)
        axes.title.set_size(11)
        axes.set_xlabel(in_words(metrics).replace(", ", "\n"), size=10)
    return figure


def errors_figure(x: Sequence[int], errors: Mapping[str, Sequence[float]], xlabel: str = "slots at test time") -> Figure:
    """Share of objects that are merged, split and swallowed (`owners.object_errors`) against the number of slots.

    Raises `BadInput` for an error that has not one value for each number of x.
    """
    figure = new_figure(8, 3.4)
    axes = figure.add_subplot()
    for name, values in errors.items():
        if len(values) != len(x):
            raise BadInput(f"{name} needs one value for each of the {len(x)} numbers on the axis.")
        colour, marker, dash = WRONG[name]
        axes.plot(x, values, color=colour, marker=marker, linestyle=dash, label=name)
    axes.set(xlabel=xlabel, ylabel="share of all objects", ylim=(0, 1.02), xticks=list(x))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def pictures_figure(pictures: Mapping[str, Float[Tensor, "3 height width"]], size: float = 2.0) -> Figure:
    """Pictures in a row, RGB in [0, 1], each under its title; size: of one, in inches. Raises `BadInput` for no picture."""
    if not pictures:
        raise BadInput("there is no picture to show.")
    figure = new_figure(size * len(pictures), size + 0.45)
    for axes, (title, picture) in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures.items()):
        show_picture(axes, picture, title)
        axes.title.set_size(10.5)
    return figure


def table_figure(values: Float[Tensor, "rows columns"], rows: Sequence[str], columns: Sequence[str], title: str, label: str) -> Figure:
    """A small table of numbers between 0 and 1 as a heat map, every number printed; label: of the colours."""
    numbers = np.asarray(values)
    figure = new_figure(1.3 + 0.95 * len(columns), 1.3 + 0.55 * len(rows))
    axes = figure.add_subplot()
    heat = axes.imshow(numbers, cmap=IMAGE_CMAP, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(numbers):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.6 else "white")
    bare(axes)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.set_title(title)
    figure.colorbar(heat, label=label)
    return figure


def settings_figure(runs: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]], metrics: Sequence[str] = ("fg_ari", "full_ari")) -> Figure:
    """A line for each setting of a run record, a mark for each of its runs: runs[setting][seed]["metrics"][metric].

    The first setting is the one that the others are compared with: the vertical lines are its means. Raises `BadInput` for no setting.
    """
    if not runs:
        raise BadInput("there is no run to show.")
    figure = new_figure(8, 1.1 + 0.27 * len(runs))
    axes = figure.add_subplot()
    for offset, metric in zip(np.linspace(-0.16, 0.16, len(metrics)), metrics):
        colour, marker, dash = LOOK[metric]
        points = [(run["metrics"][metric], row + offset) for row, seeds in enumerate(runs.values()) for run in seeds.values()]
        axes.plot(*zip(*points), linestyle="", marker=marker, color=colour, markersize=5, label=NAMES[metric])
        axes.axvline(np.mean([run["metrics"][metric] for run in next(iter(runs.values())).values()]), color=colour, linestyle=dash, linewidth=1)
    for row in range(1, len(runs), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="0.94", zorder=0)
    axes.set(xlabel=SCORE, xlim=(-0.05, 1.02), ylim=(len(runs) - 0.5, -0.5))
    axes.set_yticks(range(len(runs)), list(runs))
    axes.grid(False, axis="y")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
