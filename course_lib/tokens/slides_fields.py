"""The pictures of the lecture on Part IV that show receptive fields: what one token can do for a field, what came of it, and who is fooled."""

from functools import cache

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.frames import Frames
from course_lib.core.projector import SCREEN, photograph
from course_lib.core.style import IMAGE_CMAP, PALETTE, new_figure
from course_lib.core.threads import one_thread
from course_lib.core.weights import load_pretrained
from course_lib.slots.scenes import Scenes
from course_lib.tokens.baselines import AveragePooling, MeanToken, StridedPick
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.comparison import encoded
from course_lib.tokens.compressor import Compressor, Grid, Standard
from course_lib.tokens.decoder_rf import RFCompressor
from course_lib.tokens.fields import extract_rf_targets, field_resultant, measured_receptive_field, sample_rf_tokens
from course_lib.tokens.figures_rf import MIDDLES, SCALE, ranked_fields, visualize_rf_reconstruction
from course_lib.tokens.figures_tokens import token_colours
from course_lib.tokens.losses_rf import RFStatistics, band_of, compute_rf_statistics
from course_lib.tokens.metrics import BANDS, field_cosine
from course_lib.tokens.single import MeanDirection

GRID, GRIDS = (6, 6), {4: (12, 12), 9: (8, 8), 16: (6, 6), 36: (4, 4)}
PROMISED = (20, 25)  # excellent fields of 36, by the study that this part grew from
HELD_OUT = 2**40  # seed of scenes that no training has
SCENES, TRAINING, SHOWN = 64, 64, 1  # behind shares; of the mean token; the scene of the pictures that show one
TOKEN = 21  # whose dependence is shown: a field within the picture
INK = {True: "black", False: "white"}  # of a number on a bright colour, on a dark one


@cache
def clip() -> ClipTokens:
    return ClipTokens.load("clip")


@cache
def scenes() -> Scenes:
    return CaptionedScenes(clip().resolution, seed=HELD_OUT).batch(range(8))


@cache
def tokens() -> Grid:
    """Of the scenes and more of the same."""
    with one_thread():
        return encoded(clip(), CaptionedScenes(clip().resolution, samples=SCENES, seed=HELD_OUT)).tokens


@cache
def training() -> Grid:
    with one_thread():
        return encoded(clip(), CaptionedScenes(clip().resolution, samples=TRAINING, seed=0)).tokens


@cache
def scale() -> Standard:
    found = Standard(clip().dim)
    found.fit(training())
    return found


@cache
def learned(rate: int = 16) -> RFCompressor:
    return load_pretrained(f"compress_rf_{rate}x", expect=RFCompressor).requires_grad_(False)


@torch.no_grad()
def rebuilt(compressor: Compressor, grids: Grid) -> Grid:
    """What a compressor makes of grids, at their full size."""
    with one_thread():
        return compressor.expand(compressor(grids))


@cache
def statistics() -> dict[str, RFStatistics]:
    """Of the fields of all scenes at 16×: a token that knows nothing, single tokens, and the learned fields."""
    made = {"mean token, always": MeanToken.fit([training()]), "strided pick": StridedPick(GRID), "average pooling": AveragePooling(GRID),
            "best single token": MeanDirection(GRID), "learned fields": learned()}
    return {name: compute_rf_statistics(rebuilt(compressor, tokens()), tokens(), GRID, scale().mean) for name, compressor in made.items()}


def sides() -> Figure:
    """A scene and its tokens in fields; one real token of each field; and one compressed token of each field: 36 against 36."""
    figure = new_figure(11.5, 3.2)
    grid = tokens()[[SHOWN]]
    with torch.no_grad():
        single = [sample_rf_tokens(grid, GRID, torch.Generator().manual_seed(0)), learned()(grid).tokens]
    coloured = token_colours(scale()(grid)[0], [scale()(each)[0].unflatten(0, GRID) for each in single])
    titles = ("the scene", "576 tokens, as colours", "one real token of each field", "36 compressed tokens")
    for axes, title, colours in zip(figure.subplots(1, 4), titles, [scenes()["image"][SHOWN].movedim(0, 2).clamp(0, 1), *coloured]):
        axes.imshow(colours.numpy(), interpolation="nearest", extent=(0, GRID[1], GRID[0], 0))
        for line in range(1, GRID[0]):
            axes.axhline(line, color="#888888", linewidth=0.8)
            axes.axvline(line, color="#888888", linewidth=0.8)
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.set_title(title, size=14, loc="center", weight="normal")
    return figure


def ceiling() -> Figure:
    """Every field of all scenes as a point, R against its mean cosine: single tokens stay below the line, rebuilt fields need not."""
    found = statistics()
    names = ("average pooling", "best single token", "learned fields")
    figure = new_figure(11.5, 4)
    for axes, name in zip(figure.subplots(1, len(names), sharey=True), names):
        x, y = found[name].resultant.flatten().numpy(), found[name].cosine.flatten().numpy()
        axes.scatter(x, y, 7, color=PALETTE["output_x_hat"], alpha=0.25, linewidth=0)
        axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1.4, label="R")
        axes.set(xlabel="R of the field", xlim=(0.3, 1.02), ylim=(0.3, 1.02))
        axes.set_title(f"{name}: mean {y.mean():.3f}", size=14)
    figure.axes[0].set_ylabel("mean cosine with the field")
    figure.axes[0].legend(loc="upper left")
    return figure


def counted() -> Figure:
    """How many of the 36 fields of a picture lie in each band, for a token that knows nothing and for others."""
    figure = new_figure(11.5, 3.8)
    axes = figure.subplots()
    found = {name: each.bands.double().mean(0).numpy() for name, each in statistics().items()}
    place, left = np.arange(len(found)), np.zeros(len(found))
    for number, band in enumerate(BANDS):
        many = np.array([values[number] for values in found.values()])
        colour = matplotlib.colormaps[IMAGE_CMAP](SCALE(MIDDLES[number]))
        axes.barh(place, many, left=left, height=0.7, color=colour, edgecolor="white", label=band)
        for row, (start, width) in enumerate(zip(left, many)):
            if width > 1.2:
                axes.text(start + 0.25, row, f"{width:.1f}", ha="left", va="center", size=13, color=INK[SCALE(MIDDLES[number]) > 0.6],
                          zorder=3, bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.5})  # over the dashed lines
        left = left + many
    for end in PROMISED:
        axes.axvline(end, color="black", linestyle="--", linewidth=1.3, label=None if end == PROMISED[0] else "promised: 20 to 25 excellent")
    axes.set_yticks(place, list(found))
    axes.set(xlabel="fields of a picture, mean", xlim=(0, 36))
    axes.invert_yaxis()
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.2), ncols=5)
    return figure


def worst() -> Figure:
    """The worst field of one scene: what became of its tokens."""
    grid = tokens()[[SHOWN]]
    made = rebuilt(learned(), grid)
    number = ranked_fields(field_cosine(made, grid, GRID)[0])["worst"]
    original, found = (extract_rf_targets(each, GRID)[0, number] for each in (grid, made))
    figure = visualize_rf_reconstruction(original, found, (4, 4), number=number, output_grid=GRID, picture=scenes()["image"][SHOWN],
                                         title="The worst field")
    for axes in figure.axes:
        axes.title.set_size(13)
    return figure


def reach() -> Figure:
    """Where the squared gradient of one compressed token lies: of pooling, and of the learned compressor at two rates."""
    made = {"average pooling, 16×": (AveragePooling(GRID), GRID, TOKEN), "learned, 16×": (learned(), GRID, TOKEN), "learned, 36×": (learned(36), GRIDS[36], 9)}
    figure = new_figure(11.5, 4)
    panels = figure.subplots(1, len(made))
    for axes, (name, (compressor, output_grid, number)) in zip(panels, made.items()):
        with one_thread():
            found = measured_receptive_field(compressor, tokens()[:6], scale().std)
        share = found.share[number]
        heat = axes.imshow((share / share.max()).clamp(min=1e-5).log10().numpy(), cmap="magma", vmin=-5, vmax=0, interpolation="nearest")
        rows, columns = share.shape[0] // output_grid[0], share.shape[1] // output_grid[1]
        row, column = number // output_grid[1] * rows, number % output_grid[1] * columns
        axes.add_patch(matplotlib.patches.Rectangle((column - 0.5, row - 0.5), columns, rows, fill=False, edgecolor="white", linewidth=1.8))
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.set_title(name, size=14)
        axes.set_xlabel(f"inside its field: {found.inside.mean():.1%}", size=14)
    bar = figure.colorbar(heat, ax=list(panels), shrink=0.8, ticks=(-4, -2, 0), label="share / largest share")
    bar.ax.set_yticklabels(["10⁻⁴", "10⁻²", "1"])
    return figure


class HeatPicture:
    """A scene, and the cosine of every field for the best single token and for the learned fields; `set` shows another rate."""

    def __init__(self, image: Tensor):
        self.figure = new_figure(11.5, 4.2)
        picture, *self.maps = self.figure.subplots(1, 3)
        picture.imshow(image.movedim(0, 2).clamp(0, 1).numpy(), extent=(0, 1, 1, 0))
        picture.set_title("the scene", size=14)
        self.heat = [axes.imshow(np.ones((1, 1)), cmap=IMAGE_CMAP, norm=SCALE, extent=(0, 1, 1, 0), interpolation="nearest") for axes in self.maps]
        for axes in (picture, *self.maps):
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
        self.figure.colorbar(self.heat[0], ax=self.maps, extend="min", label="cosine of the field", shrink=0.85)
        self.numbers: list[matplotlib.text.Text] = []

    def set(self, cosines: dict[str, Tensor]) -> str:
        """Show the cosines of fields, (rows, columns) by name, and return their bands in words."""
        for number in self.numbers:
            number.remove()
        self.numbers, said = [], []
        for axes, heat, (name, values) in zip(self.maps, self.heat, cosines.items()):
            heat.set_data(values.numpy())
            axes.set_title(f"{name}: mean {values.mean():.3f}", size=14)
            many = band_of(values).flatten().bincount(minlength=len(BANDS)).tolist()
            said.append(f"{name}: " + ", ".join(f"{count} {band}" for count, band in zip(many, BANDS) if count))
            self.numbers += printed(axes, values)
        return "Fields by band. " + "; ".join(said) + "."


def printed(axes: Axes, values: Tensor) -> list[matplotlib.text.Text]:
    """The values in their fields, where there is room; rounded down, so that none is printed as of the band above."""
    rows, columns = values.shape
    if max(rows, columns) > 8:
        return []
    return [axes.text((k % columns + 0.5) / columns, (k // columns + 0.5) / rows, f"{int(100 * value + 1e-4) / 100:.2f}", ha="center", va="center",
                      size=10 if rows > 6 else 12, color=INK[SCALE(value) > 0.6]) for k, value in enumerate(values.flatten().tolist())]


def heat_frames() -> Frames:
    """One scene at every rate: what a single token can do for each field at best, and what the learned fields do."""
    grid, images, words = tokens()[[SHOWN]], [], []
    with matplotlib.rc_context(SCREEN):
        picture = HeatPicture(scenes()["image"][SHOWN])
        for rate, output_grid in GRIDS.items():
            words.append(picture.set({"one token, R": field_resultant(grid, output_grid)[0],
                                      "learned fields": field_cosine(rebuilt(learned(rate), grid), grid, output_grid)[0]}))
            images.append(photograph(picture.figure))
    return Frames(images, [f"{rate}×" for rate in GRIDS], words, "rate", 2)
