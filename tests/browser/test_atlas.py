"""The atlas in a real browser: with the network cut, a hand that hovers gets a name at once and a click shows the picture."""

import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from lab import ARGS, Lab, failures, run_all, write_notebook
from playwright.sync_api import Browser, FrameLocator, Page

from course_lib.codes.atlas import PLACES, Atlas
from course_lib.codes.figures_atlas import atlas_scatter
from course_lib.codes.world import RuleWorld
from course_lib.core.browser import find_browser
from course_lib.slots.scenes import COLOURS, SHAPES

OBJECTS = 5000
READY = "document.body.dataset.ready"
# Where object `row` is on the screen, as the chart draws it now.
SPOT = """row => {
  const chart = document.getElementById('chart'), layout = chart._fullLayout, box = chart.getBoundingClientRect();
  const trace = chart.data.find(trace => trace.customdata?.includes(row)), k = trace.customdata.indexOf(row);
  return [box.left + layout.xaxis._offset + layout.xaxis.d2p(trace.x[k]), box.top + layout.yaxis._offset + layout.yaxis.d2p(trace.y[k])];
}"""
WATCH = """() => {
  let moved = 0;
  window.took = [];
  document.addEventListener('mousemove', () => { moved = performance.now(); }, true);
  document.getElementById('chart').on('plotly_hover', () => window.took.push(performance.now() - moved));
}"""
PAINTED = """box => { const [x, y] = box, pen = document.getElementById('picture').getContext('2d');
  return [...pen.getImageData(x, y, 1, 1).data].slice(0, 3); }"""
NOTEBOOK = """
from course_lib.codes.atlas import collect, make_maps
from course_lib.codes.figures_atlas import atlas_scatter
from course_lib.core.weights import load_pretrained
from course_lib.slots.scenes import Shapes
atlas = collect(load_pretrained("slots_shapes"), Shapes(), 12)
atlas_scatter(atlas, make_maps(atlas, ("slots",), ("pca",)))
"""


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    """5000 objects of the rule world; their slots are their factors with noise, their codes are made up."""
    scenes = RuleWorld(32, seed=1).batch(range(-(-OBJECTS // 3)))
    rows = {name: scenes[name].flatten(0, 1)[:OBJECTS] for name in ("place", "kind", "colour_index", "size_index", "position", "size")}
    factors = {"place": rows["place"], "kind": rows["kind"], "colour": rows["colour_index"], "size": rows["size_index"]}
    slots = torch.stack(list(factors.values()), 1) + 0.3 * torch.randn(OBJECTS, 4, generator=torch.Generator().manual_seed(0))
    values = {"place": PLACES, "kind": tuple(SHAPES), "colour": tuple(COLOURS), "size": ("small", "large")}
    return Atlas(slots, torch.arange(2 * OBJECTS).view(-1, 2) % 512, slots, factors, values, torch.arange(OBJECTS) // 3, rows["position"],
                 rows["size"], (255 * scenes["image"]).round().byte().movedim(1, -1).contiguous(), {"merged": 0.0, "pieces": 0.0},
                 torch.zeros(OBJECTS, dtype=torch.bool))


@pytest.fixture(scope="module")
def file(atlas: Atlas, tmp_path_factory: pytest.TempPathFactory) -> Path:
    maps = {"PCA of slots": atlas.slots[:, [0, 2]].numpy(), "t-SNE of slots": atlas.slots[:, [2, 1]].numpy()}
    clusters = {"k-means": np.arange(OBJECTS) % 12}
    return atlas_scatter(atlas, maps, clusters=clusters).save(tmp_path_factory.mktemp("atlas") / "atlas.html")


class Shown:
    """The page from its file, without a network, and everything that it asked for or complained about."""

    def __init__(self, browser: Browser, file: Path):
        self.context = browser.new_context(viewport={"width": 1100, "height": 600}, offline=True)
        self.requests, self.complaints = [], []
        self.context.on("request", lambda request: self.requests.append(request.url))
        ours = ("ReadPixels", "getImageData")  # warnings about reading pixels, which plotly does to hover, and these tests to look
        self.context.on("console", lambda message: message.type in ("error", "warning") and not any(word in message.text for word in ours)
                        and self.complaints.append(message.text))
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page = self.context.new_page()
        self.page.goto(file.as_uri())
        self.page.wait_for_function(READY, timeout=60_000)

    def hover(self, row: int) -> str:
        """Move to object `row` from some way off; return what the label says."""
        x, y = self.page.evaluate(SPOT, row)
        self.page.mouse.move(x, y - 60)
        self.page.mouse.move(x, y)
        self.page.wait_for_timeout(150)  # plotly looks 20 times a second
        return " ".join(self.page.locator(".hoverlayer .hovertext").all_text_contents())


@pytest.fixture
def shown(browser: Browser, file: Path) -> Iterator[Shown]:
    page = Shown(browser, file)
    yield page
    page.context.close()


def outermost(atlas: Atlas) -> list[int]:
    """Objects at the rim of the first map, which no other hides."""
    x, y = atlas.slots[:, 0], atlas.slots[:, 2]
    return [int(value) for value in (x.argmax(), x.argmin(), y.argmax(), y.argmin())]


def test_hover_names_and_click_shows(shown: Shown, atlas: Atlas, tmp_path: Path) -> None:
    paint = (255 * torch.tensor(list(COLOURS.values()))).round().long()
    for row in outermost(atlas):
        label = shown.hover(row)
        assert all(part in label for part in atlas.words(row).split(", ")), label
        shown.page.mouse.down()
        shown.page.mouse.up()
        shown.page.wait_for_function("words => document.getElementById('words').textContent === words", arg=atlas.words(row))
        middle = ((atlas.position[row] + 1) * 240).tolist()
        assert shown.page.evaluate(PAINTED, middle) == paint[atlas.factors["colour"][row]].tolist()
        corner = [middle[0] - 1.1 * 240 * float(atlas.radius[row]), middle[1]]
        assert shown.page.evaluate(PAINTED, corner) == [255, 255, 255]  # the frame
        assert shown.page.locator("#row").input_value() == str(row + 1)
        assert shown.page.locator("#picture").get_attribute("aria-label") == atlas.words(row)
    shown.page.screenshot(path=tmp_path / "clicked.png")
    assert [url[:80] for url in shown.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert shown.complaints == []


def test_hover_answers_at_once(shown: Shown) -> None:
    shown.page.evaluate(WATCH)
    for row in range(0, OBJECTS, OBJECTS // 30):
        shown.hover(row)
    took = shown.page.evaluate("window.took")
    assert len(took) >= 25 and statistics.median(took) < 100, took  # ms; plotly looks every 50


def test_menus_and_keys(shown: Shown, atlas: Atlas, tmp_path: Path) -> None:
    page = shown.page
    page.select_option("#map", "t-SNE of slots")
    page.select_option("#colouring", "k-means")
    page.wait_for_function("document.getElementById('chart').data.length === 13")
    assert page.locator(".legendtext").all_text_contents()[0] == "cluster 1"
    page.locator("#row").fill("17")
    page.locator("#row").press("Enter")
    page.wait_for_function("words => document.getElementById('words').textContent === words", arg=atlas.words(16))
    page.screenshot(path=tmp_path / "menus.png")
    assert "Share" not in " ".join(page.locator(".modebar-btn").evaluate_all("buttons => buttons.map(b => b.dataset.title)"))
    assert shown.complaints == []


def test_without_webgl(browser: Browser, file: Path, atlas: Atlas) -> None:
    chromium = browser.browser_type.launch(executable_path=find_browser(), args=[*ARGS, "--no-sandbox", "--disable-3d-apis"])
    shown = Shown(chromium, file)
    assert shown.page.evaluate(READY) == "svg"
    row = outermost(atlas)[0]
    assert atlas.words(row).split(", ")[0] in shown.hover(row)
    chromium.close()


def test_in_jupyterlab(lab: Lab, page: Page, tmp_path: Path) -> None:
    lab.open(page, write_notebook(lab.folder, "atlas.ipynb", NOTEBOOK))
    assert failures(run_all(page)) == []
    frame: FrameLocator = page.frame_locator('iframe[title="atlas of objects"]')
    frame.locator("body[data-ready]").wait_for(timeout=60_000)
    frame.locator("#row").fill("3")
    frame.locator("#row").press("Enter")
    assert " codes " not in frame.locator("#words").inner_text() and ", " in frame.locator("#words").inner_text()
    page.screenshot(path=tmp_path / "lab.png")
