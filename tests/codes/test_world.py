"""The rule world: counted by brute force, drawn evenly, and the same scene for a number everywhere."""

import math
from itertools import product

import pytest
import torch
from scipy.stats import chisquare

from course_lib.codes.world import BACKGROUND, CELL, RuleWorld
from course_lib.core.errors import BadInput
from course_lib.slots.scenes import COLOURS, SHAPES

MANY = 60


class Small(RuleWorld):
    """Two objects on four places, two kinds, one size: few enough scenes to list."""

    kinds, sizes, side = {name: SHAPES[name] for name in ("circle", "triangle")}, (0.25,), 2

    def __init__(self, **options):
        super().__init__(**{"resolution": 32, "objects": 2, "colours": 3} | options)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def listed(lawful: bool) -> set[frozenset]:
    """All scenes of the small world as sets of objects (place, kind, colour), written down one by one."""
    each = list(product(range(4), range(2), range(3)))
    return {frozenset((a, b)) for a, b in product(each, each) if a[0] != b[0] and (a[2] != b[2] or not lawful)}


def as_sets(world: RuleWorld, states: torch.Tensor) -> list[frozenset]:
    found = world.objects(states)
    rows = zip(*(found[name].tolist() for name in ("present", "kind", "colour")))
    return [frozenset((place, kind, colour) for place, (there, kind, colour) in enumerate(zip(*row)) if there) for row in rows]


def test_the_number_of_scenes_and_the_entropy():
    world = RuleWorld()
    assert world.scenes == 84 * 8 * 7 * 6 * 6**3 == 6_096_384
    assert world.entropy == pytest.approx(15.6232, abs=1e-4) and world.entropy / math.log(2) == pytest.approx(22.5395, abs=1e-4)
    assert RuleWorld(rule=False).scenes == 84 * 8**3 * 6**3 and world.lawful_by_chance == 336 / 512
    assert RuleWorld(colours=4).lawful_by_chance == 24 / 64 and RuleWorld(objects=1).lawful_by_chance == 1
    assert Small().scenes == len(listed(True)) == 144 and Small(rule=False).scenes == len(listed(False)) == 216
    assert Small().lawful_by_chance == 144 / 216


@pytest.mark.parametrize("rule", [True, False])
def test_scenes_are_drawn_evenly_from_all_that_there_are(rule):
    world = Small(rule=rule)
    states = world.first(50 * world.scenes)
    _, counts = world.key(states).unique(return_counts=True)
    assert len(counts) == world.scenes and chisquare(counts.numpy()).pvalue > 0.001
    assert set(as_sets(world, states)) == listed(rule)


def test_obeys_says_which_of_all_states_the_world_draws():
    world = Small()
    states = torch.cartesian_prod(*[torch.arange(world.values + 1)] * 4)
    assert len(world.key(states).unique()) == len(states) == 7**4
    lawful = world.obeys(states)
    assert set(as_sets(world, states[lawful])) == listed(True) and int(lawful.sum()) == 144
    assert world.obeys(world.first(100)).all()
    free = Small(rule=False)
    share = free.obeys(free.first(6000)).double().mean()
    assert float(share) == pytest.approx(free.lawful_by_chance, abs=4 * (2 / 9 / 6000) ** 0.5)


def test_without_the_rule_the_chance_of_the_large_world_is_what_is_drawn():
    world = RuleWorld(rule=False)
    share = float(world.obeys(world.first(4000)).double().mean())
    assert share == pytest.approx(336 / 512, abs=4 * (0.656 * 0.344 / 4000) ** 0.5)


def test_a_new_scene_is_among_earlier_ones_as_often_as_chance_has_it():
    world, other = Small(seed=1), Small(seed=2)
    hit = torch.isin(world.key(other.first(4000)), world.key(world.first(100))).double().mean()
    assert world.seen_by_chance(100) == pytest.approx(1 - (143 / 144) ** 100)
    assert float(hit) == pytest.approx(world.seen_by_chance(100), abs=0.1)  # the first hundred are themselves drawn
    assert world.seen_by_chance(0) == 0 and RuleWorld().seen_by_chance(6_096_384) == pytest.approx(1 - 1 / math.e, abs=1e-6)


def test_a_scene_follows_from_seed_and_number_alone():
    world = RuleWorld(samples=12)
    batch = world.batch([7, 3, 11])
    assert same({name: value[1] for name, value in batch.items()}, world[3])
    assert same(world.__getitems__([7, 3, 11]), batch) and same(world[-1], world[11]) and len(world) == 12
    assert same(RuleWorld(samples=99)[7], world[7]) and not torch.equal(world[7]["image"], world[8]["image"])
    assert not torch.equal(RuleWorld(seed=1).first(9), world.first(9))
    assert torch.equal(world.first(12)[[7, 3, 11]], world.states(batch))
    state = torch.get_rng_state()
    world.batch(range(4))
    assert torch.equal(state, torch.get_rng_state())


def test_a_batch_is_that_of_part_two():
    world = RuleWorld()
    scenes = world.batch(range(MANY))
    assert scenes["image"].shape == (MANY, 3, 64, 64) and scenes["image"].dtype == torch.float32
    assert scenes["ids"].shape == (MANY, 64, 64) and scenes["ids"].dtype == torch.uint8
    for name in ("present", "kind", "place", "colour_index", "size_index", "size", "angle", "way", "visible"):
        assert scenes[name].shape == (MANY, 3), name
    assert scenes["position"].shape == (MANY, 3, 2) and scenes["colour"].shape == (MANY, 3, 3)
    assert scenes["present"].all() and (scenes["visible"] == 1).all() and (scenes["ids"].flatten(1).amax(1) == 3).all()
    assert (scenes["place"].diff(dim=1) > 0).all()  # row by row
    for name, value in (("colour", torch.tensor(list(COLOURS.values()))[scenes["colour_index"]]),
                        ("size", torch.tensor(world.sizes)[scenes["size_index"]])):
        assert torch.equal(scenes[name], value)
    for name, many in (("place", 9), ("kind", 3), ("colour_index", 8), ("size_index", 2)):
        assert set(scenes[name].flatten().tolist()) == set(range(many))
    assert (scenes["image"].movedim(1, 3)[scenes["ids"] == 0] == BACKGROUND).all()
    before, after = world.batch([3]), world.batch([3], motion=0.05)  # what Part II does with scenes can be done with these
    assert torch.allclose((after["position"] - before["position"]).norm(dim=-1), torch.tensor(0.05), atol=1e-6)


def test_objects_of_every_size_stay_inside_their_places_and_apart():
    for world in (RuleWorld(), RuleWorld(objects=8)):
        scenes = world.batch(range(MANY))
        ids = scenes["ids"].long()
        middle = ((torch.arange(64) - 2) // 20).clamp(-1, 3)  # 2 pixels of rim, then three places of 20 pixels
        place = torch.where((middle[:, None] >= 0) & (middle < 3) & (middle[:, None] < 3), 3 * middle[:, None] + middle, -1)
        where = torch.cat([torch.full((MANY, 1), -2), scenes["place"]], 1).gather(1, ids.flatten(1)).view_as(ids)
        assert ((where == place) | (ids == 0)).all()
        for a, b in ((ids[:, :, 1:], ids[:, :, :-1]), (ids[:, 1:], ids[:, :-1])):
            assert not ((a != b) & (a > 0) & (b > 0)).any()
        assert (scenes["visible"] == 1).all()
    assert max(world.sizes) <= CELL / 2


@pytest.mark.parametrize("resolution", [32, 128])
def test_every_resolution_shows_the_same_scene(resolution):
    middle, other = RuleWorld().batch(range(MANY)), RuleWorld(resolution).batch(range(MANY))
    factors = middle.keys() - {"image", "ids", "visible"}
    assert same({name: middle[name] for name in factors}, {name: other[name] for name in factors})
    small, large = sorted((middle["ids"], other["ids"]), key=lambda ids: ids.shape[-1])
    block = large.unfold(1, 2, 2).unfold(2, 2, 2).flatten(3)
    settled = (block == block[..., :1]).all(-1)
    assert settled.float().mean() > 0.9 and (block[..., 0] == small)[settled].float().mean() > 0.9999


@pytest.mark.parametrize("world", [RuleWorld(32), RuleWorld(64), Small(resolution=96)], ids=["32", "64", "small"])
def test_states_compose_the_scene_they_came_from_and_every_place_shows_its_template(world):
    scenes = world.batch(range(MANY))
    states = world.states(scenes)
    assert torch.equal(world.compose(states)["image"], scenes["image"])
    assert torch.equal((states > 0).sum(1), torch.full((MANY,), world.max_objects))
    cell = world.templates.shape[-1]
    assert world.templates.shape == (world.values + 1, 3, cell, cell) and cell == world.resolution * 5 // 16
    rim = (world.resolution - world.side * cell) // 2
    for number, place in product((0, 7), range(world.places)):
        row, column = (rim + cell * k for k in divmod(place, world.side))
        seen = scenes["image"][number, :, row:row + cell, column:column + cell]
        assert torch.equal(seen, world.templates[states[number, place]])


def test_objects_are_the_digits_of_states():
    world = RuleWorld()
    every = torch.arange(49)[:, None]
    found = world.objects(every)
    assert not found["present"][0] and all(found[name][0] == -1 for name in ("kind", "colour", "size"))
    values = {(int(found["kind"][k]), int(found["colour"][k]), int(found["size"][k])) for k in range(1, 49)}
    assert values == set(product(range(3), range(8), range(2)))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: RuleWorld(resolution=48), "resolution must be a multiple of 32, not 48"),
    (lambda: RuleWorld(resolution=0), "resolution must be at least 16 pixels, not 0"),
    (lambda: RuleWorld(objects=0), "1 to 9 objects .* not 0 objects and 8 colours"),
    (lambda: RuleWorld(objects=4, colours=3), "not 4 objects and 3 colours"),
    (lambda: RuleWorld(colours=9), "not 3 objects and 9 colours"),
    (lambda: RuleWorld(samples=0), "samples must be at least 1"),
    (lambda: RuleWorld().batch([-1]), "numbered from 0 on"),
    (lambda: RuleWorld().first(0), "ask for at least one")])
def test_bad_input_gets_one_sentence(make, message):
    with pytest.raises(BadInput, match=message) as error:
        make()
    assert "\n" not in str(error.value)
