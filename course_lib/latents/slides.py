"""The pictures of the lecture on Part I, drawn from the shipped weights: the same models give the same slides."""

from collections.abc import Callable
from functools import cache

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from course_lib.core.frames import Frames
from course_lib.core.projector import SCREEN, photograph, projected
from course_lib.core.style import PALETTE, new_figure
from course_lib.core.weights import load_pretrained
from course_lib.latents.coupling import Coupling
from course_lib.latents.exercises import ba_target, pairing_target
from course_lib.latents.explorer import CURVE_BETAS
from course_lib.latents.figures import (data_figure, data_side, draw_bound, generation_by_beta_figure,
                                        generation_figure, outputs_figure, prior_side, rate_distortion_figure, some, threshold_figure)
from course_lib.latents.metrics import FamilyView, even_normal, rate_and_distortion, view_family
from course_lib.latents.mixture import Mixture
from course_lib.latents.moving import BetaPicture, TrainingPicture, family_figure
from course_lib.latents.rate_distortion import (Curve, exact_threshold, local_threshold, rate_distortion_curve,
                                                shannon_lower_bound)
from course_lib.latents.recipe import Film, Pairing, random_pairing, rank_pairing, train_decoder, visualize

MIXTURE = Mixture()


@cache
def view() -> FamilyView:
    return view_family(load_pretrained("latents_family"), MIXTURE)


@cache
def curve() -> Curve:
    return rate_distortion_curve(MIXTURE, np.array(CURVE_BETAS))


def model_figure(name: str, pairing: Pairing = random_pairing) -> Figure:
    """The coupling pictures of one shipped model."""
    return visualize(load_pretrained(name), MIXTURE.sample(), MIXTURE, pairing)


def random_pairs() -> Figure:
    """The pairs of one pass over the data, before anything is trained."""
    noise = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    figure = new_figure(6, 4)
    coupling = Coupling(figure, figure.add_gridspec(1, 1)[0], "training: z paired at random with x")
    prior_side(coupling)
    data_side(coupling, MIXTURE)
    coupling.lines("coupling_train", *some(noise, MIXTURE.sample()))
    return figure


def rate_distortion() -> Figure:
    """The exact curve, Shannon's lower bound and the shipped family."""
    shannon = shannon_lower_bound(MIXTURE, np.sort(curve().distortion))
    return rate_distortion_figure(curve(), view().betas, view().rate, view().distortion, MIXTURE, shannon)


def mean_beats_bound() -> Figure:
    """The same family with z at its posterior mean: points where no code can be."""
    with torch.no_grad():
        rate, distortion = rate_and_distortion(load_pretrained("latents_family"), MIXTURE, sampled=False)
    name = "β-VAE, z at its mean"
    return rate_distortion_figure(curve(), view().betas, rate.numpy(), distortion.numpy(), MIXTURE, name=name)


def bound(beta: float = 2.0) -> Figure:
    """R(D) alone, with the line of slope −1/β that touches it: β is what one nat is worth there."""
    figure = new_figure(6, 4)
    axes = figure.add_subplot()
    draw_bound(axes, curve())
    touch = rate_distortion_curve(MIXTURE, np.array([beta]))
    line = np.array([-0.1, 4.3])
    axes.plot(line, touch.rate - (line - touch.distortion) / beta, color=PALETTE["prior_z"], linestyle="--",
              label=f"D + {beta:g}·R at its least")
    axes.plot(touch.distortion, touch.rate, "o", color=PALETTE["prior_z"], markersize=9)
    axes.set(xlabel="distortion D: mean (x − x̂)²", ylabel="rate R, nats", xlim=(-0.1, 4.3), ylim=(-0.05, 3.2))
    axes.legend(loc="upper right")
    return figure


def untitled(figure: Figure) -> Figure:
    """The target picture of an exercise without its title, which the slide has already."""
    for side in ("left", "center"):
        figure.axes[0].set_title("", loc=side)
    return figure


def generation_by_beta() -> Figure:
    """How far from the data each member of the shipped family generates."""
    nodes, weights = MIXTURE.quadrature(200)
    return generation_by_beta_figure(view().betas, view().w1, float(weights @ np.abs(nodes - MIXTURE.mean)))


@torch.no_grad()
def decoders() -> Figure:
    """The two shipped decoders as functions of z."""
    z = even_normal(800)
    models = {"paired at random": "nid_decoder_model", "paired by rank": "rank_decoder_model"}
    return outputs_figure(z, {name: load_pretrained(weights).decode(z) for name, weights in models.items()}, MIXTURE)


@torch.no_grad()
def autoencoder_generates() -> Figure:
    """What the shipped autoencoder makes of N(0, 1)."""
    return generation_figure({"decode(N(0, 1))": load_pretrained("autoencoder_model").decode(even_normal(2000))}, MIXTURE)


def frames(
    draw: Callable[[], BetaPicture | TrainingPicture], labels: list[str], control: str, size: tuple[float, float],
    start: int = 0,
) -> Frames:
    """A frame for every stop of a moving picture, for a projector; size in inches."""
    images, captions = [], []
    with matplotlib.rc_context(SCREEN):
        picture = draw()
        picture.figure.set_size_inches(*size)
        for i in range(len(labels)):
            picture.set(i)
            images.append(photograph(picture.figure))
            captions.append(picture.words(i).replace("<b>", "").replace("</b>", ""))
    return Frames(images, labels, captions, control, start)


def beta_frames() -> Frames:
    """The shipped family, β by β."""
    labels = [f"{beta:g}" for beta in view().betas]
    return frames(lambda: BetaPicture(view(), MIXTURE, curve()), labels, "β", (12, 5), labels.index("1"))


def relapse_frames() -> Frames:
    """The cured decoder, trained on with random pairs: it closes to a point."""
    film = Film(even_normal(400), epochs=120)
    train_decoder(MIXTURE.sample(), start=load_pretrained("rank_decoder_model"), epochs=120, watch=film, progress=False)
    outputs = film.outputs.squeeze(-1)
    labels = [str(epoch) for epoch in film.taken]
    return frames(lambda: TrainingPicture(film.taken, film.z, outputs, MIXTURE), labels, "epoch", (11, 4.4))


SLIDE_FIGURES = {
    "data": projected(lambda: data_figure(MIXTURE.sample(), MIXTURE), 10, 3.8),
    "random_pairs": projected(random_pairs, 6, 4.2),
    "collapse": projected(lambda: model_figure("nid_decoder_model"), 11, 4.2),
    "rank": projected(lambda: model_figure("rank_decoder_model", rank_pairing), 11, 4.2),
    "pairing": projected(lambda: untitled(pairing_target()), 6, 4),
    "decoders": projected(decoders, 10, 4),
    "autoencoder": projected(lambda: model_figure("autoencoder_model"), 12, 4.2),
    "autoencoder_generates": projected(autoencoder_generates, 10, 3.8),
    "beta_row": projected(lambda: family_figure(view(), MIXTURE, [0.1, 1.0, 5.0, 10.0]), 12.5, 3.5),
    "generation_by_beta": projected(generation_by_beta, 10, 3.8),
    "bound": projected(bound, 6, 4.4),
    "rate_distortion": projected(rate_distortion, 10, 4.6),
    "mean_beats_bound": projected(mean_beats_bound, 10, 4.2),
    "blahut_arimoto": projected(lambda: untitled(ba_target()), 6, 4),
    "threshold": projected(lambda: threshold_figure(MIXTURE, exact_threshold(MIXTURE), local_threshold(MIXTURE)), 6, 4.2),
}
SLIDE_DEMOS = {"beta": beta_frames, "relapse": relapse_frames}
