"""What the seed's main.py does, by the real command: four models, eight files; each model alone; bad settings."""

import json
from pathlib import Path

import hydra
import pytest
import torch
from PIL import Image

from course_lib import train
from course_lib.core.weights import load_weights, read_card
from course_lib.latents.family import BETAS
from course_lib.latents.metrics import even_data, rate_and_distortion
from course_lib.latents.mixture import Mixture
from course_lib.latents.models import VAE, Autoencoder, Decoder, VAEFamily
from course_lib.latents.recipe import measure

STEMS = {"nid_decoder": Decoder, "autoencoder": Autoencoder, "vae_beta1.0": VAE, "vae_beta10.0": VAE}
QUICK = ["epochs=2", "tracker=none", "progress=false", "out=o", "data.samples=100"]


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.is_file()}


def settings(experiment: str):
    with hydra.initialize_config_dir(str(train.CONFIGS), version_base="1.3"):
        return hydra.compose("train", overrides=[f"experiment={experiment}"])


@pytest.mark.parametrize("experiment", ["latents", "decoder", "autoencoder", "vae"])
def test_the_defaults_are_those_of_the_seed(experiment):
    cfg = settings(experiment)
    assert (cfg.data.samples, cfg.epochs, cfg.batch_size, cfg.lr) == (500, 2000, 64, 1e-3)
    assert (list(cfg.model.hidden), cfg.model.latent, cfg.out) == ([32, 64, 32], 1, "outputs")
    assert list(cfg.get("betas", [cfg.model.get("beta", 1.0)])) == ([1.0, 10.0] if experiment == "latents" else [1.0])


def test_the_family_s_defaults_are_those_of_train_family():
    cfg = settings("latents_family")
    assert tuple(cfg.betas) == BETAS
    assert (cfg.steps, cfg.batch_size, cfg.lr, list(cfg.model.hidden), cfg.data.samples) == (4000, 64, 3e-3, [32, 64, 32], 500)


def test_latents_writes_the_eight_files_of_the_seed(command, tmp_path):
    assert command("experiment=latents", *QUICK) == (0, "")
    endings = ("_model.safetensors", "_model.json", "_visualization.png")
    assert files(tmp_path / "o") == {stem + ending for stem in STEMS for ending in endings}
    for stem, cls in STEMS.items():
        model = load_weights(tmp_path / "o" / f"{stem}_model", expect=cls)
        card = read_card(tmp_path / "o" / f"{stem}_model")
        assert card["experiment"] == "latents" and card["config"]["epochs"] == 2 and card["seconds"] > 0
        assert card["metrics"] == pytest.approx(measure(model, Mixture()), rel=1e-5)
        with Image.open(tmp_path / "o" / f"{stem}_visualization.png") as picture:
            picture.load()
            assert picture.width >= 1000 and len(picture.convert("L").getcolors(256)) > 50  # something is drawn


@pytest.mark.parametrize(("arguments", "stem"), [
    (["experiment=decoder"], "nid_decoder"), (["experiment=decoder", "pairing=rank"], "rank_decoder"),
    (["experiment=autoencoder"], "autoencoder"), (["experiment=vae"], "vae_beta1.0"),
    (["experiment=vae", "model.beta=0.5"], "vae_beta0.5"), (["experiment=vae", "model.beta=3"], "vae_beta3.0")])
def test_each_model_alone(command, tmp_path, arguments, stem):
    assert command(*arguments, *QUICK) == (0, "")
    assert files(tmp_path / "o") == {f"{stem}_model.safetensors", f"{stem}_model.json", f"{stem}_visualization.png"}


def test_the_same_command_gives_the_same_weights(command, tmp_path):
    hashes = []
    for out in ("one", "two"):
        assert command("experiment=vae", *QUICK, f"out={out}") == (0, "")
        hashes.append(read_card(tmp_path / out / "vae_beta1.0_model")["sha256"])
    assert hashes[0] == hashes[1]
    assert command("experiment=vae", *QUICK, "out=three", "seed=1") == (0, "")
    assert read_card(tmp_path / "three/vae_beta1.0_model")["sha256"] != hashes[0]


def test_the_family(command, tmp_path):
    assert command("experiment=latents_family", "steps=5", "betas=[0.5,2.0]", "progress=false", "out=o") == (0, "")
    assert files(tmp_path / "o") == {"latents_family.safetensors", "latents_family.json"}
    family = load_weights(tmp_path / "o/latents_family", expect=VAEFamily)
    assert family.betas == [0.5, 2.0]
    metrics = json.loads((tmp_path / "o/latents_family.json").read_text())["metrics"]
    assert {name: len(values) for name, values in metrics.items()} == {"rate_nats": 2, "distortion": 2, "generation_w1": 2}
    for name, values in zip(("rate_nats", "distortion"), rate_and_distortion(family, Mixture())):
        assert metrics[name] == pytest.approx(values.tolist(), rel=1e-5)


def test_measure_knows_a_decoder_that_says_the_mean_and_one_that_copies():
    mixture = Mixture()
    constant = Decoder()
    with torch.no_grad():
        for parameter in constant.parameters():
            parameter.zero_()
        list(constant.parameters())[-1].fill_(mixture.mean)  # only the last bias speaks
    found = measure(constant, mixture)
    assert found["output_mean"] == pytest.approx(mixture.mean, abs=1e-6) and found["output_std"] == pytest.approx(0, abs=1e-6)
    assert found["generation_w1"] == pytest.approx(float((even_data(mixture, 20_000) - mixture.mean).abs().mean()), abs=0.01)


@pytest.mark.parametrize(("arguments", "words"), [
    (["experiment=vae", "model.beta=0"], "beta must be a finite number above 0, not 0"),
    (["experiment=vae", "model.beta=-1"], "beta must be a finite number above 0, not -1"),
    (["experiment=vae", "model.beta=big"], "model.beta=big is not a finite number"),
    (["experiment=vae", "model.beta=nan"], "model.beta=nan is not a finite number"),
    (["experiment=vae", "model.beta=inf"], "model.beta=inf is not a finite number"),
    (["experiment=latents", "betas=[1.0,0.0]"], "beta must be a finite number above 0, not 0.0"),
    (["experiment=latents", "betas=[1.0,x]"], "betas=[1.0, 'x'] is not a list"),
    (["experiment=latents", "betas=[]"], "betas=[] leaves nothing to train"),
    (["experiment=vae", "models=[]"], "models=[] leaves nothing to train"),
    (["experiment=latents", "models=[decoder,gan]"], "models=gan is not a model of Part I; there are decoder, autoencoder, vae."),
    (["experiment=decoder", "pairing=sorted"], "pairing=sorted is not known; there are random, rank."),
    (["experiment=vae", "model.latent=2"], "model.latent must be 1, not 2"),
    (["experiment=vae", "model.hidden=[0]"], "every layer of an MLP needs at least one unit"),
    (["experiment=vae", "data.samples=0"], "the number of samples must be at least 1, not 0"),
    (["experiment=latents_family", "betas=[]"], "a family needs at least one beta and one seed"),
    (["experiment=latents_family", "steps=0"], "at least 1 step"),
    (["experiment=latents_family", "lr=-1.0"], "lr must be a positive number, not -1.0")])
def test_bad_settings_are_one_sentence_and_nothing_is_written(command, tmp_path, arguments, words):
    quick = [word for word in QUICK if "epochs" not in word or "family" not in arguments[0]]  # a family counts steps
    code, error = command(arguments[0], *quick, *arguments[1:])
    assert code == 2 and error.startswith("error: ") and error.count("\n") == 1 and words in error
    assert not list(tmp_path.rglob("*.safetensors")) and not list(tmp_path.rglob("*.png"))
