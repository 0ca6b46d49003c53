"""Build every deck: slides/N_part.md -> slides/dist/N_part.html (one file, no network needed), .pdf and _handout.pdf.

    python slides/build.py [DECK.md ...]          (or: make slides)

A deck is Marp Markdown (slides are separated by a line `---`) with four additions:

    ![what one sees](figure:latents.rate_distortion)   a figure drawn now by course_lib.latents.slides.SLIDE_FIGURES
    <!-- demo: latents.beta -->                        a slider over frames of course_lib.latents.slides.SLIDE_DEMOS
    {{latents.kl_at_beta_10:.3f}}                      a measured number (course_lib.core.claims)
    <!-- 12–14 min · what to say -->                   the speaker's note with its minutes: every slide has one

Every slide has one heading (`#` on the first, `##` on the others) and a footer that names its notebook section.
Whatever is wrong with any deck is reported together, and then nothing is written.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import handout
import marp
from deck import Deck, LookUp, join, registered

from course_lib.core.claims import quotable
from course_lib.core.errors import BadInput
from course_lib.core.paths import atomic


def build(
    paths: Sequence[Path], out: Path, look_up: LookUp = registered, numbers: dict[str, float | str] | None = None
) -> list[Path]:
    """Write NAME.html, NAME.pdf and NAME_handout.pdf into `out` for every deck in `paths`, and return their paths.

    `look_up` finds figures and demos, `numbers` are what may be quoted (default: what the course measured).
    Raises `BadInput` with everything that is wrong with all decks, a line each; nothing is written then.
    """
    drawn: dict[str, object] = {}
    numbers = quotable() if numbers is None else numbers
    decks = [Deck(path, look_up, drawn, numbers) for path in paths]
    report([problem for deck in decks for problem in deck.problems])
    marp.install()
    with tempfile.TemporaryDirectory() as folder:
        pages = convert(decks, Path(folder), "html")
        texts = [page.read_text(encoding="utf-8") for page in pages]
        report([p for deck, text in zip(decks, texts, strict=True) for p in marp.problems_of(text, deck)])
        prints = convert(decks, Path(folder), "pdf")
        made = [*pages, *prints, *hand_out(decks, Path(folder))]
        for path in made:
            with atomic(out / path.name) as place:
                place.write_bytes(path.read_bytes())
    return [out / path.name for path in made]


def convert(decks: list[Deck], folder: Path, form: str, template: str = "bespoke") -> list[Path]:
    """Let Marp write every deck as `form` ("html" or "pdf") into `folder`, with one of its templates; return the paths."""
    sources = [folder / f"{form}-{template}" / deck.path.name for deck in decks]
    sources[0].parent.mkdir()
    for source, deck in zip(sources, decks, strict=True):
        source.write_text(join(deck.screen if (form, template) == ("html", "bespoke") else deck.paper), encoding="utf-8")
    report(marp.convert(sources, form, "--template", template))
    return [source.with_suffix(f".{form}") for source in sources]


def hand_out(decks: list[Deck], folder: Path) -> list[Path]:
    """Print every deck with its notes into `folder`; return the paths."""
    made = []
    for deck, page in zip(decks, convert(decks, folder, "html", "bare"), strict=True):
        made.append(page.with_name(f"{deck.path.stem}_handout.pdf"))
        page.write_text(handout.handout_page(page.read_text(encoding="utf-8"), deck.path, deck.numbers), encoding="utf-8")
        handout.print_page(page, made[-1])
    return made


def report(problems: list[str]) -> None:
    """Raise one `BadInput` with all `problems`, if there are any."""
    if problems:
        raise BadInput("\n".join(problems))


def main() -> int:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Build the decks: one HTML file, one PDF and one handout each.")
    parser.add_argument("decks", nargs="*", type=Path, help="decks to build (default: all)")
    parser.add_argument("--out", type=Path, default=here / "dist", help="folder for the results (default: slides/dist)")
    arguments = parser.parse_args()
    start = time.perf_counter()
    try:
        decks = arguments.decks or sorted(here.glob("[0-9]_*.md"))
        missing = [str(path) for path in decks if not path.is_file()]
        report([f"there is no deck {path}." for path in missing] if decks else ["there is no deck slides/N_part.md."])
        for path in build(decks, arguments.out):
            print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    except BadInput as error:
        print(f"the slides were not built:\n{error}", file=sys.stderr)
        return 2
    print(f"built in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
