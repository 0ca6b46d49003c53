"""The picture of a scene compressed field by field that moves: one Figure whose artists follow the controls of `explorer_fields`."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.core.style import new_figure, signed
from course_lib.tokens.figures_rf import LETTERS
from course_lib.tokens.losses_rf import band_of
from course_lib.tokens.metrics import BANDS, bands
from course_lib.tokens.moving_rates import AnswerTable, Kept, fill, pixels_of, scale_of_cosines

SIDE, GAP = 200, 12  # pixels of a panel, and between two
WIDE, HIGH, TOP = 1340, 300, 44
HEAT = 8 + 3 * (SIDE + GAP)  # left edge of the map of fields
INK = ("black", "black", "white", "white")  # of the letters of the bands, on their colours

Colours = Float[Tensor, "height width 3"]


class FieldsPicture:
    """The picture, its tokens as colours, the rebuilt ones, the cosine of every field with its band, and what CLIP answers."""

    def __init__(self, grid: Sequence[int], questions: Sequence[str]):
        self.figure = new_figure(WIDE / 100, HIGH / 100, layout="none")
        picture, original, rebuilt, fields = (self._panel(8 + number * (SIDE + GAP), SIDE) for number in range(4))
        nothing = np.ones((*grid, 3))
        self.picture, self.original, self.rebuilt = fill(picture, np.ones((1, 1, 3))), fill(original, nothing), fill(rebuilt, nothing)
        picture.set_title("as CLIP sees it", size=11)
        original.set_title(f"{grid[0] * grid[1]} tokens", size=11)
        self.title, self.counted = rebuilt.set_title("", size=11), fields.set_title("", size=11)
        self.fields = fill(fields, np.ones((1, 1)))
        self.letters = [fields.scatter([], [], s=40, c=INK[number], marker=rf"$\mathrm{{{letter}}}$", linewidths=0) for number, letter in enumerate(LETTERS)]
        scale_of_cosines(self.fields, self.figure.add_axes([HEAT / WIDE, 26 / HIGH, SIDE / WIDE, 10 / HIGH]))
        self.answers = AnswerTable(self._panel(HEAT + SIDE + 30, WIDE - HEAT - SIDE - 38), questions)
        self.moving = [self.picture, self.original, self.rebuilt, self.title, self.counted, self.fields, *self.letters, *self.answers.cells.values()]

    def set(self, image: Float[Tensor, "3 rows columns"], kept: Kept, original: Colours, rebuilt: Colours) -> None:
        """Show what is kept of this picture; original, rebuilt: the grids as colours."""
        self.kept = kept
        self.picture.set_data(pixels_of(image))
        self.original.set_data(original.numpy())
        self.rebuilt.set_data(rebuilt.numpy())
        self.title.set_text(f"rebuilt from {kept.tokens}")
        self.counted.set_text(" ".join(f"{many} {name[0].upper()}" for name, many in bands(kept.fields).items()) +
                              f": {signed(float(kept.cosine.mean()), '.3f')}")
        self.fields.set_data(kept.fields.numpy())
        self._letter(band_of(kept.fields))
        self.answers.set(kept.answers)

    def blank(self, image: Float[Tensor, "3 rows columns"], original: Colours) -> None:
        """Show the picture and its tokens, and that nothing is known of a compressor."""
        self.kept = None
        self.picture.set_data(pixels_of(image))
        self.original.set_data(original.numpy())
        self.rebuilt.set_data(np.ones((1, 1, 3)))
        self.title.set_text("not there")
        self.counted.set_text("")
        self.fields.set_data(np.ma.masked_all((1, 1)))
        self._letter(torch.zeros(0, 0, dtype=torch.int64))
        for text in self.answers.cells.values():
            text.set_text("")

    def _letter(self, band: Int64[Tensor, "rows columns"]) -> None:
        """The letter of its band on every field. Markers are drawn many times faster than words, and nobody waits for 144 of them."""
        middle = (np.indices(band.shape)[::-1] + 0.5) / np.array(band.shape[::-1])[:, None, None].clip(1)  # (x or y, rows, columns)
        for number, marks in enumerate(self.letters):
            marks.set_offsets(middle[:, band.numpy() == number].T)

    def _panel(self, left: float, wide: float) -> Axes:
        return self.figure.add_axes([left / WIDE, (HIGH - TOP - SIDE) / HIGH, wide / WIDE, SIDE / HIGH])


def letters_of_bands() -> str:
    """What the letters on the map mean."""
    return ", ".join(f"{name[0].upper()} {name}" for name in BANDS)
