"""Routes fit into their time, name what exists, and are told in the same words by notebook 00 and the overview."""

import re

import pytest
from lecture import slides_of
from routes import Route, Step, exercises, minutes_of, path_of, routes, timetable, weeks

from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT

ALL = {route.name: route for route in routes()}
KNOWN = exercises()


def rows(text: str) -> list[str]:
    """The rows of the table that begins with "you have"."""
    table = re.search(r"^(?:# )?\| you have \|.*\n(?:(?:# )?\|.*\n)+", text, re.M)[0]
    return [line.removeprefix("# ") for line in table.splitlines()[2:]]


def test_there_are_four_routes_from_45_minutes_to_a_term():
    assert list(ALL) == ["45 minutes", "90 minutes", "a day", "a term"]


@pytest.mark.parametrize("name", ["45 minutes", "90 minutes", "a day"])
def test_a_route_fits_into_its_time_and_uses_it(name, course):
    taken = sum(minutes_of(step, course, KNOWN) for step in ALL[name].step)
    assert 0.9 * ALL[name].minutes <= taken <= ALL[name].minutes


def test_a_term_takes_every_notebook_once_and_each_lecture_before_the_first_notebook_of_its_part(course):
    steps = ALL["a term"].step
    assert [step.notebook[:2] for step in steps] == [f"{number:02d}" for number in range(14)]
    assert {step.deck: step.notebook[:2] for step in steps if step.deck} == {
        "0_overview": "00", "1_latents": "01", "2_slots": "04", "3_codes": "06", "4_tokens": "10"}
    assert all(title in weeks(ALL["a term"], course) for title in ("pair by rank (easy, 10)", "move (medium, 20)"))


@pytest.mark.parametrize("route", ALL.values(), ids=list(ALL))
def test_the_sentence_names_the_notebooks_and_sections_of_the_steps(route):
    said = set(re.findall(r"\b\d\d\b", route.take))
    assert not said or said == {step.book[:2] for step in route.step if step.book} | ({"03"} & said)
    for many, book in re.findall(r"sections ([\d, and]+) of (\d\d)", route.take):
        used = {re.match(r"\d+", step.section.partition(" › ")[2])[0] for step in route.step if step.section.startswith(book)}
        assert used == set(re.findall(r"\d+", many))


@pytest.mark.parametrize("source", ["notebooks/source/00_welcome.py", "slides/0_overview.md"])
def test_notebook_00_and_the_overview_say_the_same(source):
    assert rows((ROOT / source).read_text(encoding="utf-8")) == [route.row for route in ALL.values()]


def test_every_exercise_of_the_notebooks_is_found_with_its_minutes():
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "notebooks/source").glob("[0-9]*.py"))
    assert len(KNOWN) == len(re.findall(r"\*\*Difficulty: ", text)) > 30
    assert KNOWN["01_decoder_collapse › 5 · Exercise: pair by rank"] == ("easy", 10)


def test_the_short_path_is_a_part_of_the_slides():
    slides = slides_of(ROOT / "slides/1_latents.md")
    short = path_of(slides, Step(deck="1_latents", path="short"))
    assert short and all(slide.short for slide in short) and path_of(slides, Step(deck="1_latents")) == slides


@pytest.mark.parametrize(("step", "sentence"), [
    (Step(deck="9_none"), "no deck '9_none'"), (Step(section="01_decoder_collapse › Lost", minutes=3), "is no section"),
    (Step(exercise="01_decoder_collapse › Lost"), "is no exercise")])
def test_what_does_not_exist_is_refused(step, sentence, course):
    with pytest.raises(BadInput, match=sentence):
        minutes_of(step, course, KNOWN)


def test_a_route_that_takes_too_long_is_refused_and_one_that_fits_has_a_clock(course):
    long = Route("short", "all", "nothing", 50, [Step(pause="rest", minutes=30), Step(pause="sleep", minutes=35)])
    with pytest.raises(BadInput, match="takes 65 minutes, and it may take 50"):
        timetable(long, course)
    long.minutes = 65
    assert "| 0:30–1:05 | *sleep* |  |" in timetable(long, course)
