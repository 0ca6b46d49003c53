"""The probes of notebook 04 count, keep and measure what they say, and its pictures draw."""

import inspect
import re
import warnings

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from course_lib.core.errors import BadInput
from course_lib.slots import exercises, figures_attention, tiny
from course_lib.slots.attention import SlotAttention
from course_lib.slots.probes import gradient_norms, moves, multiplications, saved_bytes

INPUTS, START = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0)), torch.linspace(-1, 1, 24).view(2, 3, 4)


def module(gradient: str = "full") -> SlotAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SlotAttention(4, 4, 8, gradient)


def test_multiplications_are_those_of_matrix_products():
    assert multiplications(lambda: torch.ones(2, 3) @ torch.ones(3, 5) + 1) == 2 * 3 * 5
    attention = module()
    one = multiplications(lambda: attention(INPUTS, START, 1))
    slots, dim = 2 * 3, 4
    assert one == slots * dim * (3 * dim + 2 * 9 + 6 * dim + 2 * 8)  # q, Wᵀq and v of the mean; A and the mean; GRU; MLP
    assert multiplications(lambda: attention(INPUTS, START, 3)) == 3 * one


def test_saved_bytes_counts_activations_once_and_no_leaves():
    x = torch.ones(10, requires_grad=True)
    assert saved_bytes(lambda: x * 2) == 0
    assert saved_bytes(lambda: x.exp()) == 40  # its result
    assert saved_bytes(lambda: (2 * x) * (3 * x)) == 80
    assert saved_bytes(lambda: (y := 2 * x) * y) == 40
    with torch.no_grad():
        assert saved_bytes(lambda: x.exp()) == 0


def test_only_the_full_gradient_keeps_every_iteration():
    start = START.clone().requires_grad_()
    full, cut = (saved_bytes(lambda: module(gradient)(INPUTS, start, 5)[0]) for gradient in ("full", "implicit"))
    assert full > 3 * cut == 3 * saved_bytes(lambda: module("implicit")(INPUTS, start, 1)[0]) > 0


def test_gradient_norms():
    line, unused = nn.Linear(2, 1), nn.Linear(2, 2)
    loss = line(torch.tensor([[3.0, 4.0]])).sum()  # d/dw = (3, 4), d/db = 1
    norms = gradient_norms(loss, {"line": line, "unused": unused})
    assert norms["line"] == pytest.approx(26**0.5) and norms["unused"] == 0


def test_moves_are_the_steps_of_the_slots():
    attention = module()
    found = moves(attention, INPUTS, START, 3)
    slots, normed = START, attention.norm_inputs(INPUTS)
    for t in range(3):
        after, table = attention.step(normed, slots)
        mean = (table + 1e-8) @ normed / (table + 1e-8).sum(-1, keepdim=True)
        between = attention.gru(attention.to_value(mean).flatten(0, 1), slots.flatten(0, 1)).view_as(slots)
        assert found["GRU"][t] == pytest.approx(float((between - slots).norm(dim=-1).mean().detach()), rel=1e-4)
        assert found["MLP"][t] == pytest.approx(float((after - between).norm(dim=-1).mean().detach()), rel=1e-4)
        assert found["both"][t] == pytest.approx(float((after - slots).norm(dim=-1).mean().detach()), rel=1e-4)
        slots = after.detach()
    assert all(len(values) == 3 for values in found.values())
    assert not attention.gru._forward_hooks and not attention.mlp._forward_hooks
    with torch.no_grad():
        attention.gru.bias_hh[4:8] = 100  # the gate shut: all of the old slot is kept
    shut = moves(attention, INPUTS, START, 1)
    assert shut["gate"] == [pytest.approx(1)] and shut["GRU"] == [pytest.approx(0, abs=1e-5)]


POINTS = tiny.three_clusters()[::2]
PATH, TABLES = tiny.iterate(POINTS, tiny.poor_start(), 4)
DRAW = {
    "iteration_figure": lambda: figures_attention.iteration_figure(POINTS[:, 0], PATH[0, :, 0], TABLES[0], PATH[1, :, 0]),
    "paths_figure": lambda: figures_attention.paths_figure(POINTS, {"a": PATH, "b": PATH[:2]}),
    "matrices_figure": lambda: figures_attention.matrices_figure({"a": TABLES[0], "b": TABLES[-1]}),
    "lines_figure": lambda: figures_attention.lines_figure([1, 2, 3], {"a": [0, 1, 2], "b": [2, 2, 1]}, "x", "y", "t", log=True, mark=(2, "here")),
    "bars_figure": lambda: figures_attention.bars_figure({"a": {"p": 1.0, "q": 0.0}, "b": {"p": 0.1, "q": 2.0}}, "y", "t", log=True),
    "step_target": exercises.step_target,
    "equivariance_target": exercises.equivariance_target,
    "implicit_target": exercises.implicit_target,
}


def test_every_picture_is_drawn_here():
    public = {name for module in (figures_attention, exercises) for name, thing in vars(module).items()
              if name.endswith(("_figure", "_target")) and name != "new_figure" and inspect.isfunction(thing)}
    assert public == DRAW.keys()


@pytest.mark.parametrize("name", DRAW)
def test_a_picture_has_names_fits_its_frame_and_leaves_chance_alone(name):
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = DRAW[name]()
        figure.canvas.draw()
    assert isinstance(figure, Figure) and np.asarray(figure.canvas.buffer_rgba())[..., :3].std() > 5
    for axes in figure.axes:
        for name, ticks in ((axes.get_xlabel(), axes.get_xticklabels()), (axes.get_ylabel(), axes.get_yticklabels())):
            assert name or not ticks or any(re.search(r"[^\W\d_]", tick.get_text()) for tick in ticks)  # words at the ticks, not numbers
        for text in (axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title, *axes.texts):
            box = text.get_window_extent()
            assert not text.get_text() or figure.bbox.padded(1).count_contains([box.p0, box.p1]) == 2, text.get_text()
    assert torch.equal(before, torch.get_rng_state())


def test_the_printed_numbers_are_those_of_the_table():
    texts = [text.get_text() for text in DRAW["matrices_figure"]().axes[0].texts]
    assert texts == [f"{value:.2f}" for value in TABLES[0].flatten().tolist()]


def test_a_zero_has_no_place_on_a_logarithmic_axis():
    first, second = DRAW["lines_figure"]().axes[0].lines[:2]
    assert np.isnan(first.get_ydata()[0]) and list(second.get_ydata()) == [2, 2, 1]
    assert [text.get_text() for text in DRAW["bars_figure"]().axes[0].texts] == ["1", "0", "0.1", "2"]


def test_bad_input():
    with pytest.raises(BadInput, match="each with 2 points"):
        figures_attention.lines_figure([1, 2], {"a": [1]}, "x", "y")
    with pytest.raises(BadInput, match="all with the same groups"):
        figures_attention.bars_figure({"a": {"p": 1.0}, "b": {"q": 1.0}}, "y")
