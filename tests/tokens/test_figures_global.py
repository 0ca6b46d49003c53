"""The pictures of notebook 11 show the numbers that they are given."""

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.core.errors import BadInput
from course_lib.tokens.figures_global import Bars, Bug, bars_figure, bugs_figure, games_figure, grids_figure, line_critics_figure, opponents_figure
from course_lib.tokens.figures_tokens import token_colours

CHANCE = torch.Generator().manual_seed(0)
IMAGE = torch.rand(3, 40, 60, generator=CHANCE)
GRID, SMALL, OTHER = (torch.randn(*size, 5, generator=CHANCE) for size in ((4, 6), (2, 3), (4, 6)))


def pictures(figure) -> list:
    return [axes for axes in figure.axes if axes.images]


def shown(axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def test_grids_have_one_basis_and_their_titles(tmp_path):
    figure = grids_figure(IMAGE, GRID, [{"a": SMALL, "b": OTHER}, {"c": OTHER}], save_path=tmp_path / "a.png")
    found = {axes.get_title(loc="left"): shown(axes) for axes in pictures(figure)}
    assert list(found) == ["as CLIP sees it", "a", "b", "4 × 6 tokens", "c"] and Image.open(tmp_path / "a.png").size[0] > 400
    original, small, other = token_colours(GRID, [SMALL, OTHER])
    for name, colours in {"4 × 6 tokens": original, "a": small, "b": other, "c": other}.items():
        np.testing.assert_allclose(found[name], colours.numpy())
    np.testing.assert_allclose(found["as CLIP sees it"], IMAGE.movedim(0, 2).numpy())


def test_bars_are_as_long_as_their_values_and_stand_beside_the_line():
    rows = {"first": 0.25, "second": -0.5}
    figure = bars_figure([Bars("one", rows, 0.3, "floor"), Bars("two", {"first": 2.0, "second": 7.0}, form=".0f")])
    left, right = figure.axes
    assert [bar.get_width() for bar in left.patches] == [0.25, -0.5] and [bar.get_width() for bar in right.patches] == [2, 7]
    assert [label.get_text() for label in left.get_yticklabels()] == ["first", "second"]
    assert [text.get_text() for text in left.texts] == ["0.25", "−0.50"] and [text.get_text() for text in right.texts] == ["2", "7"]
    assert list(left.lines[0].get_xdata()) == [0.3, 0.3] and left.get_legend().get_texts()[0].get_text() == "floor" and not right.lines
    low, high = left.get_xlim()
    assert low < -0.5 and high > 0.3 and left.yaxis_inverted()


def test_a_critic_on_a_line_is_drawn_with_its_slope():
    real, fake = torch.linspace(-2, 2, 50)[:, None], torch.full((9, 1), -1.0)
    figure = line_critics_figure(real, fake, {"parabola": lambda x: 3 + x**2, "line": lambda x: 2 * x}, limits=(-4, 4))
    (_, first, second), (_, _, straight) = np.array(figure.axes, dtype=object).reshape(3, 2).T
    x, value = first.lines[0].get_data()
    np.testing.assert_allclose(value, x**2 - np.square(real.numpy()).mean(), atol=1e-4)  # 0 on average over the data
    np.testing.assert_allclose(second.lines[0].get_ydata(), 2 * x, atol=1e-5)
    assert {line.get_ydata()[0] for line in second.lines[1:]} == {-1, 1}
    np.testing.assert_allclose(straight.lines[0].get_ydata(), 2, atol=1e-6)
    top = figure.axes[0]
    assert sum(bar.get_height() for bar in top.patches) == pytest.approx(1) and top.lines[0].get_xdata()[0] == -1


def test_samples_of_fakes_that_differ_are_a_histogram():
    top = line_critics_figure(torch.zeros(4, 1), torch.tensor([[0.0], [1.0]]), {"c": lambda x: x}).axes[0]
    assert top.lines[0].get_xdata()[0] == 0 and sum(bar.get_height() for bar in top.patches) == pytest.approx(1)


def test_games_show_truth_and_claim():
    games = {"a": {"w1": [3.0, 2.0], "wasserstein": [1.0, 2.5]}, "b": {"w1": [5.0], "wasserstein": [-1.0]}}
    first, second = games_figure(games, 20.0, "limit").axes
    assert list(first.lines[0].get_ydata()) == [3, 2] and list(first.lines[1].get_ydata()) == [1, 2.5] and first.lines[2].get_ydata()[0] == 20
    assert first.get_ylim() == second.get_ylim()  # one scale
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["true distance W1", "what the critic says", "limit"]


def test_opponents_stand_one_above_the_other_with_their_note():
    figure = opponents_figure(GRID, {"fair": (SMALL, SMALL + 1), "unfair": (GRID, OTHER)}, {"fair": "half", "unfair": "always"})
    above, _, below, other = figure.axes
    _, *colours = token_colours(GRID, [SMALL, SMALL + 1, GRID, OTHER])
    for axes, expected in zip((above, below), colours):
        np.testing.assert_allclose(shown(axes), expected.numpy())
    np.testing.assert_allclose(shown(other), colours[3].numpy())
    assert above.get_ylabel() == "real\n2 × 3" and other.get_ylabel() == "4 × 6" and other.get_xlabel() == "always"


def test_a_bug_is_shown_beside_the_sound_number():
    figure = bugs_figure([Bug("norm", "slope", 1.0, 35.7, "far too steep"), Bug("root", "NaN", 0.0, 1.0, "all gone", ".0%")])
    bars, words, shares, _ = figure.axes
    assert [bar.get_width() for bar in bars.patches] == [1, 35.7] and [text.get_text() for text in bars.texts] == ["1.00", "35.70"]
    assert [text.get_text() for text in shares.texts] == ["0%", "100%"] and shares.patches[1].get_hatch()
    assert [text.get_text() for text in words.texts] == ["norm", "far too steep"] and bars.get_title(loc="left") == "slope"


@pytest.mark.parametrize(("make", "words"), [
    (lambda: grids_figure(IMAGE, GRID, []), "not 0"), (lambda: grids_figure(IMAGE, GRID, [{}]), "at least one grid"),
    (lambda: bars_figure([]), "every panel"), (lambda: bars_figure([Bars("a", {"x": 1}), Bars("b", {"y": 1})]), "the same names"),
    (lambda: line_critics_figure(GRID[0, :, :1], GRID[0, :, :1], {}), "at least one critic"), (lambda: games_figure({}), "at least one game"),
    (lambda: opponents_figure(GRID, {"a": (GRID, GRID)}, {}), "two grids and a note"), (lambda: bugs_figure([]), "at least one bug")])
def test_what_cannot_be_drawn(make, words):
    with pytest.raises(BadInput, match=words):
        make()
