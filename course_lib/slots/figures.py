"""The pictures of slots: tensors in, `matplotlib.figure.Figure` out. Nothing here trains or loads a model.

A slot has a colour and a number, and the number is printed wherever the colour is: colour is never alone.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, SHADES, new_figure, saved
from course_lib.slots.metrics import segmentation
from course_lib.slots.scenes import Shapes

# Neighbours differ much in lightness; slot 11 has the colour of slot 1 again.
SLOT_COLOURS = tuple(SHADES[name] for name in ("indigo", "cyan", "green", "sand", "rose", "teal", "wine", "olive", "purple", "pale"))
RGB = torch.tensor([to_rgb(colour) for colour in SLOT_COLOURS])
ROOM = 2 / 64  # of the picture's height, from a number to the edge of its patch; a smaller patch has no room for one
LETTERS = {"ha": "center", "va": "center", "weight": "bold", "color": "white",
           "path_effects": [patheffects.withStroke(linewidth=2, foreground="black")]}
Masks = Float[Tensor, "batch slots height width"]


def slot_colour(slot: int) -> str:
    """The colour of slot number `slot`, counted from 0; the ten colours repeat."""
    return SLOT_COLOURS[slot % len(SLOT_COLOURS)]


def segmentation_picture(masks: Masks) -> Float[Tensor, "batch height width 3"]:
    """Every pixel in the colour of the slot with the largest mask there (`metrics.segmentation`), as RGB in [0, 1]."""
    return RGB[segmentation(masks, *masks.shape[-2:]).cpu() % len(RGB)]


def slot_parts(pictures: Float[Tensor, "batch #slots 3 height width"], masks: Masks) -> Float[Tensor, "batch slots 3 height width"]:
    """mask · picture + (1 − mask) · white: what each slot contributes, and white where it contributes nothing."""
    masks = masks.unsqueeze(2)
    return (masks * pictures.clamp(0, 1) + 1 - masks).cpu()


def number_places(masks: Float[Tensor, "slots height width"]) -> list[tuple[int, int] | None]:
    """Where to print each slot's number: (column, row) of its pixel farthest from other slots; None where it has no room."""
    height, width = masks.shape[-2:]
    owner, places = segmentation(masks[None], height, width)[0].cpu().numpy(), []
    for slot in range(len(masks)):
        inner = distance_transform_edt(np.pad(owner == slot, 1))[1:-1, 1:-1]  # the edge of the picture is an edge of the patch
        innermost = np.argwhere(inner == inner.max())
        row, column = innermost[np.square(innermost - innermost.mean(0)).sum(1).argmin()]  # the middle one of them
        places.append((int(column), int(row)) if inner.max() >= ROOM * height else None)
    return places


def bare(axes: Axes) -> None:
    """No ticks, grid or frame: the picture is its own frame."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def show_picture(axes: Axes, picture: Float[Tensor, "3 height width"], title: str = "", framed: bool = False) -> None:
    """An RGB picture in [0, 1]; values outside are clipped. framed: with a thin line around, for pictures on white."""
    axes.imshow(picture.detach().clamp(0, 1).permute(1, 2, 0).cpu().numpy(), interpolation="nearest")
    axes.set_title(title, loc="center")
    bare(axes)
    if framed:
        axes.spines[:].set(visible=True, color="#bbbbbb", linewidth=0.8)


def show_segmentation(axes: Axes, masks: Float[Tensor, "slots height width"], title: str = "", size: float = 9) -> None:
    """Who owns which pixel, in slot colours, with the slots' numbers (from 1) printed in `size` points."""
    axes.imshow(segmentation_picture(masks[None])[0].numpy(), interpolation="nearest")
    for slot, place in enumerate(number_places(masks)):
        if place:
            axes.text(*place, str(slot + 1), size=size, **LETTERS)
    axes.set_title(title, loc="center")
    bare(axes)


def slot_title(axes: Axes, slot: int) -> Text:
    """Head a column with the slot's number on its colour; slots are counted from 0. Returns the title."""
    pad = {"boxstyle": "round,pad=0.25", "facecolor": slot_colour(slot), "edgecolor": "none"}
    return axes.set_title(f"slot {slot + 1}", loc="center", bbox=pad, size=10, **{k: LETTERS[k] for k in ("color", "path_effects")})


def visualize_slots(images: Tensor, recons: Tensor, masks: Tensor, save_path: str | Path | None = None, *,
                    pictures: Tensor | None = None, rows: int = 8) -> Figure:
    """A row for each of the first `rows` scenes: picture, reconstruction, segmentation, and each slot's part on white.

    images, recons: (batch, 3, height, width) in [0, 1]; masks: (batch, slots, height, width). A slot's part is its mask times
    its own picture, `pictures` (batch, slots, 3, height, width; `SlotOutput.pictures`), or else times the reconstruction.
    `save_path`: also write the figure there, whole or not at all. Raises `BadInput` for shapes that do not fit, masks that hold NaN, and a
    file that cannot be written (`style.saved`).
    """
    _check(images, recons, masks)
    scenes, slots = min(rows, len(images)), masks.shape[1]
    parts = slot_parts(recons.unsqueeze(1) if pictures is None else pictures, masks).detach()
    figure = new_figure(1.1 * (3 + slots) + 0.2, 1.12 * scenes + 0.35)
    grid = figure.subplots(scenes, 3 + slots, squeeze=False)
    for row, axes in enumerate(grid):
        top = row == 0
        show_picture(axes[0], images[row], "picture" * top)
        show_picture(axes[1], recons[row], "rebuilt" * top)
        show_segmentation(axes[2], masks[row].detach(), "who owns" * top, size=8)
        for slot in range(slots):
            show_picture(axes[3 + slot], parts[row, slot], framed=True)
            if top:
                slot_title(axes[3 + slot], slot)
    return saved(figure, save_path)


def visualize_attention_evolution(attn: Tensor, save_path: str | Path | None = None, *, image: Tensor | None = None) -> Figure:
    """Rows are iterations, columns slots: how much of each place a slot takes, 0 to 1; the first column says who takes most.

    attn: (iterations, slots, rows, columns), or a batch of them, of which the first is shown (`SlotOutput.attention`);
    image: (3, height, width), or a batch, shown before the first row. Errors and `save_path` as in `visualize_slots`.
    """
    attn = attn.detach()[0] if attn.ndim == 5 else attn.detach()
    if attn.ndim != 4 or 0 in attn.shape:
        raise BadInput(f"attention must have shape (iterations, slots, rows, columns), with or without a batch before, not {tuple(attn.shape)}.")
    iterations, slots = attn.shape[:2]
    first = 0 if image is None else 1
    figure = new_figure(1.1 * (first + 1 + slots) + 1.1, 1.12 * iterations + 0.35)
    grid = figure.subplots(iterations, first + 1 + slots, squeeze=False)
    for row, axes in enumerate(grid):
        if first and row == 0:
            show_picture(axes[0], _single(image, 3), "picture")
        elif first:
            axes[0].set_visible(False)
        show_segmentation(axes[first], attn[row], "who owns" * (row == 0), size=8)
        axes[first].set_ylabel(f"iteration {row + 1}", size=9)
        for slot in range(slots):
            heat = axes[first + 1 + slot].imshow(attn[row, slot].cpu().numpy(), cmap=IMAGE_CMAP, vmin=0, vmax=1, interpolation="nearest")
            bare(axes[first + 1 + slot])
            if row == 0:
                slot_title(axes[first + 1 + slot], slot)
    figure.colorbar(heat, ax=grid[:, -1], label="attention", shrink=min(1, 2.2 / iterations), aspect=12)
    return saved(figure, save_path)


def visualize_slot_decomposition(original_image: Tensor, reconstructed_image: Tensor, masks: Tensor, save_path: str | Path | None = None,
                                 *, pictures: Tensor | None = None) -> Figure:
    """One scene taken apart: picture, reconstruction, segmentation and squared error (0 to 0.1); above each slot's mask, below its part.

    original_image, reconstructed_image: (3, height, width); masks: (slots, height, width); pictures: (slots, 3, height,
    width). All may have a batch axis before, of which the first is shown. Errors and `save_path` as in `visualize_slots`.
    """
    image, recon, masks = _single(original_image, 3), _single(reconstructed_image, 3), _single(masks, 3)
    _check(image[None], recon[None], masks[None])
    own = recon[None] if pictures is None else _single(pictures, 4)
    parts, slots = slot_parts(own[None], masks[None])[0], len(masks)
    error = (image - recon).square().mean(0)
    figure = new_figure(1.25 * (2 + slots) + 1.1, 3.1)
    grid = figure.subplots(2, 2 + slots)
    show_picture(grid[0, 0], image, "picture")
    show_picture(grid[0, 1], recon, "rebuilt")
    show_segmentation(grid[1, 0], masks, "who owns")
    grid[1, 1].imshow(error.cpu().numpy(), cmap=IMAGE_CMAP, vmin=0, vmax=0.1, interpolation="nearest")
    grid[1, 1].set_title(f"MSE {error.mean():.4f}", loc="center")
    bare(grid[1, 1])
    for slot in range(slots):
        heat = grid[0, 2 + slot].imshow(masks[slot].cpu().numpy(), cmap=IMAGE_CMAP, vmin=0, vmax=1, interpolation="nearest")
        bare(grid[0, 2 + slot])
        slot_title(grid[0, 2 + slot], slot)
        show_picture(grid[1, 2 + slot], parts[slot], framed=True)
    figure.colorbar(heat, ax=grid[0, -1], label="mask", aspect=10)
    return saved(figure, save_path)


def _single(value: Tensor, axes: int) -> Tensor:
    """The first of a batch, or the thing itself."""
    return value.detach()[0] if value.ndim == axes + 1 else value.detach()


def _check(images: Tensor, recons: Tensor, masks: Tensor) -> None:
    fits = images.ndim == 4 and images.shape[1] == 3 and recons.shape == images.shape and masks.ndim == 4 and masks.shape[1]
    if not (fits and len(images) and masks.shape[0] == images.shape[0] and masks.shape[2:] == images.shape[2:]):
        raise BadInput("pictures and reconstructions must have shape (batch, 3, height, width) and masks (batch, slots, height, width), "
                       f"not {tuple(images.shape)}, {tuple(recons.shape)} and {tuple(masks.shape)}.")


def main(arguments: list[str] | None = None) -> None:
    """Write a sample sheet: true objects in the place of slots, so that no model is needed."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.slots.figures", description=main.__doc__)
    parser.add_argument("path", nargs="?", default="slots_figures.png", help="the PNG to write (default: %(default)s)")
    scenes = Shapes().batch(range(4))
    masks = torch.nn.functional.one_hot(scenes["ids"].long(), 7).movedim(-1, 1).float()
    path = parser.parse_args(arguments).path
    visualize_slots(scenes["image"], scenes["image"], masks, path)
    print(path)


if __name__ == "__main__":
    main()
