"""Retrieval against counting by hand, chance against drawing, and captions against the scenes they are of."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from course_lib.core.errors import BadInput
from course_lib.tokens.captions import CaptionedScenes, captions, objects
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.retrieval import Retrieval, ranks, same_objects
from course_lib.tokens.small_clip import SmallClip

TINY = {"dim": 16, "layers": 2, "heads": 2, "text_dim": 12, "text_layers": 1, "text_heads": 2, "projection": 8}
WORLD = CaptionedScenes(32, samples=6, seed=4)


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def some(pictures=7, texts=11, seed=0):
    right = normal(seed, pictures, texts) > 1.0
    right[torch.arange(pictures), torch.arange(pictures)] = True
    return normalize(normal(seed + 1, pictures, 4), dim=1), Retrieval(normalize(normal(seed + 2, texts, 4), dim=1), right)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_recall_is_that_of_sorting_by_hand(k):
    images, about = some()
    scores = (images @ about.texts.T).tolist()
    expected = []
    for row, answers in zip(scores, about.right.tolist()):
        order = sorted(range(len(row)), key=lambda j: -row[j])
        expected.append(any(answers[j] for j in order[:k]))
    assert about.recall(images, k).tolist() == expected
    expected = []
    for column in range(11):
        if about.right[:, column].any():
            order = sorted(range(7), key=lambda i: -scores[i][column])
            expected.append(any(about.right[i, column] for i in order[:k]))
    assert about.recall(images, k, "picture").tolist() == expected


def test_a_picture_that_is_its_caption_is_found_and_its_opposite_last():
    _, about = some()
    about.right = torch.eye(7, 11, dtype=torch.bool)
    assert about.recall(about.texts[:7], 1).all() and about.recall(about.texts[:7], 1, "picture").all()
    assert ranks(-about.texts[:7] @ about.texts.T, about.right).tolist() == [11] * 7


def test_one_of_several_right_answers_is_enough_and_a_tie_is_wrong():
    right = torch.tensor([[True, False, True, False]])
    assert ranks(torch.tensor([[0.1, 0.5, 0.9, 0.7]]), right).tolist() == [1]
    assert ranks(torch.tensor([[0.1, 0.5, 0.6, 0.7]]), right).tolist() == [2]
    assert ranks(torch.tensor([[0.5, 0.5, 0.5, 0.5]]), right).tolist() == [3]  # who says the same of all has found nothing


@pytest.mark.parametrize("look_for", ["text", "picture"])
@pytest.mark.parametrize("k", [1, 3])
def test_chance_is_what_drawing_gives(k, look_for):
    _, about = some()
    right = about.right if look_for == "text" else about.right.T[about.right.any(0)]
    scores = torch.rand(4000, *right.shape, generator=torch.Generator().manual_seed(0))
    found = (ranks(scores.flatten(0, 1), right.repeat(4000, 1)) <= k).float().mean()
    assert about.chance(k, look_for) == pytest.approx(float(found), abs=0.02)
    assert about.chance(right.shape[1], look_for) == 1.0
    alone = Retrieval(about.texts, torch.eye(7, 11, dtype=torch.bool))
    assert alone.chance(k) == pytest.approx(k / 11) and alone.chance(k, "picture") == pytest.approx(k / 7)


def test_pictures_are_those_of_the_world_and_captions_say_what_they_show():
    clip = ClipTokens.of(SmallClip(32, **TINY).eval())
    about = Retrieval.about(WORLD, clip)
    own, pairs = WORLD.batch(range(6)), CaptionedScenes(32, samples=12, seed=4, neighbours=True).batch(range(12))
    assert torch.equal(own["image"], pairs["image"][::2]) and about.right.shape == (6, 12)
    torch.testing.assert_close(about.texts, clip.text_embedding(captions(pairs, unnamed=0.0)), atol=1e-5, rtol=0)
    listed, others = objects(own), objects(pairs)
    assert about.right.tolist() == [[sorted(a) == sorted(b) for b in others] for a in listed]
    assert about.right[torch.arange(6), 2 * torch.arange(6)].all() and not about.right[torch.arange(6), 2 * torch.arange(6) + 1].any()


def test_scenes_with_the_same_objects_in_another_order_are_the_same():
    scenes = WORLD.batch(range(6))
    turned = {name: value.clone() for name, value in scenes.items()}
    for name in ("kind", "colour_index", "size_index", "place"):
        turned[name][:, :2] = scenes[name][:, [1, 0]]
    both = {name: torch.cat([scenes[name], turned[name]]) for name in scenes}
    found = same_objects(both)
    assert found[torch.arange(6), torch.arange(6) + 6].all() and found.diagonal().all() and torch.equal(found, found.T)
    turned["size_index"][:, 0] = 1 - turned["size_index"][:, 0]
    both = {name: torch.cat([scenes[name], turned[name]]) for name in scenes}
    assert not same_objects(both)[torch.arange(6), torch.arange(6) + 6].any()


def test_bad_input():
    images, about = some()
    with pytest.raises(BadInput, match="^k must be from 1 to 11, the number of answers there are, not 12.$"):
        about.recall(images, 12)
    with pytest.raises(BadInput, match="^k must be from 1 to 7,"):
        about.chance(8, "picture")
    with pytest.raises(BadInput, match="^look_for must be text or picture, not 'image'.$"):
        about.recall(images, 1, "image")
    with pytest.raises(BadInput, match="^there are captions of 7 pictures, and 6 embeddings"):
        about.recall(images[:6], 1)
    with pytest.raises(BadInput, match="^every picture needs"):
        Retrieval(about.texts, torch.zeros(7, 11, dtype=torch.bool))
    with pytest.raises(BadInput, match="^give a world without neighbours"):
        Retrieval.about(CaptionedScenes(32, samples=4, neighbours=True), ClipTokens.of(SmallClip(32, **TINY).eval()))
    assert math.isclose(float(about.recall(images, 11).float().mean()), 1.0)
