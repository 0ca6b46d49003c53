"""The pictures of Part II that move: each is one Figure whose artists follow a slider, a frame number or a slot count."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor
from torch.nn import functional as F

from course_lib.core.style import IMAGE_CMAP, new_figure
from course_lib.slots.autoencoder import SlotOutput
from course_lib.slots.figures import (LETTERS, bare, number_places, segmentation_picture, show_picture, show_segmentation, slot_colour,
                                      slot_parts, slot_title)
from course_lib.slots.figures_training import in_words
from course_lib.slots.metrics import scene_metrics, segmentation
from course_lib.slots.tiny import Matrix, Over, Points, Slots, closest, iterate, owners

WIDE, HIGH = 1120, 580  # pixels of the slots' picture
PLACES, ROWS = 10, 7  # columns for slots and rows for iterations, always all there: the picture must not jump
TILE, GAP = 64, 4  # pixels of a tile of the sheet, and between two
EMPTY = 0.93  # grey of a tile without a slot or without an iteration
HEAT = torch.tensor(matplotlib.colormaps[IMAGE_CMAP](np.linspace(0, 1, 256))[:, :3], dtype=torch.float32)


def heat_picture(values: Float[Tensor, "*axes height width"]) -> Float[Tensor, "*axes 3 height width"]:
    """Values from 0 to 1 in the colours of heat maps."""
    return HEAT[(values.clamp(0, 1) * 255).round().long()].movedim(-1, -3)


def sheet(rows: list[Float[Tensor, "_ 3 _ _"]]) -> Float[Tensor, "high wide 3"]:
    """Small pictures side by side, at most 10 in a row and 8 rows, each brought to 64 pixels; grey where there is none."""
    tiles = torch.full((1 + ROWS, PLACES, 3, TILE + GAP, TILE + GAP), 1.0)
    tiles[..., :TILE, :TILE] = EMPTY
    for number, row in enumerate(rows):
        tiles[number, : len(row), :, :TILE, :TILE] = F.interpolate(row, (TILE, TILE), mode="nearest")
    return tiles.permute(0, 3, 1, 4, 2).reshape((1 + ROWS) * (TILE + GAP), PLACES * (TILE + GAP), 3)[:-GAP, :-GAP]


class SlotPicture:
    """One scene taken apart by any number of slots up to 10 and iterations up to 7; `set` shows another one.

    Left: picture, reconstruction, segmentation and the measures. Right: a column for each slot: its part on white, and
    below what it attends to in each iteration, on a scale from 0 to 1.
    """

    def __init__(self, resolution: int = 64):
        self.figure = new_figure(WIDE / 100, HIGH / 100, layout="none")
        self.image, self.rebuilt, self.owns = (self._picture(*place, resolution) for place in (
            (10, 384, "picture"), (180, 384, "rebuilt"), (10, 180, "who owns")))
        self.numbers = [self.owns.axes.text(0, 0, str(slot + 1), size=10, **LETTERS) for slot in range(PLACES)]
        self.measures = self.figure.text(186 / WIDE, 340 / HIGH, "", size=11, va="top", linespacing=1.4)
        bar = self._axes(26, 60, 298, 12)
        self.figure.colorbar(ScalarMappable(cmap=IMAGE_CMAP), cax=bar, orientation="horizontal", label="attention")
        self.sheet = self._sheet()
        self.moving = [self.image, self.rebuilt, self.owns, self.sheet, *self.numbers, self.measures]

    def set(self, image: Float[Tensor, "3 height width"], ids: UInt8[Tensor, "height width"], out: SlotOutput) -> None:
        """Show `out`, what a model made of this one scene (a batch of 1)."""
        self.slots, self.iterations, self.objects = out.masks.shape[1], out.attention.shape[1], len(ids[ids > 0].unique())
        self.used = len(segmentation(out.masks, *ids.shape).unique())
        mse = float((out.reconstruction[0] - image).square().mean())
        self.metrics = {name: float(value) for name, value in scene_metrics(ids[None], out.masks).items()} | {"mse": mse}
        for artist, picture in ((self.image, image), (self.rebuilt, out.reconstruction[0])):
            artist.set_data(picture.clamp(0, 1).permute(1, 2, 0).numpy())
        self.owns.set_data(segmentation_picture(out.masks)[0].numpy())
        places = number_places(out.masks[0]) + [None] * (PLACES - self.slots)
        for number, place in zip(self.numbers, places):
            number.set_visible(place is not None)
            number.set_position(place or (0, 0))
        tiles = sheet([slot_parts(out.pictures, out.masks)[0], *heat_picture(out.attention[0])])
        self.sheet.set_data((255 * tiles).round().byte().numpy())
        counts = f"{self.objects} objects\n{self.slots} slots, {self.used} in use\n"
        self.measures.set_text(counts + in_words(self.metrics).replace(", ", "\n"))

    def words(self) -> str:
        """One line that says what the picture shows."""
        rounds = f"{self.iterations} iteration{'s' * (self.iterations > 1)}"
        return (f"<b>{self.slots} slots, {rounds}</b>: {self.objects} objects before a background; {self.used} of the slots own pixels; "
                f"{in_words(self.metrics)}.")

    def _axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Axes at a place counted in pixels of the figure, so that pictures are not resampled."""
        return self.figure.add_axes([left / WIDE, bottom / HIGH, width / WIDE, height / HIGH])

    def _picture(self, left: float, bottom: float, title: str, resolution: int) -> AxesImage:
        axes = self._axes(left, bottom, 160, 160)
        axes.set_title(title, loc="center")
        bare(axes)
        return axes.imshow(np.full((resolution, resolution, 3), EMPTY), interpolation="nearest")

    def _sheet(self) -> AxesImage:
        """The tiles, the slots' numbers above and the iterations' at the left."""
        empty, step = sheet([]), TILE + GAP
        axes = self._axes(WIDE - 8 - empty.shape[1], 4, empty.shape[1], empty.shape[0])
        drawn = axes.imshow(empty.numpy(), interpolation="nearest")
        bare(axes)
        for slot in range(PLACES):
            pad = {"boxstyle": "round,pad=0.2", "facecolor": slot_colour(slot), "edgecolor": "none"}
            axes.text(slot * step + TILE / 2, -18, f"{slot + 1}", size=10, bbox=pad, **LETTERS)
        axes.text(-8, -18, "slot", size=10, ha="right", va="center")
        axes.set_yticks(TILE / 2 + step * np.arange(1 + ROWS), ["its part", *map(str, range(1, 1 + ROWS))], size=10)
        axes.tick_params(length=0)
        axes.text(-36, step * (1 + ROWS / 2), "attention in iteration", size=10, rotation=90, ha="right", va="center")
        return drawn


def slot_counts_figure(image: Float[Tensor, "3 height width"], outs: Sequence[SlotOutput]) -> Figure:
    """Small multiples of the slot explorer: one scene, a row for each of `outs` (batches of 1) with its number of slots."""
    figure = new_figure(11.2, 0.87 * len(outs) + 0.3, layout="compressed")
    for row, (axes, out) in enumerate(zip(figure.subplots(len(outs), 3 + PLACES, squeeze=False), outs)):
        show_picture(axes[0], image)
        show_picture(axes[1], out.reconstruction[0])
        show_segmentation(axes[2], out.masks[0], size=8)
        axes[0].set_ylabel(f"{out.masks.shape[1]} slots", size=10)
        parts = slot_parts(out.pictures, out.masks)[0]
        nothing = torch.full_like(image, EMPTY)
        for slot, place in enumerate(axes[3:]):
            show_picture(place, parts[slot] if slot < len(parts) else nothing, framed=slot < len(parts))
            if row == 0:
                slot_title(place, slot)
        for place, title in zip(axes, ("picture", "rebuilt", "who owns") if row == 0 else ()):
            place.set_title(title, loc="center", size=10)
    return figure


class Plane:
    """Points in the plane, each in the colour and with the number of the slot that owns it, and the slots with their way so far."""

    def __init__(self, axes: Axes, points: Points, slots: int, limit: float = 2.3):
        self.points = points.numpy()
        self.ties = LineCollection([], zorder=1)
        axes.add_collection(self.ties, autolim=False)
        self.dots = axes.scatter(*self.points.T, s=130, edgecolor="black", linewidth=0.6, zorder=3)
        self.numbers = [axes.text(x, y, "", size=8, zorder=4, **LETTERS) for x, y in self.points]
        self.ways = [axes.plot([], [], ".-", color=slot_colour(slot), linewidth=1.5, markersize=5, zorder=4)[0] for slot in range(slots)]
        self.slots = [axes.plot([], [], "*", color=slot_colour(slot), markersize=20, markeredgecolor="black", zorder=5)[0]
                      for slot in range(slots)]
        self.names = [axes.text(0, 0, str(slot + 1), size=8, zorder=6, **LETTERS) for slot in range(slots)]
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="first number of an input", ylabel="second number")
        self.artists = [self.ties, self.dots, *self.numbers, *self.ways, *self.slots, *self.names]

    def set(self, path: Float[Tensor, "t k 2"], matrix: Matrix) -> None:
        """Show the slots at the end of their `path`, and who owns each point by the attention they give."""
        owner, share = (value.numpy() for value in owners(matrix))
        colours, now = [slot_colour(slot) for slot in owner.tolist()], path[-1].numpy()
        self.dots.set_facecolor(colours)
        self.ties.set(segments=np.stack([self.points, now[owner]], 1), color=colours, linewidths=3 * share**2)
        for number, slot in zip(self.numbers, owner):
            number.set_text(str(slot + 1))
        for k, (way, star, name) in enumerate(zip(self.ways, self.slots, self.names)):
            way.set_data(*path[:, k].numpy().T)
            star.set_data(*now[k, :, None])
            name.set_position(now[k])


class IterationPicture:
    """Slot attention by hand on a few points: the plane on the left, the attention matrix with all its numbers on the right."""

    def __init__(self, points: Points, slots: Slots):
        self.points, self.slots = points, slots
        self.figure = new_figure(11.2, 4.6)
        left, right = self.figure.subplots(1, 2, width_ratios=[1, 1.5])
        self.plane = Plane(left, points, len(slots))
        self.heat = right.imshow(np.zeros((len(slots), len(points))), cmap=IMAGE_CMAP, vmin=0, vmax=1, aspect="auto")
        self.cells = [right.text(n, k, "", size=8, ha="center", va="center") for k in range(len(slots)) for n in range(len(points))]
        right.set(xlabel="input", ylabel="slot", title="Attention")
        right.set_xticks(range(len(points)), range(1, len(points) + 1))
        right.set_yticks(range(len(slots)), range(1, len(slots) + 1))
        right.grid(False)
        self.figure.colorbar(self.heat, ax=right, label="attention")
        self.set(0, 0.5, "slots")
        self.moving = [*self.plane.artists, self.heat, *self.cells]

    def set(self, iterations: int, temperature: float, normalise: Over) -> None:
        """Show the slots after so many iterations, and the attention that they give then."""
        path, matrices = iterate(self.points, self.slots, iterations, temperature, normalise)
        self.shown, self.matrix, self.now = (iterations, temperature, normalise), matrices[-1], path[-1]
        self.plane.set(path, self.matrix)
        self.heat.set_data(self.matrix.numpy())
        for cell, value in zip(self.cells, self.matrix.flatten().tolist()):
            cell.set(text=f"{value:.2f}", color="black" if value > 0.6 else "white")

    def words(self) -> str:
        """One line that says what the picture shows."""
        iterations, temperature, normalise = self.shown
        owner, share = owners(self.matrix)
        counts = ", ".join(f"slot {slot + 1} owns {int((owner == slot).sum())}" for slot in range(len(self.slots)))
        law = "slots (each column sums to 1)" if normalise == "slots" else "inputs (each row sums to 1)"
        return (f"<b>iteration {iterations}</b>, softmax over {law}, temperature {temperature:g}: {counts} of {len(owner)} inputs; an owner has "
                f"{float(share.mean()):.0%} of its inputs' attention on average; the two nearest slots are {closest(self.now):.2f} apart.")


def iterations_figure(points: Points, slots: Slots, iterations: Sequence[int] = (0, 1, 3, 10), temperature: float = 0.5) -> Figure:
    """Small multiples of the iteration explorer: above softmax over slots, below over inputs."""
    figure = new_figure(11.2, 6)
    for row, over in zip(figure.subplots(2, len(iterations), sharex=True, sharey=True), ("slots", "inputs")):
        path, matrices = iterate(points, slots, max(iterations), temperature, over)
        for axes, i in zip(row, iterations):
            Plane(axes, points, len(slots)).set(path[: i + 1], matrices[i])
            axes.set_title(f"iteration {i}" if over == "slots" else "", loc="center")
            axes.label_outer()
        row[0].set_ylabel(f"over {over}\nsecond number")
    return figure
