"""The command `python -m course_lib.infer`: what it does, what it refuses, and what a kill cannot change."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import infer
from course_lib.core.command import parse
from course_lib.core.weights import save_weights
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.inference import read
from course_lib.tokens.small_clip import SmallClip

KILLED = """
import os, signal, sys
from course_lib import infer
from course_lib.tokens import inference
real, calls = inference.save_file, []
def dies(*arguments):
    calls.append(1)
    real(*arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
inference.save_file = dies
sys.exit(infer.main())
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A folder as a user has it: weights in outputs/, pictures in photos/, three of them and one that is none."""
    folder = tmp_path_factory.mktemp("course")
    torch.manual_seed(0)
    clip = SmallClip(24, dim=16, layers=2, heads=2, text_dim=16, text_layers=1, text_heads=2, projection=8)
    card = {"experiment": "compress_global", "seed": 0, "seconds": 0.0, "metrics": {}, "config": {}}
    save_weights(clip, folder / "outputs/clip", card=card)
    settings = {"model": {"clip": {"model_name": "outputs/clip", "freeze": True, "layer": -2}}}
    save_weights(LearnedCompressor(16, (6, 6), (3, 3)), folder / "outputs/compress_global", card=card | {"config": settings})
    (folder / "photos").mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{seed}.png")
    (folder / "photos/broken.png").write_text("no picture")
    return folder


def arguments(out: Path) -> list[str]:
    return ["checkpoint=outputs/compress_global", "image=photos", f"out={out}"]


@pytest.fixture
def command(monkeypatch, capsys, course):
    """The command inside this process: returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(course)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["infer", *words])
        code = infer.main()
        return code, *capsys.readouterr()

    return call


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_from_the_command_line_and_again_after_a_kill(course, command, tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments(tmp_path / "out")], cwd=course, env={**os.environ, "OMP_NUM_THREADS": "1"},
                            capture_output=True, text=True, timeout=500)
    assert killed.returncode == -9, killed.stderr
    assert {name for name in files(tmp_path / "out") if not name.startswith(".")} == {"0.png.safetensors", "0.png.png", "1.png.png"}
    code, output, error = command(*arguments(tmp_path / "out"))
    assert code == 0 and "broken.png is not a picture" in error and "pictures: 100%" in error
    assert "out: 3 pictures (1 of them done before); 1 left out. Means: cosine " in output and output.count("\n") == 1
    names = {f"{k}.png.{ending}" for k in range(3) for ending in ("png", "safetensors")}
    assert files(tmp_path / "out") == names | {"summary.csv"}
    assert command(*arguments(tmp_path / "whole"), "progress=false", "figures=false")[0] == 0
    for k in range(3):
        for one, other in zip(*(read(tmp_path / out / f"{k}.png.safetensors")[:3] for out in ("out", "whole"))):
            torch.testing.assert_close(one, other)


def test_one_picture_and_nothing_else_is_said_or_written(course, command, tmp_path):
    words = [*arguments(tmp_path / "out"), "progress=false"]
    words[1] = "image=photos/2.png"
    code, output, error = command(*words)
    assert (code, error) == (0, "") and output.startswith(f"{tmp_path}/out: 1 picture. cosine 0.") and "variance unexplained" in output
    assert files(tmp_path / "out") == {"2.png.png", "2.png.safetensors", "summary.csv"}
    assert files(course) == {"outputs", "photos"} and len(files(course / "photos")) == 4
    assert "1 picture (0 of them" not in output and "1 picture (1 of them done before)" in command(*words)[1]


def test_help_names_keys_and_examples(command):
    for word in ("--help", "-h"):
        code, output, error = command(word)
        assert (code, error) == (0, "")
        for words in ("checkpoint ", "image ", "out=outputs/infer", "clip=null", "overwrite=false", "batch_size=8", "passed over", "best_model",
                      "retrieval", "generation"):
            assert words in output


def test_every_example_of_the_help_is_a_command(command):
    examples = [line for line in infer.EXAMPLES.splitlines() if line.startswith("  python")]
    for line in examples:
        python, dash_m, module, *words = shlex.split(line)
        assert (python, dash_m, module) == ("python", "-m", "course_lib.infer") and parse(infer.Settings, words, module).checkpoint
    assert len(examples) > 2


@pytest.mark.parametrize(("changes", "words"), [
    ({"checkpoint": "nothing"}, "no shipped weights are called 'nothing'; there are: "),
    ({"checkpoint": "slots_shapes"}, "not a LearnedCompressor"), ({"checkpoint": "outputs"}, "outputs is not a complete checkpoint"),
    ({"checkpoint": "outputs/best.pt"}, "there are no weights outputs/best.pt.safetensors"),
    ({"image": "photos/broken.png"}, "photos/broken.png is not a picture"), ({"image": "nowhere"}, "there is no picture or folder nowhere"),
    ({"image": "outputs/x", "empty": "outputs/x"}, "outputs/x holds no pictures"),
    ({"out": "photos"}, "results may not be written among the pictures"),
    ({"out": "outputs/clip.json/below"}, "cannot write to outputs/clip.json/below"), ({"clip": "outputs/compress_global"}, "not a SmallClip"),
    ({"batch_size": "0"}, "batch_size must be at least 1"), ({"layer": "7"}, "layer must be from -3 to 2, not 7"),
])
def test_bad_input_is_one_sentence_and_status_2(changes, words, command, course, tmp_path):
    if "empty" in changes:
        (course / changes.pop("empty")).mkdir()
    given = {"checkpoint": "outputs/compress_global", "image": "photos/0.png", "out": str(tmp_path / "out"), "progress": "false"} | changes
    code, output, error = command(*(f"{key}={value}" for key, value in given.items()))
    told = [line for line in error.splitlines() if not line.startswith("left out: ")]
    assert code == 2 and len(told) == 1 and told[0].startswith("error: ") and words in told[0] and told[0].endswith(".")
    assert output == "" and not list(tmp_path.rglob("*.*"))


def test_an_interruption_says_how_to_go_on(command, monkeypatch, tmp_path):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(infer, "infer", interrupted)
    code, _, error = command(*arguments(tmp_path))
    assert code == 130 and "the same command goes on" in error and error.count("\n") == 1


def test_a_bug_keeps_its_traceback(command, monkeypatch, tmp_path):
    def buggy(**_):
        raise KeyError("a bug")

    monkeypatch.setattr(infer, "infer", buggy)
    with pytest.raises(KeyError):
        command(*arguments(tmp_path))
