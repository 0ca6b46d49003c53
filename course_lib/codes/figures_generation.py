"""The pictures of generated scenes and of what a prior spends: numbers and tensors in, `matplotlib.figure.Figure` out.

A verdict has a colour, a sign and a word, and the word is printed wherever the colour is: colour is never alone.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, PALETTE, SHADES, dressed, new_figure

NATS_PER_BIT = math.log(2)
TILE, FRAME, BAR, GAP = 128, 5, 19, 8  # pixels of a tile's picture, its frame, the bar above it, and between two tiles
STEP = TILE + 2 * FRAME + GAP, BAR + TILE + FRAME + GAP  # from tile to tile: across, down


class Verdict(NamedTuple):
    """How a verdict looks: colour and hatch of its bar, and its sign and words."""

    colour: str
    hatch: str
    words: str


# The keys of `metrics.judge`, in its order.
VERDICTS = {"right": Verdict(SHADES["green"], "", "✓ right"), "unparsable": Verdict("#666666", "///", "✗ unparsable"),
            "wrong_number": Verdict(SHADES["indigo"], "...", "✗ wrong number"), "same_colour": Verdict(SHADES["rose"], "xx", "✗ same colour")}
SCENE, REST = SHADES["teal"], SHADES["sand"]  # what the scene is worth, and what is spent beyond that
PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # under words that a line would cross


def names_of(found: Mapping[str, Bool[Tensor, "batch"]]) -> list[str]:
    """For each picture the name of its verdict, from what `metrics.judge` returns; raises `BadInput` unless each has exactly one."""
    table = torch.stack([found[name] for name in VERDICTS])
    if not (table.sum(0) == 1).all():
        raise BadInput("every picture has exactly one verdict; these come from something else than `judge`.")
    return [list(VERDICTS)[number] for number in table.int().argmax(0).tolist()]


def sheet(images: Float[Tensor, "batch 3 size size"], names: Sequence[str], columns: int) -> Float[Tensor, "high wide 3"]:
    """Pictures as tiles on white, each in a frame of its verdict's colour, with a bar above that has room for the word; RGB in [0, 1].

    names: of `VERDICTS`. Raises `BadInput` for no picture, and for another number of names.
    """
    if len(images) != len(names) or not len(names):
        raise BadInput(f"a sheet needs at least one picture and a verdict for each; there are {len(images)} and {len(names)}.")
    rows, (across, down) = math.ceil(len(names) / columns), STEP
    paper = torch.ones(3, rows * down - GAP, columns * across - GAP)
    tiles = F.interpolate(images.clamp(0, 1).float(), (TILE, TILE), mode="nearest")
    for number, (tile, name) in enumerate(zip(tiles, names)):
        top, left = number // columns * down, number % columns * across
        paper[:, top:top + down - GAP, left:left + across - GAP] = torch.tensor(to_rgb(VERDICTS[name].colour))[:, None, None]
        paper[:, top + BAR:top + BAR + TILE, left + FRAME:left + FRAME + TILE] = tile
    return paper.permute(1, 2, 0)


def word_place(number: int, columns: int) -> tuple[float, float]:
    """Where the word of tile `number` stands on the sheet: (x, y) in its pixels, the middle of the bar."""
    across, down = STEP
    return number % columns * across + (TILE + 2 * FRAME) / 2, number // columns * down + BAR / 2 - 0.5


def verdict_sheet(images: Float[Tensor, "batch 3 size size"], found: Mapping[str, Bool[Tensor, "batch"]], columns: int = 6,
                  notes: Sequence[str] | None = None) -> Figure:
    """Pictures side by side with what the judge says of each; notes: what stands above each column.

    Raises `BadInput` as `names_of` and `sheet` do, and for another number of notes than of columns.
    """
    names = names_of(found)
    paper = sheet(images, names, columns)
    high, wide = paper.shape[:2]
    extra = 18 if notes else 0  # pixels above the sheet, for the notes
    figure = new_figure((wide + 8) / 100, (high + 8) / 100, layout="none")
    axes = figure.add_axes([4 / (wide + 8), 4 / (high + 8), wide / (wide + 8), high / (high + 8)])
    _show_sheet(axes, paper, names, columns)
    if notes:
        if len(notes) != min(columns, len(names)):
            raise BadInput(f"there are {len(notes)} notes for {min(columns, len(names))} columns.")
        figure.set_size_inches((wide + 8) / 100, (high + 8 + extra) / 100)
        axes.set_position([4 / (wide + 8), 4 / (high + 8 + extra), wide / (wide + 8), high / (high + 8 + extra)])
        for number, note in enumerate(notes):
            axes.text(word_place(number, columns)[0], -extra / 2, note, size=10, ha="center", va="center")
    return figure


def _show_sheet(axes: Axes, paper: Float[Tensor, "high wide 3"], names: Sequence[str], columns: int) -> None:
    axes.imshow(paper.numpy(), interpolation="nearest")
    axes.set_axis_off()
    for number, name in enumerate(names):
        axes.text(*word_place(number, columns), VERDICTS[name].words, size=9, color="white", weight="bold", ha="center", va="center")


def gallery_figure(rows: Sequence[tuple[str, str, Float[Tensor, "many 3 size size"], Mapping[str, Bool[Tensor, "many"]]]]) -> Figure:
    """Ways to generate, one a row: the same number of pictures with their verdicts, a title and words beside them.

    rows: (title, words, pictures, what `metrics.judge` says). Raises `BadInput` for no row, rows of different length, and as `names_of`
    and `sheet` do.
    """
    if not rows:
        raise BadInput("a gallery needs at least one row.")
    many = {len(images) for _, _, images, _ in rows}
    if len(many) > 1:
        raise BadInput(f"all rows of a gallery show the same number of pictures, not {sorted(many)}.")
    columns = many.pop()
    figure = new_figure(11.5, 1.42 * len(rows) + 0.1, layout="compressed")
    for axes, (title, words, images, found) in zip(figure.subplots(len(rows), 2, squeeze=False, gridspec_kw={"width_ratios": [columns, 3]}), rows):
        names = names_of(found)
        _show_sheet(axes[0], sheet(images, names, columns), names, columns)
        for text in axes[0].texts:
            text.set_size(7.5)
        axes[1].set_axis_off()
        axes[1].text(0, 0.98, title, size=12, weight="bold", va="top", transform=axes[1].transAxes)
        axes[1].text(0, 0.78, textwrap.fill(words, 42, break_on_hyphens=False), size=10, va="top", transform=axes[1].transAxes)
    return figure


def accuracy_figure(rows: Mapping[str, Mapping[str, float]], chance: float | None = None) -> Figure:
    """Left the share that is right with its 95 % interval, right what becomes of all pictures: rows of `generation.judged`.

    chance: the share of scenes of correct objects with independent colours that obey the rule by luck; the dashed line.
    Raises `BadInput` for no row.
    """
    if not rows:
        raise BadInput("there is nothing to compare.")
    figure = new_figure(11, 1.45 + 0.42 * len(rows))
    left, right = figure.subplots(1, 2, sharey=True)
    y = np.arange(len(rows))
    for number, row in zip(y, rows.values()):
        left.barh(number, row["right"], 0.6, color=VERDICTS["right"].colour)
        left.plot([row["low"], row["high"]], [number, number], color="black", marker="|", markersize=9, linewidth=1.5)
        left.text(min(row["high"] + 0.02, 1.02), number, f"{row['right']:.0%}", va="center", size=10)
    if chance is not None:
        left.axvline(chance, color="black", linestyle="--", linewidth=1.2)
        left.text(chance, -0.55, f"lawful by chance {chance:.0%}", size=9, ha="center", va="bottom", bbox=PAPER)
    begin = np.zeros(len(rows))
    for name, look in VERDICTS.items():
        values = np.array([row[name] for row in rows.values()])
        right.barh(y, values, 0.6, left=begin, color=look.colour, hatch=look.hatch, edgecolor="white", linewidth=0, label=look.words[2:])
        begin += values
    left.set(xlim=(0, 1.12), xlabel="share of pictures that obey the rule", ylim=(len(rows) - 0.5, -0.95))
    left.set_xticks(np.linspace(0, 1, 6))
    left.set_yticks(y, list(rows))
    right.set(xlim=(0, 1), xlabel="share of all pictures")
    right.legend(loc="upper left", bbox_to_anchor=(1, 1), handlelength=1.6)
    for axes in (left, right):
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
    return figure


def nll_figure(rows: Mapping[str, float], entropy: float, marks: Mapping[str, float] | None = None) -> Figure:
    """Nats (below) and bits (above) for one scene: what the scene itself is worth, and what is spent beyond that.

    rows: NLL in nats by name; entropy: of the world, in nats; marks: other numbers of nats to mark by a vertical line, by name.
    Raises `BadInput` for no row.
    """
    if not rows:
        raise BadInput("there is nothing to compare.")
    figure = new_figure(10, 1.75 + 0.42 * len(rows) + 0.2 * len(marks or {}))
    axes = figure.add_subplot()
    y, values = np.arange(len(rows)), np.array(list(rows.values()))
    axes.barh(y, values.clip(max=entropy), 0.6, color=SCENE, label="the scene itself")
    axes.barh(y, (values - entropy).clip(min=0), 0.6, left=entropy, color=REST, hatch="//", edgecolor="white", linewidth=0, label="beyond the scene")
    wide = 1.16 * max([*values, entropy, *(marks or {}).values()])
    for number, value in zip(y, values):
        axes.text(value + wide / 120, number, f"{value:.2f}", va="center", size=10, bbox=PAPER)
    lines = {"entropy of the world": entropy} | dict(marks or {})
    for level, (name, value) in enumerate(lines.items()):
        axes.axvline(value, color="black", linestyle="--", linewidth=1.2)
        side = "center" if 0.15 * wide < value < 0.85 * wide else "left" if value < wide / 2 else "right"
        axes.text(value, -0.55 - 0.45 * level, f"{name}: {value:.2f}", size=9, ha=side, va="bottom", bbox=PAPER)
    axes.set(xlim=(0, wide), xlabel="nats for one scene", ylim=(len(rows) - 0.5, -0.55 - 0.45 * len(lines)))
    axes.set_yticks(y, list(rows))
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    bits = axes.secondary_xaxis("top", functions=(lambda nats: nats / NATS_PER_BIT, lambda bits: bits * NATS_PER_BIT))
    bits.set_xlabel("bits for one scene")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def learning_figure(epochs: Mapping[str, Sequence[float]], marks: Mapping[str, float], top: float | None = None) -> Figure:
    """NLL by epoch of the scenes that are learned ("loss") and of held-out ones ("nll"), from `History.epochs`.

    marks: horizontal lines by name, in nats, where a good prior ends. top: where the axis ends.
    Raises `BadInput` for a history without one of the two, and for more than three marks.
    """
    if not {"loss", "nll"} <= epochs.keys():
        raise BadInput(f"a prior's history has 'loss' and 'nll'; this one has {', '.join(epochs) or 'nothing'}.")
    figure = new_figure(9, 3.6)
    axes = figure.add_subplot()
    number = np.arange(1, len(epochs["loss"]) + 1)
    axes.plot(number, epochs["loss"], color=PALETTE["coupling_train"], label="training scenes (mean of the epoch)")
    axes.plot(number, epochs["nll"], color=PALETTE["output_x_hat"], linestyle="--", marker="o", markersize=4, label="held-out scenes")
    for (name, value), dash in dressed(marks, ("-", ":", "-.")):
        axes.axhline(value, color="black", linewidth=1.2, linestyle=dash, label=f"{name}: {value:.2f}")
    axes.set(xlabel="epoch", ylabel="NLL in nats per scene")
    axes.set_ylim(top=top)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def positions_figure(measured: Float[Tensor, "slots codebooks"], names: Sequence[str], exact: Float[Tensor, "slots codebooks"] | None = None,
                     ceiling: float | None = None, slot: str = "slot") -> Figure:
    """What the prior spends at each position, in nats; exact: what the best prior would. names: of the codebooks.

    ceiling: ln(codes), what a prior spends that knows nothing. slot: what a row of `measured` is called.
    Raises `BadInput` for another number of names, and for `exact` of another shape.
    """
    slots, books = measured.shape
    if len(names) != books or exact is not None and exact.shape != measured.shape:
        raise BadInput(f"{slots} × {books} positions need {books} names, and as many exact numbers if any.")
    figure = new_figure(10, 3.4)
    axes = figure.add_subplot()
    x = np.arange(slots * books)
    axes.bar(x, measured.flatten().numpy(), 0.62, color=SHADES["cyan"], label="measured, held-out scenes")
    if exact is not None:
        axes.plot(x, exact.flatten().numpy(), "D", color="black", markersize=6, label="exact: the world's own")
    if ceiling is not None:
        axes.axhline(ceiling, color="black", linestyle="--", linewidth=1.2, label=f"all codes equally likely: {ceiling:.2f}")
    for position, value in enumerate(measured.flatten().tolist()):
        axes.text(position, 0.0, f"{value:.2f}", ha="center", va="bottom", size=9)
    axes.set_ylim(0, 1.08 * max(float(measured.max()), float(exact.max()) if exact is not None else 0, ceiling or 0))
    axes.set_xticks(x, list(names) * slots, size=9)
    axes.set(ylabel="nats at this position", xlim=(-0.6, slots * books - 0.4))
    for number in range(slots):
        axes.text((number + 0.5) * books - 0.5, -0.16, f"{slot} {number + 1}", transform=axes.get_xaxis_transform(), ha="center", va="top", weight="bold")
        if number:
            axes.axvline(number * books - 0.5, color="#bbbbbb", linewidth=1)
    axes.grid(False, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def choices_figure(probabilities: Float[Tensor, "rows options"], options: Sequence[str], taken: Sequence[Sequence[int]],
                   rows: Sequence[str], label: str = "probability") -> Figure:
    """How likely a prior holds each option as the next code, a row for each beginning; × marks options that are taken.

    Colours run from 0 to 0.3. taken: of each row the numbers of options, from 0; label: of the colours.
    Raises `BadInput` if names, or what is taken, do not fit the probabilities.
    """
    count, many = probabilities.shape
    if len(options) != many or len(taken) != count or len(rows) != count:
        raise BadInput(f"{count} × {many} probabilities need {many} options, {count} names of rows and what is taken in each.")
    figure = new_figure(9.5, 1.3 + 0.42 * count)
    axes = figure.add_subplot()
    heat = axes.imshow(probabilities.numpy(), cmap=IMAGE_CMAP, vmin=0, vmax=0.3, aspect="auto")
    for row in range(count):
        for column in range(many):
            value = float(probabilities[row, column])
            sign = "× " if column in taken[row] else ""
            axes.text(column, row, f"{sign}{value:.2f}", ha="center", va="center", size=10, color="black" if value > 0.2 else "white")
    axes.set_xticks(range(many), list(options))
    axes.set_yticks(range(count), list(rows))
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure.colorbar(heat, label=label)
    return figure


def temperature_figure(rows: Mapping[float, Mapping[str, float]], chance: float | None = None) -> Figure:
    """Shares against the temperature: right with its interval, unparsable, and different from one another ("different").

    rows: for each temperature what `generation.judged` returns, with "different" and perhaps "copied" beside it. chance: as in
    `accuracy_figure`. Raises `BadInput` for no temperature.
    """
    if not rows:
        raise BadInput("there is no temperature to show.")
    figure = new_figure(9.5, 3.6)
    axes = figure.add_subplot()
    x = list(rows)
    values = {name: [row[name] for row in rows.values()] for name in next(iter(rows.values()))}
    axes.fill_between(x, values["low"], values["high"], color=VERDICTS["right"].colour, alpha=0.2, linewidth=0)
    axes.plot(x, values["right"], "o-", color=VERDICTS["right"].colour, label="right, with its interval")
    for name, colour, marker, dash, words in (
        ("different", SHADES["indigo"], "s", "--", "different scenes"), ("copied", SHADES["purple"], "D", "-.", "copies of training scenes"),
        ("unparsable", VERDICTS["unparsable"].colour, "x", ":", "unparsable"),
    ):
        if name in values:
            axes.plot(x, values[name], marker=marker, color=colour, linestyle=dash, markersize=5, label=words)
    if chance is not None:
        axes.axhline(chance, color="black", linestyle="--", linewidth=1, label=f"lawful by chance: {chance:.2f}")
    axes.set(xlabel="temperature", ylabel="share of generated pictures", ylim=(-0.04, 1.04))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
