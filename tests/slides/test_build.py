"""The deck builder on a small deck: what it fills in, and every way in which it must refuse."""

import re
import subprocess
import sys
from pathlib import Path

import marp
import pytest
from build import build
from deck import figure_uri, join, registered, split
from pypdf import PdfReader
from sample_deck import NUMBERS, SAMPLE, look_up, wave

from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT

HEAD = "---\ntheme: course\nmath: mathjax\nlang: en\ntitle: T\nfooter: 03_vae_beta › The question\n---\n"
FIRST = "\n# One\n\n<!-- 0–1 min · hello -->\n"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths = build([SAMPLE], tmp_path_factory.mktemp("dist"), look_up, NUMBERS)
    return {path.name.removeprefix(SAMPLE.stem): path for path in paths}


@pytest.fixture(scope="module")
def page(sample: dict[str, Path]) -> str:
    return sample[".html"].read_text(encoding="utf-8")


def refusal(folder: Path, *texts: str) -> str:
    """Build decks that must be refused; check that nothing was written and return the message."""
    paths = [folder / f"{k}_deck.md" for k in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        build(paths, folder / "dist", look_up, NUMBERS)
    assert not (folder / "dist").exists()
    return str(caught.value)


def test_figures_are_in_the_file_with_their_alt_text(page: str) -> None:
    assert page.count('class="figure" alt="A sine wave') == 2
    assert page.count(figure_uri(wave())) == 2


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert figure_uri(wave()) == figure_uri(wave())
    assert figure_uri(wave()) != figure_uri(wave(0.1))


def test_a_figure_with_very_many_strokes_becomes_a_png() -> None:
    figure = wave()
    for k in range(2000):
        figure.axes[0].plot([0, 1], [k / 2000, 0], "o-")
    assert figure_uri(figure).startswith("data:image/png;base64,")


def test_numbers_are_quoted(page: str) -> None:
    assert "0.92 nats" in page and "{{" not in re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)


def test_the_demo_is_one_labelled_slider_over_nine_pictures(page: str) -> None:
    demo = re.search(r'<div class="frames">.*?</p></div>', page, re.S)[0]
    assert demo.count("<img ") == 9 and demo.count("display:none") == 8
    assert re.search(r'<label[^>]*><span>phase</span> <input type="range" min="0" max="8"', demo)
    assert '<p class="frames-words" aria-live="polite">The wave starts at height 0.00.</p>' in demo


def test_notes_are_in_the_presenter_view(page: str) -> None:
    assert page.count('class="bespoke-marp-note"') == 5
    assert "Common mistake: to read β as a learning rate." in page


def test_nothing_is_loaded_from_outside(page: str) -> None:
    assert marp.Loads(page).outside == []


@pytest.mark.parametrize("tag", [
    '<img src="https://example.org/a.png">', '<link rel="stylesheet" href="//example.org/a.css">',
    '<script src="a.js"></script>', "<style>@font-face { src: url(https://example.org/f.woff2) }</style>",
    "<style>@import 'a.css';</style>", '<p style="background: url(a.png)"></p>', '<iframe src="a.html"></iframe>',
])
def test_every_kind_of_load_is_noticed(tag: str) -> None:
    assert len(marp.Loads(f'<p><a href="https://example.org">a link is no load</a></p>{tag}').outside) == 1


def test_the_pdf_has_a_page_for_each_slide_and_stills_for_the_demo(sample: dict[str, Path]) -> None:
    pages = PdfReader(sample[".pdf"]).pages
    assert len(pages) == 5
    text = pages[4].extract_text()
    assert [label for label in ("0.000", "0.375", "0.625", "1.000") if f"phase = {label}" in text] == [
        "0.000", "0.375", "0.625", "1.000"]


def test_split_and_join_are_inverse_and_respect_code_and_comments() -> None:
    text = HEAD + "# a\n\n```\n---\n```\n\n<!-- 1 min\n---\n-->\n\n---\n\n## b\n"
    assert len(split(text)) == 3
    assert join(split(text)) == text


def test_all_problems_of_all_decks_are_reported_together(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        HEAD + FIRST + "\n---\n\n## Two\n\n![](figure:sample.wave)\n\n![A wave](figure:sample.wve)\n\n"
        "{{sample.rte:.2f}}\n",
        HEAD + FIRST + "\n---\n\n# Three\n\n<!-- demo: sample.fase -->\n\n<!-- 1–2 min · x -->\n",
    )
    for line in ("0_deck.md, slide 2: has no speaker's note",
                 "0_deck.md, slide 2: the picture figure:sample.wave has no alt",
                 "0_deck.md, slide 2: 'sample.wve'", "0_deck.md, slide 2: {{sample.rte:.2f}}: no measured number",
                 "1_deck.md, slide 2: needs exactly one heading ##", "1_deck.md, slide 2: 'sample.fase'"):
        assert line in message, message
    assert len(message.splitlines()) == 6, message


@pytest.mark.parametrize(("body", "sentence"), [
    (FIRST + "text\n---\n\n## Two\n\n<!-- 1 min -->\n", "leave an empty line before the ---"),
    (FIRST + "\n{{sample.rate:.2q}}\n", "{{sample.rate:.2q}}"),
    (FIRST + "\n![A dog](https://example.org/dog.png)\n", "https://example.org/dog.png is not a file"),
    (FIRST + "\n![A dog](dog.png)\n", "dog.png is not a file"),
    (FIRST + "\n<img src='data:,'>\n", "an <img> has no alt text"),
    (FIRST + "\n<!-- dmo: sample.phase -->\n", "is neither a note that begins with minutes nor a directive"),
    ("\n## One\n\n<!-- 0 min -->\n", "needs exactly one heading #,"),
])
def test_one_clear_sentence(tmp_path: Path, body: str, sentence: str) -> None:
    message = refusal(tmp_path, HEAD + body)
    assert sentence in message and len(message.splitlines()) == 1, message


def test_what_only_the_finished_page_shows(tmp_path: Path) -> None:
    """A formula that does not parse, a slide without a footer, and a load that hides in HTML."""
    message = refusal(
        tmp_path,
        HEAD.replace("footer: 03_vae_beta › The question\n", "") + FIRST
        + "\n$$ \\frac{1}{ $$\n\n<iframe src=\"https://example.org\"></iframe>\n",
    )
    assert "a formula is broken: Missing close brace" in message
    assert "1 slides have no footer" in message
    assert 'would load <iframe src="https://example.org">' in message


def test_a_marp_warning_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "marp-cli.js"
    tool.write_text("console.error('[  WARN ] something is odd')")
    monkeypatch.setattr(marp, "MARP", tmp_path)
    assert marp.convert([tmp_path / "a.md"], "html") == ["Marp: [  WARN ] something is odd"]


def test_a_marp_that_dies_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "marp-cli.js").write_text("console.log('the browser went away'); process.exit(3)")
    monkeypatch.setattr(marp, "MARP", tmp_path)
    (problem,) = marp.convert([tmp_path / "a.md"], "pdf")
    assert "status 3 without pdf" in problem and "the browser went away" in problem


def test_the_real_registry_says_what_there_is() -> None:
    with pytest.raises(BadInput, match="there are: "):
        registered("SLIDE_FIGURES", "latents.no_such_figure")
    with pytest.raises(BadInput, match="names no part of the course"):
        registered("SLIDE_FIGURES", "latins.beta")


def test_command_line_refuses_in_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "slides" / "build.py"), str(tmp_path / "none.md")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "there is no deck" in done.stderr and "Traceback" not in done.stderr
