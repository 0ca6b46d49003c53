"""Who uses what of course_lib: the sections of a notebook and the files of tests/, read with `ast`, nothing is run.

A function (class, constant) of the course is written "module.name" without "course_lib.", as in "latents.losses.beta_vae".
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import jupytext

from course_lib.core.paths import ROOT

HEADING = re.compile(r"^(#{2,})\s+(.*?)\s*$", re.M)


@dataclass
class Section:
    """A section of a notebook, `## Title`; its `parts` are the `### Titles` inside it, `code` what its code cells say."""

    notebook: str
    title: str
    parts: list[str] = field(default_factory=list)
    code: str = ""
    functions: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What a footer says: "NN_topic › Title"."""
        return f"{self.notebook} › {self.title}"

    def holds(self, place: str) -> bool:
        """Whether `place`, "NN_topic › Title", is this section or a part of it."""
        return place in (self.name, *(f"{self.notebook} › {part}" for part in self.parts))


def sections_of(path: Path) -> list[Section]:
    """The sections of a source of a notebook, in order, each with the functions of the course that its code names.

    A name may be imported in one section and used in another: it belongs to each section whose code says it.
    """
    sections: list[Section] = []
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "markdown":
            for marks, title in HEADING.findall(cell.source):
                if marks == "##":
                    sections.append(Section(path.stem, title))
                elif sections:
                    sections[-1].parts.append(title)
        elif sections:
            sections[-1].code += cell.source + "\n"
    known = imported(ast.parse(path.read_text(encoding="utf-8")))
    for section in sections:
        found = uses(ast.parse(section.code), known)
        section.functions = sorted(name for name in found if not name.rpartition(".")[2].isupper())  # capitals: constants
    return sections


def imported(tree: ast.AST) -> dict[str, str]:
    """What the names that `tree` imports from course_lib stand for: {"beta_vae": "latents.losses.beta_vae"}.

    Of `import course_lib.core.style as s`, s stands for core.style.
    """
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_lib"):
            module = node.module.removeprefix("course_lib").removeprefix(".")
            found |= {alias.asname or alias.name: defined(f"{module}.{alias.name}".lstrip(".")) for alias in node.names}
        elif isinstance(node, ast.Import):
            ours = [alias for alias in node.names if alias.name.startswith("course_lib.") and alias.asname]
            found |= {alias.asname: alias.name.removeprefix("course_lib.") for alias in ours}
    return found


def defined(name: str) -> str:
    """Where "module.name" is defined: a module may hand on what it imports, as tokens.table does with compressor_table."""
    if not is_definition(name):
        return name
    here, handed_on = contents(file_of(name))
    last = name.rpartition(".")[2]
    return name if last in here else handed_on.get(last, name)


@cache
def contents(path: Path) -> tuple[set[str], dict[str, str]]:
    """The functions and classes of a file, and what its imports from course_lib stand for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}, imported(tree)


def uses(tree: ast.AST, known: dict[str, str]) -> set[str]:
    """Which functions of the course `tree` names, by a bare name or as an attribute of an imported module."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in known and is_definition(known[node.id]):
            found.add(known[node.id])
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            inside = f"{known[node.value.id]}.{node.attr}"
            if is_definition(inside) and not is_definition(known[node.value.id]):
                found.add(defined(inside))
    return found


def file_of(name: str) -> Path:
    """The file that defines "module.name"."""
    return ROOT / "course_lib" / f"{name.rpartition('.')[0].replace('.', '/')}.py"


@cache
def is_definition(name: str) -> bool:
    """Whether `name` is something inside a file of course_lib, and not such a file itself."""
    return file_of(name).is_file()


def named_in(paths: Iterable[Path]) -> dict[str, list[str]]:
    """For every function of the course the files of tests/ (relative to it) that import it or name it in its module."""
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        known = imported(tree)
        for name in uses(tree, known) | set(filter(is_definition, known.values())):
            found.setdefault(name, []).append(path.relative_to(ROOT / "tests").as_posix())
    return found


def notebooks() -> list[Path]:
    """The sources of all notebooks, in order."""
    return sorted((ROOT / "notebooks" / "source").glob("[0-9]*.py"))
