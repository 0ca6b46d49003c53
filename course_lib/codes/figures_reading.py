"""Pictures for notebook 09: how to read an atlas; numbers and maps in, `matplotlib.figure.Figure` out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.codes.atlas import Atlas
from course_lib.codes.figures_atlas import EDGE, MARKS, NOISE, look
from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, SHADES, new_figure
from course_lib.slots.figures import bare

# A kind of vectors has one look: colour, marker and dash; so has a score, after its name.
LOOK = {"slots": (SHADES["indigo"], "o", "-"), "codes": (SHADES["rose"], "s", "--"), "cloud": (SHADES["olive"], "^", ":")}
SCORES = dict(zip(("ari", "nmi", "nmi_by_chance"), [(name, *look) for name, look in zip(("ARI", "NMI", "NMI by chance"), LOOK.values())]))
FIRST = 12  # components that are drawn


class Panel(NamedTuple):
    """One small map: where each object lies; `number`, which of the `values` of `factor` it has, below 0 for none of them (None: all grey);
    and words below. Without values their numbers are the names."""

    title: str
    places: Float32[np.ndarray, "objects 2"]
    number: Int[np.ndarray, "objects"] | None = None
    values: Sequence[str] = ()
    factor: str = "cluster"
    words: str = ""


def variance_figure(components: Mapping[str, Float[np.ndarray, "_"]], factors: Mapping[str, Mapping[str, float]]) -> Figure:
    """Left the share of the variance in each principal component, right the share that lies between the values of each factor.

    Both by the names of `LOOK`, "slots", "codes" or "cloud": `reading.components`, of which 12 are drawn, and {factor: `reading.explained`}.
    Raises `BadInput` for nothing, and for names that differ.
    """
    if not components or components.keys() != factors.keys():
        raise BadInput("the same vectors must have components and factors.")
    figure = new_figure(10.5, 3.6)
    left, right = figure.subplots(1, 2)
    names = list(dict.fromkeys(name for shares in factors.values() for name in shares))
    height = 0.8 / len(factors)
    for k, (of, shares) in enumerate(components.items()):
        colour, marker, dash = LOOK[of]
        shown = shares[:FIRST]
        left.plot(range(1, len(shown) + 1), shown, color=colour, marker=marker, linestyle=dash, label=of, alpha=0.85)
        bars = right.barh([row + (k - (len(factors) - 1) / 2) * height for row in range(len(names))], [factors[of].get(name, 0) for name in names],
                          height, color=colour, label=of, hatch="//" if k else None, edgecolor="white")
        right.bar_label(bars, [f"{factors[of][name]:.0%}" if name in factors[of] else "" for name in names], padding=3, size=9)
    left.set(xlabel="principal component", ylabel="share of the variance", ylim=(0, None), xticks=range(1, FIRST + 1), title="Directions")
    left.legend()
    right.set(xlabel="share of the variance between its values", xlim=(0, 1.1), yticks=range(len(names)), yticklabels=names, title="Factors")
    right.invert_yaxis()
    right.grid(False, axis="y")
    return figure


def maps_figure(panels: Sequence[Panel], columns: int = 4) -> Figure:
    """Small maps in rows, each in its own colouring; if all show the same values, of at most nine, one legend stands below.

    Raises `BadInput` for no map.
    """
    if not panels:
        raise BadInput("there is no map to show.")
    columns = min(columns, len(panels))
    rows, lines = -(-len(panels) // columns), max(panel.words.count("\n") + bool(panel.words) for panel in panels)
    first = panels[0]
    same = 0 < len(first.values) <= 9 and all((panel.factor, panel.values) == (first.factor, first.values) for panel in panels)
    figure = new_figure(2.75 * columns + 0.3, (3.1 + 0.19 * lines) * rows + 0.55 * same, layout="compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels):]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels):
        _scatter(axes, panel)
        axes.set_title(panel.title, loc="center", size=11)
        axes.set_xlabel(panel.words, size=9.5)
    if same:
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, markerscale=1.8, fontsize=9.5, handletextpad=0.2)
    return figure


def _scatter(axes: Axes, panel: Panel) -> None:
    x = panel.places
    if panel.number is None:
        axes.scatter(*x.T, s=7, color=NOISE, edgecolors=EDGE, linewidths=0.2)
    else:
        if (panel.number < 0).any():
            axes.scatter(*x[panel.number < 0].T, s=5, color="white", edgecolors=NOISE, linewidths=0.5, marker=".")
        values = panel.values or [str(k) for k in range(int(panel.number.max()) + 1)]
        for k, value in enumerate(values):
            colour, mark = look(panel.factor, value, k)
            axes.scatter(*x[panel.number == k].T, s=10, color=colour, marker=MARKS[mark], edgecolors=EDGE, linewidths=0.2, label=value)
    bare(axes)
    axes.spines[:].set(visible=True, color="#dddddd")
    axes.set(box_aspect=1)


def islands_figure(maps: Mapping[str, Mapping]) -> Figure:
    """For each map the true distances between islands against those drawn (`reading.islands_apart`), with their rank correlation.

    Raises `BadInput` for no map.
    """
    if not maps:
        raise BadInput("there is no map to show.")
    figure = new_figure(3.2 * len(maps) + 0.4, 3.3)
    for axes, (name, found) in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps.items()):
        axes.scatter(found["true"], found["drawn"], s=26, color=SHADES["indigo"], alpha=0.75)
        axes.set(xlabel="distance of two islands in the vectors", xlim=(0, None), ylim=(0, None), box_aspect=0.85)
        axes.set_title(f"{name}: rank correlation {found['rank']:.2f}", size=10.5)
    figure.axes[0].set_ylabel("distance on the map")
    return figure


def by_number_figure(numbers: Sequence[int], found: Mapping[str, Mapping[str, Sequence[float]]], true: Mapping[str, int]) -> Figure:
    """Scores against the number of clusters (logarithmic), a panel for each truth, with a line at its `true` number of values.

    found: what `reading.by_number` gives for these numbers. Raises `BadInput` for no score.
    """
    if not found:
        raise BadInput("there is no score to show.")
    figure = new_figure(3.6 * len(found) + 1.6, 3.4)
    for axes, (name, scores) in zip(figure.subplots(1, len(found), sharey=True, squeeze=False)[0], found.items()):
        for key, (label, colour, marker, dash) in SCORES.items():
            axes.plot(numbers, scores[key], color=colour, marker=marker, linestyle=dash, markersize=4, label=label)
        axes.axvline(true[name], color="0.4", linewidth=1)
        axes.text(true[name], 1.03, str(true[name]), size=9, color="0.3", ha="center", va="bottom")
        axes.set(xscale="log", xlabel="clusters", ylim=(-0.03, 1.02))
        axes.set_title(f"{name}\n", size=11)
        axes.set_xticks([1, 10, 100], ["1", "10", "100"])
    figure.axes[0].set_ylabel("agreement with the truth")
    figure.axes[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def alike_figure(alike: Float[Tensor, "codebooks values values"], names: Sequence[str]) -> Figure:
    """For each codebook which values it does not tell apart (`reading.called_alike`), 0 to 1; the last panel is their product:
    what no codebook tells apart. Raises `BadInput` for another number of names."""
    if alike.shape[1:] != (len(names), len(names)):
        raise BadInput(f"there must be a row and a column for each of the {len(names)} values, not shape {tuple(alike.shape)}.")
    tables = [*alike, alike.prod(0)]
    figure = new_figure(2.3 * len(tables) + 1.5, 3.0)
    for k, (axes, table) in enumerate(zip(figure.subplots(1, len(tables), sharey=True), tables)):
        heat = axes.imshow(table, cmap=IMAGE_CMAP, vmin=0, vmax=1)
        axes.set_title("all of them" if k == len(alike) else f"codebook {k + 1}", loc="center", size=11)
        bare(axes)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
    figure.colorbar(heat, ax=figure.axes, label="how often the\nsame code", aspect=14)
    return figure


def phrases_figure(spelled: Mapping[str, Atlas], place: int) -> Figure:
    """All different phrases of the objects at one place, on the two principal directions of the first atlas's phrases there: colour and
    marker are the object's colour and kind, small marks are small objects, and lines join the phrases of one thing.

    spelled: atlases by their titles; place: its number, 0 to 8. Raises `BadInput` for no atlas, and for one without codes.
    """
    if not spelled:
        raise BadInput("there is no atlas to show.")
    figure, turn = new_figure(5.2 * len(spelled), 4.8), None
    for axes, (title, atlas) in zip(figure.subplots(1, len(spelled), sharex=True, sharey=True, squeeze=False)[0], spelled.items()):
        own = atlas.factors["place"].numpy() == place
        vectors = atlas.vectors("codes")[own]
        if turn is None:
            centre = vectors.mean(0)
            turn = np.linalg.svd(vectors - centre, full_matrices=False)[2][:2].T
        phrases, row = np.unique(atlas.codes.numpy()[own], axis=0, return_index=True)
        at = (vectors[row] - centre) @ turn
        looks = np.stack([atlas.factors[name].numpy()[own][row] for name in ("kind", "colour", "size")], 1)
        different = np.unique(looks, axis=0)
        for kind, colour, size in different.tolist():
            same = at[(looks == (kind, colour, size)).all(1)]
            for end in same:
                axes.plot(*zip(same.mean(0), end), color="0.45", linewidth=0.7, zorder=1)
            axes.scatter(*same.T, s=80 if size else 28, color=look("colour", atlas.values["colour"][colour], colour)[0], marker=MARKS[kind],
                         edgecolors=EDGE, linewidths=0.6, zorder=2, alpha=0.9)
        axes.set_title(f"{title}: {len(phrases)} phrases for {len(different)} things", size=11)
        axes.set_xlabel("first direction")
    figure.axes[0].set_ylabel("second direction")
    handles = [figure.axes[0].scatter([], [], color="0.6", marker=MARKS[k], edgecolors=EDGE, label=name) for k, name in enumerate(atlas.values["kind"])]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9.5, handletextpad=0.2)
    return figure
