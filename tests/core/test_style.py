"""The colours of the course: told apart by colour-blind eyes and on grey paper, or never without a second sign."""

from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from course_lib.core.errors import BadInput
from course_lib.core.style import DASH, IMAGE_CMAP, LOOKS, MARKER, PALETTE, SHADES, dressed, line_look, new_figure, saved

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency", IEEE TVCG 15 (2009), table 1,
# severity 1; grey: the luminance of Rec. 709. All act on linear RGB.
EYES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "grey": [[0.2126, 0.7152, 0.0722]] * 3,
}
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]  # of linear sRGB
WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def lab(colours, eye: str) -> np.ndarray:
    """CIELAB of sRGB colours as such an eye sees them, shape (n, 3): L* = 116 f(Y) − 16, a* = 500 (f(X) − f(Y)), b* = 200 (f(Y) − f(Z)),
    with f the cube root, or a straight line below (6/29)³ (CIE 15:2004, section 8.2.1)."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    t = np.clip(linear @ np.transpose(EYES[eye]), 0, 1) @ np.transpose(XYZ) / WHITE
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def apart(first: str, second: str, eye: str) -> float:
    return float(np.linalg.norm(np.subtract(*lab([first, second], eye))))


def test_red_and_green_of_equal_lightness_are_alike_without_green_cones():
    """The measure itself: a pair that normal eyes tell apart is nearly one for deutans, and black and white are 100 apart for all."""
    assert apart("#a06030", "#6d7330", "deutan") < 10 < 20 < apart("#a06030", "#6d7330", "tritan")
    assert all(apart("black", "white", eye) == pytest.approx(100, abs=0.1) for eye in EYES)


@pytest.mark.parametrize(("eye", "least"), [("protan", 20), ("deutan", 20), ("tritan", 11), ("grey", 7.5)])
def test_shades_are_told_apart(eye, least):
    assert min(apart(*pair, eye) for pair in combinations(SHADES.values(), 2)) > least


def test_shades_rise_in_lightness_by_even_steps():
    steps = np.diff(lab(SHADES.values(), "grey")[:, 0])
    assert 7.5 < steps.min() and steps.max() < 8.5


def test_meanings_that_some_eye_confuses_have_another_marker_or_dash():
    """The palette of Part I is older than this test: it has pairs that some eyes confuse, and their second sign must differ."""
    second = {name: (MARKER.get(name), DASH[name]) for name in PALETTE}
    confused = {frozenset(pair) for pair in combinations(PALETTE, 2) if min(apart(PALETTE[pair[0]], PALETTE[pair[1]], eye) for eye in EYES) < 11}
    assert frozenset({"latent_z_hat", "output_x_hat"}) in confused and all(second[a] != second[b] for a, b in confused)


def test_no_two_of_fourteen_lines_look_alike():
    assert len({marker for _, marker, _ in LOOKS}) == len({str(dash) for *_, dash in LOOKS}) == len({colour for colour, *_ in LOOKS}) == len(LOOKS)
    assert len({str(line_look(number)) for number in range(14)}) == 14


def test_maps_rise_in_lightness():
    lightness = lab(matplotlib.colormaps[IMAGE_CMAP](np.linspace(0, 1, 32)), "grey")[:, 0]
    assert (np.diff(lightness) > 0.5).all() and lightness[-1] - lightness[0] > 70


def test_a_figure_is_written_in_the_format_of_its_ending_or_not_at_all(tmp_path):
    figure = new_figure(1.0, 0.5)
    assert saved(figure, None) is figure
    heads = {"a.png": b"\x89PNG", "b": b"\x89PNG", "c.pdf": b"%PDF", "d.svg": b"<?xml"}
    for name, head in heads.items():
        assert saved(figure, tmp_path / name) is figure and (tmp_path / name).read_bytes().startswith(head)
    with pytest.raises(BadInput, match=r"as \.gif2; choose one of .*png"):
        saved(figure, tmp_path / "e.gif2")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(heads)


def test_no_entry_of_a_figure_is_left_out_silently():
    assert list(dressed({"a": 1, "b": 2}, "xyz")) == [(("a", 1), "x"), (("b", 2), "y")]
    with pytest.raises(BadInput, match="this figure tells 2 apart; these are 3: a, b, c"):
        dressed(dict.fromkeys("abc"), "xy")
