"""The command experiment=atlas: what it writes and says, and what it refuses."""

import csv
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import train
from course_lib.codes.svq import SVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.weights import save_weights

QUICK = ["experiment=atlas", "out=o", "progress=false", "samples=8", "maps=[pca]"]
SHAPES = ["weights=slots_shapes", "dataset.name=shapes"]
CARD = {"experiment": "svq", "config": {}, "seed": 0, "seconds": 0.0, "metrics": {}}
FILES = {"atlas.html", "atlas.png", "atlas_scores.png", "atlas_scores.csv", "atlas.txt"}


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """`python -m course_lib.train`, inside this process: returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        return train.main(), *capsys.readouterr()

    return call


def test_shipped_weights_by_name(command, tmp_path):
    code, said, error = command(*QUICK, *SHAPES, "vectors=[slots, factors]")
    assert (code, error) == (0, "") and {file.name for file in (tmp_path / "o").iterdir()} == FILES
    assert said == (tmp_path / "o/atlas.txt").read_text(encoding="utf-8") + f"written into o: {', '.join(sorted(FILES))}.\n"
    assert " objects of 8 scenes; left out: " in said and "Clusters of slots agree best with place: " in said and "DBSCAN calls noise: slots " in said
    with open(tmp_path / "o/atlas_scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 4 and all(-0.5 <= float(row["ari"]) <= 1 for row in rows)
    assert np.array(Image.open(tmp_path / "o/atlas.png")).std() > 10
    before = {name: (tmp_path / "o" / name).read_bytes() for name in FILES}
    assert command(*QUICK, *SHAPES, "vectors=[slots, factors]")[0] == 0
    assert before == {name: (tmp_path / "o" / name).read_bytes() for name in FILES}  # nothing is left to chance


@pytest.fixture
def mine(tmp_path):
    """An SVQ that has learned nothing but where its first codes lie; some of its slots hold one object by chance."""
    torch.manual_seed(3)
    model = SVQ(num_slots=6, slot_dim=8, codebooks=2, codes=6, channels=8, hidden_dim=8, decoder_dim=8)
    model(RuleWorld(32).batch(range(8))["image"])
    return model


def test_weights_of_ones_own_by_path(command, tmp_path, mine):
    save_weights(mine, tmp_path / "mine/svq", card=CARD)
    for path in ("mine/svq", str(tmp_path / "mine/svq.safetensors")):
        code, said, error = command(*QUICK, f"weights={path}", "dataset.resolution=32", "samples=200", "clusterings=[k-means]")
        assert (code, error) == (0, "") and "Clusters of codes agree best" in said and " different codes." in said and "DBSCAN" not in said


def test_collapsed_codes_are_said_and_left_out(command, tmp_path, mine):
    with torch.no_grad():
        mine.quantizer.codebook.zero_()
    save_weights(mine, tmp_path / "mine/svq", card=CARD)
    own = ["weights=mine/svq", "dataset.resolution=32", "samples=200"]
    code, said, error = command(*QUICK, *own)
    assert (code, error) == (0, "") and "All have the same codes: the codes have collapsed." in said and "Clusters of codes" not in said
    code, _, error = command(*QUICK, *own, "vectors=[codes]")
    assert code == 2 and "these are all the same: they have collapsed" in error


@pytest.mark.parametrize(("arguments", "words"), [
    (["weights=nothing"], "no shipped weights are called 'nothing'; there are: "),
    (["weights=else/where"], "there are no weights else/where.safetensors"),
    (["weights=latents_family"], "latents_family.safetensors holds a VAEFamily, not a SVQ or SlotAutoencoder; name other weights."),
    (["maps=[pcb]"], "maps must be a list of some of pca, t-sne, umap, not ['pcb']"),
    (["maps=[]"], "maps must be a list of some of"),
    (["clusterings=[kmeans]"], "clusterings must be a list of some of k-means, dbscan, hierarchical"),
    (["vectors=slots"], "vectors must be a list of some of slots, codes, factors, not slots"),
    (["vectors=[codes]"], "the vectors of this atlas are slots, factors, not 'codes'"),
    (["samples=0"], "samples must be at least 1 scene, not 0"),
    (["samples=1"], "an atlas needs at least 10 objects"),
    (["dataset.name=clevr6"], "dataset.name must be one of rules, shapes, multi_dsprites, not 'clevr6'"),
])
def test_bad_input_is_one_sentence_and_leaves_nothing(arguments, words, command, tmp_path):
    code, said, error = command(*QUICK, *SHAPES, *arguments)
    assert code == 2 and said == "" and words in error
    assert error.startswith("error: ") and error.endswith(".\n") and error.count("\n") == 1
    assert not any((tmp_path / "o").iterdir())
