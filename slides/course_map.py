"""The map of the course: slide → section of a notebook → function → test, and equation → line of code, as Markdown.

Every link of the chain is read where it stands: the section in the footer of a slide (and in `More:` of its note), the
functions in the code of the section, the tests in the imports of tests/. `kit.py` writes MAP.md of it.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from equations import Equation, equations
from lecture import Slide, decks, slides_of
from usage import Section, file_of, named_in, notebooks, sections_of

from course_lib.core.paths import ROOT

SUMMARY = "What you found"  # the last section of each notebook says again what the others found; a deck has one such slide
HOUSE = "core."  # what all notebooks share (claims, weights, figure style) would stand in every row

# Functions that notebooks use and that no test names, each with its reason. None may be tested by now: a test says so.
UNTESTED: dict[str, str] = {}


@dataclass
class CourseMap:
    """The four things and who belongs to whom; `tests` holds the test files of each function."""

    slides: list[Slide]
    sections: list[Section]
    tests: dict[str, list[str]]
    equations: list[Equation]

    @classmethod
    def read(cls) -> "CourseMap":
        """Read decks, notebooks, tests and equations of this repository."""
        return cls([slide for path in decks() for slide in slides_of(path)],
                   [section for path in notebooks() for section in sections_of(path)],
                   named_in((ROOT / "tests").rglob("*.py")), equations())

    def section(self, place: str) -> Section | None:
        """The section that a footer or `More:` names, by its own title or by that of a part of it."""
        return next((section for section in self.sections if section.holds(place)), None)

    @cached_property
    def functions(self) -> list[str]:
        """Every function that a notebook uses."""
        return sorted({name for section in self.sections for name in section.functions})

    def shown(self, section: Section) -> list[Slide]:
        """The slides that belong to a section."""
        return [slide for slide in self.slides if section.holds(slide.place)]

    def orphans(self) -> list[str]:
        """What hangs on nothing, a sentence each.

        A slide of the parts (decks from 1 on) without a section; a `More:` that names none; a section of the parts that no
        slide shows and no note names, but for the summaries; a function that a notebook uses and no test names, but for
        UNTESTED; an equation whose section, line or source is not found.
        """
        found = []
        for slide in self.slides:
            where = f"{slide.deck}, slide {slide.number}"
            if slide.deck[0] != "0" and not self.section(slide.place):
                found.append(f"{where}: {slide.place!r} is no section of a notebook.")
            found += [f"{where}: More: {place!r} is no section of a notebook." for place in slide.more if not self.section(place)]
        told = {place for slide in self.slides for place in slide.more}
        for section in self.sections:
            if section.title != SUMMARY and not self.shown(section) and not any(section.holds(place) for place in told):
                found.append(f"{section.name}: no slide shows it and no note names it.")
        found += [f"{name}: notebooks use it and no test names it." for name in self.functions
                  if name not in self.tests and name not in UNTESTED]
        found += [f"{name}: is tested by now; take it out of UNTESTED." for name in UNTESTED if name in self.tests]
        for equation in self.equations:
            if not self.section(equation.section):
                found.append(f"{equation.name}: {equation.section!r} is no section of a notebook.")
            found += [f"{equation.name}: {equation.path.name} does not name {piece!r}." for piece in equation.lost_sources]
        return found

    def markdown(self) -> str:
        """The text of MAP.md."""
        decks = [self._deck(name, list(slides)) for name, slides in groupby(self.slides, key=lambda slide: slide.deck)]
        return "\n\n".join([HEAD, *decks, self._equations(), self._functions()]) + "\n"

    def _deck(self, name: str, slides: list[Slide]) -> str:
        rows = []
        for place, together in groupby(slides, key=lambda slide: slide.place):
            together = list(together)
            rows.append(self._row("<br>".join(f"{slide.number} · {slide.title} ({slide.minutes} min)" for slide in together), place))
            rows += [self._row(f"*more to {slide.number}*", more) for slide in together for more in slide.more]
        return "\n".join([f"## [{name}]({name}.md)", "", "| slides | section | functions | tests |", "| --- | --- | --- | --- |", *rows])

    def _row(self, slides: str, place: str) -> str:
        section = self.section(place)
        names = [name for name in section.functions if not name.startswith(HOUSE)] if section else []
        files = sorted({file for name in names for file in self.tests.get(name, [])})
        return f"| {cell(slides)} | {self._link(place)} | {', '.join(map(to_function, names))} | {', '.join(map(to_test, files))} |"

    def _link(self, place: str) -> str:
        """A section, and the part of it that is meant, with a link to the notebook."""
        name, _, title = place.partition(" › ")
        section = self.section(place)
        whole = title if section is None or section.title == title else f"{section.title} › {title}"
        return f"[{name[:2]}](../notebooks/{name}.ipynb) {cell(whole)}"

    def _equations(self) -> str:
        rows = []
        for equation in self.equations:
            path, section = equation.path.relative_to(ROOT).as_posix(), self.section(equation.section)
            slides = ", ".join(f"[{slide.deck[0]}]({slide.deck}.md): {slide.number}" for slide in self.shown(section)) if section else ""
            code = f"[`{path.removeprefix('course_lib/')}:{equation.line}`](../{path}#L{equation.line})"
            rows.append(f"| {cell(equation.name)} | ${equation.tex}$ | `{equation.function.rpartition('.')[2]}`, {code} | "
                        f"{equation.source.replace(';', ',') or '*here*'} | {self._link(equation.section)} | {slides} |")
        return "\n".join([EQUATIONS_HEAD, "", "| what | equation | function and line | source | section | deck: slide |",
                          "| --- | --- | --- | --- | --- | --- |", *rows])

    def _functions(self) -> str:
        rows = []
        for name in self.functions:
            users = [f"{section.notebook[:2]} {section.title.split(' · ')[0]}" for section in self.sections if name in section.functions]
            tests = ", ".join(map(to_test, self.tests.get(name, []))) or UNTESTED[name]
            rows.append(f"| {to_function(name)} | {', '.join(users)} | {tests} |")
        return "\n".join([FUNCTIONS_HEAD, "", "| function | notebook and section | tests |", "| --- | --- | --- |", *rows])


def cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|")


def to_function(name: str) -> str:
    """A link to the file of a function."""
    return f"[`{name.rpartition('.')[2]}`](../{file_of(name).relative_to(ROOT).as_posix()})"


def to_test(name: str) -> str:
    """A link to a test file."""
    return f"[{name.removesuffix('.py').replace('test_', '')}](../tests/{name})"


HEAD = """\
# The map of the course

Written by `python slides/kit.py` (also by `make notebooks`); do not edit it. What it says is read from the files themselves:

- a slide belongs to the section of a notebook that its footer names; *more to N* is a section that the note of slide N names for those who want to go on;
- the functions are those of `course_lib` that the code of the section names, without constants and without `core`, which every notebook uses;
- the tests are the files of `tests/` that import or name one of these functions. Besides, every notebook is executed as a whole (`tests/notebooks`).

At the end: [equation → line of code](#equation--line-of-code), and [every function with its sections and tests](#every-function)."""
EQUATIONS_HEAD = """\
## Equation → line of code

Lines are looked up when this file is written. A source is the one that the docstrings of the function's file give; *here* means that the course derives it in that section."""
FUNCTIONS_HEAD = "## Every function"
