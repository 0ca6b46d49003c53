"""The handout of a deck: its slides, a few on each page of A4, and beside each what the note says; a browser prints it."""

import re
import subprocess
import tempfile
from html import escape
from pathlib import Path

from lecture import Slide, slides_of
from marp import Loads, browser_command

from course_lib.core.claims import fill
from course_lib.core.errors import BadInput

PICTURE = re.compile(r"<svg data-marpit-svg.*?</foreignObject></svg>", re.S)
EMPHASIS = re.compile(r"\*([^*\n]+)\*")
LABEL = re.compile(r"^(Likely question|Common mistake|More):")
SECONDS = 300  # a browser that needs longer has hung
STYLE = """<style>
@page { size: A4; margin: 12mm 12mm 14mm; @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #595959; } }
@media print {
  body { font: 8pt/1.34 "Segoe UI", "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, "DejaVu Sans", sans-serif; color: #1c1c1c; }
  article { display: grid; grid-template-columns: 84mm 1fr; gap: 5mm; padding: 3mm 0; border-bottom: 1px solid #d9d9d9; break-inside: avoid; }
  svg[data-marpit-svg] { width: 84mm !important; height: 47.25mm !important; outline: 1px solid #d9d9d9; outline-offset: -1px; }
  svg > foreignObject > section { break-before: auto !important; page-break-before: auto !important; }
  .note p { margin: 0 0 1.6mm; }
  .note b { color: #1f5f99; }
}
</style>"""


def handout_page(page: str, path: Path, numbers: dict[str, float | str]) -> str:
    """Return `page`, what Marp's bare template made of the deck `path`, with the note beside each slide.

    Raises `BadInput` if not every slide is found in it, or if it would load something from outside the file.
    """
    pictures, slides = PICTURE.findall(page), slides_of(path)
    if len(pictures) != len(slides):
        raise BadInput(f"{path.name}: the handout has {len(pictures)} of {len(slides)} slides.")
    beside = [f'<article>{picture}<div class="note">{note_of(slide, numbers)}</div></article>'
              for picture, slide in zip(pictures, slides, strict=True)]
    head = page[: page.index(pictures[0])].replace("</head>", f"{STYLE}</head>", 1)
    text = f"{head}{''.join(beside)}</body></html>"
    if outside := Loads(text).outside:
        raise BadInput(f"{path.name}: the handout would load {outside[0]} from outside the file.")
    return text


def note_of(slide: Slide, numbers: dict[str, float | str]) -> str:
    """The note of a slide as HTML: paragraphs with its numbers, *emphasis* and labels such as "Likely question:"."""
    first, *rest = [" ".join(part.split()) for part in fill(slide.note, numbers).strip().split("\n\n")]
    _, _, first = first.partition("min")
    paragraphs = [f"<b>{slide.number}, {slide.minutes} min</b> {_marked(first.strip(' ·'))}", *map(_marked, rest)]
    return "".join(f"<p>{part}</p>" for part in paragraphs)


def _marked(text: str) -> str:
    return LABEL.sub(r"<b>\1:</b>", EMPHASIS.sub(r"<i>\1</i>", escape(text, quote=False)))


def print_page(page: Path, out: Path) -> None:
    """Print an HTML file as PDF, without a network. Raises `BadInput` if the browser fails."""
    options = ["--headless", "--disable-gpu", "--no-pdf-header-footer", "--host-resolver-rules=MAP * ~NOTFOUND",
               f"--print-to-pdf={out}", page.as_uri()]
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:  # a browser may still write there when it has ended
            done = subprocess.run([*browser_command(), f"--user-data-dir={own}", *options], capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"the browser did not print {page.name} within {SECONDS} seconds.") from error
    if done.returncode or not out.exists():
        raise BadInput(f"the browser could not print {page.name}: {' '.join(done.stderr.split())[-300:]}")
