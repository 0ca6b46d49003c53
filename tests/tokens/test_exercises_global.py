"""The checks of notebook 11 accept right answers, reject wrong ones with the law they break, and never raise."""

import pytest
import torch
from einops import rearrange, reduce
from torch.nn.functional import normalize

from course_lib.tokens.exercises_global import check


def pooling(tokens, rows, columns):
    means = reduce(tokens, "b (r h) (c w) d -> b (r c) d", "mean", r=rows, c=columns)
    high, wide = tokens.shape[1] // rows, tokens.shape[2] // columns
    return means, (torch.arange(tokens.shape[1]) // high)[:, None] * columns + torch.arange(tokens.shape[2]) // wide


def by_convolution(tokens, rows, columns):
    size = tokens.shape[1] // rows, tokens.shape[2] // columns
    means = torch.nn.functional.avg_pool2d(rearrange(tokens, "b h w d -> b d h w"), size)
    return rearrange(means, "b d h w -> b (h w) d"), pooling(tokens, rows, columns)[1]


def column_by_column(tokens, rows, columns):
    means, owner = pooling(tokens, rows, columns)
    return means, owner % columns * rows + owner // columns


def neighbours_in_a_list(tokens, rows, columns):
    return tokens.flatten(1, 2).unflatten(1, (rows * columns, -1)).mean(2), pooling(tokens, rows, columns)[1]


def unexplained(rebuilt, tokens, mean):
    return (rebuilt - tokens).square().sum() / (tokens - mean).square().sum()


def penalty(critic, real, fake, one_sided=False):
    alpha = torch.rand(len(real), *[1] * (real.ndim - 1))
    x = (alpha * real + (1 - alpha) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    excess = gradient.flatten(1).norm(dim=1) - 1
    return (excess.clamp(min=0) if one_sided else excess).square().mean()


def altered(alpha=None, norm=None, graph=True, end=None):
    """The penalty with one thing changed."""
    def answer(critic, real, fake, one_sided=False):
        a = (alpha or (lambda x: torch.rand(len(x), *[1] * (x.ndim - 1))))(real)
        x = (a * real + (1 - a) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=graph)
        length = (norm or (lambda g: g.flatten(1).norm(dim=1)))(gradient)
        excess = (length - 1).clamp(min=0) if one_sided else length - 1
        return (end or torch.mean)(excess.square())
    return answer


def merging(x, size, r):
    a, b = x[::2], x[1::2]
    best, partner = (normalize(a, dim=1) @ normalize(b, dim=1).T).max(1)
    order = best.argsort(descending=True)
    gone, stay = order[:r], order[r:].sort().values
    total = (b * size[1::2, None]).index_add(0, partner[gone], a[gone] * size[::2][gone, None])
    sizes = size[1::2].index_add(0, partner[gone], size[::2][gone])
    return torch.cat([a[stay], total / sizes[:, None]]), torch.cat([size[::2][stay], sizes])


def unweighted(x, size, r):
    tokens, sizes = merging(x, torch.ones_like(size), r)
    return tokens, merging(x, size, r)[1]


def least_similar(x, size, r):
    a, b = x[::2], x[1::2]
    best, partner = (normalize(a, dim=1) @ normalize(b, dim=1).T).max(1)
    gone, stay = best.argsort()[:r], best.argsort()[r:]
    total = (b * size[1::2, None]).index_add(0, partner[gone], a[gone] * size[::2][gone, None])
    sizes = size[1::2].index_add(0, partner[gone], size[::2][gone])
    return torch.cat([a[stay], total / sizes[:, None]]), torch.cat([size[::2][stay], sizes])


WRONG = [
    ("pooling", lambda tokens, rows, columns: (tokens.flatten(1, 2)[:, : rows * columns], torch.zeros(tokens.shape[1:3], dtype=torch.long)), "numbered from 0"),
    ("pooling", lambda tokens, rows, columns: pooling(tokens, rows, columns)[0], "two things"), ("pooling", column_by_column, "row by row"),
    ("pooling", neighbours_in_a_list, "mean of all tokens of field"),
    ("pooling", lambda tokens, rows, columns: (pooling(tokens, rows, columns)[0][:, 0], None), "Shape: 2 pictures"),
    ("unexplained", lambda rebuilt, tokens, mean: 0.0, "explains nothing"),  # the stub
    ("unexplained", lambda rebuilt, tokens, mean: rebuilt - tokens, "one number"),
    ("unexplained", lambda rebuilt, tokens, mean: (rebuilt - tokens).square().mean(), "explains nothing"),
    ("unexplained", lambda rebuilt, tokens, mean: unexplained(rebuilt, tokens, mean) ** 0.5, "4 is unexplained"),
    ("unexplained", lambda rebuilt, tokens, mean: unexplained(rebuilt, tokens, tokens.mean((0, 1, 2))), "all of it, 1, is unexplained"),
    ("penalty", lambda critic, real, fake, one_sided=False: torch.zeros(()), "costs (3 − 1)²"),  # the stub
    ("penalty", altered(end=lambda x: x), "Shape: return one number"), ("penalty", altered(norm=lambda g: g.norm(dim=1)), "all axes"),
    ("penalty", altered(end=torch.sum), "mean over samples"), ("penalty", altered(alpha=torch.rand_like), "one alpha for each sample"),
    ("penalty", altered(alpha=torch.ones_like), "drawn anew"), ("penalty", altered(graph=False), "create_graph"),
    ("penalty", lambda critic, real, fake, one_sided=False: penalty(critic, real, fake), "cost nothing"),
    ("merge", lambda x, size, r: (x[: len(x) - r], size[: len(size) - r]), "their sum stays"),  # the stub
    ("merge", lambda x, size, r: x, "two things"), ("merge", unweighted, "weighted by sizes"), ("merge", least_similar, "you merged others"),
]


@pytest.mark.parametrize(("name", "answer"), [
    ("pooling", pooling), ("pooling", by_convolution), ("unexplained", unexplained),
    ("unexplained", lambda rebuilt, tokens, mean: float((rebuilt - tokens).square().mean() / (tokens - mean).square().mean())),
    ("penalty", penalty), ("penalty", altered()), ("merge", merging)])
def test_a_right_answer_passes(said, name, answer):
    assert 'data-check="ok"' in said(name, answer)


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = said(name, answer)
    assert 'data-check="no"' in words and law in words and "Hint" in words


@pytest.mark.parametrize("name", ["pooling", "unexplained", "penalty", "merge"])
@pytest.mark.parametrize("answer", [None, 3, "text", lambda *arguments, **more: 1 / 0, lambda: None])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)
