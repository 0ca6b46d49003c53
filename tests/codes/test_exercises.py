"""The exercises of notebook 06: a right answer passes, and each wrong one hears which shape or law it breaks."""

import re

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from course_lib.codes.exercises import check


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


def closest(vectors, codebook):
    return torch.cdist(vectors, codebook).argmin(1)


def ema(uses, sums, points, indices, decay):
    n = torch.bincount(indices, minlength=len(uses))
    s = torch.zeros_like(sums).index_add_(0, indices, points)
    uses, sums = decay * uses + (1 - decay) * n, decay * sums + (1 - decay) * s
    return uses, sums, sums / uses[:, None]


def ema_in_place(uses, sums, points, indices, decay):
    n, s, e = ema(uses, sums, points, indices, decay)
    uses.copy_(n)
    return n, s, e


def ema_means(uses, sums, points, indices, decay):
    """Codes jump to the mean of their points whatever the decay."""
    n, s, _ = ema(uses, sums, points, indices, decay)
    one = ema(uses, sums, points, indices, 0.0)[2]
    return n, s, torch.where(one.isnan(), sums / uses[:, None], one)


def perplexity(indices, codes):
    p = torch.bincount(indices, minlength=codes) / len(indices)
    return 2 ** -torch.special.xlogy(p, p).sum().div(torch.tensor(2.0).log())


RIGHT = {
    "nearest": [closest, lambda v, c: (c.square().sum(1) / 2 - v @ c.T).argmin(1), lambda v, c: closest(v, c).int()],
    "straight_through": [lambda z, c: z + (c - z).detach(), lambda z, c: c.detach() + z - z.detach()],
    "ema_step": [ema, lambda *a: tuple(value.clone() for value in ema(*a))],
    "perplexity": [perplexity, lambda i, k: float(perplexity(i, k))],
}
WRONG = [
    ("nearest", lambda v, c: 0, "Return a tensor"),
    ("nearest", lambda v, c: torch.cdist(v, c).argmin(0), "one index for each vector"),
    ("nearest", lambda v, c: torch.cdist(v, c).amin(1), "a whole number"),
    ("nearest", lambda v, c: closest(v, c) + 1, "an index is 0 to 6"),
    ("nearest", lambda v, c: torch.zeros(len(v), dtype=torch.long), "nearest to that code"),  # the stub
    ("nearest", lambda v, c: torch.cdist(v, c).argmax(1), "nearest to that code"),
    ("nearest", lambda v, c: torch.nn.functional.normalize(v, dim=1).matmul(torch.nn.functional.normalize(c, dim=1).T).argmax(1), "the least distance"),
    ("straight_through", lambda z, c: None, "Return a tensor"),
    ("straight_through", lambda z, c: c[:3], "as z and codes"),
    ("straight_through", lambda z, c: z, "forwards the result is the codes"),
    ("straight_through", lambda z, c: c.detach(), "no gradient leaves"),
    ("straight_through", lambda z, c: c, "no gradient reaches z"),  # the stub
    ("straight_through", lambda z, c: c.detach() + 2 * (z - z.detach()), "not a multiple of it"),
    ("straight_through", lambda z, c: c + z - z.detach(), "the codes must not get a gradient"),
    ("ema_step", lambda *a: ema(*a)[:2], "Return three things"),
    ("ema_step", lambda *a: (0, 0, 0), "Return tensors"),
    ("ema_step", lambda *a: (ema(*a)[0], ema(*a)[1], ema(*a)[0]), "(6,), (6, 2) and (6, 2)"),
    ("ema_step", ema_in_place, "must not change"),
    ("ema_step", lambda u, s, p, i, d: (u, s, s / u[:, None]), "N ← decay"),  # the stub
    ("ema_step", lambda u, s, p, i, d: ema(u, s, p, i, 1 - d), "N ← decay"),
    ("ema_step", lambda u, s, p, i, d: (ema(u, s, p, i, d)[0], s, s / u[:, None]), "S ← decay"),
    ("ema_step", lambda *a: (*ema(*a)[:2], ema(*a)[1]), "so that code stays"),
    ("ema_step", ema_means, "a code is S / N"),
    ("perplexity", lambda i, k: "8", "return one number"),
    ("perplexity", lambda i, k: torch.ones(k), "return one number"),
    ("perplexity", lambda i, k: 2 ** float(-((p := torch.bincount(i, minlength=k) / len(i)) * p.log2()).sum()), "must not give NaN"),
    ("perplexity", lambda i, k: float(k), "the perplexity is 1"),  # the stub
    ("perplexity", lambda i, k: 1.0, "have perplexity 8"),
    ("perplexity", lambda i, k: perplexity(i, k) if k != 20 else 20.0, "never used add nothing"),
    ("perplexity", lambda i, k: float(len(i.unique())), "2^H with H"),  # usage is not perplexity
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
