"""The handout of a deck: every slide with its note beside it, its numbers filled in, and nothing from outside the file."""

import stat
from pathlib import Path

import handout
import marp
import pytest
from build import Deck, hand_out
from handout import handout_page, note_of, print_page
from lecture import slides_of
from marp import Loads
from pypdf import PdfReader
from sample_deck import NUMBERS, SAMPLE, look_up

from course_lib.core.errors import BadInput


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The handout of the sample deck; what was printed lies beside it."""
    marp.install()
    (path,) = hand_out([Deck(SAMPLE, look_up, {}, NUMBERS)], tmp_path_factory.mktemp("handout"))
    return path


@pytest.fixture(scope="module")
def page(made: Path) -> str:
    return made.with_name("sample.html").read_text(encoding="utf-8")


def test_on_paper_every_slide_stands_with_its_note_and_several_on_a_page(made: Path) -> None:
    pages = [sheet.extract_text() for sheet in PdfReader(made).pages]
    text = " ".join(" ".join(pages).split())
    assert made.name == "sample_handout.pdf" and len(pages) < 5
    for words in ("What does a bottleneck keep?", "Welcome. Say the question once", "The trick in three lines", "Ask who has met this trick",
                  "phase = 0.375", "9–12 min Stop at a quarter"):
        assert words in text, words
    assert all(float(sheet.mediabox.width) == pytest.approx(595, abs=1) for sheet in PdfReader(made).pages)  # A4


def test_it_loads_nothing_from_outside(page: str) -> None:
    assert Loads(page).outside == [] and page.count("<article>") == 5


def test_a_note_keeps_its_paragraphs_its_labels_and_its_numbers() -> None:
    (slide, *_) = slides_of(SAMPLE)
    slide.note = " 3–5 min · Here *many* pay {{sample.rate:.2f}} < 1.\n\nLikely question: why?\nWell.\n\nMore: 01_a › B\n"
    assert note_of(slide, NUMBERS) == ("<p><b>1, 0–1 min</b> Here <i>many</i> pay 0.92 &lt; 1.</p><p><b>Likely question:</b> why? Well.</p>"
                                       "<p><b>More:</b> 01_a › B</p>")


def test_a_lost_slide_is_noticed(page: str) -> None:
    with pytest.raises(BadInput, match="the handout has 4 of 5 slides"):
        handout_page(page.replace("<svg data-marpit-svg", "<svg data-other", 1), SAMPLE, NUMBERS)


def test_a_load_from_outside_is_refused(page: str) -> None:
    with pytest.raises(BadInput, match="the handout would load <img src=\"https://example.org/a.png\">"):
        handout_page(page.replace("</section>", '<img src="https://example.org/a.png"></section>', 1), SAMPLE, NUMBERS)


@pytest.mark.parametrize(("script", "sentence"), [
    ("echo it broke >&2; exit 3", "could not print a.html: it broke"), ("exit 0", "could not print a.html"), ("exec sleep 9", "within 0.2 seconds")])
def test_a_browser_that_fails_is_a_problem(script, sentence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(handout, "browser_command", lambda: [str(browser)])
    if "sleep" in script:
        monkeypatch.setattr(handout, "SECONDS", 0.2)
    with pytest.raises(BadInput, match=sentence):
        print_page(tmp_path / "a.html", tmp_path / "a.pdf")
