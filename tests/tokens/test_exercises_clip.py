"""The checks of notebook 10 accept right answers, reject wrong ones with the law they break, and never raise."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from course_lib.tokens import exercises_clip
from course_lib.tokens.exercises_clip import check


def loss(v, t, scale):
    logits, right = scale * v @ t.mT, torch.arange(len(v))
    return (cross_entropy(logits, right) + cross_entropy(logits.mT, right)) / 2


def loss_by_sums(v, t, scale):
    e = torch.exp(scale * v @ t.mT)
    return float(-(e.diagonal().square() / e.sum(0) / e.sum(1)).log().mean() / 2)


def rows_only(v, t, scale):
    return cross_entropy(scale * v @ t.mT, torch.arange(len(v)))


def least(batch, scale):
    return math.log(1 + (batch - 1) * math.exp(-scale * batch / (batch - 1)))


def map_of(tokens, row, column, centred=False):
    tokens = normalize(tokens - tokens.mean((0, 1)) * centred, dim=-1)
    return (tokens * tokens[row, column]).sum(-1)


def in_place(tokens, row, column, centred=False):
    tokens -= tokens.mean((0, 1)) * centred
    tokens /= tokens.norm(dim=-1, keepdim=True)
    return tokens @ tokens[row, column]


def centred_within(tokens, row, column, centred=False):
    """The mean of each token's numbers instead of the mean token."""
    return map_of(tokens - tokens.mean(-1, keepdim=True) * centred, row, column)


def centred_after(tokens, row, column, centred=False):
    tokens = normalize(tokens, dim=-1)
    return map_of(tokens, row, column, centred)


def mean_cosine(tokens):
    unit, n = normalize(tokens, dim=-1), len(tokens)
    return (unit.sum(0).square().sum() - n) / (n * (n - 1))


def every_pair(tokens):
    unit = normalize(tokens, dim=-1)
    return float((unit @ unit.mT)[~torch.eye(len(unit), dtype=torch.bool)].mean())


RIGHT = [("loss", loss), ("loss", loss_by_sums), ("least_loss", least), ("least_loss", lambda b, s: torch.tensor(least(b, s))),
         ("similarity", map_of), ("mean_cosine", mean_cosine), ("mean_cosine", every_pair)]


WRONG = [
    ("loss", lambda v, t, scale: torch.tensor(0.0), "ln 7"),  # the stub
    ("loss", lambda v, t, scale: scale * v @ t.mT, "one number"),
    ("loss", rows_only, "both ways"),
    ("loss", lambda v, t, scale: rows_only(t, v, scale), "both ways"),
    ("loss", lambda v, t, scale: 2 * loss(v, t, scale), "ln 7"),
    ("loss", lambda v, t, scale: len(v) * loss(v, t, scale), "mean over the pictures"),
    ("loss", lambda v, t, scale: loss(v, t, 1.0), "multiplied by the scale"),
    ("loss", lambda v, t, scale: loss(v, t, 1 / scale), "multiplied by the scale"),
    ("least_loss", lambda batch, scale: math.log(batch), "as small as one likes"),  # the stub
    ("least_loss", lambda batch, scale: torch.zeros(batch), "one number"),
    ("least_loss", lambda batch, scale: math.log1p((batch - 1) * math.exp(-scale)), "below 0"),
    ("least_loss", lambda batch, scale: math.log1p((batch - 1) * math.exp(-2 * scale)), "only two vectors"),
    ("least_loss", lambda batch, scale: math.log(batch) * math.exp(-scale), "for B = 2 and s = 1"),
    ("similarity", lambda tokens, row, column, centred=False: torch.zeros(tokens.shape[:2]), "cosine 1 with itself"),  # the stub
    ("similarity", lambda tokens, row, column, centred=False: (tokens * tokens[row, column]).sum(-1), "with itself"),
    ("similarity", lambda tokens, row, column, centred=False: map_of(tokens, column % 4, row), "with itself"),
    ("similarity", lambda tokens, row, column, centred=False: map_of(tokens, row, column, centred)[0], "one number for each"),
    ("similarity", lambda tokens, row, column, centred=False: (tokens @ tokens[row, column]) / tokens[row, column].norm() ** 2, "how long"),
    ("similarity", in_place, "must not change"),
    ("similarity", lambda tokens, row, column, centred=False: map_of(tokens, row, column), "subtract their mean"),
    ("similarity", centred_within, "the mean is one token"),
    ("similarity", centred_after, "subtract their mean first"),
    ("mean_cosine", lambda tokens: 0.0, "equal tokens"),  # the stub
    ("mean_cosine", lambda tokens: tokens.mean(0), "one number"),
    ("mean_cosine", lambda tokens: normalize(tokens, dim=-1).mean(0).square().sum(), "no pair"),
    ("mean_cosine", lambda tokens: mean_cosine(tokens) if len(tokens) < 10 else (tokens.sum(0).square().sum() - 30) / 870, "do not know lengths"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_a_right_answer_passes(said, name, answer):
    assert 'data-check="ok"' in said(name, answer)


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = said(name, answer)
    assert 'data-check="no"' in words and law in words and "Hint" in words


@pytest.mark.parametrize("name", ["loss", "least_loss", "similarity", "mean_cosine"])
@pytest.mark.parametrize("answer", [None, 3, "text", lambda *arguments: 1 / 0, lambda: None])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)


def test_the_target_shows_three_batches_with_their_losses():
    titles = [axes.get_title(loc="left") for axes in exercises_clip.loss_target().axes if axes.images]
    assert titles[0] == f"all alike: loss {math.log(8):.3f}" and titles[2] == f"corners: loss {math.log1p(7 * math.exp(-5)):.3f}"
    assert titles[1].startswith("by chance: loss ")
