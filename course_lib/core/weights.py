"""Shipped weights: NAME.safetensors and beside it NAME.json, the card that says what they are and how they were made.

Nothing is unpickled, and a card can only name a class that this course marked with `@buildable`.
"""

import copy
import functools
import importlib
import importlib.metadata
import inspect
import json
import os
import platform
import re
from pathlib import Path

import accelerate
import numpy
import safetensors
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_model, save_model
from torch import nn

from course_lib.core.errors import BadInput, one_line
from course_lib.core.launch import is_main_process
from course_lib.core.paths import DATA, atomic, file_sha256

REQUIRED = ("experiment", "config", "seed", "seconds", "metrics")  # what only the caller of `save_weights` knows
CLASS_NAME = re.compile(r"(course_lib(?:\.[a-z][a-z0-9_]*)+)\.[A-Z]\w*")
_BUILDABLE: dict[str, type[nn.Module]] = {}


def buildable(cls: type[nn.Module]) -> type[nn.Module]:
    """Class decorator: instances remember their constructor's arguments, so that a card can rebuild them.

    The arguments, defaults included, are on each instance as `card_arguments`; they must be plain values
    (numbers, strings, booleans, None, lists or dicts of them).
    """
    construct = cls.__init__
    signature = inspect.signature(construct)

    @functools.wraps(construct)
    def remember(self, *args, **kwargs):
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        construct(self, *args, **kwargs)
        self.card_arguments = {key: _plain(value) for key, value in list(bound.arguments.items())[1:]}

    cls.__init__ = remember
    _BUILDABLE[_name_of(cls)] = cls
    return cls


def save_weights(model: nn.Module, path: str | Path, *, card: dict) -> Path:
    """Write `path`.safetensors and its card `path`.json; return the path of the weights.

    card: `experiment`, the full `config`, `seed`, `seconds` of wall time, measured `metrics`, and what else is worth
    keeping. Added here: versions, hardware, the model's class and arguments, SHA-256 of the weights.
    The card is written last: without a fitting card the weights do not load, so a half-done pair is never used.
    With several processes only the main one writes. Weights that are all float16 numbers (`round_to_half`) are written as such.
    Raises `BadInput` for an incomplete card, a model that is not `@buildable`, or a folder that cannot be written.
    """
    weights, description = _pair(path)
    if _BUILDABLE.get(_name_of(type(model))) is not type(model):
        raise BadInput(f"{type(model).__name__} cannot be rebuilt from a card; decorate its class with @buildable.")
    if missing := [key for key in REQUIRED if key not in card]:
        raise BadInput(f"the card of {weights.stem} lacks {', '.join(missing)}.")
    if not is_main_process():
        return weights
    full = {**_plain(card), "model": {"class": _name_of(type(model)), "arguments": model.card_arguments},
            "versions": _versions(), "hardware": _hardware()}
    with atomic(description) as card_file, atomic(weights) as weights_file:  # renamed in reverse: the card last
        save_model(copy.deepcopy(model).half() if _is_half(model) else model, str(weights_file))
        full["sha256"] = file_sha256(weights_file)
        try:
            text = json.dumps(full, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise BadInput(f"the card of {weights.stem} must hold plain finite values only ({error}).") from error
        card_file.write_text(text, encoding="utf-8")
    return weights


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Every weight becomes the nearest float16 number, in place; then `save_weights` needs half of the bytes and loses nothing.

    Round before measuring, so that the card speaks of the weights that are shipped. Raises `BadInput` for weights beyond ±65504.
    """
    for name, value in _floats(model):
        rounded = value.half().to(value.dtype)
        if not rounded.isfinite().all():
            raise BadInput(f"{name} of the {type(model).__name__} holds values beyond ±65504 or none at all, so it cannot be kept in half precision.")
        value.copy_(rounded)


def load_weights(path: str | Path, expect: type[nn.Module] | tuple[type[nn.Module], ...] | None = None) -> nn.Module:
    """Return the model that `save_weights` wrote at `path` (with or without ending), in eval mode, on the CPU.

    expect: the class that the caller needs, or several of which one will do. The global random numbers are left as they were.
    Raises `BadInput`, one sentence each: no such file, truncated or altered weights, missing or unreadable card,
    a card of another model, weights whose shapes do not fit the model.
    """
    weights, _ = _pair(path)
    if not weights.exists():
        raise BadInput(f"there are no weights {weights}; train them, or check the name.")
    card = read_card(path)
    if file_sha256(weights) != card["sha256"]:
        raise BadInput(f"{weights} does not match its card: the file is truncated or altered; get it again.")
    cls = _class_of(card["model"]["class"], weights)
    if expect is not None and not issubclass(cls, expect):
        wanted = " or ".join(each.__name__ for each in (expect if isinstance(expect, tuple) else (expect,)))
        raise BadInput(f"{weights} holds a {cls.__name__}, not a {wanted}; name other weights.")
    try:
        with torch.random.fork_rng(devices=[]):
            model = cls(**card["model"]["arguments"])
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"the card of {weights} cannot rebuild its {cls.__name__} ({one_line(error)}).") from error
    try:
        load_model(model, str(weights))
    except (RuntimeError, safetensors.SafetensorError) as error:
        what = f"the {cls.__name__} of their card ({one_line(error)})"
        raise BadInput(f"the weights in {weights} do not fit {what}.") from error
    return model.eval()


def load_pretrained(name: str, folder: Path = DATA / "weights",
                    expect: type[nn.Module] | tuple[type[nn.Module], ...] | None = None) -> nn.Module:
    """Return the shipped model called `name`; raises `BadInput` as `load_weights` does, naming those that are what `expect` asks for."""
    known = sorted(file.name.removesuffix(".safetensors") for file in Path(folder).glob("*.safetensors"))
    if name not in known:
        paths = [Path(folder) / each for each in known]
        fitting = [path.name for path in paths if expect is None or issubclass(_class_of(read_card(path)["model"]["class"], path), expect)]
        raise BadInput(f"no shipped weights are called {name!r}; there are: {', '.join(fitting) or 'none yet'}.")
    return load_weights(Path(folder) / name, expect)


def find_weights(name: str, expect: type[nn.Module] | tuple[type[nn.Module], ...] | None = None) -> nn.Module:
    """What a command line means by weights: a file, if there is one (with or without its ending), else a shipped name.

    Raises `BadInput` as `load_weights` and `load_pretrained` do.
    """
    return load_weights(name, expect) if _pair(name)[0].exists() or len(Path(name).parts) > 1 else load_pretrained(name, expect=expect)


def read_card(path: str | Path) -> dict:
    """Return the card beside the weights at `path`; raises `BadInput` if it is missing or is not a card."""
    weights, description = _pair(path)
    try:
        card = json.loads(description.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{weights} has no card; {description.name} must lie beside it.") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"the card {description} cannot be read ({one_line(error)}); get it again.") from error
    model = card.get("model") if isinstance(card, dict) else None
    if not (isinstance(model, dict) and isinstance(model.get("class"), str)
            and isinstance(model.get("arguments"), dict) and isinstance(card.get("sha256"), str)):
        raise BadInput(f"{description} is not a card of weights: model.class, model.arguments or sha256 is missing.")
    return card


def _floats(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [(name, value) for name, value in model.state_dict().items() if value.is_floating_point()]


def _is_half(model: nn.Module) -> bool:
    return all(torch.equal(value.half().to(value.dtype), value) for _, value in _floats(model))


def _pair(path: str | Path) -> tuple[Path, Path]:
    """The two files of one name. Names may contain dots (vae_beta10.0_model), so `with_suffix` would cut them."""
    base = str(path).removesuffix(".safetensors").removesuffix(".json")
    return Path(f"{base}.safetensors"), Path(f"{base}.json")


def _class_of(name: str, weights: Path) -> type[nn.Module]:
    """The `@buildable` class called `name`; only a module of this package is ever imported for it."""
    match = CLASS_NAME.fullmatch(name)
    if match and name not in _BUILDABLE:
        try:
            importlib.import_module(match[1])
        except ModuleNotFoundError:
            match = None
    if not match or name not in _BUILDABLE:
        raise BadInput(f"the card of {weights} names {name!r}, which is not a buildable model of this course.")
    return _BUILDABLE[name]


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _plain(value):
    """`value` with tuples and OmegaConf containers as lists and dicts."""
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _versions() -> dict[str, str]:
    ours = importlib.metadata.version("course-lib")
    return {"course_lib": ours, "python": platform.python_version(), "torch": torch.__version__,
            "numpy": numpy.__version__, "accelerate": accelerate.__version__, "safetensors": safetensors.__version__}


def _hardware() -> dict[str, str | int | None]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count(), "gpu": gpu}
