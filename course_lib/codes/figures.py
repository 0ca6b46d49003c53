"""The pictures of codes: tensors in, `matplotlib.figure.Figure` out. Nothing here trains or loads a model."""

import math
from pathlib import Path

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import new_figure, saved


def pictures_figure(images: Float[Tensor, "batch 3 height width"], notes: list[str] | None = None, columns: int = 8,
                    save_path: Path | str | None = None) -> Figure:
    """Pictures side by side, RGB in [0, 1] (values outside are clipped), `columns` in a row; notes: a line under each.

    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no picture.
    """
    if not len(images):
        raise BadInput("there is no picture to show.")
    rows = math.ceil(len(images) / columns)
    figure = new_figure(1.15 * min(columns, len(images)), (1.4 if notes else 1.2) * rows)
    axes = list(figure.subplots(rows, min(columns, len(images)), squeeze=False).flat)
    for axis in axes:
        axis.set_axis_off()
    for number, (axis, image) in enumerate(zip(axes, images)):
        axis.imshow(image.permute(1, 2, 0).clamp(0, 1).cpu())
        if notes:
            axis.set_title(notes[number], loc="center", y=-0.22, fontsize=8, weight="normal")
    return saved(figure, save_path)
