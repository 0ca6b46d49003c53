"""Contrast gone wrong: each change changes what it says, and without contrast everything becomes alike."""

import pytest
import torch
from torch.nn.functional import normalize

from course_lib.core.errors import BadInput
from course_lib.tokens import failures_clip
from course_lib.tokens.captions import COLOUR_NAMES, FACTORS, HELD_OUT, KINDS, CaptionedScenes, describe, objects
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.failures_clip import CHANGES, Change, Exchanging, contrast_row, no_contrast, no_temperature, one_sided, train_small
from course_lib.tokens.loaders import HELD_OUT as UNSEEN
from course_lib.tokens.losses_clip import contrastive_loss
from course_lib.tokens.probe import exchange
from course_lib.tokens.small_clip import SmallClip
from course_lib.tokens.zero_shot import ZeroShot, embedded

TINY = {"resolution": 32, "patch": 8, "dim": 16, "layers": 1, "heads": 2, "text_dim": 16, "text_layers": 1, "text_heads": 2, "projection": 8}


def tiny() -> SmallClip:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SmallClip(**TINY)


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    return tuple(normalize(torch.randn(6, 4, generator=chance), dim=-1) for _ in range(2))


def test_losses_differ_from_the_true_one_in_what_they_say():
    v, t = pairs()
    log_scale = torch.tensor(2.0)
    plain = contrastive_loss(v, t, torch.tensor(0.0))
    assert float(no_temperature(v, t, log_scale)) == pytest.approx(float(plain))
    both = (one_sided(v, t, log_scale) + one_sided(t, v, log_scale)) / 2
    assert float(both) == pytest.approx(float(contrastive_loss(v, t, log_scale)))
    assert float(one_sided(v, t, log_scale)) != pytest.approx(float(one_sided(t, v, log_scale)))
    assert float(no_contrast(v, t, log_scale)) == pytest.approx(1 - float((v * t).sum(-1).mean()))
    assert float(no_contrast(v[:1].expand(6, 4), v[:1].expand(6, 4), log_scale)) == pytest.approx(0, abs=1e-6)  # collapse is its best


def test_batches_differ_in_what_they_say(monkeypatch):
    seen = {}

    def record(model, objective, data, **settings):
        seen.update(data=data, batch=settings["batch_size"])
        raise InterruptedError

    monkeypatch.setattr(failures_clip, "train", record)
    for name, change in CHANGES.items():
        with pytest.raises(InterruptedError):
            train_small(change, epochs=1, steps=3, pairs=4, model=tiny())
        data = seen["data"]
        assert len(data.batch(range(seen["batch"]))["image"]) == 8, name  # as many scenes whatever they are
        assert data.world.neighbours == (name != "no_neighbours") and data.distinct == (name != "terse_captions")
        assert data.unnamed == {"terse_captions": 0.8, "full_captions": 0.0}.get(name, 0.2)
        assert isinstance(data.world, Exchanging) == (name == "exchanges")


def test_half_of_the_neighbours_that_exchange_are_told_in_the_same_words():
    world = Exchanging(32, seed=5, neighbours=True)
    scenes = world.batch(range(400))
    found, texts, same = objects(scenes), [describe(scene) for scene in objects(scenes)], 0
    assert scenes["changed"][::2].tolist() == scenes["changed"][1::2].tolist()
    assert torch.equal(scenes["background"][::2], scenes["background"][1::2])
    for first, second, changed in zip(found[::2], found[1::2], scenes["changed"][::2].tolist()):
        different = [[a != b for a, b in zip(*pair)] for pair in zip(first, second)]
        assert {column for row in different for column in range(4) if row[column]} == {changed}  # one factor
        if sum(map(any, different)) == 2:
            same += 1
            assert different[0][changed] and different[1][changed] and (first[0][changed], first[1][changed]) == (second[1][changed], second[0][changed])
        else:
            assert sum(map(any, different)) == 1
    assert same / 200 == pytest.approx(0.5, abs=0.1)
    assert sum(sorted(a.split()) == sorted(b.split()) for a, b in zip(texts[::2], texts[1::2])) == same
    assert set(scenes["changed"].tolist()) == {0, 1, 2, 3}
    assert not {(KINDS[o.kind], COLOUR_NAMES[o.colour]) for scene in found for o in scene} & set(HELD_OUT)
    assert torch.equal(Exchanging(32, seed=5).batch(range(20))["place"], CaptionedScenes(32, seed=5).batch(range(20))["place"])
    with pytest.raises(BadInput, match="^an exchange needs at least 2 objects, not 1.$"):
        Exchanging(32, min_objects=1)


def test_without_contrast_the_loss_is_perfect_and_everything_is_alike():
    scenes = CaptionedScenes(32, seed=9).batch(range(16))
    model, history = train_small(CHANGES["no_contrast"], epochs=2, steps=5, pairs=8, model=tiny())
    with torch.no_grad():
        v = model(scenes["image"], torch.full((16, 3), 4))[0]
    assert history.epochs["loss"][-1] < 0.02 and float((v @ v.mT).min()) > 0.99
    assert history.epochs["found"][-1] < 0.3  # 1 of 16 by chance


def test_training_follows_the_seed_alone():
    first, _ = train_small(epochs=1, steps=2, pairs=2, seed=3)
    torch.manual_seed(77)
    second, _ = train_small(epochs=1, steps=2, pairs=2, seed=3)
    other, _ = train_small(epochs=1, steps=2, pairs=2, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters()))


def test_held_out_scenes_and_a_watcher():
    seen = []
    held_out = CaptionedScenes(32, seed=9).batch(range(5))
    _, history = train_small(Change(), epochs=2, steps=2, pairs=2, model=tiny(), held_out=held_out, watch=lambda epoch, model: seen.append(epoch))
    assert seen == [0, 1, 2] and {*FACTORS, "loss", "found", "scale"} <= history.epochs.keys() and len(history.epochs["kind"]) == 2


def test_a_row_says_what_became_of_it():
    model = tiny()
    row = contrast_row("no_temperature", 1, epochs=1, steps=2, pairs=2, scored=12, model=model)
    assert (row["change"], row["seed"]) == ("no_temperature", 1)
    assert {*FACTORS, "kind_held_out", *(f"exchange_{name}" for name in FACTORS), "alike", "loss", "found", "scale", "seconds"} == row.keys() - {"change", "seed"}
    clip = ClipTokens.of(model)
    scenes, new = (CaptionedScenes(model.resolution, samples=12, seed=UNSEEN, combinations=some).batch(range(12)) for some in ("seen", "held_out"))
    images = embedded(clip, scenes["image"])
    assert row["alike"] == pytest.approx(float((images @ images.mT)[~torch.eye(12, dtype=torch.bool)].mean()), abs=1e-5)
    assert {name: row[name] for name in FACTORS} == ZeroShot.about(scenes, clip, FACTORS).accuracy(images)
    assert row["kind_held_out"] == ZeroShot.about(new, clip, ["kind"]).accuracy(embedded(clip, new["image"]))["kind"]
    assert row["exchange_colour"] == pytest.approx(float(exchange(clip, scenes, "colour", images).float().mean()))
    with pytest.raises(BadInput, match="^change must be one of as_it_is, .*, not 'nothing'.$"):
        contrast_row("nothing", 0, epochs=1)
