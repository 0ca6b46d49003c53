"""The house is tidy: nothing in it is unused or written twice, a function fits a projector, and what is public says what it is."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parents[1]
OURS = [path for pattern in ("course_lib/**/*.py", "notebooks/*.py", "slides/*.py", "setup/*.py", "bench/**/*.py") for path in sorted(ROOT.glob(pattern))]
USERS = sorted((ROOT / "notebooks/source").glob("*.py"))
OUTSIDE = {  # used all the same, by whom no search for names can see
    "check_environment": "the setup cell of every notebook, a text in notebooks/build.py",
    "run_family": "course_lib/configs/experiment/latents_family.yaml names it",
    "SLIDE_FIGURES": "slides/deck.py looks for it in every part", "SLIDE_DEMOS": "the same",
    "find_classes": "torchvision's ImageFolder calls it", "handle_starttag": "Python's HTMLParser calls it", "_repr_html_": "a notebook calls it",
    "readout": "ipywidgets reads it", "pre_tokenizer": "tokenizers reads it", "post_processor": "tokenizers reads it",
    "full_ari": "a measure of the syllabus by itself; the course takes all four at once from `scene_metrics`", "mean_iou": "the same",
    "drift": "tests/notebooks/test_execute.py compares every notebook's claims by it",
}
LONGEST = 45  # lines of a function below its docstring; a comment or a call written line by line counts
ALIKE = 4  # lines that may not stand in two places
LIKE = {  # functions that share lines and are not one: what they have in common is told to two different people
    "check_penalty": "exercises of notebooks 11 and 12: of whole grids, and of single tokens",
}
DRAWN = ("figures", "moving", "slides")  # files whose functions are pictures, each under a title of its own
PROTOCOL = {  # methods that are described once, by their class or by the method they stand in for
    "forward": "the class gives the formula", "expand": "Compressor", "correction": "Decoder", "changes": "RFDecoder", "update": "Explorer",
    "find_classes": "torchvision's ImageFolder", "handle_starttag": "Python's HTMLParser", "main": "the file, which is a command",
}


def unused(paths: list[Path]) -> dict[str, str]:
    """What is defined in `paths` and named nowhere in them: where it stands, by its name. A check is used by the name of its exercise."""
    searched = Vulture(ignore_decorators=["@check.exercise"])
    searched.scavenge([str(path) for path in paths])
    found = ((item.name, Path(item.filename).name, item.first_lineno) for item in searched.get_unused_code())
    return {name: f"{file}:{line}" for name, file, line in found if file not in {path.name for path in USERS}}


@cache
def parsed(path: Path) -> ast.Module:
    """A file as a tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def blocks(tree: ast.AST, name: str = "") -> Iterator[tuple[str, list[ast.stmt]]]:
    """Every block of statements in a file, with the function it stands in."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef) else name
        for part in ("body", "orelse", "finalbody"):
            if inside and isinstance(block := getattr(node, part, None), list):
                yield inside, block
        yield from blocks(node, inside)


def written_twice(paths: list[Path], least: int = ALIKE) -> list[str]:
    """Whole statements in a row, at least so many lines of them, that stand word for word in two places, however far they are indented.

    (pylint's duplicate-code looks for the same, for half a minute.)
    """
    seen: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        for name, block in blocks(parsed(path)):
            for first in range(len(block) if name not in LIKE else 0):
                start = block[first].lineno
                if ends := [statement.end_lineno for statement in block[first:] if statement.end_lineno - start + 1 >= least]:
                    seen["\n".join(lines[start - 1 : ends[0]])].append(f"{path.name}:{start} {name}")
    return [" = ".join(places) for places in seen.values() if len(places) > 1]


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """All functions, methods and classes of a file with their full names; a function within a function is a part of it."""
    waiting = [("", node) for node in parsed(path).body]
    for above, node in waiting:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield f"{above}{node.name}", node
            waiting += [(f"{above}{node.name}.", child) for child in node.body] if isinstance(node, ast.ClassDef) else []


def length(node: ast.FunctionDef) -> int:
    """Lines below the docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_nothing_is_unused_but_what_is_used_from_outside():
    found = unused(OURS + USERS)
    assert {name: place for name, place in found.items() if name not in OUTSIDE} == {}
    assert OUTSIDE.keys() <= found.keys()  # else the list above has grown old


def test_nothing_is_written_twice():
    assert written_twice(OURS) == []


def test_every_function_fits_a_projector():
    every = [(path, name, node) for path in OURS for name, node in functions(path) if isinstance(node, ast.FunctionDef)]
    assert {f"{path.name}: {name}": length(node) for path, name, node in every if length(node) > LONGEST} == {}


def test_everything_public_says_what_it_is():
    silent = []
    for path in (path for path in OURS if not path.name.startswith(DRAWN)):
        silent += [path.name] if not ast.get_docstring(parsed(path)) else []
        for name, node in functions(path):
            private = any(part.startswith("_") or part in PROTOCOL for part in name.split("."))
            check = any("check.exercise" in ast.unparse(decorator) for decorator in node.decorator_list)  # its hint says it
            silent += [f"{path.name}: {name}"] if not (private or check or ast.get_docstring(node)) else []
    assert silent == []


def test_the_judges_themselves(tmp_path):
    same = "    first = number + 1\n    second = first * 2\n    third = second - 3\n    return first, second, third\n"
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text(f"import math\n\n\ndef used(number):\n    '''What it is.'''\n{same}\n\ndef planted():\n    return used(1)\n", encoding="utf-8")
    two.write_text(f"def other(number):\n{same}\n\nprint(other(2))\n", encoding="utf-8")
    assert unused([one, two]).keys() == {"math", "planted"}
    assert written_twice([one, two]) == ["one.py:6 used = two.py:2 other"] and written_twice([one]) == []
    assert {name: length(node) for name, node in functions(one)} == {"used": 4, "planted": 1}
