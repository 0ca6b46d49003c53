"""The pictures of single tokens for notebook 10: what they know layer by layer, what moves them, and what is missed without them."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, SHADES, dressed, new_figure
from course_lib.tokens.figures_contrast import LOOK

OTHER = {"other kind": (SHADES["cyan"], "o", (0, (1, 1))), "other colour": (SHADES["teal"], "^", (0, (1, 1)))}
LAYERS = tuple((SHADES[name], marker, dash) for name, marker, dash in (
    ("sand", "D", ":"), ("olive", "v", "-."), ("rose", "s", "--"), ("indigo", "o", "-")))  # the last ones are used


def probe_figure(panels: Mapping[str, Mapping[str, Sequence[float]]], chance: Mapping[str, float], chosen: int) -> Figure:
    """For each way to read tokens a panel: the share of right answers of a linear probe by layer, a line for each question.

    panels: {title: {question: one number for each layer from 0}}; chance: of every question, marked on the right; chosen: the
    layer whose tokens are used, shaded. Raises `BadInput` for no panel.
    """
    if not panels:
        raise BadInput("there is no probe to show.")
    figure = new_figure(1.6 + 4.6 * len(panels), 3.9)
    for axes, (title, found) in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items()):
        axes.axvspan(chosen - 0.3, chosen + 0.3, color="0.92", zorder=0)
        for name, values in found.items():
            colour, marker, dash = (LOOK | OTHER)[name]
            axes.plot(range(len(values)), values, color=colour, marker=marker, linestyle=dash, label=name)
            axes.plot([len(values) - 0.7, len(values) - 0.5], 2 * [chance[name]], color=colour, linewidth=2.5, marker=marker, markevery=[1])
        last = len(values) - 1
        axes.set(xlabel="layer", ylim=(0, 1.04), xticks=range(last + 1), title=title)
        axes.set_xticklabels(["0, input", *range(1, last - 1), *[f"{k}, or −{last + 1 - k}" for k in (last - 1, last) if k > 0]], fontsize=9)
    figure.axes[0].set_ylabel("right answers")
    axes.legend(loc="upper left", bbox_to_anchor=(1.04, 1), title="asked for; bars\nat the edge: chance")
    return figure


def movement_figure(images: Float[Tensor, "2 3 rows columns"], moved: Mapping[str, Float[Tensor, "height width"]],
                    changed: Bool[Tensor, "height width"], least: float = 1e-4) -> Figure:
    """Two neighbours, and how far each token moved between them, by name side by side, on one logarithmic scale of ‖x − x′‖² over the
    largest, from `least` to 1. Patches that changed are framed; below stands the share of the movement that lies elsewhere.

    moved: ‖x − x′‖² of each token. Raises `BadInput` for none.
    """
    if not moved:
        raise BadInput("there is no movement to show.")
    figure = new_figure(2.5 * (2 + len(moved)) + 0.9, 2.9)
    panels = figure.subplots(1, 2 + len(moved))
    for axes, image, name in zip(panels, images, ("picture", "its neighbour")):
        axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
        _titled(axes, name)
    height, width = changed.shape
    for axes, (name, values) in zip(panels[2:], moved.items()):
        heat = axes.imshow((values / values.max()).clamp(min=least).numpy(), cmap=IMAGE_CMAP, norm=LogNorm(least, 1), interpolation="nearest")
        for row, column in changed.nonzero().tolist():
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="white", linewidth=0.6))
        inside = float(values[changed].sum() / values.sum())
        _titled(axes, name)
        axes.set_xlabel(f"{1 - inside:.0%} of it elsewhere")
    figure.colorbar(heat, ax=list(panels), label="movement / largest", shrink=0.85, extend="min")
    return figure


def thinning_figure(shares: Sequence[float], found: Mapping[str, Mapping[str, Sequence[float]]], chance: Mapping[str, float]) -> Figure:
    """A panel for each question: right answers by the share of tokens that goes on, a line for each layer behind which the others are
    taken away. found: {layer: {question: one number for each share}}; shares stand at equal distances, and 0 is called CLS only.
    Raises `BadInput` for no layer, and for more than four."""
    if not found:
        raise BadInput("there is no layer to show.")
    questions = list(next(iter(found.values())))
    figure = new_figure(2.9 * len(questions) + 1.7, 3.4)
    x = np.arange(len(shares))
    for axes, question in zip(figure.subplots(1, len(questions), sharey=True, squeeze=False)[0], questions):
        for (layer, answers), (colour, marker, dash) in dressed(found, LAYERS[-len(found):]):
            axes.plot(x, answers[question], color=colour, marker=marker, linestyle=dash, label=layer)
        axes.axhline(chance[question], color="black", linestyle=":", linewidth=1.2, label="chance")
        axes.set(title=question, xlabel="tokens that go on", ylim=(0, 1.04))
        axes.set_xticks(x, ["CLS only" if share == 0 else f"{share:.0%}" for share in shares], rotation=45, ha="right", fontsize=9)
    figure.axes[0].set_ylabel("right answers")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def breakdown_figure(groups: Mapping[str, Mapping[str, tuple[float, float, float]]], chance: Mapping[str, float]) -> Figure:
    """Where it fails: for each group of scenes the share of right answers to every question with its 95 % interval, (value, low, high).

    groups: {group: {question: …}}; chance: of every question, dotted. Raises `BadInput` for no group.
    """
    if not groups:
        raise BadInput("there is no group to show.")
    questions, names = list(next(iter(groups.values()))), list(groups)
    figure = new_figure(2.6 * len(questions) + 1.2, 1.2 + 0.33 * len(groups))
    for axes, question in zip(figure.subplots(1, len(questions), sharey=True, squeeze=False)[0], questions):
        value, low, high = np.array([groups[name][question] for name in names]).T
        colour, marker, _ = LOOK[question]
        axes.errorbar(value, range(len(names)), xerr=np.clip([value - low, high - value], 0, None), linestyle="", marker=marker, color=colour, capsize=3)
        axes.axvline(chance[question], color="black", linestyle=":", linewidth=1.2)
        axes.set(title=question, xlim=(-0.03, 1.05), ylim=(len(names) - 0.5, -0.5), xticks=(0, 0.5, 1), xlabel="right answers")
        axes.set_xticklabels(["0", "½", "1"])
        axes.set_yticks(range(len(names)), names)
        axes.grid(False, axis="y")
    return figure


def _titled(axes: Axes, name: str) -> None:
    axes.set_title(name, fontsize=11)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
