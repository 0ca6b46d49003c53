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
