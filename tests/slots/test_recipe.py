"""Training of slots by the real command: its files, its defaults, what a kill and a second process cannot change."""

import io
import math
import os
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
import torch
from clevr_on_disk import arrays, write_records, write_release
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional as F

from course_lib import train
from course_lib.core.errors import BadInput
from course_lib.core.weights import load_weights, read_card
from course_lib.slots import recipe
from course_lib.slots.autoencoder import SlotAutoencoder, SlotOutput
from course_lib.slots.figures import RGB
from course_lib.slots.loaders import create_datasets
from course_lib.slots.losses import sharing, squared_error, usage
from course_lib.slots.recipe import (SlotObjective, Watch, make_optimizers, measure, measure_consistency, train_slots,
                                     verdict, warm_up_and_decay)
from course_lib.slots.scenes import Shapes, start_chance

SMALL = {"num_slots": 4, "slot_dim": 16, "hidden_dim": 16, "channels": 8, "decoder_dim": 16}
MODEL = [f"model.{key}={value}" for key, value in SMALL.items()]
QUICK = [*MODEL, "epochs=3", "batch_size=8", "data.resolution=32", "out=o", "progress=false"]
SHAPES = ["experiment=slots_shapes", *QUICK, "data.samples=16", "data.held_out=6"]
EXPERIMENTS = pytest.mark.parametrize("experiment", ["slots_shapes", "slots_multi_dsprites", "slots_clevr6"])
METRICS = {"mse", "fg_ari", "full_ari", "miou", "mbo", "attention_fg_ari"}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(recipe, "SCORED", 8)


class Oracle(SlotAutoencoder):
    """Gives out these masks, one call after another, and the picture as its own reconstruction."""

    def __init__(self, *masks: torch.Tensor):
        super().__init__(**SMALL)
        self.masks = list(masks)

    def forward(self, image, num_slots=None, iterations=None, chance=None) -> SlotOutput:
        masks = self.masks.pop(0)
        return SlotOutput(image, masks, torch.zeros(len(image), masks.shape[1], 16), masks.unsqueeze(1),
                          image.unsqueeze(1).expand(-1, masks.shape[1], -1, -1, -1))


def true_masks(scenes: dict) -> torch.Tensor:
    """A slot for the background and one for each object."""
    return F.one_hot(scenes["ids"].long(), scenes["present"].shape[1] + 1).movedim(-1, 1).float()


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@EXPERIMENTS
def test_the_defaults_are_those_of_the_seed(experiment):
    with hydra.initialize_config_dir(str(train.CONFIGS), version_base="1.3"):
        cfg = hydra.compose("train", overrides=[f"experiment={experiment}"])
    assert (cfg.model.num_slots, cfg.model.slot_dim, cfg.model.num_iterations, cfg.model.hidden_dim) == (7, 64, 3, 64)
    assert (cfg.batch_size, cfg.lr, cfg.data.min_objects, cfg.data.max_objects) == (32, 4e-4, 2, 6)
    assert (cfg.epochs, cfg.data.resolution) == ((200, 128) if experiment == "slots_clevr6" else (100, 64))
    assert 50 % cfg.checkpoint_every == 0  # there is a checkpoint_epoch_50
    assert (recipe.LR, recipe.BATCH) == (cfg.lr, cfg.batch_size)
    harder = {"sharing_cost": 0.02, "usage_cost": 0.002, "settle_from": 0.5}
    own = {"slots_multi_dsprites": harder, "slots_clevr6": harder | {"cells": 256}}  # 256: a quarter of the picture
    objective = SlotObjective(100, **own.get(experiment, {}))
    assert dict(cfg.objective) == {name: getattr(objective, name) for name in cfg.objective}


def test_shapes_from_the_command_line(command, tmp_path):
    assert command(*SHAPES, "checkpoint_every=2") == (0, "")
    out, name = tmp_path / "o", "slots_shapes"
    assert files(out) == {f"{name}.safetensors", f"{name}.json", f"{name}.png", "logs", "checkpoints"}
    assert files(out / "checkpoints" / name) == {"best_model", "checkpoint_epoch_2", "checkpoint_epoch_3"}
    card, model = read_card(out / name), load_weights(out / name, expect=SlotAutoencoder)
    assert card["experiment"] == name and card["config"]["model"]["slot_dim"] == 16 and card["seconds"] > 0
    scenes = create_datasets("shapes", 32, held_out=6)[1].batch(range(8))  # as many as SCORED, more than validation saw
    assert card["metrics"] == pytest.approx(measure(model, scenes)) and card["metrics"].keys() == METRICS
    assert card["metrics_by_slots"].keys() == {"5", "6", "8", "10", "12"}  # beside the 4 it is trained with
    assert card["metrics_by_slots"]["5"] == pytest.approx(measure(model, scenes, 5))
    assert {len(values) for values in card["epochs"].values()} == {3} and card["epochs"].keys() == {"mse", "fg_ari", "full_ari"}
    with Image.open(out / f"{name}.png") as picture:
        assert picture.width >= 600 and len(picture.convert("L").getcolors(256)) > 50  # something is drawn
    events = EventAccumulator(str(out / "logs" / name))
    events.Reload()
    assert {"loss", "error", "sharing", "usage", *METRICS} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("fg_ari")] == [2, 4, 6]
    assert [event.step for event in events.Images("masks")] == [4, 6]  # at each periodic checkpoint
    with Image.open(io.BytesIO(events.Images("masks")[-1].encoded_image_string)) as row:
        assert row.size == (6 * 32, 3 * 32)  # six scenes; picture, reconstruction and segmentation of each
        segmented = {colour for _, colour in row.convert("RGB").crop((0, 64, 192, 96)).getcolors(192 * 32)}
    assert segmented <= {tuple(round(255 * part) for part in colour) for colour in RGB.tolist()}


def test_multi_dsprites_from_the_command_line(command, tmp_path):
    assert command("experiment=slots_multi_dsprites", *QUICK, "data.background=coloured", "data.samples=16",
                   "data.held_out=6", "epochs=1", "tracker=none") == (0, "")
    name = "slots_multi_dsprites"
    assert files(tmp_path / "o") == {f"{name}.safetensors", f"{name}.json", f"{name}.png", "checkpoints"}
    card = read_card(tmp_path / "o" / name)
    assert card["config"]["data"]["background"] == "coloured" and card["metrics"].keys() == METRICS


@pytest.mark.parametrize("masks", [True, False], ids=["with masks", "original release"])
def test_clevr6_from_the_command_line(command, tmp_path, masks):
    if masks:
        write_records(tmp_path, [arrays(3, seed) for seed in range(10)])
    else:
        write_release(tmp_path, [3, 4, 5, 6])
        write_release(tmp_path, [3, 10, 4], split="val")
    settings = ["experiment=slots_clevr6", *QUICK, "data.folder=.", "epochs=1", "batch_size=4", "tracker=none"]
    assert command(*settings) == (0, "")
    assert files(tmp_path / "o") == {"slots_clevr6.safetensors", "slots_clevr6.json", "slots_clevr6.png", "checkpoints"}
    assert read_card(tmp_path / "o/slots_clevr6")["metrics"].keys() == (METRICS if masks else {"mse"})


@pytest.mark.parametrize(("said", "want"), [("", 0.1), ("clip=2.5", 2.5), ("clip=1e9", 1e9)])
def test_the_largest_norm_of_the_gradient_is_a_setting(command, monkeypatch, said, want):
    class Seen(Exception):
        pass

    def shows(*_, clip, **__):
        raise Seen(clip)

    monkeypatch.setattr(recipe, "train", shows)
    with pytest.raises(Seen) as seen:
        command(*SHAPES, *filter(None, [said]), "tracker=none")
    assert seen.value.args == (want,)


def test_killed_and_resumed_equals_never_killed(command, history, monkeypatch, tmp_path):
    settings = [*SHAPES, "tracker=none", "checkpoint_every=1", "resume=auto"]
    assert command(*settings, "out=whole") == (0, "")
    calls = []

    def dies(recon, image):
        calls.append(1)
        if len(calls) == 4:  # two steps an epoch: in the middle of the second
            raise KeyboardInterrupt
        return squared_error(recon, image)

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "squared_error", dies)
        code, error = command(*settings, "out=killed")
    assert code == 130 and "resume=auto" in error and not (tmp_path / "killed/slots_shapes.json").exists()
    assert command(*settings, "out=killed") == (0, "")
    whole, killed = (tmp_path / out for out in ("whole", "killed"))
    assert history(killed / "checkpoints/slots_shapes") == history(whole / "checkpoints/slots_shapes")
    assert read_card(killed / "slots_shapes")["sha256"] == read_card(whole / "slots_shapes")["sha256"]
    for resume, changes, words in (
            ("nowhere", [], "there is no checkpoint nowhere"),
            ("whole/checkpoints/slots_shapes/best_model", ["model.channels=4"], "is damaged or holds another model")):
        code, error = command(*settings, *changes, f"resume={resume}", "out=other")
        assert code == 2 and words in error and error.count("\n") == 1


def test_two_processes_agree_with_one(command, history, tmp_path):
    """Same scenes, same starts, half a batch each: the losses of every step differ by rounding alone, 1e-5 at most."""
    write_release(tmp_path, [3, 4, 5, 6, 3, 4, 5, 6])
    write_release(tmp_path, [3, 4], split="val")
    settings = ["experiment=slots_clevr6", *QUICK, "batch_size=4", "data.folder=.", "tracker=none"]
    launch = ["-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu", "-m", "course_lib.train"]
    done = subprocess.run([sys.executable, *launch, *settings, "out=two"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert command(*settings, "out=one") == (0, "")
    one, two = (history(tmp_path / out / "checkpoints/slots_clevr6") for out in ("one", "two"))
    assert one["updates"] == two["updates"] == 6 and one["steps"].keys() == {"loss", "error", "sharing", "usage"}
    for name, values in one["steps"].items():
        assert two["steps"][name] == pytest.approx(values, abs=1e-5), name
    metrics = [read_card(tmp_path / out / "slots_clevr6")["metrics"]["mse"] for out in ("one", "two")]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-5)


def test_a_loss_that_is_not_finite_names_step_and_checkpoint(command, monkeypatch):
    calls = []

    def diverges(recon, image):
        calls.append(1)
        return squared_error(recon, image) * (math.nan if len(calls) > 3 else 1)

    monkeypatch.setattr(recipe, "squared_error", diverges)
    code, error = command(*SHAPES, "tracker=none")
    assert code == 2 and error.count("\n") == 1
    assert "the loss became nan at step 4 (epoch 2); use a smaller learning rate" in error
    assert error.endswith(f"the last good checkpoint is {Path('o/checkpoints/slots_shapes/best_model')}.\n")
    assert Path("o/checkpoints/slots_shapes/best_model/state.json").exists()


@pytest.mark.parametrize(("arguments", "words"), [
    (["data.samples=null"], "data.samples=None is not a whole number"),
    (["data.samples=0"], "samples must be at least 1"), (["lr=-1.0"], "lr must be a positive number, not -1.0"),
    (["batch_size=0"], "batch_size must be a whole number from 1 on"),
    (["workers=-1"], "workers must be a whole number from 0 on"),
    (["objective.settle_from=2.0"], "settle_from from 0 to 1, not"),
    (["objective.usage_cost=-1.0"], "usage_cost must be at least 0"),
    (["data.resolution=30"], "multiples of 4, not 30 and 30"),
    (["data.dataset_type=coco"], "shapes, multi_dsprites, clevr6, not 'coco'"),
    (["model.num_slots=0"], "num_slots must be"), (["model.gradient=half"], "gradient must be one of"),
    (["model.start=queries", "model.num_slots=13"], "13 slots need at least as many queries"),
    (["model.start=zero"], "start must be one of gaussian, queries, seeds"),
    (["experiment=slots_clevr6"], "data.folder=PATH")])
def test_bad_settings_are_one_sentence_and_nothing_is_written(command, tmp_path, arguments, words):
    code, error = command(*SHAPES, "tracker=none", *arguments)
    assert code == 2 and error.startswith("error: ") and error.count("\n") == 1 and words in error
    assert not list(tmp_path.rglob("*.safetensors")) and not list(tmp_path.rglob("*.png"))


def test_the_costs_begin_when_slots_have_found_objects():
    objective, weights = SlotObjective(steps=100, settle_from=0.3), {}
    for done in range(100):
        objective.before_step(done)
        weights[done] = objective.weight
    assert {weights[done] for done in range(31)} == {0.0} and {weights[done] for done in range(40, 100)} == {1.0}
    assert weights[35] == pytest.approx(0.5) and weights[33] == pytest.approx(0.3)


def test_the_objective_is_error_plus_weighted_costs():
    torch.manual_seed(0)
    model, scenes = SlotAutoencoder(**SMALL), Shapes(resolution=32).batch(range(2))
    objective = SlotObjective(steps=10, sharing_cost=2.0, usage_cost=3.0, fewer=0, more=0, weight=0.25)
    out = model(scenes["image"], chance=start_chance(scenes))
    parts = {"error": squared_error(out.reconstruction, scenes["image"]),
             "sharing": sharing(out.masks), "usage": usage(out.masks)}
    found = objective(model, scenes)
    parts["loss"] = parts["error"] + 0.25 * (2 * parts["sharing"] + 3 * parts["usage"])
    torch.testing.assert_close(found, parts)


def test_the_cells_of_a_step_follow_from_its_number():
    torch.manual_seed(0)
    model, scenes = SlotAutoencoder(**SMALL), Shapes(resolution=32).batch(range(2))
    losses = []
    for done in (0, 0, 1):
        objective = SlotObjective(steps=10, cells=5)
        objective.before_step(done)
        losses.append(float(objective(model, scenes)["loss"]))
    assert losses[0] == losses[1] != losses[2]
    with pytest.raises(BadInput, match="cells must be at least 1, .* not 0, 1 and 2"):
        SlotObjective(steps=10, cells=0)


def test_every_parameter_has_one_optimiser():
    model = SlotAutoencoder(**SMALL)
    muon, adam = make_optimizers(model, lr=0.4)
    rates = {id(p): group["lr"] for optimizer in (muon, adam) for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == sum(len(group["params"]) for optimizer in (muon, adam) for group in optimizer.param_groups)
    pace = {"decoder": 5.0, "encoder": 2.5, "attention": 1.25, "start": 1.25}
    assert rates == {id(p): 0.4 * pace[name.split(".")[0]] for name, p in model.named_parameters()}
    assert {p.ndim for group in muon.param_groups for p in group["params"]} == {2}
    (alone,) = make_optimizers(model, lr=0.4, matrices="adam")
    assert {id(p): group["lr"] for group in alone.param_groups for p in group["params"]} == rates
    with pytest.raises(BadInput, match="muon or adam, not 'sgd'"):
        make_optimizers(model, lr=0.4, matrices="sgd")


def test_a_scene_s_start_follows_from_its_number():
    scenes, model = Shapes(resolution=32).batch([5, 2**40 + 3, 7]), SlotAutoencoder(**SMALL)
    whole = model(scenes["image"], chance=start_chance(scenes)).slots
    part = {name: value[1:] for name, value in scenes.items()}
    torch.testing.assert_close(model(part["image"], chance=start_chance(part)).slots, whole[1:])
    assert not torch.allclose(model(part["image"], chance=start_chance(part, seed=1)).slots, whole[1:])


@pytest.mark.parametrize(("steps", "warmup"), [(10_000, 300), (1000, 100), (20, 2), (3, 1)])
def test_warm_up_and_decay(steps, warmup):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule, rates = warm_up_and_decay(optimizer, steps), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    expected = [0.5 * min((s + 1) / warmup, 1) * (1 + math.cos(math.pi * s / steps)) / 2 for s in range(steps)]
    assert rates == pytest.approx(expected) and rates[0] > 0
    assert rates[0] == pytest.approx(0.5 / warmup) and rates.index(max(rates)) == warmup - 1
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)


def test_measure_against_what_is_known():
    scenes = Shapes(resolution=32, min_objects=2, max_objects=4).batch(range(5))
    truth = true_masks(scenes)
    perfect = dict.fromkeys(METRICS, 1.0) | {"mse": 0.0}
    assert measure(Oracle(truth[:2], truth[2:4], truth[4:]), scenes, size=2) == perfect
    lazy = torch.zeros_like(truth)
    lazy[:, 0] = 1  # one slot takes everything
    found = measure(Oracle(lazy), scenes)
    assert found["fg_ari"] == 0 and found["full_ari"] == 0 and found["mbo"] < 0.2


def test_measure_without_true_masks_gives_the_error_alone():
    torch.manual_seed(0)
    scenes, model = Shapes(resolution=32).batch(range(3)), SlotAutoencoder(**SMALL)
    blind = {name: scenes[name] for name in ("image", "number")}
    assert measure(model, blind) == {"mse": pytest.approx(measure(model, scenes, size=1)["mse"])}
    assert measure(model, blind, num_slots=2)["mse"] != measure(model, blind, iterations=1)["mse"]


def test_consistency_is_one_for_an_oracle_and_zero_if_slots_swap():
    data = Shapes(resolution=32, max_objects=3)
    before, after = (true_masks(data.batch(range(4), motion)) for motion in (0, 0.06))
    assert measure_consistency(Oracle(before, after), data, scenes=4) == 1
    assert measure_consistency(Oracle(before, after.roll(1, 1)), data, scenes=4) == 0


@pytest.mark.parametrize(("fg_ari", "full_ari", "finding"), [
    (0.1, 0.9, "no binding yet: the slots do not follow the objects (FG-ARI 0.10)."),
    (0.5, 0.9, "binding has begun: some objects still share a slot or lie in pieces (FG-ARI 0.50)."),
    (0.9, 0.4, "objects bound, background in pieces: FG-ARI 0.90, full ARI 0.40."),
    (0.97, 0.91, "bound: objects and background have slots of their own (FG-ARI 0.97, full ARI 0.91).")])
def test_verdict(fg_ari, full_ari, finding):
    assert verdict({"fg_ari": fg_ari, "full_ari": full_ari}) == finding


def test_the_verdict_is_said_when_it_changes(capsys):
    scenes = Shapes(resolution=32).batch(range(2))
    truth = true_masks(scenes)
    nothing = truth.roll(1, 0).amax(1, keepdim=True)  # one slot
    watch = Watch(scenes)
    for masks in (nothing, nothing, truth, truth):
        watch(Oracle(masks))
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == ["no binding yet", "bound"]
    Watch(scenes, aloud=False)(Oracle(truth))
    assert capsys.readouterr().err == ""


def test_train_slots_needs_neither_held_out_scenes_nor_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = Shapes(resolution=32, samples=6)
    found = train_slots(SlotAutoencoder(**SMALL), data, epochs=2, batch_size=4, progress=False)
    assert found.updates == 4 and found.epochs.keys() == {"loss", "error", "sharing", "usage"} and not files(tmp_path)
    with pytest.raises(BadInput, match="settle_from"):
        train_slots(SlotAutoencoder(**SMALL), data, epochs=1, settle_from=-1.0)
