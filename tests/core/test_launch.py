"""`accelerate launch --num_processes N --cpu` starts one process only; ours makes up for it."""

import os
import subprocess
import sys

import pytest

from course_lib.core import launch
from course_lib.core.errors import BadInput

ASKED = ["python", "accelerate", "launch", "--num_processes", "3", "--cpu", "-m", "course_lib.train", "experiment=vae"]


@pytest.fixture
def started(monkeypatch):
    """What would replace this process, given its parent's command line and its environment."""
    calls = []
    monkeypatch.setattr(os, "execv", lambda program, command: calls.append(command))
    monkeypatch.setattr(sys, "argv", ["train", "experiment=vae", "--num_processes=9"])
    for name in (*launch.KNOWS_ITS_RANK, "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_USE_CPU", "RANK"):
        monkeypatch.delenv(name, raising=False)

    def start(command: list[str], **environment: str) -> list[list[str]]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(launch.psutil.Process, "cmdline", lambda self: command)
        launch.start_missing_processes("course_lib.train")
        return calls

    return start


LAUNCHED = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def test_hands_over_to_torchrun_with_all_processes(started):
    (command,) = started(ASKED, **LAUNCHED)
    assert command[command.index("--nproc-per-node") + 1] == "3"
    assert command[-4:] == ["-m", "course_lib.train", "experiment=vae", "--num_processes=9"]


def test_reads_the_other_spelling(started):
    (command,) = started(["python", "-m", "accelerate.commands.launch", "--num-processes=2", "--cpu"], **LAUNCHED)
    assert command[command.index("--nproc-per-node") + 1] == "2"


@pytest.mark.parametrize("environment", [
    {}, {"ACCELERATE_USE_CPU": "True"}, {**LAUNCHED, "ACCELERATE_USE_CPU": "False"},
    *({**LAUNCHED, name: "1"} for name in launch.KNOWS_ITS_RANK)])
def test_otherwise_stays_as_it_is(started, environment):
    assert started(ASKED, **environment) == []


def test_says_so_when_the_number_is_unknown(started):
    with pytest.raises(BadInput, match="use torchrun --nproc-per-node 2 instead"):
        started(["python", "accelerate", "launch", "--cpu"], **LAUNCHED)


def test_main_process(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert launch.is_main_process()
    monkeypatch.setenv("RANK", "1")
    assert not launch.is_main_process()


@pytest.mark.parametrize(("processes", "said"), [("1", "said\nlate\n"), ("2", "said\n")])
def test_one_of_several_leaves_at_once_and_loses_no_word(processes, said):
    code = "import atexit; from course_lib.core.launch import leave; atexit.register(print, 'late'); print('said'); leave(3)"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "WORLD_SIZE": processes}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, said, "")
