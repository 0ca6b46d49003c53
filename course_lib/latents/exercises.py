"""The exercises of Part I: what each answer must satisfy, and the figure it should lead to."""

import math

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from course_lib.core.exercises import Checks, normal
from course_lib.core.style import IMAGE_CMAP, MARKER, PALETTE, new_figure
from course_lib.latents.coupling import Coupling
from course_lib.latents.figures import data_side, prior_side, some
from course_lib.latents.losses import kl_to_prior
from course_lib.latents.metrics import even_normal
from course_lib.latents.mixture import Mixture, Values
from course_lib.latents.rate_distortion import blahut_arimoto_step, exact_threshold, local_threshold
from course_lib.latents.recipe import rank_pairing

check = Checks()
OTHER = Mixture(weights=(0.5, 0.5), means=(-1.0, 1.0), stds=(0.4, 0.4))  # the mixture of the threshold exercise


@check.exercise("rank_pairing", hint="sort z, then hand out the sorted values by the rank of x; the argsort of an argsort is a rank.")
def check_rank_pairing(answer) -> None:
    z, x = normal(0, 64, 1), normal(1, 64, 1) * 3 - 1
    paired = answer(z, x)
    assert isinstance(paired, torch.Tensor), "Return a tensor."
    assert paired.shape == z.shape, f"Shape: expected {tuple(z.shape)}, got {tuple(paired.shape)}."
    assert torch.equal(paired.sort(0).values, z.sort(0).values), "Law: the result must hold exactly the values of z, reordered."
    order = x.squeeze(1).argsort()
    assert torch.equal(paired[order], z.sort(0).values), "Law: the smallest z must stand beside the smallest x, and so on."


@check.exercise("absolute_error", hint="which constant c makes the mean of |x − c| smallest? Set the derivative to zero.")
def check_absolute_error(answer) -> None:
    assert isinstance(answer, (int, float)) and math.isfinite(answer), "Shape: give one number."
    median = float(Mixture().quantile(np.array(0.5)))
    assert abs(answer - Mixture().mean) > 0.05, "Law: that is the mean, the minimiser of the *squared* error."
    assert abs(answer - median) < 0.15, f"Law: the mean of |x − c| is still {_excess(answer):.3f} above its minimum there."


@check.exercise("best_outputs", hint="outputs[k] = x[label == k].mean(); then the mean over all data of (x − outputs[label])².")
def check_best_outputs(answer) -> None:
    x = normal(7, 12, 1).squeeze(1) * 2 - 1

    def ask(label: torch.Tensor) -> tuple[torch.Tensor, float]:
        found, many = answer(label, x), int(label.max()) + 1
        assert isinstance(found, tuple) and len(found) == 2, "Shape: return two things, the best outputs and the least error."
        outputs, least = found
        assert isinstance(outputs, torch.Tensor) and outputs.shape == (many,), f"Shape: {many} labels have {many} outputs, a tensor of shape ({many},)."
        assert isinstance(least, (int, float, torch.Tensor)) and torch.as_tensor(least).numel() == 1, "Shape: the least error is one number."
        return outputs, float(least)

    outputs, least = ask(torch.zeros(12, dtype=torch.long))
    variance = float(x.var(correction=0))
    assert torch.allclose(outputs, x.mean(), atol=1e-5), "Law: a label that never changes says nothing, and the best output is the mean of all x."
    assert abs(least - variance) < 1e-4, (
        f"Law: a label that never changes says nothing, so Var(x) = {variance:.3f} remains, a mean over n data (not n − 1); you return {least:.3f}.")
    label = torch.tensor([0, 2, 0, 1, 0, 0, 2, 0, 0, 1, 0, 0])
    outputs, least = ask(label)
    means = torch.stack([x[label == k].mean() for k in range(3)])
    assert torch.allclose(outputs, means, atol=1e-5), "Law: the best output for a label is the mean of the x that come with this label, and of no others."
    truth = float((x - means[label]).square().mean())
    assert abs(least - truth) < 1e-4, (
        f"Law: the error is a mean over all data, so a label counts as often as it occurs: E[(x − E[x | k])²] = {truth:.3f}; you return {least:.3f}.")
    assert abs(ask(torch.arange(12))[1]) < 1e-6, "Law: a label for each datum says everything, and no error is left."


@check.exercise("agreement", hint="(x - x.T).sign(), of shape (n, n), is 1 where the row has the larger x; multiply it by the same of z, sum, and divide by n (n − 1).")
def check_agreement(answer) -> None:
    def value(z: torch.Tensor, x: torch.Tensor) -> float:
        found = answer(z, x)
        assert isinstance(found, (int, float, torch.Tensor)) and torch.as_tensor(found).numel() == 1, "Shape: return one number."
        return float(found)

    x, z = normal(8, 20, 1), normal(9, 20, 1)
    same = value(x.exp(), x)
    assert abs(same - 19 / 20) > 1e-4, "Law: a datum with itself is no pair; divide by the n (n − 1) pairs of two different ones."
    assert abs(same - 1) < 1e-4, f"Law: only the order counts: where a larger x always has a larger z the agreement is 1, straight line or not; you return {same:.3f}."
    turned = value(-x, x)
    assert abs(turned - 1) < 1e-4, f"Law: an order that is turned round can be read as well: agreement 1 again, not {turned:.3f}."
    third = value(torch.tensor([[1.0], [3.0], [2.0]]), torch.tensor([[1.0], [2.0], [3.0]]))
    assert abs(third - 1 / 3) < 1e-4, f"Law: of three pairs two have the same order and one the other: (2 − 1) / 3 = 0.333; you return {third:.3f}."
    truth = abs(float(kendalltau(z.numpy().ravel(), x.numpy().ravel()).statistic))
    assert abs(value(z, x) - truth) < 1e-4, f"Law: |same − opposite| / all pairs is {truth:.3f} for these 20; you return {value(z, x):.3f}."


@check.exercise("moved", hint="def new_decode(z): return decode((z - shift) / scale). What the encoder does last, the decoder undoes first.")
def check_moved(answer) -> None:
    x = normal(10, 30, 1)
    for scale, shift in ((1.0, 3.0), (-2.0, 0.5)):
        pair = answer(torch.sinh, torch.tanh, scale, shift)
        assert isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair)), "Shape: return two functions, the new encoder and the new decoder."
        encode, decode = pair
        codes = encode(x)
        assert isinstance(codes, torch.Tensor) and codes.shape == x.shape, f"Shape: the new encoder maps {tuple(x.shape)} to {tuple(x.shape)}."
        assert torch.allclose(codes, scale * torch.sinh(x) + shift, atol=1e-4), (
            f"Law: the new code is scale · ẑ + shift, first scaled and then shifted; with scale {scale:g} and shift {shift:g} yours is not.")
        rebuilt = decode(codes)
        assert torch.allclose(rebuilt, torch.tanh(torch.sinh(x)), atol=1e-4), (
            "Law: every reconstruction stays as it was, so the new decoder takes the move back: (z − shift) / scale, and then decodes.")


@check.exercise("normal_to_latent", hint="Φ turns noise into a rank between 0 and 1 (torch.special.ndtr); a quantile function turns a rank into a value.")
def check_normal_to_latent(answer) -> None:
    z_hat = torch.cat([normal(2, 600, 1) * 0.4 - 3, normal(3, 400, 1) * 0.7 + 2])
    noise = normal(4, 500, 1)
    mapped = answer(noise, z_hat)
    assert isinstance(mapped, torch.Tensor), "Return a tensor."
    assert mapped.shape == noise.shape, f"Shape: expected {tuple(noise.shape)}, got {tuple(mapped.shape)}."
    order = noise.squeeze(1).argsort()
    assert (mapped[order].diff(dim=0) >= 0).all(), "Law: a larger noise must be mapped to a larger (or equal) code."
    share = (answer(even_normal(2000), z_hat) < 0).float().mean()
    assert abs(share - 0.6) < 0.02, f"Law: 60 % of these codes are negative, so 60 % of the mapped noise must be; got {share:.0%}."
    assert mapped.min() >= z_hat.min() and mapped.max() <= z_hat.max(), "Law: no mapped value may lie outside the codes."


@check.exercise("kl", hint="subtract the two averages: log 2π cancels, and you are given log σ².")
def check_kl(answer) -> None:
    mu, log_var = normal(5, 32, 1), normal(6, 32, 1)
    value = answer(mu, log_var)
    assert isinstance(value, torch.Tensor), "Return a tensor."
    assert value.shape == (32,), f"Shape: one value for each sample, (32,), expected; got {tuple(value.shape)}."
    assert torch.allclose(answer(0 * mu, 0 * mu), torch.zeros(32)), "Law: KL is zero when q is the prior (μ = 0, log σ² = 0)."
    assert (value >= -1e-6).all(), "Law: KL is never negative."
    assert torch.allclose(value, kl_to_prior(mu, log_var), atol=1e-5), "Law: the values differ from E log q − E log p."


@check.exercise("threshold", hint="Var(x) = Σ w (σ² + μ²) − mean²; collapse is stable from 2·Var(x) on.")
def check_threshold(answer) -> None:
    low, high = (float(value) for value in answer)
    assert low < high, "Shape: give (low, high) with low < high."
    assert high - low <= 1, f"Shape: the bracket is {high - low:.2f} wide; make it at most 1."
    assert high > local_threshold(OTHER), "Law: your upper end lies below 2·Var(x), where the collapsed solution is not even stable."
    assert low < exact_threshold(OTHER) < high, "Law: the exact threshold of this mixture lies outside your bracket."


@check.exercise("ba_step", hint="first the denominator Σ q(x̂) k(x, x̂) for each x, then c(x̂), then q·c.")
def check_ba_step(answer) -> None:
    x = np.linspace(-4, 4, 41)
    p = Mixture().density(x)
    p, q = p / p.sum(), np.full(41, 1 / 41)
    kernel = np.exp(-np.square(x[:, None] - x) / 2)
    new = np.asarray(answer(q, p, kernel))
    assert new.shape == (41,), f"Shape: one value for each output, (41,), expected; got {new.shape}."
    assert abs(new.sum() - 1) < 1e-9, f"Law: the new q must sum to 1; it sums to {new.sum():.4f}."
    assert not np.allclose(new, q), "Law: q did not move, though it is not yet the best one."
    assert np.allclose(new, blahut_arimoto_step(q, p, kernel)[0]), "Law: the values differ from q(x̂) Σ p(x) k(x, x̂) / Σ q k."


def absolute_target(constant: float | None = None) -> Figure:
    """The mean of |x − c| against c, and where the constant stands on it; without a number there is nothing to show yet."""
    figure = new_figure(7, 3)
    axes = figure.add_subplot(xlabel="c", ylabel="mean of |x − c|", title="target: your dot at the lowest place", xlim=(-4, 3), ylim=(1, 5))
    if constant is None:
        axes.text(-0.5, 3, "no number yet", ha="center")
        return figure
    c = np.linspace(-4, 3, 141)
    axes.plot(c, _absolute(c), color=PALETTE["encode_line"], label="mean of |x − c|")
    axes.plot(constant, _absolute(constant), MARKER["output_x_hat"], color=PALETTE["output_x_hat"], label=f"yours: {_absolute(constant):.3f}")
    axes.legend()
    return figure


def pairing_target() -> Figure:
    """What a correct rank pairing looks like: no two lines cross."""
    mixture = Mixture()
    x, z = mixture.sample(64), normal(0, 64, 1)
    figure = new_figure(6, 3.6)
    coupling = Coupling(figure, figure.add_gridspec(1, 1)[0], "target: z paired by rank with x")
    prior_side(coupling)
    data_side(coupling, mixture)
    coupling.lines("coupling_train", *some(rank_pairing(z, x), x))
    return figure


def kl_target() -> Figure:
    """The KL to N(0, 1) as a function of μ and σ: a bowl with its bottom at the prior."""
    mu, sigma = np.meshgrid(np.linspace(-3, 3, 121), np.linspace(0.05, 3, 119))
    value = kl_to_prior(torch.tensor(mu).unsqueeze(-1), torch.tensor(2 * np.log(sigma)).unsqueeze(-1)).numpy()
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    bowl = axes.contourf(mu, sigma, value, levels=np.linspace(0, 6, 13), cmap=IMAGE_CMAP, extend="max")
    axes.plot(0, 1, "o", color="white", markeredgecolor="black", label="the prior: KL = 0")
    figure.colorbar(bowl, label="KL, nats")
    axes.set(xlabel="μ", ylabel="σ", title="target: KL(N(μ, σ²) ‖ N(0, 1))")
    axes.legend(loc="lower left", labelcolor="white")
    axes.grid(False)
    return figure


def ba_target(beta: float = 2.0) -> Figure:
    """q(x̂) after 1, 30 and 1000 Blahut–Arimoto steps from the uniform start."""
    x = np.linspace(-5, 5, 201)
    p = Mixture().density(x)
    p, q = p / p.sum(), np.full(len(x), 1 / len(x))
    kernel = np.exp(-np.square(x[:, None] - x) / beta)
    figure = new_figure(9, 3.2)
    axes = figure.add_subplot()
    axes.fill_between(x, p, color=PALETTE["data_x"], alpha=0.35, linewidth=0, label="p(x)")
    for step in range(1, 1001):
        q, _ = blahut_arimoto_step(q, p, kernel)
        if step in (1, 30, 1000):
            key, dash = {1: ("coupling_train", ":"), 30: ("latent_z_hat", "--"), 1000: ("output_x_hat", "-")}[step]
            axes.plot(x, q, color=PALETTE[key], linestyle=dash, label=f"q(x̂) after {step} step{'s' * (step > 1)}")
    axes.set(xlabel="x, x̂", ylabel="probability per grid point", ylim=(0, 0.1), title=f"target: Blahut–Arimoto at β = {beta:g}")
    figure.legend(loc="outside upper right", ncols=2)  # no room beside the spikes
    return figure



def _excess(c: float) -> float:
    """How much the mean of |x − c| is above its least value."""
    return float(_absolute(c)) - float(_absolute(float(Mixture().quantile(np.array(0.5)))))


def _absolute(c: Values) -> Values:
    """The mean of |x − c| over the mixture, for each c."""
    x, p = Mixture().quadrature(200)
    return np.abs(x - np.asarray(c, float)[..., None]) @ p
