"""The builder is a program beside the decks, not a package: its folder is put on the path."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[1] / "slides"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@pytest.fixture(scope="session")
def course():
    """The map of this repository."""
    from course_map import CourseMap  # on the path only now

    return CourseMap.read()
