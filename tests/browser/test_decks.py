"""Every deck, opened from a file with the network cut: it is quiet, complete, legible, and its demo moves by keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from build import build
from playwright.sync_api import Browser, Page
from pypdf import PdfReader
from sample_deck import NUMBERS, SAMPLE, look_up

from course_lib.core.paths import ROOT

DECKS = sorted((ROOT / "slides").glob("[0-9]_*.md"))
NAMES = [path.stem for path in [*DECKS, SAMPLE]]
SHOWN = "svg.bespoke-marp-slide.bespoke-marp-active > foreignObject > section"

# What does not fit on the slide that is shown: sizes are in the slide's own 1280 × 720.
MISFITS = """section => {
  const whole = section.getBoundingClientRect(), scale = whole.width / section.offsetWidth, out = [];
  const floor = section.querySelector('footer').getBoundingClientRect().top;
  for (const part of section.querySelectorAll(':scope > *:not(footer), .two > *, figure')) {
    const box = part.getBoundingClientRect(), name = `<${part.tagName.toLowerCase()}> ${part.textContent.slice(0, 40)}`;
    if (box.bottom > floor + 1) out.push(`${name}: ${Math.round((box.bottom - floor) / scale)} px too low`);
    if (box.right > whole.right - 32 * scale) out.push(`${name}: too wide`);
    if (part.scrollWidth > part.clientWidth + 2 && part.clientWidth) out.push(`${name}: cut at the right`);
  }
  for (const image of section.querySelectorAll('img.figure, .frames-pictures img')) {
    const box = image.getBoundingClientRect();
    if (box.height && box.height < 150 * scale) out.push(`<img> ${image.alt.slice(0, 40)}: too small to read`);
    if (!image.naturalWidth) out.push(`<img> ${image.alt.slice(0, 40)}: is broken`);
    if (image.alt.trim().length < 5) out.push('<img> without alt text');
  }
  return out;
}"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All decks of the course and the sample deck, built now."""
    out = tmp_path_factory.mktemp("dist")
    if DECKS:
        build(DECKS, out)
    build([SAMPLE], out, look_up, NUMBERS)
    return out


class Show:
    """A deck on the screen, and everything that its pages asked for or complained about."""

    def __init__(self, browser: Browser, path: Path):
        self.context = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.context.on("console", lambda message: message.type in ("error", "warning")
                        and self.complaints.append(message.text))
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page = self.context.new_page()
        self.address = path.as_uri()
        self.page.goto(self.address)
        self.slides = self.page.locator("svg.bespoke-marp-slide").count()

    def turn(self, number: int) -> None:
        """Show slide `number`, counted from 1."""
        self.page.goto(f"{self.address}#{number}")
        self.page.wait_for_function(
            "number => document.querySelector('svg.bespoke-marp-active section')?.id === String(number)", arg=number)

    def presenter(self) -> Page:
        """Open the presenter's window, as the key p does."""
        with self.context.expect_page() as opened:
            self.page.keyboard.press("p")
        opened.value.wait_for_selector(".bespoke-marp-presenter-note-container")
        return opened.value


@pytest.fixture
def show(browser: Browser, dist: Path, request: pytest.FixtureRequest) -> Iterator[Show]:
    """The deck that the test names, shown from its file."""
    shown = Show(browser, dist / f"{request.param}.html")
    yield shown
    shown.context.close()


every_deck = pytest.mark.parametrize("show", NAMES, indirect=True)


@every_deck
def test_every_slide_fits_and_nothing_is_asked_of_the_network(show: Show, tmp_path: Path) -> None:
    misfits = []
    for number in range(1, show.slides + 1):
        show.turn(number)
        if found := show.page.locator(SHOWN).evaluate(MISFITS):
            show.page.screenshot(path=tmp_path / f"{number:02}.png")
            misfits += [f"slide {number}: {misfit}" for misfit in found]
    presenter = show.presenter()
    presenter.wait_for_load_state()
    assert not misfits, "\n".join(misfits)
    assert [url[:80] for url in show.requests if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
    assert show.complaints == []


@every_deck
def test_math_is_drawn(show: Show) -> None:
    drawn = 0
    for number in range(1, show.slides + 1):
        show.turn(number)
        boxes = show.page.locator(SHOWN).evaluate(
            "s => [...s.querySelectorAll('mjx-container > svg')].map(m => [m.getBoundingClientRect().height, "
            "m.querySelectorAll('path, use').length])")
        assert all(height > 5 and strokes for height, strokes in boxes), f"slide {number}: {boxes}"
        words = show.page.locator(SHOWN).evaluate(
            "s => { const c = s.cloneNode(true);"
            " c.querySelectorAll('mjx-container, pre, code').forEach(m => m.remove()); return c.textContent; }")
        assert "$" not in words and "\\" not in words, f"slide {number} shows raw math: {words!r}"
        drawn += len(boxes)
    assert drawn


@every_deck
def test_demos_move_by_keys_and_do_not_turn_the_slide(show: Show) -> None:
    moved = 0
    for number in range(1, show.slides + 1):
        show.turn(number)
        for box in show.page.locator(SHOWN).locator(".frames").all():
            slider = box.locator("input[type=range]")
            assert slider.evaluate("s => s.labels[0].textContent.trim().length > 0")
            slider.press("Home")
            before = box.screenshot(), box.locator("output").inner_text(), box.locator(".frames-words").inner_text()
            slider.press("End")
            after = box.screenshot(), box.locator("output").inner_text(), box.locator(".frames-words").inner_text()
            assert all(a != b for a, b in zip(before, after, strict=True)), f"slide {number}: {before[1:]} {after[1:]}"
            assert box.locator("img:visible").count() == 1
            slider.press("ArrowLeft")
            assert box.locator("output").inner_text() != after[1]
            assert show.page.url.endswith(f"#{number}")
            moved += 1
    assert moved, "a deck needs at least one demo that moves"


@every_deck
def test_the_presenter_sees_the_note_of_every_slide(show: Show) -> None:
    presenter = show.presenter()
    for number in range(1, show.slides + 1):
        note = presenter.locator(".bespoke-marp-note.active")
        note.wait_for(state="visible")
        assert " min" in note.inner_text().split("·")[0], f"slide {number}: {note.inner_text()!r}"
        if number < show.slides:
            last = note.inner_text()
            presenter.keyboard.press("PageDown")
            presenter.wait_for_function(
                "last => document.querySelector('.bespoke-marp-note.active')?.innerText !== last", arg=last)
    show.page.wait_for_function("number => location.hash === '#' + number", arg=show.slides)  # the audience follows


@every_deck
def test_the_pdf_has_every_slide(show: Show, dist: Path) -> None:
    name = Path(show.address).stem
    assert len(PdfReader(dist / f"{name}.pdf").pages) == show.slides > 1


def test_a_slide_that_is_too_full_is_noticed(browser: Browser, dist: Path, tmp_path: Path) -> None:
    """The check of `test_every_slide_fits…` can fail."""
    page = (dist / "sample.html").read_text(encoding="utf-8")
    full = tmp_path / "full.html"
    full.write_text(page.replace("The trick in three lines", "The trick<br>" * 9), encoding="utf-8")
    show = Show(browser, full)
    show.turn(3)
    assert any("too low" in misfit for misfit in show.page.locator(SHOWN).evaluate(MISFITS))
    show.context.close()
