"""The lecture on Part IV: the walk of a token, the words of an explorer on a slide, and figures that say what the claims say."""

import math
from functools import cache

import numpy as np
import pytest
import torch

from course_lib.core.claims import quotable
from course_lib.tokens import slides, slides_fields
from course_lib.tokens.figures_rf import SCALE
from course_lib.tokens.slides_line import GamePicture


@pytest.mark.parametrize("corners", [[(0, 0), (0, 9), (9, 9)], [(19, 12), (19, 3), (11, 11)], [(5, 5), (5, 6)]])
def test_a_route_visits_its_corners_in_order_and_goes_straight(corners):
    found = slides.route(corners, 12)
    at = [found.index(corner) for corner in corners]
    assert at == sorted(at) and (at[0], at[-1]) == (0, len(found) - 1) and len(found) <= 14
    for first, last in zip(at, at[1:]):
        (r0, c0), (r1, c1) = found[first], found[last]
        for row, column in found[first:last]:  # distance from the line between two corners, in places
            assert abs((r1 - r0) * (column - c0) - (c1 - c0) * (row - r0)) <= math.hypot(r1 - r0, c1 - c0)
    assert all(place != after for place, after in zip(found, found[1:]))


def test_words_lose_their_marks_only():
    assert slides.plain("<b>k-means, 16×</b>: 2 &lt; 3 of 4.") == "k-means, 16×: 2 < 3 of 4."


def test_bars_are_as_long_as_the_claims():
    said, figure = quotable(), slides.at_16()
    for axes, ending in zip(figure.axes, ("unexplained", "rebuilt", "put_back")):
        lengths = [bar.get_width() for bar in axes.patches]
        claimed = [said.get(f"tokens.rates_{key}_{ending}", 0.0) for key in slides.AT_16]
        assert np.allclose(lengths, claimed)
    printed = [text.get_text() for text in figure.axes[-1].texts]
    assert printed[1] == "not asked" and printed.count("not asked") == 1


def test_the_game_shows_where_the_generator_is():
    data, made = np.linspace(-2, 2, 500), {0: torch.full((50, 1), 3.05), 2: torch.linspace(-4, 4, 50)[:, None]}
    picture = GamePicture(torch.as_tensor(data), {name: (made, {"w1": [1.5, 0.5], "wasserstein": [-1.0, 0.4]}) for name in ("a", "b")})
    assert picture.set(0).startswith("Before training")
    heights, edges = picture.steps[0].get_data()[:2]
    assert np.isclose((heights * np.diff(edges)).sum(), 1) and edges[heights.argmax()] <= 3.05 <= edges[heights.argmax() + 1]
    words = picture.set(2)
    assert "a: the true distance is 0.50, the critic says 0.40" in words
    heights, edges = picture.steps[1].get_data()[:2]
    assert np.isclose((heights * np.diff(edges)).sum(), 1) and heights.max() < 0.5


def test_heat_maps_print_every_field_rounded_down_and_count_bands():
    picture = slides_fields.HeatPicture(torch.rand(3, 8, 8))
    one = torch.tensor([[0.8999, 0.95], [0.7996, 0.3]])
    words = picture.set({"one": one, "two": torch.full((12, 12), 0.95)})
    assert [text.get_text() for text in picture.numbers] == ["0.89", "0.95", "0.79", "0.30"]  # of 12 × 12 none is printed
    assert "one: 1 excellent, 1 good, 1 fair, 1 poor; two: 144 excellent" in words
    assert [text.get_color() for text in picture.numbers] == [slides_fields.INK[SCALE(value) > 0.6] for value in one.flatten().tolist()]
    picture.set({"one": one, "two": one})
    assert len(picture.numbers) == 8


def test_only_learned_fields_pass_the_ceiling(monkeypatch):
    """On a few scenes: what stands on the slide of the theorem."""
    for name in ("SCENES", "TRAINING"):
        monkeypatch.setattr(slides_fields, name, 8)
    for name in ("tokens", "training", "scale"):  # not the cached ones of the lecture
        monkeypatch.setattr(slides_fields, name, cache(getattr(slides_fields, name).__wrapped__))
    found = slides_fields.statistics.__wrapped__()
    for name, each in found.items():
        above = (each.cosine > each.resultant + 1e-4).float().mean()
        assert above == 0 if name != "learned fields" else above > 0.9
    assert (found["best single token"].cosine - found["best single token"].resultant).abs().max() < 1e-4
    best = found["best single token"].bands.double().mean(0)[0]
    assert all(each.bands.double().mean(0)[0] <= best for name, each in found.items() if name != "learned fields")
