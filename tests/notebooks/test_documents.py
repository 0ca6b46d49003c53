"""What a reader opens is fresh, well formed and leads somewhere: notebooks, README and decks as they are committed."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

from course_lib.core.claims import QUOTE, quotable
from course_lib.core.paths import ROOT
from notebooks.build import BADGE, MARKER, SETUP, course, refresh, relink, stale

SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
LEARNERS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
NOTEBOOKS = [*LEARNERS, *sorted((ROOT / "notebooks" / "solutions").glob("[0-9]*.ipynb"))]
DECKS = sorted((ROOT / "slides").glob("[0-9]*.md"))
PAGES = [*NOTEBOOKS, *sorted(ROOT.glob("*.md")), *sorted((ROOT / "data").glob("*.md")), *DECKS]
FENCE = re.compile(r"^(```|~~~).*?^\1|<!--.*?-->|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)[^)]*\)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)")
SPOKEN = re.compile(r'alt="[^"]{5,}"')
SAYS_NOTHING = {"", "here", "link", "this", "click here", "this link", "read more", "more"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def markdown(path: Path) -> str:
    """Return what a reader sees as text: the markdown of a page or notebook without code and comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return FENCE.sub("", text)


def heading_problems(text: str) -> list[str]:
    """Return what is wrong with the order of headings: one of level 1, it comes first, and no level is skipped."""
    levels = [len(marks) for marks in re.findall(r"^(#{1,6})\s+\S", text, re.MULTILINE)]
    found = [] if levels.count(1) == 1 and levels[0] == 1 else ["not exactly one title, first of all headings"]
    return found + [f"a jump from level {a} to {b}" for a, b in zip(levels, levels[1:]) if b > a + 1]


def link_problems(text: str, folder: Path) -> list[str]:
    """Return each picture without words, each link whose text says nothing, and each target that does not exist."""
    found = [f"no alternative text for {target}" for alt, target in IMAGE.findall(text) if len(alt.strip()) < 5]
    found += [f"<img> without alt: {tag}" for tag in re.findall(r"<img[^>]*>", text) if not SPOKEN.search(tag)]
    found += [f"the link text {words!r} says nothing" for words, _ in LINK.findall(text)
              if words.strip().lower() in SAYS_NOTHING]
    targets = [target for _, target in LINK.findall(text) + IMAGE.findall(text)]
    targets += re.findall(r'(?:src|href)="([^"]+)"', text)
    for target in targets:
        if not re.match(r"[a-z]+:|#", target) and not (folder / unquote(target.split("#")[0])).exists():
            found.append(f"nothing is at {target}")
    return found


def test_there_is_a_course():
    assert [path.stem for path in SOURCES][:4] == ["00_welcome", "01_decoder_collapse", "02_autoencoder", "03_vae_beta"]
    assert len(NOTEBOOKS) == 2 * len(SOURCES)


def test_every_derived_file_is_fresh():
    assert [name(path) for path in stale()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_notebook_is_valid_has_its_badge_the_setup_cell_and_no_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source.splitlines()[0] == BADGE.format(path=name(path), **course())
    assert [cell.source == SETUP.format(**course()) for cell in notebook.cells].index(True) == 1
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum("check_environment" in cell.source for cell in code) == 1
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "### BEGIN" not in path.read_text() and "# stub:" not in path.read_text()


@pytest.mark.parametrize("path", [path for path in PAGES if path not in DECKS], ids=name)
def test_headings_are_in_order(path):
    assert heading_problems(markdown(path)) == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_pictures_have_words_and_links_lead_somewhere(path):
    assert link_problems(markdown(path), path.parent) == []


@pytest.mark.parametrize("path", [path for path in PAGES if path.suffix == ".md"], ids=name)
def test_addresses_of_the_course_are_those_of_pyproject_and_exist(path):
    text = path.read_text(encoding="utf-8")
    assert relink(text, course()) == text, "run `make links`"
    ours = rf"github(?:\.com)?/{course()['repo']}/(?:blob|tree)/{course()['branch']}/([^)\s\"#]+)"
    assert [target for target in re.findall(ours, text) if not (ROOT / target).exists()] == []


def test_every_quoted_number_was_measured_and_readme_is_up_to_date():
    numbers = quotable()
    quoted = {match[1]: name(path) for path in [*SOURCES, *DECKS] for match in QUOTE.finditer(path.read_text())}
    for path in PAGES:
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            quoted |= {marker["quote"].split(":")[0]: name(path) for marker in MARKER.finditer(text)}
            assert refresh(text, numbers) == text, f"a number in {name(path)} is old; run `make notebooks`"
    assert {key: where for key, where in quoted.items() if key not in numbers} == {}


def test_readme_has_a_badge_and_minutes_for_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in LEARNERS:
        assert BADGE.format(path=name(path), **course()).split("](")[-1] in readme
        assert f"<!--=minutes.{path.stem}" in readme


def test_every_claim_belongs_to_a_notebook_that_exists():
    claims = json.loads((ROOT / "data" / "claims.json").read_text(encoding="utf-8"))
    assert claims and {row["notebook"] for row in claims.values()} <= {path.stem for path in SOURCES}


@pytest.mark.parametrize("text, problem", [
    ("# A\n\n### B", "jump"), ("## A", "title"), ("# A\n\n# B", "title"), ("## A\n\n# B", "title"),
])
def test_wrong_headings_are_found(text, problem):
    assert problem in " ".join(heading_problems(text)) and heading_problems("# A\n\n## B\n\n### C\n\n## D") == []


@pytest.mark.parametrize("text, problem", [
    ("![](README.md)", "alternative"), ('<img src="README.md">', "alt"), ("[here](README.md)", "says nothing"),
    ("[the missing page](missing.md)", "nothing is at"), ('<img src="missing.svg" alt="a long text">', "nothing is at"),
])
def test_wrong_links_and_pictures_are_found(text, problem):
    assert problem in " ".join(link_problems(text, ROOT))
    assert link_problems("[![a badge](README.md)](README.md) [web](https://example.org) [up](#top)", ROOT) == []
