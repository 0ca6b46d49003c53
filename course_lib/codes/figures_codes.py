"""Pictures for notebook 07: what codes of objects keep, know and change; tensors and numbers in, `matplotlib.figure.Figure` out."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, LOOKS, SHADES, dressed, new_figure
from course_lib.slots.figures import LETTERS, bare, number_places, segmentation_picture, show_picture, slot_colour
from course_lib.slots.figures_training import SCORE

# A change has one look in every picture: colour, marker and dash.
LOOK = dict(zip(("kind", "size", "colour", "place"), LOOKS))
# What an edit did: colour and hatch.
DONE = {"nothing": (SHADES["pale"], ""), "one object": (SHADES["green"], "//"), "several objects": (SHADES["sand"], ".."),
        "not readable": (SHADES["wine"], "xx")}
TOUCHED = 0.2  # of the range of a channel: by so much a pixel must change to count
Images = Float[Tensor, "batch 3 height width"]


def codes_figure(images: Images, rebuilt: Images, masks: Float[Tensor, "batch slots height width"],
                 codes: Int[Tensor, "batch slots codebooks"]) -> Figure:
    """A row for each scene: picture, reconstruction, who owns which pixel, and each slot's codes as numbers.

    Raises `BadInput` for no scene, and if something is missing for one.
    """
    if not len(images) or not len(images) == len(rebuilt) == len(masks) == len(codes):
        raise BadInput("there must be at least one scene, with a reconstruction, masks and codes for each.")
    figure = new_figure(9.2, 1.62 * len(images) + 0.45, layout="compressed")
    grid = figure.subplots(len(images), 4, squeeze=False, gridspec_kw={"width_ratios": [1, 1, 1, 2.6]})
    for row, axes in enumerate(grid):
        top = row == 0
        show_picture(axes[0], images[row], "picture" * top)
        show_picture(axes[1], rebuilt[row], "rebuilt" * top)
        show_owners(axes[2], masks[row].detach(), rebuilt[row], "who owns" * top)
        code_table(axes[3], codes[row], top)
    return figure


def show_owners(axes: Axes, masks: Float[Tensor, "slots height width"], picture: Float[Tensor, "3 height width"], title: str = "") -> None:
    """Who owns which pixel, in slot colours with numbers; pale where the picture is black and nobody needs to paint."""
    shade = segmentation_picture(masks[None])[0].numpy()
    lit = (picture.detach().amax(0) > TOUCHED).numpy()
    axes.imshow(np.where(lit[..., None], shade, 0.75 + 0.25 * shade), interpolation="nearest")
    axes.set_title(title, loc="center")
    bare(axes)
    for slot, place in enumerate(number_places(torch.cat([masks * torch.from_numpy(lit), torch.from_numpy(~lit)[None].float()]))[:-1]):
        if place:
            axes.text(*place, str(slot + 1), size=9, **LETTERS)


def code_table(axes: Axes, codes: Int[Tensor, "slots codebooks"], head: bool = True) -> None:
    """A line for each slot: its number on its colour, and the number of its code in each codebook."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    if head:
        axes.set_title("codes of the slots", loc="center")
    step = 1 / (len(codes) + 1)
    for book in range(codes.shape[1]):
        axes.text(0.24 + 0.19 * book, 1 - step / 2, f"book {book + 1}", size=8.5, color="#666666", ha="center", va="center")
    for slot, line in enumerate(codes.tolist()):
        y = 1 - (slot + 1.5) * step
        pad = {"boxstyle": "round,pad=0.2", "facecolor": slot_colour(slot), "edgecolor": "none"}
        axes.text(0.06, y, str(slot + 1), size=9, bbox=pad, **LETTERS)
        for book, code in enumerate(line):
            axes.text(0.24 + 0.19 * book, y, str(code), size=10, ha="center", va="center", family="DejaVu Sans Mono")


def information_figure(share: Float[Tensor, "codebooks factors"], shuffled: Float[Tensor, "codebooks factors"],
                       factors: Sequence[str]) -> Figure:
    """Mutual information of codebook and factor as a share of the factor's entropy; beside it the same with shuffled codes.

    Colours run from 0 to 1. factors: names of the columns. Raises `BadInput` for another number of them, or of codebooks.
    """
    if share.shape != (len(shuffled), len(factors)):
        raise BadInput(f"the shares must have a column for each of the {len(factors)} factors, not shape {tuple(share.shape)}.")
    figure = new_figure(10.8, 0.55 * len(share) + 1.3)
    titles = "What a codebook knows", "The same, codes shuffled"
    for axes, values, title in zip(figure.subplots(1, 2, sharey=True), (share, shuffled), titles):
        numbers = values.detach().double().numpy()
        heat = axes.imshow(numbers, cmap=IMAGE_CMAP, vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(numbers):
            axes.text(column, row, f"{value:z.2f}", ha="center", va="center", size=10, color="black" if value > 0.6 else "white")
        bare(axes)
        axes.set_title(title, loc="center")
        axes.set_xticks(range(len(factors)), list(factors))
        axes.set_yticks(range(len(numbers)), [f"codebook {book + 1}" for book in range(len(numbers))])
        axes.tick_params(length=0)
    figure.colorbar(heat, ax=figure.axes, label="share of the factor's entropy", aspect=12)
    return figure


def edits_figure(before: Float[Tensor, "3 height width"], rows: Mapping[str, tuple[Images, Sequence[str]]]) -> Figure:
    """An edit grid: in each row the picture before, and the pictures after, each with its title. A white line with a dark edge
    runs around the pixels that changed.

    rows: {name: (pictures, their titles)}. Raises `BadInput` for no row, a row without pictures, or a picture without a title.
    """
    if not rows or not all(len(images) and len(images) == len(titles) for images, titles in rows.values()):
        raise BadInput("an edit grid needs at least one row, and a title for each picture in it.")
    columns = 1 + max(len(images) for images, _ in rows.values())
    lines = max(title.count("\n") for _, titles in rows.values() for title in titles)
    figure = new_figure(1.42 * columns + 0.2, (1.55 + 0.13 * lines) * len(rows), layout="compressed")
    for axes, (name, (images, titles)) in zip(figure.subplots(len(rows), columns, squeeze=False), rows.items()):
        for place in axes:
            place.set_axis_off()
        for place, picture, title in zip(axes, [before, *images], ["before", *titles]):
            place.set_axis_on()
            show_picture(place, picture, title)
            place.title.set(size=8, weight="normal")
            outline_changes(place, before, picture)
        axes[0].set_ylabel(name, weight="bold", size=9.5)
    return figure


def outline_changes(axes: Axes, before: Float[Tensor, "3 height width"], after: Float[Tensor, "3 height width"]) -> None:
    """A white line with a dark edge around the pixels that changed by more than a fifth of a channel's range."""
    changed = ((after.clamp(0, 1) - before.clamp(0, 1)).abs().amax(0) > TOUCHED).float().cpu().numpy()
    if changed.any():
        for width, colour in ((2.4, "black"), (1.1, "white")):
            axes.contour(np.pad(changed, 1), [0.5], colors=colour, linewidths=width, extent=(-1, changed.shape[1], -1, changed.shape[0]))
        axes.set(xlim=(-0.5, changed.shape[1] - 0.5), ylim=(changed.shape[0] - 0.5, -0.5))


def edit_success_figure(shares: Mapping[str, Sequence[float]]) -> Figure:
    """Number of codebooks whose codes are taken from the donor, best informed first, against the share of edits that came out right.

    shares: for each change of `LOOK` a line, from 0 codebooks on (`editing.by_number`). Raises `BadInput` for no change.
    """
    if not shares:
        raise BadInput("there is no edit to show.")
    figure = new_figure(8.2, 3.5)
    axes = figure.add_subplot()
    for name, values in shares.items():
        colour, marker, dash = LOOK[name]
        axes.plot(range(len(values)), values, color=colour, marker=marker, linestyle=dash, label=name, clip_on=False, zorder=3)
    longest = max(len(values) for values in shares.values())
    axes.set(xlabel="codes taken from the donor, best informed codebook first", ylabel="share of edits that are\nexactly right",
             xlim=(-0.1, longest - 0.9), ylim=(0, 1), xticks=range(longest))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), title="to be changed")
    return figure


def outcomes_figure(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """A bar for each model: what becomes of scenes when one code is changed, shares that sum to 1 (`editing.outcomes`).

    Raises `BadInput` for no model.
    """
    if not rows:
        raise BadInput("there is no model to show.")
    figure = new_figure(9.4, 0.55 * len(rows) + 1.25)
    axes = figure.add_subplot()
    for row, shares in enumerate(rows.values()):
        left = 0.0
        for name, (colour, hatch) in DONE.items():
            axes.barh(row, shares[name], left=left, color=colour, hatch=hatch, edgecolor="white", height=0.62)
            if shares[name] >= 0.06:
                axes.text(left + shares[name] / 2, row, f"{shares[name]:.0%}", ha="center", va="center", size=10, weight="bold",
                          bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85})
            left += shares[name]
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xlabel="share of scenes")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.legend(handles=[Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=name) for name, (colour, hatch) in DONE.items()],
                loc="lower center", bbox_to_anchor=(0.45, 1), ncols=4, title="what changed")
    return figure


def versus_figure(rows: Mapping[str, Images], compare: Mapping[str, str] | None = None) -> Figure:
    """Pictures in named rows, one column for each scene; in the rows of `compare` what differs from another row is outlined.

    compare: {row: row that it is compared with}. Raises `BadInput` for no row, and for rows of different length.
    """
    if not rows or len({len(images) for images in rows.values()}) != 1:
        raise BadInput("there must be at least one row, and as many pictures in each as in the others.")
    columns = len(next(iter(rows.values())))
    figure = new_figure(1.3 * columns + 1.5, 1.3 * len(rows), layout="compressed")
    for axes, (name, images) in zip(figure.subplots(len(rows), columns, squeeze=False), rows.items()):
        for column, place in enumerate(axes):
            show_picture(place, images[column])
            if compare and name in compare:
                outline_changes(place, rows[compare[name]][column], images[column])
        axes[0].set_ylabel(name, rotation=0, ha="right", va="center", size=10)
    return figure


def two_ways_figure(runs: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Histories of short trainings, epoch by epoch: the error of held-out scenes, FG-ARI, and the codes in use (perplexity).

    runs: {name: {"mse", "fg_ari", "perplexity": a number an epoch}}. Raises `BadInput` for none, and for more than four.
    """
    if not runs:
        raise BadInput("there is no training to show.")
    figure = new_figure(11, 3.3)
    panels = figure.subplots(1, 3)
    for (name, epochs), (colour, marker, dash) in dressed(runs, [*LOOK.values()]):
        for axes, key in zip(panels, ("mse", "fg_ari", "perplexity")):
            axes.plot(range(1, len(epochs[key]) + 1), epochs[key], color=colour, marker=marker, markersize=4, linestyle=dash, label=name)
    panels[0].set(xlabel="epoch", ylabel="MSE, held-out scenes", title="The picture")
    panels[1].set(ylim=(-0.1, 1.05), xlabel="epoch", ylabel=SCORE, title="The objects: FG-ARI")
    panels[2].set(xlabel="epoch", ylabel="perplexity", title="The codes in use")
    for axes in (panels[0], panels[2]):
        axes.set_ylim(0, 1.06 * axes.get_ylim()[1])
    panels[2].legend()
    return figure
