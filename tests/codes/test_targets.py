"""The target figures of notebook 06 show what a right answer would draw."""

import numpy as np
import pytest
import torch

from course_lib.codes.exercises import CODES, ema_target, nearest_target, perplexity_target, straight_through_target
from course_lib.codes.plane import clusters
from course_lib.codes.quantizer import nearest


def lines(figure) -> dict[str, np.ndarray]:
    """The lines of a figure that a legend or label names: {label: (points, 2)}."""
    return {line.get_label(): np.asarray(line.get_xydata(), dtype=float) for line in figure.axes[0].lines
            if not line.get_label().startswith("_")}


def test_one_code_of_the_target_is_nobodys_nearest():
    chosen = nearest(clusters()[None], CODES[None])[0]
    assert len(chosen.unique()) == len(CODES) - 1
    assert "target" in nearest_target().axes[0].get_title(loc="left")


def test_the_way_still_to_go_shrinks_by_the_decay_each_step():
    for name, points in lines(ema_target(steps=12)).items():
        decay = float(name.split()[1])
        assert points[:, 1] == pytest.approx(decay ** np.arange(13))


def test_two_codes_have_a_perplexity_from_1_to_2():
    (points,) = lines(perplexity_target()).values()
    share, value = points.T
    inside = torch.tensor(share[1:-1])
    entropy = -(inside * inside.log() + (1 - inside) * (1 - inside).log())
    assert value[[0, -1]] == pytest.approx([1, 1]) and value.max() == pytest.approx(2)
    assert value[1:-1] == pytest.approx(entropy.exp().numpy(), abs=1e-3)


def test_forwards_a_staircase():
    figure = straight_through_target()
    steps = [np.unique(np.asarray(line.get_ydata(), dtype=float)) for axes in figure.axes for line in axes.lines]
    assert any(values == pytest.approx([-1.5, -0.5, 0.5, 1.5]) for values in steps if len(values) == 4)
