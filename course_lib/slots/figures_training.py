"""Pictures of data, training and failure: tensors and numbers in, `matplotlib.figure.Figure` out."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import LOOKS, PALETTE, SHADES, new_figure, signed
from course_lib.slots.figures import show_picture, show_segmentation
from course_lib.slots.scenes import Scenes

NAMES = {"fg_ari": "FG-ARI", "full_ari": "full ARI", "miou": "mIoU", "mbo": "mBO", "mse": "MSE", "attention_fg_ari": "FG-ARI of the attention"}
# A score of slots has one look in every picture: colour, marker and dash.
LOOK = dict(zip(("fg_ari", "full_ari", "miou", "mbo"), LOOKS)) | {"attention_fg_ari": (SHADES["cyan"], "D", (0, (1, 1)))}
SCORE = "score (1 = perfect)"


@dataclass(frozen=True)
class Failure:
    """One row of `failure_gallery`: a scene, what a model made of it, and what to read in it."""

    title: str
    image: Float[Tensor, "3 height width"]
    masks: Float[Tensor, "slots height width"]
    reconstruction: Float[Tensor, "3 height width"]
    metrics: Mapping[str, float]  # by the names of `scene_metrics`
    words: str  # one or two sentences: what happened, and which number shows it


def in_words(metrics: Mapping[str, float]) -> str:
    """The measures by their names in the text: "FG-ARI 0.95, full ARI 0.10"; a NaN has no value to give."""
    places = {name: 4 if name == "mse" else 2 for name in metrics}
    return ", ".join(f"{NAMES.get(name, name)} {'undefined' if np.isnan(value) else signed(value, f'z.{places[name]}f')}"
                     for name, value in metrics.items())


def outline(axes: Axes, ids: Tensor) -> None:
    """A white line with a dark edge around the visible pixels of each object. ids: (height, width), 0 the background."""
    for number in range(1, int(ids.max()) + 1):
        inside = (ids == number).float().cpu().numpy()
        if inside.any():
            for width, colour in ((2.2, "black"), (1.0, "white")):
                axes.contour(inside, [0.5], colors=colour, linewidths=width)


def scenes_sheet(sheets: Mapping[str, Scenes], columns: int = 8) -> Figure:
    """A row for each named batch of scenes: pictures, the outline of every object's mask, the number of objects in sight.

    columns: scenes of each that are shown, at most. Raises `BadInput` for no batch or no column.
    """
    if not sheets or columns < 1:
        raise BadInput("a sheet needs at least one batch of scenes and one column.")
    figure = new_figure(1.3 * columns + 0.3, 1.55 * len(sheets))
    grid = figure.subplots(len(sheets), columns, squeeze=False)
    for row, (name, scenes) in zip(grid, sheets.items()):
        for axes in row:
            axes.set_axis_off()
        for column, axes in enumerate(row[: len(scenes["image"])]):
            ids = scenes["ids"][column]
            count = len(ids[ids > 0].unique())
            axes.set_axis_on()
            show_picture(axes, scenes["image"][column], f"{count} object" + "s" * (count != 1))
            axes.title.set(size=10, weight="normal")
            outline(axes, ids)
        row[0].set_ylabel(name, weight="bold")
    return figure


def training_curves(epochs: Mapping[str, Sequence[float]]) -> Figure:
    """Left the loss, right the scores of held-out scenes, by epoch: binding is read on the right.

    epochs: `History.epochs`, or "epochs" of a card: lists with one number per epoch, "loss" or "mse" of held-out scenes,
    and their "fg_ari", "full_ari" if there. Raises `BadInput` for a history with neither "loss" nor "mse".
    """
    if not {"loss", "mse"} & epochs.keys():
        raise BadInput(f"a history of training has a 'loss' or 'mse'; this one has {', '.join(epochs) or 'nothing'}.")
    figure = new_figure(11, 3.6)
    left, right = figure.subplots(1, 2)
    number = np.arange(1, len(next(iter(epochs.values()))) + 1)
    if "loss" in epochs:
        left.plot(number, epochs["loss"], color=PALETTE["coupling_train"], label="training")
    if "mse" in epochs:
        left.plot(number, epochs["mse"], color=PALETTE["output_x_hat"], linestyle="--", label="held-out scenes")
    left.set(yscale="log", xlabel="epoch", ylabel="mean (x̂ − x)²", title="Does it rebuild the picture?")
    left.legend()
    for name in ("fg_ari", "full_ari"):
        if name in epochs:
            plot_score(right, number, epochs[name], name, markevery=max(1, len(number) // 12))
    right.set(xlabel="epoch", ylabel=SCORE, ylim=(-0.05, 1.05), title="Does it find the objects?")
    if right.lines:
        right.legend()
    return figure


def plot_score(axes: Axes, x, values: Sequence[float], name: str, **more) -> None:
    """One line in the look of the score `name`."""
    colour, marker, dash = LOOK[name]
    axes.plot(x, values, color=colour, marker=marker, linestyle=dash, markersize=5, label=NAMES[name], **more)


def slots_against_scores(ks: Sequence[int], metrics: Mapping[str, Sequence[float]], trained: Sequence[int] | None = None,
                         objects: tuple[int, int] | None = None) -> Figure:
    """Number of slots at test time against the scores: one line each of FG-ARI, full ARI, mIoU and mBO, as far as given.

    trained: the (smallest, largest) number of slots in training, hatched; objects: (fewest, most) objects of a scene, shaded at that
    number + 1 for the background. Raises `BadInput` for a score that has not one value for each of `ks`.
    """
    if any(len(values) != len(ks) for values in metrics.values()):
        raise BadInput(f"every score needs one value for each of the {len(ks)} numbers of slots.")
    figure = new_figure(9, 3.8)
    axes = figure.add_subplot()
    if objects:
        axes.axvspan(objects[0] + 0.5, objects[1] + 1.5, color="#eeeeee", label="objects + 1 for the background")
    if trained:
        axes.axvspan(trained[0] - 0.1, trained[-1] + 0.1, facecolor="none", edgecolor="#cccccc", hatch="//", linewidth=0, label="trained with")
    for name in ("fg_ari", "full_ari", "miou", "mbo"):
        if name in metrics:
            plot_score(axes, ks, metrics[name], name)
    axes.set(xlabel="slots at test time", ylabel=SCORE, ylim=(0, 1.05), xticks=list(ks))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def failure_gallery(rows: Sequence[Failure]) -> Figure:
    """The ways in which it breaks, one a row: picture, who owns which pixel, reconstruction, and the metrics in words.

    Raises `BadInput` for no row.
    """
    if not rows:
        raise BadInput("a gallery needs at least one failure to show.")
    figure = new_figure(10.5, 1.67 * len(rows) + 0.4, layout="compressed")
    grid = figure.subplots(len(rows), 4, squeeze=False, gridspec_kw={"width_ratios": [1, 1, 1, 3.3]})
    for top, (axes, row) in enumerate(zip(grid, rows)):
        first = top == 0
        show_picture(axes[0], row.image, "picture" * first)
        show_segmentation(axes[1], row.masks.detach(), "who owns" * first)
        show_picture(axes[2], row.reconstruction, "rebuilt" * first)
        axes[3].set_axis_off()
        axes[3].text(0.03, 0.95, row.title, size=12, weight="bold", va="top", transform=axes[3].transAxes)
        axes[3].text(0.03, 0.74, in_words(row.metrics), size=10.5, va="top", family="DejaVu Sans Mono", transform=axes[3].transAxes)
        axes[3].text(0.03, 0.54, textwrap.fill(row.words, 62, break_on_hyphens=False), size=10.5, va="top", transform=axes[3].transAxes)
    return figure
