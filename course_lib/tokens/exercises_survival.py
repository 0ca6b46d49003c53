"""The exercises of notebook 13: what each answer must satisfy."""

import itertools

import torch
from torch import Tensor

from course_lib.core.exercises import Checks, normal, number_of
from course_lib.tokens.moments import moments, transport
from course_lib.tokens.retrieval import ranks

check = Checks()
NEAR = 1e-3


@check.exercise("recall", hint="best = scores.masked_fill(~right, -inf).amax(1, keepdim=True); the rank is 1 + ((scores >= best) & ~right).sum(1).")
def check_recall(answer) -> None:
    scores, right = normal(0, 9, 12), normal(1, 9, 12) > 1
    right[torch.arange(9), torch.arange(9)] = True
    found = answer(scores, right, 3)
    assert isinstance(found, (int, float, Tensor)) and torch.as_tensor(found).numel() == 1, "Shape: return one number, a share of the queries."
    only = torch.eye(9, 12, dtype=torch.bool)
    assert abs(number_of(answer(10.0 * only.float(), only, 1)) - 1) < NEAR, "Law: who gives the right answer the highest score of all has R@1 = 1."
    assert abs(number_of(answer(torch.zeros(9, 12), only, 5))) < NEAR, (
        "Law: who says the same of all answers has found nothing: a wrong answer with the same score stands before the right one.")
    several = torch.tensor([[True, True, False]])
    assert abs(number_of(answer(torch.tensor([[0.1, 0.9, 0.5]]), several, 1)) - 1) < NEAR, "Law: of several right answers one among the k nearest is enough."
    for k in (1, 3, 12):
        truth = float((ranks(scores, right) <= k).float().mean())
        assert abs(number_of(answer(scores, right, k)) - truth) < NEAR, f"Law: R@{k} is {truth:.3f} here; you return {number_of(answer(scores, right, k)):.3f}."


@check.exercise("move", hint="half = root(Σ_own), back = root(Σ_own, -0.5); A = back @ root(half @ Σ_real @ half) @ back; return m_real + (own − m_own) @ A.T.")
def check_move(answer) -> None:
    own, real = normal(2, 300, 4) @ normal(3, 4, 4) + 5, normal(4, 400, 4) @ normal(5, 4, 4) - 2
    kept = own.clone()
    found = answer(own, real)
    assert isinstance(found, Tensor) and found.shape == own.shape, f"Shape: every token is moved, so return a tensor of shape {tuple(own.shape)}."
    assert torch.equal(own, kept), "Law: what you were given must not change."
    (mean, spread), (true_mean, true_spread) = moments(found), moments(real)
    assert torch.allclose(mean, true_mean, atol=NEAR), "Law: the moved tokens have the mean of the real ones."
    assert torch.allclose(spread.diagonal(), true_spread.diagonal(), atol=NEAR, rtol=NEAR), "Law: every channel has the variance of the real one."
    assert torch.allclose(spread, true_spread, atol=NEAR, rtol=NEAR), (
        "Law: and every two channels their covariance. A mean and a spread for each channel alone is not enough.")
    own_mean, own_spread = moments(own)
    least = true_mean + (own.double() - own_mean) @ transport(own_spread, true_spread)
    way, best = float((found.double() - own).square().sum(1).mean()), float((least - own).square().sum(1).mean())
    assert way < best * (1 + NEAR), (
        f"Law: of all ways to these moments take the least: {best:.2f} on average, squared; yours is {way:.2f}. A must be symmetric.")


@check.exercise("choose", hint="For a price the choice is (error + price * cost).argmin(1). Halve an interval of prices until the mean cost just fits the budget.")
def check_choose(answer) -> None:
    cost = torch.tensor([4.0, 2.0, 1.0])
    for seed in range(4):
        error = torch.rand(6, 3, generator=torch.Generator().manual_seed(seed)).sort(1).values
        for budget in (1.0, 1.7, 2.6, 4.0):
            found = answer(error, cost, budget)
            assert isinstance(found, Tensor) and found.shape == (6,) and not found.is_floating_point(), "Shape: one whole number for each of the 6 regions."
            assert found.min() >= 0 and found.max() < 3, "Shape: each a number of one of the 3 choices, from 0."
            spent = float(cost[found].mean())
            assert spent <= budget + 1e-6, f"Law: the mean cost is to be within the budget of {budget:g}; yours is {spent:.2f}."
            lost = float(error[torch.arange(6), found].sum())
            best = min(float(error[torch.arange(6), torch.tensor(other)].sum()) for other in itertools.product(range(3), repeat=6)
                       if float(cost[torch.tensor(other)].mean()) <= spent + 1e-6)
            assert lost < best + 1e-5, f"Law: no other choice of as few tokens may have a smaller error; {best:.3f} is possible, and you have {lost:.3f}."
    assert int(answer(error, cost, 4.0).max()) == 0, "Law: if the budget is enough for the best choice everywhere, take it."
