"""What tokens know: against transformers' own states, by hand, and on tokens of which everything is known."""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, one_hot

from course_lib.core.errors import BadInput
from course_lib.tokens.captions import COLOUR_NAMES, FACTORS, KINDS, PLACES, SIZES, CaptionedScenes, objects
from course_lib.tokens.clip import ClipTokens, Encoded
from course_lib.tokens.moving import lies_on
from course_lib.tokens.probe import (answers, behind, behind_layers, changed_patches, cosine_floor, elsewhere, exchange, exchanged, linear_probe,
                                     most_frequent, movement, of_objects, on_objects, thinned)
from course_lib.tokens.small_clip import SmallClip

TINY = {"dim": 16, "layers": 3, "heads": 2, "text_dim": 12, "text_layers": 1, "text_heads": 2, "projection": 8}
WORLD = CaptionedScenes(32, seed=4)


@pytest.fixture(scope="module")
def clip():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ClipTokens.of(SmallClip(32, **TINY).eval())


@pytest.mark.parametrize("shape", [(32, 32), (16, 40)])
def test_every_layer_is_what_a_clip_cut_there_encodes(clip, shape):
    image = torch.rand(3, 3, *shape, generator=torch.Generator().manual_seed(1))
    layers = behind_layers(clip, image)
    assert len(layers) == 4
    for number, found in enumerate(layers):
        own = behind(clip, number).encode(clip.normalized(image))
        torch.testing.assert_close(found.tokens, own.tokens, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.cls, own.cls, atol=1e-5, rtol=0)
    assert behind(clip, -1).layer == 3 and behind(clip, -1).clip is clip.clip


def test_the_floor_of_the_cosine_is_the_squared_length_of_the_mean_direction():
    chance = torch.Generator().manual_seed(0)
    tokens = torch.randn(40, 25, 16, generator=chance) * torch.rand(40, 25, 1, generator=chance) + torch.linspace(-1, 1, 16)
    floor = cosine_floor(tokens)
    flat = tokens.flatten(0, 1)
    every = cosine_similarity(flat[:, None], flat[None], dim=-1)
    true = float(every[~torch.eye(1000, dtype=torch.bool)].mean())
    assert floor.cosine == pytest.approx(true, abs=0.03) and floor.length == pytest.approx(true, abs=0.002)
    assert abs(floor.centred) < 0.03
    same = cosine_floor(torch.ones(6, 3) + 0 * torch.eye(6)[:, :3])
    assert same.cosine == pytest.approx(1) and same.length == pytest.approx(1)
    with pytest.raises(BadInput, match="^a pair needs two tokens, and there is 1.$"):
        cosine_floor(torch.ones(1, 4))


def test_tokens_of_objects_lie_on_them():
    scenes = CaptionedScenes(96, seed=4).batch(range(20))
    under = lies_on(scenes["ids"], (24, 24))
    where = torch.stack(torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij"), -1).expand(20, 24, 24, 2)
    tokens = torch.cat([under[..., None].float(), where], -1)  # what it lies on, its row and its column
    middle, mean = on_objects(tokens, scenes), of_objects(tokens, under, scenes)
    number = (torch.arange(4) + 1).expand(20, 4)[scenes["present"]]
    assert torch.equal(middle[:, 0], number.float()) and torch.equal(mean[:, 0], number.float())
    centre = (scenes["position"] + 1) / 2 * 24
    assert ((middle[:, [2, 1]] + 0.5 - centre[scenes["present"]]).abs() <= 0.5).all()
    assert ((mean[:, [2, 1]] + 0.5 - centre[scenes["present"]]).abs() < 0.7).all()


def test_a_mean_token_is_that_of_a_loop():
    scenes = CaptionedScenes(96, seed=4).batch(range(6))
    under = lies_on(scenes["ids"], (12, 24))
    tokens = torch.randn(6, 12, 24, 5, generator=torch.Generator().manual_seed(2))
    by_hand = [tokens[row][under[row] == k + 1].mean(0) for row in range(6) for k in range(int(scenes["present"][row].sum()))]
    torch.testing.assert_close(of_objects(tokens, under, scenes), torch.stack(by_hand))
    assert of_objects(tokens, torch.zeros_like(under), scenes).abs().max() == 0


def test_answers_are_those_of_the_scene():
    scenes = WORLD.batch(range(30))
    found = answers(scenes)
    listed = objects(scenes)
    for name, expected in zip(FACTORS, zip(*[each for scene in listed for each in scene])):
        assert found[name].tolist() == list(expected)
    others = [scene[(k + 1) % len(scene)] for scene in listed for k in range(len(scene))]
    assert found["other kind"].tolist() == [each.kind for each in others]
    assert found["other colour"].tolist() == [each.colour for each in others]


def test_a_probe_reads_what_is_there_and_nothing_else():
    chance = torch.Generator().manual_seed(0)
    y = torch.randint(4, (300,), generator=chance)
    noise = torch.randn(300, 10, generator=chance)
    x = 1000 * (noise + 6 * torch.nn.functional.pad(one_hot(y, 4).float(), (0, 6)))  # of any scale
    assert linear_probe((x[:200], y[:200]), (x[200:], y[200:])) > 0.97
    assert linear_probe((noise[:200], y[:200]), (noise[200:], y[200:])) < 0.45
    assert most_frequent(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 1, 1])) == 0.75
    with pytest.raises(BadInput, match="^all tokens to learn from have the same answer"):
        linear_probe((noise, torch.zeros(300, dtype=torch.long)), (noise, y))


def test_what_moved_elsewhere():
    scenes = CaptionedScenes(32, seed=1, neighbours=True).batch(range(12))
    changed = changed_patches(scenes["image"], (8, 8))
    by_hand = torch.zeros(6, 8, 8, dtype=torch.bool)
    for pair in range(6):
        for row in range(8):
            for column in range(8):
                first, second = (scenes["image"][2 * pair + k, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] for k in (0, 1))
                by_hand[pair, row, column] = bool((first != second).any())
    assert torch.equal(changed, by_hand) and changed.any((1, 2)).all() and not changed.all()
    tokens = torch.zeros(12, 8, 8, 3)
    tokens[1::2][changed] = 2.0
    assert elsewhere(tokens, changed) == 0.0 and float(movement(tokens)[changed].min()) == 12.0
    tokens[0::2][~changed] = 1.0
    outside, inside = int((~changed).sum()), int(changed.sum())
    assert elsewhere(tokens, changed) == pytest.approx(outside * 3 / (outside * 3 + inside * 12))
    with pytest.raises(BadInput, match="^no token differs"):
        elsewhere(torch.ones(12, 8, 8, 3), changed)


def test_patches_do_not_know_one_another_before_the_first_layer_and_do_behind_it(clip):
    scenes = CaptionedScenes(32, seed=1, neighbours=True).batch(range(8))
    changed = changed_patches(scenes["image"], clip.grid)
    found = [elsewhere(layer.tokens, changed) for layer in behind_layers(clip, scenes["image"])]
    assert found[0] == 0.0 and all(later > 0 for later in found[1:])


def test_all_tokens_give_the_models_answer_and_none_that_of_cls(clip):
    image = WORLD.batch(range(5))["image"]
    whole = clip.image_embedding(clip.normalized(image))
    for number, encoded in enumerate(behind_layers(clip, image)):
        cut = behind(clip, number)
        torch.testing.assert_close(thinned(cut, encoded, 1.0), whole, atol=1e-5, rtol=0)
        torch.testing.assert_close(thinned(cut, encoded, 0.0), cut.replay(encoded.tokens[:, 0, :0], encoded.cls), atol=1e-6, rtol=0)
    half = thinned(clip, clip.encode(clip.normalized(image)), 0.5)
    assert not torch.allclose(half, whole, atol=1e-4) and torch.equal(half, thinned(clip, clip.encode(clip.normalized(image)), 0.5))
    with pytest.raises(BadInput, match="from 0 to 1, not 1.5.$"):
        thinned(clip, encoded, 1.5)


def test_so_many_tokens_go_on_and_each_picture_has_its_own():
    class Counts(torch.nn.Module):
        def replay(self, tokens, cls):
            return torch.cat([tokens.mean(1), torch.full((len(tokens), 1), float(tokens.shape[1]))], 1)

    grid = torch.arange(24.0).view(1, 4, 6, 1).expand(3, 4, 6, 1)
    found = thinned(Counts(), Encoded(grid, torch.zeros(3, 1)), 0.25)
    assert found[:, 1].tolist() == [6, 6, 6] and len(set(found[:, 0].tolist())) == 3


@pytest.mark.parametrize("factor", FACTORS)
def test_exchanged_captions_have_the_same_words_and_are_wrong(factor):
    scenes = WORLD.batch(range(60))
    rows, true, wrong = exchanged(scenes, factor)
    listed, column = objects(scenes), FACTORS.index(factor)
    for row, said, other in zip(rows.tolist(), true, wrong):
        first, second = listed[row][:2]
        assert first[column] != second[column] and sorted(said.split()) == sorted(other.split()) and said != other
        name = (KINDS, COLOUR_NAMES, tuple(SIZES), PLACES)[column][second[column]]
        assert name in other.split(" and ")[0]
    left_out = set(range(60)) - set(rows.tolist())
    for row in left_out:
        first, second = listed[row][:2]
        alike = [a == b for a, b in zip(first, second)]
        assert alike[column] or (factor == "place" and all(alike[:3])) or (factor != "place" and sum(alike) == 3)
    with pytest.raises(BadInput, match="^factor must be one of kind, colour, size, place, not 'hue'.$"):
        exchanged(scenes, "hue")


def test_who_hears_only_words_is_right_in_half_and_who_hears_order_in_all():
    scenes = WORLD.batch(range(40))
    rows, true, _ = exchanged(scenes, "colour")

    class Hears(torch.nn.Module):
        def text_embedding(self, texts):
            return torch.stack([torch.tensor([1.0, 0]) if text in true else torch.tensor([0, 1.0]) for text in texts])

    images = torch.tensor([1.0, 0]).expand(40, 2)
    assert exchange(Hears(), scenes, "colour", images).all() and len(exchange(Hears(), scenes, "colour", images)) == len(rows)
    assert not exchange(Hears(), scenes, "colour", images.flip(1)).any()
    one = {name: value[:1] for name, value in scenes.items()} | {"colour_index": torch.zeros(1, 4, dtype=torch.int64)}
    with pytest.raises(BadInput, match="^no scene has two objects that can exchange their colour"):
        exchange(Hears(), one, "colour", images[:1])
    assert math.isclose(len(rows) / 40, 7 / 8, abs_tol=0.15)
