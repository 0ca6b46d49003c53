"""The glossary: every term in the very sentence that defines it, taken from the notebooks. `notebooks.build` writes it.

A definition stands in a notebook, with the term in bold; glossary.toml says which bold words are definitions.
"""

import re
import tomllib
from pathlib import Path

import jupytext

from course_lib.core.claims import fill
from course_lib.core.errors import BadInput

HEAD = """# Glossary

{count} terms, each in the sentence of the notebook that defines it, with the way there. `make notebooks` writes this page; do not \
edit it.
"""
# A sentence ends at a point before a space and a capital, a formula, a bold word, a bracket or a quotation.
END = re.compile(r"(?<=[.?!])(?<!et al\.)(?<!i\.e\.)(?<!e\.g\.)(?<! ch\.)\s+(?=[A-Z$*\"“(`])")
WHOLE = re.compile(r"([.?!;]|\.\)|\$\$)$")  # how a definition may end; else what follows belongs to it: a formula, a list
SECTION = re.compile(r"^## (?P<title>.+)$")
LEFT_OUT = re.compile(r"^(?:[-*]|\d+\.)\s+|^\*\*Predict first:\*\* ")  # before a sentence: marks of lists, and what only a lesson says


def glossary(folder: Path, numbers: dict[str, float | str]) -> str:
    """Return GLOSSARY.md, from `folder`/glossary.toml and `folder`/source, with `numbers` filled in, in alphabetical order.

    Raises `BadInput` for a notebook that does not exist, a word that is nowhere bold in its notebook, or two entries of
    one name.
    """
    entries: dict[str, str] = {}
    for name, terms in tomllib.loads((folder / "glossary.toml").read_text(encoding="utf-8")).items():
        source = folder / "source" / f"{name}.py"
        if not source.exists():
            raise BadInput(f"glossary.toml: there is no notebook {name!r}.")
        cells = _cells(source.read_text(encoding="utf-8"))
        for bold, how in terms.items():
            entry = how.get("as", bold)
            if entry in entries:
                raise BadInput(f"glossary.toml: {entry!r} is defined twice; give one of the two another name with `as`.")
            section, text = _definition(cells, bold, how.get("before", 0), how.get("after", 0), name)
            label = f"{name[:2]}{f', {section}' if section else ''}"
            entries[entry] = f"**{entry}** ([{label}](notebooks/{name}.ipynb)): {fill(text, numbers).replace('](../', '](')}"
    rows = [entries[entry] for entry in sorted(entries, key=lambda entry: (entry.casefold(), entry))]
    return "\n\n".join([HEAD.format(count=len(rows)).rstrip(), *rows]) + "\n"


def _cells(source: str) -> list[tuple[str, list[str]]]:
    """Return (title of the section, sentences) of each markdown cell of a notebook; a formula that stands alone is one, too."""
    found, section = [], ""
    for cell in jupytext.reads(source, fmt="py:percent").cells:
        if cell.cell_type != "markdown":
            continue
        sentences = []
        for paragraph in re.split(r"\n\s*\n|\n(?=[-*] |\d+\. )", cell.source):
            if title := SECTION.match(paragraph):
                section = title["title"].strip()
            text = LEFT_OUT.sub("", " ".join(paragraph.split()))
            sentences += [text] if text.startswith("$$") else END.split(text)
        found.append((section, sentences))
    return found


def _definition(cells: list[tuple[str, list[str]]], bold: str, before: int, after: int, name: str) -> tuple[str, str]:
    """Return the section and the sentences in which a word is bold for the first time, to the end of a list or formula."""
    for section, sentences in cells:
        at = next((i for i, sentence in enumerate(sentences) if f"**{bold}**" in sentence), None)
        if at is not None:
            end = at + after + 1
            while not WHOLE.search(sentences[end - 1]) and end < len(sentences):
                end += 1
            taken = [LEFT_OUT.sub("", sentence) for sentence in sentences[max(0, at - before):end]]
            text = " ".join(f"\n\n{sentence}\n\n" if sentence.startswith("$$") else sentence for sentence in taken)
            text = re.sub(r" ?\n\n ?", "\n\n", text).strip()
            return section, text[0].upper() + re.sub("[:;]$", ".", text[1:])
    raise BadInput(f"glossary.toml: {bold!r} is nowhere bold in {name}.")
