"""The colour baseline knows colours and nothing else; owners are counted as defined; constructed failures fail as said."""

import pytest
import torch

from course_lib.core.errors import BadInput
from course_lib.slots import failures
from course_lib.slots.baselines import colour_clusters, paint
from course_lib.slots.metrics import scene_metrics
from course_lib.slots.owners import object_errors, owners, same_colour, told_apart
from course_lib.slots.scenes import MultiDSprites, Shapes

SCENES = Shapes(resolution=32).batch(range(24))


def by_hand(share_true, share_found, share_both):
    """ARI from shares: what the notebook computes on paper."""
    a, b, j = (sum(x * x for x in shares) for shares in (share_true, share_found, share_both))
    return (j - a * b) / ((a + b) / 2 - a * b)


def test_flat_colours_are_divided_exactly_and_equal_colours_never():
    sprites = MultiDSprites(resolution=32).batch(range(12))
    masks = colour_clusters(sprites["image"])
    assert torch.allclose(masks.sum(1), torch.ones(12, 32, 32)) and torch.equal(masks, masks.round())
    assert scene_metrics(sprites["ids"], masks)["full_ari"].min() == 1
    assert torch.allclose(paint(sprites["image"], masks), sprites["image"], atol=1e-5)
    twins = same_colour(SCENES).flatten(1).any(1)
    assert 0 < twins.sum() < len(twins)
    ours = scene_metrics(SCENES["ids"], colour_clusters(SCENES["image"]))["fg_ari"]
    assert ours[~twins].min() == 1 and ours[twins].max() < 1
    assert told_apart(SCENES, colour_clusters(SCENES["image"])) == (0, 1)


def test_colour_clusters_minimise_squared_error_and_are_reproducible():
    noisy = SCENES["image"][:3] + 0.05 * torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    errors = [(paint(noisy, colour_clusters(noisy, 4, steps)) - noisy).square().mean() for steps in (0, 2, 6)]
    assert errors[0] > errors[1] >= errors[2]
    assert torch.equal(colour_clusters(noisy, 4), colour_clusters(noisy, 4))
    with pytest.raises(BadInput, match="at least 1 cluster"):
        colour_clusters(noisy, 0)


def test_paint_gives_every_slot_its_mean_colour():
    image = torch.rand(1, 3, 4, 4)
    one, soft = torch.ones(1, 1, 4, 4), torch.full((1, 2, 4, 4), 0.5)
    for masks in (one, soft):
        assert torch.allclose(paint(image, masks), image.mean((2, 3), keepdim=True).expand_as(image), atol=1e-6)


def test_true_masks_have_no_errors_and_each_failure_has_its_own():
    paper = failures.paper_scene()
    shares = [(paper == number).float().mean().item() for number in range(5)]
    assert shares == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])
    errors = {name: object_errors(paper, failures.from_labels(labels)) for name, labels in {
        "truth": paper, "pairs": failures.objects_in_pairs(paper), "halves": failures.objects_in_halves(paper),
        "one": torch.zeros_like(paper), "pieces": failures.background_in_pieces(paper)}.items()}
    assert set(errors["truth"].values()) == set(errors["pieces"].values()) == {0.0}
    assert errors["pairs"] == {"merged": 1, "split": 0, "swallowed": 0}
    assert errors["halves"] == {"merged": 0, "split": 1, "swallowed": 0}
    assert errors["one"] == {"merged": 1, "split": 0, "swallowed": 1}
    rim = failures.from_labels(torch.where(paper.roll(2, 2) == paper, paper, torch.zeros_like(paper)))
    assert set(object_errors(paper, rim).values()) == {0.0}  # a fifth of each object went to the background's slot


@pytest.mark.parametrize("labels, fg, full", [
    (failures.background_in_pieces, 1, ([0.8] + 4 * [0.05], 4 * [0.2] + 4 * [0.05], 4 * [0.2] + 4 * [0.05])),
    (failures.objects_in_one, 0, ([0.8] + 4 * [0.05], [0.8, 0.2], [0.8] + 4 * [0.05])),
    (failures.objects_in_pairs, 0.5, ([0.8] + 4 * [0.05], [0.8, 0.1, 0.1], [0.8] + 4 * [0.05])),
    (failures.objects_in_halves, 0.6, ([0.8] + 4 * [0.05], [0.8] + 8 * [0.025], [0.8] + 8 * [0.025])),
    (torch.zeros_like, 0, ([0.8] + 4 * [0.05], [1], [0.8] + 4 * [0.05])),
])
def test_scores_on_the_paper_scene_are_those_on_paper(labels, fg, full):
    paper = failures.paper_scene()
    found = scene_metrics(paper, failures.from_labels(labels(paper)))
    assert float(found["fg_ari"]) == pytest.approx(fg, abs=0.01)
    assert float(found["full_ari"]) == pytest.approx(by_hand(*full), abs=0.01)


def test_pieces_stripes_and_halves_lie_where_they_should():
    ids = SCENES["ids"]
    pieces = failures.background_in_pieces(ids, 4)
    assert torch.equal(pieces[ids > 0], ids[ids > 0].long() + 3) and set(pieces[ids == 0].tolist()) == {0, 1, 2, 3}
    assert failures.stripes(ids, 4)[0].tolist() == [sorted([0, 1, 2, 3] * 8)] * 32
    assert torch.equal(failures.halves(ids), failures.stripes(ids, 2).transpose(1, 2))
    assert (failures.halves(ids)[:, :16] == 0).all() and (failures.halves(ids)[:, 16:] == 1).all()


def test_owner_is_the_slot_with_most_pixels_and_what_is_hidden_does_not_count():
    ids = torch.tensor([[[0, 0, 0, 0], [1, 1, 1, 3]]])
    owner = torch.tensor([[[0, 0, 0, 1], [2, 2, 1, 1]]])
    slot, share, seen = owners(ids, failures.from_labels(owner))
    assert seen.tolist() == [[True, True, False, True]]
    assert slot[seen].tolist() == [0, 2, 1] and share[seen].tolist() == pytest.approx([0.75, 2 / 3, 1])


def test_a_row_of_the_gallery_has_the_measures_of_its_scene():
    masks = torch.full((24, 5, 32, 32), 0.2)
    row = failures.failure("title", "words", SCENES, masks, which=3)
    assert row.metrics["largest mask"] == pytest.approx(0.2) and row.metrics["fg_ari"] == 0
    assert row.metrics["mse"] == pytest.approx(SCENES["image"][3].var((1, 2), correction=0).mean().item(), rel=1e-4)
