"""What a deck says about itself: places that hold until the next footer, minutes, and what the notes answer."""

from pathlib import Path

import pytest
from lecture import slides_of

from course_lib.core.errors import BadInput

DECK = '''---
title: T
lang: en
footer: "01_a › One"
---

<!-- _class: lead short -->

# First

<!-- 0–2 min · hello -->

---

<!-- footer: "01_a › Two" -->

## Second

<!--
2–5 min · Say this.

Likely question: really? Yes,
it is.

Common mistake: to doubt.

More: 02_b › Three

More: 02_b › Four
-->

---

<!-- _footer: "03_c › Once" -->

## Third

<!-- 5–6 min · only here -->

---

## Fourth

<!-- 6 min · end -->
'''


@pytest.fixture
def slides(tmp_path: Path):
    path = tmp_path / "1_part.md"
    path.write_text(DECK, encoding="utf-8")
    return slides_of(path)


def test_a_footer_holds_until_the_next_one_and_one_with_an_underscore_only_once(slides):
    assert [slide.place for slide in slides] == ["01_a › One", "01_a › Two", "03_c › Once", "01_a › Two"]


def test_titles_minutes_and_the_short_path(slides):
    assert [(slide.number, slide.title, slide.minutes, slide.short) for slide in slides] == [
        (1, "First", "0–2", True), (2, "Second", "2–5", False), (3, "Third", "5–6", False), (4, "Fourth", "6", False)]


def test_what_the_note_answers_and_where_it_sends(slides):
    assert slides[1].told("Likely question") == ["really? Yes, it is."] and slides[1].told("Common mistake") == ["to doubt."]
    assert slides[1].more == ["02_b › Three", "02_b › Four"]
    assert slides[0].told("Likely question") == slides[0].more == []


def test_a_slide_without_minutes_is_refused(tmp_path: Path):
    path = tmp_path / "1_part.md"
    path.write_text(DECK.replace("6 min · end", "the end"), encoding="utf-8")
    with pytest.raises(BadInput, match="slide 4 has no note that begins with its minutes"):
        slides_of(path)
