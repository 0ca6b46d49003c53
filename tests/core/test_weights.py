"""Weights and cards: what is saved comes back, and anything odd is refused in one sentence."""

import json
import os

import pytest
import torch
from torch import Tensor, nn

from course_lib.core import weights
from course_lib.core.errors import BadInput
from course_lib.core.weights import buildable, load_pretrained, load_weights, read_card, round_to_half, save_weights

CARD = {"experiment": "toy", "config": {"lr": 0.1, "hidden": [3]}, "seed": 0, "seconds": 1.5, "metrics": {"loss": 0.25}}


@buildable
class Toy(nn.Module):
    __module__ = "course_lib.toy"  # as if the course had it

    def __init__(self, hidden=(3,), *, scale: float = 1.0):
        super().__init__()
        if scale < 0:
            raise BadInput("scale must not be negative.")
        self.layers = nn.Sequential(nn.Linear(1, hidden[0]), nn.BatchNorm1d(hidden[0]), nn.Linear(hidden[0], 1))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.layers(x)


@buildable
class Other(nn.Linear):
    __module__ = "course_lib.toy"

    def __init__(self):
        super().__init__(1, 1)


class Undecorated(Toy):
    __module__ = "course_lib.toy"


@pytest.fixture
def saved(tmp_path):
    """A saved toy: (the model, its name's path without an ending)."""
    torch.manual_seed(0)
    model = Toy((5,), scale=2.0)
    model(torch.randn(8, 1))  # moves the running statistics
    path = tmp_path / "toy_beta10.0"  # a dot that is no ending
    save_weights(model.eval(), path, card=CARD)
    return model, path


def refused(sentence: str):
    return pytest.raises(BadInput, match=sentence)


def edit(path, change) -> None:
    card = json.loads((path.parent / f"{path.name}.json").read_text())
    change(card)
    (path.parent / f"{path.name}.json").write_text(json.dumps(card))


def test_what_is_saved_comes_back(saved):
    model, path = saved
    assert sorted(os.listdir(path.parent)) == ["toy_beta10.0.json", "toy_beta10.0.safetensors"]
    x = torch.randn(4, 1)
    before = torch.get_rng_state()
    for name in (path, f"{path}.safetensors", f"{path}.json"):
        again = load_weights(name, expect=Toy)
        assert torch.equal(again(x), model(x)) and not again.training and again.scale == 2.0
    assert torch.equal(torch.get_rng_state(), before)


def test_rounded_weights_need_half_of_the_bytes_and_lose_nothing(tmp_path):
    torch.manual_seed(0)
    model = Toy((500,))
    save_weights(model, tmp_path / "whole", card=CARD)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    round_to_half(model)
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.allclose(value.float(), before[name].float(), rtol=2**-11, atol=2**-25)
    save_weights(model, tmp_path / "half", card=CARD)
    again = load_weights(tmp_path / "half")
    for name, value in again.state_dict().items():
        assert value.dtype == before[name].dtype and torch.equal(value, model.state_dict()[name])
    whole, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half"))
    assert half < 0.65 * whole
    assert all(torch.equal(value, before[name]) for name, value in load_weights(tmp_path / "whole").state_dict().items())


def test_weights_too_large_for_half_are_refused():
    model = Toy()
    with torch.no_grad():
        model.layers[0].weight[0] = 1e5
    with refused("layers.0.weight of the Toy holds values beyond"):
        round_to_half(model)


def test_the_card_says_how_it_was_made(saved):
    card = read_card(saved[1])
    assert {key: card[key] for key in CARD} == CARD
    assert card["model"] == {"class": "course_lib.toy.Toy", "arguments": {"hidden": [5], "scale": 2.0}}
    assert {"python", "torch", "numpy", "accelerate", "course_lib"} <= card["versions"].keys()
    assert card["hardware"]["cpus"] == os.cpu_count() and len(card["sha256"]) == 64


def test_defaults_are_recorded():
    assert Toy().card_arguments == {"hidden": [3], "scale": 1.0}


def test_load_pretrained_names_what_exists(saved):
    _, path = saved
    assert isinstance(load_pretrained("toy_beta10.0", folder=path.parent), Toy)
    for name in ("toy", "../toy_beta10.0"):
        with refused(r"no shipped weights are called .*; there are: toy_beta10\.0\.$"):
            load_pretrained(name, folder=path.parent)
    with refused(r"there are: toy_beta10\.0\.$"):
        load_pretrained("toy", folder=path.parent, expect=(nn.Linear, Toy))
    with refused(r"there are: none yet\.$"):  # only what would do is named
        load_pretrained("toy", folder=path.parent, expect=nn.Linear)
    with refused("there are: none yet"):
        load_pretrained("toy", folder=path.parent / "empty")


def test_missing_file(tmp_path):
    with refused("there are no weights .*nothing.safetensors"):
        load_weights(tmp_path / "nothing")


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"",
                                    lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_truncated_or_altered(saved, damage):
    file = saved[1].parent / "toy_beta10.0.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with refused("does not match its card: the file is truncated or altered"):
        load_weights(saved[1])


def test_no_card(saved):
    (saved[1].parent / "toy_beta10.0.json").unlink()
    with refused("has no card; toy_beta10.0.json must lie beside it"):
        load_weights(saved[1])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"model": 3, "sha256": ""}',
                                  '{"model": {"class": "x"}, "sha256": "x"}'])
def test_bad_card(saved, text):
    (saved[1].parent / "toy_beta10.0.json").write_text(text)
    with refused("cannot be read|is not a card of weights"):
        load_weights(saved[1])


def test_card_of_another_model(saved):
    with refused("holds a Toy, not a Other"):
        load_weights(saved[1], expect=Other)
    edit(saved[1], lambda card: card["model"].update({"class": "course_lib.toy.Other", "arguments": {}}))
    with refused("do not fit the Other of their card"):
        load_weights(saved[1])


@pytest.mark.parametrize("name", [
    "os.system", "torch.nn.Linear", "evil.course_lib.toy.Toy", "course_lib", "course_lib..core.X",
    "course_lib.nowhere.Model", "course_lib.toy.Undecorated", "course_lib.core.errors.BadInput",
    "course_lib.core.weights.load_weights"])
def test_only_buildable_models_of_the_course_are_built(saved, name, monkeypatch):
    imported = []
    real = weights.importlib.import_module
    monkeypatch.setattr(weights.importlib, "import_module", lambda module: imported.append(module) or real(module))
    edit(saved[1], lambda card: card["model"].update({"class": name}))
    with refused("which is not a buildable model of this course"):
        load_weights(saved[1])
    assert all(module.startswith("course_lib.") for module in imported)


@pytest.mark.parametrize("arguments", [
    {"width": 3}, {"hidden": "wide"}, {"hidden": [-1]}, {"scale": -1.0}, {"scale": "big"}])
def test_arguments_that_do_not_build(saved, arguments):
    edit(saved[1], lambda card: card["model"].update({"arguments": arguments}))
    with refused("cannot rebuild its Toy"):
        load_weights(saved[1])


def test_shapes_that_do_not_fit(saved):
    edit(saved[1], lambda card: card["model"].update({"arguments": {"hidden": [6]}}))
    with refused("do not fit the Toy of their card"):
        load_weights(saved[1])


def test_refused_before_anything_is_written(tmp_path):
    with refused("decorate its class with @buildable"):
        save_weights(Undecorated(), tmp_path / "a", card=CARD)
    with refused("the card of a lacks seed, metrics"):
        save_weights(Toy(), tmp_path / "a", card={key: CARD[key] for key in ("experiment", "config", "seconds")})
    with refused("plain finite values"):
        save_weights(Toy(), tmp_path / "a", card={**CARD, "metrics": {"loss": float("nan")}})
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with refused("cannot write .*choose a folder you may write to"):
        save_weights(Toy(), tmp_path / "file/a", card=CARD)


def test_an_interrupted_save_keeps_the_old_pair(saved, monkeypatch):
    model, path = saved

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with torch.no_grad():
        model.layers[0].weight += 1
    monkeypatch.setattr(weights.json, "dumps", killed)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        save_weights(model, path, card=CARD)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before  # no temporary files either
    load_weights(path)
