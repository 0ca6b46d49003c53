"""The kit is not stale, what it quotes from the notes is there, and what is wrong with it is said."""

import re

import kit
import pytest
from kit import BLOCK, MAP, TEACHING, mistakes, questions, stale, teaching
from lecture import Slide
from sketches import SKETCHES

from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT

SLIDE = Slide("1_part", 7, "T", 0, 2, True, "", [], " 0–2 min · Hello.\n\nLikely question: why? Because.\n\nCommon mistake: to doubt.\n")


def test_map_and_teaching_are_what_the_course_gives(course):
    assert list(stale(course)) == [], "run `python slides/kit.py`"


def test_questions_and_mistakes_come_from_the_notes():
    assert questions([SLIDE]) == "- **Why?** (7, *T*) Because."
    assert mistakes([SLIDE]) == "- (7, *T*) To doubt."


def test_every_deck_has_marks_sketches_questions_and_mistakes(course):
    text = TEACHING.read_text(encoding="utf-8")
    blocks = [(match["name"], match["deck"]) for match in BLOCK.finditer(text)]
    decks = sorted({slide.deck for slide in course.slides})
    assert sorted(blocks, key=str) == sorted([("routes", None), *((name, deck) for name in kit.OF_A_DECK for deck in decks)], key=str)
    for part in re.split(r"^## ", text, flags=re.M)[-5:]:
        assert len(re.findall(r"^\d\. \*\*", part, re.M)) >= 2, part[:40]  # board sketches
        assert part.count("\n- ") >= 5 and "{{" not in part


def test_links_lead_to_files_and_headings(course):
    text = TEACHING.read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target[1:] in headings if target.startswith("#") else (ROOT / "slides" / target).is_file(), target


@pytest.mark.parametrize("block", ["<!--=marks 1_latents--><!--/-->", "<!--=minutes 9_none--><!--/-->", "<!--=routes 1_latents--><!--/-->"])
def test_an_unknown_block_is_refused(block, course):
    with pytest.raises(BadInput, match="there is no block"):
        teaching(block, course)


def test_what_is_written_by_hand_stays(course):
    text = "By hand.\n\n<!--=mistakes 1_latents-->STALE<!--/-->\n\nBy hand, too.\n"
    done = teaching(text, course)
    assert done.startswith("By hand.\n") and done.endswith("\nBy hand, too.\n") and "STALE" not in done
    assert teaching(done, course) == done


def test_orphans_stop_everything(course, monkeypatch, capsys):
    monkeypatch.setattr(type(course), "orphans", lambda self: ["one is lost.", "another, too."])
    monkeypatch.setattr(kit.CourseMap, "read", lambda: course)
    before = MAP.read_bytes()
    assert kit.main([]) == 2 and "one is lost.\nanother, too." in capsys.readouterr().err
    assert MAP.read_bytes() == before


def test_check_says_what_is_stale_and_writes_nothing(course, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(kit.CourseMap, "read", lambda: course)
    monkeypatch.setattr(kit, "ROOT", tmp_path)
    monkeypatch.setattr(kit, "MAP", tmp_path / "MAP.md")
    monkeypatch.setattr(kit, "TEACHING", tmp_path / "TEACHING.md")
    monkeypatch.setattr(kit, "BOARDS", tmp_path / "boards")
    kit.TEACHING.write_text("All of it by hand.\n", encoding="utf-8")
    assert kit.main(["--check"]) == 1 and "stale: MAP.md" in capsys.readouterr().out
    assert not (tmp_path / "MAP.md").exists()
    assert kit.main([]) == 0 and (tmp_path / "MAP.md").read_text(encoding="utf-8") == course.markdown()
    assert {path.stem for path in (tmp_path / "boards").iterdir()} == set(SKETCHES) and kit.main(["--check"]) == 0
