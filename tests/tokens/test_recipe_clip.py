"""The training of the small CLIP: its loss, what it writes, and that it goes on where it was killed."""

import math

import pytest
import torch

from course_lib.core.errors import BadInput
from course_lib.core.weights import load_weights, read_card
from course_lib.tokens.captions import FACTORS, CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.losses_clip import contrastive_loss, least_loss
from course_lib.tokens.recipe_clip import HELD_OUT, make_optimizers, measure, train_clip, validation
from course_lib.tokens.small_clip import GREATEST, SmallClip
from course_lib.tokens.zero_shot import ZeroShot, embedded

TINY = {"dim": 16, "layers": 2, "heads": 2, "text_dim": 16, "text_layers": 1, "text_heads": 2, "projection": 8}
SETTINGS = [f"model.{name}={value}" for name, value in TINY.items()] + [
    "batch_size=4", "dataset.samples=8", "dataset.held_out=4", "scored=3", "scored_joint=1", "progress=false", "tracker=none"]


def tiny(resolution: int = 48) -> SmallClip:
    torch.manual_seed(0)
    return SmallClip(resolution, **TINY)


def test_the_loss_is_that_of_transformers():
    small = tiny().eval()
    image, text = torch.rand(6, 3, 48, 48), torch.randint(4, 30, (6, 9))
    text[:, -1] = small.tokenizer.eos_token_id
    for log_scale in (2.6592, 0.0, GREATEST):
        with torch.no_grad():
            small.clip.logit_scale.fill_(log_scale)
        theirs = small.clip(text, ClipTokens.of(small, freeze=False).normalized(image), return_loss=True)
        assert float(contrastive_loss(*small(image, text)).detach()) == pytest.approx(float(theirs.loss.detach()), abs=1e-6)


def test_the_loss_by_hand_and_its_bounds():
    v = torch.nn.functional.normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    t = torch.nn.functional.normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    p = [[math.exp(3 * float(v[i] @ t[j])) for j in range(5)] for i in range(5)]
    by_hand = -sum(math.log(p[i][i] / sum(p[i])) + math.log(p[i][i] / sum(row[i] for row in p)) for i in range(5)) / 10
    assert float(contrastive_loss(v, t, torch.tensor(math.log(3.0)))) == pytest.approx(by_hand, abs=1e-6)
    same = torch.ones(7, 1)
    assert float(contrastive_loss(same, same, torch.tensor(2.0))) == pytest.approx(math.log(7))  # nothing is told apart
    assert float(contrastive_loss(torch.eye(7), torch.eye(7), torch.tensor(GREATEST))) < 1e-30
    order = torch.randperm(5)
    assert float(contrastive_loss(v[order], t[order], torch.tensor(1.0))) == pytest.approx(float(contrastive_loss(v, t, torch.tensor(1.0))))
    assert float(contrastive_loss(t, v, torch.tensor(1.0))) == pytest.approx(float(contrastive_loss(v, t, torch.tensor(1.0))))


def test_no_embeddings_have_a_smaller_loss_than_a_simplex():
    normalize, chance = torch.nn.functional.normalize, torch.Generator().manual_seed(0)
    for pairs, scale in ((2, 1.0), (5, 0.3), (5, 4.0), (9, 20.0)):
        corners = normalize(torch.eye(pairs) - 1 / pairs, dim=-1)
        log_scale = torch.tensor(math.log(scale))
        assert float(contrastive_loss(corners, corners, log_scale)) == pytest.approx(float(least_loss(pairs, scale)), abs=1e-6)
        v, t = (torch.randn(pairs, pairs + 1, generator=chance).requires_grad_() for _ in range(2))
        optimizer = torch.optim.Adam([v, t], lr=0.05)
        for _ in range(150):
            optimizer.zero_grad()
            loss = contrastive_loss(normalize(v, dim=-1), normalize(t, dim=-1), log_scale)
            loss.backward()
            optimizer.step()
            assert float(loss.detach()) > float(least_loss(pairs, scale)) - 1e-6
        assert float(loss.detach()) == pytest.approx(float(least_loss(pairs, scale)), rel=0.1, abs=1e-3)
    assert float(least_loss(7, 0.0)) == pytest.approx(math.log(7))
    falling = least_loss(64, torch.tensor([1.0, 10.0, 100.0]))
    assert (falling.diff() < 0).all()
    with pytest.raises(BadInput, match="^a contrast needs at least 2 pairs, not 1.$"):
        least_loss(1, 1.0)


def test_the_scale_never_exceeds_100():
    small = tiny()
    with torch.no_grad():
        small.clip.logit_scale.fill_(7.0)
    world = CaptionedScenes(48, samples=4, neighbours=True)
    history = train_clip(small, world, epochs=1, batch_size=4, lr=0.01, progress=False)
    assert history["scale"] == [pytest.approx(100)] and float(small.clip.logit_scale.detach()) <= GREATEST


def test_every_parameter_has_one_optimizer_and_learns():
    small = tiny()
    optimizers = make_optimizers(small, 0.01)
    owned = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert len(owned) == len(set(owned)) and set(owned) == set(small.parameters())
    world = CaptionedScenes(48, samples=8, neighbours=True)
    before = {name: value.clone() for name, value in small.state_dict().items()}
    train_clip(small, world, epochs=1, batch_size=8, lr=0.01, progress=False)
    still = [name for name, value in small.state_dict().items() if torch.equal(value, before[name])]
    assert still == []  # keys have a bias that softmax ignores, and even that is moved by rounding


def test_a_few_steps_on_few_scenes_are_learned_by_heart():
    small, world = tiny(), CaptionedScenes(48, samples=8, seed=3)
    world.endless = False
    history = train_clip(small, world, epochs=40, batch_size=8, lr=0.01, progress=False)
    assert history["loss"][-1] < 0.5 * math.log(8) < history["loss"][0]
    assert history["found"][-1] > 0.6 > history["found"][0]


def test_validation_says_how_often_each_factor_is_right():
    small = tiny()
    scenes = CaptionedScenes(48, samples=6, seed=HELD_OUT).batch(range(6))
    found = validation(small, scenes)
    assert set(found) == {*FACTORS, "wrong"}
    assert found["wrong"] == pytest.approx(1 - sum(found[name] for name in FACTORS) / 4)
    assert all(p.requires_grad for p in small.parameters())


def test_chance_stands_beside_what_is_measured():
    clip = ClipTokens.of(tiny())
    metrics = measure(clip, scored=4, joint=2)
    names = (*FACTORS, "joint")
    assert set(metrics) == {f"{name}{ending}" for name in names for ending in ("", "_held_out", "_chance")}
    for ending, combinations in (("", "seen"), ("_held_out", "held_out")):
        scenes = CaptionedScenes(48, samples=4, seed=HELD_OUT, combinations=combinations).batch(range(4))
        assert metrics[f"kind{ending}"] == ZeroShot.about(scenes, clip, ["kind"]).accuracy(embedded(clip, scenes["image"]))["kind"]
    assert metrics["joint_chance"] == pytest.approx(math.prod(metrics[f"{name}_chance"] for name in FACTORS))


def test_the_command_writes_a_model_and_goes_on_at_another_resolution(command, tmp_path):
    assert command("experiment=clip", "epochs=1", "out=a", *SETTINGS) == (0, "")
    card = read_card(tmp_path / "a/clip_48")
    assert (tmp_path / "a/clip_48.png").stat().st_size > 1000
    assert card["experiment"] == "clip" and set(card["metrics"]) >= {"kind", "kind_held_out", "kind_chance", "joint"}
    assert "hexagon" not in card["model"]["arguments"]["words"] and "circle" in card["model"]["arguments"]["words"]
    assert command("experiment=clip", "epochs=1", "out=a", "weights=a/clip_48", "resolution=96", *SETTINGS) == (0, "")
    more = load_weights(tmp_path / "a/clip_96", SmallClip)
    assert ClipTokens.of(more).grid == (24, 24) and more.card_arguments["dim"] == 16
    assert ClipTokens.load(str(tmp_path / "a/clip_96.safetensors")).grid == (24, 24)


def test_a_killed_run_goes_on_as_if_it_had_not_been(command, tmp_path, history):
    assert command("experiment=clip", "epochs=3", "out=whole", *SETTINGS)[0] == 0
    state = history(tmp_path / "whole/checkpoints/clip_48")
    assert command("experiment=clip", "epochs=3", "out=parts", f"resume={tmp_path}/whole/checkpoints/clip_48/checkpoint_epoch_1", *SETTINGS)[0] == 0
    assert history(tmp_path / "parts/checkpoints/clip_48") == state
    first, second = (load_weights(tmp_path / folder / "clip_48").state_dict() for folder in ("whole", "parts"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("setting", "words"), [
    ("weights=nothing", "no shipped weights are called 'nothing'"), ("resolution=50", "cannot be cut into patches of 4"),
    ("model.heads=3", "cannot be shared equally"), ("dataset.max_objects=9", "at most 4 objects, not 9"),
    ("model.layers=0", "layers of a CLIP must be at least 1, not 0")])
def test_one_sentence_for_what_cannot_be(command, setting, words):
    code, said = command("experiment=clip", "epochs=1", *SETTINGS, setting)
    assert code == 2 and words in said and said.count("\n") == 1
