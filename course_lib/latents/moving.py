"""The pictures of Part I that move: each is one Figure whose artists follow a slider, a frame number or a β."""

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from course_lib.core.style import DASH, PALETTE, new_figure, signed
from course_lib.latents.coupling import X, Z, Coupling, Histogram
from course_lib.latents.figures import data_side, draw_rate_distortion, prior_side, some
from course_lib.latents.metrics import FamilyView
from course_lib.latents.mixture import Mixture
from course_lib.latents.rate_distortion import Curve


class BetaPicture:
    """Four views of one β-VAE; `set(i)` turns it to member i of the view.

    Coupling x → ẑ → x̂; the aggregate of ẑ against N(0, 1); decode(N(0, 1)) against the true density; its point in the
    rate–distortion plane.
    """

    def __init__(self, view: FamilyView, mixture: Mixture, curve: Curve):
        self.view = view
        self.figure = new_figure(10, 6.2)
        grid = self.figure.add_gridspec(2, 2, width_ratios=[1.15, 1])
        self.coupling = Coupling(self.figure, grid[0, 0], "encode x → ẑ (dashed), decode ẑ → x̂", latent_name="latent ẑ", data_name="data x, output x̂")
        prior_side(self.coupling)
        data_side(self.coupling, mixture)
        latent, plane, generated = (self.figure.add_subplot(spec) for spec in (grid[0, 1], grid[1, 1], grid[1, 0]))

        z, x = np.linspace(*Z, 200), np.linspace(*X, 200)
        latent.fill_between(z, norm.pdf(z), color=PALETTE["prior_z"], alpha=0.35, linewidth=0, label="prior N(0, 1)")
        self.latent = Histogram(latent, "latent_z_hat", Z, label="encoded ẑ")
        latent.set(title="What the encoder makes of the data", xlabel="ẑ", ylabel="density", xlim=Z, ylim=(0, 0.8))
        generated.fill_between(x, mixture.density(x), color=PALETTE["data_x"], alpha=0.35, linewidth=0, label="data p(x)")
        self.generated = Histogram(generated, "output_x_hat", X, label="decode(N(0, 1))")
        generated.set(title="What the prior generates", xlabel="x̂", ylabel="density", xlim=X, ylim=(0, 0.8))
        for axes in (latent, generated):
            axes.legend(loc="upper right", ncols=2, columnspacing=1)
        draw_rate_distortion(plane, curve, view.distortion, view.rate, mixture)
        plane.set_title("What it pays and what it loses")
        (self.point,) = plane.plot([], [], "o", color=PALETTE["output_x_hat"], markersize=10, markeredgecolor="white", zorder=5)
        self.set(0)
        self.moving = [*self.coupling.moving, *self.latent.artists, *self.generated.artists, self.point]

    def set(self, i: int) -> None:
        """Show member i of the view, from 0."""
        view = self.view
        self.coupling.lines("encode_line", *some(view.z_hat[i], view.x), ends=("latent_z_hat", "data_x"))
        self.coupling.lines("decode_line", *some(view.z_hat[i], view.x_hat[i]), ends=("latent_z_hat", "output_x_hat"))
        self.latent.set(view.z_hat[i])
        self.generated.set(view.generated[i])
        self.point.set_data([view.distortion[i]], [view.rate[i]])

    def words(self, i: int) -> str:
        """One line that says what the picture shows."""
        view = self.view
        state = ("the latent says nothing about x: every output is near the mean (posterior collapse)" if view.rate[i] < 0.01 else
                 "the latent keeps almost everything" if view.distortion[i] < 0.1 else
                 "the latent keeps some of x and blurs the rest")
        return (f"<b>β = {view.betas[i]:g}</b>: rate {view.rate[i]:.3f} nats, distortion {view.distortion[i]:.3f}; "
                f"decode(N(0, 1)) is {view.w1[i]:.2f} away from the data (W₁); {state}.")


def family_figure(view: FamilyView, mixture: Mixture, betas: list[float]) -> Figure:
    """Small multiples of the β explorer: one coupling picture per β, each a β of the view."""
    figure = new_figure(13, 3.6)
    grid = figure.add_gridspec(1, len(betas), wspace=0.1)
    for spec, beta in zip(grid, betas):
        i = view.betas.index(beta)
        coupling = Coupling(figure, spec, f"β = {beta:g}\nKL {view.rate[i]:.2f} nats, MSE {view.distortion[i]:.2f}",
                            latent_name="ẑ", data_name="x, x̂")
        prior_side(coupling)
        data_side(coupling, mixture)
        coupling.latent("latent_z_hat", view.z_hat[i])
        coupling.data("output_x_hat", view.x_hat[i])
        coupling.lines("encode_line", *some(view.z_hat[i], view.x, lines=20), ends=("latent_z_hat", "data_x"))
        coupling.lines("decode_line", *some(view.z_hat[i], view.x_hat[i], lines=20), ends=("latent_z_hat", "output_x_hat"))
    return figure


class TrainingPicture:
    """A decoder while it trains: z → x̂ at one epoch, and the spread of its output over all epochs; `set(i)` shows another frame.

    epochs: (frames,); z: (n, 1); outputs: (frames, n), what the decoder makes of z at each of these epochs.
    """

    def __init__(self, epochs: list[int], z, outputs, mixture: Mixture):
        self.epochs, self.z, self.outputs = list(epochs), np.asarray(z), np.asarray(outputs)
        self.spread = self.outputs.std(axis=1)
        self.figure = new_figure(10, 4)
        grid = self.figure.add_gridspec(1, 2, width_ratios=[1.15, 1])
        self.coupling = Coupling(self.figure, grid[0], "z → x̂ = g(z)", data_name="data x, output x̂")
        prior_side(self.coupling)
        data_side(self.coupling, mixture)
        axes = self.figure.add_subplot(grid[1])
        axes.plot(self.epochs, self.spread, color=PALETTE["output_x_hat"], linestyle=DASH["output_x_hat"], label="output x̂")
        axes.axhline(mixture.std, color=PALETTE["data_x"], label=f"data x: {mixture.std:.2f}")
        axes.set_xscale("symlog", linthresh=1)
        axes.set(title="Spread: standard deviation", xlabel="epoch", ylabel="units of x", ylim=(0, 2.2))
        axes.legend(loc="center right")
        (self.point,) = axes.plot([], [], "o", color=PALETTE["output_x_hat"], markersize=10, markeredgecolor="white", zorder=5)
        self.set(0)
        self.moving = [*self.coupling.moving, self.point]

    def set(self, i: int) -> None:
        """Show frame i, from 0."""
        self.coupling.lines("coupling_infer", *some(self.z, self.outputs[i]), ends=("prior_z", "output_x_hat"))
        self.coupling.data("output_x_hat", self.outputs[i])
        self.point.set_data([self.epochs[i]], [self.spread[i]])

    def words(self, i: int) -> str:
        """One line that says what the picture shows."""
        return (f"<b>epoch {self.epochs[i]}</b>: the outputs have mean {signed(float(self.outputs[i].mean()))} and standard deviation "
                f"{self.spread[i]:.2f}.")


def film_figure(epochs: list[int], z, outputs, mixture: Mixture, frames: int = 5) -> Figure:
    """Small multiples of the training explorer: `frames` epochs from first to last, evenly spread over the film.

    epochs, z and outputs: as in `TrainingPicture`.
    """
    chosen = np.linspace(0, len(epochs) - 1, frames).round().astype(int)
    figure = new_figure(13, 3.4)
    grid = figure.add_gridspec(1, frames, wspace=0.1)
    for spec, i in zip(grid, chosen):
        coupling = Coupling(figure, spec, f"epoch {epochs[i]}\nspread {outputs[i].std():.2f}", latent_name="z", data_name="x, x̂")
        prior_side(coupling)
        data_side(coupling, mixture)
        coupling.data("output_x_hat", outputs[i])
        coupling.lines("coupling_infer", *some(z, outputs[i], lines=20), ends=("prior_z", "output_x_hat"))
    return figure
