"""The pictures of the lecture on Part III that no notebook needs: tensors and numbers in, `matplotlib.figure.Figure` out."""

import textwrap
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from course_lib.codes.figures_codes import code_table, outline_changes
from course_lib.codes.figures_plane import Cells
from course_lib.codes.plane import History
from course_lib.core.style import IMAGE_CMAP, new_figure
from course_lib.slots.figures import bare, show_picture
from course_lib.slots.figures_lecture import principal_colours

GREY = "#595959"
FINE = 220  # places along a side of the plane in a frame


def way_figure(image: Float[Tensor, "3 height width"], tokens: Float[Tensor, "rows columns dim"], slots: Float[Tensor, "slots dim"],
               codes: Int[Tensor, "slots codebooks"], rebuilt: Float[Tensor, "3 height width"], entries: int) -> Figure:
    """The whole model on one scene: picture → inputs → slots → codes → picture again; entries: codes in a codebook."""
    wide, high, size = 12.2, 3.3, 1.65  # inches
    figure = new_figure(wide, high, layout="none")
    left, across = (0.1, 2.5, 4.95, 7.35, 10.45), (size, size, size, 2.25, size)
    axes = [figure.add_axes([x / wide, 0.85 / high, broad / wide, size / high]) for x, broad in zip(left, across)]
    show_picture(axes[0], image)
    axes[1].imshow(principal_colours(tokens), interpolation="nearest")
    axes[2].imshow(slots.numpy(), cmap=IMAGE_CMAP, vmin=-2, vmax=2, aspect="auto", interpolation="nearest")
    code_table(axes[3], codes, head=False)
    show_picture(axes[4], rebuilt)
    for place in axes[1:3]:
        bare(place)
    axes[2].set_yticks(range(len(slots)), [str(k + 1) for k in range(len(slots))], size=12)
    axes[2].tick_params(length=0)
    for text in axes[3].texts:
        text.set_visible(not text.get_text().startswith("book"))
        text.set(fontsize=13)
    height, width = image.shape[1:]
    bits = codes.numel() * (entries - 1).bit_length()
    words = [f"picture\n3 × {height} × {width}", f"inputs\n{tokens.shape[0] * tokens.shape[1]} of {tokens.shape[2]} numbers",
             f"slots\n{len(slots)} of {slots.shape[1]} numbers", f"{codes.numel()} of {entries} codes\n{bits} bits", "rebuilt\nfrom codes alone"]
    for x, broad, line in zip(left, across, words):
        figure.text((x + broad / 2) / wide, 0.68 / high, line, ha="center", va="top", size=13)
    for x, box in zip(left[1:], ("encoder", "slot\nattention", "nearest\ncodes", "transformer\ndecoder")):
        figure.add_artist(FancyArrowPatch(((x - 0.66) / wide, 1.7 / high), ((x - 0.12) / wide, 1.7 / high), arrowstyle="-|>",
                                          mutation_scale=20, color="#333333"))
        figure.text((x - 0.38) / wide, 2.62 / high, box, ha="center", va="bottom", size=13, weight="bold")
    return figure


class TwoStarts:
    """Two codebooks of the plane that learn side by side, each from its own start; `set` shows another step. limit: right edge of the plane."""

    def __init__(self, histories: dict[str, History], limit: float):
        self.histories = histories
        self.figure = new_figure(11.5, 4.6)
        self.axes = self.figure.subplots(1, len(histories), sharey=True)
        self.cells = [Cells(axes, limit, FINE) for axes in self.axes]
        for axes, cells in zip(self.axes, self.cells):
            axes.set(xlim=(-3.4, limit), ylim=(-3.2, 3.2))
            axes.label_outer()
            cells.targets.set_markersize(5)
            cells.dead.set_markersize(12)
            cells.codes.set_markersize(15)
            for number in cells.numbers:
                number.set_size(9)

    def set(self, step: int) -> str:
        """Show the moment after so many steps; return it in words."""
        words = []
        for axes, cells, (name, history) in zip(self.axes, self.cells, self.histories.items()):
            cells.set(history.codes[step], history.targets)
            used, many = int((history.counts[step] > 0).sum()), history.codes.shape[1]
            axes.set_title(f"{name}: {used} of {many} codes used\ndistortion {history.error[step]:.2f}, perplexity {history.perplexity[step]:.1f}")
            words.append(f"{name}: {used} of {many} codes are used, distortion {history.error[step]:.2f}")
        return f"After {step} step{'s' * (step != 1)}. {'; '.join(words)}."


class EditPicture:
    """A scene and the same with one code of one slot changed; at the right what the codes of the slot say. `set` shows another edit."""

    def __init__(self, codebooks: int = 4):
        self.figure = new_figure(11.5, 4.2, layout="none")
        self.before, self.after = (self._axes(place) for place in (0.1, 3.8))
        self.head = self.figure.text(7.6 / 11.5, 4.05 / 4.2, "", size=16, va="top", weight="bold")
        self.lines = [self.figure.text(7.6 / 11.5, (3.45 - 0.86 * book) / 4.2, "", size=14, va="top", linespacing=1.3)
                      for book in range(codebooks)]

    def set(self, before: Float[Tensor, "3 height width"], after: Float[Tensor, "3 height width"], slot: int, book: int | None,
            codes: Sequence[tuple[int, str]]) -> None:
        """codes: number and meaning of each of the slot's codes after the edit of codebook `book` (from 0; None: of none)."""
        for axes, picture, title in ((self.before, before, "rebuilt"), (self.after, after, "one code changed")):
            axes.clear()
            show_picture(axes, picture, title)
        outline_changes(self.after, before, after)
        self.head.set_text(f"slot {slot + 1} says")
        for number, (line, (code, meaning)) in enumerate(zip(self.lines, codes)):
            here = number == book
            line.set(text=f"{'▸' if here else '  '} book {number + 1}, code {code}\n{textwrap.indent(textwrap.fill(meaning, 28), '     ')}",
                     weight="bold" if here else "normal", color="black" if here else GREY)

    def _axes(self, left: float) -> Axes:
        return self.figure.add_axes([left / 11.5, 0.1 / 4.2, 3.55 / 11.5, 3.55 / 4.2])


def used_only(codes: Float[Tensor, "k dim"], chosen: Int[Tensor, "n"]) -> Float[Tensor, "used dim"]:
    """The codes that somebody chose."""
    return codes[torch.unique(chosen)]
