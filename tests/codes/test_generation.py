"""From scenes to codes and back to pictures that are judged."""

import pytest
import torch

from course_lib.codes import generation
from course_lib.codes.generation import ORDERS, check_pair, encode_scenes, generated, judged, paint_codes, shape_of
from course_lib.codes.order import canonical_order, row_major
from course_lib.codes.prior import Independent, Prior
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput
from course_lib.slots.scenes import start_chance

WORLD = RuleWorld(32, samples=60)


@pytest.fixture(scope="module", params=[SVQ, PatchVQ])
def model(request):
    torch.manual_seed(0)
    small = {"slot_dim": 8, "codebooks": 2, "codes": 6, "channels": 8, "decoder_dim": 8}
    found = request.param(**small, **({"hidden_dim": 8} if request.param is SVQ else {}))
    found(WORLD.batch(range(8))["image"])  # codes start from data
    return found.eval()


def test_codes_are_those_of_the_model(model, monkeypatch):
    monkeypatch.setattr(generation, "AT_ONCE", 7)
    scenes = WORLD.batch(range(20))
    encoded = model.encode(scenes["image"], chance=start_chance(scenes, 3))
    plain = encode_scenes(model, WORLD, 20, "none", seed=3)
    assert torch.equal(plain, encoded.codes.indices)
    if isinstance(model, PatchVQ):
        return
    assert torch.equal(encode_scenes(model, WORLD, 20, "codes", seed=3), canonical_order(plain))
    for order in ("canonical", "random"):
        found = encode_scenes(model, WORLD, 20, order, seed=3)
        assert torch.equal(found.sort(1).values.sum((1, 2)), plain.sort(1).values.sum((1, 2)))
        assert all(sorted(a) == sorted(b) for a, b in zip(found.tolist(), plain.tolist()))
    keys = row_major(encoded.attention[:, -1], 3).argsort(dim=1, stable=True)
    assert torch.equal(encode_scenes(model, WORLD, 20, seed=3), plain.gather(1, keys[..., None].expand_as(plain)))


def test_patches_keep_their_places():
    """A picture that is painted from its codes is the reconstruction: at 64 pixels patches lie in four rows, objects in three."""
    torch.manual_seed(0)
    model, world = PatchVQ(slot_dim=8, codes=6, channels=8, decoder_dim=8), RuleWorld(64, samples=12)
    images = world.batch(range(12))["image"]
    model(images)
    model.eval()
    for order in ORDERS:
        torch.testing.assert_close(paint_codes(model, encode_scenes(model, world, 12, order)), model(images).reconstruction.clamp(0, 1).detach())


def test_pictures_of_codes(model):
    codes = encode_scenes(model, WORLD, 5, "none")
    pictures = paint_codes(model, codes, 32)
    assert pictures.shape == (5, 3, 32, 32) and 0 <= pictures.min() and pictures.max() <= 1
    torch.testing.assert_close(pictures, model.decode(codes, 32, 32).clamp(0, 1).detach())


def test_generated_pictures_follow_their_seed(model):
    prior = Prior(**shape_of(model, 32), dim=8, layers=1, heads=2)
    first, again, other = (generated(model, prior, 6, seed=seed, size=32) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_prior_of_other_codes_is_refused(model):
    prior = Independent(**shape_of(model, 32) | {"codes": 5})
    with pytest.raises(BadInput, match=r"2 codes of 5, but the \w+ paints .* 2 codes of 6"):
        check_pair(model, prior, 32)


def test_true_scenes_are_right_and_copied():
    world = RuleWorld(64, samples=40)
    images, states = world.batch(range(40))["image"], world.first(40)
    found = judged(images, world, states[:30])
    assert found["right"] == 1 and found["copied"] == pytest.approx(0.75) and found["unparsable"] == found["same_colour"] == 0
    assert found["low"] < 1 == found["high"]
    grey = torch.full_like(images, 0.5)
    assert judged(torch.cat([images, grey]), world)["right"] == 0.5 and "copied" not in judged(images, world)


@pytest.mark.parametrize("count, order, message", [(0, "canonical", "at least 1 scene"), (3, "sorted", "order must be one of")])
def test_bad_input(model, count, order, message):
    with pytest.raises(BadInput, match=message):
        encode_scenes(model, WORLD, count, order)
