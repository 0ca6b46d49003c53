"""Every test runs with the shapes of jaxtyping checked at each call: install this before course_lib is imported."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# as PEP 484 has it, a whole number is a float too
install_import_hook("course_lib", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

# the same examples on every machine, and no deadline: the machines are shared
settings.register_profile("course", deadline=None, max_examples=40, derandomize=True, database=None)
settings.load_profile("course")


def pytest_configure(config):
    """Name a test that does not exist: with several workers, pytest would only say that no tests ran."""
    here = config.invocation_params.dir
    if missing := [name for name in config.args if not (here / name.split("::")[0]).exists()]:
        raise pytest.UsageError(f"there is no file or folder {', '.join(missing)}; check the name")


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """`python -m course_lib.train`, inside this process and in an empty folder: returns (exit code, standard error)."""
    from course_lib import train  # after the hook, and only where it is needed

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        code = train.main()
        return code, capsys.readouterr().err

    return call


@pytest.fixture
def said(monkeypatch, request):
    """What a check of the exercises displays for an answer; `check` is that of the test's own file."""
    shown = []
    monkeypatch.setattr("course_lib.core.exercises.display", lambda html: shown.append(html.data))

    def ask(name, answer):
        shown.clear()
        getattr(request.module.check, name)(answer)
        return shown[0]

    return ask


@pytest.fixture
def history():
    """What the checkpoint after epoch 3 in a folder recorded, without its wall time."""

    def read(folder: Path) -> dict:
        state = json.loads((folder / "checkpoint_epoch_3/state.json").read_text())
        assert state["history"].pop("seconds") > 0
        return state["history"]

    return read
