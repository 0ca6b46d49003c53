"""The exercises of notebook 04: a right answer passes, and each wrong one hears which shape or law it breaks."""

import re

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from course_lib.slots import tiny
from course_lib.slots.exercises import check


@pytest.fixture
def said():
    """Call a check; return (state, sentence) of the one message it displays."""
    InteractiveShell.instance()

    def call(name: str, answer: object) -> tuple[str, str]:
        with capture_output() as captured:
            getattr(check, name)(answer)
        (output,) = captured.outputs
        html = output.data["text/html"]
        return re.search(r'data-check="(\w+)"', html)[1], re.sub("<[^>]+>", "", html)

    yield call
    InteractiveShell.clear_instance()


def one_step(points, slots, axis=0, eps=0.0, renormalise=True):
    attention = (slots @ points.T).softmax(axis)
    weights = attention + eps
    return weights @ points / (weights.sum(1, keepdim=True) if renormalise else 1), attention


def unfairness(step, points, slots, order=(1, 2, 0)):
    order = list(order)
    return (step(points, slots[order])[0] - step(points, slots)[0][order]).abs().max()


def implicit(step, slots, iterations):
    for _ in range(iterations - 1):
        slots = step(slots)
    return step(slots.detach())


def full(step, slots, iterations):
    for _ in range(iterations):
        slots = step(slots)
    return slots


RIGHT = {
    "step": [one_step, lambda p, s: one_step(p, s, eps=1e-8), lambda p, s: tiny.step(p, s)],
    "equivariance": [unfairness, lambda *a: float(unfairness(*a)), lambda *a: unfairness(*a, order=(2, 0, 1))],
    "implicit": [implicit, lambda step, slots, n: implicit(step, slots.clone(), n)],
}
WRONG = [
    ("step", lambda p, s: s, "Return two things"),
    ("step", lambda p, s: (s, s @ p.T @ p), "a row for each slot and a column for each input"),
    ("step", lambda p, s: (s[:2], one_step(p, s)[1]), "the new slots have the shape of the old"),
    ("step", lambda p, s: (s, s @ p.T), "never negative"),
    ("step", lambda p, s: one_step(p, s, axis=1), "must sum to 1"),
    ("step", lambda p, s: (s, torch.full((len(s), len(p)), 0.5)), "must sum to 1"),  # the stub
    ("step", lambda p, s: one_step(p, 2 * s), "the attention differs"),
    ("step", lambda p, s: one_step(p, s, renormalise=False), "a mean of them is that point"),
    ("step", lambda p, s: (p.mean(0).expand(len(s), -1), one_step(p, s)[1]), "the new slots differ"),
    ("equivariance", lambda step, p, s: "0", "return one number"),
    ("equivariance", lambda step, p, s: step(p, s)[0], "return one number"),
    ("equivariance", lambda step, p, s: 1.0, "a fair step gives 0"),  # the stub
    ("equivariance", lambda step, p, s: (step(p, s[[1, 2, 0]])[0] - step(p, s)[0]).abs().max(), "a fair step gives 0"),
    ("equivariance", lambda step, p, s: 0.0, "is not fair"),
    ("equivariance", lambda *a: unfairness(*a, order=(0, 1, 2)), "is not fair"),
    ("equivariance", lambda *a: unfairness(*a, order=(1, 0, 2)), "in place 3 is not fair"),  # the last slot stays
    ("implicit", lambda step, s, n: None, "return the slots"),
    ("implicit", lambda step, s, n: s, "1 iterations take 1 calls"),  # the stub
    ("implicit", lambda step, s, n: implicit(step, s, n + 1), "1 iterations take 1 calls"),
    ("implicit", lambda step, s, n: implicit(step, s, n) + 1, "must not change the slots"),
    ("implicit", lambda step, s, n: implicit(step, s, n).detach(), "no gradient reaches the weights"),
    ("implicit", full, "the start still gets a gradient"),
    ("implicit", lambda step, s, n: full(step, s.detach(), n), "not that of the last step alone"),
]


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, answers in RIGHT.items() for answer in answers])
def test_a_right_answer_passes(said, name, answer):
    assert said(name, answer) == ("ok", f"✓ {name}: correct.")


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    state, words = said(name, answer)
    assert state == "no" and law in words and "Hint" in words


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_stops_run_all(said, name):
    assert said(name, None)[0] == "todo"
    for nonsense in (0, "text", lambda: 0, lambda *a: 1 / 0):
        assert said(name, nonsense)[0] == "no"
