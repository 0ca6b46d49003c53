"""The way in: what pyproject.toml asks for, what is installed, and what the Makefile and conda make of it."""

import json
import os
import re
import runpy
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import hydra
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from packaging.version import Version

from course_lib.core import browser, environment
from course_lib.core.errors import BadInput
from course_lib.core.paths import DATA, ROOT
from course_lib.train import CONFIGS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [Requirement(text) for text in [*PROJECT["dependencies"], *sum(EXTRAS.values(), [])]]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINNED = {name: Version(version) for name, version in (line.split("==") for line in CONSTRAINTS)}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
COLAB = {"torch": "2.11", "torchvision": "0.26", "numpy": "2.1", "ipywidgets": "7.7.1", "plotly": "5.24",
         "ipython": "7.34"}  # as read in 2026-08


def run(*command, path: Path | None = None, cwd: Path = ROOT):
    """Run a command, with PATH holding only the folder `path` when it is given."""
    env = os.environ | ({"PATH": str(path)} if path else {})
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)


@pytest.fixture
def bare(tmp_path):
    """A folder to be used as PATH, with the few programs that the scripts call and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("bash", "cat", "cmp", "dirname", "mv", "rm"):
        (folder / program).symlink_to(shutil.which(program))
    return folder


@pytest.fixture
def checkout(tmp_path):
    """A copy of the few files that an installation reads."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "setup", folder / "setup")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_ranges_have_floors_and_no_ceilings():
    for requirement in REQUIREMENTS:
        assert re.fullmatch(r">=[\d.]+(post\d+)?", str(requirement.specifier)), requirement
    assert PROJECT["requires-python"] == ">=3.11"


def test_floors_are_not_above_what_colab_has():
    floors = {requirement.name: Version(str(requirement.specifier)[2:]) for requirement in REQUIREMENTS}
    assert {name for name, version in COLAB.items() if floors[name] > Version(version)} == set()
    assert floors["ipywidgets"] == Version("7.7.1") and floors["plotly"] == Version("5.24")  # make test-oldest has them


def test_constraints_are_names_and_versions_that_satisfy_every_range():
    assert [line for line in CONSTRAINTS if not re.fullmatch(r"[a-z0-9._-]+==[0-9][0-9a-z.]*", line)] == []
    assert [line for line in CONSTRAINTS if re.match(r"nvidia-|cuda-|triton", line)] == []
    for requirement in REQUIREMENTS:
        assert PINNED[requirement.name] in requirement.specifier


def test_conda_gets_python_and_pip_and_pip_does_the_rest():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *own, pip = conda["dependencies"]
    assert own == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-c constraints.txt", f"-e .[{','.join(EXTRAS)}]"]}


def test_binder_installs_the_course_under_the_constraints_with_one_thread(checkout):
    """As repo2docker does: pip, with the file in .binder, from the root; here a dry run without an index."""
    shutil.copytree(ROOT / ".binder", checkout / ".binder")
    shutil.copytree(ROOT / "course_lib", checkout / "course_lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    done = run(sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-build-isolation", "--requirement",
               ".binder/requirements.txt", cwd=checkout)
    assert done.returncode == 0 and done.stdout.strip().endswith(f"Would install course-lib-{PROJECT['version']}"), done.stderr
    assert "jupyterlab" in done.stdout
    assert (checkout / ".binder/runtime.txt").read_text().strip() == f"python-{PROJECT['requires-python'].removeprefix('>=')}"
    assert run(checkout / ".binder/start", "bash", "-c", "echo $OMP_NUM_THREADS").stdout == "1\n"


def test_a_shared_server_gives_every_notebook_the_memory_it_took():
    shared = (ROOT / "SHARED.md").read_text(encoding="utf-8")
    limit = int(re.search(r'mem_limit = "(\d+)G"', shared)[1])
    assert f"| memory | {limit} GB for each kernel |" in shared
    peaks = json.loads((DATA / "timings.json").read_text(encoding="utf-8"))["peak_mb"]
    assert {name: peak for name, peak in peaks.items() if peak > 1000 * limit} == {}


def test_a_misspelt_test_is_named_though_several_workers_look_for_it():
    done = run(sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "tests/nothing", "tests/test_setup.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR and "there is no file or folder tests/nothing;" in done.stderr


def test_jupyterlab_does_not_ask_about_news():
    settings = json.loads((ROOT / "setup/lab/overrides.json").read_text(encoding="utf-8"))
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"  # Jupyter's own words for no
    assert "--LabApp.app_settings_dir=setup/lab" in MAKEFILE


def test_make_installs_every_extra_and_documents_every_target():
    assert f"setup/venv.sh .venv {','.join(EXTRAS)}\n" in MAKEFILE
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    wanted = {"lab", "test", "test-oldest", "slides", "release", "notebooks", "links", "weights", "claims", "bench", "constraints", "example"}
    assert wanted <= targets
    for target in sorted(targets):  # a dry run: the recipe is there and every file that it names exists
        planned = run("make", "--dry-run", target)
        assert planned.returncode == 0 and planned.stdout, planned.stderr
        named = re.findall(r"[\w./-]+\.(?:py|sh|ipynb|toml)\b", planned.stdout.replace("/lab/tree/", ""))
        assert [name for name in named if not (ROOT / name).exists()] == []


def test_ci_runs_make_test_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert os.access(ROOT / ".ci" / "run", os.X_OK) and lines[-1] == "exec make test"


def test_no_python_gives_one_sentence(bare, checkout):
    script(bare / "python3.13", "exit 127")  # a shim that stands for nothing
    script(bare / "python3", "exit 1")  # too old
    done = run("bash", "setup/venv.sh", ".venv", "lab", path=bare, cwd=checkout)
    assert done.returncode == 1 and done.stderr.startswith("No Python 3.11 or newer") and done.stderr.count("\n") == 1


def test_python_without_venv_gives_one_sentence(bare, checkout):
    script(bare / "python3.12", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    done = run("bash", "setup/venv.sh", ".venv", "lab", path=bare, cwd=checkout)
    assert done.returncode == 1 and done.stderr.startswith("python3.12 has no venv module")


def test_installing_once_is_enough_and_an_interrupted_one_is_done_again(bare, checkout):
    log, broken = checkout / "log", checkout / "broken"
    fake = f'''case "$*" in
        *"-m venv"*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python";;
        *"-m pip"*) echo "$*" >> {log}; [ ! -e {broken} ];;
        *) exit 0;;
    esac'''
    for program in ("mkdir", "cp"):
        (bare / program).symlink_to(shutil.which(program))
    script(bare / "python3.11", fake)

    def install(*arguments):
        return run("bash", "setup/venv.sh", ".venv", "lab,test", *arguments, path=bare, cwd=checkout).returncode

    broken.touch()
    assert install() != 0 and not (checkout / ".venv" / "installed").exists()
    broken.unlink()
    assert [install(), install()] == [0, 0]
    assert len(log.read_text().splitlines()) == 2  # the interrupted one and the good one
    assert "--editable .[lab,test] --constraint constraints.txt" in log.read_text()
    with (checkout / "constraints.txt").open("a") as file:
        file.write("something-new==1\n")
    broken.touch()
    assert install() != 0 and not (checkout / ".venv" / "installed").exists()  # no old stamp is left
    broken.unlink()
    assert [install(), install()] == [0, 0] and len(log.read_text().splitlines()) == 4


def test_floors_pin_every_requirement(tmp_path):
    lines = run(sys.executable, "setup/floors.py").stdout.splitlines()
    assert len(lines) == len(REQUIREMENTS) and all(re.fullmatch(r"[\w-]+==[\d.]+(post\d+)?", line) for line in lines)


def test_weights_are_trained_again_from_their_cards(tmp_path):
    """A real, very short run of an experiment, shipped; then trained again from the two cards that it left."""
    train = [sys.executable, "-m", "course_lib.train", "experiment=latents", "epochs=1", "models=[decoder,vae]",
             "betas=[1.0]", "tracker=none", "progress=false", "out=shipped"]
    assert run(*train, cwd=tmp_path).returncode == 0
    folder = tmp_path / "shipped"
    old = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    for path in old:
        (folder / path).write_bytes(b"damaged")
    weights = runpy.run_path(str(ROOT / "setup" / "weights.py"))
    assert weights["retrain"](folder) == ["nid_decoder_model", "vae_beta1.0_model"]
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == old
    card = json.loads((folder / "nid_decoder_model.json").read_text())
    assert card["config"]["epochs"] == 1 and str(tmp_path) not in json.dumps(card)


def test_what_learns_from_other_weights_is_trained_after_them():
    """A compressor from the tokens of a CLIP, the CLIP from a smaller one, an SVQ from slots; others from weights that are not shipped."""
    configs = {"a_compressor": {"weights": None, "model": {"clip": {"model_name": "b_clip"}}}, "b_clip": {"weights": "c_clip", "model": {"dim": 8}},
               "c_clip": {"weights": None, "model": {"dim": 8}}, "a_prior": {"weights": "elsewhere/codes"}, "d_vae": {"model": "vae"},
               "d_svq": {"slots_of": "e_slots"}, "e_slots": {}}
    weights = runpy.run_path(str(ROOT / "setup" / "weights.py"))
    assert weights["in_order"]({name: {"config": config} for name, config in configs.items()}) == [
        "c_clip", "d_vae", "e_slots", "b_clip", "a_prior", "d_svq", "a_compressor"]


def test_every_card_has_a_command_that_means_what_it_says():
    weights = runpy.run_path(str(ROOT / "setup" / "weights.py"))
    for file in sorted((DATA / "weights").glob("*.json")):
        card = json.loads(file.read_text(encoding="utf-8"))
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            said = OmegaConf.to_container(hydra.compose("train", overrides=list(weights["command_of"](card)[3:])))
        leaves, here = (dict(weights["_leaves"](config)) for config in (card["config"], said))  # settings that are newer than the card have its default
        differs = {key for key, value in leaves.items() if here[key] != value} - set(weights["NOT_SETTINGS"])
        assert not differs, f"{file.name}: {differs}"


def test_an_installed_browser_is_taken_only_if_it_starts(tmp_path, monkeypatch):
    script(tmp_path / "chromium", "exit 1")  # such a stub stands where a snap is missing
    script(tmp_path / "google-chrome", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    browser.find_browser.cache_clear()
    assert browser.find_browser() == str(tmp_path / "google-chrome")
    browser.find_browser.cache_clear()


@pytest.mark.parametrize("root, apt, calls", [
    (True, "", ["apt-get update", "apt-get install --yes --no-install-recommends chromium"]),
    (True, "exit 100", ["apt-get update", "playwright install chromium"]),
    (False, "", ["playwright install chromium"]),
])
def test_a_missing_browser_is_provided_or_refused_in_one_sentence(root, apt, calls, bare):
    """Root on Debian asks apt first; everybody else, and root when apt fails, asks Playwright; else one sentence."""
    log = bare / "log"
    record = f'echo "$(basename "$0") $*" >> {log}'
    (bare / "basename").symlink_to(shutil.which("basename"))
    good = f'[ "$1" != install ] || {{ printf "#!/bin/bash\\n" > {bare}/chromium; /bin/chmod +x {bare}/chromium; }}'
    script(bare / "apt-get", f"{record}\n{apt or good}")
    script(bare / "playwright", f"{record}\nexit 1")
    program = f"""
import os, sys
from course_lib.core import browser
os.geteuid = lambda: {0 if root else 1000}
browser._playwrights_own = lambda: None
browser.NAMES = browser.NAMES[:1]
sys.path.insert(0, "setup")
import browser as provider
provider.PLAYWRIGHT[0][:3] = ["playwright"]
print(provider.provide())
"""
    done = run(sys.executable, "-c", program, path=bare)
    assert log.read_text().splitlines() == calls, done.stderr
    assert done.stdout.splitlines()[-1] == (str(bare / "chromium") if root and not apt else "None")


def test_torch_and_torchvision_belong_together(monkeypatch):
    environment._check_pair(torch.__version__)  # calls torchvision.ops.nms
    monkeypatch.setattr("torchvision.ops.nms", None)
    with pytest.raises(TypeError):
        environment._check_pair(torch.__version__)


def test_environment_is_printed_in_one_line(capsys):
    environment.check_environment()
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert all(word in printed for word in ("course_lib", "Python", torch.__version__, "ipywidgets", "threads"))


def test_what_is_wrong_with_the_environment_is_said_in_one_sentence(monkeypatch):
    def broken(*_):
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    with monkeypatch.context() as patch, pytest.raises(BadInput, match="do not belong together") as error:
        patch.setattr("torchvision.ops.nms", broken)
        environment.check_environment()
    assert "\n" not in str(error.value)
    with monkeypatch.context() as patch, pytest.raises(BadInput, match="3.11 or newer"):
        patch.setattr(environment, "OLDEST_PYTHON", (9, 0))
        environment.check_environment()
    with monkeypatch.context() as patch, pytest.raises(BadInput, match="einops cannot be imported"):
        patch.setitem(sys.modules, "einops", None)
        environment.check_environment()


@pytest.mark.parametrize("value, short", [("1", True), ("0", False), ("", False), (None, False)])
def test_fast(value, short, monkeypatch):
    monkeypatch.delenv("COURSE_FAST", raising=False)
    if value is not None:
        monkeypatch.setenv("COURSE_FAST", value)
    assert environment.fast() is short
