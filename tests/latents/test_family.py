"""A family trained at once is what training one by one gives, by an independent textbook implementation."""

import pytest
import torch

from course_lib.core.errors import BadInput
from course_lib.latents.family import BETAS, cosine, draws, start, train_family
from course_lib.latents.metrics import rate_and_distortion
from course_lib.latents.mixture import Mixture
from course_lib.latents.models import VAE
from tests.latents.textbook import TextbookVAE, train_one

X = Mixture().sample()


def by_the_book(beta: float, seed: int, steps: int, lr: float = 3e-3, anneal: bool = True) -> tuple[VAE, list[float]]:
    """One β, one seed, with the random numbers of the family."""
    book = TextbookVAE().copy_from(start(seed).state_dict())
    stream = draws(len(X), 64, steps, 1, seed)
    losses = train_one(book, X, beta, stream, steps, lr, anneal=anneal)
    vae = VAE()
    vae.load_state_dict({name: (value.T if value.ndim == 2 else value.unsqueeze(0)) for name, value in book.state_dict().items()})
    return vae, losses


@pytest.mark.parametrize(("anneal", "steps"), [(True, 200), (False, 50)])
def test_the_losses_are_those_of_training_one_by_one(anneal, steps):
    """At a constant rate round-off grows from 5e-7 to 2e-3 within 200 steps on some processors: enough to tip one ReLU.
    With a falling rate it stays where it is, and so does what comes out."""
    mixture, betas, seeds = Mixture(), (0.05, 1.0, 10.0), (0, 7)
    family, losses = train_family(X, betas, seeds, steps=steps, anneal=anneal, progress=False)
    assert losses.shape == (steps, 6)
    for s, seed in enumerate(seeds):
        for b, beta in enumerate(betas):
            vae, alone = by_the_book(beta, seed, steps, anneal=anneal)
            assert float((losses[:, 3 * s + b] - torch.tensor(alone)).abs().max()) < 1e-5
            for mine, its in zip(rate_and_distortion(family.at(beta, seed), mixture), rate_and_distortion(vae, mixture)):
                assert float(mine) == pytest.approx(float(its), abs=1e-3)


def test_several_seeds_in_one_family_equal_one_seed_at_a_time():
    betas = (0.1, 5.0)
    together, losses = train_family(X, betas, (0, 1, 2), steps=100, progress=False)
    for s, seed in enumerate((0, 1, 2)):
        alone, its_losses = train_family(X, betas, (seed,), steps=100, progress=False)
        torch.testing.assert_close(losses[:, 2 * s : 2 * s + 2], its_losses, rtol=1e-5, atol=1e-5)
        for beta in betas:
            for mine, other in zip(together.at(beta, seed).parameters(), alone.at(beta).parameters()):
                torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(losses[:, 0], losses[:, 2])  # seeds differ


def test_the_same_call_gives_the_same_numbers_and_leaves_the_generator_alone():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    one, losses = train_family(X, (1.0,), steps=20, progress=False)
    two, again = train_family(X, (1.0,), steps=20, progress=False)
    assert torch.equal(losses, again) and all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads
    assert not any(parameter.requires_grad for parameter in one.parameters())


def test_start_is_a_fresh_vae_of_its_seed():
    torch.manual_seed(5)
    fresh = VAE()
    assert all(torch.equal(a, b) for a, b in zip(start(5).parameters(), fresh.parameters()))
    assert not torch.equal(start(5).decoder[0].weight, start(6).decoder[0].weight)


def test_draws_are_rows_and_standard_noise():
    rows, noise = zip(*draws(500, 64, 300, 2, 0))
    rows, noise = torch.stack(rows), torch.stack(noise)
    assert rows.shape == (300, 64) and noise.shape == (300, 64, 2)
    assert rows.min() == 0 and rows.max() == 499 and len(rows.unique()) == 500
    assert abs(float(noise.mean())) < 4 / noise.numel() ** 0.5 and abs(float(noise.std()) - 1) < 0.02


def test_cosine_falls_from_one_to_zero():
    factors = [cosine(step, 100) for step in range(101)]
    assert factors[0] == 1 and factors[50] == pytest.approx(0.5) and factors[100] == pytest.approx(0, abs=1e-12)
    assert all(a > b for a, b in zip(factors, factors[1:]))


def test_the_stops_of_the_slider():
    assert len(BETAS) == 24 and BETAS[0] == 0.01 and BETAS[-1] == 20 and list(BETAS) == sorted(set(BETAS))


@pytest.mark.parametrize(("change", "words"), [
    ({"x": torch.empty(0, 1)}, "the data are empty"), ({"x": torch.tensor([[float("nan")]])}, "NaN"),
    ({"steps": 0}, "at least 1 step of at least 1 sample, not 0 of 64"), ({"batch_size": 0}, "not 5 of 0"),
    ({"betas": (0.0,)}, "beta must be"), ({"betas": ()}, "at least one beta"), ({"seeds": ()}, "at least one beta and one seed"),
    ({"lr": 0.0}, "lr must be a positive number"), ({"lr": float("nan")}, "lr must be a positive number")])
def test_bad_input(change, words):
    arguments = {"x": X, "betas": (1.0,), "steps": 5, "progress": False, **change}
    with pytest.raises(BadInput, match=words) as refused:
        train_family(**arguments)
    assert "\n" not in str(refused.value)
