"""The pictures of notebook 12 draw what they are given."""

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.core.errors import BadInput
from course_lib.tokens.figures_fields import FAINT, Index, ceiling_figure, dependence_figure, index_figure, training_figure, where_figure
from course_lib.tokens.metrics import BANDS


def test_fields_have_their_numbers_and_the_chosen_places_lie_in_them(tmp_path):
    figure = index_figure([Index("a", (4, 6), (2, 2), torch.tensor([0, 5, 13, 22]))], tmp_path / "a.png")
    (axes,) = figure.axes
    assert [(text.get_text(), text.get_position()) for text in axes.texts] == [("0", (1.0, 0.5)), ("1", (4.0, 0.5)), ("2", (1.0, 2.5)), ("3", (4.0, 2.5))]
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), [[0, 0], [5, 0], [1, 2], [4, 3]])
    assert "2 × 2 fields of 2 × 3" in axes.get_title(loc="left") and Image.open(tmp_path / "a.png").width > 100
    shade = axes.images[0].get_array()
    assert shade[0, 0] == shade[3, 5] != shade[0, 5] == shade[3, 0]


def test_points_of_the_ceiling_are_r_and_cosine_and_those_above_are_counted():
    resultant, cosine = torch.tensor([[0.5, 0.9], [0.7, 0.8]]), torch.tensor([[0.5, 0.95], [0.6, 0.9]])
    first, second = ceiling_figure(resultant, {"one": resultant, "two": cosine}).axes
    np.testing.assert_allclose(second.collections[0].get_offsets(), torch.stack([resultant.flatten(), cosine.flatten()], 1))
    assert first.get_title(loc="left").endswith("above R: 0%") and "mean 0.738, above R: 50%" in second.get_title(loc="left")


def test_a_training_shows_each_run_and_the_bands_of_one():
    runs = {name: {"held_out_unexplained": [1.0, start], **{f"held_out_{band}": [float(k), 9.0 - k] for k, band in enumerate(BANDS)}}
            for name, start in (("conv", 0.5), ("attention", 0.25))}
    left, right = training_figure(runs, "attention", 0.4, "pooling").axes
    lines = {line.get_label(): line for line in left.lines}
    np.testing.assert_allclose(lines["attention"].get_ydata(), [1.0, 0.25])
    assert lines["pooling"].get_ydata()[0] == 0.4 and right.get_title(loc="left") == "attention"
    assert [area.get_label() for area in right.collections] == list(BANDS) and right.get_ylim()[1] == 30
    with pytest.raises(BadInput, match="no run 'mean' .* conv, attention"):
        training_figure(runs, "mean")


def test_where_errors_are_maps_and_means_of_bins():
    objects, error = torch.tensor([[[0.0, 0.05], [0.2, 0.6]]]), torch.tensor([[[1.0, 2.0], [3.0, 10.0]]])
    figure = where_figure(torch.rand(1, 3, 4, 4), objects, error, torch.cat([objects, objects]), {"RF": torch.cat([error, error + 2])})
    *maps, chart = figure.axes
    np.testing.assert_allclose(maps[2].images[0].get_array(), error[0])
    np.testing.assert_allclose(maps[1].images[0].get_array(), objects[0])
    line = next(line for line in chart.lines if line.get_label() == "RF")
    np.testing.assert_allclose(line.get_ydata(), np.array([2.0, 3, 4, np.nan, 11]) / 5, rtol=1e-6)


def test_dependence_is_relative_and_framed():
    share = torch.zeros(4, 4)
    share[1, 2], share[0, 0] = 0.8, 0.2
    axes = dependence_figure({"trained": share}, {"trained": (0, 2, 2, 2)}, {"trained": "80% inside"}).axes[0]
    drawn = axes.images[0].get_array()
    assert drawn[1, 2] == 1 and drawn[0, 0] == pytest.approx(0.25) and drawn[3, 3] == pytest.approx(FAINT)
    frame = axes.patches[0]
    assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((1.5, -0.5), 2, 2) and axes.get_xlabel() == "80% inside"


@pytest.mark.parametrize(("call", "words"), [
    (lambda: index_figure([]), "at least one pair of grids"), (lambda: ceiling_figure(torch.ones(2), {}), "at least one compressor"),
    (lambda: dependence_figure({}, {}, {}), "there must be one"),
    (lambda: dependence_figure({"a": torch.ones(2, 2)}, {}, {}), "every panel needs shares, a frame and a note")])
def test_nothing_to_draw_is_said(call, words):
    with pytest.raises(BadInput, match=words):
        call()
