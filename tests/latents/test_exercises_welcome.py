"""The checks of notebook 00 accept right answers, reject wrong ones with the law they break, and never raise; its target figures."""

import math

import pytest
from matplotlib.figure import Figure

from course_lib.latents.exercises_welcome import beaten, bits_target, bounds_target, check, measured_bits, plane_target

RIGHT = {"bits_per_nat": [1 / math.log(2), 1.4427], "beaten": ["CE", "EC"], "bounds": [(1.25, 1.4), [1.3, 1.35]]}
WRONG = [
    ("bits_per_nat", 1.0, "a nat is not a bit"),  # the stub
    ("bits_per_nat", "1.44", "give one number"),
    ("bits_per_nat", math.log(2), "a nat is more than a bit"),  # nats of a bit
    ("bits_per_nat", math.e, "2 to the power of your number is 6.581"),
    ("bits_per_nat", math.log2(10), "2 to the power of your number is 10.000"),
    ("beaten", "", "you left out 2 such models"),  # the stub
    ("beaten", ["C", "E"], "give letters out of ABCDEF"),
    ("beaten", "C", "you left out 1 such model."),
    ("beaten", "ACE", "nobody beats A"),  # it loses most
    ("beaten", "F", "nobody beats F"),  # it pays most
    ("beaten", "BCE", "nobody beats B"),
    ("bounds", (0.0, 2.0), "a claim that can hardly fail says nothing"),  # the stub
    ("bounds", 1.32, "give two numbers"),
    ("bounds", (1.4, 1.25), "the lower bound comes first"),
    ("bounds", (0.85, 1.0), "is the rate in nats"),
    ("bounds", (0.55, 0.7), "multiply, do not divide"),
    ("bounds", (1.4, 1.5), "the claim is false"),
]


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, answers in RIGHT.items() for answer in answers])
def test_a_right_answer_passes(said, name, answer):
    assert 'data-check="ok"' in said(name, answer)


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = said(name, answer)
    assert 'data-check="no"' in words and law in words and "Hint" in words


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("answer", [None, "text", (1.0,), len, float("nan"), ("a", "b")])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)


def test_the_targets_show_what_is_asked():
    assert bits_target(1 / math.log(2)).axes[0].patches[0].get_width() == pytest.approx(1)
    assert isinstance(plane_target(), Figure) and isinstance(plane_target("ABCDEF"), Figure)
    path = plane_target("".join(beaten())).axes[0].lines[-1]
    assert all(b < a for a, b in zip(path.get_xdata(), path.get_xdata()[1:]))  # ever less is lost …
    assert all(b > a for a, b in zip(path.get_ydata(), path.get_ydata()[1:]))  # … and ever more is paid
    (mark,) = bounds_target((1.2, 1.4)).axes[0].lines
    assert mark.get_xdata() == [measured_bits()]
