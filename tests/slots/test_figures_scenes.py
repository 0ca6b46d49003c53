"""Figures of notebook 05: a table prints every number on a fixed scale."""

import torch

from course_lib.slots.figures_scenes import table_figure


def test_a_table_prints_every_number_on_the_scale_from_0_to_1():
    values = torch.tensor([[0.2, 0.4, 0.31], [0.5, 0.25, 0.99]])
    axes, bar = table_figure(values, ["a", "b"], ["x", "y", "z"], "two rows", "share").axes
    assert [text.get_text() for text in axes.texts] == ["0.20", "0.40", "0.31", "0.50", "0.25", "0.99"]
    assert axes.images[0].get_clim() == (0, 1)  # not those of the numbers: two tables can be compared
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"] and bar.get_ylabel() == "share"


def test_words_on_light_ground_are_dark_and_on_dark_ground_light():
    axes = table_figure(torch.tensor([[0.0, 1.0]]), ["a"], ["x", "y"], "", "").axes[0]
    assert [text.get_color() for text in axes.texts] == ["white", "black"]
