"""Run an experiment of the course: python -m course_lib.train experiment=NAME [key=value ...]

Every experiment is a file in course_lib/configs/experiment/ that names its recipe and its settings; Hydra puts
together file and command line. With several processes: accelerate launch -m course_lib.train experiment=NAME ...
"""

import hashlib
import math
import os
import sys
from pathlib import Path

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from course_lib.core.errors import BadInput
from course_lib.core.launch import is_main_process, leave, start_missing_processes
from course_lib.core.run import check_writable

CONFIGS = Path(__file__).parent / "configs"
LONGEST = 120  # bytes of a folder's name; file systems take 255, encrypted ones 143
HYDRA_FLAGS = {"-m", "--multirun", "-c", "--cfg", "-p", "--package", "--resolve", "-i", "--info", "-cd", "--config-dir",
               "--hydra-help", "--version"}
EXAMPLES = """\
Examples:
  python -m course_lib.train experiment=vae model.beta=10
  python -m course_lib.train experiment=latents out=outputs tracker=wandb
  python -m course_lib.train experiment=vae resume=auto                          go on after an interruption
  python -m course_lib.train experiment=vae resume=outputs/checkpoints/NAME/best_model
  python -m course_lib.train -m experiment=vae model.beta=1,5,10 seed=0,1,2      nine runs, each in its own folder
  accelerate launch --num_processes 2 --cpu -m course_lib.train experiment=vae
"""


def main() -> int:
    """Run what the command line asks for; return 0, or 2 after one sentence about a wrong input."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(help_text())
        return 0
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors through: a sentence for bad input, a traceback for bugs
    sys.argv[1:] = sorted(arguments, key=lambda word: word not in ("-m", "--multirun"))  # Hydra wants -m first
    refused: list[BadInput] = []
    command = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
    try:
        _refuse_dashes(arguments)
        start_missing_processes("course_lib.train")
        command(lambda cfg: _run(cfg, refused))()
    except BadInput as error:
        _say(error, refused)
    except (HydraException, OmegaConfBaseException) as error:  # raised while Hydra puts the settings together
        _say(BadInput(_explain(error, arguments)), refused)
    except KeyboardInterrupt:
        print("interrupted; the same command with resume=auto goes on from the last checkpoint.", file=sys.stderr)
        return 130
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return 2 if refused else 0


def experiments() -> dict[str, str]:
    """The experiments that exist, each with the sentence at the top of its file."""
    files = sorted((CONFIGS / "experiment").glob("*.yaml"))
    return {file.stem: file.read_text(encoding="utf-8").splitlines()[1].removeprefix("# ") for file in files}


def folder_name(settings: str) -> str:
    """The settings of one run of a sweep, "lr=0.1,seed=0", as the name of its folder: no strokes, and if it is long, its beginning and
    a hash of the whole."""
    name = settings.replace("/", "_").replace("\\", "_")
    if len(name.encode()) <= LONGEST:
        return name
    ending = f"-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
    return name.encode()[: LONGEST - len(ending)].decode(errors="ignore") + ending


OmegaConf.register_new_resolver("folder_name", folder_name, replace=True)  # for hydra.sweep.subdir in train.yaml


def help_text() -> str:
    """What --help prints: the experiments, the common keys with their defaults, and examples."""
    names = [f"  {name:<22}{about}" for name, about in experiments().items()]
    lines = (CONFIGS / "train.yaml").read_text(encoding="utf-8").splitlines()
    keys = [f"  {line}" for line in lines if " # " in line and not line.startswith(("#", " "))]
    return "\n".join([__doc__, "Experiments:", *names, "", "Common keys and their defaults:", *keys, "",
                      "All keys of an experiment: python -m course_lib.train experiment=NAME --cfg job", "", EXAMPLES])


def _run(cfg: DictConfig, refused: list[BadInput]) -> None:
    """One run (of a sweep perhaps, where a refused run does not stop the others)."""
    try:
        choice = HydraConfig.get()
        _check_values(cfg, _defaults(choice.runtime.choices["experiment"]))
        if choice.mode == RunMode.MULTIRUN:
            cfg.out = choice.runtime.output_dir
        check_writable(Path(cfg.out))
        recipe, before = get_method(cfg.recipe), _files(Path(cfg.out))
        try:
            recipe(cfg)
        except (HydraException, OmegaConfBaseException) as error:
            raise RuntimeError(f"{cfg.recipe} and its experiment file do not fit together") from error
        if is_main_process():
            print(f"written into {cfg.out}: {', '.join(sorted(name for name, _ in _files(Path(cfg.out)) - before)) or 'nothing new'}.")
    except BadInput as error:
        _say(error, refused)


def _files(folder: Path) -> set[tuple[str, int]]:
    """The files in `folder` itself and when they were written; checkpoints and logs lie deeper."""
    return {(file.name, file.stat().st_mtime_ns) for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")}


def _say(error: BadInput, refused: list[BadInput]) -> None:
    refused.append(error)
    print(f"error: {error}", file=sys.stderr)


def _defaults(experiment: str) -> DictConfig:
    """The settings of `experiment` before anything on the command line."""
    return hydra.compose("train", overrides=[f"experiment={experiment}"])


def _check_values(given: DictConfig, default: DictConfig, prefix: str = "") -> None:
    """Raise `BadInput` for a value of another kind than its default: text for a number, one number for a list.

    A number in the place of a text becomes one.
    """
    for key, usual in OmegaConf.to_container(default, resolve=True).items():
        value = OmegaConf.to_container(given, resolve=True)[key]
        if isinstance(usual, dict) and isinstance(value, dict):
            _check_values(given[key], default[key], f"{prefix}{key}.")
        elif key.endswith("grid_size") and isinstance(value, list) and _alike(value, [usual]):
            pass  # a grid may be square and one number, or [height, width]
        elif usual is not None and not _alike(value, usual):
            raise BadInput(f"{prefix}{key}={value} is not {_kind(usual)}; the default is {usual}.")
        elif isinstance(usual, str):
            given[key] = str(value)


def _alike(value, usual) -> bool:
    if isinstance(usual, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(usual, bool)
    if isinstance(usual, float):
        return isinstance(value, (int, float)) and math.isfinite(value)
    if isinstance(usual, str):
        return isinstance(value, (str, int, float))  # a folder may be called 2026
    if isinstance(usual, list):
        return isinstance(value, list) and all(_alike(item, usual[0]) for item in value if usual)
    return isinstance(value, type(usual))


def _kind(usual) -> str:
    if isinstance(usual, list):
        return f"a list, each item {_kind(usual[0])}" if usual else "a list"
    return {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text",
            dict: "a group of keys"}[type(usual)]


def _refuse_dashes(arguments: list[str]) -> None:
    for argument in arguments:
        if argument.startswith("-") and argument.split("=")[0] not in HYDRA_FLAGS:
            raise BadInput(f"unknown option {argument}; settings are written key=value, for example epochs=200.")


def _explain(error: Exception, arguments: list[str]) -> str:
    """What is wrong with the command line, in one sentence."""
    text = " ".join(str(error).split())
    if "You must specify 'experiment'" in text:
        return f"name an experiment, for example experiment=vae; there are: {', '.join(experiments())}."
    if isinstance(error, MissingConfigException):
        return f"there is no such experiment or option group file: {_missing(error)}"
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}; settings are written key=value, for example model.beta=10."
    if text.startswith("Ambiguous value"):
        return f"{text.split('1. ')[0].strip()}: write [1,10] for a list, or add -m to run one after another."
    if text.startswith("Could not override"):
        key = text.split("'")[1]
        return f"unknown key {key!r}; {_known_keys(arguments)}."
    return text


def _missing(error: MissingConfigException) -> str:
    known = ", ".join(error.options or experiments())
    return f"{error.missing_cfg_file}; there are: {known}."


def _known_keys(arguments: list[str]) -> str:
    names = [argument.split("=", 1)[1] for argument in arguments if argument.startswith("experiment=")]
    return f"see python -m course_lib.train experiment={names[0] if names else 'NAME'} --cfg job for those that exist"


if __name__ == "__main__":
    leave(main())
