"""The checks of notebook 07 accept right answers, reject wrong ones with the law they break, and never raise."""

import math

import pytest
import torch
from matplotlib.figure import Figure

from course_lib.codes import exercises_svq
from course_lib.codes.exercises_svq import check


def entropy(numbers, log=torch.log2):
    p = torch.bincount(numbers) / len(numbers)
    return -(p[p > 0] * log(p[p > 0])).sum()


def information(codes, values):
    return entropy(codes) + entropy(values) - entropy(codes * (values.max() + 1) + values)


def from_a_table(codes, values):
    p = torch.zeros(int(codes.max()) + 1, int(values.max()) + 1).index_put_((codes, values), torch.tensor(1.0), accumulate=True) / len(codes)
    ratio = p / (p.sum(1, keepdim=True) * p.sum(0))
    return float((p[p > 0] * ratio[p > 0].log2()).sum())


def joint_without_room(codes, values):
    """Two pairs may get the same number."""
    return entropy(codes) + entropy(values) - entropy(codes + values)


def priced(distances, shares, weight):
    return (distances - weight * shares.clamp(min=1e-6).log()).argmin(1)


def by_sorting(distances, shares, weight):
    costs = -torch.where(shares > 0, shares, 1e-9).log()
    return torch.stack([(row / max(weight, 1e-9) + costs).argsort()[0] for row in distances])


def exchange(codes, slot, donor, share, many):
    new, books = codes.clone(), share.argsort(descending=True)[:many]
    new[slot, books] = donor[books]
    return new


def one_by_one(codes, slot, donor, share, many):
    return torch.stack([torch.where(share >= share.sort(descending=True).values[many - 1], donor, row) if n == slot and many else row
                        for n, row in enumerate(codes)])


def in_place(codes, slot, donor, share, many):
    codes[slot] = exchange(codes, slot, donor, share, many)[slot]
    return codes


def worst_first(codes, slot, donor, share, many):
    return exchange(codes, slot, donor, -share, many)


def first_codebooks(codes, slot, donor, share, many):
    new = codes.clone()
    new[slot, :many] = donor[:many]
    return new


def every_slot(codes, slot, donor, share, many):
    new, books = codes.clone(), share.argsort(descending=True)[:many]
    new[:, books] = donor[books]
    return new


WRONG = [
    ("priced", lambda distances, shares, weight: distances.argmin(1), "the more frequent one is cheaper"),  # the stub
    ("priced", lambda distances, shares, weight: 0, "Return a tensor"),
    ("priced", lambda distances, shares, weight: (distances - weight * shares.clamp(min=1e-6).log()).argmin(0)[:2], "one code for each of 3 vectors"),
    ("priced", lambda distances, shares, weight: (distances - weight * shares.clamp(min=1e-6).log()).amin(1), "a code is a whole number"),
    ("priced", lambda distances, shares, weight: (distances - weight * shares.log()).argmin(1), "mind 0 · ln 0"),
    ("priced", lambda distances, shares, weight: (distances + weight * shares.clamp(min=1e-6).log()).argmin(1), "the more frequent one is cheaper"),
    ("priced", lambda distances, shares, weight: (distances - weight * shares).argmin(1), "costs −ln p nats"),  # the share, not its logarithm
    ("priced", lambda distances, shares, weight: (distances - weight * shares.log().clamp(min=-9) * (shares > 0)).argmin(1), "−ln 0 is endless"),
    ("priced", lambda distances, shares, weight: priced(distances, shares, weight / math.log(2)), "−ln p nats"),  # bits
    ("priced", lambda distances, shares, weight: priced(distances, shares, weight**0.5 if weight < 100 else weight), "twice the weight"),
    ("information", lambda codes, values: 0.0, "tells all of it"),  # the stub
    ("information", lambda codes, values: codes, "one number"),
    ("information", lambda codes, values: float(information(codes, values)) * math.log(2), "bits, not nats"),
    ("information", lambda codes, values: entropy(codes), "the code tells nothing"),
    ("information", joint_without_room, "tells nothing: 0 bits"),
    ("information", lambda codes, values: information(codes, values) / entropy(values), "you return 1.000"),
    ("exchange", lambda codes, slot, donor, share, many: codes.clone(), "exactly 1 codes"),  # the stub
    ("exchange", lambda codes, slot, donor, share, many: exchange(codes, slot, donor, share, many)[slot], "whole scene"),
    ("exchange", lambda codes, slot, donor, share, many: exchange(codes, slot, donor, share, many).float(), "whole numbers"),
    ("exchange", lambda *arguments: 3, "Return a tensor"),
    ("exchange", in_place, "must not change"),
    ("exchange", worst_first, "largest shares"),
    ("exchange", first_codebooks, "largest shares"),
    ("exchange", every_slot, "other slots"),
    ("exchange", lambda codes, slot, donor, share, many: exchange(codes, slot, donor.roll(1), share, many), "same codebook"),
]


@pytest.mark.parametrize(("name", "answer"), [("information", information), ("information", from_a_table),
                                              ("priced", priced), ("priced", by_sorting), ("exchange", exchange), ("exchange", one_by_one)])
def test_a_right_answer_passes(said, name, answer):
    assert 'data-check="ok"' in said(name, answer)


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = said(name, answer)
    assert 'data-check="no"' in words and law in words and "Hint" in words


@pytest.mark.parametrize("name", ["priced", "information", "exchange"])
@pytest.mark.parametrize("answer", [None, 3, "text", lambda *arguments: 1 / 0, lambda: None])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)


def test_the_target_figure():
    figure = exercises_svq.information_target()
    assert isinstance(figure, Figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "1.00", "0.67", "0.00"]
