"""The exercises of notebook 11: what each answer must satisfy."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.core.exercises import Checks, normal, number_of, shape_of
from course_lib.tokens.compressor import owners
from course_lib.tokens.losses import gradient_penalty
from course_lib.tokens.merging import merge
from course_lib.tokens.metrics import variance_unexplained

check = Checks()
NEAR = 1e-4


@check.exercise("pooling", hint="rearrange(tokens, 'b (r h) (c w) d -> b (r c) (h w) d', r=rows, c=columns).mean(2); the owner of place (i, j) is "
                                "(i // h) * columns + j // w.")
def check_pooling(answer) -> None:
    tokens = normal(0, 2, 6, 8, 3)
    kept = tokens.clone()
    for rows, columns in ((3, 4), (2, 2), (6, 1)):
        found = answer(tokens, rows, columns)
        assert isinstance(found, tuple) and len(found) == 2, "Shape: return two things, the tokens and their owner."
        means, owner = found
        assert isinstance(means, Tensor) and means.shape == (2, rows * columns, 3), (
            f"Shape: 2 pictures of {rows} × {columns} fields have tokens of shape {(2, rows * columns, 3)}, not {shape_of(means)}.")
        assert isinstance(owner, Tensor) and owner.shape == (6, 8) and not owner.is_floating_point(), (
            "Shape: owner is one whole number for each of the 6 × 8 places; pictures do not differ in it.")
        assert torch.equal(tokens, kept), "Law: what you were given must not change."
        assert owner.min() == 0 and owner.max() == rows * columns - 1, f"Law: the fields are numbered from 0 to {rows * columns - 1}."
        assert torch.equal(owner, owners((6, 8), (rows, columns))), "Law: fields are rectangles, and numbered row by row."
        truth = torch.stack([tokens[:, owner == n].mean(1) for n in range(rows * columns)], 1)
        assert torch.allclose(means, truth, atol=NEAR), "Law: token n is the mean of all tokens of field n, and of no other."


@check.exercise("unexplained", hint="(rebuilt − tokens)² summed over everything, over (tokens − mean)² summed over everything.")
def check_unexplained(answer) -> None:
    tokens, mean = normal(1, 4, 3, 5, 6) + 3, torch.linspace(2, 4, 6)
    rebuilt = tokens + 0.3 * normal(2, *tokens.shape)
    found = answer(rebuilt, tokens, mean)
    assert isinstance(found, (int, float, Tensor)) and torch.as_tensor(found).numel() == 1, "Shape: return one number."
    assert abs(number_of(answer(tokens, tokens, mean))) < NEAR, "Law: nothing is unexplained if every token comes back."
    nothing = number_of(answer(mean.expand_as(tokens), tokens, mean))
    assert abs(nothing - 1) < NEAR, f"Law: the mean token at all places explains nothing, so all of it, 1, is unexplained; you return {nothing:.3f}."
    worse = number_of(answer(2 * mean - tokens, tokens, mean))
    assert abs(worse - 4) < 1e-3, f"Law: on the wrong side of the mean the error has twice the length, so 4 is unexplained; you return {worse:.3f}."
    scaled = number_of(answer(10 * rebuilt, 10 * tokens, 10 * mean))
    assert abs(scaled - number_of(found)) < 1e-3, "Law: tokens ten times as long change nothing: it is a share."
    truth = variance_unexplained(rebuilt, tokens, mean)
    assert abs(number_of(found) - truth) < NEAR, f"Law: Σ‖x̂ − x‖² / Σ‖x − mean‖² is {truth:.4f} here; you return {number_of(found):.4f}."


@check.exercise("penalty", hint="alpha = torch.rand(len(real), 1, 1, …), one for each sample; x = (alpha·real + (1 − alpha)·fake).requires_grad_(); "
                                "torch.autograd.grad(critic(x).sum(), x, create_graph=True); the norm over flatten(1).")
def check_penalty(answer) -> None:
    real, fake = normal(3, 64, 2, 3, 4), normal(4, 64, 2, 3, 4) + 2
    for length in (1.0, 3.0, 0.0):
        found = answer(Linear(length), real, fake)
        assert isinstance(found, Tensor) and found.shape == (), "Shape: return one number, as a tensor without axes."
        wanted = (length - 1) ** 2
        assert abs(number_of(found) - wanted) < 1e-3, (
            f"Law: a linear critic of slope {length:g} costs ({length:g} − 1)² = {wanted:g}; you return {number_of(found):.3f}. The norm runs over all axes "
            "but that of the batch, and the penalty is a mean over samples.")
        if length < 1:
            assert abs(number_of(answer(Linear(length), real, fake, one_sided=True))) < NEAR, "Law: one-sided, slopes below 1 cost nothing."
    one_sided = number_of(answer(Linear(3.0), real, fake, one_sided=True))
    assert abs(one_sided - 4) < 1e-3, f"Law: one-sided, a slope of 3 still costs 4; you return {one_sided:.3f}."
    alpha = _positions(answer, real, fake)
    spread = alpha.flatten(1).std(1).max()
    assert spread < 1e-3, "Law: one alpha for each sample. With one for every number the points leave the line between real and fake."
    middle, low, high = alpha.mean(), alpha.min(), alpha.max()
    assert low > -1e-3 and high < 1 + 1e-3, "Law: the points lie between real and fake, alpha is from 0 to 1."
    assert high - low > 0.5, "Law: alpha is drawn anew for each sample, uniformly from 0 to 1: between real and fake, and not at one of them."
    assert 0.3 < middle < 0.7, "Law: alpha is uniform: its mean is near a half."
    critic = Linear(3.0)
    loss = answer(critic, real, fake)
    assert loss.requires_grad, "Law: the penalty must teach the critic: create_graph=True, else it has no gradient."
    (gradient,) = torch.autograd.grad(loss, critic.w)
    truth = 2 * (3 - 1) * critic.w.detach() / 3
    assert torch.allclose(gradient, truth, atol=1e-3), "Law: the gradient of (‖w‖ − 1)² is 2 (‖w‖ − 1) w / ‖w‖."
    assert abs(number_of(gradient_penalty(Linear(3.0), real, fake)) - number_of(loss)) < 1e-3


@check.exercise("merge", hint="A = every second token from the first, B = every second from the second; best = (A @ B.T of unit length).max(1); "
                              "the r of A with the largest best are merged, weighted by their sizes.")
def check_merge(answer) -> None:
    x, size = normal(5, 9, 4), torch.tensor([1.0, 2, 1, 1, 3, 1, 1, 2, 1])
    kept = x.clone(), size.clone()
    for r in range(5):
        found = answer(x, size, r)
        assert isinstance(found, tuple) and len(found) == 2, "Shape: return two things, the tokens and their sizes."
        tokens, sizes = found
        assert isinstance(tokens, Tensor) and tokens.shape == (9 - r, 4), f"Shape: a round that removes {r} of 9 tokens leaves {9 - r}, not {shape_of(tokens)}."
        assert isinstance(sizes, Tensor) and sizes.shape == (9 - r,), f"Shape: one size for each token, {9 - r} of them."
        assert torch.equal(x, kept[0]) and torch.equal(size, kept[1]), "Law: what you were given must not change."
        assert abs(float(sizes.sum() - size.sum())) < NEAR, "Law: sizes say how many tokens each stands for; their sum stays."
        assert torch.allclose((sizes[:, None] * tokens).sum(0), (size[:, None] * x).sum(0), atol=1e-3), (
            "Law: a merged token is the mean weighted by sizes, so the weighted sum of all tokens stays.")
        truth, true_sizes, _ = merge(x[None], size[None], r)
        order, theirs = _sorted(truth[0], true_sizes[0]), _sorted(tokens, sizes)
        assert torch.allclose(theirs, order, atol=1e-3), (
            f"Law: with r = {r} the {r} tokens of A whose nearest token of B (cosine) is most similar are merged into it; you merged others.")


class Linear(nn.Module):
    """c(x) = w · x with ‖w‖ = length, for samples of 2 × 3 × 4 numbers."""

    def __init__(self, length: float):
        super().__init__()
        w = normal(6, 24)
        self.w = nn.Parameter(length * w / w.norm())

    def forward(self, x: Float[Tensor, "batch 2 3 4"]) -> Float[Tensor, "batch"]:
        return x.flatten(1) @ self.w


def _positions(answer: Callable, real: Tensor, fake: Tensor) -> Tensor:
    """α of every number of the points at which the answer asks the critic for a gradient."""
    seen = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    answer(critic, real, fake)
    assert seen and seen[-1].shape == real.shape, "Shape: ask the critic at one point between each real and fake sample."
    return (seen[-1] - fake) / (real - fake)


def _sorted(tokens: Tensor, sizes: Tensor) -> Tensor:
    """Rows (token, size) in an order that does not depend on how they were listed."""
    rows = torch.cat([tokens, sizes[:, None]], 1)
    return rows[rows[:, 0].argsort()]
