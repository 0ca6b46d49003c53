"""The decks of the course point to the notebooks and keep their time: footers name real sections, the minutes add up."""

import re

import pytest
from deck import DEMO, PICTURE, registered, split

from course_lib.core.claims import fill
from course_lib.core.paths import ROOT

DECKS = sorted((ROOT / "slides").glob("[0-9]_*.md"))
FOOTER = re.compile(r"^(?:<!--\s*_?)?footer:\s*[\"']?(.*?)[\"']?\s*(?:-->)?$", re.M)


def wrong(footer: str) -> bool:
    """True unless `footer` reads `NN_topic › Section`, both of which exist."""
    name, _, section = (part.strip() for part in footer.partition("›"))
    source = ROOT / "notebooks" / "source" / f"{name}.py"
    if not source.exists():
        return True
    headings = re.findall(r"^# #+\s+(.*?)\s*$", source.read_text(encoding="utf-8"), re.M)
    return section not in headings


def test_every_footer_names_a_section_that_exists() -> None:
    found = [(path.name, footer) for path in DECKS for text in split(path.read_text(encoding="utf-8"))
             for footer in FOOTER.findall(text)]
    assert len(found) >= len(DECKS) > 0
    assert [f"{name}: {footer}" for name, footer in found if wrong(footer)] == []


def test_a_wrong_footer_is_noticed() -> None:
    assert wrong("somewhere") and wrong("99_nothing › At all") and wrong("12_receptive_fields") and not wrong("00_welcome › 1 · The map")


def minutes(text: str) -> list[tuple[int, int, bool]]:
    """(first minute, last minute, belongs to the 20-minute path) of every slide of a deck."""
    marks = [(re.search(r"<!--\s*(\d+)(?:\s*[–-]\s*(\d+))?\s*min\b", slide), slide) for slide in split(text)[1:]]
    return [(int(m[1]), int(m[2] or m[1]), bool(re.search(r"_class:.*\bshort\b", slide))) for m, slide in marks]


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_a_lecture_takes_45_minutes_and_its_short_path_20(path) -> None:
    marks = minutes(path.read_text(encoding="utf-8"))
    assert [first for first, _, _ in marks] == [0, *(last for _, last, _ in marks[:-1])], "not consecutive"
    assert marks[-1][1] == 45
    assert sum(last - first for first, last, short in marks if short) == 20


def test_minutes_are_read() -> None:
    deck = "---\ntitle: t\n---\n<!-- _class: lead short -->\n<!--\n0–3 min · a\n-->\n\n---\n\n<!-- 3 min · b -->\n"
    assert minutes(deck) == [(0, 3, True), (3, 3, False)]


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_every_figure_demo_and_number_of_a_deck_is_there(path) -> None:
    text = path.read_text(encoding="utf-8")
    figures = [target.removeprefix("figure:") for _, target in PICTURE.findall(text) if target.startswith("figure:")]
    assert figures and DEMO.findall(text)
    for registry, names in (("SLIDE_FIGURES", figures), ("SLIDE_DEMOS", DEMO.findall(text))):
        for name in names:
            assert callable(registered(registry, name))
    fill(text)
