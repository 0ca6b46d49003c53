"""What a sentence about a wrong input quotes, and what it refuses."""

import errno

import pytest

from course_lib.core.errors import BadInput, at_least_one, one_line, refusal


@pytest.mark.parametrize(("error", "line"), [
    (ValueError("two\n  lines of it."), "two lines of it"), (KeyError(), "KeyError"), ("a sentence.", "a sentence")])
def test_what_another_library_says_fits_into_a_sentence(error, line):
    assert one_line(error) == line


def test_what_is_long_is_cut():
    cut = one_line("word " * 100)
    assert len(cut) <= 160 and cut.endswith("…") and cut.startswith("word word")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError('Io(Os { code: 28, message: "x" }) os error 28')])
def test_a_full_disk_is_known_by_its_number_and_by_what_safetensors_says(error):
    assert refusal(error) == "the disk is full" and refusal(PermissionError(errno.EACCES, "not yours")) == "[Errno 13] not yours"


def test_numbers_below_one_are_named():
    at_least_one(layers=1, heads=8)
    with pytest.raises(BadInput, match="^heads must be at least 1, not 0.$"):
        at_least_one(layers=1, heads=0, dim=-1)
