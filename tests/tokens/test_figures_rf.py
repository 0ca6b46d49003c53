"""The pictures of receptive fields show the numbers that they are given, on one scale, and are written under the names that were promised."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image
from torch.nn.functional import normalize

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import AveragePooling
from course_lib.tokens.fields import extract_rf_targets, field_resultant
from course_lib.tokens.figures_rf import (SCALE, create_rf_heatmap, distribution_figure, profile_figure, ranked_fields, save_rf_pictures,
                                          visualize_rf_reconstruction)
from course_lib.tokens.metrics import field_cosine

CHANCE = torch.Generator().manual_seed(0)
MAP = torch.tensor([[0.95, 0.7996, 0.80], [0.6, -0.2, 0.57]])
TOKENS = torch.randn(2, 8, 12, 5, generator=CHANCE) + 1
PICTURE = torch.rand(3, 32, 48, generator=CHANCE)
ORIGINAL, REBUILT = torch.randn(2, 6, 5, generator=CHANCE) + 0.5


def words(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_the_heat_map_shows_every_field_with_its_band_on_a_fixed_scale(tmp_path):
    figure = create_rf_heatmap(MAP, save_path=tmp_path / "a.png")
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), MAP.numpy())
    assert axes.images[0].norm is SCALE and (SCALE.vmin, SCALE.vmax) == (0.5, 1.0)
    assert words(axes) == ["0.95\nE", "0.79\nF", "0.80\nG", "0.60\nF", "−0.20\nP", "0.57\nP"]  # 0.7996 is not said to be 0.80
    assert axes.get_title(loc="center") == "1 excellent, 1 good, 2 fair, 2 poor" and "0.587" in figure.get_suptitle()
    assert Image.open(tmp_path / "a.png").size[0] > 400


def test_a_map_of_many_fields_has_colours_and_no_numbers():
    axes = create_rf_heatmap(torch.rand(24, 20, generator=CHANCE)).axes[0]
    assert words(axes) == [] and axes.images[0].get_array().shape == (24, 20)


def panels(**changes) -> list:
    return visualize_rf_reconstruction(ORIGINAL, REBUILT, (2, 3), **changes).axes


def test_a_field_is_shown_place_by_place_and_token_by_token():
    here, own, crossed, *_, bars = panels()
    x, y = (normalize(each, dim=1).numpy() for each in (ORIGINAL, REBUILT))
    np.testing.assert_allclose(own.images[0].get_array(), x @ x.T, atol=1e-6)
    np.testing.assert_allclose(crossed.images[0].get_array(), y @ x.T, atol=1e-6)
    each = np.diag(y @ x.T)
    np.testing.assert_allclose(here.images[0].get_array(), each.reshape(2, 3), atol=1e-6)
    np.testing.assert_allclose([bar.get_y() + bar.get_height() for bar in bars.patches], each, atol=1e-6)
    mean, ceiling = (line.get_ydata()[0] for line in bars.get_lines())
    assert mean == pytest.approx(each.mean()) and ceiling == pytest.approx(np.linalg.norm(x.mean(0)))
    assert {axes.images[0].norm for axes in (here, own, crossed)} == {SCALE}


def test_the_ceiling_drawn_is_the_resultant_and_pooling_stays_below_it():
    fields, pool = extract_rf_targets(TOKENS, (2, 3))[0], AveragePooling((2, 3))
    rebuilt = extract_rf_targets(pool.expand(pool(TOKENS)), (2, 3))[0]
    bars = visualize_rf_reconstruction(fields[4], rebuilt[4], (4, 4)).axes[-1]
    mean, ceiling = (line.get_ydata()[0] for line in bars.get_lines())
    assert ceiling == pytest.approx(float(field_resultant(TOKENS, (2, 3))[0, 1, 1])) and mean <= ceiling


def test_the_field_is_framed_in_the_picture_and_enlarged():
    whole, near, *rest = panels(number=7, output_grid=(4, 4), picture=PICTURE)
    frame = whole.patches[-1]
    assert (frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()) == (36, 8, 12, 8)  # row 1, column 3
    assert near.get_xlim() == (36, 48) and near.get_ylim() == (16, 8) and whole.get_xlabel() == "row 1, column 3"
    across, down = near.collections
    assert [segment[0, 0] for segment in across.get_segments()] == [40, 44] and [segment[0, 1] for segment in down.get_segments()] == [12]
    assert len(rest) == 5  # three maps, their scale, the bars


def test_profiles_are_means_of_rows_and_columns():
    cosines, resultant = field_cosine(TOKENS + 1, TOKENS, (4, 3)), field_resultant(TOKENS, (4, 3))
    rows, columns = profile_figure(cosines, resultant).axes
    for axes, axis in ((rows, 2), (columns, 1)):
        found, ceiling = (line.get_ydata() for line in axes.get_lines())
        np.testing.assert_allclose(found, cosines.mean((0, axis)), rtol=1e-5)
        np.testing.assert_allclose(ceiling, resultant.mean((0, axis)), rtol=1e-5)
    assert len(profile_figure(cosines).axes[0].get_lines()) == 1


def test_every_field_is_counted_once_and_in_the_colour_of_its_band():
    values = torch.tensor([0.95, 0.93, 0.9, 0.85, 0.61, 0.3, -0.2, 1.0])
    axes = distribution_figure(values, torch.full((8,), 0.7)).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["excellent: 38%", "good: 25%", "fair: 12%", "poor: 25%",
                                                                           "R of the same fields"]
    bars = [patch for patch in axes.patches if hasattr(patch, "get_height") and patch.get_height()]
    assert sum(bar.get_height() for bar in bars) == 8 and len({to_hex(bar.get_facecolor()) for bar in bars}) == 4


def test_best_median_and_worst_are_ranks():
    cosines = torch.tensor([[0.9, 0.2, 0.5], [0.7, 0.9, 0.1]])
    assert ranked_fields(cosines) == {"best": 0, "median": 2, "worst": 5}
    assert ranked_fields(torch.tensor([[0.3]])) == {"best": 0, "median": 0, "worst": 0}


@pytest.mark.parametrize("picture", [None, PICTURE])
def test_an_epoch_is_written_under_the_promised_names(picture, tmp_path):
    rebuilt = TOKENS + torch.randn(TOKENS.shape, generator=CHANCE)
    written = save_rf_pictures(tmp_path, 3, rebuilt, TOKENS, (4, 3), picture)
    ranks = ranked_fields(field_cosine(rebuilt, TOKENS, (4, 3))[0])
    names = ["rf_heatmap_epoch_3.png", *(f"rf_{name}_epoch_3_idx_{ranks[name]}.png" for name in ("best", "median", "worst"))]
    assert [path.name for path in written] == names and sorted(path.name for path in (tmp_path / "visualizations").iterdir()) == sorted(names)
    assert all(Image.open(path).size[0] > 400 for path in written)


def test_an_epoch_that_is_drawn_again_has_four_pictures_still(tmp_path):
    """Gone on from an earlier checkpoint with other settings, another field is the best."""
    other = TOKENS.flip(1, 2)
    for tokens in (TOKENS, other):
        written = save_rf_pictures(tmp_path, 3, tokens + torch.randn(TOKENS.shape, generator=CHANCE), tokens, (4, 3))
        assert sorted(written) == sorted((tmp_path / "visualizations").iterdir())


def test_fields_of_one_token_and_half_precision_can_be_drawn(tmp_path):
    assert len(save_rf_pictures(tmp_path, 0, TOKENS[:, :2, :3].half() + 1, TOKENS[:, :2, :3].half(), (2, 3))) == 4


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda: visualize_rf_reconstruction(ORIGINAL, REBUILT, (2, 2)), "a field of 2 × 2 places has 4 tokens, not 6 and 6"),
    (lambda: panels(picture=PICTURE), "to find field 0 in a picture give the output_grid"),
    (lambda: panels(picture=PICTURE, number=16, output_grid=(4, 4)), "to find field 16"),
    (lambda: create_rf_heatmap(MAP * float("nan")), "a cosine is missing or NaN"),
    (lambda: distribution_figure(torch.zeros(0)), "there is nothing to draw"),
    (lambda: save_rf_pictures("nowhere", 0, TOKENS, TOKENS, (5, 3)), "cannot be divided into 5 × 3"),
])
def test_what_cannot_be_drawn(make, sentence):
    with pytest.raises(BadInput, match=sentence):
        make()
