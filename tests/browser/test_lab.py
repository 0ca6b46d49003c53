"""JupyterLab in a real browser: every learner's notebook runs from top to bottom, and hands move its sliders.

Its kernel is cut off from the network and cannot write to the checkout. One run serves all of this, because a run takes
a minute.
"""

from pathlib import Path

import pytest
from isolation import prefix, state_of_checkout
from lab import Hand, Lab, ask, controls, failures, run_all, write_notebook
from moving import MOVE, moved
from playwright.sync_api import Page

from course_lib.core.paths import ROOT

NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))

CHOICES = {"04_slot_attention.ipynb": {"normalise"}, "06_vector_quantization.ipynb": {"restart"}, "07_semantic_vq.ipynb": {"spare"},
           "08_codes_to_scenes.ipynb": {"prior"}}  # lists and buttons that must be found
STEPS = {"03_vae_beta.ipynb": "beta"}  # sliders that must also answer a single step

EXPLORER = """
import ipywidgets as widgets
from course_lib.core.explorer import Explorer, choice
from course_lib.core.style import new_figure

class Line(Explorer):
    def __init__(self):
        figure = new_figure(4.0, 2.0)
        self.line, = figure.add_subplot(ylim=(0, 10)).plot([0, 1], [0, 0])
        super().__init__(figure, [self.line], height=widgets.IntSlider(min=0, max=9), way=choice(["up", "down"], "way"),
                         high=widgets.Dropdown(options=[1, 2]), deaf=widgets.Dropdown(options=["a", "b"]),
                         hidden=widgets.Dropdown(options=[1, 2], layout={"display": "none"}))

    def update(self):
        ends = [0, self.height.value / self.high.value]
        self.line.set_ydata(ends if self.way.value == "up" else ends[::-1])
        return f"The line goes {self.way.value} to {ends[1]:g}."

Line().show()
"""


def move_every_slider(page: Page, names: list[str]) -> None:
    """Move every slider of every explorer from one end to the other."""
    for name in names:
        hand = Hand(page, name)
        hand.press("Home")
        low = hand.settle()
        hand.press("End")
        high = hand.settle()
        assert low[0] != high[0], f"{name}: the picture's bytes are the same at both ends of the slider"
        assert low[1] != high[1], f"{name}: the line of words is the same at both ends of the slider"
        assert "✗" not in low[1] + high[1], low[1] + high[1]


def take_every_choice(page: Page, names: list[str]) -> None:
    """Pick every option of every list and press every button. Not all need differ, but picture and words must do something."""
    for name in names:
        hand, seen = Hand(page, name), []
        for number in range(hand.options()):
            hand.choose(number)
            seen.append(hand.settle())
        pictures, words = map(set, zip(*seen))
        assert len(pictures) > 1, f"{name}: the picture's bytes are the same whatever is chosen"
        assert len(words) > 1, f"{name}: the line of words is the same whatever is chosen"
        assert not any("✗" in line for line in words), words


def take_a_step(page: Page, name: str) -> None:
    """One step of the slider, from its far end: picture and words follow the hand, not only a jump."""
    hand = Hand(page, name)
    before = hand.settle()
    hand.press("ArrowLeft")
    after = hand.settle()
    assert before[0] != after[0] and before[1] != after[1]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_run_all_and_every_control(lab: Lab, page: Page, tmp_path: Path, name: str) -> None:
    """By hand what a hand can reach, and then through Python all that there is, which finds a callback that raises."""
    checkout = {} if prefix() else state_of_checkout()
    lab.open(page, name)
    cells = run_all(page)
    assert cells and not failures(cells)
    found = controls(page)
    move_every_slider(page, found["sliders"])
    take_every_choice(page, found["choices"])
    if name in STEPS:
        take_a_step(page, STEPS[name])
    page.screenshot(path=tmp_path / f"{name}.png")
    explorers = (ROOT / "notebooks" / name).read_text(encoding="utf-8").count("Explorer(")
    assert bool(found["sliders"]) == bool(explorers), f"explorers are shown but no slider of theirs was found: {found}"
    assert CHOICES.get(name, set()) <= set(found["choices"])
    answer = ask(page, MOVE)
    assert answer["error"] == ""
    assert moved(answer["printed"]) >= len(found["sliders"]) + len(found["choices"])
    assert checkout == ({} if prefix() else state_of_checkout())


def test_these_tests_can_fail(lab: Lab, page: Page) -> None:
    """A cell that raises is reported, the cell after it as not executed; the controls of a small explorer do something, but for one."""
    lab.open(page, write_notebook(lab.folder, "good.ipynb", "", "1 + 1", EXPLORER))
    assert failures(run_all(page)) == []
    assert controls(page) == {"sliders": ["height"], "choices": ["way", "high", "deaf"]}
    move_every_slider(page, ["height"])
    assert Hand(page, "height").settle()[1] == "The line goes up to 9."
    take_every_choice(page, ["way", "high"])
    assert Hand(page, "way").settle()[1] == "The line goes down to 4.5."
    with pytest.raises(AssertionError, match="deaf: the picture's bytes are the same whatever is chosen"):
        take_every_choice(page, ["deaf"])
    assert ask(page, "assert way.value == 'up', way.value")["error"].startswith("NameError")
    assert moved(ask(page, MOVE)["printed"]) == 5
    if prefix():
        assert "Network is unreachable" in ask(page, "import socket; socket.create_connection(('127.0.0.1', 9), 5)")["error"]
        assert "Read-only file system" in ask(page, f"open({str(ROOT / 'written')!r}, 'w')")["error"]
    blind = "from course_lib.core.style import new_figure; new_figure()"  # without %matplotlib inline: only its name
    lab.open(page, write_notebook(lab.folder, "bad.ipynb", blind, "1 / 0", "2"))
    assert failures(run_all(page)) == [f"{blind!r}: a figure without its picture",
                                       "'1 / 0': ZeroDivisionError: division by zero", "'2': was not executed"]
