"""The map of the course names what there is."""

import pytest

from course_lib.core import map as course
from course_lib.core.map import course_map
from course_lib.core.paths import ROOT


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_it_names_every_notebook_and_no_other():
    said = sorted(word[:2] for word in words(course_map()) if word[:2].isdigit())
    there = sorted(path.name[:2] for path in (ROOT / "notebooks" / "source").glob("[0-9]*.py"))
    assert said == there[1:]  # 00 shows the map


def test_four_parts_over_two_axes():
    said = words(course_map())
    assert [word for word in said if word in ("latents", "slots", "codes", "tokens")] == ["latents", "slots", "codes", "tokens"]
    assert [word.split(":")[0] for word in said if word.startswith(("rate:", "distortion:"))] == ["rate", "distortion"]


def test_a_part_that_is_not_there_is_said_to_come(monkeypatch: pytest.MonkeyPatch):
    assert not any("to come" in word for word in words(course_map()))
    monkeypatch.setattr(course, "PARTS", [*course.PARTS[:3], ("sounds", "Part V", "a world of sounds", ["14 sounds"], "output_x_hat")])
    assert "Part V: to come" in words(course_map())
