"""The pictures of notebook 13 show the numbers that they are given."""

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.core.errors import BadInput
from course_lib.tokens.comparison import Row
from course_lib.tokens.figures_survival import adaptive_figure, compressor_looks, promises_figure, survival_figure
from course_lib.tokens.metrics import Share


def row(name, rate, put_back, rebuilt):
    shares = [{"joint": Share(value, 0, 1, 9), "text R@1": Share(value / 2, 0, 1, 9)} for value in (put_back, rebuilt)]
    return Row(name, rate, 0.9, 0.8, 0.1, 5, 0.0, 9.0, 0.2, None, None, *shares)


def test_what_is_trained_is_thick_and_no_two_lines_look_alike():
    names = [*"abcdefgh", "learned", "RF, critic"]
    looks = compressor_looks(names)
    assert list(looks) == names and len({str(look) for look in looks.values()}) == len(names)
    assert [name for name, look in looks.items() if look["linewidth"] > 1] == ["learned", "RF, critic"]
    assert looks["learned"]["linestyle"] == "-" and looks["a"]["color"] != looks["learned"]["color"]


def test_answers_stand_at_their_rates_and_no_rate_is_no_line(tmp_path):
    rows = [row("CLS only", None, 0, 0), row("a", 16, 0.1, 0.4), row("a", 4, 0.2, 0.5), row("b", 4, -0.1, 0.3)]
    figure = survival_figure(rows, ("joint", "text R@1"), {"joint": 0.6, "text R@1": 0.3}, save_path=tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size[0] > 400
    above, _, below, right = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["joint, put back", "text R@1, put back", "joint, rebuilt", "text R@1, rebuilt"]
    np.testing.assert_allclose(above.lines[0].get_xydata(), [[4, 0.2], [16, 0.1]])
    np.testing.assert_allclose(above.lines[1].get_xydata(), [[4, -0.1]])
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[4, 0.25], [16, 0.2]])
    assert [line.get_ydata()[0] for line in below.lines[2:]] == [0.0, 0.6]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    with pytest.raises(BadInput, match="^give at least one compressor with a rate"):
        survival_figure(rows[:1], ("joint",), {"joint": 1.0})


def test_adapted_marks_stand_beside_the_line_and_tokens_are_counted():
    chosen = torch.tensor([[9.0, 1.0], [4.0, 1.0]])
    figure = adaptive_figure([(36, 0.03), (16, 0.06)], {"by region": (20, 0.02)}, {2: 12.4, 3: 20.0}, chosen, torch.rand(3, 8, 8))
    curve, bars, _, regions = figure.axes[:4]
    np.testing.assert_allclose(curve.lines[0].get_xydata(), [[16, 0.06], [36, 0.03]])
    np.testing.assert_allclose(curve.lines[1].get_xydata(), [[20, 0.02]])
    assert [bar.get_height() for bar in bars.patches] == [12.4, 20.0] and [text.get_text() for text in bars.texts] == ["12", "20"]
    np.testing.assert_allclose(regions.images[0].get_array(), chosen.numpy())
    with pytest.raises(BadInput, match="^give two fixed rates"):
        adaptive_figure([(36, 0.03)], {"a": (1, 1)}, {2: 1.0}, chosen, torch.rand(3, 8, 8))


def test_kept_promises_are_ticked():
    figure = promises_figure({"a": {"x": True, "y": False}, "b": {"x": False, "y": False}})
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["✓", "✗", "✗", "✗"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"] and [label.get_text() for label in axes.get_xticklabels()] == ["x", "y"]
    with pytest.raises(BadInput, match="^every compressor needs an answer"):
        promises_figure({"a": {"x": True}, "b": {"y": True}})
