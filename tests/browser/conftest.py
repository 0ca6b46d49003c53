"""A headless browser and a private JupyterLab for the tests in this folder."""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "notebooks", HERE.parent / "slides", HERE.parents[1] / "slides"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

from isolation import prefix  # noqa: E402
from lab import Lab, copy_notebooks, launch  # noqa: E402

from course_lib.core.paths import ROOT  # noqa: E402


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a file of tests; closed with it, because Playwright's loop must not outlive them."""
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page, 1280 × 1000."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """JupyterLab over copies of the learner's notebooks, with the short live training of CI, and with kernels that are cut
    off from the network and cannot write to the checkout."""
    with TemporaryDirectory() as short:  # a test's own folder has too long a path for Lab's `cut_off`
        folder, dead = Path(short), "http://127.0.0.1:9"
        copy_notebooks(ROOT / "notebooks", folder / "notebooks")
        server = Lab(folder / "notebooks", folder / "state", prefix(), COURSE_FAST="1", http_proxy=dead, https_proxy=dead)
        yield server
        server.stop()
