"""The table of ablations as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from course_lib.core.errors import BadInput
from course_lib.core.style import new_figure, saved

PANELS = (("fg_ari", "FG-ARI\nof the masks", (0, 1)), ("mse", "squared error of\nthe reconstruction", None), ("right", "generated scenes\nthat obey the rule", (0, 1)),
          ("right_independent", "the same, each\ncode by itself", (0, 1)), ("nll", "prior:\nnats a scene", None))


def ablation_figure(rows: Sequence[dict], save_path: Path | str | None = None) -> Figure:
    """A line for each change and a mark for each seed, in a panel for each measure; the dashed line is the first change's mean.

    rows: a dict for each run, with `change` and the measures of `PANELS`, or with `failed` and no mark; a change of which all runs failed
    is named so. save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` if no run ended well.
    """
    if not any("failed" not in row for row in rows):
        raise BadInput("no run of the sweep ended well; there is nothing to draw.")
    changes = list(dict.fromkeys(row["change"] for row in rows))
    names = [change.replace("_", " ") + (" (failed)" if all("failed" in row for row in rows if row["change"] == change) else "")
             for change in changes]
    figure = new_figure(11, 1.3 + 0.3 * len(changes))
    for axes, (measure, title, limits) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS):
        points = [(row[measure], changes.index(row["change"])) for row in rows if measure in row]
        axes.plot(*zip(*points), linestyle="", marker="o", markersize=5, alpha=0.8)
        first = [value for value, place in points if place == 0]
        if first:
            axes.axvline(float(np.mean(first)), color="0.4", linestyle="--", linewidth=1)
        for place in range(1, len(changes), 2):
            axes.axhspan(place - 0.5, place + 0.5, color="0.94", zorder=0)
        axes.set_title(title, fontsize=10)
        axes.set_ylim(len(changes) - 0.5, -0.5)
        if limits:
            axes.set(xlim=(limits[0] - 0.03, limits[1] + 0.03), xticks=(0, 0.5, 1))
        elif measure == "mse" and points:
            least, most = (np.log10(pick([value for value, _ in points])) for pick in (min, max))
            decades = 10.0 ** np.arange(np.floor(least), np.floor(most) + 2)
            axes.set(xscale="log", xlim=(decades[0], decades[-1]), xticks=decades)
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(range(len(changes)), names)
        axes.grid(False, axis="y")
    return saved(figure, save_path)
