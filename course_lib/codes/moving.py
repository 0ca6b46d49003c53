"""The pictures of Part III that move: each is one Figure whose artists follow the controls of an explorer."""

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.image import AxesImage
from torch import Tensor

from course_lib.codes.figures_codes import TOUCHED
from course_lib.core.style import IMAGE_CMAP, new_figure
from course_lib.slots.figures import LETTERS, bare, slot_colour

WIDE, HIGH = 1120, 440  # pixels of the figure
SIDE, GAP, LEFT, BOTTOM = 256, 12, 8, 150  # pixels: of a picture, between two, and where the first one stands
LINE = 22  # pixels from one line of the table to the next
MARK = {True: dict(size=15), False: dict(size=9)}  # of the chosen slot's number, and of the others'
Picture = Float[Tensor, "3 height width"]


class CodePicture:
    """One scene and one code of one slot changed: picture, reconstruction, edited picture, what differs; below the slot's codes.

    The slots' numbers stand on what they paint, the chosen one's is larger; a slot that paints nothing has no number.
    """

    def __init__(self, codebooks: int = 4, slots: int = 4, resolution: int = 64):
        self.figure = new_figure(WIDE / 100, HIGH / 100, layout="none")
        self.image, self.rebuilt, self.edited = (self._picture(place, title, np.zeros((resolution, resolution, 3)))
                                                 for place, title in enumerate(("picture", "rebuilt from its codes", "one code changed")))
        self.change = self._picture(3, "what changed", np.zeros((resolution, resolution)), cmap=IMAGE_CMAP, vmin=0, vmax=1)
        bar = self._axes(LEFT + 4 * (SIDE + GAP), BOTTOM, 10, SIDE)
        self.figure.colorbar(ScalarMappable(cmap=IMAGE_CMAP), cax=bar, ticks=[0, 1])
        self.numbers = [self.rebuilt.axes.text(0, 0, str(slot + 1), **LETTERS) for slot in range(slots)]
        self.lines = [[self._text(x, row, "", weight="bold" if row == 0 else "normal") for x in (10, 110, 190, 560, 660)]
                      for row in range(codebooks + 1)]
        for text, word in zip(self.lines[0], ("codebook", "code", "what it says", "becomes", "what it says")):
            text.set_text(word)
        table = [text for line in self.lines[1:] for text in line]
        self.moving = [self.image, self.rebuilt, self.edited, self.change, *self.numbers, *table]

    def set(self, image: Picture, rebuilt: Picture, edited: Picture, masks: Float[Tensor, "slots height width"], slot: int, codebook: int,
            before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
        """Show an edit of `codebook` of `slot` (from 0). before, after: number and meaning of the slot's code in each codebook."""
        for artist, picture in ((self.image, image), (self.rebuilt, rebuilt), (self.edited, edited)):
            artist.set_data(picture.clamp(0, 1).permute(1, 2, 0).numpy())
        self.change.set_data((edited.clamp(0, 1) - rebuilt.clamp(0, 1)).abs().amax(0).numpy())
        places = painted_places(rebuilt, masks)
        for number, text in enumerate(self.numbers):
            place = places[number] if number < len(places) else None
            text.set_visible(place is not None)
            text.set_position(place or (0, 0))
            text.set(**MARK[number == slot])
            edge = "white" if number == slot else "none"
            text.set_bbox({"boxstyle": "round,pad=0.2", "facecolor": slot_colour(number), "edgecolor": edge})
        for book, (line, old, new) in enumerate(zip(self.lines[1:], before, after)):
            here = book == codebook
            values = (f"{'▸' if here else '  '} {book + 1}", *old, *(new if here else ("", "")))
            for text, value in zip(line, values):
                text.set_text(value)
                text.set_weight("bold" if here else "normal")

    def _axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        return self.figure.add_axes([left / WIDE, bottom / HIGH, width / WIDE, height / HIGH])

    def _picture(self, place: int, title: str, empty: np.ndarray, **look) -> AxesImage:
        axes = self._axes(LEFT + place * (SIDE + GAP), BOTTOM, SIDE, SIDE)
        axes.set_title(title, loc="center")
        bare(axes)
        return axes.imshow(empty, interpolation="nearest", **look)

    def _text(self, left: float, row: int, words: str, **look):
        return self.figure.text(left / WIDE, (BOTTOM - 24 - row * LINE) / HIGH, words, size=11, va="center", **look)


def painted_places(picture: Picture, masks: Float[Tensor, "slots height width"]) -> list[tuple[float, float] | None]:
    """For each slot the centre (column, row) of the lit pixels that it owns; None if they are no more than 1 in 200 of the picture."""
    lit, owner = picture.amax(0) > TOUCHED, masks.argmax(0)
    found: list[tuple[float, float] | None] = []
    for slot in range(len(masks)):
        rows, columns = (lit & (owner == slot)).nonzero(as_tuple=True)
        found.append((float(columns.float().mean()), float(rows.float().mean())) if len(rows) > lit.numel() / 200 else None)
    return found


def words_of_change(before: Int[Tensor, "places"], after: Int[Tensor, "places"], said: tuple[list[str], list[str]], clear: bool) -> str:
    """What an edit did, in words. said: the objects of the scene before and after it, place by place as in their states; clear: whether the
    picture after it can be read."""
    if not clear:
        return "the picture can no longer be read clearly"
    if torch.equal(before, after):
        return "no object changes into another one"
    at = [dict(zip(states.nonzero().flatten().tolist(), words)) for states, words in zip((before, after), said)]
    changed = (before != after).nonzero().flatten().tolist()
    old, new = ([each[place] for place in changed if place in each] for each in at)
    if not new:
        return f"{' and '.join(old)} disappears" if len(old) == 1 else f"{' and '.join(old)} disappear"
    if not old:
        return f"{' and '.join(new)} appears" if len(new) == 1 else f"{' and '.join(new)} appear"
    return f"{' and '.join(old)} becomes {' and '.join(new)}" if len(old) == 1 else f"{' and '.join(old)} become {' and '.join(new)}"
