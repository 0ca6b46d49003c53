"""The pictures of Part I: tensors in, `matplotlib.figure.Figure` out. Nothing here trains or measures."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm
from torch import Tensor

from course_lib.core.style import DASH, MARKER, PALETTE, dressed, new_figure, signed
from course_lib.latents.coupling import X, Z, Coupling, Histogram
from course_lib.latents.mixture import Mixture
from course_lib.latents.rate_distortion import Curve

SERIES = [("output_x_hat", "-"), ("coupling_infer", "--"), ("latent_z_hat", ":"), ("encode_line", "-."), ("prior_z", (0, (1, 1)))]
LINES = 40  # lines in a coupling picture: enough to see the mapping, few enough to follow one


def some(*values, lines: int = LINES) -> list[np.ndarray]:
    """Every k-th row of each array, (n,) or (n, 1), as flat arrays: the same rows of all, at least `lines` and fewer than twice as many, or all n."""
    return [np.asarray(v).reshape(len(v), -1)[:: max(1, len(v) // lines)].ravel() for v in values]


def prior_side(coupling: Coupling) -> None:
    """Fill the N(0, 1) density on the latent side."""
    z = np.linspace(*coupling.limits["latent"], 200)
    coupling.density("latent", "prior_z", z, norm.pdf(z))


def data_side(coupling: Coupling, mixture: Mixture) -> None:
    """Fill the true density on the data side."""
    x = np.linspace(*coupling.limits["data"], 200)
    coupling.density("data", "data_x", x, mixture.density(x))


def data_figure(x, mixture: Mixture) -> Figure:
    """Samples x, (n,) or (n, 1), against the density they come from, with its mean marked."""
    figure = new_figure(9, 3.2)
    axes = figure.add_subplot()
    grid = np.linspace(*X, 400)
    axes.hist(np.asarray(x).ravel(), bins=60, range=X, density=True, color=PALETTE["data_x"], alpha=0.35,
              label=f"{len(x)} samples")
    axes.plot(grid, mixture.density(grid), color=PALETTE["data_x"], linewidth=2, label="true density p(x)")
    axes.axvline(mixture.mean, color="black", linestyle=":", label=f"mean E[x] = {signed(mixture.mean)}")
    axes.set(xlabel="x", ylabel="density", xlim=X)
    axes.legend(loc="upper right")
    return figure


def decoder_figure(paired_z, x, z, x_hat, mixture: Mixture, pairing: str = "at random") -> Figure:
    """Left: the pairs (z, x) of one training step. Right: what the trained decoder makes of z. All of shape (n, 1)."""
    figure = new_figure(11, 4.2)
    grid = figure.add_gridspec(1, 2, wspace=0.08)
    train = Coupling(figure, grid[0], f"training: z paired {pairing} with x")
    infer = Coupling(figure, grid[1], "inference: z → x̂ = g(z)")
    for coupling in (train, infer):
        prior_side(coupling)
        data_side(coupling, mixture)
    train.lines("coupling_train", *some(paired_z, x))
    infer.lines("coupling_infer", *some(z, x_hat), ends=("prior_z", "output_x_hat"))
    infer.data("output_x_hat", x_hat)
    return figure


def autoencoder_figure(x, z_hat, x_hat, z, generated, mixture: Mixture, latent: tuple[float, float] = Z) -> Figure:
    """Encode x → ẑ, decode ẑ → x̂, and generate z ~ N(0, 1) → x̂; all of shape (n, 1). `latent`: limits of the latent axis."""
    figure = new_figure(13, 4.2)
    grid = figure.add_gridspec(1, 3, wspace=0.08)
    encode, decode, generate = (
        Coupling(figure, grid[i], title, latent=latent, latent_name=name, data_name=data)
        for i, (title, name, data) in enumerate([("encode: x → ẑ", "latent ẑ", "data x"), ("decode: ẑ → x̂", "latent ẑ", "output x̂"),
                                                 ("generate: z ~ N(0, 1) → x̂", "prior z", "output x̂")])
    )
    for coupling in (encode, decode, generate):
        prior_side(coupling)
        data_side(coupling, mixture)
    encode.latent("latent_z_hat", z_hat)
    encode.lines("encode_line", *some(z_hat, x), ends=("latent_z_hat", "data_x"))
    decode.latent("latent_z_hat", z_hat)
    decode.data("output_x_hat", x_hat)
    decode.lines("decode_line", *some(z_hat, x_hat), ends=("latent_z_hat", "output_x_hat"))
    generate.data("output_x_hat", generated)
    generate.lines("coupling_infer", *some(z, generated), ends=("prior_z", "output_x_hat"))
    return figure


def loss_figure(losses: dict[str, np.ndarray | Tensor], floor: float | None = None, floor_name: str = "Var(x)",
                smooth: int = 8, ylabel: str = "mean squared error") -> Figure:
    """Training losses by step (running mean over `smooth` steps), and the level they cannot pass, `floor`.

    losses: {name: (steps,)}, drawn from 0 to 6 over a logarithmic axis of steps. Raises `BadInput` for more than five.
    """
    figure = new_figure(9, 3.2)
    axes = figure.add_subplot()
    for (name, loss), (key, dash) in dressed(losses, SERIES):
        loss = np.convolve(loss, np.ones(smooth) / smooth, mode="valid")
        axes.plot(np.arange(len(loss)) + smooth, loss, color=PALETTE[key], linestyle=dash, linewidth=1.2, label=name)
    if floor is not None:
        axes.axhline(floor, color="black", linestyle=":", label=f"{floor_name} = {floor:.2f}")
    axes.set(xscale="log", xlabel="training step (logarithmic)", ylabel=ylabel, ylim=(0, 6))
    axes.legend(ncols=2)
    return figure


def outputs_figure(z, outputs: dict[str, np.ndarray | Tensor], mixture: Mixture) -> Figure:
    """x̂ as a function of z for several decoders, beside the rank map that would generate the data.

    z: in rising order; outputs: x̂ by name, as many as z. Raises `BadInput` for more than five.
    """
    figure = new_figure(9, 3.6)
    axes = figure.add_subplot()
    z = np.asarray(z).ravel()
    axes.plot(z, mixture.quantile(norm.cdf(z)), color=PALETTE["data_x"], linewidth=3, alpha=0.5, label="rank map: generates the data")
    for (name, x_hat), (key, dash) in dressed(outputs, SERIES):
        axes.plot(z, np.asarray(x_hat).ravel(), color=PALETTE[key], linestyle=dash, linewidth=1.8, label=name)
    axes.axhline(mixture.mean, color="black", linestyle=":", linewidth=1, label=f"E[x] = {signed(mixture.mean)}")
    axes.set(xlabel="latent z", ylabel="output x̂", xlim=(-3, 3), ylim=X)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def generation_figure(generated: dict[str, np.ndarray | Tensor], mixture: Mixture) -> Figure:
    """Histograms of generated x̂ by name against the true density. Raises `BadInput` for more than three."""
    figure = new_figure(9, 3.2)
    axes = figure.add_subplot()
    x = np.linspace(*X, 400)
    axes.fill_between(x, mixture.density(x), color=PALETTE["data_x"], alpha=0.35, linewidth=0, label="data p(x)")
    for (name, x_hat), key in dressed(generated, ("output_x_hat", "coupling_infer", "latent_z_hat")):
        Histogram(axes, key, X, label=name).set(x_hat)
    axes.set(xlabel="x̂", ylabel="density", xlim=X, ylim=(0, 0.7))
    axes.legend()
    return figure


def draw_bound(axes: Axes, curve: Curve) -> np.ndarray:
    """R(D) with the region below it hatched; returns the distortions in rising order."""
    order = np.argsort(curve.distortion)
    d, r = curve.distortion[order], curve.rate[order]
    axes.fill_between(d, 0, r, facecolor="#f2f2f2", edgecolor="#c8c8c8", hatch="//", linewidth=0)
    axes.plot(d, r, color="black", linewidth=1.8, label="R(D): no code can lie below")
    return d


def draw_rate_distortion(axes: Axes, curve: Curve, distortion, rate, mixture: Mixture, shannon=None,
                         name: str = "β-VAE, sampled z") -> None:
    """True R(D) with the region below it hatched, and one marker per β-VAE.

    distortion, rate: (betas,), squared units of x and nats; shannon: a lower bound at the curve's distortions in rising order.
    """
    d = draw_bound(axes, curve)
    if shannon is not None:
        axes.plot(d, shannon, color=PALETTE["coupling_train"], linestyle=":", label="Shannon lower bound")
    axes.plot(np.ravel(distortion), np.ravel(rate), MARKER["latent_z_hat"], color=PALETTE["latent_z_hat"], alpha=0.7,
              markersize=5, linestyle=DASH["latent_z_hat"], linewidth=1, label=name)
    axes.set(xlabel="distortion: mean (x − x̂)²", ylabel="rate: KL, nats", xlim=(-0.1, 4.3), ylim=(-0.05, 3.2))
    axes.legend(loc="upper center")


def rate_distortion_figure(curve: Curve, betas, rate, distortion, mixture: Mixture, shannon=None,
                           name: str = "β-VAE, sampled z") -> Figure:
    """The rate–distortion plane: the exact curve and every β of a family, some named. rate, distortion, shannon: see `draw_rate_distortion`."""
    figure = new_figure(9, 4.4)
    axes = figure.add_subplot()
    draw_rate_distortion(axes, curve, distortion, rate, mixture, shannon, name)
    axes.axvline(mixture.variance, color="black", linestyle=":", linewidth=1)
    axes.annotate("Var(x)", (mixture.variance, 2.0), xytext=(4, 0), textcoords="offset points", rotation=90)
    for beta in (0.01, 0.1, 0.5, 1, 2, 5, 6, 10):
        if beta in list(betas):
            i, aside = list(betas).index(beta), (-14, 20) if beta == 10 else (7, 6)
            axes.annotate(f"β = {beta:g}", (distortion[i], rate[i]), xytext=aside, textcoords="offset points",
                          bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})
    return figure


def generation_by_beta_figure(betas, w1, collapsed: float) -> Figure:
    """W₁ between decode(N(0, 1)) and the data for every β, in units of x, and its value when every output is the mean. betas, w1: (betas,)."""
    figure = new_figure(9, 3.2)
    axes = figure.add_subplot()
    axes.plot(betas, w1, MARKER["output_x_hat"], color=PALETTE["output_x_hat"], linestyle=DASH["output_x_hat"], label="decode(N(0, 1))")
    axes.axhline(collapsed, color="black", linestyle=":", label=f"always the mean: E|x − E[x]| = {collapsed:.2f}")
    axes.set(xscale="log", xlabel="β", ylabel="W₁ to the data", ylim=(0, 2))
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.82))
    return figure


def threshold_figure(mixture: Mixture, exact: float, local: float) -> Figure:
    """4 K(t)/t² against t: its value at 0 is the local threshold of collapse, its largest value the exact one."""
    figure = new_figure(9, 3.4)
    axes = figure.add_subplot()
    t = np.linspace(-2, 2, 801)
    t = t[np.abs(t) > 1e-6]
    ratio = 4 * mixture.cumulant(t) / np.square(t)
    axes.plot(t, ratio, color=PALETTE["encode_line"], label="4 K(t) / t²")
    axes.axhline(local, color=PALETTE["coupling_train"], linestyle="--", label=f"local: 2·Var(x) = {local:.2f}")
    axes.axhline(exact, color="black", linestyle=":", label=f"exact: largest value = {exact:.2f}")
    axes.plot(t[ratio.argmax()], ratio.max(), "o", color=PALETTE["encode_line"])
    axes.set(xlabel="t", ylabel="β")
    axes.legend(loc="lower right")
    return figure


def bracket_figure(betas, rates, bracket: tuple[float, float]) -> Figure:
    """The rate of a family by β, one line for each start, and a guess (low, high) of where it reaches zero. rates: (seeds, betas)."""
    figure = new_figure(9, 3.2)
    axes = figure.add_subplot()
    axes.axvspan(*bracket, color=PALETTE["prior_z"], alpha=0.2, label=f"your bracket: {bracket[0]:g} to {bracket[1]:g}")
    for seed, rate in enumerate(rates):
        axes.plot(betas, rate, MARKER["latent_z_hat"], color=PALETTE["latent_z_hat"], linestyle=DASH["latent_z_hat"], alpha=0.7,
                  label="trained β-VAEs, one line per start" if seed == 0 else None)
    axes.set(xlabel="β", ylabel="rate: KL, nats", xlim=(0, max(betas) + 0.1), ylim=(-0.02, None))
    axes.legend()
    return figure
