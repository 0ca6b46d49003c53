"""The sliders of notebook 06, moved as code moves them, and that picture and words are those of the training."""

import random

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from course_lib.codes.explorer_plane import STEPS, WIDE, VoronoiExplorer, story
from course_lib.codes.figures_plane import cells_picture
from course_lib.core.explorer import Explorer


@pytest.fixture
def explorer():
    return VoronoiExplorer()


def state(explorer: Explorer) -> tuple[bytes, str]:
    return bytes(explorer.picture.value), explorer.words.value


def limits(explorer: Explorer) -> list[tuple]:
    return [(axes.get_xlim(), axes.get_ylim(), tuple(axes.get_position().bounds)) for axes in explorer.figure.axes]


def test_every_slider_changes_picture_and_words_and_the_axes_stay(explorer):
    before, artists = limits(explorer), len(explorer.figure.findobj())
    explorer.codes.value, explorer.step.value = 16, 30
    for control in explorer.controls.values():
        first, seen = control.value, set()
        stops = control.options[:: 1 + len(control.options) // 6]  # some of each: two to six
        for _, value in stops:
            control.value = value
            seen.add(state(explorer))
        control.value = first
        assert len(seen) == len({picture for picture, _ in seen}) == len(stops)
    assert limits(explorer) == before and len(explorer.figure.findobj()) == artists


def test_random_moves_end_in_the_right_state(explorer):
    chance = random.Random(0)
    for _ in range(12):
        control = chance.choice(list(explorer.controls.values()))
        control.value = chance.choice(control.options)[1]
    fresh = VoronoiExplorer()
    for name, control in fresh.controls.items():
        control.value = explorer.controls[name].value
    assert state(explorer) == state(fresh)


def test_picture_and_words_are_those_of_the_training(explorer):
    explorer.codes.value, explorer.commitment.value, explorer.step.value, explorer.seed.value, explorer.restart.value = 12, 0.1, 40, 2, 0.0
    run, picture = story(12, 0.1, 2, 0.0), explorer._picture
    error, gap, perplexity = (float(getattr(run, name)[40]) for name in ("error", "gap", "perplexity"))
    used = int((run.counts[40] > 0).sum())
    words = explorer.words.value
    assert "<b>12 codes, commitment 0.1, step 40</b>" in words and f"task error {error:.2f}, gap {gap:.2f}; {used} of 12 codes are used" in words
    assert f"perplexity {perplexity:.1f} of 12, at most 3.58 bits, entropy {np.log2(perplexity):.2f} bits" in words
    alive = run.codes[40][run.counts[40] > 0].numpy()
    assert np.array_equal(np.stack(picture.cells.codes.get_data(), 1), alive)
    assert np.array_equal(np.stack(picture.cells.points.get_data(), 1), run.points[40].numpy())
    assert np.allclose(picture.cells.cells.get_array(), cells_picture(run.codes[40], WIDE, picture.cells.fine).numpy())
    assert [bar.get_height() for bar in picture.bars][:12] == pytest.approx((run.counts[40] / 320).tolist())
    assert [bar.get_height() for bar in picture.bars][12:] == [0] * 20
    assert np.array_equal(picture.error.get_ydata(), run.error.numpy()) and list(picture.now.get_xdata()) == [40, 40]


def test_the_words_count_what_is_outside_the_picture(explorer):
    explorer.commitment.value, explorer.step.value = 0.0, STEPS[-1]
    outside = int((story(8, 0.0, 0, 0.1).points[-1].abs().amax(1) > WIDE).sum())
    assert outside > 0 and f"{outside} points are outside the picture" in explorer.words.value
    explorer.commitment.value = 1.0
    assert "outside" not in explorer.words.value


def test_unused_codes_are_crosses_unless_they_are_drawn_anew(explorer):
    explorer.codes.value, explorer.step.value, explorer.restart.value = 32, STEPS[-1], 0.0
    dead = len(explorer._picture.cells.dead.get_xdata())
    explorer.restart.value = 0.1
    assert dead > len(explorer._picture.cells.dead.get_xdata())


def test_the_world_s_random_numbers_and_threads_are_left_alone_and_gradients_may_be_off(explorer):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    with torch.no_grad():
        explorer.seed.value = 7
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads


def test_the_still_picture(explorer):
    explorer.codes.value = 5
    figure = explorer.still((0.0, 8.0), (0, 80))
    assert isinstance(figure, Figure) and len(figure.axes) == 4
    run = story(5, 8.0, 0, 0.1)
    assert figure.axes[3].get_title(loc="left") == f"commitment 8, step 80\nerror {run.error[80]:.2f}, gap {run.gap[80]:.2f}"
