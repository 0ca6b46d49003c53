"""What codes mean: counted on a model that is right by construction, and on a table made by hand."""

import pytest
import torch
from perfect_codes import COLOUR, KIND, PLACE, SIZE, Perfect

from course_lib.codes import meaning
from course_lib.codes.meaning import FACTORS, Objects, agreement, collect_objects, in_words, information, look_up, scene_words
from course_lib.codes.metrics import ENOUGH
from course_lib.codes.svq import SVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput

WORLD = RuleWorld(64, samples=60)


@pytest.fixture(scope="module")
def objects() -> Objects:
    return collect_objects(Perfect(WORLD), WORLD, 60)


def table(codes, **factors) -> Objects:
    """Objects with these codes; factors that are not named are 0."""
    n = len(codes)
    rows = {name: torch.tensor(factors.get(name, [0] * n)) for name in FACTORS}
    return Objects(torch.tensor(codes), rows | {"place": 3 * rows["row"] + rows["column"]}, torch.arange(n), torch.zeros(n, dtype=torch.int64),
                   torch.tensor(codes)[:, None], torch.zeros(n, 9, dtype=torch.int64), (2, 8, 3, 3, 3), 0.0)


def test_every_object_is_there_with_its_own_codes_and_the_truth(objects):
    scenes = WORLD.batch(range(60))
    assert len(objects) == 180 and objects.lost == 0 and objects.scenes.shape == (60, 4, 4)
    for name, book, key in (("place", PLACE, "place"), ("kind", KIND, "kind"), ("colour", COLOUR, "colour_index"), ("size", SIZE, "size_index")):
        assert torch.equal(objects.factors[name], scenes[key].flatten()) and torch.equal(objects.codes[:, book], scenes[key].flatten())
    assert torch.equal(3 * objects.factors["row"] + objects.factors["column"], objects.factors["place"])
    assert torch.equal(objects.scene, torch.arange(60).repeat_interleave(3)) and objects.slot.tolist() == [0, 1, 2] * 60
    assert torch.equal(objects.states, WORLD.states(scenes)) and torch.equal(objects.scenes[objects.scene, objects.slot], objects.codes)


def test_objects_that_share_a_slot_or_are_torn_are_left_out(monkeypatch):
    def shared(ids, masks):
        owner = torch.tensor([[0, 1, 1, 2], [0, 1, 2, 3]])
        return owner, torch.tensor([[1.0, 1, 1, 1], [1.0, 1, 0.4, 0.5]]), owner >= 0

    monkeypatch.setattr(meaning, "owners", shared)
    found = collect_objects(Perfect(WORLD), WORLD, 2)
    assert list(zip(found.scene.tolist(), found.slot.tolist())) == [(0, 2), (1, 1), (1, 3)] and found.lost == pytest.approx(0.5)


def test_no_scene_and_no_slot_of_its_own_are_refused():
    with pytest.raises(BadInput, match="at least 1 scene"):
        collect_objects(Perfect(WORLD), WORLD, 0)
    torch.manual_seed(0)
    one = SVQ(num_slots=1, slot_dim=8, codes=8, channels=4, hidden_dim=8, decoder_dim=8, decoder_layers=1).eval()
    with pytest.raises(BadInput, match="none of the objects of 2 scenes"):
        collect_objects(one, WORLD, 2)


def test_batches_and_random_numbers_do_not_matter(objects, monkeypatch):
    model, before = Perfect(WORLD), torch.get_rng_state()
    monkeypatch.setattr(meaning, "AT_ONCE", 7)
    again = collect_objects(model, WORLD, 60)
    assert torch.equal(again.codes, objects.codes) and torch.equal(again.scene, objects.scene) and torch.equal(before, torch.get_rng_state())


def test_a_codebook_that_is_a_factor_knows_it_and_nothing_else(objects):
    many = Objects(*(value.repeat(120, *[1] * (value.ndim - 1)) if torch.is_tensor(value) else
                     {name: each.repeat(120) for name, each in value.items()} if isinstance(value, dict) else value for value in vars(objects).values()))
    assert len(many) > ENOUGH
    share = information(many, ("place", "kind", "colour", "size"))["share"]
    assert torch.allclose(share.diagonal(), torch.ones(4).double(), atol=0.01) and (share - share.diag().diag()).abs().max() < 0.3
    with pytest.raises(BadInput, match="at least 20000"):
        information(objects)
    assert information(objects, least=100)["share"].shape == (4, 6)


def test_what_a_code_says_is_what_most_of_its_objects_are():
    found = look_up(table([[3]] * 5 + [[1]], size=[1] * 5 + [0], colour=[2] * 3 + [5] * 3, kind=[1] * 3 + [0] * 3, row=[0] * 6, column=[2] * 6), codes=6)
    assert found.uses.tolist() == [[0, 1, 0, 5, 0, 0]] and found.counts[1][0, 3].tolist() == [0, 0, 3, 0, 0, 2, 0, 0]
    assert found.meaning(0, 3) == ((1,), (2, 5), (), (0,), (2,)) and found.says(0, 3) == "large yellow/blue, upper right"
    assert found.says(0, 3, sure=0.6) == "large yellow square, upper right"
    assert found.says(0, 0) == "no clear meaning" and found.meaning(0, 0) == ((),) * 5
    with pytest.raises(BadInput, match="code 3, a codebook of 3"):
        look_up(table([[3]]), codes=3)


def test_more_than_half_of_the_values_say_nothing():
    found = look_up(table([[0]] * 4 + [[1]] * 5, colour=[0, 1, 2, 3, 0, 1, 2, 3, 4], size=[0] * 4 + [1] * 5), codes=2)
    assert found.says(0, 0, sure=1) == "small red/orange/yellow/green circle, upper left" and found.says(0, 1, sure=1) == "large circle, upper left"


def test_entries_group_synonyms_and_stand_in_the_order_of_what_is_told():
    codes = [[0]] * 2 + [[4]] * 3 + [[2]] * 2 + [[1]]  # 4 and 0: red; 2: orange; 1: red too, but only once
    found = look_up(table(codes, colour=[0] * 5 + [1] * 2 + [0], size=[0, 1, 0, 1, 0, 0, 1, 0], kind=[0, 1, 0, 1, 2, 0, 1, 0], row=[0, 1, 2, 0, 1, 0, 1, 0],
                          column=[0, 1, 2, 0, 1, 0, 1, 0]), codes=5)
    assert [(in_words(meaning), codes) for meaning, codes in found.entries(0, least=2).items()] == [("red", [4, 0]), ("orange", [2])]
    assert [1] in found.entries(0).values()
    with pytest.raises(BadInput, match="has 9 objects"):
        found.entries(0, least=9)
    with pytest.raises(BadInput, match="codebooks 0 to 0, not 2"):
        found.entries(2)


def test_entries_begin_with_the_factor_that_is_told_most(objects):
    dictionary = look_up(objects, 16)
    words = [in_words(meaning) for meaning in dictionary.entries(COLOUR)]
    assert [word.split(",")[0].split()[-1] for word in words] == ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"]
    assert [in_words(meaning) for meaning in dictionary.entries(PLACE)] == [
        f"{row} {column}" for row in ("upper", "middle", "lower") for column in ("left", "centre", "right")]


def test_words():
    assert in_words(((0,), (0,), (1,), (0,), (0,))) == "small red square, upper left" and in_words(((1,), (), (2,), (2,), ())) == "large triangle, lower row"
    assert in_words(((), (6, 7), (), (), (2,))) == "purple/pink, right column" and in_words(((), (), (), (1,), (1,))) == "middle centre"
    states = torch.zeros(9, dtype=torch.int64)
    states[4], states[8] = 1, 48
    assert scene_words(states, WORLD) == ["small red circle, middle centre", "large pink triangle, lower right"]


def test_agreement_counts_pairs_of_like_objects():
    assert agreement(table([[1, 1], [1, 2], [1, 3], [2, 3]])).tolist() == pytest.approx([0.5, 1 / 6])
    different = table([[1], [1], [2]], kind=[0, 0, 1])
    assert agreement(different).tolist() == [1.0]
    with pytest.raises(BadInput, match="no two"):
        agreement(table([[1], [1]], kind=[0, 1]))


def test_which_names_each_thing_once(objects):
    state = objects.states[objects.scene, objects.factors["place"]] * 9 + objects.factors["place"]
    assert len(set(zip(objects.which.tolist(), state.tolist()))) == len(set(objects.which.tolist())) == len(set(state.tolist()))
    assert 0 <= int(objects.which.min()) and int(objects.which.max()) < 432
