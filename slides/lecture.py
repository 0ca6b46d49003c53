"""What a deck says about itself: its slides, the minutes and the section each belongs to, and what its notes answer.

A slide belongs to the section that its footer names, "NN_topic › Title" (a footer holds until the next one, as in Marp).
A line of its note, `More: NN_topic › Title`, sends the lecturer to one more section that no slide has room for.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from deck import NOTE, split

from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT

FOOTER = re.compile(r"^(?:<!--\s*)?(_?)footer:\s*[\"']?(.*?)[\"']?\s*(?:-->)?$", re.M)
MINUTES = re.compile(r"<!--\s*(\d+)(?:\s*[–-]\s*(\d+))?\s*min\b")
SHORT = re.compile(r"<!--\s*_?class:[^>]*\bshort\b")
MORE = re.compile(r"^More: (.+?)\s*$", re.M)


@dataclass
class Slide:
    """One slide: where it stands, when it is shown, the sections it belongs to, and its note."""

    deck: str
    number: int
    title: str
    first: int  # minute
    last: int
    short: bool  # belongs to the 20-minute path
    place: str  # of its footer
    more: list[str]
    note: str

    @property
    def minutes(self) -> str:
        """When it is shown: "3" or "3–5"."""
        return f"{self.first}–{self.last}" if self.last > self.first else f"{self.first}"

    def told(self, kind: str) -> list[str]:
        """The paragraphs of the note that begin with `kind`, "Likely question" or "Common mistake", without it."""
        paragraphs = [" ".join(text.split()) for text in self.note.split("\n\n")]
        return [text.removeprefix(f"{kind}:").strip() for text in paragraphs if text.startswith(f"{kind}:")]


def decks() -> list[Path]:
    """The files of all decks, in order."""
    return sorted((ROOT / "slides").glob("[0-9]_*.md"))


def slides_of(path: Path) -> list[Slide]:
    """The slides of a deck, in order. Raises `BadInput` for a slide without a note that begins with its minutes."""
    head, *texts = split(path.read_text(encoding="utf-8"))
    holds, slides = "".join(FOOTER.findall(head)[0][1:]) if FOOTER.search(head) else "", []
    for number, text in enumerate(texts, start=1):
        place = holds
        for once, footer in FOOTER.findall(text):
            place = footer
            holds = holds if once else footer
        minutes, note = MINUTES.search(text), NOTE.search(text)
        if not minutes or not note:
            raise BadInput(f"{path.name}, slide {number} has no note that begins with its minutes, as in <!-- 3–5 min · … -->.")
        note = note[0].removeprefix("<!--").removesuffix("-->")
        slides.append(Slide(path.stem, number, re.search(r"^##? +(.*?)\s*$", text, re.M)[1], int(minutes[1]),
                            int(minutes[2] or minutes[1]), bool(SHORT.search(text)), place, MORE.findall(note), note))
    return slides
