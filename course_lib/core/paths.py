"""Where the course keeps its files, and how a file is written so that it is never half there."""

import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from course_lib.core.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]


def find_data() -> Path:
    """The folder with weights, measured numbers and pictures: the one that COURSE_DATA names, else the checkout's.

    An installed wheel has no checkout around it: it takes data/ in the working directory or above it, as it lies beside
    the notebooks of a release.
    """
    if named := os.environ.get("COURSE_DATA"):
        return Path(named).expanduser().resolve()
    around = (folder / "data" for folder in (ROOT, Path.cwd(), *Path.cwd().parents))
    return next((data for data in around if (data / "weights").is_dir()), ROOT / "data")


DATA = find_data()


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` only if the block ends well.

    A reader, or a process killed half-way, finds the old file or the new one and never a part of either.
    Raises `BadInput` if the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}; choose a folder you may write to.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes private files; results are for sharing
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(path: str | Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None) -> None:
    """A table, a line for each of the rows, atomically. columns: by default those of the first row; what a row lacks stays empty."""
    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(columns or rows[0]), restval="", extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


def rounded(row: Mapping[str, object]) -> dict[str, object]:
    """A row of a table with five digits behind the point."""
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()}


def write_json(path: str | Path, value: object) -> None:
    """A record as JSON, one entry a line, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
