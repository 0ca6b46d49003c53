"""Reading an atlas: what varies, what is kept, what clusters are worth, how things are spelled, on vectors that are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from course_lib.codes import reading
from course_lib.codes.atlas import Atlas
from course_lib.core.errors import BadInput

SIZES = {"place": 3, "colour": 4}
PLACES, COLOURS = np.repeat(np.arange(3), 40), np.tile(np.arange(4), 30)


def made(codes: torch.Tensor | None = None, noise: float = 0.01) -> Atlas:
    """120 objects, 3 places × 4 colours; a slot is 10 · place (3 numbers) and 2 · colour (4 numbers), and noise."""
    generator = np.random.default_rng(0)
    slots = np.concatenate([10 * np.eye(3)[PLACES], 2 * np.eye(4)[COLOURS], np.zeros((120, 1))], 1) + noise * generator.normal(size=(120, 8))
    slots = torch.from_numpy(slots.astype(np.float32))
    codes = torch.from_numpy(np.stack([PLACES, COLOURS], 1)) if codes is None else codes
    factors = {"place": torch.from_numpy(PLACES), "colour": torch.from_numpy(COLOURS)}
    values = {name: tuple(map(str, range(many))) for name, many in SIZES.items()}
    return Atlas(slots, codes, slots.round(), factors, values, torch.arange(120) // 3, torch.zeros(120, 2), torch.ones(120),
                 torch.zeros(40, 4, 4, 3, dtype=torch.uint8), {}, torch.zeros(120, dtype=torch.bool))


def test_what_an_object_is():
    atlas = made()
    assert np.array_equal(reading.what(atlas), 4 * PLACES + COLOURS)
    assert np.array_equal(reading.what(atlas, ["colour"]), COLOURS)


def test_variance_splits_into_factors_and_rest():
    vectors = made(noise=0).vectors()
    place, colour = (reading.explained(vectors, labels) for labels in (PLACES, COLOURS))
    assert place + colour == pytest.approx(1, abs=1e-5) and place == pytest.approx(100 * 2 / 3 / (100 * 2 / 3 + 4 * 3 / 4), abs=1e-5)
    assert reading.explained(vectors, np.zeros(120, int)) == pytest.approx(0, abs=1e-9)
    rest = reading.without(vectors, PLACES)
    assert reading.explained(rest, COLOURS) == pytest.approx(1, abs=1e-5) and reading.explained(rest, PLACES) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(reading.group_means(vectors, PLACES)[:40], np.tile(vectors[:40].mean(0), (40, 1)), atol=1e-5)
    labels = np.where(PLACES == 1, 99, -5)  # labels need not count from 0
    np.testing.assert_allclose(reading.group_means(vectors, labels)[40:80], np.tile(vectors[40:80].mean(0), (40, 1)), atol=1e-5)


def test_components_are_shares():
    shares = reading.components(made(noise=0).vectors())
    assert shares.sum() == pytest.approx(1) and (np.diff(shares) <= 1e-12).all()
    assert (shares > 1e-6).sum() == 2 + 3  # three places span two directions, four colours three


def test_a_cloud_has_the_spread_and_nothing_else():
    vectors = made().vectors()
    clouds = [reading.cloud(np.repeat(vectors, 50, 0), seed) for seed in (0, 0, 1)]
    assert np.array_equal(clouds[0], clouds[1]) and not np.array_equal(clouds[0], clouds[2])
    np.testing.assert_allclose(np.cov(clouds[0].T), np.cov(vectors.T), atol=1.5)
    assert reading.explained(clouds[0], np.repeat(PLACES, 50)) < 0.01


def test_neighbours_and_islands():
    vectors = made().vectors()
    flat = vectors[:, :2]
    assert reading.kept_neighbours(flat, flat) == 1.0
    assert reading.kept_neighbours(flat, np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)) < 0.2
    line = np.stack([PLACES**2, 0 * PLACES], 1).astype(np.float32)
    same, turned = reading.islands_apart(line, 3 * line, PLACES), reading.islands_apart(line, line[::-1].copy() % 4, PLACES)
    assert same["rank"] == pytest.approx(1) and sorted(same["true"]) == [1, 3, 4] and turned["rank"] < 1
    np.testing.assert_allclose(same["drawn"], 3 * same["true"])
    with pytest.raises(BadInput, match="each has 1 to 119 neighbours, not 120"):
        reading.kept_neighbours(flat, flat, 120)


def test_scores_by_number():
    vectors, truths = made(noise=0.3).vectors(), {"place": PLACES, "thing": 4 * PLACES + COLOURS}
    found = reading.by_number(vectors, truths, (2, 3, 12, 60))
    assert found["place"]["ari"][1] == pytest.approx(1) and found["thing"]["ari"][2] == pytest.approx(1)
    assert found["place"]["ari"][1] == max(found["place"]["ari"])
    chance = found["thing"]["nmi_by_chance"]
    assert chance == sorted(chance) and chance[0] < 0.1 and chance[-1] > 0.5


def test_what_a_codebook_calls_alike():
    codes = torch.stack([torch.from_numpy(COLOURS // 2), torch.from_numpy(COLOURS % 2), torch.from_numpy(PLACES)], 1)
    alike = reading.called_alike(codes, torch.from_numpy(COLOURS), PLACES, 4)
    assert torch.equal(alike[0], torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)))
    assert torch.equal(alike[1], torch.tensor([[1.0, 0], [0, 1]]).repeat(2, 2)) and (alike[2] == 1).all()
    assert torch.equal(alike.prod(0), torch.eye(4))
    assert reading.called_alike(codes, torch.from_numpy(COLOURS), np.arange(120), 4).isnan().all()  # no two alike in the rest


def test_spelling_counts_synonyms_and_shared_phrases():
    perfect = reading.spelling(made())
    assert (perfect.things, perfect.phrases, perfect.several, perfect.often, perfect.shared) == (12, 12, 0, 12, 0) and np.isnan(perfect.within)
    assert perfect.beyond == pytest.approx(np.sqrt(8), abs=1e-4)
    two = torch.from_numpy(np.stack([PLACES, COLOURS + 4 * (np.arange(120) // 12 % 2) * (COLOURS == 0)], 1))
    synonyms = reading.spelling(made(two))
    assert (synonyms.phrases, synonyms.several, synonyms.shared) == (15, 3, 0)
    shared = reading.spelling(made(torch.from_numpy(np.stack([PLACES, COLOURS // 2], 1))))
    assert (shared.phrases, shared.several, shared.shared) == (6, 0, 6)


def test_spelled_anew_and_told_again():
    atlas = made(noise=0.2)
    free, quantizer = reading.spell_anew(atlas, 64)
    assert free.codes.shape == (120, 2) and torch.equal(free.quantized, quantizer.lookup(free.codes))
    assert (free.quantized - atlas.slots).square().mean() < (atlas.slots - atlas.slots.mean(0)).square().mean() / 50
    assert reading.spelling(free).phrases > 60
    thing = dict(zip(map(tuple, free.codes.tolist()), reading.what(free).tolist()))
    scenes = free.codes[:60].view(20, 3, 2)
    again, replaced = reading.retell(scenes, free)
    assert replaced > 50 and (again != scenes).any(2).sum() == replaced
    assert [thing[tuple(word)] for word in again.flatten(0, 1).tolist()] == [thing[tuple(word)] for word in scenes.flatten(0, 1).tolist()]
    untold, none = reading.retell(made().codes[:6].view(2, 3, 2), made())
    assert none == 0 and torch.equal(untold, made().codes[:6].view(2, 3, 2))
    with pytest.raises(BadInput, match="no codes"):
        reading.spell_anew(replace(atlas, codes=None))


def test_whole_scenes():
    atlas = made()
    assert len(reading.whole_scenes(atlas, 3)) == 40
    assert reading.whole_scenes(replace(atlas, scene=torch.cat([torch.zeros(1, dtype=torch.int64), atlas.scene[1:] + 1]).clamp(max=39)), 3).tolist() == list(range(2, 39))
