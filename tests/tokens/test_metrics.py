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
from course_lib.tokens.baselines import AveragePooling, Downsampled, MeanToken, PCAField, StridedPick
from course_lib.tokens.cache import cache_tokens
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.compressor import Compressed
from course_lib.tokens.merging import KMeans, ToMe
from course_lib.tokens.metrics import (
    BANDS, Seen, bands, beside_floor, centred_cosine, coded_bits, compress, cosine, draw, field_cosine, gain, median_distance, mmd, quality,
    quantised, share, sliced_wasserstein, usefulness, variance_unexplained, zero_shot)
from course_lib.tokens.small_clip import SmallClip
from course_lib.tokens.zero_shot import ZeroShot

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
    with pytest.raises(BadInput, match="a grid of 4 × 6 tokens cannot be divided into 3 × 2 equal fields.$"):
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


def test_the_median_is_that_of_all_pairs():
    points = noise(31, DIM)
    pairs = sorted(float((x - y).norm()) for x, y in itertools.combinations(points, 2))
    assert median_distance(points) == pytest.approx(pairs[(len(pairs) - 1) // 2], rel=1e-5)
    many = noise(5000, DIM)
    assert median_distance(many) == pytest.approx(median_distance(many, seed=1), rel=0.05)
    with pytest.raises(BadInput, match="the median distance of the points is 0 or NaN"):
        median_distance(torch.ones(9, DIM))


@pytest.mark.parametrize("measure", [sliced_wasserstein, lambda a, b: mmd(a, b, 2.0)])
def test_beside_the_floor_real_tokens_are_as_near_as_real_ones_and_others_are_not(measure):
    real, more, other = noise(900, DIM), noise(400, DIM, seed=1), noise(400, DIM, seed=2, shift=0.5)
    good, bad = beside_floor(measure, more, real), beside_floor(measure, other, real)
    assert good.floor == bad.floor and abs(good.value - good.floor) < 0.2 * bad.value and bad.value > 3 * abs(bad.floor)
    mixed = draw(real, 800, 0)
    assert good.floor == measure(mixed[400:], mixed[:400])
    assert beside_floor(measure, more[:50], real).floor != good.floor  # sets of 50 now, and farther apart by chance
    assert beside_floor(sliced_wasserstein, more[:50], real).floor > beside_floor(sliced_wasserstein, more, real).floor


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


# whole data sets


def batches_of(pictures=23, grid=GRID, dim=DIM, size=8):
    tokens = noise(pictures, 1, 1, dim, shift=1) + 0.3 * noise(pictures, *grid, dim, seed=1)
    return [Seen(part, part.mean((1, 2))) for part in tokens.split(size)]


@pytest.mark.parametrize("make", [lambda: AveragePooling((2, 2)), lambda: StridedPick((2, 3)), lambda: KMeans((2, 2)), lambda: ToMe((2, 2)),
                                  lambda: PCAField.fit([noise(50, *GRID, DIM)], (2, 2))])
def test_quality_over_batches_is_that_of_all_pictures_together(make):
    compressor, batches, mean = make(), batches_of(size=23), noise(DIM, seed=3)
    tokens = batches[0].tokens
    compressed = compressor(tokens)
    rebuilt = compressor.expand(compressed)
    found = quality(compressor, batches, mean, (2, 2))
    assert found["cosine"] == pytest.approx(float(cosine(rebuilt, tokens).mean()), rel=1e-5)
    assert found["centred_cosine"] == pytest.approx(float(centred_cosine(rebuilt, tokens, mean).mean()), rel=1e-4)
    assert found["variance_unexplained"] == pytest.approx(variance_unexplained(rebuilt, tokens, mean), rel=1e-5)
    assert {name: 23 * found[name] for name in BANDS} == pytest.approx(bands(field_cosine(rebuilt, tokens, (2, 2))))
    assert found["numbers"] == compressed.tokens[0].numel() and found["side_bits"] == pytest.approx(compressed.bits) and "bits" not in found
    if not isinstance(compressor, KMeans):  # its start is drawn batch by batch
        assert quality(compressor, batches_of(size=8), mean, (2, 2)) == pytest.approx(found, rel=1e-4)


def test_rate_and_distortion_are_of_the_same_rounded_tokens():
    batches, mean = batches_of(), torch.ones(DIM)
    coarse, fine = (quality(AveragePooling((2, 2)), batches, mean, (2, 2), step) for step in (2.0, 0.05))
    whole = quality(AveragePooling((2, 2)), batches, mean, (2, 2))
    assert coarse["bits"] < fine["bits"] and coarse["variance_unexplained"] > fine["variance_unexplained"]
    assert fine["variance_unexplained"] == pytest.approx(whole["variance_unexplained"], rel=0.01)
    passed = torch.cat([AveragePooling((2, 2))(batch.tokens).tokens for batch in batches]).flatten(0, 1)
    assert fine["bits"] == pytest.approx(4 * coded_bits((passed / 0.05).round().long()))
    merged = quality(ToMe((2, 2)), batches, mean, (2, 2), 0.05)
    assert merged["side_bits"] > 0 and merged["bits"] > merged["side_bits"]


def test_the_mean_token_costs_nothing_and_explains_nothing():
    batches = batches_of()
    model = MeanToken.fit([batch.tokens for batch in batches])
    found = quality(model, batches, model.mean, (2, 2), step=0.1)
    assert found["numbers"] == found["bits"] == found["side_bits"] == 0
    assert found["variance_unexplained"] == pytest.approx(1) and found["centred_cosine"] == 0
    assert found["cosine"] > 0.5  # and yet: tokens share a mean


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


def test_the_interval_is_wilsons():
    right = torch.tensor([True] * 37 + [False] * 13)
    n, p, z = 50, 0.74, scipy.stats.norm.ppf(0.975)
    middle, reach = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert share(right) == pytest.approx((p, (middle - reach) / (1 + z**2 / n), (middle + reach) / (1 + z**2 / n), n))
    assert share(torch.ones(9, dtype=torch.bool)).high == 1 and share(torch.zeros(9, dtype=torch.bool)).low == 0


def test_a_gain_is_paired():
    before = torch.tensor([True, False] * 50)
    after = before.clone()
    after[1] = True
    found = gain(after, before)
    difference = after.double().numpy() - before.double().numpy()
    reach = 1.96 * difference.std(ddof=1) / 10
    assert found == pytest.approx((0.01, 0.01 - reach, 0.01 + reach, 100))
    assert gain(before, before) == (0, 0, 0, 100)  # the same answers: no doubt, though each share alone has one


@pytest.fixture
def judged():
    """A CLIP, pictures that it has seen, and questions: the embedding of each picture itself, and seven of others."""
    clip = StandIn()
    pixels = noise(30, 3, 12, 12)
    batches = [Seen(*clip.encode(part), part) for part in pixels.split(8)]
    whole = clip.image_embedding(pixels)
    texts = torch.stack([whole, *(whole.roll(k, 0) for k in range(1, 8))], 1)
    return clip, batches, pixels, {"near": texts, "half": texts[:, :2]}


@pytest.mark.parametrize("make", [lambda clip: AveragePooling((2, 2)), lambda clip: ToMe((1, 3)), lambda clip: Downsampled(clip, (2, 2))])
def test_put_back_and_rebuilt_are_what_clip_makes_of_them(judged, make):
    clip, batches, pixels, questions = judged
    compressor = make(clip)
    found = usefulness(clip, compressor, batches, questions)
    tokens, cls = clip.encode(pixels)
    compressed = compressor(pixels if compressor.takes == "pixels" else tokens)
    ways = {"full": tokens.flatten(1, 2), "cls_only": tokens[:, 0, :0], "put_back": compressed.tokens,
            "rebuilt": compressor.expand(compressed).flatten(1, 2)}
    for way, shown in ways.items():
        for name, texts in questions.items():
            right = zero_shot(clip.replay(shown, cls), texts)
            assert found[way][name] == share(right)
            if way in ("put_back", "rebuilt"):
                assert found[f"{way}_gain"][name] == gain(right, zero_shot(clip.replay(tokens[:, 0, :0], cls), texts))
    assert found["full"]["near"].value == 1 > found["cls_only"]["near"].value > 0.25


def test_with_all_tokens_nothing_changes_and_with_none_cls_remains(judged):
    clip, batches, _, questions = judged
    all_of_them = usefulness(clip, AveragePooling((4, 4)), batches, questions)
    assert all_of_them["put_back"] == all_of_them["rebuilt"] == all_of_them["full"]
    none = usefulness(clip, MeanToken.fit([batch.tokens for batch in batches]), batches, questions)
    assert none["put_back"] == none["cls_only"] and none["put_back_gain"]["near"][:3] == (0, 0, 0)


def test_labels_are_answers_too(judged):
    clip, batches, pixels, _ = judged
    classes = normalize(noise(3, 6, seed=4), dim=1)
    labels = (clip.image_embedding(pixels) @ classes.mT).argmax(1)
    assert usefulness(clip, AveragePooling((2, 2)), batches, {"class": classes}, labels)["full"]["class"].value == 1


def test_a_real_clip_from_scenes_to_the_verdict(tmp_path):
    """Untrained and tiny, but with all that the large ones have: a cache, pooled pictures, answers before and after."""
    torch.manual_seed(0)
    small = SmallClip(resolution=32, patch=4, dim=16, layers=2, heads=2, text_dim=16, text_layers=1, text_heads=2, projection=8)
    clip, scenes = ClipTokens.of(small), CaptionedScenes(resolution=32, samples=12)
    cached, questions = cache_tokens(clip, scenes, tmp_path, "float32", progress=False), ZeroShot.about(scenes.batch(range(12)), clip)
    image = scenes.batch(range(12))["image"]
    batches = [cached.batch(range(8)), cached.batch(range(8, 12))]
    mean = MeanToken.fit([batch.tokens for batch in batches]).mean
    assert cached.grid == (8, 8) and quality(AveragePooling((2, 2)), batches, mean, (2, 2), 0.1)["variance_unexplained"] < 1
    found = usefulness(clip, AveragePooling((2, 2)), batches, questions.candidates)
    whole = questions.right(clip.image_embedding(clip.normalized(image)))
    assert {name: each.value for name, each in found["full"].items()} == {name: float(each.double().mean()) for name, each in whole.items()}
    with_pixels = [Seen(batch.tokens, batch.cls, clip.normalized(part)) for batch, part in zip(batches, image.split(8))]
    small_pictures = Downsampled(clip, (2, 4))
    assert quality(small_pictures, with_pixels, mean, (2, 2))["numbers"] == 8 * 16
    assert usefulness(clip, small_pictures, with_pixels, questions.candidates)["full"] == found["full"]


# refused


@pytest.mark.parametrize(("call", "words"), [
    (lambda: sliced_wasserstein(torch.zeros(0, 2), torch.ones(3, 2)), "needs points on both sides, .* not 0, 3, 256, 2.$"),
    (lambda: sliced_wasserstein(torch.ones(3, 2), torch.ones(3, 2), p=3), "p of 1 or 2, not 3, 3, 256, 3.$"),
    (lambda: mmd(torch.ones(1, 2), torch.ones(3, 2), 1.0), "at least 2 points on both sides and a positive bandwidth, not 1, 3 and 1.0.$"),
    (lambda: mmd(torch.ones(3, 2), torch.ones(3, 2), 0.0), "a positive bandwidth, not 3, 3 and 0.0.$"),
    (lambda: mmd(torch.ones(3, 2), torch.ones(3, 2)), "the median distance of the points is 0 or NaN"),
    (lambda: beside_floor(mmd, torch.ones(3, 2), torch.ones(3, 2)), "a floor needs at least 4 real tokens and 2 others, not 3 and 3.$"),
    (lambda: quantised(torch.ones(3), 0.0), "the step of the quantisation must be a positive number, not 0.0.$"),
    (lambda: quality(AveragePooling((2, 2)), [], torch.ones(DIM), (2, 2)), "there is nothing to measure: no picture"),
    (lambda: share(torch.ones(0, dtype=torch.bool)), "a share needs at least one picture.$"),
    (lambda: usefulness(StandIn(), AveragePooling((2, 2)), [], {}), "there is nothing to judge: no batch of pictures.$"),
    (lambda: zero_shot(torch.ones(3, 2), torch.ones(4, 5, 2)), "questions are about 4 pictures, and 3 embeddings are given; give one for each.$"),
    (lambda: compress(Downsampled(StandIn()), batches_of()[0]), "Downsampled takes pixels, and the batch has none; encode pictures on the fly")])
def test_what_cannot_be_measured(call, words):
    with pytest.raises(BadInput, match=words):
        call()


def test_a_compressor_of_pixels_is_given_pixels(judged):
    clip, batches, _, _ = judged
    assert isinstance(compress(Downsampled(clip, (2, 2)), batches[0]), Compressed)
    assert quality(Downsampled(clip, (2, 2)), batches, torch.zeros(8), (2, 2))["numbers"] == 4 * 8
