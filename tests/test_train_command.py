"""The command `python -m course_lib.train`: what it runs, what it refuses, and what a kill cannot change."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import get_method
from omegaconf import OmegaConf

from course_lib import train

TINY = Path(__file__).parent / "tiny"
COMMAND = ["-m", "course_lib.train", "--config-dir", str(TINY), "experiment=tiny", "progress=false"]


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def shell(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """A process of its own, as a user would start it."""
    environment = {**os.environ, "PYTHONPATH": str(TINY), "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """The same command inside this process: returns (exit code, standard output, standard error)."""
    monkeypatch.syspath_prepend(str(TINY))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, tiny: bool = True) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["train", *(COMMAND[2:] if tiny else []), *arguments])
        code = train.main()
        return code, *capsys.readouterr()

    return call


def test_killed_and_resumed_equals_never_killed(tmp_path):
    # three processes without pytest's type checker, which draws from Python's own random numbers at every call
    assert shell(*COMMAND, "out=whole", "checkpoint_every=2", "tracker=none", cwd=tmp_path).returncode == 0
    command = [*COMMAND, "out=killed", "checkpoint_every=2", "tracker=none", "resume=auto"]
    killed = shell(*command, cwd=tmp_path, TINY_DIES_IN_EPOCH="4")
    assert killed.returncode == -9
    assert not (tmp_path / "killed/result.json").exists()
    assert (tmp_path / "killed/checkpoints/tiny/checkpoint_epoch_2/state.json").exists()
    resumed = shell(*command, cwd=tmp_path)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert result(tmp_path / "killed") == result(tmp_path / "whole")  # exact: losses of every step, weights, noise


def test_resume_auto(tmp_path, command):
    assert command("out=o", "tracker=none")[0] == 0
    before = result(tmp_path / "o")
    (tmp_path / "o/result.json").unlink()
    code, output, error = command("out=o", "tracker=none", "resume=auto")
    begun, written = output.splitlines()  # where it goes on from, and where to find what it made
    assert (code, error, written) == (0, "", "written into o: result.json.")
    epochs = len(before["epochs"]["loss"])
    assert re.fullmatch(rf"tiny goes on from o/checkpoints/tiny/\w+: epoch {epochs} of {epochs} is done\.", begun)
    assert result(tmp_path / "o") == before
    code, _, error = command("out=o", "tracker=none", "resume=auto", "lr=0.02", "model.slope=3")
    assert code == 2 and "lr=0.01 (now 0.02), model.slope=1.0 (now 3)" in error and error.count("\n") == 1


def test_two_processes_share_each_batch(tmp_path, command):
    launch = ["-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu"]
    done = shell(*launch, *COMMAND, "out=two", "epochs=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert command("out=one", "epochs=2", "tracker=none")[0] == 0
    one, two = result(tmp_path / "one"), result(tmp_path / "two")
    assert set(one["steps"]["rows"]) == {16} and set(two["steps"]["rows"]) == {8}  # one batch of 16, split
    assert two["steps"]["x"] == pytest.approx(one["steps"]["x"], abs=1e-6)  # the same samples in the same order
    assert all(a != b for a, b in zip(one["steps"]["noise"], two["steps"]["noise"]))  # the mean of two streams
    assert len(list((tmp_path / "two/logs/tiny").iterdir())) == 1  # only the main process logs
    assert {file.name for file in (tmp_path / "two/checkpoints").iterdir()} == {"tiny"}
    assert (tmp_path / "two/checkpoints/tiny/best_model/random_states_1.pkl").exists()


def test_sweep_gives_each_run_its_folder(tmp_path, command):
    code, _, error = command("out=sweep", "-m", "tracker=none", "epochs=1", "lr=0.01,-1.0", "model.slope=1,2")
    assert code == 2 and error.count("error: lr must be a positive number") == 2  # the others ran nevertheless
    runs = {file.parent.name for file in (tmp_path / "sweep").glob("*/result.json")}
    assert runs == {"epochs=1,experiment=tiny,lr=0.01,model.slope=1", "epochs=1,experiment=tiny,lr=0.01,model.slope=2"}


def test_a_sweep_of_many_settings_has_folders_too(tmp_path, command):
    many = f"slopes=[{','.join(['0.5'] * 100)}]"  # 400 letters; file systems take 255
    assert command("out=sweep", "-m", "tracker=none", "epochs=1", "model.slope=1,2", many)[0] == 0
    runs = sorted(file.parent.name for file in (tmp_path / "sweep").glob("*/result.json"))
    assert len(runs) == 2 and [run[:38] for run in runs] == [f"epochs=1,experiment=tiny,model.slope={slope}" for slope in "12"]


@pytest.mark.parametrize(("settings", "name"), [
    ("lr=0.1,seed=0", "lr=0.1,seed=0"), ("weights=outputs/svq_rules", "weights=outputs_svq_rules"), ("x" * 120, "x" * 120),
    ("x" * 121, "x" * 111), ("β" * 100, "β" * 55)])
def test_the_name_of_a_folder_is_short(settings, name):
    found = train.folder_name(settings)
    assert len(found.encode()) <= train.LONGEST and found.split("-")[0] == name
    assert len({found, train.folder_name(settings + "1"), train.folder_name(settings + "2")}) == 3


def test_a_folder_may_be_called_2026(tmp_path, command):
    assert command("out=2026", "epochs=1", "tracker=none")[0] == 0
    assert result(tmp_path / "2026")["steps"]["loss"]


def test_no_litter(tmp_path, command):
    assert command("out=o", "epochs=1", "checkpoint_every=1")[0] == 0
    assert {file.name for file in tmp_path.iterdir()} == {"o"}
    assert {file.name for file in (tmp_path / "o").iterdir()} == {"checkpoints", "logs", "result.json"}
    assert {file.name for file in (tmp_path / "o/checkpoints/tiny").iterdir()} == {"best_model", "checkpoint_epoch_1"}


def test_the_shell_gets_one_sentence_and_status_2(tmp_path):
    done = shell("-m", "course_lib.train", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: name an experiment, for example experiment=vae; there are: {', '.join(train.experiments())}.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "words"), [
    (["experiment=nothing"], "experiment/nothing; there are: "),
    (["modle.slope=3"], "unknown key 'modle.slope'"),
    (["model.slopes=3"], "unknown key 'model.slopes'"),
    (["model.slope=steep"], "model.slope=steep is not a finite number; the default is 1.0"),
    (["model.slope=nan"], "model.slope=nan is not a finite number"),
    (["model.slope=null"], "model.slope=None is not a finite number"),
    (["epochs=2.5"], "epochs=2.5 is not a whole number"),
    (["epochs=true"], "epochs=True is not a whole number"),
    (["progress=1"], "progress=1 is not true or false"),
    (["model=3"], "model=3 is not a group of keys"),
    (["slopes=3"], "slopes=3 is not a list"),
    (["slopes=[1,steep]"], "is not a list, each item a finite number"),
    (["model.slope=1,2"], "add -m"),
    (["model.slope=[1,"], "cannot read 'model.slope=[1,'"),
    (["epochs"], "cannot read 'epochs'"),
    (["--epochs", "5"], "unknown option --epochs"),
    (["epochs=0"], "epochs must be a whole number from 1 on"),
    (["batch_size=-1"], "batch_size must be"),
    (["lr=0"], "lr must be a positive number"),
    (["tracker=tensorbored"], "tracker must be one of tensorboard, wandb, none"),
    (["checkpoint_every=0"], "checkpoint_every must be"),
    (["precision=fp7"], "precision must be null, no, bf16 or fp16"),
    (["resume=elsewhere"], "there is no checkpoint elsewhere"),
    (["out=file/below"], "cannot write to file/below"),
    (["out=/proc/below"], "cannot write to /proc/below"),
])
def test_bad_input_is_one_sentence(arguments, words, tmp_path, command):
    (tmp_path / "file").write_text("in the way")
    code, output, error = command("tracker=none", *arguments)
    assert code == 2
    assert words in error
    assert error.startswith("error: ") and error.endswith(".\n") and error.count("\n") == 1
    assert output == "" and not list(tmp_path.glob("**/*.safetensors"))


def test_a_bug_keeps_its_traceback(command, monkeypatch):
    import tiny_recipe

    def buggy(cfg):
        return cfg.no_such_key

    monkeypatch.setattr(tiny_recipe, "run", buggy)
    with pytest.raises(RuntimeError, match="do not fit together"):
        command("tracker=none")


def test_an_interruption_says_how_to_go_on(command, monkeypatch):
    import tiny_recipe

    def interrupted(cfg):
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny_recipe, "run", interrupted)
    code, _, error = command("tracker=none")
    assert code == 130 and "resume=auto" in error and error.count("\n") == 1


def test_help_names_experiments_keys_and_examples(command):
    code, output, error = command("--help", tiny=False)
    assert (code, error) == (0, "")
    for name, about in train.experiments().items():
        assert f"  {name} " in output and f" {about}\n" in output
    for words in ["latents", "decoder", "autoencoder", "vae", "resume: never", "out: outputs", "tracker: tensorboard",
                  "accelerate launch", "model.beta=10"]:
        assert words in output


@pytest.mark.parametrize("name", train.experiments())
def test_every_experiment_is_whole(name, command):
    """Its settings come together, each of them has a value, and the recipe it names is there."""
    code, output, error = command(f"experiment={name}", "--cfg", "job", "--resolve", tiny=False)
    assert (code, error) == (0, "")
    cfg = OmegaConf.create(output)
    assert callable(get_method(cfg.recipe)) and not OmegaConf.missing_keys(cfg)
    assert train.experiments()[name].startswith("Part I")


def test_every_folder_of_python_is_a_package():
    """setuptools leaves out folders without __init__.py, and then an installed course lacks them; a checkout does not."""
    library = Path(train.__file__).parent
    folders = {file.parent for file in library.rglob("*.py")}
    assert len(folders) > 4 and [folder.name for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("name", ["latents", "decoder", "autoencoder", "vae"])
def test_the_seeds_defaults(name, command):
    """Document 004: 500 samples, [32, 64, 32], latent 1, Adam 1e-3, batch 64, 2000 epochs, β = 1 and 10."""
    code, output, _ = command(f"experiment={name}", "--cfg", "job", tiny=False)
    assert code == 0
    cfg = OmegaConf.create(output)
    assert (cfg.data.samples, cfg.model.hidden, cfg.model.latent) == (500, [32, 64, 32], 1)
    assert (cfg.lr, cfg.batch_size, cfg.epochs) == (1e-3, 64, 2000)
    assert name != "latents" or cfg.betas == [1.0, 10.0]
