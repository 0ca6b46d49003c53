"""The map has no orphans: every slide has a section, every section a slide or a note, every function a test."""

import re
from dataclasses import replace

import pytest
from course_map import SUMMARY, UNTESTED, CourseMap
from equations import Equation
from lecture import Slide
from usage import Section

from course_lib.core.paths import ROOT

SECTION = Section("01_a", "1 · One", ["Exercise: part"], functions=["latents.losses.squared_error"])
SLIDE = Slide("1_part", 1, "A | B", 0, 2, True, "01_a › Exercise: part", [], "")
EQUATION = Equation("error", "D", "01_a › 1 · One", "latents.losses.squared_error", "(x_hat - x).square()")
SMALL = CourseMap([SLIDE], [SECTION], {"latents.losses.squared_error": ["latents/test_losses.py"]}, [EQUATION])


def test_nothing_of_the_course_is_an_orphan(course):
    assert course.orphans() == []


def test_the_map_is_of_the_whole_course(course):
    assert {slide.deck[0] for slide in course.slides} == set("01234")
    assert len({section.notebook for section in course.sections}) == 14
    assert len(course.functions) > 300 and UNTESTED.keys() <= set(course.functions)


def test_every_slide_of_the_parts_has_exactly_one_section(course):
    for slide in course.slides:
        assert sum(section.holds(slide.place) for section in course.sections) == 1 or slide.deck == "0_overview", slide


@pytest.mark.parametrize(("change", "sentence"), [
    ({"slides": [SLIDE, replace(SLIDE, number=2, place="01_a › Lost")]}, "1_part, slide 2: '01_a › Lost' is no section"),
    ({"slides": [replace(SLIDE, more=["01_a › Lost"])]}, "slide 1: More: '01_a › Lost' is no section"),
    ({"sections": [SECTION, Section("01_a", "2 · Two")]}, "01_a › 2 · Two: no slide shows it and no note names it"),
    ({"tests": {}}, "latents.losses.squared_error: notebooks use it and no test names it"),
    ({"equations": [replace(EQUATION, section="01_a › Lost")]}, "error: '01_a › Lost' is no section"),
    ({"equations": [replace(EQUATION, source="Nobody 1905, eq. 1")]}, "error: losses.py does not name 'Nobody 1905'"),
])
def test_every_kind_of_orphan_is_noticed(change, sentence):
    assert SMALL.orphans() == []
    found = replace(SMALL, **change).orphans()
    assert found and sentence in found[0]


def test_a_note_is_enough_for_a_section_and_the_summary_needs_none():
    sections = [SECTION, Section("01_a", "2 · Two"), Section("01_a", SUMMARY)]
    assert replace(SMALL, sections=sections, slides=[replace(SLIDE, more=["01_a › 2 · Two"])]).orphans() == []


def test_an_exception_that_is_no_longer_one_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(UNTESTED, "latents.losses.squared_error", "a reason")
    assert SMALL.orphans() == ["latents.losses.squared_error: is tested by now; take it out of UNTESTED."]
    assert replace(SMALL, tests={}).orphans() == []


def test_a_chain_can_be_read_in_one_row():
    (row,) = [line for line in SMALL.markdown().splitlines() if "A \\| B" in line]
    assert row == ("| 1 · A \\| B (0–2 min) | [01](../notebooks/01_a.ipynb) 1 · One › Exercise: part | "
                   "[`squared_error`](../course_lib/latents/losses.py) | [latents/losses](../tests/latents/test_losses.py) |")


def test_what_notes_add_has_a_row_of_its_own():
    text = replace(SMALL, slides=[replace(SLIDE, more=["01_a › 1 · One"])]).markdown()
    assert "| *more to 1* | [01](../notebooks/01_a.ipynb) 1 · One |" in text


def test_every_link_leads_to_a_file_and_every_line_to_a_line(course):
    text = course.markdown()
    links = re.findall(r"\]\(([^)#]+)(?:#L(\d+))?\)", text)
    assert len(links) > 1000
    for target, line in set(links):
        path = ROOT / "slides" / target
        assert path.is_file(), target
        assert not line or int(line) <= len(path.read_text(encoding="utf-8").splitlines())


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head(course):
    for table in re.findall(r"(?:^\|.*\n)+", course.markdown(), re.M):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
