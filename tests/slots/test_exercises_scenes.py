"""The checks of notebook 05 accept right answers, reject wrong ones with the law they break, and never raise."""

import html

import pytest
import torch
from matplotlib.figure import Figure

from course_lib.core.errors import BadInput
from course_lib.slots import exercises_scenes, figures_scenes
from course_lib.slots.exercises_scenes import check
from course_lib.slots.failures import from_labels, paper_scene
from course_lib.slots.owners import object_errors


def iou(ids, owner):
    rows = [[((ids == i) & (owner == j)).sum() / ((ids == i) | (owner == j)).sum() for j in range(int(owner.max()) + 1)]
            for i in range(1, int(ids.max()) + 1)]
    return torch.tensor(rows)


def removal(model, slots, k):
    return model.decode(slots[:, [j for j in range(slots.shape[1]) if j != k]], 64, 64)[2]


def removed_too_late(model, slots, k):
    pictures, masks, _ = model.decode(slots, 64, 64)
    keep = torch.arange(slots.shape[1]) != k
    return torch.einsum("bkhw,bkchw->bchw", masks[:, keep], pictures[:, keep])


def exchange(first, second, i, j):
    a, b = first.clone(), second.clone()
    a[:, i], b[:, j] = second[:, j], first[:, i]
    return a, b


def exchange_in_place(first, second, i, j):
    first[:, i], second[:, j] = second[:, j].clone(), first[:, i].clone()
    return first, second


def exchange_of_views(first, second, i, j):
    """The second copy takes what the first copy has already been given."""
    a, b = first.clone(), second.clone()
    a[:, i], b[:, j] = b[:, j], a[:, i]
    return a, b


def emptied(model, slots, k):
    """Slot k becomes nothing but zeros, and goes on claiming its share of the pixels."""
    slots = slots.clone()
    slots[:, k] = 0
    return model.decode(slots, 64, 64)[2]


def scores(halves, pairs):
    return {"objects in halves": halves, "objects in pairs": pairs}


RIGHT = {"iou": iou, "mbo": lambda table: float(table.amax(1).mean()), "prediction": scores((0.6, 0.99), (0.5, 0.98)),
         "removal": removal, "exchange": exchange}
WRONG = [
    ("iou", lambda ids, owner: iou(ids, owner) * 0, "itself has IoU 1"),  # the stub
    ("iou", lambda ids, owner: iou(ids, owner).T, "a row for each object"),
    ("iou", lambda ids, owner: iou(ids + 1, owner), "a row for each object"),  # with a row for the background
    ("iou", lambda ids, owner: torch.stack([torch.bincount(owner[ids == i], minlength=5) for i in range(1, 5)]), "between 0 and 1"),  # pixels, no shares
    ("iou", lambda ids, owner: 2 * iou(ids, owner) / (1 + iou(ids, owner)), "pixels in both / pixels in at least one"),  # Dice
    ("mbo", lambda table: 0.0, "mBO is 1"),  # the stub
    ("mbo", lambda table: table.amax(1), "one number"),
    ("mbo", lambda table: float(table.amax(0).mean()), "you return 0.600"),  # the best object of each slot
    ("mbo", lambda table: float(table.amax(1).sum()), "you return 3.000"),
    ("mbo", lambda table: float(table.max()), "mean over objects of the best IoU"),
    ("prediction", scores((1.0, 1.0), (1.0, 1.0)), "only if the two partitions are the same"),  # the stub
    ("prediction", [(0.6, 0.99), (0.5, 0.98)], "a dict with the keys"),
    ("prediction", scores(0.6, 0.5), "give (FG-ARI, full ARI)"),
    ("prediction", scores((0.8, 0.6), (0.8, 0.5)), "full ARI is the larger"),
    ("prediction", scores((0.5, 0.99), (0.5, 0.98)), "'objects in halves' is not 0.50 (within 0.03) for FG-ARI"),
    ("prediction", scores((0.6, 0.99), (0.5, 0.9)), "'objects in pairs' is not 0.90 (within 0.03) for full ARI"),
    ("removal", lambda model, slots, k: model.decode(slots, 64, 64)[2], "to be left out"),  # the stub
    ("removal", lambda model, slots, k: removal(model, slots, k)[0], "a batch of pictures"),
    ("removal", lambda model, slots, k: removal(model, slots, 0), "slot 3 is to be left out"),
    ("removal", removed_too_late, "before the softmax"), ("removal", emptied, "what the other slots paint alone"),
    ("exchange", lambda first, second, i, j: (first, second), "must change places"),  # the stub
    ("exchange", lambda first, second, i, j: exchange(first, second, i, j)[0], "Return two tensors"),
    ("exchange", exchange_in_place, "must not change"), ("exchange", exchange_of_views, "must change places"),
    ("exchange", lambda first, second, i, j: tuple(slots.flip(0) for slots in exchange(second[:, [0, 1, 2, 2]], first[:, :3], i, j)), "must change places"),
    ("exchange", lambda first, second, i, j: tuple(slots * 0 + slots[:, [k]] for slots, k in zip(exchange(first, second, i, j), (i, j))), "all other slots"),
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_passes(said, name):
    assert 'data-check="ok"' in said(name, RIGHT[name])


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = html.unescape(said(name, answer))
    assert 'data-check="no"' in words and law in words and "Hint" in words


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("answer", [None, 3, lambda *arguments: 1 / 0])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)


def test_figures_show_what_they_are_given():
    masks = from_labels(paper_scene())[0]
    assert isinstance(exercises_scenes.iou_target(), Figure)
    sides = figures_scenes.segmentations_figure({"a": (masks, {"fg_ari": 1.0}), "b": (masks, {"full_ari": 0.5})})
    assert [axes.get_xlabel() for axes in sides.axes] == ["FG-ARI 1.00", "full ARI 0.50"]
    errors = [object_errors(paper_scene(), masks[None])] * 2
    lines = figures_scenes.errors_figure([2, 3], {name: [e[name] for e in errors] for name in errors[0]}).axes[0].lines
    assert [line.get_label() for line in lines] == ["merged", "split", "swallowed"]
    assert len(figures_scenes.pictures_figure({"a": torch.rand(3, 4, 4), "b": torch.rand(3, 4, 4)}).axes) == 2
    with pytest.raises(BadInput, match="2 numbers"):
        figures_scenes.errors_figure([2, 3], {"merged": [0.1]})
    runs = {"as it is": {"0": {"metrics": {"fg_ari": 0.9, "full_ari": 0.5}}, "1": {"metrics": {"fg_ari": 0.7, "full_ari": 0.6}}},
            "5 slots": {"0": {"metrics": {"fg_ari": 0.4, "full_ari": 0.3}}}}
    (axes,) = figures_scenes.settings_figure(runs).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["as it is", "5 slots"]
    marks, line = axes.lines[:2]
    assert marks.get_label() == "FG-ARI" and marks.get_xdata().tolist() == [0.9, 0.7, 0.4] and line.get_xdata() == pytest.approx([0.8, 0.8])
    for draw in (figures_scenes.segmentations_figure, figures_scenes.pictures_figure, figures_scenes.settings_figure):
        with pytest.raises(BadInput, match="no "):
            draw({})
