"""The pictures of single tokens show the numbers that they are given."""

import numpy as np
import pytest
import torch

from course_lib.core.errors import BadInput
from course_lib.tokens.figures_tokens_clip import breakdown_figure, movement_figure, probe_figure, thinning_figure

CHANCE = {"kind": 1 / 3, "colour": 1 / 8, "other colour": 1 / 8}


def test_a_probe_is_a_line_over_the_layers():
    figure = probe_figure({"middle": {"kind": [0.4, 0.5, 0.6], "other colour": [0.1, 0.2, 0.3]}, "mean": {"kind": [0.5, 0.6, 0.7]}}, CHANCE, 1)
    first, second = figure.axes
    assert first.lines[0].get_xydata().tolist() == [[0, 0.4], [1, 0.5], [2, 0.6]] and second.lines[0].get_ydata().tolist() == [0.5, 0.6, 0.7]
    assert first.lines[3].get_ydata()[0] == pytest.approx(1 / 8) and first.get_title(loc="left") == "middle"
    assert [text.get_text() for text in first.get_xticklabels()] == ["0, input", "1, or −2", "2, or −1"]
    assert first.patches[0].get_x() == pytest.approx(0.7)
    assert [text.get_text() for text in probe_figure({"a": {"kind": 5 * [0.5]}}, CHANCE, 3).axes[0].get_xticklabels()] == [
        "0, input", "1", "2", "3, or −2", "4, or −1"]
    with pytest.raises(BadInput, match="no probe"):
        probe_figure({}, CHANCE, 1)


def test_movement_is_on_one_scale_and_says_how_much_is_elsewhere():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    changed = torch.zeros(4, 4, dtype=torch.bool)
    changed[1, 2] = changed[1, 3] = True
    moved = torch.full((4, 4), 1.0)
    moved[changed] = 7.0
    figure = movement_figure(images, {"layer 0": moved * changed, "layer 1": moved}, changed)
    panels = [axes for axes in figure.axes if axes.images][:4]
    assert [axes.get_title(loc="left") for axes in panels] == ["picture", "its neighbour", "layer 0", "layer 1"]
    np.testing.assert_allclose(panels[1].images[0].get_array(), images[1].permute(1, 2, 0))
    np.testing.assert_allclose(panels[3].images[0].get_array(), moved / 7)
    assert [axes.get_xlabel() for axes in panels[2:]] == ["0% of it elsewhere", "50% of it elsewhere"]
    assert {frame.get_xy() for frame in panels[3].patches} == {(1.5, 0.5), (2.5, 0.5)}
    with pytest.raises(BadInput, match="no movement"):
        movement_figure(images, {}, changed)


def test_thinning_is_a_line_for_each_layer_in_a_panel_for_each_question():
    found = {"layer 1": {"kind": [0.3, 0.6, 0.9], "colour": [0.1, 0.5, 0.9]}, "layer 2": {"kind": [0.5, 0.7, 0.9], "colour": [0.4, 0.6, 0.9]}}
    kind, colour = thinning_figure([0.0, 0.5, 1.0], found, CHANCE).axes
    assert [line.get_ydata().tolist() for line in kind.lines[:2]] == [[0.3, 0.6, 0.9], [0.5, 0.7, 0.9]]
    assert kind.lines[2].get_ydata()[0] == pytest.approx(1 / 3) and colour.get_title(loc="left") == "colour"
    assert [text.get_text() for text in colour.get_xticklabels()] == ["CLS only", "50%", "100%"]
    with pytest.raises(BadInput, match="no layer"):
        thinning_figure([0.0], {}, CHANCE)


def test_groups_have_their_intervals():
    groups = {"small": {"kind": (0.5, 0.4, 0.6), "colour": (0.9, 0.8, 0.95)}, "large": {"kind": (0.8, 0.7, 0.85), "colour": (1.0, 0.9, 1.0)}}
    kind, colour = breakdown_figure(groups, CHANCE).axes
    np.testing.assert_allclose(kind.lines[0].get_xydata(), [[0.5, 0], [0.8, 1]])
    segments = kind.collections[0].get_segments()
    np.testing.assert_allclose([segment[:, 0] for segment in segments], [[0.4, 0.6], [0.7, 0.85]])
    assert [text.get_text() for text in kind.get_yticklabels()] == ["small", "large"] and colour.get_title(loc="left") == "colour"
    with pytest.raises(BadInput, match="no group"):
        breakdown_figure({}, CHANCE)
