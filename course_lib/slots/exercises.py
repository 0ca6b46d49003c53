"""The exercises of notebook 04: what each answer must satisfy, and the figure it should lead to."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.exercises import Checks, normal
from course_lib.slots import tiny
from course_lib.slots.attention import SlotAttention
from course_lib.slots.figures_attention import lines_figure, matrices_figure, paths_figure
from course_lib.slots.probes import saved_bytes

check = Checks()
ORDER = [2, 0, 1]  # a permutation that leaves no slot where it was


@check.exercise("step", hint="slots @ points.T gives all likenesses at once, (slots, inputs); which of its two axes do the slots lie on?")
def check_step(answer) -> None:
    points, slots = normal(0, 7, 2), normal(1, 3, 2)
    result = answer(points, slots)
    assert isinstance(result, tuple) and len(result) == 2, "Return two things: the new slots, and the attention."
    new, matrix = result
    assert isinstance(new, Tensor) and isinstance(matrix, Tensor), "Return tensors."
    assert matrix.shape == (3, 7), f"Shape: attention has a row for each slot and a column for each input, (3, 7); got {tuple(matrix.shape)}."
    assert new.shape == (3, 2), f"Shape: the new slots have the shape of the old, (3, 2); got {tuple(new.shape)}."
    assert (matrix >= 0).all(), "Law: attention is never negative."
    assert torch.allclose(matrix.sum(0), torch.ones(7), atol=1e-4), "Law: what the slots get of one input must sum to 1."
    assert torch.allclose(matrix, tiny.attention(points, slots), atol=1e-4), "Law: the attention differs from softmax over slots of slot · input."
    same = answer(torch.ones(7, 2), slots)[0]
    assert torch.allclose(same, torch.ones(3, 2), atol=1e-3), "Law: if all inputs are the same point, a mean of them is that point."
    assert torch.allclose(new, tiny.step(points, slots)[0], atol=1e-3), "Law: the new slots differ from the mean of the inputs weighted by attention."


@check.exercise("equivariance", hint="step(points, slots[order])[0] against step(points, slots)[0][order], for an order that moves every slot.")
def check_equivariance(answer) -> None:
    points, slots = normal(2, 7, 2), normal(3, 3, 2)

    def verdict(step) -> float:
        value = answer(step, points, slots)
        assert isinstance(value, (int, float, Tensor)), "Shape: return one number."
        assert not isinstance(value, Tensor) or value.numel() == 1, f"Shape: return one number, not a tensor of shape {tuple(value.shape)}."
        return float(value)

    assert abs(verdict(tiny.step)) < 1e-4, f"Law: a fair step gives 0 up to rounding; you return {verdict(tiny.step):.3g}."
    for favourite in range(3):
        assert verdict(_unfair(favourite)) > 0.01, f"Law: a step that favours whoever stands in place {favourite + 1} is not fair, yet you return about 0."


@check.exercise("implicit", hint="all steps but the last under torch.no_grad(), or .detach() before the last one.")
def check_implicit(answer) -> None:
    weight = torch.tensor(0.9, requires_grad=True)
    start = normal(4, 3, 2).requires_grad_()
    calls = []

    def step(slots: Tensor) -> Tensor:
        calls.append(1)
        return torch.tanh(weight * slots + 0.1)

    for iterations in (1, 4):
        calls.clear()
        slots = answer(step, start, iterations)
        assert isinstance(slots, Tensor) and slots.shape == start.shape, f"Shape: return the slots, {tuple(start.shape)}."
        assert len(calls) == iterations, f"Law: {iterations} iterations take {iterations} calls of step, not {len(calls)}."
        point = start.detach()
        for _ in range(iterations - 1):
            point = step(point).detach()
        last = step(point)
        assert torch.allclose(slots, last, atol=1e-5), "Law: cutting the gradient must not change the slots."
        assert slots.requires_grad, "Law: no gradient reaches the weights any more; the last step must keep it."
        to_weight, to_start = torch.autograd.grad(slots.sum(), [weight, start], allow_unused=True)
        assert to_start is None or not to_start.any(), "Law: the start still gets a gradient."
        expected = torch.autograd.grad(last.sum(), weight)[0]
        assert torch.allclose(to_weight, expected, atol=1e-5), "Law: the gradient of the weights is not that of the last step alone."


def step_target() -> Figure:
    """One correct step, and ten, from a poor start."""
    points = tiny.three_clusters()
    path, _ = tiny.iterate(points, tiny.poor_start(), 10)
    return paths_figure(points, {"target: one step": path[:2], "ten steps": path})


def equivariance_target() -> Figure:
    """Three slots, and the same three in another order: the rows of A change places and no number changes."""
    points, slots = tiny.three_clusters()[::2], tiny.poor_start()
    rows = [[f"slot {k + 1}" for k in order] for order in ([0, 1, 2], ORDER)]
    return matrices_figure({"attention": tiny.attention(points, slots), "target: slots permuted": tiny.attention(points, slots[ORDER])}, rows)


def implicit_target(iterations: int = 7) -> Figure:
    """What autograd keeps for the backward pass against the number of iterations: a rising line and a flat one."""
    inputs, start = torch.zeros(1, 256, 64), torch.zeros(1, 7, 64, requires_grad=True)  # the cost does not depend on the numbers
    x, lines = list(range(1, iterations + 1)), {}
    with torch.random.fork_rng(devices=[]):
        modules = {gradient: SlotAttention(64, gradient=gradient) for gradient in ("full", "implicit")}
    for gradient, attention in modules.items():
        lines[gradient] = [saved_bytes(lambda: attention(inputs, start, t)[0]) / 1e6 for t in x]
    return lines_figure(x, lines, "iterations", "kept for the backward pass, MB", "target: the cost of going back", ylim=(0, 1.1 * max(lines["full"])))



def _unfair(favourite: int):
    """A step in which the slot that stands in one place is heard twice as loudly."""
    def step(points: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        louder = slots.clone()
        louder[favourite] *= 2
        return tiny.step(points, louder)

    return step
