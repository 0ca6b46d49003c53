"""The pictures of codes show what they are given."""

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.codes.figures import pictures_figure
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput


def test_every_picture_is_shown_with_its_note(tmp_path):
    images = RuleWorld(32).batch(range(5))["image"]
    figure = pictures_figure(images, notes=list("abcde"), columns=3, save_path=tmp_path / "p.png")
    shown = [axes for axes in figure.axes if axes.images]
    assert len(figure.axes) == 6 and [axes.get_title() for axes in shown] == list("abcde")
    for axes, image in zip(shown, images):
        assert np.allclose(axes.images[0].get_array(), image.permute(1, 2, 0))
    assert (np.asarray(Image.open(tmp_path / "p.png").convert("L")) < 50).mean() > 0.3  # black scenes, not an empty page


def test_no_picture():
    with pytest.raises(BadInput, match="no picture to show"):
        pictures_figure(torch.zeros(0, 3, 8, 8))
