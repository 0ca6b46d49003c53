"""Where the course keeps its files, and how a file is written so that it is never half there."""

import os
import tempfile
from collections.abc import Iterator
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
