"""The pictures of notebook 12: which places make a field, the ceiling of single tokens, how training goes field by field, where fields are bad,
and what a token depends on. Nothing here trains or loads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float, Int64
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, PALETTE, line_look, new_figure, saved, signed
from course_lib.tokens.compressor import owners
from course_lib.tokens.fields import field_size
from course_lib.tokens.figures_rf import MIDDLES, SCALE
from course_lib.tokens.metrics import BANDS

MADE, REAL = PALETTE["output_x_hat"], PALETTE["data_x"]
FAINT = 1e-5  # of the largest share of a gradient: what is below is drawn as this


class Index(NamedTuple):
    """One panel of `index_figure`. chosen: of every field the number of one place of the full grid."""

    title: str
    grid: tuple[int, int]
    output_grid: tuple[int, int]
    chosen: Int64[Tensor, "n"]


def index_figure(cases: Sequence[Index], save_path: Path | str | None = None) -> Figure:
    """Full grids divided into fields, each with its number, and the place of each that was chosen as a square.

    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no case, and for grids that do not nest.
    """
    if not cases:
        raise BadInput("name at least one pair of grids to draw.")
    figure = new_figure(3.5 * len(cases), 3.7)
    for axes, case in zip(figure.subplots(1, len(cases), squeeze=False)[0], cases):
        owner, (rows, columns) = owners(case.grid, case.output_grid).numpy(), field_size(case.grid, case.output_grid)
        row, column = owner // case.output_grid[1], owner % case.output_grid[1]
        axes.imshow((row + column) % 2, cmap="Greys", vmin=-0.5, vmax=4, interpolation="nearest")
        for number in range(owner.max() + 1):
            first = number // case.output_grid[1] * rows, number % case.output_grid[1] * columns
            axes.text(first[1] + columns / 2 - 0.5, first[0] + rows / 2 - 0.5, str(number), ha="center", va="center", size=8, color="#555555")
        places = case.chosen.numpy()
        axes.scatter(places % case.grid[1], places // case.grid[1], 26, color=REAL, marker="s", edgecolor="black", linewidth=0.7)
        axes.set_title(f"{case.title}\n{case.grid[0]} × {case.grid[1]} places, {case.output_grid[0]} × {case.output_grid[1]} fields of {rows} × {columns}",
                       size=10)
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
    return saved(figure, save_path)


def ceiling_figure(resultant: Float[Tensor, "*lead"], cosines: Mapping[str, Float[Tensor, "*lead"]], save_path: Path | str | None = None) -> Figure:
    """A panel for each compressor: every field as a point, R against its mean cosine, and the line on which the two are equal.

    One token at all places cannot lie above the line. The title has the mean of the cosines and how many fields lie above.
    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no compressor.
    """
    if not cosines:
        raise BadInput("name at least one compressor to draw.")
    x = resultant.flatten().numpy()
    figure = new_figure(0.5 + 2.9 * len(cosines), 3.5)
    low = min(0.0, float(x.min()), *(float(values.min()) for values in cosines.values()))
    for number, (axes, (name, values)) in enumerate(zip(figure.subplots(1, len(cosines), squeeze=False, sharey=True)[0], cosines.items())):
        y = values.flatten().numpy()
        above = float((y > x + 1e-4).mean())
        axes.scatter(x, y, 6, color=MADE, alpha=0.25, linewidth=0)
        axes.plot([low, 1], [low, 1], color="black", linestyle="--", linewidth=1.3, label="R")
        axes.set(xlabel="R of the field", xlim=(min(0.0, float(x.min())), 1.02), ylim=(low, 1.02))
        axes.set_title(f"{name}\nmean {signed(float(y.mean()), '.3f')}, above R: {above:.0%}", size=10)
        if not number:
            axes.set_ylabel("mean cosine with the field")
            axes.legend(loc="upper left")
    return saved(figure, save_path)


def training_figure(runs: Mapping[str, Mapping[str, Sequence[float]]], shown: str, floor: float | None = None, says: str = "",
                    save_path: Path | str | None = None) -> Figure:
    """Left the share of variance that held-out fields lack, after each epoch of each run; right the bands of the run `shown`, fields per picture.

    runs: {name: measures per epoch of `recipe_rf.validation`}. floor: a share that is drawn as a line under the name `says`.
    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` if there is no run `shown`.
    """
    if shown not in runs:
        raise BadInput(f"there is no run {shown!r} to show the bands of; there are {', '.join(runs)}.")
    figure = new_figure(10.5, 3.6)
    left, right = figure.subplots(1, 2)
    for line, (name, epochs) in enumerate(runs.items()):
        values = epochs["held_out_unexplained"]
        left.plot(range(1, len(values) + 1), values, **line_look(line), markersize=5, markevery=max(1, len(values) // 12), linewidth=2, label=name)
    if floor is not None:
        left.axhline(floor, color=PALETTE["coupling_train"], linestyle=(0, (1, 2)), label=says)
    left.set(xlabel="epoch", ylabel="variance unexplained", ylim=(0, None))
    left.legend(loc="center right", fontsize=9)
    many = np.array([runs[shown][f"held_out_{name}"] for name in BANDS])
    colours = [_band_colour(number) for number in range(len(BANDS))]
    right.stackplot(range(1, many.shape[1] + 1), many, colors=colours, labels=BANDS)
    right.set(xlabel="epoch", ylabel="fields of a picture", ylim=(0, float(many.sum(0).max())), title=shown)
    right.title.set_size(11)
    right.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
    return saved(figure, save_path)


def where_figure(images: Float[Tensor, "scenes 3 high wide"], objects: Float[Tensor, "scenes rows columns"], error: Float[Tensor, "scenes rows columns"],
                 all_objects: Float[Tensor, "*lead"], all_errors: Mapping[str, Float[Tensor, "*lead"]], save_path: Path | str | None = None) -> Figure:
    """Some scenes: picture, share of each field that objects cover, 0 to 1, and error of each field, from 0 to the scene's largest; right,
    over all fields, the mean error of those that objects cover not at all, to 10 %, 25 %, 50 % and more, relative to the mean of all, for each
    compressor of all_errors. save_path: also write the figure there, with the errors of `style.saved`."""
    figure = new_figure(11.5, 1.75 * len(images) + 0.4)
    maps, chart = figure.subfigures(1, 2, width_ratios=[1.25, 1])
    for number, line in enumerate(maps.subplots(len(images), 3, squeeze=False)):
        line[0].imshow(images[number].clamp(0, 1).movedim(0, 2).numpy(), interpolation="nearest")
        line[1].imshow(objects[number].numpy(), cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
        line[2].imshow(error[number].numpy(), cmap="magma", vmin=0, interpolation="nearest")
        for axes, name in zip(line, ("picture", "share of objects", "error of the field")):
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            if not number:
                axes.set_title(name, size=10)
    axes = chart.subplots()
    edges = np.array([0.0, 1e-9, 0.1, 0.25, 0.5, 1.001])
    names = ("none", "to 10%", "to 25%", "to 50%", "more")
    bins = np.digitize(all_objects.flatten().numpy(), edges) - 1
    bins[all_objects.flatten().numpy() == 0] = 0
    for number, (name, values) in enumerate(all_errors.items()):
        flat = values.flatten().numpy()
        line = [flat[bins == k].mean() / flat.mean() if (bins == k).any() else np.nan for k in range(len(names))]
        axes.plot(range(len(names)), line, **line_look(number), markersize=4, linewidth=1.8, label=name)
    axes.axhline(1, color=PALETTE["coupling_train"], linewidth=0.8)
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="share of the field that objects cover", ylabel="mean error / mean of all fields", ylim=(0, None))
    axes.legend(loc="upper left", fontsize=9)
    return saved(figure, save_path)


def dependence_figure(shares: Mapping[str, Float[Tensor, "_ _"]], frames: Mapping[str, tuple[int, int, int, int]], notes: Mapping[str, str],
                      save_path: Path | str | None = None) -> Figure:
    """Where the squared gradient of one compressed token lies, in shares on a logarithmic scale, a panel each; the assigned field framed.

    frames: (first row, first column, rows, columns) in places of the panel's own grid. notes: a line below each panel.
    save_path: also write the figure there, with the errors of `style.saved`.
    Raises `BadInput` for no panel, and for one that lacks a share, a frame or a note.
    """
    if not shares or not shares.keys() == frames.keys() == notes.keys():
        raise BadInput("every panel needs shares, a frame and a note, and there must be one.")
    figure = new_figure(0.9 + 2.7 * len(shares), 3.5)
    panels = figure.subplots(1, len(shares), squeeze=False)[0]
    for axes, (name, share) in zip(panels, shares.items()):
        heat = axes.imshow((share / share.max()).clamp(min=FAINT).numpy(), cmap="magma", norm=LogNorm(FAINT, 1.0), interpolation="nearest")
        row, column, rows, columns = frames[name]
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), columns, rows, fill=False, edgecolor="white", linewidth=1.6))
        axes.set_title(name, size=10.5)
        axes.set_xlabel(notes[name], size=9.5)
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
    figure.colorbar(heat, ax=list(panels), label="share / largest share", shrink=0.8)
    return saved(figure, save_path)


def _band_colour(number: int) -> tuple[float, ...]:
    return matplotlib.colormaps[IMAGE_CMAP](SCALE(MIDDLES[number]))
