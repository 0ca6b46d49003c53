"""Running with the network cut, in a checkout nobody can write to, and from another working directory.

Linux gives a process its own network without any device, and its own read-only view of the checkout (`unshare`, as root
or in a user namespace). Where that is not allowed, the run is only watched: a warning says so, no proxy answers, and
any file that appears or changes in the checkout fails the test.
"""

import os
import shutil
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import nbformat
import psutil

from course_lib.core.paths import ROOT

CLIENT = Path(__file__).with_name("client.py")
LIMIT = 450  # seconds, well below pytest's own limit, which could not say what it was that hung
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@cache
def prefix() -> tuple[str, ...]:
    """Return the command that cuts the network and makes the checkout read-only, or () where it is not allowed."""
    for namespaces in (["--net", "--mount"], ["--map-root-user", "--net", "--mount"]):
        command = ("unshare", *namespaces, "bash", "-c", READ_ONLY, str(ROOT))
        try:
            if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
                return command
        except FileNotFoundError:
            break
    warnings.warn("no namespaces here: network and checkout are only watched, not cut off", stacklevel=2)
    return ()


def files_of_checkout() -> list[Path]:
    """Return each file that belongs to the checkout, committed or new."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0")[:-1] if (path := ROOT / name).exists()]


def state_of_checkout() -> dict[Path, int]:
    """Return the time of the last change of each file that belongs to the checkout."""
    return {path: path.stat().st_mtime_ns for path in files_of_checkout()}


def copy_checkout(folder: Path, branch: str = "main") -> None:
    """Copy the checkout as it is now into `folder`, a git repository with one commit on `branch`."""
    for path in files_of_checkout():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for command in (["init", "--quiet", "--initial-branch", branch], ["add", "--all"], ["commit", "--quiet", "--message", "copy"]):
        subprocess.run(["git", "-c", "user.name=copy", "-c", "user.email=copy@localhost", *command], cwd=folder, check=True)


def run_watched(*command: str, cwd: Path, limit: float = LIMIT, **environment: str) -> subprocess.CompletedProcess:
    """Run a command to its end, as `subprocess.run` does.

    Raises AssertionError when it has not ended after `limit` seconds. It and all its descendants (a kernel is one) are
    ended with SIGABRT, on which Python prints the stack of each thread; the message says where they waited.
    """
    with subprocess.Popen(command, cwd=cwd, env=os.environ | environment | {"PYTHONFAULTHANDLER": "1"},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            abort(psutil.Process(process.pid))
            out, err = process.communicate()
            raise AssertionError(f"{' '.join(command)} did not end within {limit:g} s. It printed:\n{out[-2000:]}\n"
                                 f"It was waiting here:\n{err[-12000:]}") from None
        finally:
            process.kill()  # does nothing to a process that has ended
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def abort(process: psutil.Process) -> None:
    """End a process and its descendants, each with its stacks printed.

    All are stopped before any is ended: a parent would go on, and a child be ended, while its own signal is still on its way.
    """
    family = [process, *process.children(recursive=True)]
    for number in (signal.SIGSTOP, signal.SIGABRT, signal.SIGCONT):
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(number)
    for member in psutil.wait_procs(family, timeout=10)[1]:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def run_isolated(folder: Path, *command: str, limit: float = LIMIT) -> subprocess.CompletedProcess:
    """Run a command from `folder`, cut off from the network and the checkout; see `run_watched`."""
    dead = "http://127.0.0.1:9"
    return run_watched(*prefix(), *command, cwd=folder, limit=limit, COURSE_FAST="1", http_proxy=dead, https_proxy=dead)


def execute_isolated(notebook, folder: Path):
    """Run every cell of a notebook, cut off, with the empty `folder` as working directory; return it with its outputs.

    Raises AssertionError with the end of the report when a cell fails, or when the checkout was written to.
    """
    (folder / "given.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    before = {} if prefix() else state_of_checkout()
    done = run_isolated(folder, sys.executable, str(CLIENT), "cut off" if prefix() else "watched")
    assert done.returncode == 0, done.stderr[-3000:]
    assert before == ({} if prefix() else state_of_checkout())
    return nbformat.read(folder / "executed.ipynb", as_version=4)
