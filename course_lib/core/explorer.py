"""The base of every explorer: sliders, one picture that is fast to redraw, and one line that says it in words.

Only core ipywidgets, with what versions 7 and 8 share, so that an explorer works in JupyterLab and in Colab.
"""

import html
import io
from time import perf_counter

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from PIL import Image

MOMENT = 0.5  # seconds; a control whose last move took longer says beforehand that it is computing
BUSY = '<p role="status" style="line-height:1.4">still computing …</p>'


class FastFigure:
    """PNG bytes of one reused Figure in which only `moving` artists change.

    The rest is drawn once and kept as pixels, so a frame costs the moving artists and the PNG, not the axes and text.
    """

    def __init__(self, figure: Figure, moving: list[Artist]):
        self.figure, self.moving = figure, sorted(moving, key=lambda artist: artist.get_zorder())
        figure.draw_without_rendering()  # settles the layout, so that axes never jump
        figure.set_layout_engine("none")
        for artist in self.moving:
            artist.set_visible(False)
        figure.canvas.draw()
        self.still = figure.canvas.copy_from_bbox(figure.bbox)
        for artist in self.moving:
            artist.set_visible(True)

    def png(self) -> bytes:
        """Draw the moving artists over the still picture and return the PNG."""
        canvas = self.figure.canvas
        canvas.restore_region(self.still)
        for artist in self.moving:
            self.figure.draw_artist(artist)
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(buffer, "png", compress_level=1)
        return buffer.getvalue()


class Explorer:
    """Controls above a picture above a line of text.

    A subclass builds its figure and controls, calls `super().__init__`, and writes `update`, which moves the artists to
    the controls' values and returns the line of text. Each control becomes an attribute: `explorer.beta.value = 3.0`
    does all that a hand does. An exception in `update` is shown in the explorer and raised, never swallowed.

    A kernel that computes answers nobody. So where a frame will take longer than a `MOMENT`, judged by the last move of
    the same control (before its first, by the first frame of all), the words say so before the computation begins.
    """

    def __init__(self, figure: Figure, moving: list[Artist], *extras: widgets.Widget, **controls: widgets.Widget):
        self.figure, self.controls = figure, controls
        self._seconds: dict[widgets.Widget | None, float] = {}  # what the last move of each control took; None: the first frame
        self._fast = FastFigure(figure, moving)
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", object_fit="contain"))
        self.picture.add_class("explorer-picture")
        self.words = widgets.HTML()
        self.words.add_class("explorer-words")
        for name, control in controls.items():
            control.add_class(f"explorer-{name}")
            control.observe(self._moved, "value")
            setattr(self, name, control)
        row = widgets.HBox([*controls.values(), *extras], layout=widgets.Layout(flex_flow="row wrap"))  # else squashed into one line
        self.box = widgets.VBox([row, self.picture, self.words])
        self._moved()

    def update(self) -> str:
        """Move the artists to the controls' values; return what the picture shows, in words."""
        raise NotImplementedError

    def show(self) -> None:
        """Display the explorer."""
        display(self.box)

    def still(self) -> Figure:
        """The same thing without a kernel: a figure of small multiples."""
        raise NotImplementedError

    def _moved(self, change: dict | None = None) -> None:
        control = change["owner"] if change else None
        if self._seconds.get(control, self._seconds.get(None, 0.0)) > MOMENT:
            self.words.value = BUSY
        began = perf_counter()
        try:
            words = self.update()
            self.picture.value = self._fast.png()
        except Exception as error:
            self.words.value = f'<p role="alert">✗ {html.escape(f"{type(error).__name__}: {error}")}</p>'
            raise
        finally:
            self._seconds[control] = perf_counter() - began
        self.words.value = f'<p role="status" style="line-height:1.4">{words}</p>'


def stops(values: list, description: str, value=None, width: str = "32em") -> widgets.SelectionSlider:
    """A slider that stops at the given values only and answers while it moves."""
    options = [(f"{v:g}", v) for v in values]
    return widgets.SelectionSlider(
        options=options, value=options[0][1] if value is None else value, description=description,
        continuous_update=True, layout=widgets.Layout(width=width), style={"description_width": "initial"},
    )


def choice(options: list, description: str) -> widgets.ToggleButtons:
    """Buttons side by side, one of which is pressed; each as wide as its words, which a width in em would cut off."""
    return widgets.ToggleButtons(options=options, description=description, style={"button_width": "auto", "description_width": "initial"})
