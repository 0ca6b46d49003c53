"""The pictures of contrast show the numbers that they are given."""

import math

import numpy as np
import pytest
import torch

from course_lib.core.errors import BadInput
from course_lib.tokens.captions import FACTORS
from course_lib.tokens.figures_contrast import CHANGES_SHOWN, captioned_figure, changes_figure, matrix_figure, scale_figure, training_figure
from course_lib.tokens.losses_clip import least_loss

CHANCE = {"kind": 1 / 3, "colour": 1 / 8, "size": 1 / 2, "place": 1 / 6}
EPOCHS = {"loss": [3.0, 2.0, 1.5]} | {name: [0.1 * k, 0.2 * k, 0.25 * k] for k, name in enumerate(FACTORS)}


def test_every_picture_has_its_caption():
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    figure = captioned_figure(images, [f"caption {k}" for k in range(5)])
    assert len(figure.axes) == 5
    for k, axes in enumerate(figure.axes):
        assert axes.get_xlabel() == f"caption {k}"
        np.testing.assert_allclose(axes.images[0].get_array(), images[k].permute(1, 2, 0))
    for pictures, texts in ((images, ["one"]), (images[:0], [])):
        with pytest.raises(BadInput, match="need as many captions"):
            captioned_figure(pictures, texts)


def test_matrices_share_a_scale_and_name_their_means():
    first = torch.tensor([[0.9, 0.1], [-0.1, 0.7]])
    figure = matrix_figure({"start": first, "end": torch.eye(2)})
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in panels] == ["start", "end"]
    assert panels[0].get_xlabel() == "caption\npairs +0.80, others +0.00"
    assert {(axes.images[0].norm.vmin, axes.images[0].norm.vmax) for axes in panels} == {(-0.5, 1)}
    np.testing.assert_allclose(panels[0].images[0].get_array(), first)
    with pytest.raises(BadInput, match="no matrix"):
        matrix_figure({})


def test_a_training_is_its_loss_and_what_it_answers():
    left, right = training_figure(EPOCHS, 32, CHANCE, steps=20).axes
    assert left.lines[0].get_xydata().tolist() == [[20, 3.0], [40, 2.0], [60, 1.5]]
    assert left.lines[1].get_ydata()[0] == pytest.approx(math.log(32))
    drawn = {line.get_label(): line.get_ydata().tolist() for line in right.lines}
    assert all(drawn[name] == EPOCHS[name] for name in FACTORS)
    assert {round(float(line.get_ydata()[0]), 4) for line in right.lines[1::2]} == {round(value, 4) for value in CHANCE.values()}
    with pytest.raises(BadInput, match="^the history lacks kind, colour, size, place; "):
        training_figure({"loss": [1.0]}, 32, CHANCE)


def test_the_scale_bounds_the_loss():
    axes = scale_figure(64, {"live": (14.0, 2.0), "shipped": (50.0, 0.1)}).axes[0]
    scale, least = axes.lines[0].get_data()
    np.testing.assert_allclose(least, [float(least_loss(64, float(s))) for s in scale], atol=1e-5)
    assert [tuple(line.get_xydata()[0]) for line in axes.lines[2:]] == [(14.0, 2.0), (50.0, 0.1)]
    assert "shipped: s = 50, loss 0.10" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_changes_are_marks_beside_the_first_ones_mean():
    rows = [{"change": change, "seed": seed, **{measure: value + 0.1 * seed for measure, _ in CHANGES_SHOWN}}
            for change, value in (("as_it_is", 0.6), ("no_contrast", 0.2)) for seed in (0, 1)]
    figure = changes_figure(rows, CHANCE)
    assert len(figure.axes) == len(CHANGES_SHOWN)
    for axes, (measure, _) in zip(figure.axes, CHANGES_SHOWN):
        np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0.6, 0], [0.7, 0], [0.2, 1], [0.3, 1]])
        assert axes.lines[1].get_xdata()[0] == pytest.approx(0.65)
        assert [line.get_xdata()[0] for line in axes.lines[2:]] == ([] if measure == "alike" else [CHANCE.get(measure.split("_")[0], 0.5)])
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["as it is", "no contrast"]
    with pytest.raises(BadInput, match="no row"):
        changes_figure([], CHANCE)
