"""The sliders of generation, moved as code moves them, and that picture and words are those of the models."""

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from course_lib.codes import explorer_generation
from course_lib.codes.explorer_generation import COUNTED, GenerationExplorer
from course_lib.codes.generation import encode_scenes, generated, paint_codes
from course_lib.codes.metrics import judge, share
from course_lib.codes.moving_generation import COLUMNS, COUNT
from course_lib.codes.prior import Independent, Prior
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput

WORLD = RuleWorld(64)


@pytest.fixture(scope="module")
def models():
    """A small SVQ whose codes come from data, an opinionated prior, and a counted one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        svq = SVQ(slot_dim=8, codebooks=2, codes=12, channels=8, hidden_dim=8, decoder_dim=16, decoder_layers=1)
        svq(WORLD.batch(range(8))["image"])
        prior = Prior(4, 2, 12, dim=16, layers=1, heads=2)
        torch.nn.init.normal_(prior.head)
        independent = Independent(4, 2, 12)
        independent.count(torch.randint(12, (50, 4, 2)))
    return svq.eval(), prior.eval(), independent


@pytest.fixture
def explorer(models):
    return GenerationExplorer(*models, world=WORLD)


def state(explorer):
    return bytes(explorer.picture.value), explorer.words.value


def test_every_slider_changes_words_and_the_axes_stay(explorer):
    before, artists = [axes.get_position().bounds for axes in explorer.figure.axes], len(explorer.figure.findobj())
    for name, least in (("temperature", 5), ("top_k", 3), ("seed", 20), ("prior", 2)):
        control = explorer.controls[name]
        first, seen = control.value, set()
        for _, value in control.options:
            control.value = value
            seen.add(state(explorer))
        control.value = first
        assert len(seen) >= least, name
    assert [axes.get_position().bounds for axes in explorer.figure.axes] == before and len(explorer.figure.findobj()) == artists


def test_the_same_controls_give_the_same_picture(explorer, models):
    explorer.temperature.value, explorer.top_k.value, explorer.seed.value = 0.4, 5, 7
    explorer.prior.value = "independent"
    fresh = GenerationExplorer(*models, world=WORLD)
    for name, control in fresh.controls.items():
        control.value = explorer.controls[name].value
    assert state(explorer) == state(fresh)


@pytest.mark.parametrize("which", ["transformer", "independent"])
def test_picture_and_words_are_those_of_the_models(explorer, models, which):
    svq, prior, independent = models
    explorer.temperature.value, explorer.top_k.value, explorer.seed.value, explorer.prior.value = 0.8, 5, 3, which
    chosen = {"transformer": prior, "independent": independent}[which]
    codes = chosen.generate(COUNT, 0.8, 5, torch.Generator().manual_seed(3))
    images = paint_codes(svq, codes)
    assert torch.equal(images, generated(svq, chosen, COUNT, 0.8, 5, seed=3))
    found, nll = judge(images, WORLD), float(chosen.nll(codes).mean().detach())
    right = share(found["right"])
    words = explorer.words.value
    assert "at temperature 0.8, from the 5 likeliest codes" in words and f"mean NLL {nll:.1f} nats" in words
    assert f"Right {right.value:.0%}, interval {right.low:.0%} to {right.high:.0%}" in words
    assert explorer._picture.counts == {name: int(value.sum()) for name, value in found.items()}
    assert [bar.get_width() for bar in explorer._picture.bars] == list(explorer._picture.counts.values())
    shown = np.asarray(explorer._picture.sheet.get_array())
    assert (shown[19 : 19 + 128 : 2, 5 : 5 + 128 : 2] == (255 * images[0]).round().byte().permute(1, 2, 0).numpy()).all()


def test_temperature_0_makes_one_scene(explorer):
    explorer.temperature.value = 0
    tiles = np.asarray(explorer._picture.sheet.get_array())
    across = 128 + 2 * 5 + 8
    assert all((tiles[:152, :138] == tiles[:152, n * across : n * across + 138]).all() for n in range(COLUMNS))
    seen = state(explorer)[0]
    explorer.seed.value = 5
    assert state(explorer)[0] == seen


def test_a_true_prior_is_told_right(models):
    """Codes of true scenes, painted by a model that copies its scenes: twelve of twelve are right."""
    scenes = WORLD.batch(range(COUNT))["image"]

    class Copies(SVQ):
        def decode(self, indices, height=64, width=64):
            return scenes[: len(indices)]

    with torch.random.fork_rng():
        model = Copies(slot_dim=8, codebooks=2, codes=12, channels=8, hidden_dim=8, decoder_dim=16, decoder_layers=1)
    explorer = GenerationExplorer(model, *models[1:], world=WORLD)
    assert "of 12 scenes 12 right. Right 100%" in explorer.words.value and {tag.get_text() for tag in explorer._picture.tags} == {"✓ right"}


def test_defaults_are_the_shipped_models_and_a_prior_that_counts(models, monkeypatch):
    asked = []
    monkeypatch.setattr(explorer_generation, "load_pretrained", lambda name, expect: asked.append((name, expect)) or models[len(asked) - 1])
    monkeypatch.setattr(explorer_generation, "COUNTED", 60)
    explorer = GenerationExplorer()
    assert asked == [("svq_rules", (SVQ, PatchVQ)), ("svq_prior_rules", Prior)] and COUNTED == 1000
    counts = explorer.priors["independent"].counts
    expected = Independent(4, 2, 12)
    expected.count(encode_scenes(models[0], RuleWorld(), 60))
    assert torch.equal(counts, expected.counts)


def test_a_prior_of_another_model_is_refused(models):
    other = Prior(4, 2, 13, dim=16, layers=1, heads=2)
    with pytest.raises(BadInput, match="2 codes of 13, but the SVQ paints"):
        GenerationExplorer(models[0], other, world=WORLD)
    with pytest.raises(BadInput, match="2 codes of 13, but the SVQ paints"):
        GenerationExplorer(models[0], models[1], other, world=WORLD)


def test_the_world_s_random_numbers_and_threads_are_left_alone(explorer):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    explorer.seed.value = 4
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads


def test_an_error_is_shown_and_raised_and_the_next_move_heals(explorer, monkeypatch):
    before = explorer.picture.value
    with monkeypatch.context() as patch:
        patch.setattr(explorer_generation, "judge", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            explorer.seed.value = 9
    assert 'role="alert"' in explorer.words.value and explorer.picture.value == before
    explorer.seed.value = 10
    assert "✗ Zero" not in explorer.words.value and "of 12 scenes" in explorer.words.value


def test_the_still_picture_and_the_png(explorer):
    figure = explorer.still((0, 1.0))
    assert isinstance(figure, Figure) and [axes.texts[0].get_text() for axes in figure.axes[1::2]] == ["temperature 0", "temperature 1"]
    pixels = np.asarray(Image.open(io.BytesIO(explorer.picture.value)))
    assert pixels.shape[1] == 1200 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10
