"""Routes through the course: `routes.toml` says what is taken, decks and notebooks say how long it takes."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from course_map import CourseMap
from lecture import Slide
from usage import notebooks

from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT

ROUTES = ROOT / "slides" / "routes.toml"
EXERCISE = re.compile(r"^# #{2,3} ((?:\d+ · )?Exercises?: .*?)\s*\n(?:#.*\n)*?# \*\*Difficulty: (\w+)\. Time: (\d+) minutes?\.\*\*", re.M)


@dataclass
class Step:
    """An entry of `routes.toml`, whose first lines say which fields go together."""

    deck: str = ""
    path: str = "all"
    section: str = ""
    exercise: str = ""
    pause: str = ""
    notebook: str = ""
    minutes: int = 0
    do: str = ""

    @property
    def book(self) -> str:
        """The notebook that is used, "" for none."""
        return self.notebook or (self.section or self.exercise).partition(" › ")[0]


@dataclass
class Route:
    """A way through the course. minutes: what it may take; 0 for a route of weeks."""

    name: str
    take: str
    leave: str
    minutes: int = 0
    step: list[Step] = field(default_factory=list)

    @property
    def row(self) -> str:
        """What notebook 00 and the overview say of it."""
        return f"| {self.name} | {self.take} | {self.leave} |"


def routes(path: Path = ROUTES) -> list[Route]:
    """All routes of `routes.toml`, the shortest first."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["route"]
    return [Route(**row | {"step": [Step(**step) for step in row["step"]]}) for row in rows]


def exercises() -> dict[str, tuple[str, int]]:
    """Difficulty and minutes of every exercise of the notebooks, by its place "NN_topic › Title"."""
    return {f"{path.stem} › {title}": (difficulty, int(minutes)) for path in notebooks()
            for title, difficulty, minutes in EXERCISE.findall(path.read_text(encoding="utf-8"))}


def path_of(slides: list[Slide], step: Step) -> list[Slide]:
    """The slides that a step shows."""
    return [slide for slide in slides if slide.deck == step.deck and (step.path == "all" or slide.short)]


def minutes_of(step: Step, course: CourseMap, known: dict[str, tuple[str, int]]) -> int:
    """How long a step takes. Raises `BadInput` for a deck, a section or an exercise that does not exist."""
    if step.exercise:
        if step.exercise not in known:
            raise BadInput(f"routes.toml: {step.exercise!r} is no exercise of a notebook.")
        return known[step.exercise][1]
    if step.deck:
        slides = path_of(course.slides, step)
        if not slides:
            raise BadInput(f"routes.toml: there is no deck {step.deck!r} with slides of the path {step.path!r}.")
        return sum(slide.last - slide.first for slide in slides)
    if step.section and not course.section(step.section):
        raise BadInput(f"routes.toml: {step.section!r} is no section of a notebook.")
    return step.minutes


def timetable(route: Route, course: CourseMap) -> str:
    """A route as a Markdown table, each step with its minutes. Raises `BadInput` if it takes longer than it may."""
    known, rows, now = exercises(), ["| from–to | what | how |", "| --- | --- | --- |"], 0
    for step in route.step:
        until = now + minutes_of(step, course, known)
        rows.append(f"| {clock(now)}–{clock(until)} | {what(step, course.slides)} | {how(step, known)} |")
        now = until
    if now > route.minutes:
        raise BadInput(f"routes.toml: {route.name!r} takes {now} minutes, and it may take {route.minutes}.")
    return "\n".join(rows)


def weeks(route: Route, course: CourseMap) -> str:
    """A route of weeks as a Markdown table: lecture, notebook, and its exercises with their minutes."""
    known, rows = exercises(), ["| week | lecture | notebook | exercises | at home, minutes |", "| --- | --- | --- | --- | --- |"]
    for number, step in enumerate(route.step, start=1):
        minutes_of(step, course, known)
        own = {place: each for place, each in known.items() if place.startswith(f"{step.notebook} › ")}
        names = ", ".join(f"{title(place)} ({difficulty}, {minutes})" for place, (difficulty, minutes) in own.items())
        lecture = f"[{step.deck}]({step.deck}.md)" if step.deck else ""
        rows.append(f"| {number} | {lecture} | {link(step.notebook)} | {names} | {sum(minutes for _, minutes in own.values())} |")
    return "\n".join(rows)


def what(step: Step, slides: list[Slide]) -> str:
    """What a step of a timetable takes: a deck, a section or an exercise, with a link."""
    if step.pause:
        return f"*{step.pause}*"
    if step.deck:
        path = "" if step.path == "all" else f", slides {', '.join(str(slide.number) for slide in path_of(slides, step))}"
        return f"[{step.deck}]({step.deck}.md){path}"
    return f"{link(step.book)}, {(step.section or step.exercise).partition(' › ')[2]}"


def how(step: Step, known: dict[str, tuple[str, int]]) -> str:
    """How a step is done."""
    if step.exercise:
        return f"alone or in pairs; {known[step.exercise][0]}"
    if step.deck:
        return "the lecture" if step.path == "all" else "the 20-minute path"
    return step.do


def title(place: str) -> str:
    """The name of an exercise: what stands behind "Exercise:"."""
    return re.sub(r"^.*Exercises?: ", "", place)


def link(notebook: str) -> str:
    """A link to a notebook."""
    return f"[{notebook[:2]}](../notebooks/{notebook}.ipynb)"


def clock(minutes: int) -> str:
    """Minutes as hours and minutes."""
    return f"{minutes // 60}:{minutes % 60:02d}"
