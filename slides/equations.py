"""Equation → line of code: `equations.toml` names function and code, the line is found here each time and never typed."""

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path

from usage import file_of

from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT

EQUATIONS = ROOT / "slides" / "equations.toml"


@dataclass
class Equation:
    """An entry of `equations.toml`, whose first lines say what the fields are."""

    name: str
    tex: str
    section: str
    function: str
    code: str
    source: str = ""

    @property
    def path(self) -> Path:
        """The file that holds the function: "latents.models.VAE.decode" is in latents/models.py."""
        parts = self.function.split(".")
        for many in range(len(parts) - 1, 0, -1):
            path = file_of(".".join(parts[: many + 1]))
            if path.is_file():
                return path
        raise BadInput(f"{self.name!r}: course_lib has no file for {self.function}.")

    @property
    def line(self) -> int:
        """The number of the line that computes it. Raises `BadInput` unless `code` stands in the function exactly once."""
        text = self.path.read_text(encoding="utf-8")
        inside = self.path.relative_to(ROOT / "course_lib").with_suffix("").parts
        node: ast.AST = ast.parse(text)
        for name in self.function.split(".")[len(inside):]:
            found = [child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == name]
            if not found:
                raise BadInput(f"{self.name!r}: {self.path.name} has no {self.function}.")
            node = found[0]
        lines = enumerate(text.splitlines()[node.lineno - 1 : node.end_lineno], start=node.lineno)
        found = [number for number, line in lines if self.code in line]
        if len(found) != 1:
            raise BadInput(f"{self.name!r}: {self.code!r} stands {len(found)} times in {self.function}, and it must once.")
        return found[0]

    @property
    def lost_sources(self) -> list[str]:
        """The pieces of `source` (between commas and semicolons) that the function's file does not name."""
        words = self.path.read_text(encoding="utf-8").replace("(", "").replace(")", "")
        told = " ".join(words.split())
        pieces = [piece.strip() for piece in self.source.replace(";", ",").split(",")]
        return [piece for piece in pieces if piece not in told]


def equations(path: Path = EQUATIONS) -> list[Equation]:
    """All entries of `equations.toml`, in the order of the course."""
    return [Equation(**row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["equation"]]
