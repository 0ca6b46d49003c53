"""Captioned scenes: what a caption says is what the picture shows, and a wrong answer is wrong in one thing."""

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch

from course_lib.core.errors import BadInput
from course_lib.slots.scenes import COLOURS
from course_lib.tokens.captions import (CHANGED, COLOUR_NAMES, FACTORS, HELD_OUT, KINDS, LENGTH, PLACES, PLACES_TRIED, SIDE, SIZES, TEMPLATES,
                                        UNNAMED, WORDS, Captioned, CaptionedScenes, Object, candidates, captions, describe,
                                        distinct_captions, make_tokenizer, objects)

LONGEST_FIRST = sorted(PLACES, key=len, reverse=True)
PHRASE = re.compile(rf"a (?:({'|'.join(SIZES)}) )?(?:({'|'.join(COLOUR_NAMES)}) )?({'|'.join(KINDS)})")


def read(text: str) -> list[tuple[str | None, str | None, str, str | None]]:
    """(size, colour, kind, place) of every object that a caption names: a reader written apart from the writer."""
    found = [match.groups() for match in PHRASE.finditer(text)]
    places = re.findall("|".join(LONGEST_FIRST), text)
    assert len(places) in (0, len(found)) and len(re.findall("|".join(KINDS), text)) == len(found)
    return [(*each, place) for each, place in zip(found, places or [None] * len(found))]


def truth(scenes: dict, row: int) -> list[tuple]:
    """The same, read off the pixels: each object's colour, extent and centre of its bounding box."""
    found = []
    n = scenes["image"].shape[-1]
    for k in range(int(scenes["present"][row].sum())):
        mask = scenes["ids"][row] == k + 1
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        y, x = ((int(side[0]) + int(side[-1]) + 1) / 2 / n for side in (rows, columns))
        place = PLACES[int(y * SIDE) * SIDE + int(x * SIDE)]
        pixel = scenes["image"][row][:, mask][:, 0]
        colour = min(COLOUR_NAMES, key=lambda name: float((pixel - scenes["colour"].new_tensor(COLOURS[name])).abs().sum()))
        fill = float(mask.sum()) / (len(rows) * len(columns))
        height = float((mask.nonzero()[:, 0] - rows[0] + 0.5).mean()) / len(rows)  # of the centre of mass; in a triangle ⅔ down
        kind = "square" if fill > 0.95 else "circle" if height < 0.575 else "triangle"
        radius = len(columns) / n * 2 / {"circle": 2, "square": 2**0.5, "triangle": 3**0.5}[kind]
        found.append((min(SIZES, key=lambda size: abs(SIZES[size] - radius)), colour, kind, place))
    return found


@pytest.mark.parametrize("resolution", [48, 96])
def test_a_caption_says_what_the_pixels_show(resolution):
    scenes = CaptionedScenes(resolution, seed=3).batch(range(60))
    for row, text in enumerate(captions(scenes)):
        said, shown = read(text), truth(scenes, row)
        silent = [[None if heard is None else seen for heard, seen in zip(said[0], each)] for each in shown]
        assert Counter(said) == Counter(map(tuple, silent))


def test_objects_lie_in_different_places_and_do_not_touch():
    scenes = CaptionedScenes(48, seed=1).batch(range(200))
    for row, present in enumerate(scenes["present"].tolist()):
        assert len({p for p, there in zip(scenes["place"][row].tolist(), present) if there}) == sum(present)
    assert (scenes["visible"][scenes["present"]] == 1).all()
    assert set(scenes["present"].sum(1).tolist()) == {2, 3, 4}
    edge = torch.cat([scenes["ids"][:, [0, -1]].flatten(), scenes["ids"][:, :, [0, -1]].flatten()])
    assert not edge.any()


def test_scenes_are_the_same_at_both_sizes_and_in_any_batch():
    few, many = CaptionedScenes(48, seed=5), CaptionedScenes(96, seed=5)
    first, second = few.batch([4, 9, 2]), many.batch([9, 2])
    for name in ("kind", "colour_index", "size_index", "place", "position", "background"):
        assert torch.equal(first[name][1:], second[name])
    assert captions(first)[1:] == captions(second)
    assert captions(first) == captions(first) != captions(first, seed=1)


def test_training_never_shows_a_held_out_combination_and_they_always_do():
    assert len(HELD_OUT) == 4 and len(set(HELD_OUT)) == 4
    kept = set(product(KINDS, COLOUR_NAMES)) - set(HELD_OUT)
    assert {k for k, _ in kept} == set(KINDS) and {c for _, c in kept} == set(COLOUR_NAMES)
    for neighbours in (False, True):
        seen = objects(CaptionedScenes(48, neighbours=neighbours).batch(range(400)))
        assert {(KINDS[o.kind], COLOUR_NAMES[o.colour]) for scene in seen for o in scene} == kept
    fresh = objects(CaptionedScenes(48, combinations="held_out").batch(range(200)))
    assert {(KINDS[scene[0].kind], COLOUR_NAMES[scene[0].colour]) for scene in fresh} == set(HELD_OUT)
    assert all((KINDS[o.kind], COLOUR_NAMES[o.colour]) in kept for scene in fresh for o in scene[1:])


def test_neighbours_differ_in_what_they_say_and_in_nothing_else():
    scenes = CaptionedScenes(48, seed=2, neighbours=True).batch(range(400))
    found, changed = objects(scenes), scenes["changed"].tolist()
    texts = captions(scenes)
    assert changed[::2] == changed[1::2] and set(changed) == {0, 1, 2, 3}
    assert torch.equal(scenes["background"][::2], scenes["background"][1::2])
    assert torch.equal(CaptionedScenes(48, seed=2).batch(range(200))["position"], scenes["position"][::2])  # the even ones are the world's
    for k in range(0, 400, 2):
        wrong = [(a, b) for a, b in zip(found[k], found[k + 1]) if a != b]
        assert len(found[k]) == len(found[k + 1]) and len(wrong) == 1
        assert [x != y for x, y in zip(*wrong[0])] == [f == changed[k] for f in range(4)]
        for text, there, other in ((texts[k], found[k], found[k + 1]), (texts[k + 1], found[k + 1], found[k])):
            assert fits(text, there) and not fits(text, other)


def test_neighbours_differ_in_the_kind_most_often():
    changed = CaptionedScenes(16, samples=2000, neighbours=True)._attempt(2 * np.arange(1500), 0)[0]["changed"]  # nothing is drawn
    assert sum(CHANGED) == pytest.approx(1) and max(CHANGED) == CHANGED[FACTORS.index("kind")]
    np.testing.assert_allclose(np.bincount(changed) / 1500, CHANGED, atol=0.04)


def fits(text: str, scene: list[Object]) -> bool:
    """Whether a caption is true of these objects."""
    said = read(text)
    full = [(tuple(SIZES)[o.size], COLOUR_NAMES[o.colour], KINDS[o.kind], PLACES[o.place]) for o in scene]
    return Counter(said) == Counter(tuple(None if heard is None else word for heard, word in zip(said[0], each)) for each in full)


def test_templates_orders_and_silences_all_occur():
    scenes = CaptionedScenes(48).batch(range(600))
    texts = captions(scenes)
    for begin, between, first in TEMPLATES:
        assert any(text.startswith(begin) and between in text and (read(text)[0][3] is not None) for text in texts)
    said = [read(text)[0] for text in texts]
    silent = torch.tensor([[heard is None for heard in each] for each in said]).float()  # of size, colour, kind, place
    np.testing.assert_allclose(silent.mean(0), [UNNAMED, UNNAMED, 0, UNNAMED], atol=0.05)
    together = (silent.T @ silent / len(said))[[0, 0, 1], [1, 3, 3]]
    np.testing.assert_allclose(together, 3 * [UNNAMED**2], atol=0.025)  # one silence says nothing of another
    orders = [[KINDS.index(row[2]) for row in read(text)] == [o.kind for o in scene] for text, scene in zip(texts, objects(scenes))
              if len({o.kind for o in scene}) == len(scene)]
    assert 0.2 < sum(orders) / len(orders) < 0.6  # ½ of two objects and ⅙ of three


def test_captions_can_be_silent_about_more():
    world, tokenizer = CaptionedScenes(16, neighbours=True), make_tokenizer()
    scenes = world.batch(range(128))
    for unnamed, expected in ((0.0, 0), (1.0, 1)):
        said = [each for text in captions(scenes, unnamed=unnamed) for each in [read(text)[0]]]
        silent = [[said[row][column] is None for row, factor in enumerate(scenes["changed"]) if FACTORS[factor] != name]
                  for column, name in ((0, "size"), (1, "colour"), (3, "place"))]
        assert [sum(column) / len(column) for column in silent] == 3 * [expected]
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in Captioned(world, tokenizer, distinct=False, unnamed=1.0).batch(range(64))["text"]]
    assert texts[::2] != texts[1::2] and len(set(texts)) < 128  # equal captions are kept
    with pytest.raises(BadInput, match="^two scenes of one batch are the same"):
        Captioned(CaptionedScenes(16, max_objects=2), tokenizer, unnamed=1.0).batch(range(64))  # too few captions for so many


@pytest.mark.parametrize("combinations_", ["seen", "held_out"])
@pytest.mark.parametrize("factor", FACTORS)
def test_wrong_answers_differ_in_one_factor_of_one_object(factor, combinations_):
    scenes = CaptionedScenes(48, seed=7, combinations=combinations_).batch(range(40))
    answers = {len(KINDS): "kind", len(COLOUR_NAMES): "colour", 2: "size", PLACES_TRIED: "place"}
    column = {"size": 0, "colour": 1, "kind": 2, "place": 3}[factor]
    for texts, scene in zip(candidates(scenes, factor), objects(scenes)):
        assert answers[len(texts)] == factor and len(set(texts)) == len(texts)
        assert fits(texts[0], scene) and not any(fits(text, scene) for text in texts[1:])
        true = read(texts[0])
        for wrong in map(read, texts[1:]):
            different = [(a, b) for a, b in zip(true, wrong) if a != b]
            assert len(different) == 1
            assert [x != y for x, y in zip(*different[0])] == [k == column for k in range(4)]
            assert len({each[3] for each in wrong}) == len(wrong)  # a free place
            if combinations_ == "held_out":
                assert different[0][0][2:0:-1] in HELD_OUT


def test_the_joint_question_has_every_combination_once():
    scenes = CaptionedScenes(48, seed=7).batch(range(5))
    for texts, scene in zip(candidates(scenes, "joint"), objects(scenes)):
        assert len(texts) == len(KINDS) * len(COLOUR_NAMES) * len(SIZES) * PLACES_TRIED
        assert fits(texts[0], scene)
        assert len(set(texts)) == len(texts)
        for factor in FACTORS:
            single = candidates(scenes, factor)
            assert {tuple(sorted(read(t))) for t in single[objects(scenes).index(scene)]} <= {tuple(sorted(read(t))) for t in texts}


def test_every_word_has_a_token_and_the_longest_caption_fits():
    tokenizer = make_tokenizer()
    assert tokenizer.eos_token_id != 2 and len({tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}) == 4
    scene = [Object(k % 3, k, k % 2, k) for k in range(4)]
    longest = max((describe(scene, template) for template in range(len(TEMPLATES))), key=lambda text: len(text.split()))
    numbers = tokenizer([longest, "a circle"], padding=True)["input_ids"]
    assert len(numbers[0]) == len(longest.split()) + 2 <= LENGTH
    assert numbers[0][0] == tokenizer.bos_token_id and numbers[0][-1] == tokenizer.eos_token_id
    assert numbers[1][3] == tokenizer.eos_token_id and set(numbers[1][4:]) == {tokenizer.pad_token_id}
    assert tokenizer.decode(numbers[0], skip_special_tokens=True).split() == longest.split()
    for text in captions(CaptionedScenes(48).batch(range(100))):
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]
    assert tokenizer("a hexagon")["input_ids"][2] == tokenizer.unk_token_id
    assert make_tokenizer(list(WORDS)).get_vocab() == tokenizer.get_vocab()


def test_no_two_captions_of_a_batch_are_equal():
    scenes = CaptionedScenes(48, max_objects=2).batch([0, 1])
    double = {name: value.repeat(2, *[1] * (value.ndim - 1)) for name, value in scenes.items()}
    double["number"] = torch.tensor([0, 1, 0, 5])
    assert captions(double)[0] == captions(double)[2]
    texts = distinct_captions(double)
    assert len(set(texts)) == 4 and texts[:2] == captions(double)[:2]
    assert all(fits(text, scene) for text, scene in zip(texts, objects(double)))
    with pytest.raises(BadInput, match="^two scenes of one batch are the same"):
        distinct_captions({name: value[:1].repeat(60, *[1] * (value.ndim - 1)) for name, value in scenes.items()})


def test_a_training_batch_is_pictures_and_numbers_of_tokens():
    tokenizer = make_tokenizer()
    pairs = Captioned(CaptionedScenes(48, seed=4, neighbours=True), tokenizer)
    batch = pairs.batch([7, 3])
    scenes = pairs.world.batch([14, 15, 6, 7])
    assert torch.equal(batch["image"], scenes["image"])
    assert [tokenizer.decode(row, skip_special_tokens=True).split() for row in batch["text"]] == [t.split() for t in distinct_captions(scenes, 4)]
    alone = Captioned(CaptionedScenes(48, seed=4), tokenizer).batch([7, 3])
    assert len(alone["image"]) == 2 and torch.equal(alone["image"][1], batch["image"][0]) is False
    assert alone["image"].shape[1:] == (3, 48, 48)


def test_captions_of_pairs_are_seldom_false_negatives():
    """In a batch of pairs no caption is true of the neighbour, and few are true of another scene: those that leave much unsaid."""
    wrong = 0
    for seed in range(3):
        scenes = CaptionedScenes(16, seed=seed, neighbours=True).batch(range(64))
        texts, found = captions(scenes, seed), objects(scenes)
        also = [[fits(text, scene) for scene in found] for text in texts]
        assert all(row[k] and not row[k ^ 1] for k, row in enumerate(also))
        wrong += sum(sum(row) > 1 for row in also)
    assert wrong <= 5  # of 192


@pytest.mark.parametrize(("make", "words"), [
    (lambda: CaptionedScenes(combinations="new"), "combinations must be seen or held_out, not 'new'.$"),
    (lambda: CaptionedScenes(max_objects=5), "at most 4 objects, not 5.$"), (lambda: CaptionedScenes(resolution=8), "at least 16 pixels"),
    (lambda: candidates(CaptionedScenes(48).batch([0]), "hue"), "factor must be one of kind, colour, size, place or joint, not 'hue'.$")])
def test_what_cannot_be_asked_for(make, words):
    with pytest.raises(BadInput, match=words):
        make()
