"""The picture of one compressed scene that moves: one Figure whose artists follow the controls of `explorer_rates`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, SHADES, new_figure, signed
from course_lib.tokens.figures_rf import SCALE
from course_lib.tokens.metrics import bands

WAYS = {"full": "all\ntokens", "rebuilt": "rebuilt\ngrid", "put_back": "compressed\nalone", "cls_only": "CLS\nonly"}
SIDE = 236  # pixels of a panel
WIDE, HIGH, TOP = 1230, 330, 40
ACROSS = 8  # fields in a row of which each still has room for its number
LOOK = {True: ("✓", SHADES["indigo"]), False: ("✗", SHADES["rose"])}


class Answer(NamedTuple):
    """What CLIP says to one question, and whether it is so."""

    right: bool
    said: str


@dataclass(frozen=True)
class Kept:
    """What one compressor keeps of one picture.

    cosine: of the rebuilt and the original token at every place, fields: its means over the fields of the output grid; centred and
    unexplained as in `metrics`; tokens: how many pass; bits: of side information; answers: {way of `WAYS`: {question: Answer}}.
    """

    name: str
    cosine: Float[Tensor, "height width"]
    fields: Float[Tensor, "rows columns"]
    centred: float
    unexplained: float
    tokens: int
    bits: float
    answers: Mapping[str, Mapping[str, Answer]]
    note: str = ""
    rebuilt: Float[Tensor, "height width dim"] | None = None  # for pictures that show it

    @property
    def rate(self) -> float:
        """Places for each token that passes."""
        return self.cosine.numel() / self.tokens

    def right(self, way: str) -> int:
        """How many questions are answered rightly."""
        return sum(answer.right for answer in self.answers[way].values())

    def words(self) -> str:
        """One line that says what the picture shows."""
        counted = ", ".join(f"{many} {name}" for name, many in bands(self.fields).items() if many)
        side = f"; {self.bits:.0f} bits of side information" if self.bits else ""
        asked = list(next(iter(self.answers.values())))
        return (f"<b>{self.name}, {self.rate:g}×: {self.tokens} tokens for {self.cosine.numel()}</b>: mean cosine "
                f"{signed(float(self.cosine.mean()), '.3f')}, centred {signed(self.centred, '.3f')}, {self.unexplained:.1%} of the variance unexplained; "
                f"fields: {counted}{side}. Of {len(asked)} questions ({', '.join(asked)}) CLIP answers rightly {self.right('full')} with all tokens, "
                f"{self.right('rebuilt')} with the rebuilt grid, {self.right('put_back')} with the compressed tokens alone and "
                f"{self.right('cls_only')} with CLS only.{self.note}")


class AnswerTable:
    """What CLIP answers to each question, a column for each way of `WAYS`."""

    def __init__(self, axes: Axes, questions: Sequence[str]):
        axes.set_axis_off()
        axes.set_title("what CLIP answers", size=11)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        across = {way: 0.2 + 0.233 * number for number, way in enumerate(WAYS)}
        down = {name: 0.7 - 0.19 * number for number, name in enumerate(questions)}
        for way, x in across.items():
            axes.text(x, 0.9, WAYS[way], size=8.5, ha="center", va="center", weight="bold")
        for name, y in down.items():
            axes.text(0.0, y, name, size=10, va="center")
        self.cells = {(way, name): axes.text(x, y, "", size=8, ha="center", va="center")
                      for way, x in across.items() for name, y in down.items()}

    def set(self, answers: Mapping[str, Mapping[str, Answer]]) -> None:
        """Show {way of `WAYS`: {question: answer}}."""
        for (way, name), text in self.cells.items():
            right, said = answers[way][name]
            sign, colour = LOOK[right]
            text.set_text(f"{sign} {said}")
            text.set_color(colour)


class RatePicture:
    """The picture, the cosine at every place, the mean of every field, and what CLIP answers; `set` shows another compression."""

    def __init__(self, grid: Sequence[int], questions: Sequence[str]):
        self.figure = new_figure(WIDE / 100, HIGH / 100, layout="none")
        picture, places, fields = (self._panel(left, SIDE) for left in (8, 264, 520))
        self.picture = fill(picture, np.ones((1, 1, 3)))
        self.places, self.fields = fill(places, np.ones(tuple(grid))), fill(fields, np.ones((1, 1)))
        picture.set_title("as CLIP sees it", size=11)
        self.title = places.set_title("", size=11)
        fields.set_title("mean of each field", size=11)
        self.numbers = [fields.text(0, 0, "", ha="center", va="center", size=8) for _ in range(ACROSS**2)]
        bar = self.figure.add_axes([264 / WIDE, 26 / HIGH, (520 + SIDE - 264) / WIDE, 10 / HIGH])
        scale_of_cosines(self.places, bar)
        self.answers = AnswerTable(self._panel(784, WIDE - 784 - 8), questions)
        self.cells = self.answers.cells
        self.moving = [self.picture, self.places, self.fields, self.title, *self.numbers, *self.cells.values()]

    def set(self, image: Float[Tensor, "3 rows columns"], kept: Kept) -> None:
        """Show what is kept of this picture."""
        self.kept = kept
        self.picture.set_data(pixels_of(image))
        self.places.set_data(kept.cosine.numpy())
        self.fields.set_data(kept.fields.numpy())
        self.title.set_text(f"cosine, mean {signed(float(kept.cosine.mean()), '.3f')}")
        rows, columns = kept.fields.shape
        values = kept.fields.flatten().tolist() if max(rows, columns) <= ACROSS else []
        for number, text in enumerate(self.numbers):
            if number < len(values):
                text.set_position(((number % columns + 0.5) / columns, (number // columns + 0.5) / rows))
                text.set_color("black" if SCALE(values[number]) > 0.6 else "white")
            text.set_text(signed(values[number], ".2f") if number < len(values) else "")
        self.answers.set(kept.answers)

    def _panel(self, left: float, wide: float) -> Axes:
        return self.figure.add_axes([left / WIDE, (HIGH - TOP - SIDE) / HIGH, wide / WIDE, SIDE / HIGH])


def kept_figure(image: Float[Tensor, "3 rows columns"], kept: Sequence[Kept]) -> Figure:
    """Small multiples of the explorer: a column for each compressor, its cosines at every place, and below what it keeps in numbers.

    Raises `BadInput` for no compressor.
    """
    if not kept:
        raise BadInput("choose at least one compressor.")
    figure = new_figure(2.3 * (1 + len(kept)) + 0.9, 3.4)
    first, *others = figure.subplots(1, 1 + len(kept))
    fill(first, image.clamp(0, 1).movedim(0, 2).numpy())
    first.set_title("as CLIP sees it", size=10)
    for axes, each in zip(others, kept):
        heat = fill(axes, each.cosine.numpy())
        axes.set_title(each.name, size=10)
        axes.set_xlabel(f"{each.tokens} tokens\ncosine {signed(float(each.cosine.mean()), '.3f')}\nunexplained {each.unexplained:.3f}\n"
                        f"answers: {each.right('rebuilt')} rebuilt,\n{each.right('put_back')} alone", size=9)
    figure.colorbar(heat, ax=others, label="cosine", extend="min", shrink=0.8)
    return figure


def fill(axes: Axes, values: np.ndarray) -> AxesImage:
    """A picture or a map that fills the same square, whatever its size; cosines on the scale of all maps of Part IV."""
    drawn = axes.imshow(values, cmap=IMAGE_CMAP, norm=SCALE, interpolation="nearest", extent=(0, 1, 1, 0))
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return drawn


def scale_of_cosines(heat: AxesImage, axes: Axes) -> None:
    """The scale below the maps."""
    axes.figure.colorbar(heat, cax=axes, orientation="horizontal", extend="min", ticks=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
    axes.tick_params(labelsize=8)


def pixels_of(image: Float[Tensor, "3 rows columns"]) -> np.ndarray:
    """A picture in [0, 1] as bytes (rows, columns, 3)."""
    return (255 * image.clamp(0, 1).movedim(0, 2)).round().byte().numpy()
