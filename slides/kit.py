"""Write the lecturer's kit: slides/MAP.md, the board sketches, and what TEACHING.md takes from decks, notebooks and routes.

    python slides/kit.py             writes what is stale (also: make notebooks, make claims)
    python slides/kit.py --check     says what is stale, and writes nothing

In TEACHING.md everything between `<!--=NAME-->` or `<!--=NAME DECK-->` and `<!--/-->` is written here; the rest is written by hand.
Where something of the map hangs on nothing (`course_map.CourseMap.orphans`) all of it is said, and nothing is written.
"""

import argparse
import re
import sys
from pathlib import Path

from course_map import CourseMap
from lecture import Slide
from routes import routes, timetable, weeks
from sketches import SKETCHES

from course_lib.core.claims import fill
from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT, atomic

MAP, TEACHING, BOARDS = (ROOT / "slides" / name for name in ("MAP.md", "TEACHING.md", "sketches"))
BLOCK = re.compile(r"<!--=(?P<name>[a-z]+)(?: (?P<deck>\w+))?-->.*?<!--/-->", re.S)


def minute_marks(slides: list[Slide]) -> str:
    """When each slide is shown; a dot for the 20-minute path."""
    rows = [f"| {slide.minutes} | {slide.number} | {slide.title} | {'●' if slide.short else ''} |" for slide in slides]
    return "\n".join(["| minutes | slide | | 20 min |", "| --- | --- | --- | --- |", *rows])


def questions(slides: list[Slide]) -> str:
    """The likely questions of the notes, each with its answer."""
    rows = []
    for slide in slides:
        for text in slide.told("Likely question"):
            question, mark, answer = text.partition("?")
            rows.append(f"- **{question[0].upper()}{question[1:]}{mark}** ({where(slide)}) {answer.strip()}")
    return "\n".join(rows)


def mistakes(slides: list[Slide]) -> str:
    """The common mistakes of the notes."""
    return "\n".join(f"- ({where(slide)}) {text[0].upper()}{text[1:]}" for slide in slides for text in slide.told("Common mistake"))


def where(slide: Slide) -> str:
    """The number and the title of a slide."""
    return f"{slide.number}, *{slide.title}*"


def route_tables(course: CourseMap) -> str:
    """Every route: what is taken, what is left out, and its table."""
    parts = []
    for route in routes():
        table = timetable(route, course) if route.minutes else weeks(route, course)
        parts.append(f"### {route.name[0].upper()}{route.name[1:]}\n\nTake {route.take}. Left out: {route.leave}.\n\n{table}")
    return "\n\n".join(parts)


OF_A_DECK = {"minutes": minute_marks, "questions": questions, "mistakes": mistakes}


def teaching(text: str, course: CourseMap) -> str:
    """TEACHING.md with every block written anew. Raises `BadInput` for a block or a deck that does not exist."""

    def write(match: re.Match) -> str:
        name, deck = match["name"], match["deck"]
        slides = [slide for slide in course.slides if slide.deck == deck]
        if name == "routes" and not deck:
            content = route_tables(course)
        elif name in OF_A_DECK and slides:
            content = OF_A_DECK[name](slides)
        else:
            raise BadInput(f"TEACHING.md: there is no block {name!r} of deck {deck!r}.")
        return f"<!--={name}{f' {deck}' if deck else ''}-->\n\n{fill(content)}\n\n<!--/-->"

    return BLOCK.sub(write, text)


def texts(course: CourseMap) -> dict[Path, str]:
    """What MAP.md, TEACHING.md and the sketches should hold. Raises `BadInput` with every orphan of the map, a line each."""
    if orphans := course.orphans():
        raise BadInput("\n".join(orphans))
    boards = {BOARDS / f"{name}.svg": draw().text for name, draw in SKETCHES.items()}
    return {MAP: course.markdown(), TEACHING: teaching(TEACHING.read_text(encoding="utf-8"), course), **boards}


def stale(course: CourseMap) -> dict[Path, str]:
    """Those of `texts` that their files do not hold."""
    return {path: text for path, text in texts(course).items() if not path.exists() or path.read_text(encoding="utf-8") != text}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the lecturer's kit: slides/MAP.md, slides/TEACHING.md and slides/sketches/.")
    parser.add_argument("--check", action="store_true", help="say what is stale and write nothing")
    check = parser.parse_args(arguments).check
    try:
        changed = stale(CourseMap.read())
    except BadInput as error:
        print(f"the kit was not written:\n{error}", file=sys.stderr)
        return 2
    for path, text in changed.items():
        if check:
            print(f"stale: {path.relative_to(ROOT)}; `python slides/kit.py` writes it anew.")
            continue
        with atomic(path) as place:
            place.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return int(check and bool(changed))


if __name__ == "__main__":
    raise SystemExit(main())
