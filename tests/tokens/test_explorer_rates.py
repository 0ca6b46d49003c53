"""The controls of compression, moved as code moves them: picture and words are those of the compressor and of CLIP."""

import io
import random
import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from course_lib.core.errors import BadInput
from course_lib.tokens import explorer_rates as module
from course_lib.tokens.baselines import AveragePooling, Downsampled, StridedPick
from course_lib.tokens.captions import COLOUR_NAMES, FACTORS, KINDS, PLACES, SIZES, CaptionedScenes, describe, objects
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.compressor import Compressed, Compressor
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.explorer_rates import RATES, RateExplorer, default_compressors, questions
from course_lib.tokens.merging import ToMe
from course_lib.tokens.moving_rates import WAYS, Answer, Kept
from course_lib.tokens.small_clip import SmallClip

TINY = {"dim": 16, "layers": 3, "heads": 2, "text_dim": 12, "text_layers": 1, "text_heads": 2, "projection": 8}
SHOWN = 3


@pytest.fixture(scope="module")
def clip():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ClipTokens.of(SmallClip(32, **TINY).eval())


@pytest.fixture(scope="module")
def compressors(clip):
    grids = {4: (4, 4), 16: (2, 2)}
    return {"average": {rate: AveragePooling(grid) for rate, grid in grids.items()}, "ToMe": {rate: ToMe(grid) for rate, grid in grids.items()},
            "pick": {4: StridedPick((4, 4))}, "smaller": {rate: Downsampled(clip, grid) for rate, grid in grids.items()}}


@pytest.fixture(scope="module")
def built(clip, compressors):
    return RateExplorer(clip, compressors, CaptionedScenes(32, seed=7).batch(range(SHOWN)))


@pytest.fixture
def explorer(built):
    """The same explorer for every test, as if it were new."""
    start = {name: control.value for name, control in built.controls.items()}
    yield built
    for name, control in built.controls.items():
        control.value = start[name]


def state(explorer):
    return bytes(explorer.picture.value), explorer.words.value


def test_every_control_changes_picture_and_words_and_the_axes_stay(explorer):
    limits = [(axes.get_xlim(), axes.get_ylim(), tuple(axes.get_position().bounds)) for axes in explorer.figure.axes]
    artists = len(explorer.figure.findobj())
    assert list(explorer.controls) == ["compressor", "rate", "scene"] and explorer.rate.value == 16
    for name, values in (("compressor", ["average", "ToMe", "pick", "smaller"]), ("rate", [4, 16]), ("scene", [1, 2, 3])):
        control, seen = explorer.controls[name], set()
        first = control.value
        for value in values:
            control.value = value
            seen.add(state(explorer))
        control.value = first
        assert len({picture for picture, _ in seen}) == len({words for _, words in seen}) == len(values), name
    assert limits == [(axes.get_xlim(), axes.get_ylim(), tuple(axes.get_position().bounds)) for axes in explorer.figure.axes]
    assert len(explorer.figure.findobj()) == artists


def test_random_moves_end_in_the_right_state(explorer, clip, compressors):
    chance = random.Random(0)
    values = {"compressor": list(compressors), "rate": [4, 16], "scene": [1, 2, 3]}
    for _ in range(6):
        name = chance.choice(list(values))
        explorer.controls[name].value = chance.choice(values[name])
    fresh = RateExplorer(clip, compressors, explorer.scenes)
    for name, control in fresh.controls.items():
        control.value = explorer.controls[name].value
    assert state(explorer) == state(fresh)


@pytest.mark.parametrize(("name", "rate", "scene"), [("average", 4, 1), ("ToMe", 16, 2), ("smaller", 4, 3)])
def test_picture_and_words_are_those_of_the_compressor_and_of_clip(explorer, clip, compressors, name, rate, scene):
    explorer.compressor.value, explorer.rate.value, explorer.scene.value = name, rate, scene
    kept, model = explorer._picture.kept, compressors[name][rate]
    with torch.no_grad():
        everything = [clip.encode(clip.normalized(explorer.scenes["image"][[k]])) for k in range(SHOWN)]
        pixels = clip.normalized(explorer.scenes["image"][[scene - 1]])
        tokens, cls = everything[scene - 1]
        passed = model(pixels if model.takes == "pixels" else tokens)
        rebuilt = model.expand(passed)
    mean = torch.cat([each.tokens for each in everything]).mean((0, 1, 2)).numpy()
    x, y = tokens[0].numpy().astype(float), rebuilt[0].numpy().astype(float)
    cosine = (x * y).sum(2) / np.linalg.norm(x, axis=2) / np.linalg.norm(y, axis=2)
    np.testing.assert_allclose(explorer._picture.places.get_array(), cosine, atol=1e-5)
    side = 8 // round(rate**0.5)
    fields = cosine.reshape(side, 8 // side, side, 8 // side).mean((1, 3))
    np.testing.assert_allclose(explorer._picture.fields.get_array(), fields, atol=1e-5)
    assert kept.unexplained == pytest.approx(np.square(x - y).sum() / np.square(x - mean).sum(), rel=1e-4)
    words = explorer.words.value.replace("−", "-")
    assert f"<b>{name}, {rate}×: {64 // rate} tokens for 64</b>: mean cosine {cosine.mean():.3f}" in words
    assert ("side information" in words) == (name == "ToMe")
    shown = {"full": tokens.flatten(1, 2), "rebuilt": rebuilt.flatten(1, 2), "put_back": passed.tokens, "cls_only": tokens[:, 0, :0]}
    right = {}
    for way, these in shown.items():
        with torch.no_grad():
            image = clip.replay(these, cls)[0]
        for factor, (names, captions) in questions(objects(explorer.scenes)[scene - 1]).items():
            best = int((clip.text_embedding(captions) @ image).argmax())
            answer = kept.answers[way][factor]
            assert answer.right == (best == 0) and names[best].endswith(answer.said)
            sign = explorer._picture.cells[way, factor].get_text()
            assert sign == f"{'✓' if best == 0 else '✗'} {answer.said}"
        right[way] = sum(answer.right for answer in kept.answers[way].values())
    told = re.search(r"CLIP answers rightly (\d) with all tokens, (\d) with the rebuilt grid, (\d) with the compressed tokens alone and (\d) with CLS", words)
    assert [int(number) for number in told.groups()] == [right[way] for way in WAYS]


def test_fields_have_their_numbers_if_there_is_room(explorer):
    explorer.rate.value = 4
    picture = explorer._picture
    written = {text.get_position(): text.get_text() for text in picture.numbers if text.get_text()}
    assert len(written) == 16
    for (x, y), word in written.items():
        assert word == f"{picture.kept.fields[int(4 * y), int(4 * x)]:.2f}".replace("-", "−")
    picture.set(torch.zeros(3, 4, 4), Kept("many", torch.ones(18, 18), torch.ones(9, 9), 1.0, 0.0, 81, 0.0, picture.kept.answers))
    assert not any(text.get_text() for text in picture.numbers)


def test_a_rate_that_a_compressor_lacks_is_said(explorer):
    explorer.compressor.value, explorer.rate.value = "pick", 16
    assert "(At 16× there is no pick; shown is 4×.)" in explorer.words.value and "pick, 4×: 16 tokens" in explorer.words.value
    explorer.rate.value = 4
    assert "there is no" not in explorer.words.value


def test_questions_differ_in_one_thing_and_the_true_answer_comes_first():
    scene = objects(CaptionedScenes(32, seed=7).batch([0]))[0]
    found = questions(scene)
    assert list(found) == list(FACTORS) and [len(names) for names, _ in found.values()] == [3, len(COLOUR_NAMES), 2, 9 - len(scene) + 1]
    for factor, all_of_them in zip(FACTORS, (KINDS, COLOUR_NAMES, tuple(SIZES), PLACES)):
        names, captions = found[factor]
        assert names[0] == all_of_them[getattr(scene[0], factor)] and captions[0] == describe(scene)
        assert len(set(captions)) == len(set(names)) == len(names) and set(names) <= set(all_of_them)
        for name, caption in zip(names, captions):
            assert caption == describe([scene[0]._replace(**{factor: all_of_them.index(name)}), *scene[1:]])
    taken = {PLACES[each.place] for each in scene[1:]}
    assert not taken & set(found["place"][0])


def test_scenes_are_encoded_once_and_captions_read_when_they_are_asked(clip, compressors, monkeypatch):
    calls, read, encode, embed = [], [], ClipTokens.encode, ClipTokens.text_embedding
    monkeypatch.setattr(ClipTokens, "encode", lambda self, pixels: calls.append(len(pixels)) or encode(self, pixels))
    monkeypatch.setattr(ClipTokens, "text_embedding", lambda self, texts: read.append(len(texts)) or embed(self, texts))
    explorer = RateExplorer(clip, {"average": compressors["average"]}, CaptionedScenes(32, seed=7).batch(range(SHOWN)))
    explorer.rate.value, explorer.scene.value = 4, 2
    explorer.scene.value = 1
    assert calls == [SHOWN] and len(read) == 2 * len(FACTORS)


def test_defaults_are_the_shipped_compressors_and_those_that_learn_nothing(clip, monkeypatch):
    given = {}

    def find(name, kind):
        given[name] = kind(16, (8, 8), (2, 2), num_layers=1, hidden=4)
        return given[name]

    monkeypatch.setattr(module, "find_weights", find)
    found = default_compressors(clip)  # a grid of 8 × 8: fields of 3 and of 6 do not fit
    assert found["learned"] == {4: given["compress_4x"], 16: given["compress_16x"]} and len(given) == 3
    assert found["learned, critic"] == {16: given["compress_16x_critic"]} and isinstance(given["compress_4x"], LearnedCompressor)
    assert {name for name, each in found.items() if list(each) == [4, 16]} == {"learned", *module.PLAIN, "smaller picture"}
    assert all(each[16].output_grid == (2, 2) for name, each in found.items() if not name.startswith("learned"))
    assert RATES == (4, 9, 16, 36)


class Wrong(Compressor):
    output_grid = (4, 4)

    def forward(self, tokens):
        return Compressed(tokens[:, :4, :4].flatten(1, 2), torch.zeros(len(tokens), 2, 2, dtype=torch.long), 0.0)


@pytest.mark.parametrize(("compressors", "scenes", "words"), [
    ({}, None, "^there is no compressor to explore"), ({"a": {}}, None, "^there is no compressor to explore"),
    ({"a": {4: AveragePooling((4, 4))}}, {}, "^the scenes lack image, kind, colour_index, size_index, place;"),
    ({"a": {4: Wrong()}}, CaptionedScenes(32).batch([0]), "^a gives a grid of 2 × 2 tokens, and the picture has 8 × 8.$")])
def test_what_cannot_be_explored(clip, compressors, scenes, words):
    with pytest.raises(BadInput, match=words):
        RateExplorer(clip, compressors, scenes)


def test_random_numbers_and_threads_are_left_alone(explorer):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    explorer.rate.value, explorer.compressor.value = 4, "ToMe"
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads


def test_an_error_is_shown_and_raised_and_the_next_move_heals(explorer, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "field_cosine", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            explorer.rate.value = 4
    assert 'role="alert"' in explorer.words.value
    explorer.rate.value = 16
    assert "✗" not in explorer.words.value and "mean cosine" in explorer.words.value


def test_the_still_picture_and_the_png(explorer):
    explorer.scene.value, explorer.rate.value = 2, 4
    figure = explorer.still(["average", "ToMe"])
    assert isinstance(figure, Figure)
    maps = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.images}
    assert list(maps) == ["as CLIP sees it", "average", "ToMe"]
    explorer.compressor.value = "ToMe"
    kept = explorer._picture.kept
    np.testing.assert_allclose(maps["ToMe"].images[0].get_array(), kept.cosine.numpy())
    assert f"unexplained {kept.unexplained:.3f}" in maps["ToMe"].get_xlabel()
    assert len([axes for axes in explorer.still().axes if axes.images]) == 5
    for names, words in (([], "at least one compressor"), (["mean"], "there is no compressor 'mean'; there are average, ToMe")):
        with pytest.raises(BadInput, match=words):
            explorer.still(names)
    assert Image.open(io.BytesIO(explorer.picture.value)).size == (1230, 330)


def test_words_count_bands_and_leave_out_what_is_not_there():
    answers = {way: {"kind": Answer(way == "full", "circle")} for way in WAYS}
    fields = torch.tensor([[0.95, 0.85], [0.7, -0.1]])
    words = Kept("a", torch.full((4, 4), 0.6), fields, -0.5, 1.25, 4, 0.0, answers).words()
    assert "1 excellent, 1 good, 1 fair, 1 poor." in words and "centred −0.500, 125.0% of the variance" in words and "bits" not in words
    assert "4×: 4 tokens for 16" in words and "Of 1 questions (kind) CLIP answers rightly 1 with all tokens, 0 with" in words
