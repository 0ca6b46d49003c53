"""The sliders of Part I, moved as code moves them: every stop, hundreds of moves, and what the words say."""

import itertools

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from traitlets import TraitError

from course_lib.core.style import signed
from course_lib.latents.explorer import CURVE_BETAS, BetaExplorer, TrainingExplorer
from course_lib.latents.family import train_family
from course_lib.latents.metrics import even_normal, rate_and_distortion
from course_lib.latents.mixture import Mixture
from course_lib.latents.rate_distortion import rate_distortion_curve

STOPS = [0.1, 1.0, 3.0, 10.0]
EPOCHS = [0, 1, 5, 20]
Z = even_normal(200)
OUTPUTS = torch.stack([Z * scale - 0.8 for scale in (1.0, 0.5, 0.2, 0.01)])


@pytest.fixture(scope="module")
def made():
    family, _ = train_family(Mixture().sample(), STOPS, steps=150, progress=False)
    return family, rate_distortion_curve(Mixture(), np.array([0.05, 0.5, 2.0, 6.0]), 101)


@pytest.fixture
def beta_explorer(made):
    return BetaExplorer(made[0], curve=made[1])


@pytest.fixture
def training_explorer():
    return TrainingExplorer(EPOCHS, Z, OUTPUTS)


@pytest.fixture(params=["beta", "epoch"])
def either(request, made):
    """(explorer, its control, a function that builds a fresh one)"""
    builders = {"beta": lambda: BetaExplorer(made[0], curve=made[1]), "epoch": lambda: TrainingExplorer(EPOCHS, Z, OUTPUTS)}
    build = builders[request.param]
    explorer = build()
    return explorer, getattr(explorer, request.param), build


def state(explorer) -> tuple[bytes, str]:
    return bytes(explorer.picture.value), explorer.words.value


def limits(explorer) -> list[tuple]:
    return [(axes.get_xlim(), axes.get_ylim(), tuple(axes.get_position().bounds)) for axes in explorer.figure.axes]


def test_every_stop_has_a_picture_and_words_of_its_own(either):
    explorer, control, _ = either
    before, artists, seen = limits(explorer), len(explorer.figure.findobj()), set()
    for _, value in control.options:
        control.value = value
        seen.add(state(explorer))
        assert limits(explorer) == before
    assert len(seen) == len({picture for picture, _ in seen}) == len(control.options)
    assert len(explorer.figure.findobj()) == artists


def test_moving_there_and_back_is_where_one_was(either):
    explorer, control, _ = either
    first = state(explorer)
    control.index = 2
    assert state(explorer) != first
    control.index = 0
    assert state(explorer) == first


def test_every_move_ends_in_the_right_state(either):
    explorer, control, build = either
    want = []
    for stop in range(len(control.options)):
        fresh = build()
        getattr(fresh, next(iter(fresh.controls))).index = stop
        want.append(state(fresh))
    for before, after in itertools.permutations(range(len(want)), 2):
        control.index = before
        control.index = after
        assert state(explorer) == want[after]


def test_beta_words_carry_the_measured_numbers(beta_explorer, made):
    rate, distortion = rate_and_distortion(made[0], Mixture())
    for i, beta in enumerate(STOPS):
        beta_explorer.beta.value = beta
        words = beta_explorer.words.value
        assert f"β = {beta:g}" in words
        assert f"rate {float(rate[i]):.3f} nats, distortion {float(distortion[i]):.3f}" in words
        assert f"{beta_explorer.view.w1[i]:.2f} away from the data" in words
        assert ("posterior collapse" in words) == (float(rate[i]) < 0.01)
    assert "posterior collapse" in words and float(rate[0]) > 0.01  # both cases were seen


def test_the_point_stands_where_the_model_was_measured(beta_explorer):
    beta_explorer.beta.value = 3.0
    assert beta_explorer.beta.index == 2
    x, y = beta_explorer._picture.point.get_data()
    assert (x[0], y[0]) == (beta_explorer.view.distortion[2], beta_explorer.view.rate[2])


def test_a_start_of_one_s_own(made):
    assert BetaExplorer(made[0], curve=made[1], beta=3.0).beta.value == 3.0


def test_without_a_curve_it_computes_the_true_one(made, monkeypatch):
    asked = []
    monkeypatch.setattr("course_lib.latents.explorer.rate_distortion_curve",
                        lambda mixture, betas, points: asked.append(tuple(betas)) or made[1])
    BetaExplorer(made[0])
    assert asked == [CURVE_BETAS]


def test_a_beta_that_was_not_trained_is_no_stop(beta_explorer):
    before = state(beta_explorer)
    with pytest.raises(TraitError):
        beta_explorer.beta.value = 2.5
    assert state(beta_explorer) == before


def test_epoch_words_carry_mean_and_spread(training_explorer):
    for epoch, output in zip(EPOCHS, OUTPUTS):
        training_explorer.epoch.value = epoch
        words = training_explorer.words.value
        assert f"epoch {epoch}<" in words
        assert f"mean {signed(float(output.mean()))} and" in words
        assert f"standard deviation {float(output.std(correction=0)):.2f}" in words


def test_the_play_button_is_tied_to_the_epochs(training_explorer):
    epoch, play = training_explorer.box.children[0].children
    assert epoch is training_explorer.epoch and (play.min, play.max) == (0, len(EPOCHS) - 1)
    assert training_explorer._link.source == (play, "value") and training_explorer._link.target == (epoch, "index")


def test_the_still_pictures(beta_explorer, training_explorer):
    for figure, titles in ((beta_explorer.still(STOPS[:3]), ["β = 0.1", "β = 1", "β = 3"]),
                           (training_explorer.still(3), ["epoch 0", "epoch 5", "epoch 20"])):
        assert isinstance(figure, Figure) and len(figure.axes) == 3
        shown = [axes.get_title() or axes.get_title("left") for axes in figure.axes]
        assert all(title in text for title, text in zip(titles, shown))
