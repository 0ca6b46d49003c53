"""Write the whole course into one archive for a room without a network: dist/from-collapse-to-compression-VERSION.zip.

    python -m setup.release [--notebooks NAME ...] [--decks NAME ...] [--out FILE]          (or: make release)

Notebooks and solutions, every solution executed as an HTML page, decks as HTML and PDF, data/ with all weights, the
wheel of course_lib, constraints.txt, a README for whoever unpacks it, and SHA256SUMS. An executed solution is kept in
dist/executed/ and used again as long as the notebook, the library and the weights are the same.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError
from tqdm import tqdm

from course_lib import __version__
from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT, atomic, file_sha256
from notebooks.run import execute
from setup.pages import page, put_mathjax

sys.path.append(str(ROOT / "slides"))  # the builder of the decks is a program beside them, not a package
from build import build as build_decks  # noqa: E402

DIST = ROOT / "dist"
NAME = f"from-collapse-to-compression-{__version__}"
NOTEBOOKS, DECKS = "notebooks/[0-9]*.ipynb", "slides/[0-9]_*.md"
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "course_lib")  # what the wheel is built from


def release(out: Path, notebooks: Sequence[str], decks: Sequence[str]) -> Path:
    """Write the archive `out` of these notebooks and decks, given by their names without ending, and return its path.

    Raises `BadInput` with one sentence if a name is unknown, a deck is wrong or a notebook fails; nothing is written then.
    """
    learners, sources = chosen(NOTEBOOKS, notebooks), chosen(DECKS, decks)
    steps = tqdm(total=len(learners) + 3, unit="step")
    with steps, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / NAME
        wheel = step(steps, "wheel", build_wheel, folder / "wheel")
        copy_files(folder, learners, wheel)
        step(steps, "decks", build_decks, sources, folder / "slides")
        (folder / "html").mkdir()
        put_mathjax(folder / "html")
        for path in learners:
            text = step(steps, path.stem, lambda name: page(executed(name), name), path.stem)
            (folder / "html" / f"{path.stem}.html").write_text(text, encoding="utf-8")
        with atomic(out) as archive:
            step(steps, "archive", pack, folder, archive)
    return out


def chosen(pattern: str, names: Sequence[str]) -> list[Path]:
    """The files of the course that match, all of them or those with these names. Raises `BadInput` for a name that none has."""
    known = {path.stem: path for path in sorted(ROOT.glob(pattern))}
    for name in names:
        if name not in known:
            raise BadInput(f"nothing is called {name!r} in {pattern.split('/')[0]}/; there are: {', '.join(known)}.")
    return [path for name, path in known.items() if name in names or not names]


def step(steps: tqdm, name: str, do, *arguments):
    """Do one step of the work under its name in the progress bar; return what it returns."""
    steps.set_description(name)
    done = do(*arguments)
    steps.update()
    return done


def build_wheel(folder: Path) -> str:
    """Build the wheel of course_lib into `folder` and return its name; from a copy, so that nothing is left in the checkout."""
    with tempfile.TemporaryDirectory() as copy:
        for path in (ROOT / name for name in SOURCES):
            if path.is_dir():
                shutil.copytree(path, Path(copy) / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, copy)
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        done = subprocess.run([*command, "--wheel-dir", str(folder), copy], capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"the wheel could not be built: {' '.join(done.stderr.split())[-300:]}")
    (wheel,) = folder.glob("*.whl")
    return wheel.name


def copy_files(folder: Path, learners: list[Path], wheel: str) -> None:
    """Copy what goes into the archive as it is, and write the README of the archive."""
    solutions = [path.parent / "solutions" / path.name for path in learners]
    for path in [*learners, *solutions, ROOT / "constraints.txt", ROOT / "LICENSE", ROOT / "GLOSSARY.md", ROOT / "slides" / "TEACHING.md"]:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns(".*"))
    text = (ROOT / "setup" / "release.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(text.replace("{version}", __version__).replace("{wheel}", wheel), encoding="utf-8")


def executed(name: str):
    """Return the solutions copy called `name` with its outputs: run now at full length, or kept from an earlier release.

    Raises `BadInput` with one sentence if a cell fails.
    """
    path = ROOT / "notebooks" / "solutions" / f"{name}.ipynb"
    kept = DIST / "executed" / f"{name}-{state_of(path)}.ipynb"
    if not kept.exists():
        notebook = nbformat.read(path, as_version=4)
        try:
            with tempfile.TemporaryDirectory() as folder:
                execute(notebook, Path(folder), COURSE_FAST="0")
        except (CellExecutionError, DeadKernelError, TimeoutError) as error:
            said = f"{error.ename}: {error.evalue.splitlines()[0]}" if isinstance(error, CellExecutionError) else type(error).__name__
            raise BadInput(f"notebooks/solutions/{name}.ipynb does not run to its end ({said}); no release was written.") from error
        with atomic(kept) as file:
            nbformat.write(notebook, file)
        for old in set(kept.parent.glob(f"{name}-*.ipynb")) - {kept}:
            old.unlink()
    return nbformat.read(kept, as_version=4)


def state_of(path: Path) -> str:
    """A hash of what an execution depends on: the notebook, the library, the cards of the weights and the run records."""
    files = [path, *sorted(ROOT.glob("course_lib/**/*.py")), *sorted(ROOT.glob("data/**/*.json"))]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()[:12]


def pack(folder: Path, archive: Path) -> None:
    """Write SHA256SUMS into `folder`, and then the folder as a zip file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in [*files, folder / "SHA256SUMS"]:
            file.write(path, path.relative_to(folder.parent))


def main() -> int:
    """The command line; returns the exit status: 0, or 2 after one sentence about what was wrong."""
    parser = argparse.ArgumentParser(prog="setup.release", description="Write the whole course into one archive.")
    parser.add_argument("--notebooks", nargs="*", default=[], metavar="NAME", help="for example 00_welcome (default: all)")
    parser.add_argument("--decks", nargs="*", default=[], metavar="NAME", help="for example 1_latents (default: all)")
    parser.add_argument("--out", type=Path, default=DIST / f"{NAME}.zip", help=f"the archive (default: dist/{NAME}.zip)")
    arguments = parser.parse_args()
    try:
        path = release(arguments.out, arguments.notebooks, arguments.decks)
    except BadInput as error:
        print(f"the release was not written: {error}", file=sys.stderr)
        return 2
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
