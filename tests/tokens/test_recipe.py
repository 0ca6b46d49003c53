"""Training of the learned compressor: its objective, its turns, the real command, what a kill cannot change, two processes."""

import inspect
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import hydra
import pytest
import torch
import yaml
from einops import rearrange
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import train
from course_lib.core.errors import BadInput
from course_lib.core.muon import Muon
from course_lib.core.run import History
from course_lib.core.weights import load_weights, read_card, save_weights
from course_lib.tokens import recipe
from course_lib.tokens.baselines import PCAField
from course_lib.tokens.captions import WORDS
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.compressor import Compressor
from course_lib.tokens.critic import CRITICS, ConvCritic, MultiScaleCritic
from course_lib.tokens.decoder import AttentionDecoder, ConvDecoder, LearnedCompressor
from course_lib.tokens.losses import RECONSTRUCTIONS, critic_loss, generator_loss, gradient_penalty
from course_lib.tokens.metrics import variance_unexplained
from course_lib.tokens.recipe import BETAS, TURN, Objective, Players, create_data, make_optimizers, measure, play, train_compressor
from course_lib.tokens.small_clip import SmallClip

TWO = """\
import os
from safetensors.torch import save_file
from course_lib import train
from course_lib.core.launch import leave
from course_lib.tokens import recipe

play = recipe.play

def noted(players, *arguments, **options):
    history = play(players, *arguments, **options)
    save_file({name: value.contiguous() for name, value in players.state_dict().items()}, f"rank{os.environ['RANK']}.safetensors")
    return history

recipe.play = noted
leave(train.main())
"""  # the real command, and each process keeps what it ends with
MEASURES = {"loss", "reconstruction", "cosine_similarity", "generator_loss", "wasserstein", "gradient_penalty"}
HELD_OUT = {"held_out_cosine", "held_out_centred_cosine", "held_out_unexplained"}
QUICK = ["experiment=compress_global", "fast=true", "progress=false", "out=o", "model.compressor.output_grid_size=3", "training.n_critic=2"]
CHANGED = [  # every setting that is not tried alone, at another value than its default
    "experiment=compress_global", "fast=true", "progress=false", "out=o", "tracker=none", "model.clip.layer=-1",
    "model.clip.freeze=false", "model.compressor.output_grid_size=[2,3]", "model.compressor.num_layers=1", "model.compressor.use_residual=false",
    "model.autoencoder.use_attention=true", "model.autoencoder.num_layers=2", "model.critic=multi_scale", "loss.wgan.lambda_gp=20",
    "loss.wgan.game=pick", "loss.weights.wgan=2", "loss.weights.ae=3", "loss.reconstruction=perceptual", "training.learning_rate=0.001",
    "training.n_critic=3"]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP of a few thousand weights on 24 × 24 pixels, 6 × 6 tokens, as weights with a card."""
    torch.manual_seed(0)
    model = SmallClip(24, dim=16, layers=2, heads=2, text_dim=16, text_layers=1, text_heads=2, projection=8, words=WORDS)
    card = {"experiment": "clip", "config": {}, "seed": 0, "seconds": 0.0, "metrics": {}}
    return str(save_weights(model, tmp_path_factory.mktemp("clip") / "tiny", card=card))


def trained(folder: Path, clip: str, *settings: str) -> SimpleNamespace:
    """The command, in `folder`: what it wrote, and who played for what."""
    seen = SimpleNamespace(out=folder / "o")

    def noted(players: Players, objective: Objective, *args, **options) -> History:
        seen.players, seen.objective, seen.options = players, objective, options
        return play(players, objective, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train", *settings, f"model.clip.model_name={clip}"])
        patch.setattr(recipe, "play", noted)
        assert train.main() == 0
    seen.model = load_weights(seen.out / "compress_global", expect=LearnedCompressor)
    return seen


@pytest.fixture(scope="module")
def usual(clip, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("usual"), clip, *QUICK, "checkpoint_every=1")


@pytest.fixture(scope="module")
def changed(clip, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("changed"), clip, *CHANGED)


def grids(n: int = 24, size: int = 4, dim: int = 3) -> Tensor:
    return 2 + torch.randn(n, size, size, dim, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 5.0, 0.2])


def small(**changes) -> LearnedCompressor:
    torch.manual_seed(0)
    return LearnedCompressor(**{"dim": 3, "grid": (4, 4), "output_grid": (2, 2), "num_layers": 1, **changes})


def short(model: LearnedCompressor, critic=None, **changes):
    settings = {"data": grids(), "epochs": 2, "batch_size": 4, "n_critic": 2, "lr": 1e-3, "progress": False, **changes}
    return train_compressor(model, settings.pop("data"), critic=critic, **settings)


def test_the_configuration_has_the_seeds_defaults():
    with hydra.initialize_config_dir(str(train.CONFIGS), version_base="1.3"):
        cfg = hydra.compose("train", overrides=["experiment=compress_global"])
    assert (cfg.model.clip.freeze, cfg.model.compressor.output_grid_size, cfg.model.compressor.num_layers) == (True, 6, 3)
    assert cfg.model.compressor.use_residual is True and cfg.model.autoencoder.use_attention is False and cfg.data.use_subset is False
    assert (cfg.loss.wgan.lambda_gp, cfg.loss.weights.wgan, cfg.loss.weights.ae) == (10.0, 1.0, 1.0)
    known = {name: p.default for name, p in inspect.signature(train_compressor).parameters.items()}
    assert (cfg.training.epochs, cfg.training.batch_size, cfg.training.learning_rate) == (100, 32, 1e-4)
    assert (known["epochs"], known["batch_size"], known["lr"]) == (100, 32, 1e-4)
    objective = Objective()
    assert cfg.training.n_critic == objective.n_critic == 5 and cfg.loss.wgan.game == objective.game
    assert (cfg.loss.wgan.lambda_gp, cfg.loss.reconstruction) == (objective.lambda_gp, objective.reconstruction)
    assert dict(cfg.loss.weights) == {"wgan": objective.wgan, "ae": objective.ae}
    chosen = inspect.signature(create_data).parameters
    assert {name: chosen[name].default for name in cfg.data} == dict(cfg.data)


@pytest.mark.parametrize("reconstruction", list(RECONSTRUCTIONS))
def test_the_generators_loss_is_reconstruction_and_the_critics_value(reconstruction):
    model, critic, tokens = small(), ConvCritic(3, 4), grids(5)
    model.fit(grids())
    objective = Objective(n_critic=2, wgan=0.5, ae=3.0, reconstruction=reconstruction)
    objective.before_step(2)
    found = objective(Players(model, critic), tokens)
    compressed = model(tokens)
    fake = model.scale(Compressor.expand(model, compressed))
    error = RECONSTRUCTIONS[reconstruction](model.scale(model.expand(compressed)), model.scale(tokens))
    torch.testing.assert_close(found["loss"], 3 * error + 0.5 * generator_loss(critic(fake)))
    torch.testing.assert_close(found["reconstruction"], error.detach())
    assert found.keys() == {"loss", "reconstruction", "cosine_similarity", "generator_loss"}
    assert all(not value.requires_grad for name, value in found.items() if name != "loss")


@pytest.mark.parametrize("game", ["put_back", "rebuilt"])
def test_the_critics_loss_is_minus_wasserstein_and_the_penalty_in_root_mean_squares(game):
    model, critic, tokens = small(), ConvCritic(3, 4), grids(5)
    model.fit(grids())
    objective = Objective(n_critic=2, lambda_gp=7.0, game=game)
    objective.before_step(0)
    torch.manual_seed(3)
    found = objective(Players(model, critic), tokens)
    fake = model.scale(model.expand(model(tokens)) if game == "rebuilt" else Compressor.expand(model, model(tokens)))
    torch.manual_seed(3)
    penalty = gradient_penalty(critic, model.scale(tokens), fake, (4 * 4 * 3) ** 0.5)
    gap = critic_loss(critic(model.scale(tokens)), critic(fake))
    torch.testing.assert_close(found["loss"], gap + 7 * penalty)
    torch.testing.assert_close((found["wasserstein"], found["gradient_penalty"]), (-gap.detach(), penalty.detach()))


def test_both_weights_at_one_pull_alike():
    """At an error of half a standard deviation a critic of slope 1 and the squared error move the tokens by the same length."""
    tokens = torch.randn(1, 24, 24, 8)
    rebuilt = (tokens + 0.5).requires_grad_()
    error = torch.autograd.grad((rebuilt - tokens).square().mean(), rebuilt)[0].norm()
    unit = tokens[0].numel() ** 0.5
    critic = torch.autograd.grad((rebuilt - tokens).norm() / unit, rebuilt)[0].norm()  # slope 1 in root mean squares
    torch.testing.assert_close(error, critic)


def test_turns_are_n_critic_and_one():
    critic, generator = range(2, 3), range(2)
    assert [Objective(n_critic=3).turn(done) for done in range(5)] == [critic, critic, critic, generator, critic]
    objective = Objective(n_critic=3, wgan=0.0)
    for done in range(5):
        objective.before_step(done)
        assert not objective.critics_turn


def test_each_optimiser_has_its_own_parameters_and_its_own_steps():
    players = Players(small(), ConvCritic(3, 4))
    muon, adam, critic = make_optimizers(players, 1e-3, steps=60, n_critic=5)
    model, of = players.compressor, lambda optimizer: {id(p) for p in optimizer.param_groups[0]["params"]}
    linear = {id(model.compressor.whole.weight), id(model.decoder.spread.weight)}
    assert of(muon) == linear and of(critic) == {id(p) for p in players.critic.parameters()}
    assert of(adam) == {id(p) for p in model.parameters()} - linear and id(model.decoder.spread.bias) in of(adam)
    assert [o.param_groups[0]["steps"] for o in (muon, adam, critic)] == [10, 10, 50]
    assert [o.param_groups[0]["lr"] for o in (muon, adam, critic)] == pytest.approx([TURN * 1e-3 / (0.2 * 12**0.5), 1e-3, 1e-3])
    assert isinstance(muon, Muon) and all(o.param_groups[0]["betas"] == BETAS for o in (adam, critic))
    alone = make_optimizers(Players(small()), 1e-3, steps=60, n_critic=5)
    assert [o.param_groups[0]["steps"] for o in alone] == [60, 60]


def test_muon_finds_the_linear_code_that_adam_is_far_from():
    """In the steps of a short training, from average pooling: fields of 12 values whose spreads fall by 0.6 each, three numbers pass."""
    values = torch.randn(256, 2, 2, 12) * 0.6 ** torch.arange(12.0) @ torch.linalg.qr(torch.randn(12, 12))[0]
    tokens = rearrange(values, "b oh ow (fh fw d) -> b (oh fh) (ow fw) d", fh=2, fw=2)
    lost = {}
    for linear in ("muon", "adam"):
        model = small()
        with pytest.MonkeyPatch.context() as patch:
            if linear == "adam":
                patch.setattr(recipe, "Muon", lambda groups, lr: torch.optim.Adam(groups, lr=1e-3, betas=BETAS))
            short(model, data=tokens, epochs=2, batch_size=8)
        lost[linear] = measure(model, tokens)["unexplained"]
    pca = PCAField.fit([tokens], (2, 2))
    best = variance_unexplained(pca.expand(pca(tokens)), tokens, tokens.mean((0, 1, 2)))
    assert lost["muon"] < 1.5 * best < 3 * best < lost["adam"]


def test_a_game_moves_both_and_records_everything():
    model, critic = small(), ConvCritic(3, 4)
    before = [[p.clone() for p in player.parameters()] for player in (model, critic)]
    history = short(model, critic, held_out=grids(6))
    assert history.steps.keys() == MEASURES
    assert history.epochs.keys() == MEASURES | HELD_OUT | {"held_out_wasserstein"} and history.updates == 12
    for player, old in zip((model, critic), before):
        assert any(not torch.equal(p, q) for p, q in zip(player.parameters(), old))
        assert all(p.requires_grad for p in player.parameters())
    torch.testing.assert_close(model.scale.mean, grids().mean((0, 1, 2)))
    assert history.epochs["held_out_cosine"][-1] == pytest.approx(measure(model, grids(6))["cosine"], abs=1e-6)


def test_without_a_critic_it_is_an_autoencoder_and_gets_better():
    model = small(hidden=16)
    history = short(model, held_out=grids(6), epochs=15, lr=1e-2)
    assert history.steps.keys() == {"loss", "reconstruction", "cosine_similarity"} and history["loss"] == history["reconstruction"]
    lost = history.epochs["held_out_unexplained"]
    assert history.epochs["loss"][-1] < history.epochs["loss"][0] and lost[-1] < lost[0]
    weightless = small(hidden=16)
    assert short(weightless, ConvCritic(3, 4), wgan=0.0, held_out=grids(6), epochs=15, lr=1e-2)["loss"] == history["loss"]


def test_data_sets_of_grids_are_taken_too():
    class Grids(Dataset):
        def __len__(self) -> int:
            return 24

        def __getitems__(self, indices: list[int]) -> Tensor:
            return grids()[indices]

    one, other = small(), small()
    assert short(one)["loss"] == short(other, data=Grids())["loss"]


def test_measures_of_average_pooling_are_those_of_the_means():
    model, tokens = small(), grids()
    model.fit(tokens)
    found = measure(model, tokens)
    means = tokens.unflatten(1, (2, 2)).unflatten(3, (2, 2)).mean((2, 4), keepdim=True).expand(-1, -1, 2, -1, 2, -1).flatten(3, 4).flatten(1, 2)
    assert found["unexplained"] == pytest.approx(float((means - tokens).square().sum() / (tokens - tokens.mean((0, 1, 2))).square().sum()), rel=1e-4)
    assert found["cosine"] == pytest.approx(float(torch.cosine_similarity(means, tokens, dim=3).mean()), rel=1e-4)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"reconstruction": "l1"}, "loss.reconstruction must be one of mse, cosine, hybrid, perceptual, not 'l1'"),
    ({"game": "chess"}, "loss.wgan.game must be one of put_back, pick, rebuilt, not 'chess'"),
    ({"n_critic": 0}, "n_critic must be at least 1"), ({"lambda_gp": -1.0}, "lambda_gp and the weights wgan and ae at least 0"),
    ({"wgan": 0.0, "ae": 0.0}, "one weight above it"), ({"n_critic": 6}, "an epoch has 6 batches, too few for 6 steps of the critic and one"),
    ({"data": grids()[:, :3]}, "takes grids of 4 × 4 tokens of 3 numbers"), ({"data": grids()[:0]}, "the data are empty|an epoch has 0 batches"),
    ({"batch_size": 0}, "batch_size must be a whole number from 1 on"),
])
def test_bad_input(changes, sentence):
    with pytest.raises(BadInput, match=sentence):
        short(small(), ConvCritic(3, 4), **changes)


# The command

def test_from_the_command_line_in_seconds(usual, clip):
    assert {file.name for file in usual.out.iterdir()} == {"compress_global.safetensors", "compress_global.json", "checkpoints", "logs"}
    card, tokens = read_card(usual.out / "compress_global"), create_data(ClipTokens.load(clip), held_out=6)[1]
    assert card["metrics"] == pytest.approx(measure(usual.model, tokens), abs=1e-5) and len(card["epochs"]["held_out_wasserstein"]) == 2
    assert card["epochs"].keys() == MEASURES | HELD_OUT | {"held_out_wasserstein"}
    assert {file.name for file in (usual.out / "checkpoints/compress_global").iterdir()} == {"best_model", "checkpoint_epoch_1", "checkpoint_epoch_2"}


@pytest.mark.parametrize(("setting", "usual_value", "value", "of"), [
    ("model.clip.layer", 1, 2, lambda run: read_card(run.out / "compress_global")["clip"]["layer"]),
    ("model.clip.freeze", False, True, lambda run: run.players.clip is not None),
    ("model.compressor.output_grid_size", (3, 3), (2, 3), lambda run: run.model.output_grid),
    ("model.compressor.num_layers", 3, 1, lambda run: len(run.model.compressor.stages)),
    ("model.compressor.use_residual", True, False, lambda run: run.model.compressor.stages[0].skip is not None),
    ("model.autoencoder.use_attention", ConvDecoder, AttentionDecoder, lambda run: type(run.model.decoder)),
    ("model.autoencoder.num_layers", 3, 2, lambda run: len(getattr(run.model.decoder, "stages", getattr(run.model.decoder, "blocks", ())))),
    ("model.critic", ConvCritic, MultiScaleCritic, lambda run: type(run.players.critic)),
    ("loss, training.n_critic", Objective(n_critic=2), Objective(3, 20.0, 2.0, 3.0, "perceptual", game="pick"),
     lambda run: replace(run.objective)),  # with nobody's turn
    ("training.learning_rate", 1e-4, 1e-3, lambda run: run.options["lr"]),
])
def test_a_setting_has_its_effect(setting, usual_value, value, of, usual, changed):
    assert (of(usual), of(changed)) == (usual_value, value), setting


def test_every_setting_of_the_file_is_tried_here():
    def keys(tree: dict, prefix: str = "") -> set[str]:
        return {key for name, value in tree.items() for key in (keys(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name})}

    tried = {word.split("=")[0] for word in CHANGED}
    quick = {*recipe.FAST, "name", "model.clip.model_name", "data.imagenet_root", "checkpoint_every", "recipe", "workers"}  # in the tests below
    assert keys(yaml.safe_load((train.CONFIGS / "experiment/compress_global.yaml").read_text())) <= tried | quick


def test_a_clip_that_learns_moves_with_the_others(changed, clip):
    before, after = ClipTokens.load(clip).state_dict(), changed.players.clip.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before if "encoder.layers.1" in name)
    assert all(torch.equal(before[name], after[name]) for name in before if "text" in name)


def test_in_bfloat16_both_turns_are_finite_and_the_penalty_is_that_of_float32():
    players, penalties = Players(small(), ConvCritic(3, 4)), []
    players.compressor.fit(grids())
    for done in (0, 2):
        for enabled in (False, True):
            objective = Objective(n_critic=2)
            objective.before_step(done)
            torch.manual_seed(1)
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                found = objective(players, grids(6))
            found["loss"].backward()
            assert all(torch.isfinite(value) for value in found.values())
            penalties += [found["gradient_penalty"]] if done == 0 else []
    torch.testing.assert_close(*penalties)


def test_killed_and_resumed_equals_never_killed(command, clip, usual, monkeypatch, tmp_path):
    quiet = [*QUICK, f"model.clip.model_name={clip}", "tracker=none", "checkpoint_every=1", "resume=auto"]
    step, calls = Objective.__call__, []

    def dies(self, players, batch):
        calls.append(1)
        if len(calls) == 11:  # seven steps an epoch: in the middle of the second, on a critic's turn
            raise KeyboardInterrupt
        return step(self, players, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "__call__", dies)
        code, error = command(*quiet)
    assert code == 130 and "resume=auto" in error and not (tmp_path / "o/compress_global.safetensors").exists()
    assert command(*quiet) == (0, "")
    both = [usual.out, tmp_path / "o"]
    histories = [json.loads((out / "checkpoints/compress_global/checkpoint_epoch_2/state.json").read_text())["history"] for out in both]
    assert all(history.pop("seconds") > 0 for history in histories) and histories[0] == histories[1]
    assert len({read_card(out / "compress_global")["sha256"] for out in both}) == 1


def test_two_processes_play_one_game(clip, tmp_path):
    """The frozen side of each turn has no gradients to share, and both processes end with the same weights."""
    (tmp_path / "two.py").write_text(TWO)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "two.py"]
    done = subprocess.run([*launch, *QUICK, f"model.clip.model_name={clip}"], cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"},
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    card = read_card(tmp_path / "o/compress_global")
    assert card["epochs"].keys() == MEASURES | HELD_OUT | {"held_out_wasserstein"}
    assert (tmp_path / "o/checkpoints/compress_global/best_model/random_states_1.pkl").exists()
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in "01")
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_photos_from_a_folder(command, clip, tmp_path):
    chance = torch.Generator().manual_seed(0)
    (tmp_path / "pictures").mkdir()
    for number in range(32):
        pixels = torch.randint(256, (30, 40, 3), generator=chance, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(tmp_path / f"pictures/{number}.png")
    (tmp_path / "pictures/broken.png").write_text("no picture")
    assert command(*QUICK, f"model.clip.model_name={clip}", "tracker=none", "data.imagenet_root=pictures", "data.subset_size=20") == (0, "")
    assert len(read_card(tmp_path / "o/compress_global")["epochs"]["loss"]) == 2


@pytest.mark.parametrize(("setting", "words"), [
    ("model.compressor.output_grid_size=4", "a grid of 6 × 6 tokens cannot be divided into 4 × 4 equal fields"),
    ("model.compressor.output_grid_size=[3,2,1]", "must be a number or [height, width]"),
    ("model.compressor.output_grid_size=big", "output_grid_size=big is not a whole number"),
    ("model.compressor.hidden=wide", "hidden=wide is not a whole number"),
    ("model.critic=art", "model.critic must be one of conv, multi_scale, not 'art'"),
    ("data.imagenet_root=nowhere", "there is no folder nowhere"), ("data.held_out=0", "data.held_out must be at least 1"),
])
def test_one_sentence_for_bad_input(setting, words, command, clip):
    plain = [word for word in QUICK if "fast" not in word]
    code, error = command(*plain, f"model.clip.model_name={clip}", "tracker=none", setting)
    assert code == 2 and words in error and error.startswith("error: ") and error.count("\n") == 1


def test_the_critics_are_those_that_the_configuration_names():
    assert CRITICS == {"conv": ConvCritic, "multi_scale": MultiScaleCritic}
