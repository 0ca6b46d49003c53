"""The pictures of the lecture on Part II that no notebook needs: tensors and numbers in, `matplotlib.figure.Figure` out."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from course_lib.core.style import IMAGE_CMAP, PALETTE, new_figure
from course_lib.slots.autoencoder import SlotOutput
from course_lib.slots.figures import bare, show_picture, show_segmentation, slot_colour, slot_parts, slot_title
from course_lib.slots.figures_attention import GREY
from course_lib.slots.moving import PLACES

HATCH = "///"


class DemoPicture:
    """One scene for a projector: above the picture, its reconstruction, who owns which pixel and some words; below a tile for each slot.

    `set` shows another state. All ten places for slots are always there, so that the picture does not jump.
    """

    def __init__(self, places: int = PLACES):
        self.figure = new_figure(11.5, 4.5, layout="none")
        self.large = [self._axes(0.15 + 2.75 * i, 1.62, 2.45) for i in range(3)]
        self.words = self.figure.text(8.6 / 11.5, 4.05 / 4.5, "", size=17, va="top", linespacing=1.5)
        self.tiles = [self._axes(0.15 + 1.135 * i, 0.08, 1.02) for i in range(places)]

    def set(self, pictures: Mapping[str, Tensor], masks: Float[Tensor, "slots height width"], tiles: Sequence[Tensor], words: str) -> None:
        """pictures: two of them by their titles; masks: of the third; tiles: (3, h, w) RGB or (h, w) from 0 to 1; words: some lines."""
        for axes in [*self.large, *self.tiles]:
            axes.clear()
            bare(axes)
        for axes, (title, picture) in zip(self.large, pictures.items()):
            show_picture(axes, picture, title)
        show_segmentation(self.large[2], masks, "who owns", size=14)
        for slot, (axes, tile) in enumerate(zip(self.tiles, tiles)):
            if tile.ndim == 3:
                show_picture(axes, tile, framed=True)
            else:
                axes.imshow(tile.numpy(), cmap=IMAGE_CMAP, vmin=0, vmax=1, interpolation="nearest")
            slot_title(axes, slot).set(text=str(slot + 1), fontsize=13)
        for axes in self.tiles[len(tiles):]:
            axes.imshow(np.full((1, 1, 3), 0.95))
        self.words.set_text(words)

    def _axes(self, left: float, bottom: float, size: float) -> Axes:
        return self.figure.add_axes([left / 11.5, bottom / 4.5, size / 11.5, size / 4.5])


def binding_figure(pictures: Sequence[Tensor], sums: Float[Tensor, "scenes features"], names: Sequence[str]) -> Figure:
    """Two scenes, and beside each the sum over its objects of their features: equal bars, different scenes. names: of the features."""
    figure = new_figure(10, 3)
    grid = figure.subplots(1, 2 * len(pictures)).reshape(-1, 2)
    for i, (left, right) in enumerate(grid):
        show_picture(left, pictures[i], f"scene {i + 1}")
        right.bar(range(len(names)), sums[i].numpy(), 0.6, color=PALETTE["latent_z_hat"], hatch=HATCH, edgecolor="white")
        right.set(xticks=range(len(names)), yticks=[0, 1], ylim=(0, 1.2), title="sum of features")
        right.set_xticklabels(names, rotation=30)
    return figure


def tie_figure(points: Float[Tensor, "n 2"], path: Float[Tensor, "t 3 2"], title: str, x: Sequence[float], growth: Sequence[tuple[float, float]],
               xlabel: str, mark: int) -> Figure:
    """Left: the way of three slots, two of which start in one cluster. Right: by which factor one iteration stretches a small distance of
    two tied slots, (predicted, measured) for every x on a logarithmic axis; number `mark` of them is the one shown at the left."""
    figure = new_figure(11, 4.2)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 1.5]})
    left.plot(*points.T, "o", color=GREY, markersize=7)
    for k, (size, marker) in enumerate(((20, "o"), (11, "s"), (15, "o"))):
        left.plot(*path[:, k].T, "-", color=slot_colour(k))
        left.plot(*path[0, k], marker, markerfacecolor="white", markeredgecolor=slot_colour(k), markersize=7)
        left.plot(*path[-1, k], marker, color=slot_colour(k), markersize=size)
    tied = bool((path[-1, 0] - path[-1, 1]).norm() < 0.05)
    for k, name in ((0, "1 and 2"), (2, "3")) if tied else ((0, "1"), (1, "2"), (2, "3")):
        left.annotate(name, path[-1, k].tolist(), (14, -5), textcoords="offset points")
    left.set(xlim=(-2.1, 2.1), ylim=(-1.7, 2.1), aspect="equal", xlabel="first number", ylabel="second number", title=title)
    predicted, measured = zip(*growth)
    right.fill_between(x, 0, 1, color="#eeeeee", zorder=0)
    right.plot(x, predicted, color="black", label="theory")
    right.plot(x, measured, "o", color=slot_colour(4), markersize=6, label="measured, one iteration")
    right.plot(x[mark], measured[mark], "o", markerfacecolor="none", markeredgecolor="black", markersize=15, markeredgewidth=2,
               label=f"at the left: × {measured[mark]:.2f}")
    right.axhline(1, color=GREY, linestyle=":")
    right.text(0.98, 0.04, "the tie attracts", transform=right.transAxes, ha="right")
    right.set(xlabel=xlabel, ylabel="growth of the distance", xscale="log", xlim=(min(x), max(x)), ylim=(0, 3.4))
    right.xaxis.set_major_formatter("{x:g}")
    right.legend(loc="upper left")
    return figure


def way_figure(image: Float[Tensor, "3 height width"], tokens: Float[Tensor, "rows columns dim"], out: SlotOutput) -> Figure:
    """The whole model on one scene: picture → inputs → slots → each slot's part → picture again, with the shapes of the tensors."""
    slots, dim = out.slots.shape[1:]
    high = 3.3  # inches
    figure = new_figure(11.5, high, layout="none")
    left = [0.1, 2.55, 5.0, 7.45, 9.75]
    axes = [figure.add_axes([x / 11.5, 0.85 / high, 1.65 / 11.5, 1.65 / high]) for x in left[:3] + left[4:]]
    show_picture(axes[0], image)
    axes[1].imshow(principal_colours(tokens), interpolation="nearest")
    axes[2].imshow(out.slots[0].numpy(), cmap=IMAGE_CMAP, vmin=-2, vmax=2, aspect="auto", interpolation="nearest")
    axes[2].set_yticks(range(slots), [str(k + 1) for k in range(slots)], size=11)
    show_picture(axes[3], out.reconstruction[0])
    for place in axes[1:3]:
        place.grid(False)
        place.set_xticks([])
        place.tick_params(length=0)
    axes[1].set_yticks([])
    parts = slot_parts(out.pictures, out.masks)[0]
    for k in range(slots):
        small = figure.add_axes([(left[3] + 0.6 * (k % 3)) / 11.5, (1.98 - 0.6 * (k // 3)) / high, 0.55 / 11.5, 0.55 / high])
        show_picture(small, parts[k], framed=True)
    height, width = image.shape[1:]
    words = [f"picture\n3 × {height} × {width}", f"inputs\n{tokens.shape[0] * tokens.shape[1]} of {tokens.shape[2]} numbers",
             f"slots\n{slots} of {dim} numbers", "each slot alone:\npicture and mask", "rebuilt\n$\\sum_k$ maskₖ · pictureₖ"]
    for x, line in zip(left, words):
        figure.text((x + 0.82) / 11.5, 0.68 / high, line, ha="center", va="top", size=13)
    for x, box in zip(left[1:], ("encoder", "slot\nattention", "decoder", "softmax")):
        figure.add_artist(FancyArrowPatch(((x - 0.68) / 11.5, 1.7 / high), ((x - 0.22) / 11.5, 1.7 / high), arrowstyle="-|>", mutation_scale=20,
                                          color="#333333"))
        figure.text((x - 0.43) / 11.5, 2.62 / high, box, ha="center", va="bottom", size=13, weight="bold")
    return figure


def principal_colours(tokens: Float[Tensor, "rows columns dim"]) -> np.ndarray:
    """Each place coloured by its three principal components, (rows, columns, 3): their 2 % and 98 % quantiles become 0 and 1."""
    flat = tokens.flatten(0, 1) - tokens.mean((0, 1))
    three = flat @ torch.linalg.svd(flat, full_matrices=False)[2][:3].T
    low, high = three.quantile(0.02, 0), three.quantile(0.98, 0)
    return ((three - low) / (high - low)).clamp(0, 1).unflatten(0, tokens.shape[:2]).numpy()


def scene_figure(pictures: Mapping[str, Tensor], masks: Float[Tensor, "slots height width"]) -> Figure:
    """Pictures side by side, each under its title, and at the right who owns which pixel."""
    figure = new_figure(6, 2.3)
    *places, last = figure.subplots(1, len(pictures) + 1)
    for axes, (title, picture) in zip(places, pictures.items()):
        show_picture(axes, picture, title)
    show_segmentation(last, masks, "who owns", size=11)
    return figure


def panels_figure(panels: Mapping[str, tuple[Float[Tensor, "slots height width"], Sequence[str]]]) -> Figure:
    """Several ways to give the pixels of a scene to slots, each with its name above and some lines below."""
    figure = new_figure(11, 3)
    for axes, (name, (masks, lines)) in zip(figure.subplots(1, len(panels)), panels.items()):
        show_segmentation(axes, masks, name, size=13)
        axes.set_xlabel("\n".join(lines), linespacing=1.5)
    return figure


def rows_figure(images: Sequence[Tensor], outs: Sequence[SlotOutput], words: Sequence[str]) -> Figure:
    """A row for each scene: picture, reconstruction, who owns, and every slot's part; `words` at the left."""
    slots = max(out.masks.shape[1] for out in outs)
    figure = new_figure(11.5, 1.25 * len(outs) + 0.3)
    grid = figure.subplots(len(outs), 3 + slots, squeeze=False)
    for row, (axes, image, out) in enumerate(zip(grid, images, outs)):
        titles = ("picture", "rebuilt", "who owns") if row == 0 else ("", "", "")
        show_picture(axes[0], image, titles[0])
        axes[0].set_ylabel(words[row])
        show_picture(axes[1], out.reconstruction[0], titles[1])
        show_segmentation(axes[2], out.masks[0], titles[2], size=11)
        parts = slot_parts(out.pictures, out.masks)[0]
        for slot in range(slots):
            show_picture(axes[3 + slot], parts[slot], framed=True)
            if row == 0:
                slot_title(axes[3 + slot], slot).set(text=str(slot + 1), fontsize=13)
    return figure


def costs_figure() -> Figure:
    """Left: the squared error and the sharing cost of one pixel that two slots share. Right: the usage cost of a background in two pieces."""
    figure = new_figure(10, 3.6)
    left, right = figure.subplots(1, 2)
    share = np.linspace(0, 1, 101)
    left.plot(share, 1 - share**2 - (1 - share) ** 2, color=slot_colour(4), label="sharing: 1 − Σ m²")
    left.plot(share, 0 * share, color="black", linestyle="--", label="squared error")
    left.set(xlabel="share of slot 1 in a pixel", ylabel="cost", title="Two slots that paint the same colour", ylim=(-0.05, 0.75))
    right.plot(share, np.sqrt(share + 1e-3) + np.sqrt(1 - share + 1e-3), color=slot_colour(2), label="usage: Σ √(mean mask)")
    right.set(xlabel="share of slot 1 in the background", title="A background in two pieces", ylim=(0.95, 1.6))
    for axes in (left, right):
        axes.legend(loc="upper center")
    return figure
