"""Runs and checkpoints: complete or absent, exact when resumed, never mixed."""

import json
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from course_lib.core import checkpoints
from course_lib.core.errors import BadInput
from course_lib.core.training import History, Run
from tests.core.toy import cosine, kept, network, numbers, same, short


@pytest.mark.parametrize("name", ["checkpoint_epoch_2", "checkpoint_epoch_4", "best_model"])
def test_resuming_from_any_checkpoint_is_exact(tmp_path, name):
    whole, resumed = network(), network()
    history = short(whole, epochs=5, scheduler=cosine, run=kept(tmp_path))
    source = tmp_path / "checkpoints/toy" / name
    assert name != "best_model" or json.loads((source / "state.json").read_text())["epoch"] == history.best_epoch
    again = short(resumed, epochs=5, scheduler=cosine, run=kept(tmp_path, resume=str(source)))
    assert numbers(again) == numbers(history) and same(whole, resumed)
    assert {folder.name for folder in (tmp_path / "checkpoints/toy").iterdir()} == {
        "checkpoint_epoch_2", "checkpoint_epoch_4", "checkpoint_epoch_5", "best_model"}


def test_every_generator_is_saved_and_restored(tmp_path):
    """Accelerate only logs a generator that it could not restore; `restore` must not let that pass."""
    short(epochs=2, run=kept(tmp_path))
    folder = tmp_path / "checkpoints/toy/checkpoint_epoch_2"
    state = checkpoints.read(folder)
    states = torch.load(folder / "random_states_0.pkl", weights_only=False)
    assert {"random_state", "numpy_random_seed", "torch_manual_seed"} <= states.keys()
    del states["numpy_random_seed"]
    torch.save(states, folder / "random_states_0.pkl")
    with pytest.raises(RuntimeError, match="random generators saved in .* were not restored"):
        short(epochs=3, run=kept(tmp_path, resume=str(folder)))
    assert len(state["randomness"]) == 1


def test_best_model_is_the_lowest_of_the_chosen_measure(tmp_path):
    measured = iter([3.0, 1.0, 2.0])
    history = short(validate=lambda model: {"error": next(measured)}, best="error", run=kept(tmp_path))
    assert history.best_epoch == 2
    assert checkpoints.read(tmp_path / "checkpoints/toy/best_model")["history"]["epochs"]["error"] == [3.0, 1.0]


def test_finished_run_returns_its_history_at_once(tmp_path):
    model, again, calls = network(), network(), []
    history = short(model, run=kept(tmp_path))
    resumed = short(again, objective=lambda *_: calls.append(1), run=kept(tmp_path, resume="auto"))
    assert resumed == history and same(model, again) and not calls and not again.training


def test_auto_refuses_other_settings_but_a_path_allows_them(tmp_path):
    short(run=kept(tmp_path, config={"model": {"beta": 1.0}}))
    with pytest.raises(BadInput, match=r"made with epochs=3 \(now 4\), model.beta=1.0 \(now 2.0\); repeat") as error:
        short(epochs=4, run=kept(tmp_path, resume="auto", config={"model": {"beta": 2.0}}))
    assert str(error.value).count(". ") == 0
    source = str(tmp_path / "checkpoints/toy/checkpoint_epoch_3")
    assert short(epochs=4, run=kept(tmp_path, resume=source, config={"model": {"beta": 2.0}})).epoch == 4
    assert (tmp_path / "checkpoints/toy.earlier/checkpoint_epoch_3/state.json").exists()
    assert not (tmp_path / "checkpoints/toy/checkpoint_epoch_3").exists()  # two runs are never mixed


def test_a_checkpoint_of_another_recipe_is_refused_under_any_name(tmp_path):
    short(run=kept(tmp_path, config={"recipe": "part.one.run"}))
    source = str(tmp_path / "checkpoints/toy/checkpoint_epoch_3")
    with pytest.raises(BadInput, match=r"checkpoint_epoch_3 is a checkpoint of part.one.run, and its model is not that of part.two.run; name one"):
        short(epochs=4, run=kept(tmp_path, resume=source, config={"recipe": "part.two.run"}))
    assert short(epochs=4, run=kept(tmp_path, resume=source)).epoch == 4  # a notebook has no recipe, and may go on


def test_fresh_run_keeps_earlier_ones(tmp_path):
    for seed in (1, 2, 3):
        short(seed=seed, run=kept(tmp_path, tracker="tensorboard"))
    for name, seed in (("toy", 3), ("toy.earlier", 1), ("toy.earlier2", 2)):
        assert checkpoints.read(tmp_path / "checkpoints" / name / "best_model")["settings"]["train"]["seed"] == seed
        assert len(list((tmp_path / "logs" / name).iterdir())) == 1


def test_half_written_checkpoints_do_not_count(tmp_path):
    whole, resumed = network(), network()
    history = short(whole, epochs=4, run=kept(tmp_path))
    folder = tmp_path / "checkpoints/toy"
    for name in ("checkpoint_epoch_4", "best_model"):  # killed while writing one, and between the other's renames
        (folder / name).rename(folder / f".{name}.partial")
    (folder / ".best_model.partial").rename(folder / ".best_model.old")
    assert checkpoints.newest(folder) == folder / "checkpoint_epoch_2"
    assert numbers(short(resumed, epochs=4, run=kept(tmp_path, resume="auto"))) == numbers(history)
    assert same(whole, resumed)
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.bin"])
def test_damaged_checkpoint(tmp_path, file):
    short(run=kept(tmp_path))
    folder = tmp_path / "checkpoints/toy/checkpoint_epoch_2"
    (folder / file).write_bytes((folder / file).read_bytes()[:50])
    with pytest.raises(BadInput, match="is damaged or holds another model"):
        short(run=kept(tmp_path, resume=str(folder)))


def test_checkpoint_of_another_model(tmp_path):
    short(run=kept(tmp_path))
    with pytest.raises(BadInput, match="is damaged or holds another model"):
        short(nn.Linear(1, 1), run=kept(tmp_path, resume=str(tmp_path / "checkpoints/toy/best_model")))


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    short(run=kept(tmp_path))
    folder = tmp_path / "checkpoints/toy/checkpoint_epoch_2"
    torch.save({"state": Evil()}, folder / "optimizer.bin")
    with pytest.raises(BadInput, match="damaged") as error:
        short(run=kept(tmp_path, resume=str(folder)))
    assert type(error.value.__cause__).__name__ == "UnpicklingError"
    assert not (tmp_path / "executed").exists()


def test_tensorboard_has_each_epoch_once_although_the_run_was_cut(tmp_path):
    history = short(epochs=6, run=kept(tmp_path, tracker="tensorboard"))
    time.sleep(1.1)  # event files are named by the second
    source = str(tmp_path / "checkpoints/toy/checkpoint_epoch_4")
    short(epochs=6, run=kept(tmp_path, tracker="tensorboard", resume=source))
    events = EventAccumulator(str(tmp_path / "logs/toy"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [4, 8, 12, 16, 20, 24]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(history.epochs["loss"])


def test_a_diverging_run_keeps_its_last_good_checkpoint(tmp_path):
    calls = []

    def diverges(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        calls.append(1)
        return {"loss": model(x).square().mean() * (float("nan") if len(calls) > 9 else 1.0)}

    with pytest.raises(BadInput, match=r"the loss became nan at step 10 \(epoch 3\)") as error:
        short(objective=diverges, run=kept(tmp_path))
    good = Path(str(error.value).split("the last good checkpoint is ")[1].removesuffix("."))
    assert good.parent == tmp_path / "checkpoints/toy" and checkpoints.read(good)["epoch"] == 2


def test_the_last_good_checkpoint_is_named_if_there_is_one():
    for good, ending in ((None, "check the data."), (Path("a/best_model"), f"; the last good checkpoint is {Path('a/best_model')}.")):
        history = History(updates=4, epoch=1)
        with pytest.raises(BadInput, match=r"became inf at step 6 \(epoch 2\)") as error:
            history.add_epoch({"loss": [1.0, float("inf")]}, 1, good)
        assert str(error.value).endswith(ending) and history == History(updates=4, epoch=1)  # nothing of it is recorded


def test_before_step_goes_on_counting_after_a_resume(tmp_path):
    told = []
    short(epochs=2, run=kept(tmp_path))
    source = str(tmp_path / "checkpoints/toy/checkpoint_epoch_2")
    short(run=kept(tmp_path, resume=source), before_step=told.append)
    assert told == [8, 9, 10, 11]


def test_pictures_reach_the_tracker_with_each_periodic_checkpoint_and_change_nothing(tmp_path):
    def pictures(model: nn.Module) -> dict[str, Tensor]:
        assert not model.training and not torch.is_grad_enabled()
        return {"noise": torch.rand(2, 3, 4, 5)}

    plain, watched = network(), network()
    short(plain, run=kept(tmp_path / "plain", tracker="tensorboard"))
    short(watched, run=kept(tmp_path, tracker="tensorboard"), pictures=pictures)
    assert same(plain, watched)
    events = EventAccumulator(str(tmp_path / "logs/toy"))
    events.Reload()
    assert events.Tags()["images"] == ["noise"] and [event.step for event in events.Images("noise")] == [8, 12]
    assert [(event.width, event.height) for event in events.Images("noise")] == [(10, 4)] * 2  # two, side by side


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"tracker": "paper"}, "tracker must be one of tensorboard, wandb, none"),
    ({"checkpoint_every": 0}, "checkpoint_every must be a whole number"),
    ({"precision": "fp7"}, "precision must be"),
    ({"name": "a/b"}, "usable as a folder name"),
])
def test_bad_run(tmp_path, changes, sentence):
    with pytest.raises(BadInput, match=sentence):
        Run(**{"folder": tmp_path, "name": "toy", **changes})


def test_wandb_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="needs the package wandb; install it with"):
        kept(tmp_path, tracker="wandb")


@pytest.mark.parametrize(("resume", "words"), [("nowhere", "there is no checkpoint nowhere"), (".", "is not a complete checkpoint")])
def test_no_checkpoint_at_the_path(tmp_path, monkeypatch, resume, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=words):
        short(run=kept(tmp_path, resume=resume))


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match="cannot write to .*name another folder"):
        short(run=kept(tmp_path / "file/below"))
