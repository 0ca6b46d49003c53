"""The isolation in which every learner's copy runs does isolate, and nothing in it waits for ever."""

import os
import subprocess
import sys
import time

import nbformat
import pytest
from client import LookingOutput, execute
from isolation import prefix, run_isolated, state_of_checkout

from course_lib.core.paths import ROOT


def test_the_isolation_isolates(tmp_path):
    if not prefix():
        pytest.skip("no namespaces here: the checkout is watched, see below, and the network is not cut")
    write = run_isolated(tmp_path, sys.executable, "-c", f"open({str(ROOT / 'written')!r}, 'w')")
    assert "Read-only file system" in write.stderr
    reach = run_isolated(tmp_path, sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9), 5)")
    assert "Network is unreachable" in reach.stderr


def test_a_write_is_seen_where_it_cannot_be_prevented(tmp_path, monkeypatch):
    monkeypatch.setattr("isolation.ROOT", tmp_path)
    (tmp_path / "kept").write_text("as it was")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    before, written = state_of_checkout(), tmp_path / "written"
    written.touch()
    assert before.keys() == {tmp_path / "kept"} and state_of_checkout().keys() - before.keys() == {written}
    written.unlink()
    assert state_of_checkout() == before
    os.utime(tmp_path / "kept", (0, 0))
    assert state_of_checkout() != before


def test_a_run_that_hangs_is_ended_and_says_where(tmp_path):
    child = "def hang(): import time; time.sleep(1e6)\nhang()"
    parent = f"import subprocess, sys\ndef wait(): subprocess.run([sys.executable, '-c', {child!r}])\nwait()"
    with pytest.raises(AssertionError, match="did not end within 8 s") as error:
        run_isolated(tmp_path, sys.executable, "-c", parent, limit=8)
    assert "in hang\n" in str(error.value) and "in wait\n" in str(error.value)


@pytest.mark.timeout(90)  # without the look after each send it would wait for ever
def test_a_reply_that_comes_before_the_last_output_is_heard(tmp_path, monkeypatch):
    send = LookingOutput.__base__.send
    monkeypatch.setattr(LookingOutput.__base__, "send", lambda *args: time.sleep(0.5) or send(*args))
    cell = nbformat.v4.new_code_cell("import ipywidgets\nwith ipywidgets.Output():\n    print('late')")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    execute(notebook, tmp_path)
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    assert [output["text"] for state in states for output in state["state"].get("outputs", [])] == ["late\n"]
