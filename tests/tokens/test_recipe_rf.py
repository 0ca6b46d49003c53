"""Training field by field: its objective, every flag of the seed and what it changes, its pictures, and what a kill cannot change."""

import inspect
import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import hydra
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from course_lib import train
from course_lib.core.errors import BadInput
from course_lib.core.run import History
from course_lib.core.weights import load_weights, read_card, save_weights
from course_lib.tokens import recipe_rf
from course_lib.tokens.captions import WORDS
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.critic_rf import SEES, RFCritic, RFPair, compute_rf_gradient_penalty, rf_generator_loss, rf_opponents
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.decoder_rf import RFAttentionDecoder, RFCompressor, RFConvDecoder
from course_lib.tokens.fields import extract_rf_targets
from course_lib.tokens.figures_rf import save_rf_pictures
from course_lib.tokens.inference import infer
from course_lib.tokens.loaders import create_data
from course_lib.tokens.losses import RECONSTRUCTIONS, critic_loss
from course_lib.tokens.losses_rf import RF_RECONSTRUCTIONS
from course_lib.tokens.metrics import BANDS
from course_lib.tokens.recipe import Players, measure, play, train_compressor
from course_lib.tokens.recipe_rf import RFObjective, field_statistics, gpu, train_rf_compressor
from course_lib.tokens.small_clip import SmallClip

CRITICS_TURN = {"loss", "wasserstein", "gradient_penalty"}
GENERATORS_TURN = {"loss", "reconstruction", "worst_field", "cosine_similarity", "generator_loss"}
USUAL = ["experiment=compress_rf", "fast=true", "model.compressor.output_grid_size=3", "training.n_critic=2", "checkpoint_every=1"]
CHANGED = [  # every flag of the seed, and the others of the file, at another value than its default
    "experiment=compress_rf", "name=changed", "pictures_every=2", "tracker=none", "model.clip.layer=-1", "model.compressor.output_grid_size=[2,3]",
    "model.compressor.num_layers=2", "model.compressor.use_residual=false", "model.compressor.hidden=12", "model.rf_autoencoder.num_layers=1",
    "model.rf_autoencoder.use_attention=true", "model.rf_discriminator.hidden=20", "model.rf_discriminator.num_layers=3",
    "model.rf_discriminator.dropout=0.2", "model.rf_discriminator.sees=mean", "loss.rf_wgan.lambda_gp=20", "loss.weights.wgan=0.5",
    "loss.weights.ae=3.0", "loss.reconstruction=hybrid", "training.epochs=3", "training.batch_size=5", "training.learning_rate=0.002",
    "training.n_critic=3", "data.use_subset=true", "data.subset_size=23", "data.held_out=4"]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP of a few thousand weights on 24 × 24 pixels, 6 × 6 tokens of 16 numbers, as weights with a card."""
    torch.manual_seed(0)
    model = SmallClip(24, dim=16, layers=2, heads=2, text_dim=16, text_layers=1, text_heads=2, projection=8, words=WORDS)
    card = {"experiment": "clip", "config": {}, "seed": 0, "seconds": 0.0, "metrics": {}}
    return str(save_weights(model, tmp_path_factory.mktemp("clip") / "tiny", card=card))


def trained(folder: Path, clip: str, *settings: str, draws: bool = True) -> SimpleNamespace:
    """The command, in `folder`: what it wrote, who played and for what, and by epochs the grids of which it drew pictures."""
    seen = SimpleNamespace(out=folder / "o", drawn={})

    def noted_epoch(folder: Path, epoch: int, rebuilt: Tensor, *rest) -> None:
        seen.drawn[epoch] = rebuilt
        if draws:
            save_rf_pictures(folder, epoch, rebuilt, *rest)

    def noted_play(players: Players, objective: RFObjective, *args, **options) -> History:
        seen.players, seen.objective = players, objective
        return play(players, objective, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train", *settings, f"model.clip.model_name={clip}", "out=o", "progress=false"])
        patch.setattr(recipe_rf, "play", noted_play)
        patch.setattr(recipe_rf, "save_rf_pictures", noted_epoch)
        assert train.main() == 0
    name = next((word.removeprefix("name=") for word in settings if word.startswith("name=")), "compress_rf")
    checkpoint = max((seen.out / "checkpoints" / name).glob("checkpoint_epoch_*"), key=lambda path: int(path.name.split("_")[-1]))
    state = json.loads((checkpoint / "state.json").read_text())
    seen.history, seen.settings = state["history"], state["settings"]["train"]
    seen.card, seen.model = read_card(seen.out / name), load_weights(seen.out / name, RFCompressor)
    seen.weights, seen.checkpoint = load_file(checkpoint / "model.safetensors"), checkpoint
    return seen


@pytest.fixture(scope="module")
def usual(clip, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("usual"), clip, *USUAL)


@pytest.fixture(scope="module")
def changed(clip, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("changed"), clip, *CHANGED, draws=False)


def grids(n: int = 24, size: int = 4, dim: int = 3) -> Tensor:
    return 2 + torch.randn(n, size, size, dim, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 5.0, 0.2])


def small(kind: type = RFCompressor, **changes) -> LearnedCompressor:
    torch.manual_seed(0)
    return kind(**{"dim": 3, "grid": (4, 4), "output_grid": (2, 2), "num_layers": 1, **changes})


def fitted() -> RFCompressor:
    """Whose decoder does not only repeat."""
    model = small()
    model.fit(grids())
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


def short(model: LearnedCompressor, critic=None, **changes):
    settings = {"data": grids(), "epochs": 2, "batch_size": 4, "n_critic": 2, "lr": 1e-3, "progress": False, **changes}
    return train_rf_compressor(model, settings.pop("data"), critic=critic, **settings)


def epochs_of(history: dict) -> list[range]:
    many = history["updates"] // history["epoch"]
    return [range(first, first + many) for first in range(0, history["updates"], many)]


def adam_of(run: SimpleNamespace) -> dict:
    return torch.load(run.checkpoint / "optimizer_1.bin", weights_only=True)["param_groups"][0]


# the objective


@pytest.mark.parametrize("sees", SEES)
@pytest.mark.parametrize("reconstruction", RF_RECONSTRUCTIONS)
def test_the_generators_loss_is_that_of_fields_and_the_critics_value(reconstruction, sees):
    model, critic, tokens = fitted(), RFCritic(3, (2, 2), 4, sees=sees), grids(5)
    objective = RFObjective(n_critic=2, wgan=0.5, ae=3.0, reconstruction=reconstruction)
    objective.before_step(2)
    found = objective(Players(model, critic), tokens)
    units, rebuilt = model.scale(tokens), model.scale(model.expand(model(tokens)))
    error = RECONSTRUCTIONS[reconstruction](rebuilt, units)
    seen = extract_rf_targets(units, (2, 2)).mean(2) if sees == "mean" else None
    fake = model.scale(model(tokens).tokens)
    torch.testing.assert_close(found["loss"], 3 * error + 0.5 * rf_generator_loss(critic, RFPair(fake, fake, seen)))
    torch.testing.assert_close(found["reconstruction"], error.detach())
    alone = [RECONSTRUCTIONS[reconstruction](*(extract_rf_targets(grid, (2, 2))[:, k : k + 1] for grid in (rebuilt, units))) for k in range(4)]
    torch.testing.assert_close(found["worst_field"], torch.stack(alone).max().detach())
    assert found.keys() == GENERATORS_TURN
    assert all(not value.requires_grad for name, value in found.items() if name != "loss")


@pytest.mark.parametrize("sees", SEES)
def test_the_critics_loss_is_minus_wasserstein_and_the_penalty_in_root_mean_squares(sees):
    model, critic, tokens = fitted(), RFCritic(3, (2, 2), 4, sees=sees), grids(5)
    objective = RFObjective(n_critic=2, lambda_gp=7.0)
    objective.before_step(0)
    torch.manual_seed(3)
    found = objective(Players(model, critic), tokens)
    torch.manual_seed(3)
    pair = rf_opponents(model.scale(tokens), model.scale(model(tokens).tokens), (2, 2), sees)
    penalty = compute_rf_gradient_penalty(critic, *pair, unit=3**0.5)
    gap = critic_loss(critic(pair.real, pair.seen).flatten(), critic(pair.fake, pair.seen).flatten())
    torch.testing.assert_close(found["loss"], gap + 7 * penalty)
    torch.testing.assert_close((found["wasserstein"], found["gradient_penalty"]), (-gap.detach(), penalty.detach()))
    assert found.keys() == CRITICS_TURN


def test_both_weights_at_one_pull_alike():
    """At an error of half a standard deviation a critic of slope 1 and the squared error move a compressed token by the same length."""
    compressed = torch.randn(2, 9, 8, requires_grad=True)
    put_back = compressed[:, :, None].expand(-1, -1, 4, -1)
    error = torch.autograd.grad((put_back - (compressed.detach() + 0.5)[:, :, None]).square().mean(), compressed)[0].norm()
    values = (compressed - compressed.detach() - 0.5).norm(dim=2) / 8**0.5  # slope 1 in root mean squares of a token
    torch.testing.assert_close(error, torch.autograd.grad(values.mean(), compressed)[0].norm())


def test_in_bfloat16_both_turns_are_finite():
    players = Players(fitted(), RFCritic(3, (2, 2), 4))
    for done in (0, 2):
        objective = RFObjective(n_critic=2)
        objective.before_step(done)
        with torch.autocast("cpu", torch.bfloat16):
            found = objective(players, grids(6))
        found["loss"].backward()
        assert all(torch.isfinite(value) for value in found.values())


# the plain function


def test_a_game_moves_both_and_records_everything():
    model, critic = small(), RFCritic(3, (2, 2), 4)
    before = [[p.clone() for p in player.parameters()] for player in (model, critic)]
    history = short(model, critic, held_out=grids(6))
    assert history.steps.keys() == CRITICS_TURN | GENERATORS_TURN and history.updates == 12
    for player, old in zip((model, critic), before):
        assert any(not torch.equal(p, q) for p, q in zip(player.parameters(), old))
        assert all(p.requires_grad for p in player.parameters())
    torch.testing.assert_close(model.scale.mean, grids().mean((0, 1, 2)))
    last = {name.removeprefix("held_out_"): values[-1] for name, values in history.epochs.items() if name.startswith("held_out_")}
    assert last.pop("wasserstein") == pytest.approx(float(held_out_gap(model, critic, grids(6))), abs=1e-6)
    assert last == pytest.approx(field_statistics(model, grids(6)).summary(), abs=1e-6)


def held_out_gap(model: RFCompressor, critic: RFCritic, tokens: Tensor) -> Tensor:
    pair = rf_opponents(model.scale(tokens), model.scale(model(tokens).tokens), (2, 2), generator=torch.Generator().manual_seed(0))
    return (critic(pair.real) - critic(pair.fake)).mean().detach()


def test_statistics_are_the_measures_of_the_other_recipe_and_more(monkeypatch):
    model, tokens = fitted(), grids(7)
    found = field_statistics(model, tokens)
    plain, known = found.summary(), measure(model, tokens)
    assert {name: plain[name] for name in known} == pytest.approx(known, rel=1e-4)
    assert {*BANDS, "of_ceiling", "resultant", "row_1", "column_1"} <= plain.keys()
    monkeypatch.setattr(recipe_rf, "AT_ONCE", 3)
    for one, other in zip(field_statistics(model, tokens), found):
        torch.testing.assert_close(one, other)


def test_without_a_critic_it_is_an_autoencoder_and_gets_better():
    history = short(small(hidden=16), held_out=grids(6), epochs=8, lr=1e-2)
    assert history.steps.keys() == GENERATORS_TURN - {"generator_loss"} and history["loss"] == history["reconstruction"]
    lost = history.epochs["held_out_unexplained"]
    assert history.epochs["loss"][-1] < history.epochs["loss"][0] and lost[-1] < lost[0] and "held_out_wasserstein" not in history.epochs
    assert short(small(hidden=16), RFCritic(3, (2, 2), 4), wgan=0.0, epochs=8, lr=1e-2)["loss"] == history["loss"]


def test_without_a_critic_fields_are_learned_as_grids_are():
    """What the two systems differ in is critic and decoder: of one model the losses are the same, the sums in another order."""
    one, other = small(), small()
    by_field = short(one, epochs=1)
    by_grid = train_compressor(other, grids(), epochs=1, batch_size=4, lr=1e-3, progress=False)
    assert by_field["loss"] == pytest.approx(by_grid["loss"], rel=1e-4)


def test_a_decoder_of_the_whole_grid_can_play_too():
    history = short(small(LearnedCompressor), RFCritic(3, (2, 2), 4, sees="position"), held_out=grids(3), epochs=1)
    assert history.epochs.keys() >= {"held_out_wasserstein", "worst_field"}


def test_nothing_is_written_without_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    watched = []
    short(small(), held_out=grids(3), watch=lambda epoch, players: watched.append(epoch))
    assert watched == [0, 1, 2] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"reconstruction": "perceptual"}, "loss.reconstruction must be one of mse, cosine, hybrid, not 'perceptual'"),
    ({"n_critic": 0}, "n_critic must be at least 1"), ({"lambda_gp": -1.0}, "lambda_gp and the weights wgan and ae at least 0"),
    ({"wgan": 0.0, "ae": 0.0}, "one weight above it"), ({"n_critic": 6}, "an epoch has 6 batches, too few for 6 steps of the critic and one"),
    ({"data": grids()[:, :3]}, "takes grids of 4 × 4 tokens of 3 numbers"), ({"data": grids()[:0]}, "the data are empty|an epoch has 0 batches"),
    ({"pictures_every": 0}, "pictures_every must be a whole number from 1 on, not 0"),
    ({"held_out": torch.ones(2, 4, 4, 3).cumsum(3) * 0}, "the tokens of a field cancel or are 0"),
    ({"data": torch.ones(24, 4, 4, 3), "held_out": torch.ones(2, 4, 4, 3)}, "all tokens equal the mean, so there is no variance to explain"),
])
def test_bad_input(changes, sentence):
    with pytest.raises(BadInput, match=sentence):
        short(small(), RFCritic(3, (2, 2), 4), **changes)


def test_fields_of_a_single_token_are_refused():
    with pytest.raises(BadInput, match="4 × 4 compressed tokens for as many of CLIP's make fields of a single token"):
        short(small(output_grid=(4, 4)))


# the command and its flags


def test_the_configuration_has_the_seeds_defaults():
    with hydra.initialize_config_dir(str(train.CONFIGS), version_base="1.3"):
        cfg, whole = (hydra.compose("train", overrides=[f"experiment={name}"]) for name in ("compress_rf", "compress_global"))
    assert (cfg.model.compressor.output_grid_size, cfg.model.rf_autoencoder.num_layers, cfg.hardware.cuda_device) == (6, 3, None)
    assert cfg.model.rf_autoencoder.use_attention is False and cfg.model.rf_discriminator.dropout == 0
    assert (cfg.training, cfg.data, cfg.loss.weights, cfg.model.clip) == (whole.training, whole.data, whole.loss.weights, whole.model.clip)
    assert (cfg.model.compressor, cfg.loss.rf_wgan.lambda_gp) == (whole.model.compressor, whole.loss.wgan.lambda_gp)
    known = {name: p.default for name, p in inspect.signature(train_rf_compressor).parameters.items()}
    assert (cfg.training.epochs, cfg.training.batch_size, cfg.training.learning_rate) == (known["epochs"], known["batch_size"], known["lr"])
    objective = RFObjective()
    assert (cfg.training.n_critic, cfg.loss.rf_wgan.lambda_gp, cfg.loss.reconstruction) == (
        objective.n_critic, objective.lambda_gp, objective.reconstruction)
    assert dict(cfg.loss.weights) == {"wgan": objective.wgan, "ae": objective.ae} and cfg.pictures_every == known["pictures_every"]
    critic = inspect.signature(RFCritic).parameters
    assert {name: critic[name].default for name in cfg.model.rf_discriminator} == dict(cfg.model.rf_discriminator)


def test_every_flag_of_the_file_is_tried_here():
    def keys(tree: dict, prefix: str = "") -> set[str]:
        return {key for name, value in tree.items() for key in (keys(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name})}

    tried = {word.split("=")[0] for word in CHANGED + USUAL}
    alone = {"hardware.cuda_device", "model.clip.model_name", "model.clip.freeze", "data.imagenet_root", "data.samples"}
    common = {"recipe", "workers"}
    own = keys(yaml.safe_load((train.CONFIGS / "experiment/compress_rf.yaml").read_text()))
    assert own == tried & own | alone | common


@pytest.mark.parametrize(("flag", "usual_value", "value", "of"), [
    ("model.compressor.output_grid_size", (3, 3), (2, 3), lambda run: run.model.output_grid),
    ("model.compressor.num_layers", 3, 2, lambda run: len(run.model.compressor.stages)),
    ("model.compressor.use_residual", True, False, lambda run: run.model.compressor.use_residual),
    ("model.compressor.hidden", 16, 12, lambda run: run.model.compressor.out.in_channels),
    ("model.rf_autoencoder.use_attention", RFConvDecoder, RFAttentionDecoder, lambda run: type(run.model.decoder)),
    ("model.rf_autoencoder.num_layers", 3, 1, lambda run: len(getattr(run.model.decoder, "stages", getattr(run.model.decoder, "blocks", ())))),
    ("model.rf_discriminator.hidden", 128, 20, lambda run: len(run.weights["model.critic.read.weight"])),
    ("model.rf_discriminator.num_layers", 1, 2, lambda run: sum("critic.layers" in name and "weight" in name for name in run.weights)),
    ("model.rf_discriminator.dropout", 0.0, 0.2, lambda run: run.players.critic.dropout.p),
    ("model.rf_discriminator.sees", False, True, lambda run: "model.critic.beside.weight" in run.weights),
    ("loss.reconstruction", "mse", "hybrid", lambda run: run.objective.reconstruction),
    ("training.epochs", 2, 3, lambda run: run.history["epoch"]),
    ("training.batch_size, data.subset_size, data.use_subset", [28, 14], [23, 15], lambda run: [run.settings["samples"], run.history["updates"]]),
    ("training.learning_rate", 1e-4, 2e-3, lambda run: adam_of(run)["initial_lr"]),
    ("pictures_every", [1, 2], [2], lambda run: list(run.drawn)),
    ("name", {"compress_rf"}, {"changed"}, lambda run: {path.stem for path in run.out.glob("*.safetensors")}),
    ("tracker", True, False, lambda run: (run.out / "logs").exists())])
def test_a_flag_has_its_effect(flag, usual_value, value, of, usual, changed):
    assert (of(usual), of(changed)) == (usual_value, value), flag


@pytest.mark.parametrize(("which", "n_critic"), [("usual", 2), ("changed", 3)])
def test_n_critic_steps_of_the_critic_come_before_each_of_the_generator(which, n_critic, request):
    """A measure that was not taken is repeated: where it changes, it was its turn."""
    history = request.getfixturevalue(which).history
    for steps in epochs_of(history):
        generators = {k for k in steps if k % (n_critic + 1) == n_critic}
        for name, turns in (("reconstruction", generators), ("wasserstein", set(steps) - generators)):
            values = history["steps"][name]
            moved = {k for k in steps[1:] if values[k] != values[k - 1]}
            assert moved <= turns and len(moved) == len(turns) - 1  # before the first of an epoch there is that first one


@pytest.mark.parametrize(("which", "lambda_gp", "wgan", "ae"), [("usual", 10, 1, 1), ("changed", 20, 0.5, 3)])
def test_lambda_gp_and_both_weights_are_those_of_the_losses(which, lambda_gp, wgan, ae, request):
    run = request.getfixturevalue(which)
    of = {name: torch.tensor(values, dtype=torch.float64) for name, values in run.history["steps"].items()}
    turns = torch.tensor([run.objective.turn(k) == run.objective.turn(0) for k in range(run.history["updates"])])
    torch.testing.assert_close(of["loss"][turns], (lambda_gp * of["gradient_penalty"] - of["wasserstein"])[turns], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(of["loss"][~turns], (ae * of["reconstruction"] + wgan * of["generator_loss"])[~turns], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("which", "layer", "held_out"), [("usual", -2, 6), ("changed", -1, 4)])
def test_the_card_speaks_of_the_held_out_pictures_behind_the_layer(which, layer, held_out, request, clip):
    run = request.getfixturevalue(which)
    tokens = create_data(ClipTokens.load(clip, layer), held_out=held_out)[1]
    assert run.card["metrics"] == pytest.approx(field_statistics(run.model, tokens).summary(), abs=1e-5)
    assert run.card["experiment"] == "compress_rf" and "hardware" not in run.card["config"]


def test_metrics_of_every_epoch_and_heat_maps_reach_the_tracker(usual):
    events = EventAccumulator(str(usual.out / "logs/compress_rf"))
    events.Reload()
    there = set(events.Tags()["scalars"])
    rows, columns = ([f"held_out_{name}_{k}" for k in range(3)] for name in ("row", "column"))
    held_out = {f"held_out_{name}" for name in (*BANDS, "cosine", "wasserstein", "unexplained")}
    assert there >= {*CRITICS_TURN, *GENERATORS_TURN, *rows, *columns, *held_out}
    assert [event.step for event in events.Scalars("held_out_poor")] == [7, 14]
    assert sum(events.Scalars(f"held_out_{name}")[-1].value for name in BANDS) == pytest.approx(9)
    for name in ("rf_heatmap", "rf_distribution", "rf_profile"):
        assert [event.step for event in events.Images(name)] == [7, 14] and events.Images(name)[0].width > 300
    assert set(usual.card["epochs"]) == there


def test_every_epoch_leaves_the_four_pictures_of_the_seed(usual):
    expected = [f"rf_{name}_epoch_{epoch}{end}.png" for epoch in (1, 2)
                for name, end in (("heatmap", ""), ("best", "_idx_X"), ("median", "_idx_X"), ("worst", "_idx_X"))]
    there = [path.name for path in (usual.out / "visualizations").iterdir()]
    assert sorted(re.sub(r"idx_[0-8]\.", "idx_X.", name) for name in there) == sorted(expected)


def test_pictures_of_an_earlier_run_are_moved_aside_when_one_begins(tmp_path):
    (tmp_path / "visualizations").mkdir()
    (tmp_path / "visualizations/rf_best_epoch_7_idx_3.png").touch()
    begun = []
    recipe_rf.draw(0, Players(small()), grids(1), None, tmp_path, 1, lambda *told: begun.append(told))
    assert [path.name for path in tmp_path.rglob("*")] == ["visualizations.earlier", "rf_best_epoch_7_idx_3.png"] and begun[0][0] == 0


@pytest.mark.parametrize("what", ["compress_rf", "checkpoints/compress_rf/best_model"])
def test_infer_understands_it(what, usual, tmp_path):
    Image.new("RGB", (30, 40), "red").save(tmp_path / "red.png")
    (row,) = infer(str(usual.out / what), tmp_path / "red.png", tmp_path / "out", figures=False, progress=False).rows
    stored = load_file(tmp_path / "out/red.png.safetensors")
    assert stored["compressed"].shape == (9, 16) and stored["rebuilt"].shape == (6, 6, 16) and row["name"] == "red.png"
    if what == "compress_rf":
        torch.testing.assert_close(stored["rebuilt"], usual.model.decoder(stored["compressed"][None])[0])


def test_killed_and_resumed_equals_never_killed(command, clip, usual, monkeypatch, tmp_path):
    quiet = [*USUAL, f"model.clip.model_name={clip}", "progress=false", "out=o", "tracker=none", "resume=auto"]
    step, calls, drawn = RFObjective.__call__, [], {}

    def dies(self, players, batch):
        calls.append(1)
        if len(calls) == 11:  # seven steps an epoch: in the middle of the second, on a critic's turn
            raise KeyboardInterrupt
        return step(self, players, batch)

    monkeypatch.setattr(recipe_rf, "save_rf_pictures", lambda folder, epoch, rebuilt, *rest: drawn.setdefault(epoch, rebuilt))
    with monkeypatch.context() as patch:
        patch.setattr(RFObjective, "__call__", dies)
        code, error = command(*quiet)
    assert code == 130 and "resume=auto" in error and not (tmp_path / "o/compress_rf.safetensors").exists()
    assert command(*quiet) == (0, "")
    history = json.loads((tmp_path / "o/checkpoints/compress_rf/checkpoint_epoch_2/state.json").read_text())["history"]
    assert history.pop("seconds") > 0 and history == {name: value for name, value in usual.history.items() if name != "seconds"}
    assert read_card(tmp_path / "o/compress_rf")["sha256"] == usual.card["sha256"]
    assert drawn.keys() == usual.drawn.keys() and all(torch.equal(rebuilt, usual.drawn[epoch]) for epoch, rebuilt in drawn.items())


def test_a_clip_that_learns_and_photos_from_a_folder(command, clip, monkeypatch, tmp_path):
    chance, drawn = torch.Generator().manual_seed(0), []
    (tmp_path / "pictures").mkdir()
    for number in range(24):
        pixels = torch.randint(256, (30, 40, 3), generator=chance, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(tmp_path / f"pictures/{number}.png")
    monkeypatch.setattr(recipe_rf, "save_rf_pictures", lambda *args: drawn.append(args))
    assert command(*USUAL, f"model.clip.model_name={clip}", "progress=false", "out=o", "tracker=none", "data.imagenet_root=pictures",
                   "model.clip.freeze=false") == (0, "")
    weights = load_file(tmp_path / "o/checkpoints/compress_rf/checkpoint_epoch_2/model.safetensors")
    before, name = ClipTokens.load(clip).state_dict(), "clip.vision_model.embeddings.patch_embedding.weight"
    assert not torch.equal(weights[f"model.clip.{name}"], before[name])
    folder, epoch, rebuilt, tokens, output_grid, picture = drawn[-1]
    assert (folder, epoch, output_grid) == (Path("o"), 2, (3, 3)) and rebuilt.shape == tokens.shape == (1, 6, 6, 16)
    assert picture.shape == (3, 24, 24) and 0 <= picture.min() and picture.max() <= 1
    learned = ClipTokens.load(clip)
    learned.load_state_dict({name.removeprefix("model.clip."): value for name, value in weights.items() if name.startswith("model.clip.")})
    torch.testing.assert_close(learned.encode(learned.normalized(picture[None])).tokens, tokens, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("number", "there", "processes", "sentence"), [
    (0, 0, "1", "hardware.cuda_device=0 must be the number of a GPU, and there is none here; leave it null to train on what there is."),
    (1, 1, "1", "the only GPU here is 0"), (4, 4, "1", "the GPUs here are 0 to 3"), (-1, 4, "1", "the GPUs here are 0 to 3"),
    ("first", 1, "1", "hardware.cuda_device=first must be the number"), (True, 2, "1", "cuda_device=True must be the number"),
    (1, 2, "2", "hardware.cuda_device=1 is one GPU, and of several processes each has its own")])
def test_a_gpu_that_is_not_there_is_one_sentence(number, there, processes, sentence, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(BadInput, match=re.escape(sentence)):
        gpu(number)


def test_the_gpu_of_the_command_is_that_of_the_process(monkeypatch):
    """What Accelerate and a model that is sent to "cuda" take is the current one."""
    current = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert gpu(1) == torch.device("cuda", 1) == current[-1]
    monkeypatch.setattr(recipe_rf, "device", lambda: torch.device("cuda", 0))
    assert gpu(None) == torch.device("cuda", 0) == current[-1]
    monkeypatch.setattr(recipe_rf, "device", lambda: torch.device("cpu"))
    assert gpu(None) == torch.device("cpu") and len(current) == 2


@pytest.mark.parametrize(("setting", "words"), [
    ("model.compressor.output_grid_size=4", "a grid of 6 × 6 tokens cannot be divided into 4 × 4 equal fields"),
    ("model.compressor.output_grid_size=6", "6 × 6 compressed tokens for as many of CLIP's make fields of a single token"),
    ("model.compressor.output_grid_size=[3,2,1]", "must be a number or [height, width]"),
    ("model.compressor.hidden=wide", "hidden=wide is not a whole number"),
    ("model.rf_discriminator.dropout=1.0", "dropout must be at least 0 and below 1, not 1.0"),
    ("model.rf_discriminator.sees=all", "must be one of token, position, mean, not 'all'"),
    ("model.rf_autoencoder.num_layers=0", "num_layers must be at least 1, not 0"), ("hardware.cuda_device=99", "hardware.cuda_device=99 must be"),
    ("loss.reconstruction=perceptual", "must be one of mse, cosine, hybrid"), ("pictures_every=0", "pictures_every must be a whole number"),
    ("data.imagenet_root=nowhere", "there is no folder nowhere"), ("training.n_critic=0", "n_critic must be at least 1")])
def test_one_sentence_for_bad_input(setting, words, command, clip):
    code, error = command("experiment=compress_rf", f"model.clip.model_name={clip}", "tracker=none", "progress=false", "data.held_out=2", "out=o",
                          *([] if "output_grid_size" in setting else ["model.compressor.output_grid_size=3"]), setting)
    assert code == 2 and words in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize(("ours", "theirs"), [("compress_rf", "compress_global"), ("compress_global", "compress_rf")])
def test_a_checkpoint_of_the_other_system_is_one_sentence(ours, theirs, command, clip, usual, tmp_path):
    recipes = {"compress_rf": "course_lib.tokens.recipe_rf.run", "compress_global": "course_lib.tokens.recipe.run"}
    shutil.copytree(usual.checkpoint, tmp_path / "other")
    state = json.loads((tmp_path / "other/state.json").read_text())
    state["settings"]["config"]["recipe"] = recipes[theirs]
    (tmp_path / "other/state.json").write_text(json.dumps(state))
    code, error = command(f"experiment={ours}", f"model.clip.model_name={clip}", "fast=true", "model.compressor.output_grid_size=3",
                          "training.n_critic=2", "tracker=none", "progress=false", "out=o", "resume=other")
    assert code == 2 and error == f"error: other is a checkpoint of {recipes[theirs]}, and its model is not that of {recipes[ours]}; " \
                                  "name one of the same recipe.\n"
