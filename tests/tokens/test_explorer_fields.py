"""The compression slider, moved as code moves it: maps, letters, colours and words are those of the compressor, and what is not there is said."""

import re

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from course_lib.core.errors import BadInput
from course_lib.tokens import explorer_fields as module
from course_lib.tokens.baselines import AveragePooling
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.decoder_rf import RFCompressor
from course_lib.tokens.explorer_fields import CompressionExplorer, field_compressors
from course_lib.tokens.figures_tokens import token_colours
from course_lib.tokens.metrics import BANDS
from course_lib.tokens.single import MeanDirection
from course_lib.tokens.small_clip import SmallClip

TINY = {"dim": 16, "layers": 3, "heads": 2, "text_dim": 12, "text_layers": 1, "text_heads": 2, "projection": 8}
GRIDS = {4: (4, 4), 16: (2, 2)}
NOT_THERE = BadInput("there are no weights <here>; train them.")


@pytest.fixture(scope="module")
def clip():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ClipTokens.of(SmallClip(32, **TINY).eval())


@pytest.fixture(scope="module")
def compressors(clip):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        learned = RFCompressor(clip.dim, clip.grid, (4, 4), num_layers=1, hidden=4)
        for parameter in learned.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return {"RF": {4: learned.eval(), 16: NOT_THERE}, "best single token": {rate: MeanDirection(grid) for rate, grid in GRIDS.items()}}


@pytest.fixture(scope="module")
def built(clip, compressors):
    return CompressionExplorer(clip, compressors, CaptionedScenes(32, seed=7).batch(range(3)))


@pytest.fixture
def explorer(built):
    """The same explorer for every test, as if it were new."""
    built.compressor.value, built.rate.value, built.scene.value = "RF", 16, 1
    return built


@pytest.mark.parametrize(("name", "rate", "scene"), [("RF", 4, 2), ("best single token", 4, 1), ("best single token", 16, 3)])
def test_colours_maps_letters_and_words_are_those_of_the_compressor(explorer, compressors, name, rate, scene):
    explorer.compressor.value, explorer.rate.value, explorer.scene.value = name, rate, scene
    model, picture, tokens = compressors[name][rate], explorer._picture, explorer.seen.tokens
    with torch.no_grad():
        rebuilt = model.expand(model(tokens[[scene - 1]]))[0]
    tokens = tokens[scene - 1]
    mean, std = explorer.seen.tokens.mean((0, 1, 2)), explorer.seen.tokens.std((0, 1, 2), correction=0)
    colours = token_colours((tokens - mean) / std, [(rebuilt - mean) / std])
    for shown, wanted in zip((picture.original, picture.rebuilt), colours):
        np.testing.assert_allclose(shown.get_array(), wanted, atol=1e-3)
    x, y = tokens.double().numpy(), rebuilt.double().numpy()
    cosine = (x * y).sum(2) / np.linalg.norm(x, axis=2) / np.linalg.norm(y, axis=2)
    side = round(rate**0.5)
    fields = cosine.reshape(8 // side, side, 8 // side, side).mean((1, 3))
    np.testing.assert_allclose(picture.fields.get_array(), fields, atol=1e-5)
    found = {}
    for letters, name_of_band in zip(picture.letters, BANDS):
        for column, row in np.asarray(letters.get_offsets()) * (8 // side):
            assert (row % 1, column % 1) == (0.5, 0.5)
            found[int(row), int(column)] = name_of_band
    wanted = {place: "excellent" if value > 0.9 else "good" if value >= 0.8 else "fair" if value >= 0.6 else "poor" for place, value in np.ndenumerate(fields)}
    assert found == wanted
    many = [list(wanted.values()).count(each) for each in BANDS]
    assert picture.counted.get_text() == f"{many[0]} E {many[1]} G {many[2]} F {many[3]} P: {cosine.mean():.3f}".replace("-", "−")
    unit = normalize(tokens, dim=2).reshape(8 // side, side, 8 // side, side, -1).mean((1, 3)).norm(dim=2)
    told = re.search(r"could reach at most R = ([\d.]+)\.", explorer.words.value)
    assert float(told[1]) == pytest.approx(float(unit.mean()), abs=6e-4)
    assert picture.title.get_text() == f"rebuilt from {64 // rate}"
    for (way, factor), cell in picture.answers.cells.items():
        answer = picture.kept.answers[way][factor]
        assert cell.get_text() == f"{'✓' if answer.right else '✗'} {answer.said}"


def test_weights_that_are_not_there_are_one_sentence_and_empty_maps_and_the_next_move_heals(explorer):
    assert "<b>RF, 16×</b>: there are no weights &lt;here&gt;; train them." in explorer.words.value
    picture = explorer._picture
    assert np.ma.getmaskarray(picture.fields.get_array()).all() and picture.kept is None and picture.title.get_text() == "not there"
    assert not any(cell.get_text() for cell in picture.answers.cells.values()) and not sum(len(each.get_offsets()) for each in picture.letters)
    empty = bytes(explorer.picture.value)
    explorer.rate.value = 4
    assert "RF, 4×: 16 tokens for 64" in explorer.words.value and picture.kept is not None and explorer.picture.value != empty
    explorer.rate.value = 16
    assert bytes(explorer.picture.value) == empty
    with pytest.raises(BadInput, match="there are no weights <here>"):
        explorer.still(["RF"])


def test_every_control_changes_picture_and_words_and_the_axes_stay(explorer):
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
    artists, seen = len(explorer.figure.findobj()), set()
    for name, rate, scene in (("RF", 16, 1), ("RF", 4, 1), ("best single token", 4, 1), ("best single token", 16, 1), ("best single token", 16, 3)):
        explorer.compressor.value, explorer.rate.value, explorer.scene.value = name, rate, scene
        seen.add((bytes(explorer.picture.value), explorer.words.value))
    assert len({picture for picture, _ in seen}) == len({words for _, words in seen}) == 5
    assert limits == [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] and artists == len(explorer.figure.findobj())


def test_defaults_take_what_is_there_and_say_what_is_not(clip, monkeypatch):
    def shipped(name, folder, expect):
        if "critic" in name:
            raise BadInput(f"no {name}")
        return expect(16, (8, 8), (2, 2), num_layers=1, hidden=4)

    monkeypatch.setattr(module, "load_pretrained", shipped)
    found = field_compressors(clip)
    assert {name: list(each) for name, each in found.items()} == {
        "RF": [4, 16], "global": [4, 16], "global, critic": [16], "best single token": [4, 16], "average pooling": [4, 16], "strided pick": [4, 16]}
    assert type(found["RF"][4]) is RFCompressor and type(found["global"][4]) is LearnedCompressor and str(found["global, critic"][16]) == "no compress_16x_critic"
    assert found["average pooling"][16].output_grid == (2, 2) and type(found["average pooling"][4]) is AveragePooling
    with_pca = field_compressors(clip, torch.randn(40, 8, 8, 16, generator=torch.Generator().manual_seed(0)))
    assert list(with_pca["PCA of fields"]) == [4, 16]
    monkeypatch.setattr(module, "LARGEST", 100)
    assert list(field_compressors(clip, torch.randn(40, 8, 8, 16, generator=torch.Generator().manual_seed(0)))["PCA of fields"]) == [4]


def test_a_folder_without_weights_gives_the_sentence_of_each(clip, tmp_path):
    found = field_compressors(clip, folder=tmp_path)
    assert "compress_rf_4x" in str(found["RF"][4]) and isinstance(found["global"][16], BadInput)
