"""The pictures of notebook 10: what single tokens of a CLIP know, and what the whole answers. Nothing here trains or loads."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn.functional import cosine_similarity

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, SHADES, new_figure, saved

OUTLIER = 3.0  # a norm so many times the median is marked
BARS = (("", SHADES["indigo"], ""), ("_held_out", SHADES["sand"], "///"))  # the endings of a card's metrics, their colours and hatches


def similarity(tokens: Float[Tensor, "height width dim"], place: tuple[int, int]) -> Float[Tensor, "height width"]:
    """Cosine of the token at `place` (row, column) with every token; raises `BadInput` for a place outside the grid."""
    height, width = tokens.shape[:2]
    if not (0 <= place[0] < height and 0 <= place[1] < width):
        raise BadInput(f"row {place[0]}, column {place[1]} is outside the grid of {height} × {width} tokens.")
    return cosine_similarity(tokens, tokens[place], dim=-1)


def similarity_figure(image: Float[Tensor, "3 rows columns"], tokens: Mapping[str, Float[Tensor, "height width dim"]],
                      places: Sequence[tuple[int, int]], low: float = -1.0, save_path: Path | str | None = None) -> Figure:
    """For each place (row, column) a line of panels: the picture with the chosen token marked, and for each named grid of
    tokens, say of several layers, the cosine of the chosen one with all, laid over the picture. Colours run from `low` to 1.

    save_path: also write the figure there, with the errors of `style.saved`.
    Raises `BadInput` for no place or no grid, and for a place outside a grid.
    """
    if not places or not tokens:
        raise BadInput("choose at least one token of at least one grid.")
    figure = new_figure(2.4 * (1 + len(tokens)) + 0.9, 2.35 * len(places) + 0.2)
    panels = figure.subplots(len(places), 1 + len(tokens), squeeze=False)
    for line, place in zip(panels, places):
        grid = next(iter(tokens.values())).shape[:2]
        _picture(line[0], image)
        _mark(line[0], place, grid, image.shape[1:])
        line[0].set_title(f"row {place[0]}, column {place[1]}", fontsize=10)
        for axes, (name, each) in zip(line[1:], tokens.items()):
            heat = _over(axes, image, similarity(each, place), Normalize(low, 1.0))
            _mark(axes, place, each.shape[:2], image.shape[1:])
            axes.set_title(name, fontsize=10)
    figure.colorbar(heat, ax=panels, label="cosine with the marked token", shrink=0.8)
    return saved(figure, save_path)


def norm_figure(image: Float[Tensor, "3 rows columns"], tokens: Mapping[str, Float[Tensor, "height width dim"]],
                save_path: Path | str | None = None) -> Figure:
    """The lengths of tokens: for each named grid a map over the picture, each with a scale of its own, and below it how often
    each length occurs. Tokens of more than `OUTLIER` times the median length are framed and counted.

    save_path: also write the figure there, with the errors of `style.saved`. Raises `BadInput` for no grid.
    """
    if not tokens:
        raise BadInput("there are no tokens to measure.")
    figure = new_figure(3.1 * len(tokens) + 0.4, 5.0)
    above, below = figure.subplots(2, len(tokens), squeeze=False, gridspec_kw={"height_ratios": [1.4, 1]})
    for upper, lower, (name, each) in zip(above, below, tokens.items()):
        norms = each.norm(dim=-1)
        most = OUTLIER * float(norms.median())
        figure.colorbar(_over(upper, image, norms, Normalize(0.0, float(norms.max()))), ax=upper, shrink=0.8)
        for place in (norms > most).nonzero().tolist():
            _mark(upper, tuple(place), each.shape[:2], image.shape[1:])
        lower.hist(norms.flatten().numpy(), bins=np.linspace(0, max(float(norms.max()), most) * 1.05, 61), color=SHADES["indigo"])
        lower.axvline(most, color=SHADES["rose"], linestyle="--", label=f"{OUTLIER:g} × median")
        lower.set(xlabel="length of a token", ylabel="tokens" if name == next(iter(tokens)) else "", xlim=(0, None))
        lower.legend(loc="best", fontsize=8)
        upper.set_title(f"{name}: {int((norms > most).sum())} of {norms.numel()} stand out", fontsize=10)
    return saved(figure, save_path)


def zero_shot_figure(metrics: Mapping[str, float], names: Sequence[str], save_path: Path | str | None = None) -> Figure:
    """What `recipe_clip.measure` found: for each question the share of right answers on combinations seen in training and on
    held-out ones, with a line where guessing would be.

    names: of the questions. save_path: also write the figure there, with the errors of `style.saved`.
    """
    figure = new_figure(8, 3.4)
    axes, places = figure.add_subplot(), np.arange(len(names))
    for k, (ending, colour, hatch) in enumerate(BARS):
        heights = [metrics[f"{name}{ending}"] for name in names]
        bars = axes.bar(places + 0.38 * (k - 0.5), heights, 0.36, color=colour, hatch=hatch, edgecolor="white",
                        label="held-out combinations" if ending else "combinations of the training")
        axes.bar_label(bars, [f"{height:.2f}" for height in heights], fontsize=9, padding=2)
    chance = [metrics[f"{name}_chance"] for name in names]
    axes.hlines(chance, places - 0.4, places + 0.4, color=SHADES["rose"], linestyle="--", label="chance")
    axes.set(xticks=places, xticklabels=names, ylim=(0, 1.1), ylabel="right answers", title="Zero-shot on scenes that training did not have")
    axes.grid(False, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return saved(figure, save_path)


def _picture(axes: Axes, image: Tensor) -> None:
    axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
    axes.set_axis_off()


def _over(axes: Axes, image: Tensor, values: Tensor, scale: Normalize):
    """Values of a grid as colours over a grey picture; each is as large as its patch."""
    rows, columns = image.shape[1:]
    axes.imshow(image.mean(0).numpy(), cmap="gray", vmin=0, vmax=1)
    heat = axes.imshow(values.numpy(), cmap=IMAGE_CMAP, norm=scale, alpha=0.75, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), interpolation="nearest")
    axes.set_axis_off()
    return heat


def _mark(axes: Axes, place: tuple[int, int], grid: Sequence[int], size: Sequence[int]) -> None:
    """A frame around the patch at `place` of a picture of `size` (rows, columns) pixels."""
    high, wide = size[0] / grid[0], size[1] / grid[1]
    axes.add_patch(Rectangle((place[1] * wide - 0.5, place[0] * high - 0.5), wide, high, fill=False, edgecolor="white", linewidth=2.5))
    axes.add_patch(Rectangle((place[1] * wide - 0.5, place[0] * high - 0.5), wide, high, fill=False, edgecolor="black", linewidth=1))
