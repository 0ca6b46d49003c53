"""A file written with `atomic` is the old one or the new one, and nothing lies beside it; tables and records are written so."""

import csv
import hashlib
import json
import os

import pytest

from course_lib.core import paths
from course_lib.core.errors import BadInput
from course_lib.core.paths import DATA, ROOT, atomic, file_sha256, find_data, rounded, write_csv, write_json


def test_a_good_block_replaces_the_file(tmp_path):
    path = tmp_path / "deep/er/result.json"
    for text in ("first", "second"):
        with atomic(path) as file:
            assert file.parent == path.parent and file.suffix == ".json"
            file.write_text(text)
            assert not path.exists() or path.read_text() == "first"  # until the block ends
        assert path.read_text() == text
    assert os.listdir(path.parent) == ["result.json"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_no_litter(tmp_path, error):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(error):
        with atomic(path) as file:
            file.write_text("half")
            raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["result.json"]


def test_an_exception_before_there_was_a_file(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with atomic(tmp_path / "new.txt"):
            1 / 0
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput) as refused:
        with atomic(tmp_path / "file/result.json"):
            raise AssertionError("the block must not run")
    assert str(refused.value).startswith(f"cannot write {tmp_path}/file/result.json: ")
    assert str(refused.value).endswith("; choose a folder you may write to.") and "\n" not in str(refused.value)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_table_has_a_column_for_each_name_and_is_read_back(tmp_path):
    rows = [{"name": "a, b", "share": 0.25, "more": 1}, {"name": "„c“"}]
    write_csv(tmp_path / "deep/all.csv", rows)
    write_csv(tmp_path / "some.csv", rows, ["share", "name"])
    with (tmp_path / "deep/all.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"name": "a, b", "share": "0.25", "more": "1"}, {"name": "„c“", "share": "", "more": ""}]
    assert (tmp_path / "some.csv").read_text(encoding="utf-8").splitlines() == ["share,name", '0.25,"a, b"', ",„c“"]
    assert rounded({"share": 1 / 3, "many": 7, "name": "x"}) == {"share": 0.33333, "many": 7, "name": "x"}


def test_a_record_is_json_and_its_hash_is_that_of_its_bytes(tmp_path):
    write_json(tmp_path / "record.json", {"rows": [1.5, None]})
    text = (tmp_path / "record.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"rows": [1.5, None]} and text.endswith("}\n")
    assert file_sha256(tmp_path / "record.json") == hashlib.sha256(text.encode()).hexdigest()


def test_root_is_the_checkout():
    assert (ROOT / "pyproject.toml").exists() and DATA == ROOT / "data"


def test_data_is_the_checkouts_then_that_of_the_working_directory_or_above_and_first_what_is_named(tmp_path, monkeypatch):
    checkout, release, elsewhere = (tmp_path / name for name in ("checkout", "release", "elsewhere"))
    for folder in (checkout, release):
        (folder / "data/weights").mkdir(parents=True)
    (release / "notebooks/solutions").mkdir(parents=True)
    (release / "notebooks/data").mkdir()  # a learner's own, without weights
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.chdir(release / "notebooks/solutions")
    monkeypatch.setattr(paths, "ROOT", checkout)
    assert find_data() == checkout / "data"
    monkeypatch.setattr(paths, "ROOT", elsewhere)  # an installed wheel
    assert find_data() == release / "data"
    monkeypatch.chdir(tmp_path)
    assert find_data() == elsewhere / "data"
    monkeypatch.setenv("COURSE_DATA", str(release / "data"))
    assert find_data() == release / "data"
