"""The checks of notebook 13 accept right answers, reject wrong ones with the law they break, and never raise."""

import math

import pytest
import torch

from course_lib.tokens.exercises_survival import check
from course_lib.tokens.moments import moments, root, transport


def recall(scores, right, k):
    best = scores.masked_fill(~right, -math.inf).amax(1, keepdim=True)
    return (((scores >= best) & ~right).sum(1) < k).float().mean()


def by_sorting(scores, right, k):
    return float(right.gather(1, scores.topk(k, 1).indices).any(1).float().mean())


def move(own, real):
    (m, s), (n, t) = moments(own), moments(real)
    return (n + (own.double() - m) @ transport(s, t)).float()


def cholesky(own, real):
    (m, s), (n, t) = moments(own), moments(real)
    a = torch.linalg.cholesky(t) @ torch.linalg.inv(torch.linalg.cholesky(s))
    return (n + (own.double() - m) @ a.T).float()


def whitened(own, real):
    (m, s), (n, t) = moments(own), moments(real)
    return (n + (own.double() - m) @ root(s, -0.5) @ root(t)).float()


def channels(own, real):
    return (own - own.mean(0)) / own.std(0, correction=0) * real.std(0, correction=0) + real.mean(0)


def choose(error, cost, budget):
    low, high = 0.0, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        fits = float(cost[(error + middle * cost).argmin(1)].mean()) <= budget
        low, high = (low, middle) if fits else (middle, high)
    best = error.argmin(1)
    return best if float(cost[best].mean()) <= budget else (error + high * cost).argmin(1)


def all_alike(error, cost, budget):
    return torch.full((len(error),), int((cost > budget).sum()))


WRONG = [
    ("recall", lambda scores, right, k: 0.0, "highest score of all"),  # the stub
    ("recall", lambda scores, right, k: scores, "one number"), ("recall", by_sorting, "found nothing"),
    ("recall", lambda scores, right, k: recall(scores, right, k) ** 2, "is 0."),
    ("move", lambda own, real: own, "the mean of the real ones"),  # the stub
    ("move", lambda own, real: real, "every token is moved"), ("move", lambda own, real: own - own.mean(0) + real.mean(0), "variance of the real one"),
    ("move", channels, "is not enough"), ("move", cholesky, "take the least"), ("move", whitened, "take the least"),
    ("choose", lambda error, cost, budget: torch.zeros(len(error), dtype=torch.long), "within the budget"),
    ("choose", all_alike, "no other choice of as few"),  # the stub
    ("choose", lambda error, cost, budget: 0, "one whole number for each"),
    ("choose", lambda error, cost, budget: choose(error, cost, budget) + 1, "one of the 3 choices"),  # counted from 1
    ("choose", lambda error, cost, budget: cost.argmin().expand(len(error)), "enough for the best choice"),
]


@pytest.mark.parametrize(("name", "answer"), [("recall", recall), ("move", move), ("choose", choose)])
def test_a_right_answer_passes(said, name, answer):
    assert 'data-check="ok"' in said(name, answer)


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = said(name, answer)
    assert 'data-check="no"' in words and law in words and "Hint" in words


@pytest.mark.parametrize("name", ["recall", "move", "choose"])
@pytest.mark.parametrize("answer", [None, 3, "text", lambda *arguments, **more: 1 / 0, lambda *arguments: None])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)
