"""The prior's training by the real command: its loss, its files, what a kill cannot change."""

import inspect
from pathlib import Path

import hydra
import pytest
import torch

from course_lib import train
from course_lib.codes import recipe_prior
from course_lib.codes.generation import encode_scenes
from course_lib.codes.prior import Independent, Prior
from course_lib.codes.recipe_prior import counted, make_optimizers, measure_nll, train_prior
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput
from course_lib.core.weights import load_weights, read_card, save_weights
from course_lib.slots.scenes import MultiDSprites, Shapes

TINY = {"slot_dim": 8, "codes": 6, "channels": 4, "decoder_dim": 8}
QUICK = ["experiment=svq_prior", "epochs=3", "batch_size=8", "dataset.resolution=32", "dataset.samples=16", "dataset.held_out=6",
         "scored=4", "model.dim=8", "model.layers=1", "model.heads=2", "out=o", "progress=false"]


@pytest.fixture(params=["svq", "vqvae"])
def weights(request, tmp_path) -> Path:
    torch.manual_seed(0)
    model = SVQ(num_slots=4, codebooks=2, hidden_dim=8, **TINY) if request.param == "svq" else PatchVQ(**TINY)
    model(RuleWorld(32).batch(range(8))["image"])
    path = tmp_path / request.param
    save_weights(model, path, card={"experiment": request.param, "config": {}, "seed": 0, "seconds": 1.0, "metrics": {}})
    return path


def test_the_configuration_has_the_defaults_of_the_prior():
    with hydra.initialize_config_dir(str(train.CONFIGS), version_base="1.3"):
        cfg = hydra.compose("train", overrides=["experiment=svq_prior"])
    known = {name: p.default for name, p in inspect.signature(Prior).parameters.items()}
    assert dict(cfg.model) == {name: known[name] for name in cfg.model}
    assert (recipe_prior.LR, recipe_prior.BATCH) == (cfg.lr, cfg.batch_size)


@pytest.mark.parametrize("order", ["canonical", "random"])
def test_from_the_command_line(order, weights, command, monkeypatch, tmp_path):
    monkeypatch.setattr(recipe_prior, "generated", lambda model, prior, n, *_, size, **__: (  # the prior tells lawful scenes, the other one nothing
        RuleWorld(size).batch(range(n))["image"] if isinstance(prior, Prior) else torch.full((n, 3, size, size), 0.5)))
    assert command(*QUICK, f"weights={weights}", f"order={order}") == (0, "")
    out = tmp_path / "o"
    assert {file.name for file in out.iterdir()} == {f"svq_prior_rules.{end}" for end in ("safetensors", "json", "png")} | {"logs", "checkpoints"}
    card, prior, model = read_card(out / "svq_prior_rules"), load_weights(out / "svq_prior_rules", expect=Prior), load_weights(weights)
    world = RuleWorld(32)
    fresh = encode_scenes(model, RuleWorld(32, seed=2**40), 6, order)
    assert card["metrics"]["nll"] == pytest.approx(measure_nll(prior, fresh)["nll"], abs=1e-4)
    seen = encode_scenes(model, world, 16, order)
    assert card["metrics"]["nll_independent"] == pytest.approx(measure_nll(counted(seen, prior), fresh)["nll"], abs=1e-4)
    assert card["metrics"]["nll_of_training"] == pytest.approx(measure_nll(prior, seen[:6])["nll"], abs=1e-4)
    assert [card["metrics"][name] for name in ("entropy", "right", "high", "right_independent", "low_independent")] == [world.entropy, 1, 1, 0, 0]
    assert 0.4 < card["metrics"]["low"] < 1  # of four pictures
    assert {len(values) for values in card["epochs"].values()} == {3}


@pytest.mark.parametrize(("name", "world", "judged"), [("shapes", Shapes, {"readable", "low", "high"}), ("multi_dsprites", MultiDSprites, set())])
def test_in_a_world_without_a_rule_scenes_are_read_if_anyone_can_read_them(name, world, judged, command, tmp_path):
    torch.manual_seed(0)
    model = SVQ(num_slots=6, codebooks=2, hidden_dim=8, **TINY)
    model(world(32).batch(range(8))["image"])
    save_weights(model, tmp_path / "svq", card={"experiment": "svq", "config": {}, "seed": 0, "seconds": 1.0, "metrics": {}})
    assert command(*QUICK, "weights=svq", f"dataset.name={name}", "order=codes", "epochs=1", "tracker=none") == (0, "")
    card = read_card(tmp_path / f"o/svq_prior_{name}")
    assert card["metrics"].keys() == {"nll", "nll_of_training", "nll_independent"} | judged | {f"{key}_independent" for key in judged}
    assert load_weights(tmp_path / f"o/svq_prior_{name}", expect=Prior).slots == 6
    assert (tmp_path / f"o/svq_prior_{name}.png").stat().st_size > 1000


def test_killed_and_resumed_equals_never_killed(weights, command, history, monkeypatch, tmp_path):
    quiet = [*QUICK, f"weights={weights}", "order=random", "tracker=none", "checkpoint_every=1", "resume=auto"]
    assert command(*quiet, "out=whole") == (0, "")
    nll, calls = Prior.nll, []

    def dies(self, codes):
        calls.append(1)
        if len(calls) == 5:  # two steps and one look an epoch: in the middle of the second
            raise KeyboardInterrupt
        return nll(self, codes)

    with monkeypatch.context() as patch:
        patch.setattr(Prior, "nll", dies)
        code, error = command(*quiet, "out=killed")
    assert code == 130 and "resume=auto" in error
    assert command(*quiet, "out=killed") == (0, "")
    whole, killed = (tmp_path / out / "checkpoints/svq_prior_rules" for out in ("whole", "killed"))
    assert history(killed) == history(whole)
    assert read_card(tmp_path / "killed/svq_prior_rules")["sha256"] == read_card(tmp_path / "whole/svq_prior_rules")["sha256"]


def test_one_sentence_for_bad_input(command, tmp_path):
    code, error = command(*QUICK, "weights=slots_shapes")
    assert code == 2 and error.startswith("error: ") and "SlotAutoencoder, not a SVQ or PatchVQ" in error
    code, error = command(*QUICK, "weights=nowhere/svq")
    assert code == 2 and "there are no weights nowhere/svq.safetensors" in error
    code, error = command(*QUICK, "weights=svq_nobody")
    assert code == 2 and "no shipped weights are called 'svq_nobody'" in error


def test_a_prior_learns_what_codes_know_of_each_other():
    """The second slot repeats the first: half of the independent prior's nats are enough."""
    chance = torch.Generator().manual_seed(0)
    codes = torch.randint(4, (256, 1, 2), generator=chance).repeat(1, 2, 1)
    torch.manual_seed(0)
    prior = Prior(2, 2, 4, dim=16, layers=1, heads=2)
    train_prior(prior, codes, epochs=30, lr=0.01, progress=False)
    alone = counted(codes, prior)
    assert isinstance(alone, Independent) and int(alone.counts.sum()) == codes.numel()
    assert measure_nll(prior, codes)["nll"] < 0.6 * measure_nll(alone, codes)["nll"]


def test_every_parameter_has_one_optimiser():
    prior = Prior(2, 2, 4, dim=8, layers=2, heads=2)
    muon, adam = ([id(p) for group in optimizer.param_groups for p in group["params"]] for optimizer in make_optimizers(prior, 1e-3))
    assert sorted(muon + adam) == sorted(id(p) for p in prior.parameters())
    assert {id(p) for p in prior.blocks.parameters() if p.ndim == 2} == set(muon) and id(prior.tables.weight) in adam


def test_codes_of_another_shape_are_refused():
    with pytest.raises(BadInput, match="this prior takes whole numbers of shape"):
        train_prior(Prior(2, 2, 4, dim=8, layers=1, heads=2), torch.zeros(5, 3, 2, dtype=torch.long), epochs=1)
