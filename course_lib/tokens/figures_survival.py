"""The pictures of notebook 13: answers above CLS alone, what adapting gains, and promises with marks. Nothing here trains or loads."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, LOOKS, PALETTE, line_look, new_figure, saved, signed
from course_lib.tokens.comparison import Row
from course_lib.tokens.figures_global import BAD, BAR

HIT, MISS = "✓", "✗"
WORDS = {"put_back": "put back", "rebuilt": "rebuilt"}


def compressor_looks(names: Sequence[str]) -> dict[str, dict[str, object]]:
    """A look for the line of each compressor: what is trained is thick and has the first looks, which are the plainest."""
    trained = {name: "learned" in name or "critic" in name for name in names}
    ordered = sorted(trained, key=trained.get, reverse=True)
    return {name: line_look(ordered.index(name)) | {"linewidth": 2.2 if trained[name] else 1.0} for name in trained}


def survival_figure(rows: Sequence[Row], questions: Sequence[str], most: Mapping[str, float], save_path: Path | str | None = None) -> Figure:
    """For each question a column, above put back and below rebuilt: the rate against answers above those of CLS alone, a line for each
    compressor. most: what all tokens have above CLS alone (dashed). Rows without a rate are left out: they are the line at 0.

    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no row with a rate, and no question.
    """
    some = [row for row in rows if row.rate is not None]
    if not some or not questions:
        raise BadInput("give at least one compressor with a rate, and one question.")
    looks = compressor_looks([row.name for row in some])
    ticks = sorted({row.rate for row in some})
    figure = new_figure(2.2 + 3.3 * len(questions), 6.4)
    panels = figure.subplots(2, len(questions), squeeze=False, sharex=True)
    for line, way in zip(panels, WORDS):
        for axes, question in zip(line, questions):
            for name, look in looks.items():
                own = sorted((row for row in some if row.name == name), key=lambda row: row.rate)
                axes.plot([row.rate for row in own], [getattr(row, way)[question].value for row in own], label=name,
                          markersize=5, **look)
            axes.axhline(0.0, color="black", linewidth=0.8)
            axes.axhline(most[question], color="black", linestyle="--", linewidth=1.2)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.set(xscale="log", title=f"{question}, {WORDS[way]}")
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.set_xticks([], minor=True)
    for axes in panels[1]:
        axes.set_xlabel("places for each token that passes")
    for axes in panels[:, 0]:
        axes.set_ylabel("answers right, above CLS only")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return saved(figure, save_path)


def adaptive_figure(fixed: Sequence[tuple[float, float]], adapted: Mapping[str, tuple[float, float]], by_objects: Mapping[int, float],
                    chosen: Float[Tensor, "height width"], image: Float[Tensor, "3 rows columns"], save_path: Path | str | None = None) -> Figure:
    """Left (tokens, variance unexplained), both logarithmic, of fixed rates as a line and of adapted ones, six at most, as marks; then the tokens
    of a picture by its number of objects; right a picture and how many tokens stand for each of its regions.

    save_path: also write the figure there, with the errors of `style.saved`.
    Raises `BadInput` for fewer than two fixed rates, and for nothing adapted or counted.
    """
    if len(fixed) < 2 or not adapted or not by_objects:
        raise BadInput("give two fixed rates, something adapted, and tokens for at least one number of objects.")
    figure = new_figure(14.0, 3.9)
    curve, bars, picture, regions = figure.subplots(1, 4, width_ratios=[1.5, 1, 1, 1.15])
    curve.plot(*zip(*sorted(fixed)), color=BAR, marker="o", label="one rate for all")
    for number, (name, point) in enumerate(adapted.items()):
        curve.plot(*point, LOOKS[number + 1][1], color=PALETTE["output_x_hat"], markersize=9, label=name)
    curve.set(xscale="log", yscale="log", xlabel="tokens of a picture", ylabel="variance unexplained", title="at equal numbers of tokens")
    ticks = sorted(round(tokens) for tokens, _ in fixed)
    curve.set_xticks(ticks, [str(tick) for tick in ticks])
    curve.set_xticks([], minor=True)
    curve.legend(fontsize=9)
    drawn = bars.bar(range(len(by_objects)), list(by_objects.values()), 0.66, color=BAR)
    bars.bar_label(drawn, [signed(value, ".0f") for value in by_objects.values()], fontsize=9)
    bars.set_xticks(range(len(by_objects)), [str(many) for many in by_objects])
    bars.set(xlabel="objects in the picture", ylabel="tokens", title="who gets them")
    picture.imshow(image.movedim(0, 2).clamp(0, 1).numpy(), interpolation="nearest", extent=(0, 1, 1, 0))
    picture.set_title("a picture")
    shown = regions.imshow(chosen.numpy(), cmap=IMAGE_CMAP, vmin=0, extent=(0, 1, 1, 0), interpolation="nearest")
    figure.colorbar(shown, ax=regions, label="tokens of a region")
    regions.set_title("where they go")
    for axes in (picture, regions):
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
    return saved(figure, save_path)


def promises_figure(found: Mapping[str, Mapping[str, bool]], save_path: Path | str | None = None) -> Figure:
    """A row for each compressor, a column for each promise: a tick on blue where it is kept, a cross where not.

    save_path: also write the figure there, with the errors of `style.saved`.
    Raises `BadInput` for nothing to show, and for a compressor with other promises.
    """
    columns = list(next(iter(found.values()), {}))
    if not columns or any(list(row) != columns for row in found.values()):
        raise BadInput("every compressor needs an answer to each of the same promises, and there must be one of each.")
    figure = new_figure(2.4 + 1.35 * len(columns), 0.9 + 0.3 * len(found))
    axes = figure.subplots()
    kept = np.array([[row[column] for column in columns] for row in found.values()])
    axes.imshow(kept, cmap="Blues", vmin=0, vmax=2.5, aspect="auto")
    for (row, column), value in np.ndenumerate(kept):
        axes.text(column, row, HIT if value else MISS, ha="center", va="center", fontsize=11, color="black" if value else BAD)
    axes.set_yticks(range(len(found)), list(found))
    axes.set_xticks(range(len(columns)), columns)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(False)
    return saved(figure, save_path)
