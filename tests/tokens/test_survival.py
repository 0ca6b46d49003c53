"""The survey against the measures that it puts together, by hand, on a CLIP of a few thousand weights."""

import numpy as np
import pytest
import torch

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import AveragePooling
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.comparison import FRESH, NOTHING, encoded
from course_lib.tokens.compressor import Compressor, Standard
from course_lib.tokens.dense import labels
from course_lib.tokens.metrics import bands, field_cosine, gain
from course_lib.tokens.moments import MomentMatched
from course_lib.tokens.small_clip import SmallClip
from course_lib.tokens.survival import FOUND, Examined, Survivor, between, build, examine, met, probes, survey
from course_lib.tokens.zero_shot import ZeroShot

WORLD, LEARN = CaptionedScenes(24, samples=20, seed=FRESH), CaptionedScenes(24, samples=48, seed=0)


@pytest.fixture(scope="module")
def clip():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ClipTokens.of(SmallClip(24, dim=16, layers=2, heads=2, text_dim=16, text_layers=1, text_heads=2, projection=8).eval())


@pytest.fixture(scope="module")
def seen(clip):
    return encoded(clip, WORLD), encoded(clip, LEARN)


@pytest.fixture(scope="module")
def judge(clip, seen):
    scale = Standard(clip.dim)
    scale.fit(seen[1].tokens)
    return Survivor(clip, WORLD, seen[0], scale)


def test_all_compressors_are_built_once_and_what_is_not_there_is_named(clip, seen, tmp_path):
    found, missing = build(clip, seen[1].tokens, (4, 9), tmp_path, without=("KMeans",))
    plain = ("Downsampled", "AveragePooling", "Bilinear", "StridedPick", "RandomPick", "ToMe", "PCAField")
    assert list(found) == [(NOTHING, None), *((name, 4) for name in plain), *((name, 9) for name in plain)]
    assert len(missing) == 4 and all("is not among the weights" in sentence for sentence in missing)


def test_a_row_has_what_each_question_gives_above_cls_alone(clip, seen, judge):
    pool = AveragePooling((3, 3))
    (row,) = survey(judge, {("pool", 4): pool})
    passed = pool(seen[0].tokens)
    questions = ZeroShot.about(WORLD.batch(range(20)), clip)
    nothing = clip.replay(seen[0].tokens[:, 0, :0], seen[0].cls)
    for way, tokens in (("put_back", passed.tokens), ("rebuilt", pool.expand(passed).flatten(1, 2))):
        images = clip.replay(tokens, seen[0].cls)
        expected = {name: gain(right, questions.right(nothing)[name]) for name, right in questions.right(images).items()}
        expected |= {name: gain(judge.about.recall(images, *asked), judge.about.recall(nothing, *asked)) for name, asked in FOUND.items()}
        assert getattr(row, way) == expected
    assert row.name == "pool" and row.rate == 4 and list(judge.chance) == list(row.put_back)
    assert judge.chance["text R@1"] == judge.about.chance(1) and judge.chance["joint"] == pytest.approx(1 / 288)


def test_bands_and_probes_are_those_of_the_rebuilt_grid(clip, seen):
    test, learn = seen
    every, own = WORLD.batch(range(20)), LEARN.batch(range(48))
    asked = probes({"kind": labels(own, clip.grid, "kind")}, {"kind": labels(every, clip.grid, "kind")}, learn.tokens)
    probe, reads = asked["kind"]
    moved = MomentMatched.fit(AveragePooling((3, 3)), [learn.tokens])
    found = examine(moved, learn, test, asked, (3, 3))
    with torch.no_grad():
        grids = {"rebuilt": [moved.expand(moved(each.tokens)) for each in (learn, test)],
                 "back": [Compressor.expand(moved, moved(each.tokens)) for each in (learn, test)]}
    expected = {name: many / 20 for name, many in bands(field_cosine(grids["rebuilt"][1], test.tokens, (3, 3))).items()}
    assert found.bands == pytest.approx(expected)
    assert found.own["kind"] == pytest.approx(float(probe.right(probe.fit(grids["rebuilt"][0]), grids["rebuilt"][1]).float().mean()), abs=0.02)
    assert found.transfer["kind"] == pytest.approx(float(probe.right(reads, grids["rebuilt"][1]).float().mean()), abs=0.02)
    assert found.put_back["kind"] == pytest.approx(float(probe.right(probe.fit(grids["back"][0]), grids["back"][1]).float().mean()), abs=0.02)
    nothing = build(clip, learn.tokens, ())[0][NOTHING, None]
    blind = examine(nothing, learn, test, asked, (3, 3))
    assert blind.put_back["kind"] == blind.own["kind"] == blind.transfer["kind"] == pytest.approx(probe.chance)
    with pytest.raises(BadInput, match="^learn and test must ask the same questions"):
        probes({}, {}, learn.tokens)


def test_between_two_rates_the_curve_is_a_power():
    xs, ys = [64.0, 16.0, 4.0], [1 / 64, 1 / 16, 0.5]
    assert between(32.0, xs, ys) == pytest.approx(1 / 32) and between(16.0, xs, ys) == pytest.approx(1 / 16)
    assert between(8.0, xs, ys) == pytest.approx(float(np.sqrt(0.5 / 16)))
    with pytest.raises(BadInput, match="^65 is not between 4 and 64"):
        between(65.0, xs, ys)


def test_targets_are_those_of_the_study(judge, seen):
    row = next(survey(judge, {("all of them", 1): AveragePooling((6, 6))}))
    good = Examined({"excellent": 20.0, "good": 11.0, "fair": 5.0, "poor": 0.0}, {}, {}, {})
    found = met(row, good)
    assert found.pop("W < 0.1") == (row.wasserstein.value < 0.1) and all(found.values()) and len(found) == 4
    bad = met(row._replace(cosine=0.85, wasserstein=None), Examined({"excellent": 19.9, "good": 0.0, "fair": 5.1, "poor": 1.1}, {}, {}, {}))
    assert not any(bad.values())
