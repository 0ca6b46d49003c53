"""What is lost of each field: loss and statistics against the measures of the whole grid and against double precision."""

import pytest
import torch
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import AveragePooling, MeanToken
from course_lib.tokens.fields import extract_rf_targets, field_resultant
from course_lib.tokens.losses import RECONSTRUCTIONS
from course_lib.tokens.losses_rf import RF_RECONSTRUCTIONS, band_of, compute_rf_statistics, rf_reconstruction_loss
from course_lib.tokens.metrics import BANDS, bands, centred_cosine, field_cosine, variance_unexplained

SIZES = pytest.mark.parametrize(("grid", "output"), [((8, 12), (4, 3)), ((6, 6), (6, 6)), ((4, 9), (1, 3))])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def grids(grid: tuple[int, int], batch: int = 3, dim: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(rebuilt, tokens, mean), the mean far from 0 as CLIP's is."""
    mean = 4 * torch.randn(dim)
    tokens = mean + torch.randn(batch, *grid, dim)
    return tokens + 0.7 * torch.randn_like(tokens), tokens, mean


@SIZES
@pytest.mark.parametrize("kind", RF_RECONSTRUCTIONS)
def test_the_loss_over_fields_is_the_loss_over_the_grid(kind, grid, output):
    rebuilt, tokens, _ = grids(grid)
    found = rf_reconstruction_loss(extract_rf_targets(rebuilt, output), extract_rf_targets(tokens, output), kind)
    torch.testing.assert_close(found.loss, RECONSTRUCTIONS[kind](rebuilt, tokens))
    torch.testing.assert_close(found.loss, found.per_field.mean())


@pytest.mark.parametrize("kind", RF_RECONSTRUCTIONS)
def test_the_loss_of_a_field_is_that_of_its_tokens_alone(kind):
    rebuilt, targets = torch.randn(2, 4, 6, 9, 5)
    found = rf_reconstruction_loss(rebuilt, targets, kind).per_field
    assert found.shape == (4, 6)
    torch.testing.assert_close(found[2, 3], RECONSTRUCTIONS[kind](rebuilt[2:3, 3:4], targets[2:3, 3:4]))
    worse = rebuilt.clone()
    worse[1, 4, 7] -= 5 * targets[1, 4, 7]
    moved = rf_reconstruction_loss(worse, targets, kind).per_field - found
    assert moved[1, 4] > 0 and (moved != 0).sum() == 1
    assert rf_reconstruction_loss(targets, targets, kind).loss.abs() < 1e-6


def test_statistics_are_the_measures_of_the_grid_by_field():
    rebuilt, tokens, mean = grids((8, 12))
    found, output = compute_rf_statistics(rebuilt, tokens, (4, 3), mean), (4, 3)
    torch.testing.assert_close(found.cosine, field_cosine(rebuilt, tokens, output))
    torch.testing.assert_close(found.resultant, field_resultant(tokens, output))
    torch.testing.assert_close(found.centred_cosine, field_cosine(rebuilt - mean, tokens - mean, output))
    torch.testing.assert_close(found.of_ceiling, found.cosine / found.resultant)
    assert found.variance_unexplained == pytest.approx(variance_unexplained(rebuilt, tokens, mean), rel=1e-5)
    torch.testing.assert_close(found.error.flatten(1), extract_rf_targets((rebuilt - tokens).square(), output).sum((2, 3)))
    torch.testing.assert_close(found.variance.flatten(1), extract_rf_targets((tokens - mean).square(), output).sum((2, 3)))
    torch.testing.assert_close(found.rows, found.cosine.mean(2)), torch.testing.assert_close(found.columns, found.cosine.mean(1))
    assert {name: int(many) for name, many in zip(BANDS, found.bands.sum(0))} == bands(found.cosine)


def test_no_digits_are_lost_beside_double_precision():
    """A mean a hundred times the spread, an outlier channel, and a reconstruction that is nearly perfect."""
    mean = torch.randn(64) * 100
    mean[3] = 5000
    tokens = mean + torch.randn(2, 6, 6, 64)
    rebuilt = tokens + 1e-2 * torch.randn_like(tokens)
    found, exact = compute_rf_statistics(rebuilt, tokens, (3, 3), mean), [each.double() for each in (rebuilt, tokens, mean)]
    loss = 1 - field_cosine(*(each - exact[2] for each in exact[:2]), (3, 3))
    torch.testing.assert_close(1 - found.centred_cosine.double(), loss, rtol=0.05, atol=2e-7)
    assert found.variance_unexplained == pytest.approx(variance_unexplained(*exact), rel=1e-3)
    torch.testing.assert_close(found.cosine.double(), field_cosine(*exact[:2], (3, 3)), rtol=0, atol=1e-6)


def test_the_constant_mean_token_explains_nothing():
    _, tokens, mean = grids((6, 6))
    model = MeanToken(5)
    model.mean.copy_(mean)
    found = compute_rf_statistics(model.expand(model(tokens)), tokens, (3, 3), mean)
    assert found.variance_unexplained == pytest.approx(1) and not found.centred_cosine.any()
    assert found.cosine.mean() > 0.8  # and still it looks well: all tokens share their mean


def test_perfect_fields_have_one_and_exceed_r_and_a_single_token_does_not():
    _, tokens, mean = grids((8, 8))
    perfect, pool = compute_rf_statistics(tokens, tokens, (4, 4), mean), AveragePooling((4, 4))
    torch.testing.assert_close(perfect.cosine, torch.ones(3, 4, 4))
    assert perfect.variance_unexplained == 0 and (perfect.of_ceiling > 1).all() and perfect.bands.tolist() == [[16, 0, 0, 0]] * 3
    single = compute_rf_statistics(pool.expand(pool(tokens)), tokens, (4, 4), mean)
    assert (single.of_ceiling <= 1 + 1e-6).all()
    alone = compute_rf_statistics(tokens + 1, tokens, (8, 8), mean)  # a field of one token: R = 1
    torch.testing.assert_close(alone.of_ceiling, alone.cosine)


def test_bands_end_where_they_are_said_to():
    cosines = torch.tensor([1.0, 0.91, 0.9, 0.8, 0.79, 0.6, 0.59, -1.0])
    assert band_of(cosines).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert bands(cosines) == dict(zip(BANDS, band_of(cosines).bincount().tolist()))


def test_summary_is_of_plain_numbers_and_bands_are_fields_per_picture():
    rebuilt, tokens, mean = grids((8, 12), batch=5)
    found = compute_rf_statistics(rebuilt, tokens, (4, 3), mean)
    plain = found.summary()
    assert all(type(value) is float for value in plain.values())
    assert sum(plain[name] for name in BANDS) == pytest.approx(12)
    assert plain["row_2"] == pytest.approx(float(found.cosine[:, 2].mean())) and "row_4" not in plain and "column_2" in plain
    assert plain["cosine"] == pytest.approx(float(F.cosine_similarity(rebuilt, tokens, dim=-1).mean()))
    assert plain["centred_cosine"] == pytest.approx(float(centred_cosine(rebuilt, tokens, mean).mean()))
    assert plain["unexplained"] == pytest.approx(variance_unexplained(rebuilt, tokens, mean), rel=1e-5)


def test_half_precision_and_views_are_measured_as_they_are():
    rebuilt, tokens, mean = grids((8, 8))
    exact = compute_rf_statistics(rebuilt.half().float(), tokens.half().float(), (2, 2), mean)
    for one, other in zip(compute_rf_statistics(rebuilt.half(), tokens.half(), (2, 2), mean), exact):
        torch.testing.assert_close(one, other)
    turned = compute_rf_statistics(rebuilt.transpose(1, 2), tokens.transpose(1, 2), (2, 4), mean)
    torch.testing.assert_close(turned.cosine.mT, compute_rf_statistics(rebuilt, tokens, (4, 2), mean).cosine)


def statistics(rebuilt: float, tokens: float) -> None:
    compute_rf_statistics(torch.full((1, 4, 4, 2), rebuilt), torch.full((1, 4, 4, 2), tokens), (2, 2), torch.ones(2))


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: rf_reconstruction_loss(*torch.randn(2, 1, 4, 4, 3), "perceptual"), "must be one of mse, cosine, hybrid, not 'perceptual'"),
    (lambda: compute_rf_statistics(*torch.randn(2, 1, 6, 6, 3), (4, 4), torch.zeros(3)), "cannot be divided into 4 × 4"),
    (lambda: statistics(float("nan"), 2.0), "a cosine is NaN"),
    (lambda: statistics(1.0, 0.0), "the tokens of a field cancel or are 0"),
    (lambda: statistics(2.0, 1.0), "all tokens equal the mean"),
])
def test_bad_input(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call()
