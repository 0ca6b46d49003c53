"""The base of all explorers, on a tiny one: a move changes picture and words, an error is shown and raised."""

import io

import ipywidgets as widgets
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from traitlets import TraitError

from course_lib.core import explorer as module
from course_lib.core.explorer import BUSY, MOMENT, Explorer, choice, stops
from course_lib.core.style import new_figure


class Tiny(Explorer):
    def __init__(self):
        figure = new_figure(4, 3)
        axes = figure.add_subplot()
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="x", ylabel="height", title="Tiny")
        (self.point,) = axes.plot([0.5], [0], "o")
        (self.hidden_by_point,) = axes.plot([0.5], [0.5], "s", zorder=1)
        self.axes = axes
        super().__init__(figure, [self.point, self.hidden_by_point], height=stops([0.0, 0.25, 0.5, 1.0], "height"),
                         loud=widgets.Checkbox(False, description="loud"))

    def update(self) -> str:
        if self.height.value == 1.0:
            raise ValueError("too <high>")
        self.point.set_ydata([self.height.value])
        return f"height {self.height.value:g}{'!' * self.loud.value}"


@pytest.fixture
def tiny():
    return Tiny()


def pixels(explorer: Explorer) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(explorer.picture.value))).astype(int)


def test_it_starts_drawn(tiny):
    assert bytes(tiny.picture.value).startswith(b"\x89PNG") and "height 0" in tiny.words.value
    assert pixels(tiny).shape == (300, 400, 3)


def test_a_move_from_python_changes_picture_and_words(tiny):
    before = tiny.picture.value
    tiny.height.value = 0.25
    assert tiny.picture.value != before and "height 0.25" in tiny.words.value and 'role="status"' in tiny.words.value
    tiny.loud.value = True
    assert "height 0.25!" in tiny.words.value
    tiny.height.index = 0  # what the play button moves
    assert tiny.picture.value == before


def test_an_error_is_shown_and_raised_and_the_next_move_heals(tiny):
    before = tiny.picture.value
    with pytest.raises(ValueError, match="too <high>"):
        tiny.height.value = 1.0
    assert 'role="alert"' in tiny.words.value and "✗ ValueError: too &lt;high&gt;" in tiny.words.value
    assert tiny.picture.value == before  # the last picture that was right
    tiny.height.value = 0.5
    assert "height 0.5" in tiny.words.value and "✗" not in tiny.words.value


def test_one_figure_for_ever_and_nothing_left_behind(tiny):
    figure, artists = tiny.figure, len(tiny.figure.findobj())
    for value in (0.25, 0.5, 0.0) * 5:
        tiny.height.value = value
    assert tiny.figure is figure and tiny.point.figure is figure and len(figure.findobj()) == artists


def test_only_the_moving_artists_move(tiny):
    """Pixels farther than the marker's radius from where the point was and is are the same: axes, text, layout."""
    low, tiny.height.value = pixels(tiny), 0.25
    changed = np.argwhere((pixels(tiny) != low).any(-1))
    assert len(changed) > 0
    where = tiny.axes.transData.transform([(0.5, 0.0), (0.5, 0.25)])
    centre = np.stack([300 - where[:, 1], where[:, 0]], axis=1)  # rows count from the top
    distance = np.linalg.norm(changed[:, None] - centre, axis=-1).min(1)
    assert distance.max() < 8
    assert (tiny.axes.get_xlim(), tiny.axes.get_ylim()) == ((0, 1), (0, 1))


def test_a_frame_equals_a_full_drawing(tiny):
    tiny.height.value = 0.25
    tiny.figure.canvas.draw()
    whole = np.asarray(tiny.figure.canvas.buffer_rgba())[..., :3].astype(int)
    assert (np.abs(whole - pixels(tiny)).max(-1) > 0).mean() < 0.001  # what covers what may differ at a frame's edge only


def test_moving_artists_keep_their_order_in_depth(tiny):
    tiny.height.value = 0.5  # round over square
    x, y = tiny.axes.transData.transform((0.5, 0.5)).round().astype(int)
    first = 255 * np.array(to_rgb("C0"))  # the colour of a plot without a look
    assert np.abs(pixels(tiny)[300 - y, x] - first).max() < 6


def test_box_and_classes(tiny):
    """What the page is made of, and by what the browser test finds it; nothing that ipywidgets 7 does not have."""
    controls, picture, words = tiny.box.children
    assert controls.children == (tiny.height, tiny.loud) and (picture, words) == (tiny.picture, tiny.words)
    assert controls.layout.flex_flow == "row wrap"  # what is wider than the page goes to the next line
    assert "explorer-height" in tiny.height._dom_classes and "explorer-picture" in picture._dom_classes
    assert "explorer-words" in words._dom_classes and tiny.height.continuous_update
    known = {"Layout", "HBox", "VBox", "Image", "HTML", "SelectionSlider", "Checkbox"}
    assert {type(widget).__name__ for widget in (tiny.box, *tiny.box.children, *controls.children)} <= known


def test_show_displays_the_box(tiny, monkeypatch):
    shown = []
    monkeypatch.setattr("course_lib.core.explorer.display", shown.append)
    tiny.show()
    assert shown == [tiny.box]


def test_stops():
    slider = stops([0.01, 1.0, 20.0], "β", 1.0)
    assert [label for label, _ in slider.options] == ["0.01", "1", "20"] and slider.value == 1.0
    assert stops([3.0, 4.0], "n").value == 3.0
    with pytest.raises(TraitError):
        slider.value = 2.0  # not a stop


def test_choice():
    buttons = choice([("drawn anew", 0.1), ("left alone", 0.0)], "unused codes")
    assert buttons.value == 0.1 and buttons.description == "unused codes" and buttons.style.button_width == "auto"


def test_a_subclass_must_say_what_it_shows():
    with pytest.raises(NotImplementedError):
        Explorer(new_figure(2, 2), [])
    with pytest.raises(NotImplementedError):
        Tiny().still()


class Slow(Explorer):
    """Its frames take as long as `clock` is told: no test waits."""

    def __init__(self, clock: list[float], takes: float):
        self.clock, self.takes = clock, takes
        self.seen: list[str] = []  # what the words said while a frame was computed
        super().__init__(new_figure(2, 2), [], beta=stops([1.0, 2.0, 3.0], "β"), loud=widgets.Checkbox(False, description="loud"))

    def update(self) -> str:
        self.seen.append(self.words.value)
        self.clock[0] += self.takes
        if self.beta.value == 3.0:
            raise ValueError("too high")
        return f"β is {self.beta.value:g}"


@pytest.fixture
def clock(monkeypatch):
    told = [0.0]
    monkeypatch.setattr(module, "perf_counter", lambda: told[0])
    return told


@pytest.fixture
def slow(clock):
    return Slow(clock, takes=10 * MOMENT)


def test_a_slow_explorer_says_so_before_it_computes_and_then_what_it_found(slow):
    told = []
    slow.words.observe(lambda change: told.append(change["new"]), "value")
    slow.beta.value = 2.0
    assert slow.seen[-1] == BUSY and "still computing" in BUSY
    assert told[0] == BUSY and "β is 2" in told[1] and len(told) == 2


def test_the_next_move_is_judged_by_the_last_of_the_same_control(slow):
    slow.takes = MOMENT / 2
    slow.loud.value = True  # nothing is known of it yet but the first frame
    slow.loud.value = False
    slow.beta.value = 2.0
    assert [words == BUSY for words in slow.seen[1:]] == [True, False, True]
    slow.takes = 2 * MOMENT
    slow.beta.value = 1.0
    slow.loud.value = True
    assert [words == BUSY for words in slow.seen[4:]] == [False, False]
    slow.loud.value = False
    assert slow.seen[-1] == BUSY


def test_an_error_replaces_still_computing(slow):
    with pytest.raises(ValueError):
        slow.beta.value = 3.0
    assert slow.seen[-1] == BUSY and "✗ ValueError" in slow.words.value


def test_a_fast_explorer_never_says_it(clock):
    fast = Slow(clock, takes=MOMENT / 2)
    for value in (2.0, 1.0, 2.0):
        fast.beta.value = value
    assert len(fast.seen) == 4 and BUSY not in fast.seen
