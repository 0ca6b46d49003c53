"""The checks of notebook 08 accept right answers, reject wrong ones with the law they break, and never raise."""

import math

import pytest
import torch

from course_lib.codes.exercises_prior import check


def count(places, objects, colours, looks):
    return math.comb(places, objects) * math.perm(colours, objects) * looks**objects


def probabilities(logits, temperature, top_k=None):
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    logits = logits / temperature
    if top_k is not None:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -math.inf)
    return logits.softmax(-1)


def not_normalised(logits, temperature, top_k=None):
    p = probabilities(logits, temperature)
    return p if top_k is None else p * (p >= p.topk(top_k).values[:, -1:])


def divides_by_nothing(logits, temperature, top_k=None):
    return probabilities(logits, temperature, top_k) if temperature else (logits / 0).softmax(-1)


def in_place(logits, temperature, top_k=None):
    logits /= 2
    return probabilities(2 * logits, temperature, top_k)


def multiplies(logits, temperature, top_k=None):
    return probabilities(logits, 1 / temperature if temperature else 0, top_k)


def only_one_knob(logits, temperature, top_k=None):
    return probabilities(logits, temperature if top_k is None else 1.0, top_k)


def share_of_copies(states, training):
    known = {tuple(row) for row in training.tolist()}
    return sum(tuple(row) in known for row in states.tolist()) / len(states)


RIGHT = {"count": count, "probabilities": probabilities, "copies": share_of_copies}


WRONG = [
    ("count", lambda places, objects, colours, looks: [1], "return one number"),
    ("count", lambda places, objects, colours, looks: 1, "places · colours · looks"),  # the stub
    ("count", lambda places, objects, colours, looks: math.perm(places, objects) * math.perm(colours, objects) * looks**objects, "scene is a set"),
    ("count", lambda places, objects, colours, looks: math.comb(places, objects) * colours**objects * looks**objects, "red left and green right"),
    ("count", lambda places, objects, colours, looks: math.comb(places, objects) * math.perm(colours, objects) * looks, "listing them"),
    ("probabilities", lambda logits, temperature, top_k=None: logits[0].softmax(-1), "a probability for each code"),
    ("probabilities", lambda logits, temperature, top_k=None: logits, "sum to 1"),
    ("probabilities", lambda logits, temperature, top_k=None: logits.softmax(-1), "temperature divides"),  # the stub
    ("probabilities", multiplies, "temperature divides"), ("probabilities", not_normalised, "top_k = 2"),
    ("probabilities", divides_by_nothing, "not a division by 0"), ("probabilities", in_place, "must not change"),
    ("probabilities", only_one_knob, "together"),
    ("probabilities", lambda logits, temperature, top_k=None: probabilities(logits, temperature), "top_k = 2"),
    ("copies", lambda states, training: (states[:, None] == training[None]).all(2).any(1), "return one number, a share"),
    ("copies", lambda states, training: 0.0, "all copies"),  # the stub
    ("copies", lambda states, training: len({tuple(r) for r in states.tolist()} & {tuple(r) for r in training.tolist()}) / len(states), "twice"),
    ("copies", lambda states, training: share_of_copies(states[:, 1:], training[:, 1:]), "single place"),
    ("copies", lambda states, training: float(share_of_copies(states, training) > 0), "share is"),
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_passes(said, name):
    assert 'data-check="ok"' in said(name, RIGHT[name])


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = said(name, answer)
    assert 'data-check="no"' in words and law in words and "Hint" in words


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("answer", [None, 3, lambda *arguments, **named: 1 / 0])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)
