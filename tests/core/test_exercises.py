"""Checks of exercises: todo, not yet, correct; whatever the learner's code does, Run All goes on."""

import re

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from course_lib.core.exercises import Checks

check = Checks()


@check.exercise("double", hint="multiply by two.")
def check_double(answer) -> None:
    value = answer(3)
    if not isinstance(value, int):  # raised by hand: pytest adds the operands to an assert
        raise AssertionError("Return a whole number.")
    if value != 6:
        raise AssertionError("Law: the result must be twice <the input>.")


@check.exercise("bare")
def check_bare(answer) -> None:
    if answer != 1:
        raise AssertionError


@pytest.fixture
def said():
    """Call a check; return (state, sentence) of the one message it displays."""
    InteractiveShell.instance()

    def call(name: str, answer: object) -> tuple[str, str]:
        with capture_output() as captured:
            assert getattr(check, name)(answer) is None
        (output,) = captured.outputs
        html = output.data["text/html"]
        assert ("<details><summary>Hint</summary>" in html) == ("multiply by two" in html)
        return re.search(r'data-check="(\w+)"', html)[1], re.sub("<[^>]+>", "", html)

    yield call
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("nothing", [None, ...])
def test_todo(said, nothing):
    state, words = said("double", nothing)
    assert state == "todo" and words.startswith("… double: nothing to check yet.")


def test_ok(said):
    assert said("double", lambda x: 2 * x) == ("ok", "✓ double: correct.")


def test_the_broken_law_is_shown_and_the_hint_lies_folded_below(said):
    state, words = said("double", lambda x: x)
    assert (state, words) == ("no", "✗ double: not yet. Law: the result must be twice &lt;the input&gt;.Hintmultiply by two.")
    assert said("double", lambda x: "6")[1].startswith("✗ double: not yet. Return a whole number.")  # shape before law
    assert said("bare", 2) == ("no", "✗ bare: not yet. ")  # no hint, no sentence


@pytest.mark.parametrize("error", [ValueError("x < 0"), ZeroDivisionError("?"), RecursionError("deep"), NotImplementedError(""),
                                   MemoryError("much"), StopIteration()])
def test_whatever_the_code_of_a_learner_raises_is_shown_and_never_raised(said, error):
    def answer(x):
        raise error

    state, words = said("double", answer)
    assert state == "no" and f"your code raised {type(error).__name__}" in words


@pytest.mark.parametrize("answer", [0, "text", [], {}, object(), float("nan"), lambda: 0, lambda x: None, int, len])
def test_an_answer_of_any_kind_is_judged(said, answer):
    assert said("double", answer)[0] == "no"


def test_a_name_that_does_not_exist():
    with pytest.raises(AttributeError, match="there is no exercise 'duoble'; there are double, bare"):
        check.duoble
    assert not hasattr(check, "_repr_html_")  # what Jupyter asks for
    assert {"double", "bare"} <= set(dir(check))
