"""Every notebook runs from top to bottom under nbmake, at full length and with its solutions, and its claims still hold.

A learner's copy, which may be short, runs cut off and in JupyterLab in tests/browser/test_lab.py.
"""

import json
import sys

import nbformat
import pytest
from isolation import run_watched

from course_lib.core.claims import RECORD
from course_lib.core.errors import BadInput
from course_lib.core.paths import DATA, ROOT
from notebooks import run
from notebooks.run import drift, read_claims, record_all

SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("[0-9]*.ipynb"))
SOURCE = "# %% [markdown]\n# # Toy\n# {{toy.value:.1f}}\n# %%\nfrom course_lib.core.claims import claim\n"


def nbmake(path, **environment):
    """Run one notebook with nbmake in a process of its own, as `pytest --nbmake PATH` does; fail with its report."""
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=300", "--quiet", str(path)]
    done = run_watched(*command, cwd=ROOT, **environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("path", SOLUTIONS, ids=[path.stem for path in SOLUTIONS])
def test_solution_runs_and_its_claims_have_not_drifted(path, tmp_path):
    record = tmp_path / "claims.jsonl"
    nbmake(path, COURSE_FAST="0", **{RECORD: str(record)})
    recorded = json.loads((DATA / "claims.json").read_text(encoding="utf-8"))
    assert drift(read_claims(record, path.stem), recorded, path.stem) == []


def test_drift_names_every_difference():
    then = {"a": {"value": 1.0}, "b": {"value": 0.001}, "c": {"value": 5.0}, "d": {"value": 2.0}, "f": {"value": 1.0, "spread": 0.5},
            "g": {"value": 1.0, "spread": 0.5}}
    then = {key: row | {"notebook": "01_x"} for key, row in then.items()} | {"z": {"value": 1, "notebook": "02_y"}}
    now = {"a": {"value": 1.09}, "b": {"value": 0.0029}, "c": {"value": 6.0}, "e": {"value": 0.0}, "f": {"value": 1.49}, "g": {"value": 0.4, "spread": 1}}
    assert [sentence.split()[:2] for sentence in drift(now, then, "01_x")] == [
        ["c", "drifted"], ["d", "is"], ["e", "is"], ["g", "drifted"]]
    assert drift({"a": {"value": float("nan")}}, {"a": then["a"]}, "01_x")  # what is not a number has drifted too


def test_a_key_belongs_to_one_claim(tmp_path):
    record = tmp_path / "claims.jsonl"
    record.write_text('{"key": "a", "value": 1}\n{"key": "a", "value": 2}\n')
    with pytest.raises(BadInput, match="twice"):
        read_claims(record, "01_x")


@pytest.fixture
def root(tmp_path):
    """A course of one notebook, 01_toy, which claims one number."""
    source = tmp_path / "notebooks" / "source" / "01_toy.py"
    source.parent.mkdir(parents=True)
    source.write_text(SOURCE + 'claim("toy.value", 0.25, above=0, unit="nats")\n')
    (tmp_path / "README.md").write_text("<!--=minutes.01_toy:.1f-->?<!--/-->")
    (tmp_path / "pyproject.toml").write_text('[tool.course]\nrepo = "a/b"\nbranch = "main"\n')
    return tmp_path


def test_claims_minutes_and_memory_are_recorded_and_quoted(root):
    record_all(root)
    claims = json.loads((root / "data" / "claims.json").read_text())
    assert claims == {"toy.value": {"value": 0.25, "above": 0, "unit": "nats", "notebook": "01_toy"}}
    timings = json.loads((root / "data" / "timings.json").read_text())
    assert timings["seconds"]["01_toy"] > 0 and 10 < timings["peak_mb"]["01_toy"] < 10_000
    assert "0.2" in (root / "notebooks" / "01_toy.ipynb").read_text()
    assert "?" not in (root / "README.md").read_text()


def test_memory_is_read_though_a_busy_kernel_sends_it_in_pieces():
    cell = nbformat.v4.new_code_cell(run.PEAK)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("10240", "00", "\n")]
    assert run.peak_of(nbformat.v4.new_notebook(cells=[cell])) == 1024000 / (2**20 if sys.platform == "darwin" else 2**10)


def test_nothing_is_recorded_when_a_claim_is_false(root):
    (root / "notebooks" / "source" / "01_toy.py").write_text(SOURCE + 'claim("toy.value", 0.25, above=1)\n')
    with pytest.raises(BadInput, match="01_toy(.|\n)*does not hold"):
        record_all(root)
    assert not (root / "data").exists()


def test_nothing_is_recorded_when_two_notebooks_claim_the_same_key(root, monkeypatch):
    (root / "notebooks" / "source" / "02_same.py").write_text(SOURCE)
    monkeypatch.setattr(run, "measure", lambda source, root: ({"a": {"value": 1.0, "notebook": source.stem}}, 1.0, 1.0))
    with pytest.raises(BadInput, match="'a' is claimed by 01_toy and by 02_same"):
        record_all(root)
    assert not (root / "data").exists()


def test_one_notebook_may_be_recorded_and_the_others_stay_unless_they_are_gone(root, monkeypatch):
    (root / "notebooks" / "source" / "02_same.py").write_text(SOURCE)
    now = [1.0]
    monkeypatch.setattr(run, "measure", lambda source, root: ({f"toy.{source.stem}": {"value": now[0], "notebook": source.stem}}, now[0], 1.0))
    monkeypatch.setattr(run, "write", lambda root: None)
    record_all(root)
    now[0] = 2.0
    (root / "notebooks" / "source" / "03_new.py").write_text(SOURCE)
    record_all(root, ["03_new"])
    (root / "notebooks" / "source" / "02_same.py").unlink()
    record_all(root, ["03_new"])
    claims, timings = (json.loads((root / "data" / name).read_text()) for name in ("claims.json", "timings.json"))
    assert {key: row["value"] for key, row in claims.items()} == {"toy.01_toy": 1.0, "toy.03_new": 2.0}
    assert timings["seconds"] == {"01_toy": 1.0, "03_new": 2.0} and timings["peak_mb"].keys() == timings["seconds"].keys()
    with pytest.raises(BadInput, match="there is no notebook '04_gone'; there are: 01_toy, 03_new."):
        record_all(root, ["04_gone"])
