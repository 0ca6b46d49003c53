"""Board sketches are small SVG files that say what they show; what they claim about a ruler is true."""

import xml.etree.ElementTree as xml

import pytest
from kit import BOARDS, TEACHING
from sketches import BLUE, HIGH, SKETCHES, WIDE, Board, ceiling

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", SKETCHES)
def test_a_sketch_is_an_svg_with_a_title_and_everything_on_the_board(name):
    root = xml.fromstring(SKETCHES[name]().text)
    assert len(root.findtext(f"{SVG}title")) > 40 and "http" not in SKETCHES[name]().text.replace("http://www.w3.org/2000/svg", "")
    for line in root.iter(f"{SVG}polyline"):
        for x, y in (map(float, pair.split(",")) for pair in line.get("points").split()):
            assert 0 <= x <= WIDE and 0 <= y <= HIGH
    for text in root.iter(f"{SVG}text"):
        reach = 0.55 * int(text.get("font-size")) * len(text.text)  # letters of a wide font
        left = float(text.get("x")) - {"start": 0, "middle": reach / 2, "end": reach}[text.get("text-anchor")]
        assert left > -8 and left + reach < WIDE + 8, text.text


def test_teaching_shows_every_sketch_once_with_its_title():
    text = TEACHING.read_text(encoding="utf-8")
    for name, draw in SKETCHES.items():
        assert text.count(f"![{draw().title}]({BOARDS.name}/{name}.svg)") == 1, name


def test_upwards_is_up():
    board = Board("", 0, 10, 0, 1)
    assert board.at((0, 0)) == (0, HIGH) and board.at((10, 1)) == (WIDE, 0)
    board.line([(0, 0), (10, 1)], BLUE, dashed=True)
    assert f'points="0,{HIGH} {WIDE},0"' in board.text and "stroke-dasharray" in board.text


def test_the_mean_arrow_is_a_fifth_of_the_way():
    whole, fifth = (xml.fromstring(stroke) for stroke in ceiling().strokes[-4:-2])
    (start, end), (again, short) = ([tuple(map(float, pair.split(","))) for pair in line.get("points").split()] for line in (whole, fifth))
    assert start == again and short == pytest.approx([a + (b - a) / 5 for a, b in zip(start, end)], abs=0.2)
