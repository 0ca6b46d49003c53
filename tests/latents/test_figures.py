"""Every picture of Part I: it is a Figure, its axes have names, nothing is cut off, missing or warned about."""

import inspect
import warnings

import numpy as np
import pytest
import torch
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from course_lib.core.style import PALETTE
from course_lib.latents import exercises, figures, moving
from course_lib.latents.exercises import ba_target, kl_target, pairing_target
from course_lib.latents.family import train_family
from course_lib.latents.metrics import even_normal, view_family
from course_lib.latents.mixture import Mixture
from course_lib.latents.models import VAE, Autoencoder, Decoder
from course_lib.latents.rate_distortion import exact_threshold, local_threshold, rate_distortion_curve, shannon_lower_bound
from course_lib.latents.recipe import visualize

WORLD = Mixture()
X = WORLD.sample(200)
Z = even_normal(200)
BETAS = [0.1, 1.0, 5.0, 10.0]
CURVE = rate_distortion_curve(WORLD, np.array([0.05, 0.5, 2.0, 6.0, 8.0]), 101)
VIEW = view_family(train_family(X, BETAS, steps=100, progress=False)[0], WORLD)
STEPS = np.linspace(4, 0.5, 300)
EPOCHS, FILM = [0, 1, 2, 10], np.stack([Z.numpy().ravel() * s for s in (1, 0.5, 0.2, 0.1)])

DRAW = {
    "data_figure": lambda: figures.data_figure(X, WORLD),
    "decoder_figure": lambda: figures.decoder_figure(Z, X, Z, 0 * Z - 0.8, WORLD),
    "autoencoder_figure": lambda: figures.autoencoder_figure(X, X / 2, X, Z, 2 * Z, WORLD, (-9.0, 9.0)),
    "loss_figure": lambda: figures.loss_figure({"random": STEPS, "rank": STEPS / 2}, WORLD.variance),
    "outputs_figure": lambda: figures.outputs_figure(Z, {"random": 0 * Z, "rank": 2 * Z}, WORLD),
    "generation_figure": lambda: figures.generation_figure({"autoencoder": 2 * Z, "β-VAE": Z}, WORLD),
    "rate_distortion_figure": lambda: figures.rate_distortion_figure(
        CURVE, BETAS, VIEW.rate, VIEW.distortion, WORLD, shannon_lower_bound(WORLD, np.sort(CURVE.distortion))),
    "generation_by_beta_figure": lambda: figures.generation_by_beta_figure(BETAS, VIEW.w1, 1.7),
    "threshold_figure": lambda: figures.threshold_figure(WORLD, exact_threshold(WORLD), local_threshold(WORLD)),
    "bracket_figure": lambda: figures.bracket_figure(BETAS, [VIEW.rate, VIEW.rate + 0.1], (7.5, 8.5)),
    "family_figure": lambda: moving.family_figure(VIEW, WORLD, BETAS),
    "film_figure": lambda: moving.film_figure(EPOCHS, Z, FILM, WORLD, 4),
    "BetaPicture": lambda: moving.BetaPicture(VIEW, WORLD, CURVE).figure,
    "TrainingPicture": lambda: moving.TrainingPicture(EPOCHS, Z, FILM, WORLD).figure,
    "absolute_target": lambda: exercises.absolute_target(-1.0),
    "pairing_target": pairing_target,
    "kl_target": kl_target,
    "ba_target": ba_target,
    "visualize decoder": lambda: visualize(Decoder(), X, WORLD),
    "visualize autoencoder": lambda: visualize(Autoencoder(), X, WORLD),
    "visualize vae": lambda: visualize(VAE(), X, WORLD),
}


@pytest.fixture(scope="module", params=DRAW)
def figure(request):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that the font lacks, an axis without extent, a layout that collapsed
        drawn = DRAW[request.param]()
        drawn.canvas.draw()
    return drawn


def visible_texts(figure: Figure) -> list[Text]:
    """Every text that shows, but tick labels outside the axis' limits, which matplotlib keeps and does not draw."""
    undrawn = set()
    for axis in figure.findobj(Axis):
        drawn = axis._update_ticks()
        for tick in [*axis.majorTicks, *axis.minorTicks]:
            if tick not in drawn:
                undrawn |= {tick.label1, tick.label2}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and text not in undrawn]


def test_every_public_figure_is_drawn_here():
    public = {name for module in (figures, moving) for name, thing in vars(module).items()
              if name.endswith("_figure") and inspect.isfunction(thing) and thing.__module__ == module.__name__}
    targets = {name for name in vars(exercises) if name.endswith("_target")}
    assert public | targets <= DRAW.keys()


def test_it_is_a_figure_with_something_in_it(figure):
    assert isinstance(figure, Figure)
    assert figure.canvas.get_width_height() == tuple((figure.get_size_inches() * 100).astype(int))
    assert np.asarray(figure.canvas.buffer_rgba())[..., :3].std() > 5


def test_the_axes_have_names(figure):
    for axes in figure.axes:
        assert axes.get_ylabel()
        assert axes.get_xlabel() or not axes.get_xticks().size or axes.get_label() == "<colorbar>"


def test_no_text_is_cut_off(figure):
    frame = figure.bbox.padded(1)
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 and frame.y0 <= box.y0 and box.x1 <= frame.x1 and box.y1 <= frame.y1, text.get_text()


def test_titles_and_axis_names_do_not_overlap(figure):
    texts = []
    for axes in figure.axes:
        texts += [axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
        texts += [child.yaxis.label for child in axes.child_axes]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    for i, (name, box) in enumerate(boxes):
        for other, its in boxes[i + 1 :]:
            assert not box.padded(-1).overlaps(its.padded(-1)), f"{name!r} overlaps {other!r}"


def test_drawing_leaves_the_random_numbers_alone():
    before = torch.get_rng_state()
    for draw in (DRAW["data_figure"], DRAW["BetaPicture"], pairing_target):
        draw()
    assert torch.equal(before, torch.get_rng_state())


def test_the_palette_is_that_of_the_seed():
    assert PALETTE == {"prior_z": "#1f77b4", "data_x": "#ff7f0e", "latent_z_hat": "#2ca02c", "output_x_hat": "#d62728",
                       "coupling_train": "#7f7f7f", "coupling_infer": "#9467bd", "encode_line": "#8c564b", "decode_line": "#e377c2"}


def test_the_coupling_lines_join_z_to_x():
    """Left ends are at the heights of z (on its own scale), right ends at x; every k-th pair is drawn."""
    figure = figures.decoder_figure(Z, X, Z, 0 * Z - 0.8, WORLD)
    lines = figure.axes[0].collections[-1].get_segments()
    expected_z, expected_x = figures.some(Z, X)
    assert len(lines) == len(expected_x) == 40
    assert np.array([line[1, 1] for line in lines]) == pytest.approx(expected_x)
    assert np.array([line[0, 1] for line in lines]) == pytest.approx(expected_z * 5 / 4)  # ±4 of z fill ±5 of x
