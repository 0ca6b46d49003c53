"""WGAN-GP against what can be said exactly, each classic bug by what it breaks, and the losses of reconstruction by hand."""

import math

import pytest
import scipy.stats
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from course_lib.tokens.losses import (
    BUGS, RECONSTRUCTIONS, between, between_elements, company, cosine, critic_loss, generator_loss, generator_loss_upside_down,
    gradient_penalty, hybrid, mse, perceptual, slope, slope_by_root, spatial)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def linear(weight: Tensor):
    return lambda x: (x * weight).flatten(1).sum(1)


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 4, 5)])
@pytest.mark.parametrize("unit", [1.0, 2.5])
def test_the_penalty_of_a_linear_critic(shape, unit):
    weight = torch.randn(shape, requires_grad=True)
    penalty = gradient_penalty(linear(weight), torch.randn(6, *shape), torch.randn(6, *shape), unit)
    length = weight.detach().norm()
    torch.testing.assert_close(penalty.detach(), (unit * length - 1) ** 2)
    (gradient,) = torch.autograd.grad(penalty, weight)  # the critic can learn from it: the penalty is differentiated once more
    torch.testing.assert_close(gradient, 2 * (unit * length - 1) * unit * weight.detach() / length)


def test_the_penalty_is_the_mean_of_each_samples_own():
    """c(x) = |x|² / 2 has slope |x|; penalised at the points themselves."""
    x = torch.randn(8, 3, 2)
    penalty = gradient_penalty(lambda x: x.flatten(1).square().sum(1) / 2, x, x)
    torch.testing.assert_close(penalty.detach(), torch.stack([(one.norm() - 1) ** 2 for one in x]).mean())


def test_penalised_points_lie_on_the_line_between_real_and_fake_and_anywhere_on_it():
    real, fake = torch.randn(2000, 2, 3), torch.randn(2000, 2, 3) + 2
    share = ((between(real, fake) - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(share, share[:, :1].expand_as(share), atol=1e-2, rtol=0)  # where real and fake are close, by rounding
    assert scipy.stats.kstest(share.median(1).values.numpy(), "uniform").pvalue > 1e-3


def test_the_penalty_is_computed_in_float32_whatever_the_precision():
    critic = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    real, fake, penalties = torch.randn(16, 6), torch.randn(16, 6), []
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            assert critic(real).dtype == (torch.bfloat16 if enabled else torch.float32)
            penalties.append(gradient_penalty(lambda x: critic(x).squeeze(1), real, fake))
    assert penalties[1].dtype == torch.float32 and torch.equal(*penalties)


def test_the_penalty_asks_nothing_of_the_samples():
    real, fake = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    weight = torch.randn(3, requires_grad=True)
    with torch.no_grad():
        quiet = gradient_penalty(linear(weight), real, fake)  # may be looked at in validation
    gradient_penalty(linear(weight), real, fake).backward()
    assert real.grad is None and fake.grad is None and weight.grad is not None and torch.isfinite(quiet)


def test_a_shift_is_its_own_wasserstein_distance():
    fake = torch.randn(500)
    real = fake + 3
    assert -float(critic_loss(real, fake)) == pytest.approx(scipy.stats.wasserstein_distance(real, fake), rel=1e-5)  # c(x) = x, slope 1
    assert float(generator_loss(fake)) == pytest.approx(-float(fake.mean()))


def test_attention_can_be_penalised_in_its_plain_form_only():
    query = torch.randn(1, 4, 3, requires_grad=True)

    def attention(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query.expand(len(x), -1, -1), x, x).sum((1, 2))

    def by_hand(x: Tensor) -> Tensor:
        return ((query @ x.mT / math.sqrt(3)).softmax(2) @ x).sum((1, 2))

    x, gradients = torch.randn(5, 6, 3), []
    with sdpa_kernel(SDPBackend.MATH):
        for critic in (attention, by_hand):
            gradients.append(torch.autograd.grad(gradient_penalty(critic, x, x), query)[0])
    torch.testing.assert_close(*gradients)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), pytest.raises(RuntimeError, match="derivative for .* is not implemented"):
        gradient_penalty(attention, x, x).backward()


# The gallery: what each bug breaks, in numbers.

def test_bug_norm_over_one_axis_lets_the_whole_be_too_steep():
    weight = torch.ones(1, 576) / 1  # every column has slope 1, the whole 24
    real, fake = torch.randn(2, 4, 1, 576)
    assert gradient_penalty(linear(weight), real, fake, **BUGS["norm over one axis"]) == 0
    assert float(gradient_penalty(linear(weight), real, fake)) == pytest.approx((24 - 1) ** 2, rel=1e-5)


def test_bug_an_alpha_for_every_number_leaves_the_line_and_never_comes_near_its_ends():
    real, fake = torch.randn(400, 576), torch.randn(400, 576)
    line = real - fake
    spread, off = {}, {}
    for points in (between, between_elements):
        x = points(real, fake) - fake
        share = (x * line).sum(1) / line.square().sum(1)
        spread[points], off[points] = float(share.std()), float((x - share[:, None] * line).norm(dim=1).mean() / line.norm(dim=1).mean())
    assert spread[between] == pytest.approx(12**-0.5, rel=0.1) and off[between] < 1e-5
    assert spread[between_elements] < 0.05 and off[between_elements] == pytest.approx(12**-0.5, rel=0.1)


def test_bug_no_interpolation_leaves_the_critic_as_steep_as_it_likes_between():
    def critic(x: Tensor) -> Tensor:
        """Slope 1 at x > 1, where the data are, and slope 10 below."""
        return torch.where(x > 1, x, 10 * x - 9).squeeze(1)

    real, fake = torch.rand(500, 1) + 2, -torch.rand(500, 1)
    assert gradient_penalty(critic, real, fake, **BUGS["α = 1"]) == 0
    assert gradient_penalty(critic, real, fake) > 20


def test_bug_a_root_written_out_is_nan_where_a_slope_is_zero():
    for length, finite in ((slope, True), (slope_by_root, False)):
        weight = torch.zeros(3, requires_grad=True)
        gradient_penalty(linear(weight), torch.randn(4, 3), torch.randn(4, 3), length=length).backward()
        assert bool(torch.isfinite(weight.grad).all()) == finite
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(slope(x), slope_by_root(x))  # otherwise they are the same


def test_bug_batchnorm_makes_the_slope_of_a_sample_depend_on_the_others():
    plain, normed = (nn.Sequential(nn.Linear(3, 16), norm, nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0)) for norm in (nn.Identity(), nn.BatchNorm1d(16)))
    x = torch.randn(8, 3)
    assert company(plain, x) == 0 and company(normed, x) > 0.01
    others = torch.cat([x[:1], 3 * torch.randn(7, 3)])
    value = {critic: [float(critic(batch)[0].detach()) for batch in (x, others)] for critic in (plain, normed)}
    assert value[plain][0] == pytest.approx(value[plain][1], abs=1e-5) and abs(value[normed][0] - value[normed][1]) > 0.01


def test_bug_the_sign_of_the_generator_runs_from_the_data():
    real, ends = torch.randn(200) + 3, {}
    for loss in (generator_loss, generator_loss_upside_down):
        shift = torch.zeros((), requires_grad=True)
        optimizer = torch.optim.SGD([shift], 0.1)
        for _ in range(10):
            optimizer.zero_grad()
            loss(torch.randn(200) + shift).backward()  # the critic c(x) = x is the best one as long as the data are to the right
            optimizer.step()
        ends[loss] = abs(float(real.mean()) - float(shift.detach()))
    assert ends[generator_loss] < 2.2 and ends[generator_loss_upside_down] > 3.8


# Reconstruction

def test_reconstruction_by_hand():
    a, b = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64)
    pairs = [(a[i, y, x], b[i, y, x]) for i in range(2) for y in range(3) for x in range(4)]
    squares = sum(float((u - v).square().mean()) for u, v in pairs) / len(pairs)
    angles = 1 - sum(float(u @ v / u.norm() / v.norm()) for u, v in pairs) / len(pairs)
    assert float(mse(a, b)) == pytest.approx(squares) and float(cosine(a, b)) == pytest.approx(angles)
    assert float(hybrid(a, b)) == pytest.approx(squares + angles)
    axes = []
    for down, right in ((1, 0), (0, 1)):
        terms = []
        for i in range(2):
            for y in range(3 - down):
                for x in range(4 - right):
                    (u, s), (v, t) = ((grid[i, y, x], grid[i, y + down, x + right]) for grid in (a, b))
                    angle = float(u @ s / u.norm() / s.norm()) - float(v @ t / v.norm() / t.norm())
                    terms.append(float(((s - u) - (t - v)).square().mean()) + angle**2)
        axes.append(sum(terms) / len(terms))
    assert float(spatial(a, b)) == pytest.approx(sum(axes) / 2) and float(perceptual(a, b)) == pytest.approx(squares + sum(axes) / 2)


@pytest.mark.parametrize("name", list(RECONSTRUCTIONS))
@pytest.mark.parametrize("grid", [(4, 5), (1, 6), (1, 1)])
def test_only_the_original_costs_nothing_and_every_loss_leads_to_it(name, grid):
    loss, tokens = RECONSTRUCTIONS[name], torch.randn(3, *grid, 4)
    assert float(loss(tokens, tokens)) == pytest.approx(0, abs=1e-6)
    rebuilt = (tokens + torch.randn_like(tokens)).requires_grad_()
    before = loss(rebuilt, tokens)
    (gradient,) = torch.autograd.grad(before, rebuilt)
    assert before > 0.1 and loss(rebuilt - 0.1 * gradient, tokens) < before and torch.isfinite(gradient).all()


def test_cosine_hears_directions_only_and_nothing_but_the_mean_costs_one():
    tokens = torch.randn(4, 8, 8, 16)
    assert float(cosine(tokens * 7, tokens)) == pytest.approx(0, abs=1e-6) and float(hybrid(tokens * 7, tokens)) > 30
    assert float(cosine(torch.zeros_like(tokens), tokens)) == 1


def test_spatial_tells_a_checkerboard_from_an_offset_where_mse_cannot():
    tokens = torch.randn(2, 6, 6, 8)
    offset = 0.5 * torch.ones_like(tokens)
    checker = offset * (1 - 2 * ((torch.arange(6)[:, None] + torch.arange(6)) % 2))[:, :, None]
    assert float(mse(tokens + checker, tokens)) == pytest.approx(float(mse(tokens + offset, tokens)))
    assert spatial(tokens + checker, tokens) > 5 * spatial(tokens + offset, tokens)
