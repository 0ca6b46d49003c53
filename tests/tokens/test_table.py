"""The table of all compressors: its numbers are those of `metrics`, whatever the batches; the command, its files, and what it refuses."""

import csv
import sys

import pytest
import torch
from PIL import Image

from course_lib.core.errors import BadInput
from course_lib.core.weights import save_weights
from course_lib.tokens import comparison, table
from course_lib.tokens.baselines import AveragePooling, MeanToken, PCAField, StridedPick
from course_lib.tokens.captions import WORDS, CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.comparison import FRESH, TRAINING, Row, compressor_table, encoded, output_grid
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.merging import KMeans
from course_lib.tokens.metrics import centred_cosine, coded_bits, cosine, gain, quantised, share, variance_unexplained, zero_shot
from course_lib.tokens.provenance import clip_record
from course_lib.tokens.small_clip import SmallClip
from course_lib.tokens.zero_shot import QUESTIONS, ZeroShot

SCENES, FITTED, RATES = 12, 16, (4, 9)
CARD = {"experiment": "compress_global", "config": {}, "seed": 0, "seconds": 0.0, "metrics": {}}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A CLIP of a few thousand weights on 24 × 24 pixels, 6 × 6 tokens, and a compressor of its tokens."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    model = SmallClip(24, dim=16, layers=2, heads=2, text_dim=16, text_layers=1, text_heads=2, projection=8, words=WORDS)
    save_weights(model, folder / "tiny", card={**CARD, "experiment": "clip"})
    known = clip_record(ClipTokens.load(str(folder / "tiny")))
    save_weights(LearnedCompressor(16, (6, 6), (3, 3), num_layers=1, hidden=4), folder / "compress_4x", card=CARD | {"clip": known})
    return folder


@pytest.fixture(scope="module")
def clip(weights):
    return ClipTokens.load(str(weights / "tiny"))


@pytest.fixture(scope="module")
def measured(clip, weights):
    return compressor_table(clip, SCENES, FITTED, RATES, folder=weights, progress=False)


def row(found, name: str, rate: int | None) -> Row:
    (chosen,) = [each for each in found.rows if (each.name, each.rate) == (name, rate)]
    return chosen


def test_every_compressor_is_there_at_every_rate_and_what_is_not_is_named(measured):
    plain = ["Downsampled", "AveragePooling", "Bilinear", "StridedPick", "RandomPick", "KMeans", "ToMe", "PCAField"]
    assert [(each.name, each.rate) for each in measured.rows] == [
        ("CLS only", None), *((name, 4) for name in plain), ("learned", 4), *((name, 9) for name in plain)]
    assert [sentence.split(" is not among the weights")[0] for sentence in measured.missing] == ["compress_rf_4x", "compress_9x", "compress_rf_9x"]
    assert measured.chance == pytest.approx({"kind": 1 / 3, "colour": 1 / 8, "size": 1 / 2, "place": 1 / 6, "joint": 1 / 288})


@pytest.mark.parametrize("kind", [AveragePooling, StridedPick, KMeans, PCAField])
def test_its_numbers_are_those_of_the_measures(kind, clip, measured):
    world, training = (CaptionedScenes(24, samples=many, seed=seed) for many, seed in ((SCENES, FRESH), (FITTED, TRAINING)))
    seen, fitted = encoded(clip, world), encoded(clip, training).tokens
    compressor = PCAField.fit([fitted], (2, 2)) if kind is PCAField else kind((2, 2))
    found, mean, tokens = row(measured, kind.__name__, 9), fitted.mean((0, 1, 2)), seen.tokens
    passed = compressor(tokens)
    rounded = quantised(passed.tokens, measured.step)
    rebuilt, coded = (compressor.expand(passed._replace(tokens=each)) for each in (passed.tokens, rounded * measured.step))
    exact = {"cosine": cosine(rebuilt, tokens).mean(), "centred_cosine": centred_cosine(rebuilt, tokens, mean).mean(),
             "variance_unexplained": variance_unexplained(rebuilt, tokens, mean), "numbers": passed.tokens[0].numel(), "side_bits": passed.bits}
    for name, value in exact.items():
        assert getattr(found, name) == pytest.approx(float(value), rel=1e-4)
    assert found.bits == pytest.approx(4 * coded_bits(rounded.flatten(0, 1)) + passed.bits, rel=1e-3)
    assert found.coded_unexplained == pytest.approx(variance_unexplained(coded, tokens, mean), rel=1e-3)
    ways = {"full": tokens.flatten(1, 2), "cls_only": tokens[:, 0, :0], "put_back": passed.tokens, "rebuilt": rebuilt.flatten(1, 2)}
    for name, texts in ZeroShot.about(world.batch(range(SCENES)), clip).candidates.items():
        right = {way: zero_shot(clip.replay(these, seen.cls), texts) for way, these in ways.items()}
        assert (measured.full[name], measured.cls_only[name]) == (share(right["full"]), share(right["cls_only"]))
        assert (found.put_back[name], found.rebuilt[name]) == tuple(gain(right[way], right["cls_only"]) for way in ("put_back", "rebuilt"))
    assert measured.step == pytest.approx(float(fitted.flatten(0, 2).var(0, correction=0).mean().sqrt()) / 4, rel=1e-4)


def test_coarser_steps_cost_fewer_bits_and_lose_more(clip, weights, measured):
    coarse = compressor_table(clip, SCENES, FITTED, (4,), levels=1, folder=weights, progress=False, only=["AveragePooling"])
    assert [each.name for each in coarse.rows] == ["CLS only", "AveragePooling"]
    one, other = row(coarse, "AveragePooling", 4), row(measured, "AveragePooling", 4)
    assert one.bits < other.bits and one.coded_unexplained > other.coded_unexplained > other.variance_unexplained


def test_nothing_passes_is_the_mean_and_untrained_is_average_pooling(measured):
    nothing, learned, pooled = row(measured, "CLS only", None), row(measured, "learned", 4), row(measured, "AveragePooling", 4)
    assert nothing.numbers == nothing.bits == 0 and nothing.wasserstein is None and nothing.variance_unexplained == pytest.approx(1, abs=1e-3)
    assert all(gained.value == 0 for gained in nothing.put_back.values())
    assert learned.variance_unexplained == pytest.approx(pooled.variance_unexplained, rel=1e-4) and learned.put_back == pooled.put_back


def test_floors_are_those_of_equally_many_real_tokens(measured):
    """Of equally many tokens, so compressors to the same grid share them; tokens that were only picked are about as near as real ones."""
    assert len({(each.wasserstein.floor, each.mmd.floor) for each in measured.rows if each.rate == 4}) == 1
    pick, pooled = row(measured, "RandomPick", 4).wasserstein, row(measured, "AveragePooling", 4).wasserstein
    assert pick.value < 2 * pick.floor and pick.value < pooled.value


def test_the_figure_has_a_line_for_each_compressor_and_the_numbers_of_the_table(measured):
    lost = table.table_figure(measured).axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in lost.lines}
    assert list(drawn) == list(dict.fromkeys(each.name for each in measured.rows if each.rate is not None))
    for name, values in drawn.items():
        assert list(values) == [each.variance_unexplained for each in measured.rows if each.name == name]


def test_batches_do_not_matter(clip, weights, measured, monkeypatch):
    monkeypatch.setattr(comparison, "AT_ONCE", 5)
    again = compressor_table(clip, SCENES, FITTED, (4,), folder=weights, progress=False)
    for name in ("RandomPick", "KMeans", "ToMe"):  # places and bits: sums of other batches may differ in the last digits
        one, other = row(measured, name, 4), row(again, name, 4)
        assert other.side_bits == pytest.approx(one.side_bits) and other.variance_unexplained == pytest.approx(one.variance_unexplained, rel=1e-3)


def test_the_command(clip, weights, measured, monkeypatch, capsys, tmp_path):
    arguments = [f"clip={weights / 'tiny'}", f"scenes={SCENES}", f"fitted={FITTED}", f"weights={weights}", f"out={tmp_path / 'o'}", "progress=false"]
    monkeypatch.setattr(sys, "argv", ["table", *arguments])
    monkeypatch.setattr(table, "compressor_table", lambda *given, **settings: compressor_table(*given, **settings, rates=RATES))
    assert table.main() == 0
    printed = capsys.readouterr().out
    assert printed.strip() == table.text(measured).strip() and "compress_9x is not among" in printed
    with open(tmp_path / "o/table.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(measured.rows) and rows[0]["rate"] == rows[0]["mmd"] == ""
    for found, line in zip(measured.rows[1:], rows[1:]):
        assert float(line["bits"]) == found.bits and float(line["wasserstein_floor"]) == found.wasserstein.floor
        assert all(float(line[f"rebuilt_{name}_low"]) == found.rebuilt[name].low for name in QUESTIONS)
    assert Image.open(tmp_path / "o/table.png").width > 1000
    monkeypatch.setattr(sys, "argv", ["table", "--help"])
    assert table.main() == 0 and "scenes=100" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "words"), [
    (["scenes=4"], "scenes and fitted must be at least 8"), (["levels=0"], "levels at least 1"), (["scene=4"], "unknown key 'scene'"),
    (["clip=nowhere/to/be/found"], "nowhere/to/be/found")])
def test_one_sentence_for_bad_input(arguments, words, weights, monkeypatch, capsys, tmp_path):
    usual = [] if arguments[0].startswith("clip") else [f"clip={weights / 'tiny'}"]
    monkeypatch.setattr(sys, "argv", ["table", *usual, *arguments, f"out={tmp_path}"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert table.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and words in said and said.count("\n") == 1


@pytest.mark.parametrize("rate", [0, 5, 25, 16])
def test_rates_that_do_not_fit(rate):
    with pytest.raises(BadInput, match=f"square of a number that divides 6 and 9, such as 4 or 16, not {rate}"):
        output_grid((6, 9), rate)
    assert output_grid((24, 12), 16) == (6, 3)


def test_a_compressor_of_another_clip_or_grid_is_refused(clip, weights, tmp_path):
    torch.manual_seed(1)
    other = LearnedCompressor(16, (6, 6), (3, 3), num_layers=1, hidden=4)
    for card, model in ((CARD | {"clip": clip_record(clip) | {"sha256": "0"}}, other), (CARD, LearnedCompressor(16, (6, 6), (2, 2), 1, hidden=4))):
        save_weights(model, tmp_path / "compress_4x", card=card)
        with pytest.raises(BadInput, match="compress_4x compresses tokens of another CLIP than .*tiny, or not to a grid of 3 × 3; train it again"):
            compressor_table(clip, 8, 8, (4,), folder=tmp_path, progress=False)


def test_gains_of_a_table_are_paired_and_everything_that_passes_is_everything(clip):
    """With a token for each place and all of them kept, put back is the whole picture."""
    seen = encoded(clip, CaptionedScenes(24, samples=9, seed=FRESH))
    scale = comparison.Standard(clip.dim)
    scale.fit(seen.tokens)
    questions = ZeroShot.about(CaptionedScenes(24, samples=9, seed=FRESH).batch(range(9)), clip).candidates
    judge = comparison.Judge(clip, seen, scale, questions, 0.1)
    found = judge.row("all", 1, StridedPick((6, 6)))
    assert found.variance_unexplained == 0 and found.put_back == found.rebuilt
    for name in QUESTIONS:
        assert found.put_back[name].value == pytest.approx(judge.full[name].double().mean().item() - judge.cls_only[name].double().mean().item())
    assert judge.row("none", None, MeanToken.fit([seen.tokens])).mmd is None
