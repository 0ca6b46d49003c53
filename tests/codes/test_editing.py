"""Edits by codes: with codes that are the factors themselves every outcome is known."""

import pytest
import torch
from perfect_codes import COLOUR, KIND, PLACE, SIZE, SPARE, Perfect

from course_lib.codes.editing import (CHANGES, OUTCOMES, by_number, edited_right, exchange, exchange_patches, leave_out, one_code_changed,
                                      outcomes, patches_of, plan, share_right, spare_slots)
from course_lib.codes.generation import paint_codes
from course_lib.codes.meaning import collect_objects
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput

WORLD = RuleWorld(64, samples=400)
BOOK = {"place": PLACE, "kind": KIND, "colour": COLOUR, "size": SIZE}


@pytest.fixture(scope="module")
def model():
    return Perfect(WORLD)


@pytest.fixture(scope="module")
def objects(model):
    return collect_objects(model, WORLD, 400)


@pytest.mark.parametrize("change", CHANGES)
def test_a_donor_differs_in_one_factor_and_the_target_in_one_object(objects, change):
    edits = plan(objects, WORLD, change, 20)
    own = edits.scenes[torch.arange(20), edits.slot]
    different = own != edits.donor
    assert different[:, BOOK[change]].all() and different.sum() == 20
    changed = (edits.before != edits.target).sum(1)
    assert (changed == (2 if change == "place" else 1)).all() and WORLD.obeys(edits.target).all() and WORLD.obeys(edits.before).all()
    kept = torch.where(edits.before == edits.target, edits.before, 0)
    assert ((kept > 0).sum(1) == 2).all()


def test_each_scene_once_and_the_seed_decides(objects):
    first, same, other = (plan(objects, WORLD, "colour", 20, seed) for seed in (0, 0, 1))
    assert torch.equal(first.donor, same.donor) and not torch.equal(first.before, other.before)
    assert len(first.before.unique(dim=0)) == 20


def test_impossible_plans_are_refused(objects):
    with pytest.raises(BadInput, match="must be one of kind, size, colour, place, not 'row'"):
        plan(objects, WORLD, "row")
    with pytest.raises(BadInput, match="of 401 scenes"):
        plan(objects, WORLD, "kind", 401)


def test_exchange_takes_the_named_codebooks_of_one_slot():
    scenes, donor = torch.arange(24).view(2, 3, 4), torch.tensor([[90, 91, 92, 93], [80, 81, 82, 83]])
    new = exchange(scenes, torch.tensor([2, 0]), donor, [1, 3])
    assert new[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 91, 10, 93]] and new[1, 0].tolist() == [12, 81, 14, 83]
    assert torch.equal(scenes, torch.arange(24).view(2, 3, 4)) and torch.equal(new[1, 1:], scenes[1, 1:])


@pytest.mark.parametrize("change", CHANGES)
def test_the_right_codebook_is_enough_and_the_others_do_nothing(model, objects, change):
    edits = plan(objects, WORLD, change, 12).without_spare(model)
    assert edited_right(model, WORLD, edits, [BOOK[change]]) == 1
    others = [book for book in range(4) if book != BOOK[change]]
    assert edited_right(model, WORLD, edits, others) == 0
    unchanged = paint_codes(model, exchange(edits.scenes, edits.slot, edits.donor, others))
    assert share_right(unchanged, edits.before, WORLD) == 1
    assert by_number(model, WORLD, edits, [others[0], BOOK[change]]) == [0.0, 0.0, 1.0]


def test_a_twin_stays_behind(model, objects):
    """Slot 4 repeats the first object, so an edit of the first one leaves a second object where it was."""
    edits = plan(objects, WORLD, "place", 30)
    right = edited_right(model, WORLD, edits, [PLACE])
    assert right == pytest.approx(float((edits.slot > 0).float().mean())) and 0 < right < 1


def test_the_spare_slot_is_left_out(model, objects):
    scenes = objects.scenes[:5]
    spare = spare_slots(model, scenes)
    assert set(spare.tolist()) <= {0, SPARE}  # either of the twins
    assert spare_slots(model, scenes, torch.zeros(5, dtype=torch.int64)).tolist() == [SPARE] * 5
    assert spare_slots(model, scenes, torch.full((5,), SPARE)).tolist() == [0] * 5
    assert torch.equal(leave_out(scenes, torch.full((5,), 1)), scenes[:, [0, 2, 3]])
    edits = plan(objects, WORLD, "size", 10)
    fewer = edits.without_spare(model)
    rows = torch.arange(10)
    assert fewer.scenes.shape == (10, 3, 4) and torch.equal(fewer.scenes[rows, fewer.slot], edits.scenes[rows, edits.slot])
    with pytest.raises(BadInput, match="1 slot has none to spare"):
        spare_slots(model, scenes[:, :1])


def test_one_code_is_changed_to_one_that_occurs_in_its_codebook(objects):
    scenes = objects.scenes[:100]
    new = one_code_changed(scenes)
    different = new != scenes
    assert (different.flatten(1).sum(1) == 1).all() and different.any(0).all()  # every slot and codebook has its turn
    assert all(set(new[:, :, book].unique().tolist()) <= set(scenes[:, :, book].unique().tolist()) for book in range(4))
    assert torch.equal(new, one_code_changed(scenes)) and not torch.equal(new, one_code_changed(scenes, seed=1))
    where = torch.zeros(100, 4, dtype=torch.bool)
    where[:, 2] = True
    only = one_code_changed(scenes, where)
    assert not (only != scenes)[:, [0, 1, 3]].any() and (only != scenes)[:, 2].any(1).all()
    assert set(only[:, 2, COLOUR].unique().tolist()) <= set(scenes[:, 2, COLOUR].unique().tolist())
    with pytest.raises(BadInput, match="the same code here"):
        one_code_changed(torch.zeros(3, 2, 1, dtype=torch.int64))
    with pytest.raises(BadInput, match="at least one slot"):
        one_code_changed(scenes, ~where & where)


def test_the_patches_of_an_object():
    states = torch.zeros(2, 9, dtype=torch.int64)
    states[0, 0], states[1, 4] = 2, 1  # a large circle at the upper left, a small one in the middle
    assert patches_of(states, WORLD).view(2, 4, 4).int().tolist() == [
        [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4], [[0] * 4, [0, 1, 1, 0], [0, 1, 1, 0], [0] * 4]]


def test_patches_are_taken_where_the_object_lies_and_nowhere_else(objects):
    torch.manual_seed(0)
    patch = PatchVQ(slot_dim=8, codes=16, channels=4, decoder_dim=8, decoder_layers=1)
    patch(WORLD.batch(range(20))["image"])
    patch.eval()
    edits = plan(objects, WORLD, "colour", 8)
    codes, where = exchange_patches(patch, WORLD, edits)
    with torch.no_grad():
        own, donor = (patch.encode(WORLD.batch(rows.tolist())["image"]).codes.indices for rows in (edits.scene, edits.donor_scene))
    assert torch.equal(codes[where], donor[where]) and torch.equal(codes[~where], own[~where])
    assert torch.equal(WORLD.first(400)[edits.scene], edits.before) and where.any(1).all() and not where.all(1).any()
    with pytest.raises(BadInput, match="at the same place"):
        exchange_patches(patch, WORLD, plan(objects, WORLD, "place", 8))


def test_outcomes_tell_what_changed():
    before = WORLD.first(1).repeat(5, 1)
    after, present = before.clone(), before[0].nonzero().flatten()
    free = int((before[0] == 0).nonzero()[0])
    after[1, present[0]] = after[1, present[0]] % 48 + 1  # another object at its place
    after[2, free], after[2, present[1]] = after[2, present[1]], 0  # moved
    after[3, present[:2]] = 0  # two are gone
    images = WORLD.compose(after)["image"]
    images[4] = torch.rand(3, 64, 64)
    found = outcomes(images, before, WORLD)
    assert list(found) == list(OUTCOMES) and list(found.values()) == pytest.approx([0.2, 0.4, 0.2, 0.2])
