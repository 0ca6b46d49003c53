"""One source, two notebooks: `notebooks/source/NN_topic.py` -> `notebooks/NN_topic.ipynb` and its solutions copy.

A source is a jupytext py:percent file. Its first cell is markdown and starts with the title. This program adds the
Colab badge and the set-up cell, fills every `{{key}}` in markdown with its measured number, and for the learner's copy

* replaces what stands between `### BEGIN SOLUTION` and `### END SOLUTION` by the lines `# stub: CODE` that open the
  block (harmless code, so that Run All never stops), and
* drops every cell tagged `solution-only`.

Nothing else is ever written into a notebook, so both copies can be made again at any time and compared word by word.
README.md quotes numbers between markers, `<!--=key:.2f-->0.92<!--/-->`, and they are refreshed here as well.
"""

import argparse
import hashlib
import re
import sys
import tomllib
from pathlib import Path

import jupytext
import nbformat

from course_lib.core.claims import QUOTE, fill, quotable
from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT, atomic
from notebooks.glossary import glossary

SETUP = """\
# Set-up, the same in every notebook: Colab fetches the course first (and keeps the torch it has).
import sys; from importlib.util import find_spec
if "google.colab" in sys.modules and not find_spec("course_lib"):
    !git clone --quiet --depth 1 --branch {branch} https://github.com/{repo} /content/course
    !pip freeze | grep -E "^torch(vision)?==" > /content/torch.txt
    !pip install --quiet --constraint /content/torch.txt --editable /content/course
    sys.path.insert(0, "/content/course")  # found at once, without a restart
if not find_spec("course_lib"):
    raise SystemExit("course_lib is not installed: run `make lab` in the course's folder; in Colab, see the lines above.")
from course_lib.core.environment import check_environment; check_environment()"""
BADGE = ("[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
         "(https://colab.research.google.com/github/{repo}/blob/{branch}/{path})")
SOLUTION = re.compile(r"^(?P<indent>[ \t]*)### BEGIN SOLUTION[ \t]*\n(?P<stub>(?:[ \t]*# stub: ?[^\n]*\n)*)"
                      r"(?P<body>.*?)^[ \t]*### END SOLUTION[ \t]*\n?", re.DOTALL | re.MULTILINE)
STUB = re.compile(r"^([ \t]*)# stub: ?", re.MULTILINE)
Numbers = dict[str, float | str]  # what prose may quote, by key
YOUR_TURN = "# Your turn: what follows is only a placeholder."
MARKER = re.compile(r"<!--=(?P<quote>[^>]+?)-->.*?<!--/-->", re.DOTALL)
OURS = re.compile(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/"
                  r"|git clone \S*github\.com/([\w.-]+/[\w.-]+)|mybinder\.org/v2/gh/([\w.-]+/[\w.-]+)/")


def course(root: Path = ROOT) -> dict[str, str]:
    """Return [tool.course] of pyproject.toml: the published `repo` ("owner/name") and its `branch`."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["course"]


def numbers_of(root: Path, unfilled: bool = False) -> Numbers:
    """Return every quotable number; with `unfilled`, a "?" for each one that no run has measured yet."""
    numbers = quotable(root / "data")
    if unfilled:
        texts = [*sorted((root / "notebooks" / "source").glob("*.py")), root / "README.md"]
        found = "".join(path.read_text(encoding="utf-8") for path in texts if path.exists())
        found += "".join(f"{{{{{marker['quote']}}}}}" for marker in MARKER.finditer(found))
        numbers = {match[1]: "?" for match in QUOTE.finditer(found)} | numbers
    return numbers


def solution_code(code: str) -> str:
    """Return the code of a solutions copy: the solution stays, its markers and the stub go."""
    return SOLUTION.sub(lambda block: block["body"], code).rstrip("\n")


def learner_code(code: str) -> str:
    """Return the code of a learner's copy: each solution is replaced by its stub. Raises `BadInput` without one."""
    def replace(block: re.Match) -> str:
        if not block["stub"]:
            raise BadInput("a solution without a stub: put `# stub: CODE` right after ### BEGIN SOLUTION.")
        return f"{block['indent']}{YOUR_TURN}\n" + STUB.sub(r"\1", block["stub"])

    return SOLUTION.sub(replace, code).rstrip("\n")


def build(source: str, name: str, *, solution: bool, tool_course: dict[str, str], numbers: Numbers) -> str:
    """Return one notebook, as the text of its file, from the text of a source called `name` ("01_topic").

    Raises `BadInput` when the source does not start with a markdown title, a marker is left over, a solution has no
    stub, or a number is quoted that nothing measured.
    """
    try:
        cells = jupytext.reads(source, fmt="py:percent").cells
        if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
            raise BadInput("the first cell must be markdown and start with the title, `# Title`.")
        path = f"notebooks/{'solutions/' * solution}{name}.ipynb"
        badge = nbformat.v4.new_markdown_cell(BADGE.format(path=path, **tool_course))
        cells[0].source = f"{badge.source}\n\n{cells[0].source}"
        cells.insert(1, nbformat.v4.new_code_cell(SETUP.format(**tool_course)))
        made, seen = [], {}
        for cell in cells:
            seen[cell.source] = seen.get(cell.source, 0) + 1
            tags = cell.metadata.get("tags", [])
            if solution or "solution-only" not in tags:
                made.append(_cell(cell, tags, f"{seen[cell.source]} {cell.source}", solution, numbers))
    except BadInput as error:
        raise BadInput(f"notebooks/source/{name}.py: {error}") from None
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python"}}
    notebook = nbformat.v4.new_notebook(cells=made, metadata=metadata, nbformat_minor=5)
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def _cell(cell, tags: list[str], identity: str, solution: bool, numbers: Numbers):
    text = cell.source
    if cell.cell_type == "markdown":
        text = fill(text, numbers)
        if solution:  # this copy lies one folder deeper
            text = text.replace("](../", "](../../")
    elif cell.cell_type == "code":
        text = solution_code(text) if solution else learner_code(text)
        if "### BEGIN SOLUTION" in text or "### END SOLUTION" in text or "# stub:" in text:
            raise BadInput("a solution marker without its partner, or a stub outside a solution.")
    cell_id = hashlib.sha256(identity.encode()).hexdigest()[:12]  # the same in every build, and in both copies
    made = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")(text, id=cell_id)
    if tags:
        made.metadata["tags"] = tags
    return made


def refresh(text: str, numbers: Numbers) -> str:
    """Return markdown with the number between each pair of markers measured anew."""
    return MARKER.sub(lambda m: f"<!--={m['quote']}-->{fill('{{' + m['quote'] + '}}', numbers)}<!--/-->", text)


def relink(text: str, tool_course: dict[str, str]) -> str:
    """Return markdown whose Colab, Binder, GitHub and clone addresses of the course name the repository of [tool.course]."""
    repo, branch = tool_course["repo"], tool_course["branch"]
    for old in {name.removesuffix(".git") for pair in OURS.findall(text) for name in pair if name}:
        place = rf"(github(?:\.com)?/){re.escape(old)}"
        text = re.sub(rf"{place}/(blob|tree)/[^/\s)]+/", rf"\g<1>{repo}/\g<2>/{branch}/", text)
        text = re.sub(rf"{place}(?![\w-])", rf"\g<1>{repo}", text)
        text = re.sub(rf"(mybinder\.org/v2/gh/){re.escape(old)}/[^?)\s]+", rf"\g<1>{repo}/{branch}", text)
    return text


def derived(root: Path = ROOT, numbers: Numbers | None = None) -> dict[Path, str]:
    """Return what every derived file should hold: two notebooks for each source, README.md, and the glossary if there is one."""
    numbers = numbers_of(root) if numbers is None else numbers
    folder, tool_course, texts = root / "notebooks", course(root), {}
    for path in sorted((folder / "source").glob("*.py")):
        source, name = path.read_text(encoding="utf-8"), path.stem
        for target, solution in ((folder, False), (folder / "solutions", True)):
            text = build(source, name, solution=solution, tool_course=tool_course, numbers=numbers)
            texts[target / f"{name}.ipynb"] = text
    if (folder / "glossary.toml").exists():
        texts[root / "GLOSSARY.md"] = glossary(folder, numbers)
    readme = root / "README.md"
    return texts | {readme: refresh(readme.read_text(encoding="utf-8"), numbers)}


def stale(root: Path = ROOT) -> list[Path]:
    """Return each derived file whose content is not what its source gives, and each notebook without a source."""
    texts = derived(root)
    orphans = [path for path in sorted((root / "notebooks").rglob("[0-9]*.ipynb"))
               if path not in texts and ".ipynb_checkpoints" not in path.parts]
    return [path for path, text in texts.items() if not _holds(path, text)] + orphans


def write(root: Path = ROOT, *, unfilled: bool = False) -> list[Path]:
    """Write every derived file that is stale and return their paths. Nothing is written when one source is wrong."""
    texts = derived(root, numbers_of(root, unfilled))
    changed = [path for path, text in texts.items() if not _holds(path, text)]
    for path in changed:
        _put(path, texts[path])
    return changed


def rewrite_links(root: Path = ROOT) -> list[Path]:
    """Make the pages at the root, slides and notebooks name the repository of [tool.course]; return the files that changed."""
    changed = []
    for path in [*sorted(root.glob("*.md")), *sorted((root / "slides").glob("*.md"))]:
        text = relink(path.read_text(encoding="utf-8"), course(root))
        if not _holds(path, text):
            _put(path, text)
            changed.append(path)
    return changed + write(root)


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _put(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status: 0, 1 when `check` finds stale files, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="notebooks.build", description="One source, two notebooks.")
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write", help="write the derived notebooks and refresh the numbers of README.md")
    writing.add_argument("--unfilled", action="store_true", help="put ? for a number that nothing has measured yet")
    commands.add_parser("check", help="list every stale file (contents are compared, never times)")
    commands.add_parser("links", help="write [tool.course] into every badge, link and clone line")
    options = parser.parse_args(arguments)
    try:
        if options.command == "check":
            found = stale()
            for path in found:
                print(f"stale: {path.relative_to(ROOT)}; `make notebooks` writes it anew.")
            return int(bool(found))
        changed = rewrite_links() if options.command == "links" else write(unfilled=options.unfilled)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    for path in changed:
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
