"""Contrast gone wrong: each change changes what it says, and without contrast everything becomes alike."""

import pytest
import torch
from torch.nn.functional import normalize

from course_lib.core.errors import BadInput
from course_lib.tokens import failures_clip
from course_lib.tokens.captions import FACTORS, CaptionedScenes
from course_lib.tokens.failures_clip import CHANGES, Change, contrast_row, no_contrast, no_temperature, one_sided, train_small
from course_lib.tokens.losses_clip import contrastive_loss
from course_lib.tokens.small_clip import SmallClip

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
        assert data.unnamed == (0.8 if name == "terse_captions" else 0.2)


def test_without_contrast_the_loss_is_perfect_and_everything_is_alike():
    scenes = CaptionedScenes(32, seed=9).batch(range(16))
    model, history = train_small(CHANGES["no_contrast"], epochs=2, steps=5, pairs=8, model=tiny())
    with torch.no_grad():
        v = model(scenes["image"], torch.full((16, 3), 4))[0]
    assert history.epochs["loss"][-1] < 0.02 and float((v @ v.mT).min()) > 0.99
    assert history.epochs["found"][-1] < 0.3  # 1 of 16 by chance


def test_training_follows_the_seed_and_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    first, _ = train_small(epochs=1, steps=2, pairs=2, seed=3)
    torch.manual_seed(77)
    second, _ = train_small(epochs=1, steps=2, pairs=2, seed=3)
    other, _ = train_small(epochs=1, steps=2, pairs=2, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters()))
    torch.set_rng_state(before)


def test_held_out_scenes_and_a_watcher():
    seen = []
    held_out = CaptionedScenes(32, seed=9).batch(range(5))
    _, history = train_small(Change(), epochs=2, steps=2, pairs=2, model=tiny(), held_out=held_out, watch=lambda epoch, model: seen.append(epoch))
    assert seen == [0, 1, 2] and {*FACTORS, "loss", "found", "scale"} <= history.epochs.keys() and len(history.epochs["kind"]) == 2


def test_a_row_says_what_became_of_it():
    row = contrast_row("no_temperature", 1, epochs=1, steps=2, pairs=2, scored=12, model=tiny())
    assert (row["change"], row["seed"]) == ("no_temperature", 1)
    assert {*FACTORS, *(f"exchange_{name}" for name in FACTORS), "alike", "loss", "found", "scale", "seconds"} == row.keys() - {"change", "seed"}
    assert all(0 <= row[name] <= 1 for name in (*FACTORS, "exchange_kind", "found")) and -1 <= row["alike"] <= 1
    with pytest.raises(BadInput, match="^change must be one of as_it_is, .*, not 'nothing'.$"):
        contrast_row("nothing", 0, epochs=1)
