"""The pictures of notebook 10 show the numbers that they are given."""

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.core.errors import BadInput
from course_lib.tokens.captions import FACTORS
from course_lib.tokens.figures_clip import norm_figure, similarity, similarity_figure, zero_shot_figure

IMAGE = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(1))
METRICS = {f"{name}{ending}": value for name, value in zip((*FACTORS, "joint"), (0.9, 0.8, 0.7, 0.6, 0.5))
           for ending in ("", "_held_out", "_chance")}


def test_similarity_is_the_cosine_with_every_token():
    found = similarity(TOKENS, (1, 2))
    a = TOKENS.numpy()
    by_hand = [[np.dot(a[r, c], a[1, 2]) / np.linalg.norm(a[r, c]) / np.linalg.norm(a[1, 2]) for c in range(6)] for r in range(4)]
    np.testing.assert_allclose(found.numpy(), by_hand, atol=1e-6)
    torch.testing.assert_close(similarity(5 * TOKENS, (1, 2)), found)


def test_each_panel_shows_its_layer_and_marks_the_chosen_token(tmp_path):
    figure = similarity_figure(IMAGE, {"layer 1": TOKENS, "layer 2": -TOKENS.flip(0)}, [(0, 5), (3, 1)], save_path=tmp_path / "a.png")
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6 and Image.open(tmp_path / "a.png").size[0] > 400
    heat = panels[1].images[1]
    np.testing.assert_allclose(heat.get_array(), similarity(TOKENS, (0, 5)).numpy())
    assert (heat.norm.vmin, heat.norm.vmax) == (-1, 1)  # the same colours in all panels
    frame = panels[0].patches[0]
    assert (frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()) == (49.5, -0.5, 10, 10)


def test_long_tokens_are_framed_and_counted():
    tokens = torch.nn.functional.normalize(TOKENS, dim=-1)
    tokens[2, 3] *= 10
    figure = norm_figure(IMAGE, {"layer 3": tokens, "layer 4": torch.ones(4, 6, 8)})
    first, second = [axes for axes in figure.axes if axes.images][:2]
    assert first.get_title(loc="left") == "layer 3: 1 of 24 stand out" and second.get_title(loc="left") == "layer 4: 0 of 24 stand out"
    assert len(first.patches) == 2 and first.patches[0].get_y() == 19.5
    np.testing.assert_allclose(first.images[1].get_array(), tokens.norm(dim=-1).numpy())


def test_bars_are_as_high_as_the_metrics():
    axes = zero_shot_figure(METRICS, (*FACTORS, "joint")).axes[0]
    assert [round(bar.get_height(), 2) for bar in axes.patches] == 2 * [0.9, 0.8, 0.7, 0.6, 0.5]
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"combinations of the training", "held-out combinations", "chance"}
    assert [round(float(line[0, 1]), 2) for line in axes.collections[0].get_segments()] == [0.9, 0.8, 0.7, 0.6, 0.5]


@pytest.mark.parametrize(("make", "words"), [
    (lambda: similarity(TOKENS, (4, 0)), "^row 4, column 0 is outside the grid of 4 × 6 tokens.$"), (lambda: similarity(TOKENS, (0, -1)), "outside"),
    (lambda: similarity_figure(IMAGE, {}, [(0, 0)]), "at least one token"), (lambda: similarity_figure(IMAGE, {"a": TOKENS}, []), "at least one"),
    (lambda: norm_figure(IMAGE, {}), "no tokens")])
def test_what_cannot_be_drawn(make, words):
    with pytest.raises(BadInput, match=words):
        make()
