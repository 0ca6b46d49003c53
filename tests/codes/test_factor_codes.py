"""The rule world in numbers: codes that tell everything once, and what the best prior spends on them."""

import math

import pytest
import torch

from course_lib.codes.factor_codes import alphabet, factor_codes, factor_lawful, factor_states, known, position_entropies
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput

WORLD = RuleWorld(32)


def test_codes_tell_the_scene_and_come_in_the_order_of_places():
    states = WORLD.first(300)
    codes = factor_codes(states, WORLD)
    assert codes.shape == (300, 3, 4) and (codes[:, :, 0].diff(dim=1) > 0).all() and factor_lawful(codes, WORLD).all()
    assert torch.equal(factor_states(codes, WORLD), states)
    scenes = WORLD.batch(range(300))
    assert torch.equal(codes[:, :, 0], scenes["place"].sort(1).values)
    order = scenes["place"].argsort(1)
    for number, name in ((1, "kind"), (2, "colour_index"), (3, "size_index")):
        assert torch.equal(codes[:, :, number], scenes[name].gather(1, order))
    assert codes.flatten(0, 1).amax(0).tolist() == [size - 1 for size in alphabet(WORLD)]


def test_what_is_lawful():
    codes = factor_codes(WORLD.first(1), WORLD)
    for what, place, value in (("same place", (0, 1, 0), int(codes[0, 0, 0])), ("same colour", (0, 2, 2), int(codes[0, 0, 2])),
                               ("no such kind", (0, 0, 1), 3), ("no such size", (0, 1, 3), 2), ("below 0", (0, 0, 0), -1)):
        wrong = codes.clone()
        wrong[place] = value
        assert factor_lawful(torch.cat([wrong, codes]), WORLD).tolist() == [False, True], what
        assert known(wrong, WORLD).item() == what.startswith("same")
    assert factor_lawful(codes.flip(1), WORLD).all()  # a set has no order


@pytest.mark.parametrize("world", [WORLD, RuleWorld(32, objects=2, colours=3), RuleWorld(32, rule=False), RuleWorld(32, objects=1)])
def test_positions_together_spend_the_entropy_of_the_world(world):
    n = world.max_objects
    exact = position_entropies(world)
    assert exact.shape == (n, 4) and float(exact.sum()) == pytest.approx(world.entropy, abs=1e-6)
    shuffled = position_entropies(world, shuffled=True)
    assert float(shuffled.sum()) == pytest.approx(world.entropy + math.log(math.factorial(n)), abs=1e-6)
    assert shuffled[:, 0].tolist() == pytest.approx([math.log(9 - k) for k in range(n)])
    assert torch.allclose(shuffled[:, 1:], exact[:, 1:])


def test_positions_agree_with_counting():
    """H(code i | codes before) from a large sample, for positions that depend on places and colours only."""
    codes = factor_codes(RuleWorld(32, objects=2, colours=3).first(20_000), RuleWorld(32, objects=2, colours=3))
    exact = position_entropies(RuleWorld(32, objects=2, colours=3))

    def entropy(*columns):
        p = torch.stack(columns, 1).unique(dim=0, return_counts=True)[1].double() / len(codes)
        return float(-(p * p.log()).sum())

    place, colour = codes[:, :, 0].T, codes[:, :, 2].T
    assert entropy(place[0]) == pytest.approx(float(exact[0, 0]), abs=0.01)
    assert entropy(*place) - entropy(place[0]) == pytest.approx(float(exact[1, 0]), abs=0.01)
    assert entropy(*colour) - entropy(colour[0]) == pytest.approx(float(exact[1, 2]), abs=0.01) == pytest.approx(math.log(2), abs=0.01)


def test_bad_input():
    empty = WORLD.first(2)
    empty[1] = 0
    with pytest.raises(BadInput, match="must have 3 objects; one has 0"):
        factor_codes(empty, WORLD)
    with pytest.raises(BadInput, match="must be below 9, 3, 8, 2"):
        factor_states(torch.full((1, 3, 4), 8), WORLD)
