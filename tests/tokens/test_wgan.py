"""WGAN-GP on a line, where the Wasserstein distance is known."""

import pytest
import scipy.stats
import torch
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.latents.mixture import Mixture
from course_lib.tokens.losses import gradient_penalty
from course_lib.tokens.wgan import LAMBDA, even, mlp, train_critic_1d, train_wgan_1d, w1

SHORT = {"samples": 384, "epochs": 70, "batch_size": 64, "lr": 1e-3, "progress": False}


def gaussian(mean: float, std: float, n: int = 256) -> Tensor:
    return even(lambda probability: torch.tensor(scipy.stats.norm.ppf(probability, mean, std)), n)


@pytest.mark.parametrize(("mean", "std"), [(1.0, 0.5), (-2.0, 1.0)])
def test_a_critic_finds_the_distance_of_two_gaussians_that_scipy_computes(mean, std):
    real, fake = gaussian(0.0, 1.0), gaussian(mean, std)
    critic, found = train_critic_1d(real, fake, epochs=40, lr=2e-3, progress=False)
    true = scipy.stats.wasserstein_distance(real.flatten(), fake.flatten())
    assert found == pytest.approx(true * (1 + true / (2 * LAMBDA)), rel=0.03) and w1(real, fake) == pytest.approx(true, rel=1e-6)
    x = torch.linspace(-1, 1, 9)[:, None].requires_grad_()
    slopes = torch.autograd.grad(critic(x).sum(), x)[0].abs()
    assert slopes.max() < 1.35


def test_equal_samples_have_no_distance():
    assert abs(train_critic_1d(gaussian(1, 1), gaussian(1, 1), epochs=40, progress=False)[1]) < 0.02


def test_the_generator_comes_to_the_data_and_the_critic_says_so():
    game = train_wgan_1d(**SHORT)
    true, said = game.history.epochs["w1"], game.history.epochs["wasserstein"]
    assert max(true) < 2.2 and true[0] > 1.5 and min(true) < 0.45
    early = [(a, b) for a, b in zip(true, said) if 0.6 < a < 1.6]
    assert sum(abs(b - a) / a for a, b in early) / len(early) < 0.35  # while they are apart, what the critic says is the distance
    outputs = game.generator(even(lambda p: torch.tensor(scipy.stats.norm.ppf(p)))).detach()
    assert w1(outputs, even(Mixture().quantile)) == pytest.approx(true[-1], abs=1e-6)
    assert {"loss", "penalty"} == game.history.steps.keys()


def descend(gap: float, start: float, one_sided: bool) -> float:
    """Where gradient descent takes the slope s of a critic c(x) = s x between data at `gap` and fakes at 0."""
    s = torch.tensor([start], requires_grad=True)
    real, fake = torch.full((4, 1), gap), torch.zeros(4, 1)
    for _ in range(60):
        loss = -s.squeeze() * gap + LAMBDA * gradient_penalty(lambda x: (s * x).squeeze(1), real, fake, one_sided=one_sided)
        (gradient,) = torch.autograd.grad(loss, s)
        with torch.no_grad():
            s -= 0.04 * gradient
    return float(s.detach())


def test_on_a_line_the_papers_penalty_keeps_a_critic_of_the_wrong_sign():
    """s = ±1 + W / 2λ are both minima while W < 2λ; the one-sided penalty leaves the right one alone."""
    for gap in (1.0, 10.0, 18.0):
        assert descend(gap, -1.0, one_sided=False) == pytest.approx(-1 + gap / (2 * LAMBDA), abs=1e-3)
        assert descend(gap, -1.0, one_sided=True) == pytest.approx(1 + gap / (2 * LAMBDA), abs=1e-3)
    assert descend(22.0, -1.0, one_sided=False) == pytest.approx(1 + 22 / (2 * LAMBDA), abs=1e-3)


def test_the_game_that_waits_there():
    true = train_wgan_1d(**{**SHORT, "epochs": 40}, one_sided=False).history.epochs["w1"]
    assert max(true) > 5  # the generator has run from the data, where the sound game is below 2 throughout


def test_the_seed_decides_and_nothing_else_is_drawn_from():
    before = torch.random.get_rng_state()
    first, again, other = (train_wgan_1d(**{**SHORT, "epochs": 1}, seed=seed).history.epochs for seed in (1, 1, 2))
    assert first == again != other
    torch.random.set_rng_state(before)


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: train_wgan_1d(n_critic=0), "n_critic must be at least 1"),
    (lambda: train_wgan_1d(samples=100), r"samples at least \(n_critic \+ 1\) · batch_size, not 5 and 100"),
    (lambda: train_critic_1d(torch.randn(5, 1), torch.randn(4, 1)), "equally many, not 5 and 4"),
    (lambda: train_critic_1d(torch.randn(5, 1) / 0, torch.randn(5, 1)), "NaN or infinite"),
])
def test_bad_input(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call()


def test_the_slope_of_the_network_is_nowhere_0_on_a_whole_half_of_the_line():
    torch.manual_seed(0)
    x = torch.tensor([[-1e3], [1e3]]).requires_grad_()
    for network in (mlp(1, hidden=2) for _ in range(20)):  # of so narrow ones with ReLU most are flat on one side
        (slopes,) = torch.autograd.grad(network(x).sum(), x)
        assert slopes.all()
