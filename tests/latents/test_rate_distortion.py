"""R(D) by Blahut–Arimoto against what is known in closed form, and the thresholds of collapse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.core.errors import BadInput
from course_lib.latents.mixture import Mixture
from course_lib.latents.rate_distortion import (blahut_arimoto_step, exact_threshold, local_threshold, margin, rate_at,
                                                rate_distortion_curve, rate_distortion_point, shannon_lower_bound, squared_step)

WORLD = Mixture()
POINTS = 301
BETAS = np.array([0.05, 0.2, 0.6, 1.5, 3.0, 5.0, 7.0, 8.2])


@pytest.fixture(scope="module")
def curve():
    return rate_distortion_curve(WORLD, BETAS, POINTS)


@pytest.mark.parametrize("variance", [0.5, 4.0])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_one_gaussian_has_the_rate_of_the_formula(variance, share):
    """R(D) = ½ log(σ²/D), its slope β = 2D (Cover & Thomas, theorem 10.3.2)."""
    distortion = share * variance
    rate, found, gap = rate_distortion_point(Mixture((1.0,), (0.3,), (variance**0.5,)), 2 * distortion, POINTS)
    assert found == pytest.approx(distortion, rel=0.02)
    assert rate == pytest.approx(0.5 * np.log(variance / found), abs=5e-3)
    assert found + 2 * distortion * rate == pytest.approx(distortion * (1 + np.log(1 / share)), abs=2 * gap + 1e-3 * variance)


def test_one_gaussian_pays_nothing_from_twice_its_variance_on():
    one = Mixture((1.0,), (1.0,), (0.7,))
    rate, distortion, _ = rate_distortion_point(one, 2.2 * one.variance, POINTS, tolerance=1e-5)
    assert rate == pytest.approx(0, abs=1e-3) and distortion == pytest.approx(one.variance, rel=1e-2)


def test_the_curve_lies_between_shannon_and_a_gaussian_of_the_same_variance(curve):
    assert (curve.rate >= shannon_lower_bound(WORLD, curve.distortion) - 1e-3).all()
    assert (curve.rate <= 0.5 * np.log(WORLD.variance / curve.distortion) + 1e-3).all()
    # and it nears Shannon's bound as D → 0
    excess = curve.rate - shannon_lower_bound(WORLD, curve.distortion)
    assert excess[0] < 0.005 < excess[3]


def test_the_curve_is_monotone_and_convex_and_beta_is_its_slope(curve):
    assert (np.diff(curve.distortion) > 0).all() and (np.diff(curve.rate) < 0).all()
    slope = -np.diff(curve.distortion) / np.diff(curve.rate)
    assert (slope > BETAS[:-1]).all() and (slope < BETAS[1:]).all()  # so between two points the chord's is between theirs


def test_the_gap_is_a_certificate(curve):
    assert (curve.gap >= -1e-12).all() and (curve.gap <= 2.1e-4 * BETAS).all()
    rough = rate_distortion_point(WORLD, 3.0, POINTS, tolerance=0.1)
    i = list(BETAS).index(3.0)
    exact = curve.distortion[i] + 3 * curve.rate[i]
    assert rough[2] > curve.gap[i]
    assert exact - curve.gap[i] - 1e-9 <= rough[1] + 3 * rough[0] <= exact + rough[2] + 1e-9


@given(st.integers(1, 4), st.integers(0, 2**32 - 1), st.floats(0.02, 1.1))
def test_every_point_of_every_mixture_is_certified(modes, seed, share):
    chance = np.random.default_rng(seed)
    mixture = Mixture(tuple(chance.dirichlet(np.ones(modes))), tuple(chance.uniform(-4, 4, modes)), tuple(chance.uniform(0.1, 1.2, modes)))
    beta = share * exact_threshold(mixture)
    rate, distortion, gap = rate_distortion_point(mixture, beta, 101)
    assert gap <= 2e-4 * beta and rate >= 0 and 0 < distortion < 1.01 * mixture.variance


def test_a_squared_step_is_never_behind_two_plain_ones():
    chance = np.random.default_rng(0)
    further = 0
    for _ in range(200):
        p, q = chance.dirichlet(np.ones(12)), chance.dirichlet(np.ones(15))
        kernel = np.exp(-np.square(chance.normal(size=(12, 1)) - chance.normal(size=15)) / chance.uniform(0.1, 5))
        value = lambda q: p @ np.log(kernel @ q)
        plain = blahut_arimoto_step(blahut_arimoto_step(q, p, kernel)[0], p, kernel)[0]
        new = squared_step(q, p, kernel)
        assert new.sum() == pytest.approx(1) and (new >= 0).all() and value(new) >= value(plain)
        further += value(new) > value(plain)
    assert further > 100


@given(st.integers(2, 20), st.integers(2, 20), st.integers(0, 2**32 - 1), st.floats(0.1, 5))
def test_a_step_keeps_a_distribution_and_lowers_the_objective(inputs, outputs, seed, beta):
    chance = np.random.default_rng(seed)
    p, q = chance.dirichlet(np.ones(inputs)), chance.dirichlet(np.ones(outputs))
    kernel = np.exp(-np.square(chance.normal(size=(inputs, 1)) - chance.normal(size=outputs)) / beta)
    new, c = blahut_arimoto_step(q, p, kernel)
    assert new.sum() == pytest.approx(1) and (new >= 0).all() and new == pytest.approx(q * c)
    objective = lambda q: -p @ np.log(kernel @ q)  # min over channels of R + D/β, for this q
    assert objective(new) <= objective(q) + 1e-12


def test_the_exact_threshold_is_where_the_rate_vanishes():
    threshold = exact_threshold(WORLD)
    assert 8.3 < threshold < 8.6
    points = [rate_distortion_point(WORLD, threshold * factor, POINTS, tolerance=1e-5) for factor in (0.97, 0.985, 1.015)]
    far, near, above = (rate for rate, _, _ in points)
    assert far > near > 0.01 > 5e-4 > above and points[2][1] == pytest.approx(WORLD.variance, rel=1e-2)
    assert 0.985 + 0.015 * near / (far - near) == pytest.approx(1, abs=0.003)  # the line through both is 0 at the threshold


def test_the_local_threshold_is_twice_the_variance_and_the_limit_of_the_exact_one_s_ratio():
    assert local_threshold(WORLD) == pytest.approx(2 * 3.916) and local_threshold(WORLD) < exact_threshold(WORLD)
    for t in (1e-2, 1e-3):
        assert 4 * WORLD.cumulant(np.array(t)) / t**2 == pytest.approx(local_threshold(WORLD), rel=2 * t)


@given(st.floats(-3, 3), st.floats(0.3, 2))
def test_one_gaussian_has_one_threshold(mean, std):
    one = Mixture((1.0,), (mean,), (std,))
    assert exact_threshold(one) == pytest.approx(2 * std**2, rel=1e-6)
    assert local_threshold(one) == pytest.approx(2 * std**2, rel=1e-6)


@given(st.floats(-0.5, 1.5), st.floats(0.05, 3), st.floats(-2, 2))
def test_no_gaussian_channel_lies_below_the_curve(curve, gain, noise, offset):
    """x̂ = gain·x + offset + noise·ε: its information is at most ½ log(1 + gain²Var/noise²), and that is an upper bound."""
    distortion = (gain - 1) ** 2 * WORLD.variance + ((gain - 1) * WORLD.mean + offset) ** 2 + noise**2
    output = Mixture(WORLD.weights, tuple(gain * m + offset for m in WORLD.means),
                     tuple(float(np.hypot(gain * s, noise)) for s in WORLD.stds))
    information = output.entropy() - 0.5 * np.log(2 * np.pi * np.e * noise**2)  # I(x; x̂) = h(x̂) − h(noise)
    assert information <= 0.5 * np.log1p(gain**2 * WORLD.variance / noise**2) + 1e-6
    (above,) = margin(curve, np.array([information]), np.array([distortion]))
    assert above > -2e-3
    assert information >= rate_at(curve, distortion) - 2e-3


def test_the_margin_of_the_curve_s_own_points_is_its_gap(curve):
    assert margin(curve, curve.rate, curve.distortion) == pytest.approx(curve.gap, abs=1e-9)


@given(st.floats(0, 3), st.floats(0.05, 4), st.floats(0.001, 1))
def test_the_margin_grows_with_rate_and_distortion(curve, rate, distortion, more):
    least = lambda r, d: float(margin(curve, np.array([r]), np.array([d]))[0])
    assert least(rate + more, distortion) > least(rate, distortion)
    assert least(rate, distortion + more) == pytest.approx(least(rate, distortion) + more)


@given(st.integers(0, len(BETAS) - 1), st.floats(0.05, 0.9))
def test_a_point_below_the_curve_is_seen(curve, i, factor):
    assert margin(curve, factor * curve.rate[[i]], factor * curve.distortion[[i]])[0] < 0
    assert rate_at(curve, factor * curve.distortion[i]) > curve.rate[i]


@given(st.floats(0.02, 4.5), st.floats(0.02, 4.5))
def test_rate_at_is_convex_falling_and_never_negative(curve, a, b):
    low, high, middle = rate_at(curve, min(a, b)), rate_at(curve, max(a, b)), rate_at(curve, (a + b) / 2)
    assert low >= high >= 0 and middle <= (low + high) / 2 + 1e-9


def test_rate_at_passes_through_the_points(curve):
    for rate, distortion in zip(curve.rate, curve.distortion):
        assert rate_at(curve, distortion) == pytest.approx(rate, abs=1e-3)
    assert rate_at(curve, WORLD.variance + 0.5) == 0


@pytest.mark.parametrize("beta", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_beta(beta):
    with pytest.raises(BadInput, match="beta must be a finite number above 0"):
        rate_distortion_point(WORLD, beta)


def test_bad_grid():
    with pytest.raises(BadInput, match="the grid needs at least 3 points, not 2"):
        rate_distortion_point(WORLD, 1.0, points=2)
