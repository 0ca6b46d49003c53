"""Every measure against another library or plain loops, at its extremes, and against the constant mean token."""

import itertools
import math

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
import sklearn.metrics
import torch
from stand_in import StandIn
from torch.nn.functional import normalize

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import Downsampled
from course_lib.tokens.metrics import (
    Seen, bands, centred_cosine, coded_bits, compress, cosine, draw, field_cosine, gain, median_distance, mmd, quantised, sliced_wasserstein,
    variance_unexplained, zero_shot)

GRID, DIM = (4, 6), 5


def noise(*shape, seed=0, shift=0.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + shift


# tokens


def test_cosines_are_those_of_scipy():
    a, b, mean = noise(3, *GRID, DIM), noise(3, *GRID, DIM, seed=1, shift=1), noise(DIM, seed=2)
    pairs = list(zip(a.flatten(0, 2).numpy(), b.flatten(0, 2).numpy()))
    np.testing.assert_allclose(cosine(a, b).flatten(), [1 - scipy.spatial.distance.cosine(x, y) for x, y in pairs], atol=1e-6)
    expected = [1 - scipy.spatial.distance.cosine(x - mean.numpy(), y - mean.numpy()) for x, y in pairs]
    np.testing.assert_allclose(centred_cosine(a, b, mean).flatten(), expected, atol=1e-6)
    assert cosine(torch.zeros(2), torch.ones(2)) == 0 and cosine(a, 3 * a).min() > 1 - 1e-6


def test_a_common_mean_makes_cosines_large_and_centred_ones_not():
    a, b = noise(500, DIM, shift=4), noise(500, DIM, seed=1, shift=4)
    assert cosine(a, b).mean() > 0.9 and abs(float(centred_cosine(a, b, torch.full((DIM,), 4.0)).mean())) < 0.1


def test_variance_unexplained_is_one_minus_r_squared():
    tokens, rebuilt = noise(7, *GRID, DIM, shift=2), noise(7, *GRID, DIM, shift=2) + 0.3 * noise(7, *GRID, DIM, seed=1)
    mean = tokens.mean((0, 1, 2))
    r2 = sklearn.metrics.r2_score(tokens.flatten(0, 2), rebuilt.flatten(0, 2), multioutput="variance_weighted")
    assert variance_unexplained(rebuilt, tokens, mean) == pytest.approx(1 - r2, rel=1e-5)
    assert variance_unexplained(tokens, tokens, mean) == 0
    assert variance_unexplained(mean.expand_as(tokens), tokens, mean) == pytest.approx(1)
    with pytest.raises(BadInput, match="all tokens equal the mean"):
        variance_unexplained(rebuilt, mean.expand_as(tokens), mean)


def test_a_field_has_the_mean_cosine_of_its_places():
    a, b = noise(2, *GRID, DIM), noise(2, *GRID, DIM, seed=1)
    found, each = field_cosine(a, b, (2, 2)), cosine(a, b)
    for k, i, j in itertools.product(range(2), repeat=3):
        assert float(found[k, i, j]) == pytest.approx(float(each[k, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3].mean()), abs=1e-6)
    with pytest.raises(BadInput, match="a grid of 4 × 6 tokens cannot be divided into 3 × 2 equal fields; "):
        field_cosine(a, b, (3, 2))


def test_bands_have_the_borders_that_are_promised():
    values = torch.tensor([0.95, 0.9000001, 0.9, 0.85, 0.8, 0.7999999, 0.6, 0.5999999, -1.0], dtype=torch.float64)
    assert bands(values) == {"excellent": 2, "good": 3, "fair": 2, "poor": 2}
    assert bands(torch.rand(5, 6, 6))["poor"] > 0 and sum(bands(torch.rand(5, 6, 6)).values()) == 180
    with pytest.raises(BadInput, match="a cosine is NaN"):
        bands(torch.tensor([0.5, math.nan]))


# distributions


@pytest.mark.parametrize(("n", "m"), [(40, 40), (30, 45), (1, 7), (50, 13)])
def test_on_a_line_it_is_the_exact_distance(n, m):
    """Of one-dimensional points every direction is ±1, so there is no slicing error."""
    a, b = noise(n, 1), 2 * noise(m, 1, seed=1) + 1
    w1 = scipy.stats.wasserstein_distance(a[:, 0].numpy(), b[:, 0].numpy())
    assert sliced_wasserstein(a, b, p=1) == pytest.approx(w1, rel=1e-5)
    many = math.lcm(n, m)  # every point repeated: then sets are of one size, and sorting pairs them
    x, y = (points.flatten().sort().values.repeat_interleave(many // len(points)) for points in (a, b))
    assert sliced_wasserstein(a, b, p=2) == pytest.approx(float((x - y).square().mean().sqrt()), rel=1e-5)


def test_in_space_it_is_the_mean_over_directions():
    a, b = noise(40, DIM), noise(25, DIM, seed=1, shift=1)
    u = normalize(torch.randn(70, DIM, generator=torch.Generator().manual_seed(3)), dim=1)
    each = [scipy.stats.wasserstein_distance((a @ one).numpy(), (b @ one).numpy()) for one in u]
    assert sliced_wasserstein(a, b, p=1, directions=70, seed=3) == pytest.approx(np.mean(each), rel=1e-5)


def test_a_shift_is_found_exactly():
    """Moved by s, W₂ along u is |u · s|, and the mean of (u · s)² over all directions is ‖s‖² / dim."""
    a, s = noise(200, DIM), torch.tensor([3.0, 0, 0, 4.0, 0])
    assert sliced_wasserstein(a, a + s, directions=5000) == pytest.approx(5 / math.sqrt(DIM), rel=0.03)
    assert sliced_wasserstein(a, a) == 0 and sliced_wasserstein(a, a[torch.randperm(200)]) == 0
    assert sliced_wasserstein(a, a.repeat(3, 1)) == 0  # the same distribution, of another size
    assert sliced_wasserstein(a, a + s) == sliced_wasserstein(a + s, a) == sliced_wasserstein(a, a + s)


def test_mmd_is_the_double_sum():
    a, b, sigma = noise(13, DIM), noise(9, DIM, seed=1, shift=0.5), 1.7

    def k(x, y):
        return math.exp(-float((x - y).square().sum()) / (2 * sigma**2))

    expected = (sum(k(a[i], a[j]) for i in range(13) for j in range(13) if i != j) / (13 * 12)
                + sum(k(b[i], b[j]) for i in range(9) for j in range(9) if i != j) / (9 * 8)
                - 2 * sum(k(x, y) for x in a for y in b) / (13 * 9))
    assert mmd(a, b, sigma) == pytest.approx(expected, abs=1e-6)


def test_mmd_is_that_of_scikit_learns_kernel_in_pieces_too(monkeypatch):
    a, b = noise(200, DIM), noise(150, DIM, seed=1, shift=0.2)
    sigma = median_distance(torch.cat([a, b]))
    kernel = sklearn.metrics.pairwise.rbf_kernel(torch.cat([a, b]).double(), gamma=1 / (2 * sigma**2))
    aa, bb, ab = kernel[:200, :200], kernel[200:, 200:], kernel[:200, 200:]
    expected = (aa.sum() - 200) / (200 * 199) + (bb.sum() - 150) / (150 * 149) - 2 * ab.mean()
    assert mmd(a, b) == pytest.approx(expected, abs=1e-6)
    monkeypatch.setattr("course_lib.tokens.metrics.ROWS", 7)
    assert mmd(a, b) == pytest.approx(expected, abs=1e-6)


def test_mmd_of_equal_distributions_is_zero_on_average():
    found = [mmd(noise(30, DIM, seed=2 * k), noise(30, DIM, seed=2 * k + 1), 2.0) for k in range(80)]
    assert min(found) < 0 < max(found) and abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(80)


def test_drawn_points_are_some_of_them_each_once_and_the_same_for_a_seed():
    points = torch.arange(50.0)[:, None]
    drawn = draw(points, 20, seed=3)
    assert len(drawn) == 20 and set(drawn.flatten().tolist()) < set(range(50))
    assert len(drawn.unique()) == 20 and torch.equal(drawn, draw(points, 20, seed=3)) and not torch.equal(drawn, draw(points, 20, seed=4))
    assert sorted(draw(points, 99, seed=0).flatten().tolist()) == list(range(50))


def test_the_median_is_that_of_all_pairs():
    points = noise(31, DIM)
    pairs = sorted(float((x - y).norm()) for x, y in itertools.combinations(points, 2))
    assert median_distance(points) == pytest.approx(pairs[(len(pairs) - 1) // 2], rel=1e-5)
    many = noise(5000, DIM)
    assert median_distance(many) == pytest.approx(median_distance(many, seed=1), rel=0.05)
    with pytest.raises(BadInput, match="the median distance of the points is 0 or NaN"):
        median_distance(torch.ones(9, DIM))


# rate


def test_coded_bits_are_the_entropy_of_every_channel():
    steps = torch.randint(-4, 5, (3000, 3), generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 0, 5])
    entropy = sum(scipy.stats.entropy(np.unique(column, return_counts=True)[1], base=2) for column in steps.T.numpy())
    bias = sum(len(np.unique(column)) - 1 for column in steps.T.numpy()) / (2 * 3000 * math.log(2))
    assert coded_bits(steps) == pytest.approx(entropy + bias, rel=1e-9) and coded_bits(steps) == pytest.approx(2 * math.log2(9), rel=1e-3)
    assert coded_bits(torch.zeros(5, 0, dtype=torch.int64)) == coded_bits(torch.full((50, 3), 7)) == 0


def test_a_fine_step_costs_the_differential_entropy_and_one_bit_for_each_halving():
    """H(⌊x/Δ⌉) → h(x) − log₂ Δ (Cover & Thomas 2006, theorem 8.3.1); of a Gaussian h = ½ log₂ 2πeσ²."""
    x = 3 * noise(200_000, 2)
    expected = [2 * (0.5 * math.log2(2 * math.pi * math.e * 9) - math.log2(step)) for step in (0.5, 0.25)]
    found = [coded_bits(quantised(x, step)) for step in (0.5, 0.25)]
    assert found == pytest.approx(expected, abs=0.01)
    assert (quantised(x, 0.5) * 0.5 - x).abs().max() <= 0.25 + 1e-6


# use


def test_zero_shot_is_the_nearest_text():
    images, texts = normalize(noise(40, DIM), dim=1), normalize(noise(40, 4, DIM, seed=1), dim=2)
    expected = [int(np.argmax(texts[k].numpy() @ images[k].numpy())) for k in range(40)]
    assert zero_shot(images, texts).tolist() == [answer == 0 for answer in expected]
    assert zero_shot(images, texts, torch.tensor(expected)).all()
    classes = normalize(noise(3, DIM, seed=2), dim=1)
    labels = (images @ classes.mT).argmax(1)
    assert zero_shot(images, classes, labels).all() and zero_shot(images, classes, (labels + 1) % 3).sum() == 0
    assert not zero_shot(images, texts[:, :1].expand(-1, 4, -1)).any()  # a tie is wrong


def test_a_gain_is_paired():
    before = torch.tensor([True, False] * 50)
    after = before.clone()
    after[1] = True
    found = gain(after, before)
    difference = after.double().numpy() - before.double().numpy()
    reach = 1.96 * difference.std(ddof=1) / 10
    assert found == pytest.approx((0.01, 0.01 - reach, 0.01 + reach, 100))
    assert gain(before, before) == (0, 0, 0, 100)  # the same answers: no doubt, though each share alone has one


# refused


@pytest.mark.parametrize(("call", "words"), [
    (lambda: sliced_wasserstein(torch.zeros(0, 2), torch.ones(3, 2)), "needs points on both sides, .* not 0, 3, 256, 2.$"),
    (lambda: sliced_wasserstein(torch.ones(3, 2), torch.ones(3, 2), p=3), "p of 1 or 2, not 3, 3, 256, 3.$"),
    (lambda: mmd(torch.ones(1, 2), torch.ones(3, 2), 1.0), "at least 2 points on both sides and a positive bandwidth, not 1, 3 and 1.0.$"),
    (lambda: mmd(torch.ones(3, 2), torch.ones(3, 2), 0.0), "a positive bandwidth, not 3, 3 and 0.0.$"),
    (lambda: mmd(torch.ones(3, 2), torch.ones(3, 2)), "the median distance of the points is 0 or NaN"),
    (lambda: quantised(torch.ones(3), 0.0), "the step of the quantisation must be a positive number, not 0.0.$"),
    (lambda: zero_shot(torch.ones(3, 2), torch.ones(4, 5, 2)), "questions are about 4 pictures, and 3 embeddings are given; give one for each.$"),
    (lambda: compress(Downsampled(StandIn()), Seen(noise(2, 4, 6, 5), noise(2, 5))), "Downsampled takes pixels, and the batch has none; encode pictures on the fly")])
def test_what_cannot_be_measured(call, words):
    with pytest.raises(BadInput, match=words):
        call()


def test_a_compressor_of_pixels_is_given_pixels():
    clip, pixels = StandIn(), noise(3, 3, 12, 12)
    assert compress(Downsampled(clip, (2, 2)), Seen(*clip.encode(pixels), pixels)).tokens.shape[1] == 4
