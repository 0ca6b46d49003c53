"""The pictures of receptive fields: which are rebuilt well, where they lie, and what became of the tokens of one. Tensors in, Figure out.

All cosines have one scale, `SCALE`, and one palette in all figures, so that two epochs or two compressors can be laid side by side. What is
below its lower end has the colour of that end and its number is printed. A band has a colour, a letter and a name.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import MultipleLocator
from torch import Tensor
from torch.nn.functional import normalize

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, PALETTE, new_figure, saved, signed
from course_lib.tokens.compressor import Grid
from course_lib.tokens.fields import extract_rf_targets, field_size
from course_lib.tokens.losses_rf import band_of
from course_lib.tokens.metrics import BANDS, cosine, field_cosine

SCALE = Normalize(0.5, 1.0)  # of every cosine: the bands end at 0.6, 0.8 and 0.9
EDGES, MIDDLES = (1.0, 0.9, 0.8, 0.6, 0.5), (0.95, 0.85, 0.7, 0.55)  # of the bands, as far as the scale goes
LETTERS = [name[0].upper() for name in BANDS]
PRINTED = 16  # fields across of which each still has room for its number
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85}  # under words that a line would cross


def create_rf_heatmap(similarity: Float[Tensor, "rows columns"], title: str = "Cosine of each field", save_path: Path | str | None = None) -> Figure:
    """The mean cosine of every field at its place: colour and, if at most 16 stand side by side, number and letter of its band; above it
    how many fields each band has.

    similarity: of one picture, or means over pictures. save_path: also write the figure there, with the errors of `style.saved`.
    Raises `BadInput` for no field and for NaN.
    """
    _finite(similarity)
    rows, columns = similarity.shape
    cell = max(0.42, min(0.75, 5.0 / max(rows, columns)))
    figure = new_figure(max(4.6, cell * columns + 2.0), max(2.9, cell * rows + 1.1))
    axes = figure.add_subplot()
    heat = _map(axes, similarity)
    _numbers(axes, similarity, 22 * cell / 0.75 / 2, letters=True)
    axes.set(xticks=range(columns), yticks=range(rows), xlabel="column", ylabel="row")
    axes.tick_params(length=0)
    many = band_of(similarity).flatten().bincount(minlength=4).tolist()
    counted = ", ".join(f"{number} {name}" for number, name in zip(many, BANDS))
    figure.suptitle(f"{title}: {float(similarity.mean()):.3f}", x=0.02, ha="left", weight="bold", size=12)
    axes.set_title(counted, size=9.5, weight="normal", loc="center")
    _bar(heat, [axes])
    return saved(figure, save_path)


def visualize_rf_reconstruction(original: Float[Tensor, "field dim"], rebuilt: Float[Tensor, "field dim"], shape: Sequence[int], *,
                                number: int = 0, output_grid: Sequence[int] | None = None, picture: Float[Tensor, "3 high wide"] | None = None,
                                title: str = "", save_path: Path | str | None = None) -> Figure:
    """What became of the tokens of one field.

        above   the picture with the field framed, and the field enlarged, if a picture is given; the cosine of rebuilt and original
                token at each place; the cosines of all original tokens with one another; and of the rebuilt with the original ones
        below   the cosine at each place beside R, the most that one token at all places could reach

    In the last map a well rebuilt field looks like the map beside it. Rows that are all alike mean that one token stands at all places.
    shape: (rows, columns) of places in the field. number, output_grid: which field of how many, where a picture is given.
    save_path: also write the figure there, with the errors of `style.saved`.
    Raises `BadInput`: tokens that are not rows · columns; a picture without output_grid, or a number outside it; NaN.
    """
    if len(original) != shape[0] * shape[1] or original.shape != rebuilt.shape:
        raise BadInput(f"a field of {shape[0]} × {shape[1]} places has {shape[0] * shape[1]} tokens, not {len(original)} and {len(rebuilt)}.")
    if picture is not None and (output_grid is None or not 0 <= number < output_grid[0] * output_grid[1]):
        raise BadInput(f"to find field {number} in a picture give the output_grid that it is a field of.")
    x, y = (normalize(each.detach().float().cpu(), dim=1) for each in (original, rebuilt))
    each, ceiling = (x * y).sum(1), float(x.mean(0).norm())
    _finite(each)
    panels = 3 if picture is None else 5
    figure = new_figure(2.75 * panels + 0.7, 4.6)
    above, below = figure.subfigures(2, 1, height_ratios=[1.5, 1])
    line = above.subplots(1, panels)
    if picture is not None:
        _where(line[0], line[1], picture.detach().float().cpu(), number, output_grid, shape)
    for axes, values, name in zip(line[-3:], (each.view(*shape), x @ x.mT, y @ x.mT),
                                  ("at each place", "original with original", "rebuilt with original")):
        heat = _map(axes, values)
        axes.set_title(name, size=10, weight="normal", loc="center")
    _numbers(line[-3], each.view(*shape), 9 if max(shape) <= 4 else 6.5)
    line[-3].set(xticks=[], yticks=[])
    for axes in line[-2:]:
        axes.set(xticks=[], yticks=[], xlabel="original token")
    line[-2].set_ylabel("original token")
    line[-1].set_ylabel("rebuilt token")
    _bar(heat, list(line))
    _bars(below.subplots(), each, ceiling)
    figure.suptitle(f"{title or f'Field {number}'}: mean cosine {float(each.mean()):.3f}, {BANDS[int(band_of(each.mean()))]}", x=0.01, ha="left",
                    weight="bold", size=12)
    return saved(figure, save_path)


def profile_figure(similarity: Float[Tensor, "pictures rows columns"], resultant: Float[Tensor, "pictures rows columns"] | None = None,
                   save_path: Path | str | None = None) -> Figure:
    """Mean cosine of each row and each column of fields; shaded is where the middle half of the pictures lies; dashed R, if it is given.

    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no field and for NaN.
    """
    _finite(similarity)
    figure = new_figure(9, 3.6)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, axis, name in zip(panels, (2, 1), ("row of fields, from the top", "column of fields, from the left")):
        values = similarity.detach().float().cpu().mean(axis)
        place = np.arange(values.shape[1])
        low, high = (values.quantile(share, 0) for share in (0.25, 0.75))
        axes.fill_between(place, low.numpy(), high.numpy(), color=PALETTE["output_x_hat"], alpha=0.18, linewidth=0)
        axes.plot(place, values.mean(0).numpy(), color=PALETTE["output_x_hat"], marker="D", markersize=5, label="rebuilt fields, mean")
        if resultant is not None:
            axes.plot(place, resultant.detach().float().cpu().mean((0, axis)).numpy(), color="black", linestyle="--", label="R, most of one token")
        axes.set(xlabel=name, xticks=place[:: max(1, len(place) // 12)], xlim=(-0.5, len(place) - 0.5))
    panels[0].set(ylabel="cosine")
    panels[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return saved(figure, save_path)


def distribution_figure(similarity: Float[Tensor, "*lead"], resultant: Float[Tensor, "*lead"] | None = None,
                        save_path: Path | str | None = None) -> Figure:
    """How often fields have which cosine, in the colours of their bands, with the share of each band; as an outline that of R, if given.

    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no field and for NaN.
    """
    values = similarity.detach().float().cpu().flatten()
    _finite(values)
    lowest = min(SCALE.vmin, float(values.min()), *([] if resultant is None else [float(resultant.min())]))
    bins = np.arange(np.floor(lowest * 50), 51) / 50  # every edge of a band is the edge of a bin
    figure = new_figure(8.5, 3.8)
    axes = figure.add_subplot()
    band, height = band_of(values), 0.0
    for number, name in enumerate(BANDS):
        counts, *_ = axes.hist(values[band == number].numpy(), bins=bins, color=_colour(MIDDLES[number]), edgecolor="white", linewidth=0.5,
                               label=f"{name}: {float((band == number).float().mean()):.0%}")
        height = max(height, counts.max())
    if resultant is not None:
        counts, *_ = axes.hist(resultant.detach().float().cpu().flatten().numpy(), bins=bins, histtype="step", color="black",
                               linestyle="--", linewidth=1.4, label="R of the same fields")
        height = max(height, counts.max())
    for edge in EDGES[1:-1]:
        axes.axvline(edge, color="#666666", linewidth=1, linestyle=":")
    for middle, name in zip(MIDDLES, BANDS):
        axes.text(middle, 1.06 * height, name, ha="center", va="bottom", size=9, bbox=WHITE)
    axes.set(xlabel="cosine of a field", ylabel="fields", xlim=(bins[0], 1.0), ylim=(0, 1.2 * height))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return saved(figure, save_path)


def ranked_fields(cosines: Float[Tensor, "rows columns"]) -> dict[str, int]:
    """The numbers of the "best", the "median" (of two the lower) and the "worst" field, row by row; of equal ones the first counts as better.

    Raises `BadInput` for no field and for NaN.
    """
    _finite(cosines)
    order = cosines.flatten().sort(descending=True, stable=True).indices.tolist()
    return {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}


def save_rf_pictures(folder: Path | str, epoch: int, rebuilt: Grid, tokens: Grid, output_grid: Sequence[int],
                     picture: Float[Tensor, "3 high wide"] | None = None) -> list[Path]:
    """Write into `folder`/visualizations what an epoch made of the first picture of the batch:

        rf_heatmap_epoch_N.png        rf_best_epoch_N_idx_X.png, rf_median_…, rf_worst_…        X: the number of the field

    Those of the same epoch that were there before are replaced. picture: that first picture in [0, 1], to frame the field in it. Returns
    the four paths. Raises `BadInput` for NaN, grids that do not nest, and a folder that cannot be written.
    """
    shape = field_size(tokens.shape[1:3], output_grid)
    cosines = field_cosine(rebuilt[:1].float(), tokens[:1].float(), output_grid)[0]
    fields = [extract_rf_targets(grid[:1], output_grid)[0] for grid in (tokens, rebuilt)]
    into = Path(folder) / "visualizations"
    written = [into / f"rf_heatmap_epoch_{epoch}.png"]
    create_rf_heatmap(cosines, f"Cosine of each field, epoch {epoch}", written[0])
    for name, number in ranked_fields(cosines).items():
        for before in into.glob(f"rf_{name}_epoch_{epoch}_idx_*.png"):
            before.unlink()
        written.append(into / f"rf_{name}_epoch_{epoch}_idx_{number}.png")
        visualize_rf_reconstruction(*(each[number] for each in fields), shape, number=number, output_grid=output_grid, picture=picture,
                                    title=f"{name.capitalize()} field ({number}), epoch {epoch}", save_path=written[-1])
    return written


def _finite(values: Tensor) -> None:
    if not torch.isfinite(values).all() or not values.numel():
        raise BadInput("there is nothing to draw: a cosine is missing or NaN; the model that made it has diverged.")


def _colour(value: float) -> tuple[float, ...]:
    return matplotlib.colormaps[IMAGE_CMAP](SCALE(value))


def _map(axes: Axes, values: Float[Tensor, "rows columns"]) -> AxesImage:
    heat = axes.imshow(values.detach().float().cpu().numpy(), cmap=IMAGE_CMAP, norm=SCALE, interpolation="nearest")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return heat


def _numbers(axes: Axes, values: Float[Tensor, "rows columns"], size: float, letters: bool = False) -> None:
    """The values in their cells, if there is room; rounded down, so that 0.7996 is not printed as the 0.80 of the band above."""
    if max(values.shape) > PRINTED:
        return
    for (row, column), value in np.ndenumerate(values.detach().float().cpu().numpy()):
        word = signed(math.floor(100 * value + 1e-4) / 100, ".2f") + (f"\n{LETTERS[int(band_of(torch.tensor(value)))]}" if letters else "")
        axes.text(column, row, word, ha="center", va="center", size=size, color="black" if SCALE(value) > 0.6 else "white")


def _bar(heat: AxesImage, axes: list[Axes]) -> None:
    """The scale, with the edges and names of the bands."""
    bar = heat.axes.figure.colorbar(heat, ax=axes, extend="min", pad=0.02, aspect=18)
    bar.set_ticks(EDGES)
    bar.ax.set_yticks(MIDDLES, list(BANDS), minor=True)
    bar.ax.tick_params(which="minor", length=0, labelsize=9)
    bar.ax.hlines(EDGES[1:-1], 0, 1, color="white", linewidth=1)


def _where(whole: Axes, near: Axes, picture: Tensor, number: int, output_grid: Sequence[int], shape: Sequence[int]) -> None:
    """The picture with the field framed; and the field alone, with lines between its places."""
    high, wide = (side / few for side, few in zip(picture.shape[1:], output_grid))
    row, column = divmod(number, output_grid[1])
    for axes, title in ((whole, "picture"), (near, "field")):
        axes.imshow(picture.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest", extent=(0, picture.shape[2], picture.shape[1], 0))
        axes.grid(False)
        axes.set_title(title, size=10, weight="normal", loc="center")
        axes.set(xticks=[], yticks=[])
    whole.set_xlabel(f"row {row}, column {column}")
    for colour, width in (("white", 3), ("black", 1.2)):
        whole.add_patch(Rectangle((column * wide, row * high), wide, high, fill=False, edgecolor=colour, linewidth=width))
    near.set(xlim=(column * wide, (column + 1) * wide), ylim=((row + 1) * high, row * high))
    near.vlines(column * wide + np.arange(1, shape[1]) * wide / shape[1], row * high, (row + 1) * high, color="#999999", linewidth=0.8)
    near.hlines(row * high + np.arange(1, shape[0]) * high / shape[0], column * wide, (column + 1) * wide, color="#999999", linewidth=0.8)


def _bars(axes: Axes, each: Float[Tensor, "field"], ceiling: float) -> None:
    """The cosine at every place as a bar; the mean and R as lines that their names stand beside."""
    low = min(SCALE.vmin, float(each.min()) - 0.05)
    axes.bar(range(len(each)), each.numpy() - low, 0.8, bottom=low, color=[_colour(float(value)) for value in each])
    axes.axhline(float(each.mean()), color=PALETTE["output_x_hat"], linewidth=2, label=f"mean: {float(each.mean()):.3f}")
    axes.axhline(ceiling, color="black", linestyle="--", linewidth=1.3, label=f"R, most of one token: {ceiling:.3f}")
    axes.set(xlabel="place in the field, row by row", ylabel="cosine", ylim=(low, 1.0), xlim=(-0.6, len(each) - 0.4))
    axes.yaxis.set_major_locator(MultipleLocator(0.2 if low > 0 else 0.5))
    axes.set_xticks(range(0, len(each), max(1, len(each) // 18)))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    axes.grid(False, axis="x")
