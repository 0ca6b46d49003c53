"""The picture that `course_lib.infer` makes: what CLIP saw, where its tokens come back, and the grids as colours. Nothing here loads."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.style import IMAGE_CMAP, new_figure, saved

COLOURS = 3  # red, green, blue
SQUARE = (0, 1, 1, 0)  # every panel fills the same square, whatever its number of tokens
EDGE = 0.02  # share of the original's numbers at either end that become fully dark or bright

TokenGrid = Float[Tensor, "_ _ dim"]  # of one picture; grids of several sizes go together


def token_colours(original: TokenGrid, others: Sequence[TokenGrid]) -> list[Float[Tensor, "_ _ 3"]]:
    """The original grid and others as pictures: the first three principal components of the original tokens are red, green and blue.

        colour = ((x − m) v − low) / (high − low)      m, v, low, high: mean, components and 2 % and 98 % quantiles of the original

    One basis and one scale for all grids, so equal colours are equal tokens as far as three numbers go. A component points where its
    largest number is positive, so the same tokens always get the same colours. Components that tokens do not have are grey.
    """
    flat = original.flatten(0, 1)
    mean = flat.mean(0)
    basis = torch.linalg.svd(flat - mean, full_matrices=False).Vh[:COLOURS]
    basis = basis * basis.gather(1, basis.abs().argmax(1, keepdim=True)).sign()
    low, high = torch.quantile((flat - mean) @ basis.T, torch.tensor([EDGE, 1 - EDGE], dtype=flat.dtype), dim=0)
    flatness = high - low <= 1e-6 * (1 + flat.abs().max())

    def coloured(grid: TokenGrid) -> Tensor:
        colour = torch.where(flatness, 0.5, ((grid - mean) @ basis.T - low) / torch.where(flatness, 1.0, high - low)).clamp(0, 1)
        return torch.nn.functional.pad(colour, (0, COLOURS - len(basis)), value=0.5)

    return [coloured(grid) for grid in (original, *others)]


def compression_figure(image: Float[Tensor, "3 rows columns"], cosines: Float[Tensor, "height width"], original: TokenGrid,
                       compressed: TokenGrid, rebuilt: TokenGrid, save_path: Path | str | None = None) -> Figure:
    """Five panels: the picture as CLIP sees it; the cosine of rebuilt and original token at every place, colours from 0 to 1 for every
    picture, the mean in the title; and the three grids as `token_colours`. Tokens of one scale, best standardised, else a few large
    channels are all that is seen. save_path: also write the figure there, with the errors of `style.saved`."""
    width, height, side = 14.2, 3.3, 2.5  # inches. Places are set by hand: laying out takes longer than drawing, and folders are large
    figure = new_figure(width, height, layout="none")

    def panel(left: float, bottom: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, bottom / height, wide / width, high / height))

    picture, heat, *grids = (panel(left, 0.4, side, side) for left in (0.1, 2.75, 6.05, 8.75, 11.45))
    picture.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy(), extent=SQUARE)
    picture.set_title("as CLIP sees it", fontsize=11)
    drawn = heat.imshow(cosines.numpy(), cmap=IMAGE_CMAP, norm=Normalize(0.0, 1.0), interpolation="nearest", extent=SQUARE)
    figure.colorbar(drawn, cax=panel(5.35, 0.6, 0.1, side - 0.4), extend="min" if float(cosines.min()) < 0 else "neither")
    heat.set_title(f"cosine, mean {float(cosines.mean()):.3f}", fontsize=11)
    for axes, name, tokens, colours in zip(grids, ("original", "compressed", "rebuilt"), (original, compressed, rebuilt),
                                           token_colours(original, [compressed, rebuilt])):
        axes.imshow(colours.numpy(), interpolation="nearest", extent=SQUARE)
        axes.set_title(f"{name}: {tokens.shape[0]} × {tokens.shape[1]} tokens", fontsize=11)
    for axes in (picture, heat, *grids):
        axes.set_axis_off()
    figure.text(0.5, 0.04, "cosine of rebuilt and original tokens; colours of the grids: the first three principal components of the original, "
                "one basis for all three", ha="center", fontsize=9)
    return saved(figure, save_path, dpi=100)
