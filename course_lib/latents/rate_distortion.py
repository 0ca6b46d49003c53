"""What no encoder and decoder can beat: the rate–distortion function R(D) of the mixture, for squared error.

R(D) is the least mutual information I(X; X̂), in nats, among all channels with E(X − X̂)² ≤ D. A β-VAE pays at least
that: its KL is an upper bound on the information in z. The slope of the curve, β = −dD/dR, is the β of the loss
D + β·R: each β of the VAE looks for one point of this curve (Cover & Thomas, ch. 10; Alemi et al. 2018).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import rel_entr

from course_lib.core.errors import BadInput
from course_lib.latents.losses import check_beta
from course_lib.latents.mixture import Mixture


@dataclass(frozen=True)
class Curve:
    """Points of R(D), one per slope: rate in nats, distortion in squared units of x, gap = certified error of D + βR."""

    beta: np.ndarray
    rate: np.ndarray
    distortion: np.ndarray
    gap: np.ndarray


def blahut_arimoto_step(q: np.ndarray, p: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of Blahut–Arimoto (Blahut 1972; Cover & Thomas, sec. 10.8):

        q(x̂) ← q(x̂)·c(x̂),      c(x̂) = Σₓ p(x) k(x, x̂) / Σ_x̂′ q(x̂′) k(x, x̂′)

    q: (outputs,) current distribution of x̂; p: (inputs,) distribution of x; kernel: (inputs, outputs) exp(−(x − x̂)²/β).
    Returns the new q and c. At the optimum c ≤ 1 everywhere, with equality where q > 0.
    """
    c = (p / (kernel @ q)) @ kernel
    return q * c, c


def squared_step(q: np.ndarray, p: np.ndarray, kernel: np.ndarray, most: float = 64.0) -> np.ndarray:
    """Where Blahut–Arimoto is going to: two steps give a direction and how it turns, and log q goes up to `most` times as far.

        log q ← log q + 2a·r + a²·v,      r = log c₁,  v = log c₂ − r,  a = ‖r‖ / ‖v‖      (SQUAREM, Varadhan & Roland 2008)

    q, p, kernel: as for `blahut_arimoto_step`; c₁ and c₂ are those of the two steps. If Σₓ p(x) log Σ_x̂ q(x̂) k(x, x̂), which every step raises, is not higher there than after the
    two plain steps, these are returned.
    """
    once, first = blahut_arimoto_step(q, p, kernel)
    twice, second = blahut_arimoto_step(once, p, kernel)
    r = np.log(first)
    v = np.log(second) - r
    a = np.clip(np.linalg.norm(r) / max(np.linalg.norm(v), 1e-300), 1, most)
    far = q * np.exp(np.minimum(2 * a * r + a * a * v, 50))
    far /= far.sum()
    return far if p @ np.log(kernel @ far) > p @ np.log(kernel @ twice) else twice


def rate_distortion_point(mixture: Mixture, beta: float, points: int = 601, tolerance: float = 2e-4,
                          rounds: int = 2_000) -> tuple[float, float, float]:
    """Return (R, D, gap) at slope β: nats, squared units, and how far D + βR may be from its minimum on the grid.

    x and x̂ live on a grid of `points` over every mode ± 5 deviations. Blahut's bound certifies the result: the true
    minimum of D + βR lies within `gap` = β·log max c of the one returned (aim: `tolerance` nats·β). After each round of five
    `squared_step`s outputs whose share dies out are dropped, and those with c > 1, which the optimum needs, come back.
    """
    beta = check_beta(beta)
    if points < 3:
        raise BadInput(f"the grid needs at least 3 points, not {points}.")
    x = np.linspace(*mixture.bounds(5), points)
    p = mixture.density(x)
    p /= p.sum()
    cost = np.square(x[:, None] - x)
    kernel = np.exp(-cost / beta)
    q = np.full(points, 1 / points)
    for _ in range(rounds):
        alive = np.flatnonzero(q)
        active, shares = np.ascontiguousarray(kernel[:, alive]), q[alive]
        for _ in range(5):
            shares = squared_step(shares, p, active)
        c = (p / (active @ shares)) @ kernel  # of every output, dropped ones too
        gap = beta * np.log(c.max())
        if gap < tolerance * beta:
            break
        q[alive] = shares
        q = np.where((q > 1e-9) | (c > 1), np.maximum(q, 1e-9), 0)
        q /= q.sum()
    channel = active * shares
    channel /= channel.sum(1, keepdims=True)
    return float(p @ rel_entr(channel, p @ channel).sum(1)), float(p @ (channel * cost[:, alive]).sum(1)), float(gap)


def rate_distortion_curve(mixture: Mixture, betas: np.ndarray, points: int = 601) -> Curve:
    """R(D) at every slope of `betas`; see `rate_distortion_point`."""
    rows = [rate_distortion_point(mixture, beta, points) for beta in np.ravel(betas)]
    rate, distortion, gap = np.array(rows).reshape(-1, 3).T
    return Curve(np.ravel(np.asarray(betas, dtype=float)), rate, distortion, gap)


def margin(curve: Curve, rate: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """How far each point (rate, distortion) lies above R(D): the least D + βR − min(D + βR) over the slopes β of `curve`.

    Squared units of x. R(D) is convex, so a point is on or above the curve if and only if no slope gives a negative
    value; each minimum is taken at the low end of its certified error.
    """
    lowest = curve.distortion + curve.beta * curve.rate - curve.gap
    return (np.ravel(distortion)[:, None] + np.ravel(rate)[:, None] * curve.beta - lowest).min(1)


def rate_at(curve: Curve, distortion: float) -> float:
    """R(D) in nats at one distortion, by the tangents of `curve`: R(D) ≥ Rᵢ + (Dᵢ − D)/βᵢ for every i."""
    return float(max(0, (curve.rate + (curve.distortion - distortion) / curve.beta).max()))


def shannon_lower_bound(mixture: Mixture, distortion: np.ndarray) -> np.ndarray:
    """R(D) ≥ max(0, h(X) − ½ log(2πe D)), nats: tight as D → 0 (Shannon 1959)."""
    return np.maximum(0, mixture.entropy() - 0.5 * np.log(2 * np.pi * np.e * np.asarray(distortion, dtype=float)))


def local_threshold(mixture: Mixture) -> float:
    """β = 2·Var(x): from here on the collapsed solution is a local minimum of D + βR."""
    return 2 * mixture.variance


def exact_threshold(mixture: Mixture) -> float:
    """The β from which the collapsed solution (x̂ = E[x], rate 0) is the global minimum of D + βR.

    β* = sup over t of 4 K(t)/t², K the cumulant generating function of x − E[x]. Why: Blahut's condition c(x̂) ≤ 1 for the
    one-point output at the mean reads E exp((2uδ − δ²)/β) ≤ 1 with u = x − E[x], δ = x̂ − E[x]; put t = 2δ/β.
    As t → 0 the expression tends to 2·Var(x), the local threshold, so β* is never below it.
    """
    t = np.linspace(-12 / mixture.std, 12 / mixture.std, 48_001)
    t = t[np.abs(t) > 1e-3 / mixture.std]
    return float(max(local_threshold(mixture), (4 * mixture.cumulant(t) / np.square(t)).max()))
