"""Training of codes by the real command: its loss, its files, what a kill cannot change."""

import inspect
import math

import hydra
import pytest
import torch

from course_lib import train
from course_lib.codes import recipe
from course_lib.codes.recipe import CodeObjective, measure, variance_of
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput
from course_lib.core.weights import load_pretrained, load_weights, read_card
from course_lib.slots.loaders import create_datasets
from course_lib.slots.losses import sharing, usage
from course_lib.slots.metrics import foreground_ari
from course_lib.slots.scenes import Shapes, start_chance

SMALL = {"svq": {"num_slots": 4, "slot_dim": 8, "codebooks": 2, "codes": 6, "channels": 4, "hidden_dim": 8, "decoder_dim": 8},
         "vqvae": {"slot_dim": 8, "codes": 6, "channels": 4, "decoder_dim": 8}}
QUICK = ["epochs=3", "batch_size=8", "dataset.resolution=32", "dataset.samples=16", "dataset.held_out=6", "out=o", "progress=false"]
EXPERIMENTS = pytest.mark.parametrize("experiment", list(SMALL))
METRICS = {"mse", "fg_ari", "full_ari", "attention_fg_ari", "perplexity", "codes_used"}


def settings(experiment: str, *more: str) -> list[str]:
    return [f"experiment={experiment}", *(f"model.{key}={value}" for key, value in SMALL[experiment].items()), *QUICK, *more]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(recipe, "SCORED", 8)


@EXPERIMENTS
def test_the_configuration_has_the_defaults_of_the_model(experiment):
    with hydra.initialize_config_dir(str(train.CONFIGS), version_base="1.3"):
        cfg = hydra.compose("train", overrides=[f"experiment={experiment}"])
    known = {name: p.default for name, p in inspect.signature(recipe.MODELS[experiment]).parameters.items()}
    assert dict(cfg.model) == {name: known[name] for name in cfg.model} and set(cfg.model) == set(known)
    objective = CodeObjective(100)
    assert dict(cfg.objective) == {name: getattr(objective, name) for name in cfg.objective}
    assert (recipe.LR, recipe.BATCH, cfg.dataset.name) == (cfg.lr, cfg.batch_size, "rules")


@EXPERIMENTS
def test_from_the_command_line(experiment, command, tmp_path):
    assert command(*settings(experiment, "checkpoint_every=2")) == (0, "")
    out = tmp_path / "o"
    assert {file.name for file in out.iterdir()} == {f"{experiment}_rules.{end}" for end in ("safetensors", "json", "png")} | {"logs", "checkpoints"}
    card, model = read_card(out / f"{experiment}_rules"), load_weights(out / f"{experiment}_rules", expect=recipe.MODELS[experiment])
    assert card["metrics"].keys() == METRICS and {len(values) for values in card["epochs"].values()} == {3}
    assert card["metrics"] == pytest.approx(measure(model, RuleWorld(32, seed=2**40).batch(range(8))), abs=1e-6)


def test_training_may_begin_with_the_slots_of_part_two(command):
    torch.manual_seed(0)
    model, before = SVQ(eps=0.005), SVQ().state_dict()
    source = load_pretrained("slots_shapes")
    model.load_state_dict(before)
    recipe.take_slots(model, "slots_shapes")
    for name, value in model.state_dict().items():
        taken = name.split(".")[0] in ("encoder", "start", "attention")
        assert torch.equal(value, source.state_dict()[name] if taken else before[name]), name
    scenes = create_datasets("shapes", 64, held_out=8)[1].batch(range(8))
    attention = model(scenes["image"], num_slots=7, chance=start_chance(scenes)).encoded.attention[:, -1]
    assert torch.equal(attention.flatten(2), source(scenes["image"], chance=start_chance(scenes)).attention[:, -1].flatten(2))
    code, said = command(*settings("svq", "slots_of=slots_shapes"))
    assert code == 2 and said.startswith("error: the encoder of slots_shapes has other parts or sizes")


@EXPERIMENTS
def test_killed_and_resumed_equals_never_killed(experiment, command, history, monkeypatch, tmp_path):
    quiet = settings(experiment, "tracker=none", "checkpoint_every=1", "resume=auto")
    assert command(*quiet, "out=whole") == (0, "")
    look, calls = CodeObjective.look, []

    def dies(self, model, scenes):
        calls.append(1)
        if len(calls) == 4:  # two steps an epoch: in the middle of the second
            raise KeyboardInterrupt
        return look(self, model, scenes)

    with monkeypatch.context() as patch:
        patch.setattr(CodeObjective, "look", dies)
        code, error = command(*quiet, "out=killed")
    assert code == 130 and "resume=auto" in error
    assert command(*quiet, "out=killed") == (0, "")
    whole, killed = (tmp_path / out for out in ("whole", "killed"))
    assert history(killed / f"checkpoints/{experiment}_rules") == history(whole / f"checkpoints/{experiment}_rules")
    assert read_card(killed / f"{experiment}_rules")["sha256"] == read_card(whole / f"{experiment}_rules")["sha256"]


@pytest.mark.parametrize(("world", "slots"), [("shapes", 4), ("multi_dsprites", 6)])
def test_other_worlds(world, slots, command, tmp_path):
    """As the seed writes it: dataset.name=multi_dsprites model.num_slots=6."""
    assert command(*settings("svq", f"dataset.name={world}", f"model.num_slots={slots}", "epochs=1", "tracker=none")) == (0, "")
    card, model = read_card(tmp_path / f"o/svq_{world}"), load_weights(tmp_path / f"o/svq_{world}")
    _, held_out = create_datasets(world, 32)
    assert model.num_slots == slots and card["metrics"] == pytest.approx(measure(model, held_out.batch(range(8))), abs=1e-6)


def test_measures_are_those_of_all_scenes_at_once():
    torch.manual_seed(0)
    scenes, model = RuleWorld(32).batch(range(7)), SVQ(num_slots=4, slot_dim=8, codebooks=2, codes=6, channels=4, hidden_dim=8, decoder_dim=8)
    model(scenes["image"])
    model.eval()
    with torch.no_grad():
        out, found = model(scenes["image"], chance=start_chance(scenes)), measure(model, scenes, size=3)
    assert found["mse"] == pytest.approx(float((out.reconstruction - scenes["image"]).square().mean()), rel=1e-5)
    for name, masks in (("fg_ari", out.masks), ("attention_fg_ari", out.encoded.attention[:, -1])):
        assert found[name] == pytest.approx(float(foreground_ari(scenes["ids"], masks).nanmean()), abs=1e-6)
    one_by_one = [(row.bincount(minlength=6) / row.numel()).clamp(min=1e-12) for row in out.encoded.codes.indices.flatten(0, 1).T]
    assert found["perplexity"] == pytest.approx(sum(math.exp(float(-(p * p.log()).sum())) for p in one_by_one) / 2, rel=1e-4)


def test_a_world_that_is_not_there(command):
    code, error = command(*settings("svq", "dataset.name=clevr6"))
    assert code == 2 and error == "error: dataset.name must be one of rules, shapes, multi_dsprites, not 'clevr6'.\n"


def test_the_objective_is_error_over_variance_plus_codes():
    scenes, model = Shapes(resolution=32).batch(range(4)), SVQ(**SMALL["svq"], decoder="broadcast").eval()
    objective = CodeObjective(100, variance=0.05, sharing_cost=0.3, usage_cost=0.2, settle_from=0.0, cells=64, fewer=0, more=0)
    objective.before_step(50)
    found = objective(model, scenes)
    out = model(scenes["image"], chance=start_chance(scenes, 50))
    error = (out.reconstruction - scenes["image"]).square().mean()
    expected = (error + 0.3 * sharing(out.masks) + 0.2 * usage(out.masks)) / 0.05 + 0.25 * out.encoded.codes.commitment
    torch.testing.assert_close(found["loss"], expected)


@EXPERIMENTS
def test_codes_begin_to_cost_when_they_mean_something(experiment):
    model, world = recipe.MODELS[experiment](**SMALL[experiment], rate_weight=0.3), RuleWorld(32, samples=16)
    shares = []

    def watch(epoch, model):
        shares.append(model.quantizer.rate_share)

    recipe.train_codes(model, world, epochs=20, batch_size=8, settle_from=0.5, watch=watch, progress=False)  # 2 steps an epoch
    assert shares[0] == 1.0 and shares[1:11] == [0.0] * 10 and shares[11] == pytest.approx(0.25) and shares[13:] == [1.0] * 8
    with pytest.raises(BadInput, match="settle_from must be at most 0.9, not 0.95"):
        recipe.train_codes(model, world, epochs=1, settle_from=0.95)


def test_the_variance_is_that_of_the_pixels():
    image = RuleWorld(32, samples=40).batch(range(40))["image"]
    assert variance_of(RuleWorld(32, samples=40)) == pytest.approx(float(image.var((0, 2, 3), correction=0).mean()), rel=1e-5)


def test_patches_take_what_slots_take():
    model, scenes = PatchVQ(**SMALL["vqvae"]), Shapes(resolution=32).batch(range(2))
    model(scenes["image"])
    model.eval()
    assert torch.equal(model(scenes["image"], 4, 7, start_chance(scenes)).reconstruction, model(scenes["image"]).reconstruction)
