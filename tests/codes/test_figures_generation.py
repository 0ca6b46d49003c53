"""The figures of notebook 08 show the numbers they are given."""

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from course_lib.codes import figures_generation as figures
from course_lib.codes.figures_generation import BAR, FRAME, STEP, TILE, VERDICTS
from course_lib.codes.metrics import judge
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput

WORLD = RuleWorld(64)
ROW = {"right": 0.6, "low": 0.5, "high": 0.7, "unparsable": 0.1, "wrong_number": 0.05, "same_colour": 0.25}


@pytest.fixture(scope="module")
def judged():
    """Five pictures with all four verdicts, and a true one more."""
    states = WORLD.first(5)
    present = (states[2] > 0).nonzero()[:2, 0]
    states[2, present[1]] = states[2, present[0]]  # twice the same object
    states[3, (states[3] > 0).nonzero()[0, 0]] = 0
    images = WORLD.compose(states)["image"]
    images[1] = 0.5
    return images, judge(images, WORLD)


def test_verdicts_have_names(judged):
    assert figures.names_of(judged[1]) == ["right", "unparsable", "same_colour", "wrong_number", "right"]
    assert list(VERDICTS) == list(judged[1])
    assert len({look.colour for look in VERDICTS.values()}) == len({look.words for look in VERDICTS.values()}) == 4
    with pytest.raises(BadInput, match="exactly one verdict"):
        figures.names_of(judged[1] | {"right": ~judged[1]["right"]})


def test_each_tile_of_a_sheet_is_its_picture_in_its_colour(judged):
    images, found = judged
    names = figures.names_of(found)
    paper = figures.sheet(images, names, columns=3)
    across, down = STEP
    assert paper.shape == (2 * down - 8, 3 * across - 8, 3)
    for number, name in enumerate(names):
        top, left = number // 3 * down, number % 3 * across
        tile = paper[top + BAR : top + BAR + TILE, left + FRAME : left + FRAME + TILE]
        assert torch.equal(tile[::2, ::2], images[number].permute(1, 2, 0))
        for y, x in ((top, left), (top + BAR + TILE, left + 9), (top + 40, left + FRAME + TILE)):
            assert paper[y, x].tolist() == pytest.approx(to_rgb(VERDICTS[name].colour))
    assert (paper[-down + 8 :, -across + 8 :] == 1).all()  # the sixth place is empty
    with pytest.raises(BadInput, match="there are 5 and 4"):
        figures.sheet(images, names[:4], 3)


def test_sheet_and_gallery_say_the_verdicts(judged):
    images, found = judged
    (axes,) = figures.verdict_sheet(images, found, 3, notes=["a", "b", "c"]).axes
    said = [text.get_text() for text in axes.texts]
    assert said == [VERDICTS[name].words for name in figures.names_of(found)] + ["a", "b", "c"]
    figure = figures.gallery_figure([("one", "some words", images, found), ("two", "more", images, found)])
    assert len(figure.axes) == 4 and [text.get_text() for text in figure.axes[1].texts] == ["one", "some words"]
    with pytest.raises(BadInput, match="2 notes for 5 columns"):
        figures.verdict_sheet(images, found, notes=["a", "b"])
    with pytest.raises(BadInput, match="same number of pictures"):
        figures.gallery_figure([("one", "", images, found), ("two", "", images[:2], {k: v[:2] for k, v in found.items()})])


def test_accuracy_has_bars_intervals_and_chance():
    rows = {"a": ROW, "b": ROW | {"right": 0.2, "low": 0.1, "high": 0.3, "unparsable": 0.5}}
    left, right = figures.accuracy_figure(rows, 0.656).axes
    assert [bar.get_width() for bar in left.patches] == [0.6, 0.2]
    assert [list(line.get_xdata()) for line in left.lines] == [[0.5, 0.7], [0.1, 0.3], [0.656, 0.656]]
    assert "66%" in left.texts[-1].get_text() and [label.get_text() for label in left.get_yticklabels()] == ["a", "b"]
    ends = [max(bar.get_x() + bar.get_width() for bar in right.patches if bar.get_y() == y) for y in {bar.get_y() for bar in right.patches}]
    assert ends == pytest.approx([1, 1])


def test_nll_is_split_at_the_entropy_and_has_bits():
    figure = figures.nll_figure({"above": 20.0, "below": 10.0}, 15.0, {"mark": 30.0})
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [15, 10, 5, 0]
    (bits,) = axes.child_axes
    figure.draw_without_rendering()
    assert np.array(bits.get_xlim()) == pytest.approx(np.array(axes.get_xlim()) / math.log(2))
    assert {"entropy of the world: 15.00", "mark: 30.00"} <= {text.get_text() for text in axes.texts}


def test_learning_positions_choices_and_temperatures():
    (axes,) = figures.learning_figure({"loss": [3.0, 2.0], "nll": [2.5, 2.4]}, {"entropy": 1.5}).axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[3, 2], [2.5, 2.4], [1.5, 1.5]]
    measured, exact = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    (axes,) = figures.positions_figure(measured, ["p", "q"], exact, ceiling=5.0).axes
    assert [bar.get_height() for bar in axes.patches[:4]] == [1, 2, 3, 4] and list(axes.lines[0].get_ydata()) == [1, 1, 2, 2]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["p", "q", "p", "q"]
    axes = figures.choices_figure(measured / 10, ["x", "y"], [[0], []], ["r", "s"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["× 0.10", "0.20", "0.30", "0.40"]
    (axes,) = figures.temperature_figure({0.5: ROW | {"different": 1.0}, 1.0: ROW | {"different": 0.9}}, 0.656).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert lines["different scenes"] == [1.0, 0.9] and lines["right, with its interval"] == [0.6, 0.6] and "copies of training scenes" not in lines


@pytest.mark.parametrize(("draw", "words"), [
    (lambda: figures.accuracy_figure({}), "there is nothing to compare"), (lambda: figures.nll_figure({}, 1.0), "there is nothing to compare"),
    (lambda: figures.temperature_figure({}), "there is no temperature to show"),
    (lambda: figures.gallery_figure([]), "a gallery needs at least one row"), (lambda: figures.learning_figure({"loss": [1.0]}, {}), "this one has loss"),
    (lambda: figures.positions_figure(torch.ones(2, 2), ["p"]), "2 × 2 positions need 2 names"),
    (lambda: figures.choices_figure(torch.ones(2, 2), ["x"], [[], []], ["r", "s"]), "2 × 2 probabilities need 2 options, 2 names of rows")])
def test_bad_input(draw, words):
    with pytest.raises(BadInput, match=words):
        draw()


def test_every_figure_can_be_drawn(judged):
    images, found = judged
    for figure in (figures.verdict_sheet(images, found, 3), figures.accuracy_figure({"a": ROW}), figures.nll_figure({"a": 3.0}, 5.0),
                   figures.positions_figure(torch.ones(1, 2), ["p", "q"])):
        assert isinstance(figure, Figure)
        figure.canvas.draw()
        assert len(np.unique(np.asarray(figure.canvas.buffer_rgba()))) > 2  # not a white page
