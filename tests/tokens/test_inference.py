"""A compressor at work: files hold what the model gives, nothing is done twice or half, and no result of something else is taken for it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from course_lib.core import checkpoints
from course_lib.core.errors import BadInput
from course_lib.core.weights import read_card, round_to_half, save_weights
from course_lib.tokens import inference
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.decoder_rf import RFCompressor
from course_lib.tokens.figures_tokens import compression_figure, token_colours
from course_lib.tokens.inference import COLUMNS, infer, name_of, read
from course_lib.tokens.photos import open_picture
from course_lib.tokens.recipe import Players
from course_lib.tokens.small_clip import SmallClip
from course_lib.tokens.trained import load_trained

CARD = {"experiment": "compress_global", "seed": 0, "seconds": 0.0, "metrics": {}}


def small_clip(resolution: int = 24, seed: int = 0, dim: int = 16) -> SmallClip:
    torch.manual_seed(seed)
    return SmallClip(resolution, dim=dim, layers=2, heads=2, text_dim=16, text_layers=1, text_heads=2, projection=8)


def compressor(kind: type[LearnedCompressor] = LearnedCompressor, seed: int = 0) -> LearnedCompressor:
    """One whose weights are all at work, and that does not simply average."""
    torch.manual_seed(seed)
    model = kind(16, (6, 6), (3, 2), num_layers=1)
    model.fit(1 + 2 * torch.randn(500, 16))
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model.eval()


def config(clip: str, **changes) -> dict:
    return {"model": {"clip": {"model_name": clip, "freeze": True, "layer": -2} | changes}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the weights of two CLIPs and, for the first, of compressors."""
    folder = tmp_path_factory.mktemp("trained")
    for name, model in (("clip", small_clip()), ("larger", small_clip(32)), ("wider", small_clip(dim=32)), ("other", small_clip(seed=1))):
        save_weights(model, folder / name, card=CARD | {"config": {}})
    for name, model in (("global", compressor()), ("rf", compressor(RFCompressor)), ("again", compressor(seed=1))):
        save_weights(model, folder / name, card=CARD | {"config": config(str(folder / "clip"))})
    save_weights(compressor(), folder / "silent", card=CARD | {"config": {"lr": 1}})
    save_weights(compressor(), folder / "learned", card=CARD | {"config": config(str(folder / "clip"), freeze=False)})
    return folder


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR)


@pytest.fixture
def folder(tmp_path):
    """Three pictures and two that are none."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed, name in enumerate(["a.jpg", "a.png", "z.png"]):
        picture(seed).save(pictures / name)
    (pictures / "broken.png").write_text("no picture")
    (pictures / "short.jpg").write_bytes((pictures / "a.jpg").read_bytes()[:200])
    return pictures


@pytest.fixture
def run(trained, folder, tmp_path):
    def call(image: Path = folder, checkpoint: str = "global", **options):
        return infer(str(trained / checkpoint), image, **{"out": tmp_path / "out", "figures": False, "progress": False} | options)

    return call


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def table(out: Path) -> list[dict[str, str]]:
    with open(out / "summary.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# what is written


@pytest.mark.parametrize("kind", ["global", "rf"])
def test_files_hold_what_the_model_gives(kind, run, folder, trained, tmp_path):
    report = run(checkpoint=kind, batch_size=2)
    assert [row["name"] for row in report.rows] == ["a.jpg", "a.png", "z.png"] and report.made == 3
    clip, model = ClipTokens.load(str(trained / "clip")), compressor({"global": LearnedCompressor, "rf": RFCompressor}[kind])
    for row in report.rows:
        with torch.no_grad():
            tokens, cls = clip.encode(clip.preprocess(open_picture(folder / row["name"])))
            passed = model(tokens)
            rebuilt = model.expand(passed)
        stored = read(tmp_path / "out" / f"{row['name']}.safetensors")
        torch.testing.assert_close(stored.compressed, passed.tokens[0])
        torch.testing.assert_close(stored.rebuilt, rebuilt[0])
        torch.testing.assert_close(stored.cls, cls[0])
        x, y, mean = (part.double().numpy() for part in (tokens[0], rebuilt[0], model.scale.mean))
        assert float(row["variance_unexplained"]) == pytest.approx(((x - y) ** 2).sum() / ((x - mean) ** 2).sum(), rel=1e-4)
        for name, a, b in (("cosine", x, y), ("centred_cosine", x - mean, y - mean)):
            by_hand = ((a * b).sum(2) / np.linalg.norm(a, axis=2) / np.linalg.norm(b, axis=2)).mean()
            assert float(row[name]) == pytest.approx(by_hand, abs=1e-5)
        assert float(row["seconds"]) > 0
        about = stored.about
        assert (json.loads(about["grid"]), json.loads(about["output_grid"]), about["layer"]) == ([6, 6], [3, 2], "1")
        assert about["checkpoint_sha256"] == read_card(trained / kind)["sha256"] and about["model"] == type(model).__name__
        assert about["clip"] == str(trained / "clip") and about["name"] == row["name"]
    assert table(tmp_path / "out") == report.rows and tuple(report.rows[0]) == COLUMNS


def test_what_is_kept_can_be_used_as_the_docs_say(run, trained, folder, tmp_path):
    run()
    stored = read(tmp_path / "out/a.jpg.safetensors")
    chosen = load_trained(stored.about["checkpoint"])
    embedding = chosen.clip.replay(stored.compressed[None], stored.cls[None])
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(1))
    with torch.no_grad():
        tokens, cls = chosen.clip.encode(chosen.clip.preprocess(open_picture(folder / "a.jpg")))
        torch.testing.assert_close(embedding, chosen.clip.replay(chosen.model(tokens).tokens, cls), atol=1e-5, rtol=1e-4)
    assert load_file(tmp_path / "out/a.jpg.safetensors")["rebuilt"].shape == (6, 6, 16)


def test_names_of_one_picture_stay_those_it_has_in_the_folder(run, folder, tmp_path):
    run(folder)
    run(folder / "a.jpg", out=tmp_path / "one")
    assert files(tmp_path / "one") == {"a.jpg.safetensors", "summary.csv"}
    one, many = (load_file(tmp_path / out / "a.jpg.safetensors") for out in ("one", "out"))
    for name in inference.KEPT:
        torch.testing.assert_close(one[name], many[name])


def test_same_names_in_class_folders_stay_apart(run, tmp_path):
    for seed, name in enumerate(["cats", "dogs"]):
        (tmp_path / "classes" / name).mkdir(parents=True)
        picture(seed).save(tmp_path / "classes" / name / "1.png")
    report = run(tmp_path / "classes", figures=True)
    assert [row["name"] for row in report.rows] == ["cats/1.png", "dogs/1.png"]
    assert files(tmp_path / "out") == {"cats/1.png.png", "cats/1.png.safetensors", "dogs/1.png.png", "dogs/1.png.safetensors", "summary.csv"}
    cats, dogs = (read(tmp_path / "out" / name / "1.png.safetensors") for name in ("cats", "dogs"))
    assert not torch.allclose(cats.rebuilt, dogs.rebuilt)


@pytest.mark.parametrize("name", ["mit Leerzeichen, [1] $x$ (2).png", "b\nc.png", "사진" * 40 + ".png",
                                  b"bad\xff.png".decode(errors="surrogateescape")])
def test_every_name_of_a_file_is_taken(name, run, folder, tmp_path):
    picture(0).save(folder / name)
    (row,) = run(folder / name, figures=True).rows
    assert table(tmp_path / "out") == [row] and row["name"] == name_of(name)
    assert read(tmp_path / "out" / f"{row['name']}.safetensors").about["name"] == row["name"]


def test_long_names_are_cut_and_differ():
    long = [name_of("x/" + letter * 240 + ".png") for letter in "ab"] + [name_of("x/" + "a" * 240 + ".jpg")]
    assert len(set(long)) == 3 and all(name.startswith("x/") and len(name) == 102 for name in long)
    assert name_of("x/" + "a" * 96 + ".png") == "x/" + "a" * 96 + ".png"


# broken ones, and what is done already


def test_broken_pictures_are_told_and_the_rest_is_done(run, folder, tmp_path, capsys):
    report = run()
    told = capsys.readouterr().err
    assert len(report.skipped) == 2 and told.count("left out: ") == 2 and "broken.png is not a picture" in told and "short.jpg is damaged" in told
    assert files(tmp_path / "out") == {"a.jpg.safetensors", "a.png.safetensors", "z.png.safetensors", "summary.csv"}
    assert run().made == 0 and capsys.readouterr().err == told  # where only broken ones are left to do, it is no error either
    with pytest.raises(BadInput, match="broken.png is not a picture"):
        run(folder / "broken.png", out=tmp_path / "one")
    for name in ("a.jpg", "a.png", "z.png"):
        (folder / name).unlink()
    with pytest.raises(BadInput, match="^none of the 2 pictures of .* can be used; the first: .*broken.png is not a picture"):
        run(out=tmp_path / "none")
    assert files(tmp_path / "one") | files(tmp_path / "none") == set()


def test_what_is_done_is_passed_over_and_overwrite_does_it_again(run, folder, tmp_path):
    first = run()
    when = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in files(tmp_path / "out")}
    picture(7).save(folder / "new.png")
    second = run()
    assert (first.made, second.made) == (3, 1) and [row["name"] for row in second.rows] == ["a.jpg", "a.png", "new.png", "z.png"]
    assert [row for row in second.rows if row["name"] != "new.png"] == first.rows and table(tmp_path / "out") == second.rows
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == old for name, old in when.items() if name != "summary.csv")
    assert run(overwrite=True).made == 4
    assert run(folder / "a.jpg", figures=True).made == 1  # its picture was not asked for before
    assert run(folder / "a.jpg", figures=True).made == 0


def test_results_of_something_else_are_not_taken_for_these(run, folder, trained, tmp_path):
    run()
    for words, options in [("checkpoint", {"checkpoint": "again"}), ("CLIP", {"clip": str(trained / "other")}), ("layer", {"layer": 0})]:
        with pytest.raises(BadInput, match=f"a.jpg.safetensors is of another {words}; name another folder .* overwrite=true"):
            run(**options)
        assert run(**options, out=tmp_path / words).made == 3
    picture(9).save(folder / "z.png")
    with pytest.raises(BadInput, match="z.png.safetensors is of another picture;"):
        run()
    assert run(overwrite=True).made == 3 and run().made == 0
    (tmp_path / "out/z.png.safetensors").write_text("of someone else")
    with pytest.raises(BadInput, match="z.png.safetensors holds no compressed picture"):
        run()


def test_killed_between_or_within_pictures_nothing_is_half_written(run, tmp_path, monkeypatch):
    whole = run(out=tmp_path / "whole")
    real, calls = inference.save_file, []

    def dies(tensors, path, about):
        calls.append(path)
        if len(calls) == 2:
            Path(path).write_bytes(b"half")
            raise KeyboardInterrupt
        real(tensors, path, about)

    with monkeypatch.context() as patch:
        patch.setattr(inference, "save_file", dies)
        with pytest.raises(KeyboardInterrupt):
            run(figures=True, batch_size=3)
    out = tmp_path / "out"
    assert "a.jpg.safetensors" in files(out) and files(out) <= {"a.jpg.safetensors", "a.jpg.png", "a.png.png"}
    for name in ("a.png.safetensors", "a.png.png", "summary.csv"):  # as after a kill that no program can see coming
        (out / f".{name}.ab12_x9z{Path(name).suffix}").write_bytes(b"half")
    (out / ".of_someone_else").write_text("")
    assert run(figures=True).made == 2
    assert files(out) == files(tmp_path / "whole") | {"a.jpg.png", "a.png.png", "z.png.png", ".of_someone_else"}
    seconds = [row.pop("seconds") for row in whole.rows]
    assert len(seconds) == 3 and [{k: row[k] for k in row if k != "seconds"} for row in table(out)] == whole.rows
    for name in ("a.jpg", "a.png", "z.png"):
        for one, other in zip(*(read(tmp_path / where / f"{name}.safetensors")[:3] for where in ("out", "whole"))):
            torch.testing.assert_close(one, other)


def test_a_full_disk_is_one_sentence(run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inference, "save_file", full)
    with pytest.raises(BadInput, match="^cannot write into .* \\(the disk is full\\); make room"):
        run()
    assert files(tmp_path / "out") == set()


def test_only_a_batch_of_pictures_is_in_memory(run, folder, monkeypatch):
    seen, real = [], inference.passes
    monkeypatch.setattr(inference, "passes", lambda trained, pixels: seen.append(len(pixels)) or real(trained, pixels))
    run(batch_size=2)
    assert sum(seen) == 3 and max(seen) <= 2


def test_workers_change_nothing(run, tmp_path):
    one, two = run(), run(out=tmp_path / "two", workers=2, batch_size=2)
    assert [row["cosine"] for row in one.rows] == [row["cosine"] for row in two.rows] and set(one.skipped) == set(two.skipped)


@pytest.mark.parametrize(("options", "words"), [
    ({"batch_size": 0}, "batch_size must be at least 1"), ({"workers": -1}, "workers at least 0"),
    ({"image": Path("nowhere.png")}, "there is no picture or folder nowhere.png; check the name"),
    ({"image": Path("x" * 300)}, "there is no picture or folder x"),
])
def test_bad_input(options, words, run):
    with pytest.raises(BadInput, match=words):
        run(**options)


def test_an_empty_folder_and_results_among_the_pictures(run, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="empty holds no pictures"):
        run(tmp_path / "empty")
    for image in (folder, folder / "a.jpg"):
        with pytest.raises(BadInput, match="results may not be written among the pictures"):
            run(image, out=folder)
    assert run(out=folder / "results").made == 3  # a plain folder is not searched further down
    (tmp_path / "classes").mkdir()
    shutil.move(folder, tmp_path / "classes/cats")
    with pytest.raises(BadInput, match="among the pictures"):
        run(tmp_path / "classes", out=tmp_path / "classes/results")


def test_a_compressor_that_diverged_is_one_sentence(trained, folder, tmp_path):
    model = compressor()
    with torch.no_grad():
        model.decoder.out.weight[0] = float("nan")
    save_weights(model, tmp_path / "nan", card=CARD | {"config": config(str(trained / "clip"))})
    with pytest.raises(BadInput, match="are not finite numbers: its training diverged"):
        infer(str(tmp_path / "nan"), folder, tmp_path / "out", progress=False)


# which compressor, which CLIP


@pytest.mark.parametrize(("checkpoint", "options", "words"), [
    ("nothing", {}, "there are no weights .*nothing.safetensors"), ("clip", {}, "holds a SmallClip, not a LearnedCompressor"),
    ("silent", {}, "silent names no CLIP; name the one whose tokens it was trained on: clip=NAME"),
    ("learned", {}, "the CLIP of .*learned learned with it, and the weights of the compressor do not hold it"),
    ("global", {"clip": "larger"}, "compresses 6 × 6 tokens of 16 numbers, and the CLIP .*larger has 8 × 8 of 16; name the CLIP that it was"),
    ("global", {"clip": "wider"}, "6 × 6 tokens of 16 numbers, and the CLIP .*wider has 6 × 6 of 32"),
    ("global", {"layer": 3}, "has 2 layers, so layer must be from -3 to 2, not 3"),
    ("", {}, "is not a complete checkpoint"),
])
def test_what_does_not_fit(checkpoint, options, words, trained):
    options = {name: str(trained / value) if name == "clip" else value for name, value in options.items()}
    with pytest.raises(BadInput, match=words):
        load_trained(str(trained / checkpoint), **options)


def test_the_command_may_name_the_clip_and_the_layer(trained):
    chosen = load_trained(str(trained / "silent.safetensors"), clip=str(trained / "other"))
    assert chosen.clip.layer == 1 and chosen.about["clip"] == str(trained / "other")
    assert load_trained(str(trained / "learned"), clip=str(trained / "clip"), layer=0).about["layer"] == "0"
    assert not chosen.model.training and not any(p.requires_grad for p in chosen.clip.parameters())


def test_a_checkpoint_of_the_real_command(command, trained, folder, tmp_path):
    quick = ["experiment=compress_global", "fast=true", "progress=false", "tracker=none", "out=o", "checkpoint_every=1", "loss.weights.wgan=0"]
    assert command(*quick, f"model.clip.model_name={trained / 'clip'}", "model.compressor.output_grid_size=3") == (0, "")
    final = load_trained("o/compress_global")
    last, first = (load_trained(f"o/checkpoints/compress_global/checkpoint_epoch_{epoch}") for epoch in (2, 1))
    round_to_half(last.model)  # as the weights that are kept
    assert_same(last.model.state_dict(), final.model.state_dict())
    assert any(not torch.equal(a, b) for a, b in zip(first.model.parameters(), last.model.parameters()))
    assert infer("o/checkpoints/compress_global/best_model", folder, "results", figures=False, progress=False).made == 3


@pytest.mark.parametrize(("freeze", "prefix"), [(True, "model."), (False, "model."), (False, "module.model.")])
def test_a_checkpoint_of_a_finished_training(freeze, prefix, trained, tmp_path, monkeypatch):
    """Its weights are those of the checkpoint and not the last ones; a CLIP that learned comes with it."""
    settings = config(str(trained / "clip"), freeze=freeze)
    save_weights(compressor(), tmp_path / "run", card=CARD | {"config": settings})
    best, changed = compressor(seed=5), ClipTokens.of(small_clip(seed=5), freeze=False)
    folder = tmp_path / "checkpoints/run/best_model"
    folder.mkdir(parents=True)
    state = {"epoch": 1, "settings": {"config": settings}, "history": {}, "processes": 1, "randomness": []}
    (folder / checkpoints.STATE).write_text(json.dumps(state))
    weights = Players(best, clip=None if freeze else changed).state_dict()
    save_file({f"{prefix}{name}": value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    monkeypatch.chdir(folder.parent)
    for name in (str(folder), "best_model"):
        found = load_trained(name)
        assert_same(found.model.state_dict(), best.state_dict())
        assert_same(found.clip.state_dict(), (ClipTokens.load(str(trained / "clip")) if freeze else changed).state_dict())
    assert found.about["checkpoint_sha256"] != read_card(tmp_path / "run")["sha256"]
    save_file({"model.compressor.x": torch.ones(1)}, folder / "model.safetensors")
    with pytest.raises(BadInput, match="best_model is damaged or does not fit the LearnedCompressor of run.json"):
        load_trained(str(folder))
    (folder / checkpoints.STATE).write_text(json.dumps(state | {"settings": {"config": {}}}))
    with pytest.raises(BadInput, match="best_model was trained with other settings than .*run.json says"):
        load_trained(str(folder))
    (tmp_path / "run.json").unlink()
    with pytest.raises(BadInput, match="is of a training that has not ended, or was moved: .*run.json, which says how to build"):
        load_trained(str(folder))


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# the picture


def test_colours_are_the_first_components_of_the_original_in_one_basis():
    chance = torch.Generator().manual_seed(0)
    spread = torch.tensor([9.0, 4.0, 2.0, 0.1, 0.1, 0.1])
    turn = torch.linalg.qr(torch.randn(6, 6, generator=chance)).Q
    plain = torch.rand(8, 5, 6, generator=chance) * spread
    original, other = plain @ turn + 3, plain[:4, :2].flip(0) @ turn + 3
    first, second = token_colours(original, [other])
    torch.testing.assert_close(second, first[:4, :2].flip(0))  # equal tokens, equal colours, whatever their grid
    for axis in range(3):  # each colour is one of the axes along which the tokens differ most, up to its direction
        r = np.corrcoef(first[..., axis].flatten(), plain[..., axis].flatten())[0, 1]
        assert abs(r) > 0.98
    assert first.min() == 0 and first.max() == 1
    torch.testing.assert_close(token_colours(original + 100, [])[0], first, atol=1e-3, rtol=0)
    torch.testing.assert_close(token_colours(5 * original, [])[0], first, atol=1e-4, rtol=0)


@pytest.mark.parametrize("grid", [torch.ones(3, 4, 6), torch.ones(1, 1, 6), torch.randn(1, 2, 6), torch.randn(4, 4, 2)])
def test_components_that_tokens_do_not_have_are_grey(grid):
    colours = token_colours(grid, [grid])[1]
    assert colours.shape == (*grid.shape[:2], 3) and colours.isfinite().all() and (colours[..., 2] == 0.5).all()


def test_the_map_shows_the_cosines_on_a_fixed_scale(tmp_path):
    image, cosines, grid = torch.rand(3, 24, 24), torch.linspace(-0.2, 0.9, 24).reshape(4, 6), torch.randn(4, 6, 5)
    figure = compression_figure(image, cosines, grid, grid[:2, :3], grid, save_path=tmp_path / "a.png")
    heat = figure.axes[1]
    np.testing.assert_allclose(heat.images[0].get_array(), cosines.numpy())
    assert (heat.images[0].norm.vmin, heat.images[0].norm.vmax) == (0, 1) and heat.get_title(loc="left") == "cosine, mean 0.350"
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), image.permute(1, 2, 0).numpy())
    assert [axes.images[0].get_array().shape for axes in figure.axes[2:5]] == [(4, 6, 3), (2, 3, 3), (4, 6, 3)]
    assert "compressed: 2 × 3 tokens" in figure.axes[3].get_title(loc="left")
    assert Image.open(tmp_path / "a.png").size[0] > 1000


def test_the_picture_is_what_clip_sees(run, folder, tmp_path, monkeypatch):
    """Colours as in the file: the middle square of 40 × 30, with 24 pixels to a side."""
    seen = []
    monkeypatch.setattr(inference, "compression_figure", lambda image, *_, **__: seen.append(image))
    run(folder / "z.png", figures=True)
    by_hand = np.asarray(picture(2).resize((32, 24), Image.Resampling.BICUBIC).crop((4, 0, 28, 24))) / 255
    assert np.abs(seen[0].permute(1, 2, 0).numpy() - by_hand).max() < 0.02
