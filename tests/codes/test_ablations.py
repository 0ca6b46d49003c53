"""A real sweep of tiny members, one of which fails."""

import csv
import math
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from course_lib import train
from course_lib.codes import ablations
from course_lib.codes.ablations import CHANGES, COLUMNS, changed, gather
from course_lib.codes.figures_ablations import ablation_figure
from course_lib.codes.prior import Prior
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput

TINY = ["experiment=svq_ablation", "epochs=1", "batch_size=8", "dataset.resolution=32", "dataset.samples=16", "dataset.held_out=4",
        "model.slot_dim=8", "model.codes=6", "model.channels=4", "model.hidden_dim=8", "model.decoder_dim=8", "prior.epochs=1",
        "prior.samples=16", "prior.scored=4", "prior.model.dim=8", "prior.model.layers=1", "prior.model.heads=2", "tracker=none",
        "progress=false", "out=o"]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(ablations, "SCORED", 6)
    monkeypatch.setattr(ablations, "generated", lambda model, prior, n, *_, size, **__: (  # the prior tells lawful scenes, the other one nothing
        RuleWorld(size).batch(range(n))["image"] if isinstance(prior, Prior) else torch.full((n, 3, size, size), 0.5)))


def table(folder: Path) -> list[dict]:
    with (folder / "ablations.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_sweep_writes_a_row_for_each_member_and_names_the_one_that_fails(command, tmp_path):
    code, error = command("-m", *TINY, "model.codebooks=4", "change=2_codebooks,as_it_is,nonsense", "seed=0,1")
    assert code == 2 and error.count("change must be one of as_it_is") == 2
    rows = table(tmp_path / "o")
    assert [(row["change"], row["seed"]) for row in rows] == [
        (change, seed) for change in ("as_it_is", "2_codebooks", "nonsense") for seed in "01"]
    assert all(math.isfinite(float(row[name])) for row in rows[:4] for name in COLUMNS[2:-1]) and not any(row["failed"] for row in rows[:4])
    assert all((float(row["right"]), float(row["right_independent"])) == (1, 0) for row in rows[:4])
    assert all("not 'nonsense'" in row["failed"] and not row["mse"] for row in rows[4:])
    assert (tmp_path / "o/ablations.png").stat().st_size > 5000


def test_a_member_that_is_refused_has_its_sentence(command, tmp_path):
    assert command(*TINY, "model.codebooks=3")[0] == 2
    assert table(tmp_path / "o")[0]["failed"].startswith("vectors of 8 numbers cannot be cut into 3 equal parts")
    assert not (tmp_path / "o/ablations.png").exists()


def test_every_change_changes_something_that_exists():
    with hydra.initialize_config_dir(str(train.CONFIGS), version_base="1.3"):
        cfg = hydra.compose("train", overrides=["experiment=svq_ablation"])
    OmegaConf.set_struct(cfg, True)
    for name, settings in CHANGES.items():
        cfg.change = name
        assert (changed(cfg) != cfg) == bool(settings), name
    assert len({CHANGES[name] for name in CHANGES}) == len(CHANGES)


def test_rows_of_earlier_runs_stay(tmp_path):
    for name, row in (("a", '{"change": "blocks", "seed": 1, "fg_ari": 0.5}'), ("b", '{"change": "1_iteration", "seed": 0, "failed": "no"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "row.json").write_text(row)
    assert [row["change"] for row in gather(tmp_path)] == ["1_iteration", "blocks"]
    assert [row["fg_ari"] for row in table(tmp_path)] == ["", "0.5"]


def test_nothing_to_draw():
    with pytest.raises(BadInput, match="no run of the sweep ended well"):
        ablation_figure([{"change": "blocks", "seed": 0, "failed": "so"}])
