"""The checks of notebook 05 accept right answers, reject wrong ones with the law they break, and never raise."""

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


@pytest.mark.parametrize("name, right, wrong, law", [
    ("iou", iou, lambda ids, owner: iou(ids, owner).T, "Shape"),
    ("iou", iou, lambda ids, owner: iou(ids, owner) * 0, "itself has IoU 1"),
    ("iou", iou, lambda ids, owner: (iou(ids, owner) > 0.99).double(), "pixels in both"),
    ("mbo", lambda table: float(table.amax(1).mean()), lambda table: float(table.amax(0).mean()), "Law"),
    ("mbo", lambda table: table.amax(1).mean(), lambda table: table.amax(1), "Shape"),
    ("prediction", {"objects in halves": (0.6, 0.99), "objects in pairs": (0.5, 0.98)},
     {"objects in halves": (0.6, 0.99), "objects in pairs": (0.5, 0.9)}, "full ARI of"),
    ("removal", removal, lambda model, slots, k: model.decode(slots, 64, 64)[2], "left out"),
    ("removal", removal, removed_too_late, "Law"),
    ("exchange", exchange, exchange_in_place, "must not change"),
    ("exchange", exchange, lambda first, second, i, j: (first, second), "change places"),
])
def test_checks_tell_right_from_wrong(said, name, right, wrong, law):
    assert 'data-check="ok"' in said(name, right)
    answer = said(name, wrong)
    assert 'data-check="no"' in answer and law in answer


@pytest.mark.parametrize("name", ["iou", "mbo", "prediction", "removal", "exchange"])
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
