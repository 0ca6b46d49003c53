"""Run the solutions of all notebooks and record what they measured: claims, minutes and peak memory.

`claims` writes `data/claims.json` and `data/timings.json`, then every notebook and README.md that quotes them. Nothing
is written unless every notebook ran to its end and no two claims share a key.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from course_lib.core.claims import RECORD
from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT, atomic
from notebooks.build import build, course, numbers_of, write

RELATIVE, ABSOLUTE = 0.10, 0.002  # a claim has drifted when it moved by more than 10 %, by more than 0.002 and by more than its own spread
PEAK = "import resource, sys; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def execute(notebook, folder: Path, seconds: int = 600, **environment: str) -> None:
    """Run every cell in a fresh kernel whose working directory is `folder`; outputs and widget state are kept.

    Raises nbclient's CellExecutionError at the first cell that fails, and a TimeoutError at one that takes longer than `seconds`.
    """
    client = NotebookClient(notebook, timeout=seconds, kernel_name="python3", resources={"metadata": {"path": str(folder)}},
                            extra_arguments=["--log-level=ERROR"])  # else each warns, between the progress bars, that it speaks TCP
    client.execute(env=os.environ | environment)


def read_claims(record: Path, name: str) -> dict[str, dict]:
    """Return the claims that one run appended to `record`, by key. Raises `BadInput` for a key used twice."""
    claims: dict[str, dict] = {}
    for line in record.read_text(encoding="utf-8").splitlines() if record.exists() else []:
        row = json.loads(line)
        key = row.pop("key")
        if key in claims:
            raise BadInput(f"{name} claims {key!r} twice; a key belongs to one claim.")
        claims[key] = row | {"value": float(f"{row['value']:.6g}"), "notebook": name}
    return claims


def drift(claims: dict[str, dict], recorded: dict[str, dict], name: str) -> list[str]:
    """Compare what notebook `name` claims now with data/claims.json; return one sentence for each difference."""
    recorded = {key: row for key, row in recorded.items() if row["notebook"] == name}
    found = [f"{key} is not in data/claims.json" for key in claims.keys() - recorded.keys()]
    found += [f"{key} is in data/claims.json but {name} does not claim it" for key in recorded.keys() - claims.keys()]
    for key in claims.keys() & recorded.keys():
        now, then = claims[key]["value"], recorded[key]["value"]
        if not abs(now - then) <= max(RELATIVE * abs(then), ABSOLUTE, recorded[key].get("spread", 0)):  # so written, NaN counts as drift
            found.append(f"{key} drifted from {then:g} to {now:g}")
    return sorted(f"{sentence}; run `make claims`." for sentence in found)


def measure(source: Path, root: Path = ROOT) -> tuple[dict[str, dict], float, float]:
    """Run the solution of one source in an empty folder; return its claims, seconds, and peak resident memory in MB."""
    text = build(source.read_text(encoding="utf-8"), source.stem, solution=True, tool_course=course(root),
                 numbers=numbers_of(root, unfilled=True))
    notebook = nbformat.reads(text, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "claims.jsonl"
        started = time.perf_counter()
        execute(notebook, Path(folder), **{RECORD: str(record), "COURSE_FAST": "0"})
        seconds = time.perf_counter() - started
        claims = read_claims(record, source.stem)
    return claims, seconds, peak_of(notebook)


def peak_of(notebook) -> float:
    """Return what its last cell, `PEAK`, printed, in MB (2²⁰ bytes): it is bytes on macOS and kibibytes on Linux."""
    printed = "".join(output["text"] for output in notebook.cells[-1].outputs)  # a busy kernel sends one line in several pieces
    return int(printed) / (2**20 if sys.platform == "darwin" else 2**10)


def record_all(root: Path = ROOT, names: Sequence[str] = ()) -> None:
    """Measure every source, or those with these names, then write what was measured; what was recorded of the others stays.

    Raises `BadInput` with all failures, and writes nothing.
    """
    sources = {source.stem: source for source in sorted((root / "notebooks" / "source").glob("*.py"))}
    if unknown := [name for name in names if name not in sources]:
        raise BadInput(f"there is no notebook {unknown[0]!r}; there are: {', '.join(sources)}.")
    others = sources.keys() - set(names or sources)
    claims = {key: row for key, row in _recorded(root, "claims").items() if row["notebook"] in others}
    seconds, peak = ({name: value for name, value in _recorded(root, "timings").get(what, {}).items() if name in others}
                     for what in ("seconds", "peak_mb"))
    failures = []
    for name in names or sources:
        try:
            measured, seconds[name], peak[name] = measure(sources[name], root)
        except (BadInput, CellExecutionError) as error:
            failures.append(f"{name}: {error}")
            continue
        twice = sorted(claims.keys() & measured)
        failures += [f"{key!r} is claimed by {claims[key]['notebook']} and by {name}" for key in twice]
        claims |= measured
        print(f"{name}: {len(measured)} claims, {seconds[name]:.0f} s, {peak[name]:.0f} MB", flush=True)
    if failures:
        raise BadInput("\n".join(failures))
    timings = {"machine": _machine(), "peak_mb": {key: round(value) for key, value in peak.items()},
               "seconds": {key: round(value, 1) for key, value in seconds.items()}}
    _put(root / "data" / "claims.json", claims)
    _put(root / "data" / "timings.json", timings)
    write(root)


def _recorded(root: Path, name: str) -> dict:
    path = root / "data" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _machine() -> str:
    return (f"{os.cpu_count()} CPU cores, {platform.system()} {platform.machine()}, "
            f"Python {platform.python_version()}, torch {version('torch')}")


def _put(path: Path, content: dict) -> None:
    with atomic(path) as temporary:
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status: 0, or 2 when a notebook failed."""
    parser = argparse.ArgumentParser(prog="notebooks.run", description="Run the solutions of all notebooks.")
    commands = parser.add_subparsers(dest="command", required=True)
    claims = commands.add_parser("claims", help="record claims, minutes and peak memory in data/, and quote them anew")
    claims.add_argument("names", nargs="*", metavar="NAME", help="notebooks to run, for example 03_vae_beta (default: all)")
    try:
        record_all(names=parser.parse_args(arguments).names)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
