"""The archive of `make release`: unpacked into an empty folder, with the network cut and no checkout, everything in it opens."""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page

from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT
from setup import release
from setup.pages import linked, still

sys.path.append(str(ROOT / "tests" / "notebooks"))
from isolation import execute_isolated, run_watched  # noqa: E402

NOTEBOOK, DECK = "00_welcome", "1_latents"
SEEN = "[...document.images].filter(i => i.getClientRects().length && i.naturalWidth > 100 && i.alt !== undefined).length"
WHERE = "import course_lib, course_lib.core.paths as paths\nprint(course_lib.__file__)\nprint(paths.DATA)"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of one notebook and one deck, by the command line."""
    out = tmp_path_factory.mktemp("release") / "small.zip"
    done = run_watched(sys.executable, "-m", "setup.release", "--notebooks", NOTEBOOK, "--decks", DECK, "--out", str(out), cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.name for path in out.parent.iterdir()] == ["small.zip"] and done.stdout.startswith(str(out))
    return out


@pytest.fixture(scope="module")
def folder(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive unpacked: the one folder in it."""
    empty = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(archive) as file:
        file.extractall(empty)
    (only,) = empty.iterdir()
    return only


class Offline:
    """A page without a network, and every address outside the file system that it asked for."""

    def __init__(self, browser: Browser):
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
        self.asked: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page: Page = self.context.new_page()

    def left(self) -> list[str]:
        """Return the requests that would have left the machine."""
        return [address[:80] for address in self.asked if not address.startswith(("file:", "data:", "blob:", "about:"))]


@pytest.fixture
def offline(browser: Browser) -> Iterator[Offline]:
    shown = Offline(browser)
    yield shown
    shown.context.close()


def test_every_file_is_there_once_and_has_its_checksum(folder: Path) -> None:
    sums = dict(reversed(line.split("  ", 1)) for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == sums
    wanted = {f"notebooks/{NOTEBOOK}.ipynb", f"notebooks/solutions/{NOTEBOOK}.ipynb", f"html/{NOTEBOOK}.html", "html/mathjax.js",
              f"slides/{DECK}.html", f"slides/{DECK}.pdf", "constraints.txt", "README.md", "LICENSE", "GLOSSARY.md"}
    assert wanted <= files.keys() and len([name for name in files if name.endswith(".whl")]) == 1
    weights = {path.name for path in (ROOT / "data" / "weights").iterdir()}
    assert weights == {Path(name).name for name in files if name.startswith("data/weights/")}


def test_the_readme_names_what_is_there(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    (wheel,) = (folder / "wheel").iterdir()
    assert text.count(f'"wheel/{wheel.name}[lab]"') == 3 and "{" not in text
    for name in ("slides", "html", "notebooks", "notebooks/solutions", "data", "wheel"):
        assert f"`{name}/`" in text and (folder / name).is_dir()


def test_a_page_opens_with_its_pictures_and_formulas_and_asks_for_nothing(folder: Path, offline: Offline, tmp_path: Path) -> None:
    page = offline.page
    page.goto((folder / "html" / f"{NOTEBOOK}.html").as_uri())
    page.wait_for_selector("mjx-container > svg path, mjx-container > svg use", state="attached")
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    words = page.evaluate("() => { const c = document.body.cloneNode(true); c.querySelectorAll('mjx-container, pre, script, style')"
                          ".forEach(m => m.remove()); return c.textContent; }")
    assert "$" not in words and "1 · The map" in words and "Open in Colab" not in words
    pictures = page.evaluate("[...document.images].map(i => [i.src.slice(0, 15), i.naturalWidth])")
    assert len(pictures) >= 7 and all(source == "data:image/png;" and width > 100 for source, width in pictures)
    assert "β: 1" in words and "rate" in page.locator("p[role=status]").first.inner_text()  # the explorer: where it stands, what it says
    links = page.evaluate("[...document.links].map(a => a.getAttribute('href')).filter(h => /^\\d\\d_/.test(h))")
    assert links and all(link.endswith(".html") for link in links)
    assert offline.left() == []


def test_a_deck_opens_and_turns_and_asks_for_nothing(folder: Path, offline: Offline) -> None:
    address = (folder / "slides" / f"{DECK}.html").as_uri()
    offline.page.goto(address)
    shown = "svg.bespoke-marp-active section"
    assert offline.page.locator(shown).get_attribute("id") == "1"
    offline.page.keyboard.press("ArrowRight")
    offline.page.wait_for_function("s => document.querySelector(s).id === '2'", arg=shown)
    assert offline.left() == [] and (folder / "slides" / f"{DECK}.pdf").read_bytes().startswith(b"%PDF")


def test_a_notebook_runs_with_the_wheel_and_finds_its_weights(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (wheel,) = (folder / "wheel").iterdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(tmp_path / "site"), str(wheel)]
    assert subprocess.run(install, capture_output=True).returncode == 0
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))  # before the editable checkout, which would be found else
    monkeypatch.delenv("COURSE_DATA", raising=False)
    notebook = nbformat.read(folder / "notebooks" / f"{NOTEBOOK}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(WHERE))
    done = execute_isolated(notebook, folder / "notebooks")
    library, data = done.cells[-1].outputs[0]["text"].split()
    assert Path(library).is_relative_to(tmp_path / "site") and Path(data) == folder / "data"
    assert "✓ welcome.kl_at_beta_1" in str(done.cells)


def test_a_notebook_that_fails_fails_the_release_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(notebook, *arguments, **environment):
        notebook.cells = [nbformat.v4.new_code_cell("raise ValueError('so\\nit is')")]
        real(notebook, *arguments, **environment)

    real = release.execute
    monkeypatch.setattr(release, "execute", broken)
    monkeypatch.setattr(release, "build_decks", lambda sources, out: None)
    monkeypatch.setattr(release, "DIST", tmp_path / "dist")
    with pytest.raises(BadInput, match=r"notebooks/solutions/00_welcome\.ipynb does not run to its end \(ValueError: so\)") as error:
        release.release(tmp_path / "out" / "course.zip", [NOTEBOOK], [DECK])
    assert "\n" not in str(error.value) and list(tmp_path.rglob("*")) == []


def test_an_unknown_name_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing is called '99_gone' in notebooks/; there are: 00_welcome, "):
        release.release(tmp_path / "course.zip", ["99_gone"], [])
    assert list(tmp_path.iterdir()) == []


def test_what_a_widget_shows_stands_still() -> None:
    def widget(kind: str, **state) -> dict:
        return {"model_name": f"{kind}Model", "state": state, "buffers": [{"path": ["value"], "encoding": "base64", "data": "AAAA"}]}

    widgets = {"box": widget("VBox", children=["IPY_MODEL_row", "IPY_MODEL_picture", "IPY_MODEL_words"]),
               "row": widget("HBox", children=[f"IPY_MODEL_{name}" for name in ("stops", "tick", "play", "mute")]),
               "stops": widget("SelectionSlider", description="β <", _options_labels=["0.1", "1"], index=1),
               "tick": widget("Checkbox", description="loud", value=False), "play": widget("Play", description="go", value=0, interval=9),
               "mute": widget("IntSlider", description="", value=3), "picture": widget("Image", format="png"),
               "words": widget("HTML", value="<p>said</p>", description="")}
    shown = still("box", widgets)
    assert "<span>β &lt;: <b>1</b></span><span>loud: <b>False</b></span></div>" in shown
    assert shown.index("data:image/png;base64,AAAA") < shown.index("<p>said</p>")


def test_links_of_a_page() -> None:
    text = "[next](02_autoencoder.ipynb), [record](../../data/runs/a.json), ![stills](../../data/pictures/a.png)"
    assert linked(text) == "[next](02_autoencoder.html), [record](../data/runs/a.json), ![stills](data/pictures/a.png)"
