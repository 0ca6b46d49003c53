"""The checks of notebooks 01 to 03 accept right answers, reject wrong ones with the law they break, and never raise."""

import html

import numpy as np
import pytest
import torch

from course_lib.latents.exercises import check
from course_lib.latents.mixture import Mixture


def pairing(z, x):
    return z.sort(dim=0).values[x.squeeze(1).argsort().argsort()]


def one_argsort(z, x):
    return z.sort(dim=0).values[x.squeeze(1).argsort()]


def best(label, x):
    outputs = torch.stack([x[label == k].mean() for k in range(int(label.max()) + 1)])
    return outputs, (x - outputs[label]).square().mean()


def by_sums(label, x):
    counts, sums = torch.bincount(label), torch.bincount(label, weights=x.double())
    return (sums / counts).float(), float(x.double().square().mean() - (sums**2 / counts).sum() / len(x))


def labels_alike(label, x):
    """Every label counts the same, however often it occurs."""
    outputs = best(label, x)[0]
    return outputs, torch.stack([x[label == k].var(correction=0) for k in range(len(outputs))]).mean()


def medians(label, x):
    outputs = torch.stack([x[label == k].median() for k in range(int(label.max()) + 1)])
    return (outputs, best(label, x)[1]) if len(outputs) > 1 else best(label, x)


def agreement(z, x):
    same = (z - z.T).sign() * (x - x.T).sign()
    return same.sum().abs() / (len(z) * (len(z) - 1))


def counted(z, x):
    pairs = [(i, j) for i in range(len(z)) for j in range(i)]
    return abs(sum(1 if (z[i] > z[j]) == (x[i] > x[j]) else -1 for i, j in pairs)) / len(pairs)


def of_ranks(z, x):
    """Spearman's correlation: of ranks, not of pairs."""
    z, x = (value.squeeze(1).argsort().argsort().float() for value in (z, x))
    return torch.corrcoef(torch.stack([z, x]))[0, 1].abs()


def moved(encode, decode, scale, shift):
    return lambda x: scale * encode(x) + shift, lambda z: decode((z - shift) / scale)


def by_quantile(noise, z_hat):
    return torch.quantile(z_hat, torch.special.ndtr(noise).squeeze(1)).unsqueeze(1)


def nearest_rank(noise, z_hat):
    rank = (torch.special.ndtr(noise) * len(z_hat)).long().clamp(max=len(z_hat) - 1)
    return z_hat.sort(0).values[rank.squeeze(1)]


def kl(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)


def kl_the_other_way(mu, log_var):
    return 0.5 * ((1 + mu**2) / log_var.exp() - 1 + log_var).sum(-1)


def ba_step(q, p, kernel):
    return q * ((p / (kernel @ q)) @ kernel)


def normalised(q):
    return q / q.sum()


RIGHT = {
    "rank_pairing": [pairing],
    "absolute_error": [float(Mixture().quantile(np.array(0.5)))],
    "best_outputs": [best, by_sums],
    "agreement": [agreement, counted],
    "moved": [moved],
    "normal_to_latent": [by_quantile, nearest_rank],
    "kl": [kl, lambda mu, log_var: -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(1)],
    "threshold": [(2.0, 2.6), [2.0, 2.9]],
    "ba_step": [ba_step, lambda q, p, kernel: (p[:, None] * kernel * q / (kernel * q).sum(1, keepdims=True)).sum(0)],
}
WRONG = [
    ("rank_pairing", lambda z, x: z, "the smallest z must stand beside the smallest x"),  # the stub
    ("rank_pairing", lambda z, x: z.sort(dim=0), "Return a tensor"),
    ("rank_pairing", lambda z, x: pairing(z, x).squeeze(1), "Shape: expected (64, 1)"),
    ("rank_pairing", lambda z, x: x, "exactly the values of z"),
    ("rank_pairing", one_argsort, "the smallest z must stand beside the smallest x"),
    ("rank_pairing", lambda z, x: pairing(z, -x), "the smallest z must stand beside the smallest x"),
    ("absolute_error", "the median", "give one number"),
    ("absolute_error", Mixture().mean, "the minimiser of the *squared* error"),
    ("absolute_error", -2.0, "above its minimum"),  # the mode
    ("absolute_error", 0.0, "above its minimum"),
    ("best_outputs", lambda label, x: (x.mean().expand(int(label.max()) + 1), x.var(correction=0)), "come with this label, and of no others"),  # the stub
    ("best_outputs", lambda label, x: best(label, x)[0], "return two things"),
    ("best_outputs", lambda label, x: (x, 0.0), "1 labels have 1 outputs"),
    ("best_outputs", lambda label, x: (best(label, x)[0], (x - best(label, x)[0][label]).square()), "the least error is one number"),
    ("best_outputs", lambda label, x: (best(label, x)[0], 12 / 11 * best(label, x)[1]), "not n − 1"),
    ("best_outputs", lambda label, x: (best(label, x)[0], best(label, x)[1].sqrt()), "Var(x) = "),
    ("best_outputs", medians, "the mean of the x that come with this label"),
    ("best_outputs", labels_alike, "a label counts as often as it occurs"),
    ("agreement", lambda z, x: 0.0, "only the order counts"),  # the stub
    ("agreement", lambda z, x: (z - z.T).sign() * (x - x.T).sign(), "return one number"),
    ("agreement", lambda z, x: torch.corrcoef(torch.cat([z, x], 1).T)[0, 1].abs(), "straight line or not"),  # Pearson's
    ("agreement", lambda z, x: agreement(z, x) * (len(z) - 1) / len(z), "with itself is no pair"),
    ("agreement", lambda z, x: ((z - z.T).sign() * (x - x.T).sign()).sum() / (len(z) * (len(z) - 1)), "turned round can be read as well"),
    ("agreement", of_ranks, "(2 − 1) / 3 = 0.333"),
    ("moved", lambda encode, decode, scale, shift: (encode, decode), "the new code is scale"),  # the stub
    ("moved", lambda encode, decode, scale, shift: scale * encode(torch.zeros(3, 1)) + shift, "return two functions"),
    ("moved", lambda encode, decode, scale, shift: (lambda x: scale * (encode(x) + shift), moved(encode, decode, scale, shift)[1]), "first scaled and then shifted"),
    ("moved", lambda encode, decode, scale, shift: (moved(encode, decode, scale, shift)[0], decode), "every reconstruction stays"),
    ("moved", lambda encode, decode, scale, shift: (moved(encode, decode, scale, shift)[0], lambda z: decode(z / scale - shift)), "(z − shift) / scale"),
    ("moved", lambda encode, decode, scale, shift: (moved(encode, decode, scale, shift)[0], lambda z: (decode(z) - shift) / scale), "and then decodes"),
    ("normal_to_latent", lambda noise, z_hat: noise, "60 % of the mapped noise"),  # the stub
    ("normal_to_latent", lambda noise, z_hat: by_quantile(noise, z_hat).squeeze(1), "Shape: expected (500, 1)"),
    ("normal_to_latent", lambda noise, z_hat: by_quantile(-noise, z_hat), "a larger noise must be mapped to a larger"),
    ("normal_to_latent", lambda noise, z_hat: z_hat[: len(noise)] if len(noise) == 500 else noise, "a larger noise must be mapped to a larger"),
    ("normal_to_latent", lambda noise, z_hat: z_hat.mean() + z_hat.std() * noise, "60 % of the mapped noise"),
    ("normal_to_latent", lambda noise, z_hat: 2 * by_quantile(noise, z_hat), "outside the codes"),
    ("kl", lambda mu, log_var: mu.sum(-1), "KL is never negative"),  # the stub
    ("kl", lambda mu, log_var: kl(mu, log_var).mean(), "one value for each sample"),
    ("kl", lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - log_var).sum(-1), "KL is zero when q is the prior"),
    ("kl", lambda mu, log_var: 2 * kl(mu, log_var), "differ from E log q − E log p"),
    ("kl", kl_the_other_way, "differ from E log q − E log p"),
    ("kl", lambda mu, log_var: kl(mu, 2 * log_var), "differ from E log q − E log p"),  # took log σ² for log σ
    ("threshold", (0.0, 1.0), "not even stable"),  # the stub
    ("threshold", (2.6, 2.0), "low < high"),
    ("threshold", (2.0, 4.0), "make it at most 1"),
    ("threshold", (1.0, 1.6), "not even stable"),  # Var(x), without the 2
    ("threshold", (8.0, 8.9), "lies outside your bracket"),  # that of the first mixture
    ("ba_step", lambda q, p, kernel: q, "q did not move"),  # the stub
    ("ba_step", lambda q, p, kernel: ba_step(q, p, kernel)[:, None] * q, "one value for each output"),
    ("ba_step", lambda q, p, kernel: q * (p @ kernel), "must sum to 1"),  # without the denominator
    ("ba_step", lambda q, p, kernel: normalised(q * (p @ kernel)), "differ from q(x̂)"),
    ("ba_step", lambda q, p, kernel: normalised(ba_step(q, p, kernel) ** 2), "differ from q(x̂)"),
]


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, answers in RIGHT.items() for answer in answers])
def test_a_right_answer_passes(said, name, answer):
    assert 'data-check="ok"' in said(name, answer)


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = html.unescape(said(name, answer))
    assert 'data-check="no"' in words and law in words and "Hint" in words


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("answer", [None, "text", (1.0,), lambda *arguments: 1 / 0, lambda: None])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)
