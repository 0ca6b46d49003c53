"""JupyterLab driven as a person would: a private server, *Run All* that waits for the kernel, and hands on sliders."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import nbformat
from playwright.sync_api import Browser, Page, Playwright

from course_lib.core.browser import find_browser

# No GPU, no first-run page, no traffic of the browser's own.
ARGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"]

# The toolbar says "idle" before the kernel is connected, and running then does nothing and reports success.
# So: wait for document, session and kernel; run; then believe only the execution counts.
RUN_ALL = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  const connected = (async () => {
    await panel.context.ready; await panel.sessionContext.ready; await panel.sessionContext.session.kernel.info; })();
  await Promise.race([connected, new Promise((_, reject) =>
    setTimeout(() => reject(new Error('the notebook found no kernel within 90 s')), 90000))]);
  const finished = await window.jupyterapp.commands.execute('notebook:run-all-cells');
  const cells = [...panel.content.model.cells].filter(cell => cell.type === 'code' && cell.sharedModel.source.trim());
  return {finished, cells: cells.map(cell => ({
    count: cell.executionCount,
    source: cell.sharedModel.source.slice(0, 80),
    errors: cell.outputs.toJSON().flatMap(o => o.output_type === 'error' ? [`${o.ename}: ${o.evalue}`]
      : `${o.data?.['text/plain'] ?? ''}`.startsWith('<Figure') && !o.data['image/png']
      ? ['a figure without its picture'] : [])}))};
}"""

# Cells off the screen are not drawn, or taken out of the page again: visit every cell that shows a widget, and either
# stop at the first that has `selector`, or (without one) collect the names of all sliders and of all lists and buttons
# that belong to explorers.
VISIT = """async selector => {
  const notebook = window.jupyterapp.shell.currentWidget.content, sliders = new Set(), choices = new Set();
  const pause = () => new Promise(done => setTimeout(done, 50));
  for (const [index, cell] of notebook.widgets.entries()) {
    const outputs = cell.model.type === 'code' ? cell.model.outputs.toJSON() : [];
    if (!outputs.some(output => output.data?.['application/vnd.jupyter.widget-view+json'])) continue;
    notebook.activeCellIndex = index;
    await notebook.scrollToItem(index, 'start');
    const drawn = () => [...cell.node.querySelectorAll('.jupyter-widgets img, .noUi-handle')];
    for (let wait = 0; wait < 60 && !drawn().length; wait++) await pause();
    if (selector && cell.node.querySelector(selector)) return true;
    for (const [names, parts] of [[sliders, '.noUi-handle'], [choices, 'select, .widget-toggle-buttons button']])
      for (const part of [...cell.node.querySelectorAll(parts)].filter(part => part.getClientRects().length))  // in sight
        for (const name of part.closest('[class*=" explorer-"]')?.classList ?? [])
          if (name.startsWith('explorer-')) names.add(name.slice('explorer-'.length));
  }
  return selector ? false : {sliders: [...sliders], choices: [...choices]};
}"""

# Runs a piece of code in the kernel of the open notebook; what it prints, and its error if it has one.
ASK = """async code => {
  const {kernel} = window.jupyterapp.shell.currentWidget.sessionContext.session;
  let printed = '', error = '';
  const future = kernel.requestExecute({code});
  future.onIOPub = ({header, content}) => {
    if (header.msg_type === 'stream') printed += content.text;
    if (header.msg_type === 'error') error = `${content.ename}: ${content.evalue}`; };
  await future.done;
  return {printed, error};
}"""

BYTES = "async img => Array.from(new Uint8Array(await (await fetch(img.src)).arrayBuffer()))"


class Lab:
    """A JupyterLab server over `folder` with its own settings, a free port and its token on; ended by its pid."""

    def __init__(self, folder: Path, state: Path, cut_off: tuple[str, ...] = (), **environment: str):
        """Start it. Files beside the notebooks are written to `folder` only, all else to `state`.

        With `cut_off`, the command that isolates what follows it (see isolation.py), every kernel runs isolated, and talks
        to the server through files in `state`, whose path must be short (at most 50 characters).
        """
        private = {f"JUPYTER_{kind}_DIR": str(state / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        private["JUPYTER_PATH"] = private["JUPYTER_DATA_DIR"]  # before what the environment of this Python has, a kernel for one
        private["IPYTHONDIR"] = str(state / "ipython")
        news = state / "config/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
        news.parent.mkdir(parents=True, exist_ok=True)
        news.write_text('{"fetchNews": "false"}')  # or it asks, over the page
        self.folder = folder
        self.log = state / "server.log"
        options = ["--no-browser", "--ip=127.0.0.1", "--port=0", f"--ServerApp.root_dir={folder}",
                   "--LabApp.extension_manager=readonly", "--expose-app-in-browser"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            options.append("--allow-root")
        if cut_off:
            options.append("--KernelManager.transport=ipc")
            kernel = state / "data/kernels/python3/kernel.json"
            kernel.parent.mkdir(parents=True)
            kernel.write_text(json.dumps({"argv": [*cut_off, sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                                          "display_name": "Python 3 (cut off)", "language": "python"}))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options], cwd=folder, stdout=log, stderr=log,
                env={**os.environ, **private, **environment})
        self.url, self.token = self._address(state / "runtime")

    def _address(self, runtime: Path, seconds: float = 90) -> tuple[str, str]:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            for path in runtime.glob("jpserver-*.json"):
                if (text := path.read_text()) and self._listens((server := json.loads(text))["port"]):
                    return server["url"].rstrip("/"), server["token"]
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text()[-2000:]}")

    @staticmethod
    def _listens(port: int) -> bool:
        """Whether the port answers: the server writes its address down before it binds to it."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def stop(self) -> None:
        """End the server and its kernels."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ask(self, path: str, method: str = "GET") -> bytes:
        request = Request(f"{self.url}/api/{path}", method=method, headers={"Authorization": f"token {self.token}"})
        with urlopen(request, timeout=60) as answer:
            return answer.read()

    def open(self, page: Page, name: str) -> None:
        """Open the notebook `name` in a fresh workspace. Kernels of notebooks before it are ended: each holds a gigabyte."""
        for session in json.loads(self._ask("sessions")):
            self._ask(f"sessions/{session['id']}", "DELETE")
        page.goto(f"{self.url}/lab/workspaces/w{time.monotonic_ns()}/tree/{name}?token={self.token}", timeout=90_000)
        page.wait_for_selector(".jp-Notebook", timeout=90_000)


def launch(playwright: Playwright) -> Browser:
    """Start the installed Chromium without a window."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return playwright.chromium.launch(executable_path=find_browser(), args=ARGS + ["--no-sandbox"] * root)


def run_all(page: Page) -> list[dict]:
    """Run the notebook from top to bottom; return count, source and errors of every code cell."""
    result = page.evaluate(RUN_ALL)
    assert result["finished"] or any(cell["errors"] for cell in result["cells"]), "Run All was not carried out"
    return result["cells"]


def failures(cells: list[dict]) -> list[str]:
    """Return what went wrong in `run_all`: cells that raised, and cells that never ran."""
    return [f"{cell['source']!r}: {'; '.join(cell['errors']) or 'was not executed'}"
            for cell in cells if cell["errors"] or not cell["count"]]


def ask(page: Page, code: str) -> dict[str, str]:
    """Run code in the kernel of the open notebook; return what it `printed` and its `error` ("" if it has none)."""
    return page.evaluate(ASK, code)


def controls(page: Page) -> dict[str, list[str]]:
    """Return the names of all controls of explorers that are `sliders`, and of the `choices`: drop-down lists and buttons side
    by side; in the order of the notebook."""
    return page.evaluate(VISIT, None)


class Hand:
    """A hand on the explorer that holds the control `name`: moves a slider by keys, picks from a list, presses a button,
    and looks at picture and words."""

    def __init__(self, page: Page, name: str):
        assert page.evaluate(VISIT, f".explorer-{name}"), f"no control explorer-{name} in this notebook"
        self.page = page
        self.box = page.locator(".widget-vbox", has=page.locator(f".explorer-{name}")).first
        self.control = self.box.locator(f".explorer-{name}").first
        self.control.scroll_into_view_if_needed()

    def press(self, key: str) -> None:
        self.control.locator(".noUi-handle").first.focus()
        self.page.keyboard.press(key)

    def options(self) -> int:
        """Return how many options the list has, or how many buttons stand side by side."""
        return self.control.locator("option, button").count()

    def choose(self, number: int) -> None:
        """Pick an option of the list, or press a button, counted from 0."""
        if (listed := self.control.locator("select")).count():
            listed.select_option(index=number)
        else:
            self.control.locator("button").nth(number).click()

    def picture(self) -> bytes:
        return bytes(self.box.locator("img.explorer-picture").first.evaluate(BYTES))

    def words(self) -> str:
        return self.box.locator(".explorer-words").first.inner_text()

    def settle(self, seconds: float = 10, still: float = 0.5) -> tuple[bytes, str]:
        """Wait until picture and words have not changed for `still` seconds; return both."""
        end, seen, since = time.monotonic() + seconds, None, 0.0
        while time.monotonic() < end:
            now = self.picture(), self.words()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > still and "still computing" not in now[1]:
                return now
            self.page.wait_for_timeout(50)
        raise AssertionError("the explorer never came to rest")


def write_notebook(folder: Path, name: str, *cells: str) -> str:
    """Write a notebook of code cells for this Python; return its name."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / name)
    return name


def copy_notebooks(source: Path, folder: Path) -> None:
    """Copy the notebooks, because JupyterLab saves what it opens."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*.ipynb"):
        shutil.copy(path, folder)
