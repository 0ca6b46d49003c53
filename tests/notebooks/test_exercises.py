"""Every exercise of the course, read from the sources: what it promises, the notebook's own solution and placeholder, and wrong answers.

That each wrong answer of a `WRONG` table hears its law is tested in the file that has the table, beside the part it belongs to.
"""

import ast
import re
import runpy
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jupytext
import pytest

from course_lib.core.paths import ROOT
from notebooks.build import learner_code, solution_code

SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
TABLES = sorted(path for path in (ROOT / "tests").glob("*/test_exercises*.py") if path != Path(__file__))
GRADE = re.compile(r"\*\*Difficulty: (trivial|easy|medium|hard)\. Time: (\d+) minutes?\.\*\*")
CHECK = re.compile(r"^check\.(\w+)\(.*\)$", re.MULTILINE)


class Exercise(NamedTuple):
    """One exercise of a notebook."""

    text: str  # the markdown cell that has its difficulty and minutes
    code: str  # the cell that checks it, up to the last check
    checks: list[str]  # their names


@cache
def cells_of(path: Path) -> list:
    return jupytext.read(path, fmt="py:percent").cells


@cache
def exercises_of(path: Path) -> list[Exercise]:
    """Each markdown cell with a grade, joined with the first cell after it that checks something."""
    cells, found = cells_of(path), []
    for number, cell in enumerate(cells):
        if cell.cell_type == "markdown" and GRADE.search(cell.source):
            asked = next(later.source for later in cells[number:] if later.cell_type == "code" and CHECK.search(later.source))
            end = [match.end() for match in CHECK.finditer(asked)][-1]
            found.append(Exercise(cell.source, asked[:end], CHECK.findall(asked)))
    return found


@cache
def imported_by(path: Path) -> dict:
    """What all import lines of a notebook bring in, its `check` with them."""
    names: dict = {}
    for cell in cells_of(path):
        if cell.cell_type == "code":
            lines = [node for node in ast.parse(cell.source).body if isinstance(node, ast.Import | ast.ImportFrom)]
            exec("\n".join(map(ast.unparse, lines)), names)
    return names


@cache
def wrong_answers() -> dict[int, dict[str, list[str]]]:
    """For each set of checks, by its id, and each name in it: the laws that wrong answers are tested to hear."""
    tables: dict = {}
    for path in TABLES:
        module = runpy.run_path(str(path))
        laws = tables.setdefault(id(module["check"]), {})
        for name, _, law in module.get("WRONG", []):
            laws.setdefault(name, []).append(law)
    return tables


@pytest.fixture
def told(monkeypatch):
    """Run the cell of an exercise up to its checks; return what state each of them displays: ok, no or todo."""
    shown = []
    monkeypatch.setattr("course_lib.core.exercises.display", lambda html: shown.append(re.search(r'data-check="(\w+)"', html.data)[1]))

    def run(path: Path, code: str) -> list[str]:
        shown.clear()
        exec(code, dict(imported_by(path)))
        return list(shown)

    return run


EVERY = [pytest.param(path, exercise, id=f"{path.stem[:2]}-{'-'.join(exercise.checks)}") for path in SOURCES for exercise in exercises_of(path)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_has_three_exercises_and_every_check_belongs_to_one(path):
    exercises = exercises_of(path)
    assert len(exercises) >= 3
    assert len({GRADE.search(exercise.text)[1] for exercise in exercises}) > 1, "all of the same difficulty"
    assert all(1 <= int(GRADE.search(exercise.text)[2]) <= 25 for exercise in exercises)
    asked = [name for cell in cells_of(path) if cell.cell_type == "code" for name in CHECK.findall(cell.source)]
    assert sorted(asked) == sorted(name for exercise in exercises for name in exercise.checks)


@pytest.mark.parametrize(("path", "exercise"), EVERY)
def test_an_exercise_has_a_title_a_target_and_a_hint(path, exercise):
    (title,) = re.findall(r"^#+ .*xercise.*$", exercise.text[: GRADE.search(exercise.text).start()], re.MULTILINE)[-1:]
    assert "target" in exercise.text[GRADE.search(exercise.text).start() :].lower(), title
    hints = {name: hint for name, (_, hint) in imported_by(path)["check"]._checks.items()}
    assert all(len(hints[name]) > 20 for name in exercise.checks)


@pytest.mark.parametrize(("path", "exercise"), EVERY)
def test_the_solution_passes_and_the_placeholder_is_told_not_yet(told, path, exercise):
    assert told(path, solution_code(exercise.code)) == ["ok"] * len(exercise.checks)
    states = told(path, learner_code(exercise.code))
    assert len(states) == len(exercise.checks) and set(states) <= {"no", "todo"}


@pytest.mark.parametrize(("path", "exercise"), EVERY)
def test_three_wrong_answers_are_tested_to_hear_what_is_wrong(path, exercise):
    laws = wrong_answers()[id(imported_by(path)["check"])]
    for name in exercise.checks:
        assert len(laws.get(name, [])) > 3 and len(set(laws[name])) >= 3, f"check.{name}: give WRONG its placeholder and three more"
        assert not {"Law", "Shape"} & set(laws[name]), f"check.{name}: the sentence is to be tested, not its first word"
