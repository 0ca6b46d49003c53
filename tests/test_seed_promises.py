"""Every promise of the documents that the course grew from is fulfilled by something that exists.

The list is tests/seed_promises.toml; a part that comes later adds its document there.
"""

import ast
import re
import shlex
import tomllib
from importlib.util import find_spec
from pathlib import Path

import hydra
import pytest

from course_lib.codes.ablations import CHANGES
from course_lib.train import CONFIGS, experiments

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = tomllib.loads((ROOT / "tests/seed_promises.toml").read_text(encoding="utf-8"))["documents"]
PROMISES = [(f"{number}: {row.get('promise', '?')}", row)
            for number, document in DOCUMENTS.items() for row in document["promises"]]
PART_OF = {"004": "latents", "001": "slots", "000": "codes", "002": "tokens", "003": "tokens"}
COMMANDS = [command for page in ("README.md", "TRAINING.md")
            for command in re.findall(r"^python -m course_lib\.train (?!--help).*$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)]
FULFILMENT = {"tests", "commands", "files", "says"}


def wrong_with(row: dict) -> list[str]:
    """What is missing from one promise, in words; empty if it is fulfilled."""
    found = [f"unknown key {key}" for key in row.keys() - FULFILMENT - {"promise", "departs"}]
    if not row.get("promise"):
        found.append("it says nothing")
    if not any(row.get(key) for key in FULFILMENT):
        found.append("nothing fulfils it")
    if "departs" in row and len(row["departs"]) < 20:
        found.append("it departs without a reason")
    found += [f"there is no test {test}" for test in row.get("tests", []) if not is_test(test)]
    found += [f"there is no file {file}" for file in row.get("files", []) if not (ROOT / file).is_file()]
    found += [f"{file} does not say {words!r}" for file, words in row.get("says", [])
              if not (ROOT / file).is_file() or words not in (ROOT / file).read_text(encoding="utf-8")]
    return found + [complaint for command in row.get("commands", []) for complaint in wrong_with_command(command)]


def is_test(name: str) -> bool:
    """Whether tests/file.py::test_name is defined at the top of that file."""
    file, _, function = name.partition("::")
    if not (ROOT / file).is_file() or not function.startswith("test_"):
        return False
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)


def wrong_with_command(command: str) -> list[str]:
    """python -m MODULE [experiment=NAME key=value …]: the module must run, the experiment and its keys exist."""
    python, dash_m, module, *settings = shlex.split(command)
    if (python, dash_m) != ("python", "-m") or not module.startswith("course_lib."):
        return [f"not a command of the course: {command}"]
    spec = find_spec(module)
    if spec is None or 'if __name__ == "__main__":' not in Path(spec.origin).read_text(encoding="utf-8"):
        return [f"{module} cannot be run"]
    if module != "course_lib.train":
        return []
    names = [word.removeprefix("experiment=") for word in settings if word.startswith("experiment=")]
    if len(names) != 1 or names[0] not in experiments():
        return [f"there is no such experiment: {command}"]
    words = [word.split(",")[0] if "-m" in settings else word for word in settings if word != "-m"]  # of a sweep the first run
    try:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            hydra.compose("train", overrides=words)
    except hydra.errors.HydraException as error:
        return [f"{command}: {error}"]
    return []


@pytest.mark.parametrize(("name", "row"), PROMISES, ids=[name for name, _ in PROMISES])
def test_the_promise_is_fulfilled(name, row):
    assert wrong_with(row) == []


def test_every_part_that_is_lectured_keeps_the_promises_of_its_documents():
    """A part that has pictures for its deck is whole; one that is being built may still owe its documents something."""
    there = {number for number, part in PART_OF.items() if find_spec(f"course_lib.{part}") and find_spec(f"course_lib.{part}.slides")}
    assert there <= DOCUMENTS.keys() <= PART_OF.keys()
    assert all(len(document["promises"]) >= 10 and document["name"] for document in DOCUMENTS.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_what_readme_says_can_be_typed(command):
    assert wrong_with_command(" ".join(shlex.split(command, comments=True))) == []
    asked = [word.removeprefix("change=").split(",") for word in command.split() if word.startswith("change=")]
    assert all(change in CHANGES for several in asked for change in several)


def test_there_is_a_command_for_every_experiment_of_the_seeds():
    typed = {word.removeprefix("experiment=") for command in COMMANDS for word in command.split() if word.startswith("experiment=")}
    assert {"latents", "slots_shapes", "svq", "vqvae", "svq_prior", "svq_ablation", "atlas"} <= typed


def test_no_promise_stands_twice():
    assert len({name for name, _ in PROMISES}) == len(PROMISES)


@pytest.mark.parametrize(("row", "complaint"), [
    ({"promise": "x"}, "nothing fulfils it"), ({"promise": "x", "tests": []}, "nothing fulfils it"),
    ({"promise": "x", "departs": "because it is better that way"}, "nothing fulfils it"),
    ({"files": ["LICENSE"]}, "it says nothing"), ({"promise": "x", "files": ["LICENSE"], "departs": "so"}, "without a reason"),
    ({"promise": "x", "files": ["no.txt"]}, "there is no file no.txt"), ({"promise": "x", "test": ["y"]}, "unknown key test"),
    ({"promise": "x", "tests": ["tests/test_seed_promises.py::test_nothing"]}, "there is no test"),
    ({"promise": "x", "tests": ["tests/test_seed_promises.py"]}, "there is no test"),
    ({"promise": "x", "says": [["LICENSE", "pay first"]]}, "does not say"), ({"promise": "x", "says": [["no", "x"]]}, "does not say"),
    ({"promise": "x", "commands": ["rm -r x"]}, "not a command"),
    ({"promise": "x", "commands": ["python -m course_lib.nowhere"]}, "cannot be run"),
    ({"promise": "x", "commands": ["python -m course_lib.core.style"]}, "cannot be run"),
    ({"promise": "x", "commands": ["python -m course_lib.train experiment=gan"]}, "no such experiment"),
    ({"promise": "x", "commands": ["python -m course_lib.train -m experiment=vae model.gamma=1,2"]}, "gamma"),
    ({"promise": "x", "commands": ["python -m course_lib.train experiment=vae model.gamma=1"]}, "gamma")])
def test_the_judge_itself(row, complaint):
    assert any(complaint in found for found in wrong_with(row))
