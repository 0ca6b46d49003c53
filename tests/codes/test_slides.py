"""The lecture on Part III: the judge's cases get the verdicts that the slide speaks of, and springs move as the formula says."""

import pytest
from matplotlib.text import Text

from course_lib.codes import slides, slides_plane


def test_the_judge_takes_what_has_moved_or_blurred_a_little_and_nothing_else():
    words = [text.get_text() for text in slides.judged_cases().findobj(Text) if text.get_text().strip()]
    verdicts, notes = [word for word in words if word[0] in "✓✗"], [word for word in words if word[0] not in "✓✗"]
    assert notes == ["as it is", "moved by a pixel", "blurred", "half way between", "one is missing", "without the rule"]
    first = ["✓ right"] * 3 + ["✗ unparsable", "✗ wrong number"]
    assert verdicts == [*first, "✓ right", *first, "✗ same colour"]  # two scenes; a world without the rule keeps it by luck


@pytest.mark.parametrize(("panel", "weight"), [(0, 0.0), (1, 0.25), (2, 1.0)])
def test_a_spring_holds_the_point_as_the_formula_says(panel, weight):
    """Towards target 1 with rate 0.1, the code at 0: z ← z + 0.1 (1 − weight · z), so z rests at 1 / weight."""
    (point,) = [line for line in slides_plane.spring().axes[panel].lines if line.get_label() == "point z"]
    z = 0.0
    for _ in range(120):
        z += 0.1 * (1 - weight * z)
    assert float(point.get_ydata()[-1]) == pytest.approx(z, rel=1e-3)
