"""The course's one picture: each world against its own bound, rounding that is counted, and the command that draws it."""

import csv
import math

import numpy as np
import pytest

from course_lib import curve
from course_lib.codes.loaders import create_datasets
from course_lib.core.errors import BadInput
from course_lib.curve import Point, bound, code_points, curve_figure, latent_points, slot_points, token_points, write

FEW = 20


@pytest.fixture(scope="module")
def points():
    """By series, with few scenes of each world."""
    found = [*latent_points(500), *slot_points(FEW), *code_points(FEW), *token_points(FEW)]
    return {series: [point for point in found if point.series == series] for series in curve.LOOKS}


def test_every_bottleneck_of_the_course_is_there(points):
    assert all(len(some) >= 3 for some in points.values())
    for some in points.values():
        assert all(math.isfinite(value) for point in some for value in point[2:]) and all(point.bits >= 0 for point in some)
        assert len({point.setting for point in some}) == len(some)


def test_no_beta_vae_passes_the_bound(points):
    bits, lost = bound()
    assert (bits[:-1] >= bits[1:]).all() and (lost[:-1] <= lost[1:]).all() and (bits[-1], lost[-1]) == (0, 1)
    for point in points["β-VAE"]:
        assert point.bits >= np.interp(point.lost, lost, bits) - 0.02


def test_more_bits_lose_less_of_slots_and_tokens(points):
    for series in ("slots", "average pooling", "learned compressor"):
        some = sorted(points[series], key=lambda point: point.rate)
        assert [point.lost for point in some] == sorted((point.lost for point in some), reverse=True)


def test_codes_cost_less_the_better_they_are_told_and_not_less_than_the_scene(points):
    entropy = create_datasets("rules", held_out=FEW)[1].entropy / math.log(2)
    for series in ("SVQ", "patches"):
        nominal, alone, told = points[series]
        assert nominal.bits == 144 and nominal.bits > alone.bits > told.bits > entropy - 1
        assert nominal.lost == alone.lost == told.lost and nominal.use > 0.8


def test_the_picture_shows_every_point_and_the_table_has_a_row_for_each(points, tmp_path):
    every = [point for some in points.values() for point in some]
    figure = curve_figure(every)
    for axes, name in zip(figure.axes, ("lost", "use")):
        drawn = {(x, y) for line in axes.lines for x, y in zip(line.get_xdata(), line.get_ydata())}
        assert {(point.rate, getattr(point, name)) for point in every} <= drawn
    write(every, tmp_path)
    with open(tmp_path / "curve.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["setting"] for row in rows] == [point.setting for point in every]
    assert [float(row["rate"]) for row in rows] == [point.rate for point in every]
    assert (tmp_path / "curve.png").stat().st_size > 10_000


def test_the_command(monkeypatch, capsys, tmp_path):
    asked = []
    monkeypatch.setattr(curve, "measure", lambda *settings: asked.append(settings) or [Point(series, "x", 3.0, 12, 0.5, 0.5) for series in curve.LOOKS])
    monkeypatch.setattr("sys.argv", ["curve", f"out={tmp_path}", "scenes=30", "progress=false"])
    assert curve.main() == 0 and asked == [(30, False)]
    assert "0.2500 bits a number" in capsys.readouterr().out and {file.name for file in tmp_path.iterdir()} == {"curve.csv", "curve.png"}
    monkeypatch.setattr("sys.argv", ["curve", "--help"])
    assert curve.main() == 0 and "scenes=200" in capsys.readouterr().out


def test_bad_input(monkeypatch, capsys):
    with pytest.raises(BadInput, match="scenes must be at least 20, not 3"):
        curve.measure(3)
    monkeypatch.setattr("sys.argv", ["curve", "scene=3"])
    assert curve.main() == 2 and capsys.readouterr().err == "error: unknown key 'scene'; there are: out, scenes, progress.\n"
