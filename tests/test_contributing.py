"""CONTRIBUTING.md, done to the letter in a copy of the course: files are written, commands run, and all of it is taken away again."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from course_lib.core.paths import ROOT

sys.path.append(str(ROOT / "tests" / "notebooks"))
from isolation import copy_checkout, run_watched  # noqa: E402

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^( *)```(\w+)(?: title=(\S+))?\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
EXTRAS = re.search(r"setup/venv.sh .venv (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]


class Copy:
    """A copy of the course with this environment as its .venv, and a hand that does what a section of the page says."""

    def __init__(self, folder: Path):
        self.folder = folder
        copy_checkout(folder)
        python = folder / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/bash\nPYTHONPATH={folder} exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        wanted = [f"{folder}[{EXTRAS}] constraints.txt\n", *((folder / name).read_text() for name in ("pyproject.toml", "constraints.txt"))]
        (folder / ".venv" / "installed").write_text("".join(wanted))  # so setup/venv.sh has nothing to do
        (folder / "slides" / "node_modules").symlink_to(ROOT / "slides" / "node_modules")
        (folder / ".git" / "info" / "exclude").write_text("node_modules\n")

    def do(self, section: str) -> str:
        """Write each file of a section and run each command, in order; return what was printed."""
        (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
        printed = ""
        for _, language, title, body in BLOCK.findall(text):
            body = textwrap.dedent(body)
            if title:
                (self.folder / title).write_text(body, encoding="utf-8")
                continue
            assert language == "bash", f"a block in {language} that is neither a file nor a command"
            if "readme" in body:
                self.copy_last_row()
            for line in body.splitlines():
                done = run_watched("bash", "-c", line, cwd=self.folder, OMP_NUM_THREADS="1")
                assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
                printed += done.stdout
        return printed

    def copy_last_row(self) -> None:
        """The row of the last notebook, below itself, with the new name and number."""
        readme = self.folder / "README.md"
        text = readme.read_text(encoding="utf-8")
        last = re.findall(r"^\| \[\d\d .*$", text, re.MULTILINE)[-1]
        name = re.search(r"notebooks/(\d\d_\w+)\.ipynb", last)[1]
        row = last.replace(name, "14_tiny").replace(name[:2], "14")
        readme.write_text(text.replace(last, f"{last}\n{row}"), encoding="utf-8")

    def changes(self) -> list[str]:
        """Return what git sees changed, a line each."""
        return subprocess.run(["git", "status", "--porcelain"], cwd=self.folder, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    made = Copy(tmp_path_factory.mktemp("contributing") / "course")
    assert made.changes() == []
    return made


def test_the_page_has_three_steps_for_each_of_three_things():
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert [section.splitlines()[0] for section in sections] == ["A notebook", "A deck", "An experiment", "And away again"]
    assert [re.findall(r"^(\d)\. ", section, re.MULTILINE) for section in sections[:3]] == [["1", "2", "3"]] * 3


def test_an_experiment_is_added_and_trained(copy):
    copy.do("An experiment")
    card = json.loads((copy.folder / "outputs" / "tiny.json").read_text(encoding="utf-8"))
    assert card["experiment"] == "tiny" and card["config"]["epochs"] == 1 and card["metrics"]["distortion"] > 0
    assert (copy.folder / "outputs" / "tiny.safetensors").exists()
    helped = subprocess.run([".venv/bin/python", "-m", "course_lib.train", "--help"], cwd=copy.folder, capture_output=True, text=True)
    assert "An autoencoder of one number, as small as it gets" in helped.stdout


def test_a_notebook_is_added_recorded_and_tested(copy):
    before = (copy.folder / "data" / "claims.json").read_text(encoding="utf-8")
    printed = copy.do("A notebook")
    claims = json.loads((copy.folder / "data" / "claims.json").read_text(encoding="utf-8"))
    new = {key: row for key, row in claims.items() if row["notebook"] == "14_tiny"}
    assert new.keys() == {"tiny.mean", "tiny.distance"} and {key: row for key, row in claims.items() if key not in new} == json.loads(before)
    assert f"It is {new['tiny.mean']['value']:.2f}".replace("-", "−") in (copy.folder / "notebooks" / "14_tiny.ipynb").read_text(encoding="utf-8")
    assert re.search(r"\b\d+ passed", printed) and "failed" not in printed


def test_a_deck_that_shows_it_is_added_and_then_all_is_taken_away(copy):
    for section, made in (("An experiment", "course_lib/latents/recipe_tiny.py"), ("A notebook", "notebooks/14_tiny.ipynb")):
        if not (copy.folder / made).exists():  # this test runs alone
            copy.do(section)
    copy.do("A deck")
    assert {path.name for path in (copy.folder / "slides" / "dist").iterdir()} >= {"5_tiny.html", "5_tiny.pdf"}
    assert "5_tiny" in (copy.folder / "slides" / "MAP.md").read_text(encoding="utf-8")
    assert len(copy.changes()) >= 7
    copy.do("And away again")
    assert copy.changes() == []


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md")), ids=lambda path: path.stem)
def test_an_issue_template_has_a_name_and_asks_for_something(path):
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    assert {"name", "about", "labels"} == yaml.safe_load(head).keys() and body.count("**") >= 6


def test_the_environment_of_the_copy_is_that_of_the_copy(copy):
    done = subprocess.run([".venv/bin/python", "-c", "import course_lib; print(course_lib.__file__)"], cwd=copy.folder,
                          env=os.environ, capture_output=True, text=True)
    assert Path(done.stdout.strip()).is_relative_to(copy.folder)
