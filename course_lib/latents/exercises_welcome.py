"""The exercises of notebook 00: nats and bits, two axes, and a claim that can fail."""

import math
from functools import cache

from matplotlib.figure import Figure

from course_lib.core.exercises import Checks
from course_lib.core.style import MARKER, PALETTE, new_figure
from course_lib.core.weights import load_pretrained
from course_lib.latents.metrics import view_family
from course_lib.latents.mixture import Mixture

check = Checks()
MODELS = {"A": (0.0, 3.9), "B": (0.4, 2.6), "C": (0.9, 3.0), "D": (1.1, 1.2), "E": (1.9, 1.2), "F": (2.4, 0.3)}  # rate in nats, distortion
WIDEST = 0.2  # bits: how wide the bounds of a claim may be


@check.exercise("bits_per_nat", hint="a nat is counted in logarithms to base e, a bit in logarithms to base 2: 1 nat = log2(e) bits.")
def check_bits_per_nat(answer) -> None:
    assert isinstance(answer, (int, float)), "Shape: give one number."
    assert answer != 1, "Law: a nat is not a bit: the logarithms have different bases, e and 2."
    assert answer > 1, "Law: e is larger than 2, so a nat is more than a bit."
    assert abs(2**answer - math.e) < 0.01, f"Law: doubling that many times multiplies by e = 2.718; 2 to the power of your number is {2**answer:.3f}."


@check.exercise("beaten", hint="go through the models one by one: is there another that is neither further right nor higher?")
def check_beaten(answer) -> None:
    assert isinstance(answer, str) and set(answer) <= MODELS.keys(), f"Shape: give letters out of {''.join(MODELS)}, for example 'AB'."
    for name in sorted(set(answer) - beaten()):
        raise AssertionError(f"Law: nobody beats {name}: each model that loses as little pays more for it, and each that pays as little loses more.")
    missing = beaten() - set(answer)
    assert not missing, "Law: a model is beaten if another one is at least as good on both axes and better on one; you left out " \
                        f"{len(missing)} such model{'s' * (len(missing) > 1)}."


@check.exercise("bounds", hint="read the rate at β = 1 in nats off section 4, and multiply it by your bits per nat.")
def check_bounds(answer) -> None:
    assert isinstance(answer, (tuple, list)) and len(answer) == 2, "Shape: give two numbers, (low, high)."
    low, high = (float(value) for value in answer)
    assert low < high, "Shape: the lower bound comes first."
    assert high - low <= WIDEST + 1e-9, f"Law: a claim that can hardly fail says nothing: at most {WIDEST} apart, not {high - low:.2f}."
    nats = measured_bits() * math.log(2)
    assert not low < nats < high, f"Law: {nats:.2f} is the rate in nats; the claim is about bits."
    assert not low < nats * math.log(2) < high, "Law: a nat is more than a bit, so the same rate is a larger number in bits: multiply, do not divide."
    assert low < measured_bits() < high, f"Law: the claim is false: the rate is not between {low:.2f} and {high:.2f} bits."


def beaten() -> set[str]:
    """The models to which another one is equal or better in rate and distortion, and better in one of them."""
    return {name for name, mine in MODELS.items()
            if any(other != mine and other[0] <= mine[0] and other[1] <= mine[1] for other in MODELS.values())}


@cache
def measured_bits() -> float:
    """The rate of the shipped β-VAE with β = 1, in bits."""
    view = view_family(load_pretrained("latents_family"), Mixture())
    return float(view.rate[view.betas.index(1.0)]) / math.log(2)


def bits_target(bits_per_nat: float) -> Figure:
    """A bar as long as the answer over the truth, so 1 where it is right."""
    figure = new_figure(6, 1.4)
    axes = figure.add_subplot(xlim=(0, 1.5), xlabel="your answer / the truth", yticks=[])
    axes.barh(0, bits_per_nat * math.log(2), color=PALETTE["latent_z_hat"])
    axes.axvline(1, color="black", linestyle=":")
    return figure


def plane_target(crossed_out: str = "") -> Figure:
    """Six models in the plane of rate and distortion; the ones that are not crossed out are joined, cheapest first."""
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot(xlabel="distortion: what is lost", ylabel="rate: what passes, nats", xlim=(0, 4.3), ylim=(-0.15, 2.8))
    for name, (rate, distortion) in MODELS.items():
        axes.plot(distortion, rate, "x" if name in crossed_out else MARKER["latent_z_hat"], color=PALETTE["latent_z_hat"], markersize=9)
        axes.annotate(name, (distortion, rate), xytext=(9, 4), textcoords="offset points")
    if crossed_out:
        kept = [place for name, place in MODELS.items() if name not in crossed_out]
        axes.plot([distortion for _, distortion in kept], [rate for rate, _ in kept], color=PALETTE["coupling_train"], linestyle=":", zorder=1)
    axes.set_title("target: from A on, each step goes to the left and up" if crossed_out else "six models")
    return figure


def bounds_target(bounds: tuple[float, float]) -> Figure:
    """The bounds as a bar, and the measured rate as a mark."""
    figure = new_figure(6, 1.5)
    axes = figure.add_subplot(xlim=(0, 2.5), xlabel="rate at β = 1, bits", yticks=[], ylim=(-0.6, 0.6))
    axes.barh(0, bounds[1] - bounds[0], left=bounds[0], color=PALETTE["prior_z"], alpha=0.4, label="your claim")
    axes.plot(measured_bits(), 0, MARKER["latent_z_hat"], color=PALETTE["latent_z_hat"], markersize=9, label="measured")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
