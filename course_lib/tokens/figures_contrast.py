"""The pictures of contrast for notebook 10: batches, their matrices, a training, what a temperature allows, and what goes wrong.

Numbers in, `Figure` out.
"""

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, LOOKS, SHADES, dressed, new_figure, signed
from course_lib.tokens.captions import FACTORS
from course_lib.tokens.losses_clip import least_loss

# A factor has one look: colour, marker and dash, as in Part III.
LOOK = dict(zip(("kind", "size", "colour", "place"), LOOKS))
COLUMNS = 4  # captioned pictures in a row
CHANGES_SHOWN = (("kind", "kind"), ("kind_held_out", "kind,\nheld out"), ("colour", "colour"), ("size", "size"), ("place", "place"),
                 ("exchange_kind", "kinds\nexchanged"), ("exchange_colour", "colours\nexchanged"), ("exchange_place", "places\nexchanged"),
                 ("alike", "pictures\nalike"))


def captioned_figure(images: Float[Tensor, "many 3 rows columns"], texts: Sequence[str], width: int = 27) -> Figure:
    """Pictures with their captions below, in rows of `COLUMNS`.

    width: letters in a line. Raises `BadInput` for no picture, and for another number of captions.
    """
    if not len(images) or len(images) != len(texts):
        raise BadInput(f"{len(images)} pictures need as many captions, at least one, and there are {len(texts)}.")
    rows, columns = math.ceil(len(images) / COLUMNS), min(len(images), COLUMNS)
    figure = new_figure(2.6 * columns, 3.3 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for image, text, axes in zip(images, texts, panels):
        axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
        axes.set_xlabel(fill(text, width), fontsize=9)
        _bare(axes)
    for axes in list(panels):
        axes.remove()
    return figure


def matrix_figure(matrices: Mapping[str, Float[Tensor, "pictures texts"]], low: float = -0.5) -> Figure:
    """Cosines of the pictures (rows) and captions (columns) of a batch, by name side by side; the pairs are on the diagonal.

    Colours run from `low` to 1 in all of them. Below each: the mean on the diagonal, and off it. Raises `BadInput` for no matrix.
    """
    if not matrices:
        raise BadInput("there is no matrix to show.")
    figure = new_figure(3.1 * len(matrices) + 0.9, 3.9)
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (name, matrix) in zip(panels, matrices.items()):
        heat = axes.imshow(matrix.numpy(), cmap=IMAGE_CMAP, vmin=low, vmax=1, interpolation="nearest")
        many = len(matrix)
        own, others = float(matrix.trace() / many), float((matrix.sum() - matrix.trace()) / (many * (many - 1)))
        axes.set_title(name, fontsize=11)
        axes.set_xlabel(f"caption\npairs {signed(own)}, others {signed(others)}")
        _bare(axes)
    panels[0].set_ylabel("picture")
    figure.colorbar(heat, ax=list(panels), label="cosine", shrink=0.8, extend="min")
    return figure


def training_figure(epochs: Mapping[str, Sequence[float]], batch: int, chance: Mapping[str, float], steps: int = 1) -> Figure:
    """Left the loss of every epoch, with the line of who cannot tell a batch of so many pairs apart, ln batch; right the zero-shot
    answers of every factor, with what chance gives named at the right. steps: in an epoch, for the axis.

    epochs: `History.epochs`, "loss" and each of `FACTORS`; raises `BadInput` if one is missing.
    """
    if lacking := [name for name in ("loss", *FACTORS) if name not in epochs]:
        raise BadInput(f"the history lacks {', '.join(lacking)}; train with held-out scenes.")
    figure = new_figure(10.5, 3.5)
    left, right = figure.subplots(1, 2)
    x = steps * np.arange(1, len(epochs["loss"]) + 1)
    left.plot(x, epochs["loss"], color=SHADES["wine"], marker="o", markersize=4)
    left.axhline(math.log(batch), color="black", linestyle="--", linewidth=1.2, label=f"tells nothing apart: ln {batch} = {math.log(batch):.2f}")
    left.set(xlabel="steps", ylabel="loss in nats", ylim=(0, 1.1 * math.log(batch)), title="Loss")
    left.legend(loc="lower left")
    for name in FACTORS:
        colour, marker, dash = LOOK[name]
        right.plot(x, epochs[name], color=colour, marker=marker, linestyle=dash, markersize=5, label=name)
        right.plot([x[-1] * 1.02, x[-1] * 1.09], 2 * [chance[name]], color=colour, linewidth=2.5)
        right.text(x[-1] * 1.1, chance[name], f"{name} by chance: {chance[name]:.2f}", color=colour, va="center", fontsize=8)
    right.set(xlabel="steps", ylabel="right answers", ylim=(0, 1.02), xlim=(0, x[-1] * 1.62), title="Zero-shot on scenes not trained on")
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def scale_figure(batch: int, reached: Mapping[str, tuple[float, float]], most: float = 100.0) -> Figure:
    """The least loss that so many pairs can have, by the scale s; and where models are: (scale, loss) by name.

    Losses in nats. most: the largest scale. Raises `BadInput` for fewer than two pairs, and for more than four models.
    """
    figure = new_figure(7.5, 3.6)
    axes = figure.add_subplot()
    scale = torch.logspace(-0.5, math.log10(most), 200)
    axes.plot(scale, least_loss(batch, scale), color="black", label=f"least possible with {batch} pairs")
    axes.axhline(math.log(batch), color="black", linestyle="--", linewidth=1.2, label=f"tells nothing apart: ln {batch} = {math.log(batch):.2f}")
    for (name, point), (colour, marker, _) in dressed(reached, [*LOOK.values()]):
        axes.plot(*point, marker=marker, color=colour, markersize=9, linestyle="", label=f"{name}: s = {point[0]:.0f}, loss {point[1]:.2f}")
    axes.set(xscale="log", xlabel="scale s = 1 / temperature", ylabel="loss in nats", ylim=(0, 1.1 * math.log(batch)))
    axes.set_xticks([0.3, 1, 3, 10, 30, 100], ["0.3", "1", "3", "10", "30", "100"])
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def changes_figure(rows: Sequence[Mapping[str, float | str]], chance: Mapping[str, float]) -> Figure:
    """A line for each change of `failures_clip.CHANGES`, a mark for each seed, a panel for each measure of `CHANGES_SHOWN`; the dashed
    line is the mean of the first change, the dotted one chance (½ for sentences with something exchanged).

    rows: as `failures_clip.contrast_row` gives them. Raises `BadInput` for no row.
    """
    if not rows:
        raise BadInput("there is no row to show.")
    changes = list(dict.fromkeys(row["change"] for row in rows))
    figure = new_figure(11.5, 1.3 + 0.34 * len(changes))
    for axes, (measure, title) in zip(figure.subplots(1, len(CHANGES_SHOWN), sharey=True), CHANGES_SHOWN):
        factor = measure.removeprefix("exchange_").removesuffix("_held_out")
        colour, marker, _ = LOOK.get(factor, (SHADES["wine"], "D", "-"))
        axes.plot(*zip(*[(row[measure], changes.index(row["change"])) for row in rows]), linestyle="", marker=marker, color=colour, alpha=0.8)
        axes.axvline(float(np.mean([row[measure] for row in rows if row["change"] == changes[0]])), color="0.4", linestyle="--", linewidth=1)
        if measure != "alike":
            axes.axvline(0.5 if measure.startswith("exchange") else chance[factor], color="black", linestyle=":", linewidth=1.2)
        for place in range(1, len(changes), 2):
            axes.axhspan(place - 0.5, place + 0.5, color="0.94", zorder=0)
        axes.set_title(title, fontsize=10)
        axes.set(xlim=(-0.05, 1.05), ylim=(len(changes) - 0.5, -0.5), xticks=(0, 0.5, 1))
        axes.set_xticklabels(["0", "½", "1"])
        axes.set_yticks(range(len(changes)), [change.replace("_", " ") for change in changes])
        axes.grid(False, axis="y")
    return figure


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
