"""The pictures of notebook 11: what compressors keep, how a critic is steep, and what becomes of a game. Nothing here trains or loads.

Red is what is made, orange the data, as everywhere; what is as it should be is solid, what is not is hatched or dashed.
"""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import PALETTE, SHADES, new_figure, saved, signed
from course_lib.tokens.figures_tokens import TokenGrid, token_colours

REAL, MADE = PALETTE["data_x"], PALETTE["output_x_hat"]
CRITIC, LINE = SHADES["indigo"], PALETTE["coupling_train"]
BAR, BAD = SHADES["indigo"], SHADES["rose"]
UNDER = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # numbers that a line would cross


class Bars(NamedTuple):
    """One panel of `bars_figure`. line: a value that all are compared with, under the name `says`; log: a logarithmic axis."""

    title: str
    values: Mapping[str, float]
    line: float | None = None
    says: str = ""
    form: str = ".2f"
    log: bool = False


class Bug(NamedTuple):
    """One row of `bugs_figure`: what was measured, as it should be and with the bug; `words` say what it means."""

    name: str
    measured: str
    sound: float
    buggy: float
    words: str
    form: str = ".2f"


def grids_figure(image: Float[Tensor, "3 rows columns"], original: TokenGrid, rows: Sequence[Mapping[str, TokenGrid]],
                 save_path: Path | str | None = None) -> Figure:
    """The picture above its tokens, and beside them rows of other grids, say what compressors expand to, each under its title.

    Colours: the first three principal components of the original tokens (`token_colours`), one basis for all. Tokens of one scale,
    best standardised. rows: one or two, {title: grid}. save_path: also write the figure there, with the errors of `style.saved`.
    Raises `BadInput` for another number of rows, and for an empty one.
    """
    if not 1 <= len(rows) <= 2 or not all(rows):
        raise BadInput(f"give one or two rows with at least one grid each, not {len(rows)}.")
    most = 1 + max(map(len, rows))
    figure = new_figure(2.15 * most, 4.9)
    panels = figure.subplots(2, most, squeeze=False)
    coloured, *others = token_colours(original, [grid for row in rows for grid in row.values()])
    for axes in panels.flat:
        axes.set_axis_off()
    _picture(panels[0, 0], image.movedim(0, 2).clamp(0, 1), "as CLIP sees it")
    _picture(panels[1, 0], coloured, f"{_size(original)} tokens")
    left = iter(others)
    for line, row in zip(panels, rows):
        for axes, title in zip(line[1:], row):
            _picture(axes, next(left), title)
    return saved(figure, save_path)


def bars_figure(panels: Sequence[Bars], width: float = 11.0, save_path: Path | str | None = None) -> Figure:
    """Panels of horizontal bars side by side, one bar for each name, its number behind it; all panels have the same names in the same order.

    width: of the figure, in inches. save_path: also write the figure there, with the errors of `style.saved`.
    Raises `BadInput` for no panel or no name, and for panels with different names.
    """
    if not panels or not panels[0].values or any(list(panel.values) != list(panels[0].values) for panel in panels):
        raise BadInput("every panel needs a value for each of the same names, and there must be one of each.")
    names = list(panels[0].values)
    figure = new_figure(width, 1.25 + 0.33 * len(names))
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        values = np.array(list(panel.values.values()), dtype=float)
        bars = axes.barh(range(len(names)), values, 0.66, color=BAR, log=panel.log)
        axes.bar_label(bars, [signed(value, panel.form) for value in values], padding=3, fontsize=9, bbox=UNDER, zorder=4)
        if panel.line is not None:
            axes.axvline(panel.line, color=BAD, linestyle="--", linewidth=1.4, label=panel.says)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3 / (0.33 * len(names))), fontsize=9)
        axes.set_title(panel.title, size=10.5)
        axes.set_yticks(range(len(names)), names if panel is panels[0] else [])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        most = np.nanmax(np.abs([*values, panel.line or 0.0]))
        if not panel.log:
            axes.set_xlim(min(0.0, 1.25 * float(np.nanmin(values))), 1.25 * most or 1.0)
    return saved(figure, save_path)


def line_critics_figure(real: Float[Tensor, "n 1"], fake: Float[Tensor, "m 1"], critics: Mapping[str, Callable[[Tensor], Tensor]],
                        limits: tuple[float, float] = (-5.0, 5.0), save_path: Path | str | None = None) -> Figure:
    """Critics on a line, a column each: the two samples, the value c(x), and its slope c'(x) with the bounds ±1.

    The values are moved so that they are 0 on average over the data. A sample that is one value throughout is drawn as a line.
    critics: {title: c}, c of (n, 1); limits: of x. save_path: also write the figure there, with the errors of `style.saved`.
    Raises `BadInput` for no critic.
    """
    if not critics:
        raise BadInput("name at least one critic to draw.")
    x = torch.linspace(*limits, 801)[:, None].requires_grad_()
    figure = new_figure(1.0 + 4.1 * len(critics), 6.2)
    grid = figure.subplots(3, len(critics), squeeze=False, sharex=True, sharey="row", height_ratios=[0.8, 1.2, 1.0])
    for (first, second, third), (title, critic) in zip(grid.T, critics.items()):
        value = critic(x)
        (slope,) = torch.autograd.grad(value.sum(), x)
        with torch.no_grad():
            value = value - critic(real).mean()
        _samples(first, real, fake, limits)
        first.set_title(title, size=11)
        second.plot(x.detach(), value.detach(), color=CRITIC, linewidth=2)
        third.plot(x.detach(), slope, color=CRITIC, linewidth=2)
        for bound in (-1, 1):
            third.axhline(bound, color=LINE, linestyle="--", linewidth=1)
        third.set(xlabel="x", xlim=limits)
    for axes, words in zip(grid[:, 0], ("share", "c(x)", "slope c'(x)")):
        axes.set_ylabel(words)
    grid[0, 0].legend(loc="upper right", fontsize=9)
    return saved(figure, save_path)


def games_figure(games: Mapping[str, Mapping[str, Sequence[float]]], line: float | None = None, says: str = "",
                 save_path: Path | str | None = None) -> Figure:
    """Games on a line, a panel each: the true distance `w1` of generator and data after each epoch, and what the critic says, `wasserstein`.

    line: a distance that is drawn through all panels, under the name `says`.
    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no game.
    """
    if not games:
        raise BadInput("name at least one game to draw.")
    figure = new_figure(0.6 + 3.6 * len(games), 3.5)
    panels = figure.subplots(1, len(games), squeeze=False, sharey=True)[0]
    for axes, (title, epochs) in zip(panels, games.items()):
        number = range(1, len(epochs["w1"]) + 1)
        axes.plot(number, epochs["w1"], color=MADE, linewidth=2, label="true distance W1")
        axes.plot(number, epochs["wasserstein"], color=CRITIC, linestyle="--", linewidth=1.5, label="what the critic says")
        if line is not None:
            axes.axhline(line, color=LINE, linestyle=":", label=says)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set(title=title, xlabel="epoch")
        axes.title.set_size(11)
    panels[0].set_ylabel("distance")
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return saved(figure, save_path)


def opponents_figure(original: TokenGrid, pairs: Mapping[str, tuple[TokenGrid, TokenGrid]], notes: Mapping[str, str],
                     save_path: Path | str | None = None) -> Figure:
    """What the critic is shown, a column for each game: the real side above, the other below, as `token_colours` of the original; and a
    note below each, say how often it tells the two apart.

    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no game, and for one without a note.
    """
    if not pairs or pairs.keys() != notes.keys():
        raise BadInput("every game needs two grids and a note, and there must be one.")
    figure = new_figure(0.4 + 2.6 * len(pairs), 5.6)
    rows = figure.subplots(2, len(pairs), squeeze=False)
    _, *colours = token_colours(original, [grid for pair in pairs.values() for grid in pair])
    for number, (title, pair) in enumerate(pairs.items()):
        for axes, coloured, grid in zip(rows[:, number], colours[2 * number :], pair):
            _picture(axes, coloured, "")
            axes.set_ylabel(_size(grid))
        rows[0, number].set_title(title, size=11)
        rows[1, number].set_xlabel(textwrap.fill(notes[title], 28), size=9.5)
    for axes, side in zip(rows[:, 0], ("real", "compressed")):
        axes.set_ylabel(f"{side}\n{axes.get_ylabel()}")
    return saved(figure, save_path)


def bugs_figure(bugs: Sequence[Bug], save_path: Path | str | None = None) -> Figure:
    """The gallery: for each bug the measured number without it and with it, each pair on a scale of its own, and what it means.

    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no bug.
    """
    if not bugs:
        raise BadInput("a gallery needs at least one bug.")
    figure = new_figure(11.0, 1.02 * len(bugs) + 0.2)
    grid = figure.subplots(len(bugs), 2, squeeze=False, gridspec_kw={"width_ratios": [1, 1.5]})
    for (axes, words), bug in zip(grid, bugs):
        pair = [bug.sound, bug.buggy]
        bars = axes.barh([0, 1], pair, 0.7, color=[BAR, BAD])
        bars[1].set_hatch("///")
        axes.bar_label(bars, [signed(value, bug.form) for value in pair], padding=3, fontsize=9)
        reach = max(map(abs, pair)) or 1.0
        axes.set(yticks=[0, 1], xticks=[], xlim=(1.35 * min(0.0, *pair), 1.35 * reach))
        axes.set_yticklabels(["sound", "with the bug"], size=9)
        axes.set_title(bug.measured, size=9, weight="normal")
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.grid(False)
        words.set_axis_off()
        words.text(0.02, 0.98, bug.name, size=11.5, weight="bold", va="top", transform=words.transAxes)
        words.text(0.02, 0.62, textwrap.fill(bug.words, 72, break_on_hyphens=False), size=9.5, va="top", transform=words.transAxes)
    return saved(figure, save_path)


def _samples(axes: Axes, real: Tensor, fake: Tensor, limits: tuple[float, float]) -> None:
    bins = np.linspace(*limits, 61)
    hatched = {"fill": False, "edgecolor": MADE, "hatch": "////", "linewidth": 1}
    for values, colour, words, look in ((real, REAL, "data", {"alpha": 0.6}), (fake, MADE, "fakes", hatched)):
        flat = values.detach().flatten().numpy()
        if math.isclose(flat.min(), flat.max(), abs_tol=1e-6):
            axes.axvline(flat[0], color=colour, linewidth=2.5, label=words)
        else:
            axes.hist(flat, bins=bins, weights=np.full(len(flat), 1 / len(flat)), color=colour, label=words, **look)


def _picture(axes: Axes, colours: Float[Tensor, "rows columns 3"], title: str) -> None:
    axes.set_axis_on()
    axes.imshow(colours.numpy(), interpolation="nearest", extent=(0, 1, 1, 0))
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    if title:
        axes.set_title(title, size=10.5)


def _size(grid: TokenGrid) -> str:
    return f"{grid.shape[0]} × {grid.shape[1]}"
