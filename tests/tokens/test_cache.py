"""What is cached is what CLIP gives, for the pictures and the model that cache.json names; whatever happens, nothing half-written is read."""

import errno
import json
import multiprocessing
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from stand_in import StandIn

from course_lib.core.errors import BadInput
from course_lib.core.randomness import batches
from course_lib.slots.scenes import Shapes
from course_lib.tokens import cache as module
from course_lib.tokens import provenance
from course_lib.tokens.cache import KeptTokens, LiveTokens, TokenCache, cache_tokens
from course_lib.tokens.photos import Photos


def preprocess(image, side=12):
    return torch.from_numpy(np.array(image.resize((side, side), Image.Resampling.BILINEAR))).permute(2, 0, 1) / 255


@pytest.fixture
def clip():
    return StandIn()


@pytest.fixture
def folder(tmp_path):
    """Two classes of 5 and 6 pictures; number 3 and number 7 are broken."""
    for label, many in (("a", 5), ("b", 6)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for k in range(many):
            noise = np.random.default_rng(10 * many + k).integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "photos" / label / f"{k}.png")
    for name in ("a/3.png", "b/2.png"):
        (tmp_path / "photos" / name).write_bytes(b"no picture")
    return tmp_path / "photos"


def truth(clip, photos):
    """Tokens, CLS and labels one by one."""
    rows = []
    for k in range(len(photos)):
        try:
            pixels, label = photos[k]
        except BadInput:
            continue
        rows.append((*(part[0] for part in clip.encode(pixels[None])), torch.tensor(label)))
    return [torch.stack(column) for column in zip(*rows)]


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# what is in it


@pytest.mark.parametrize(("batch_size", "shard", "workers"), [(32, None, 0), (2, 4, 0), (3, 4, 0), (1, 1, 0), (4, 3, 2)])
def test_it_holds_what_clip_gives_however_it_is_cut(clip, folder, tmp_path, batch_size, shard, workers):
    photos = Photos(folder, preprocess)
    cached = cache_tokens(clip, photos, tmp_path / "cache", "float32", batch_size, workers, shard, progress=False)
    tokens, cls, labels = truth(clip, photos)
    found = cached.batch(range(len(cached)))
    assert len(cached) == 9 and torch.equal(cached.labels, labels) and torch.equal(found.labels, labels)
    torch.testing.assert_close(found.tokens, tokens)
    torch.testing.assert_close(found.cls, cls)
    order = [8, 0, 3, 3, 7, 1]
    assert torch.equal(cached.__getitems__(order), found.tokens[order]) and torch.equal(cached[5], found.tokens[5])
    assert torch.equal(cached.batch(order).cls, found.cls[order])
    assert cached.grid == (4, 4) and cached.dim == 8 and torch.equal(cached.load().tokens, found.tokens)
    assert [name in line for name, line in zip(("a/3.png", "b/2.png"), cached.record["skipped"])] == [True, True]


def test_half_precision_rounds_and_is_returned_in_full(clip, folder, tmp_path):
    photos = Photos(folder, preprocess)
    cached = cache_tokens(clip, photos, tmp_path / "cache", progress=False)
    found, (tokens, _, _) = cached.__getitems__(range(9)), truth(clip, photos)
    assert found.dtype == torch.float32 and torch.equal(found, tokens.half().float())
    stored = load_file(tmp_path / "cache" / files(tmp_path / "cache")[-1])
    assert stored["tokens"].dtype == stored["cls"].dtype == torch.float16


def test_numbers_that_float16_cannot_hold(clip, folder, tmp_path):
    clip.see.mul_(1e6)
    with pytest.raises(BadInput, match="a token holds a number that float16 cannot hold, .*dtype=float32"):
        cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", progress=False)
    assert len(cache_tokens(clip, Photos(folder, preprocess), tmp_path / "other", "float32", progress=False)) == 9


def test_scenes_keep_their_numbers(clip, tmp_path):
    scenes = Shapes(resolution=18, samples=7, seed=3, max_objects=2)
    cached = cache_tokens(clip, scenes, tmp_path / "cache", "float32", batch_size=3, progress=False)
    expected = clip.encode(clip.normalized(scenes.batch(range(7))["image"]))
    torch.testing.assert_close(cached.batch(range(7)).tokens, expected.tokens)
    assert cached.grid == (6, 6) and cached.labels.tolist() == list(range(7))  # not the resolution that CLIP was made for
    assert cached.record["source"] | {"class": "Shapes", "count": 7, "seed": 3, "resolution": 18} == cached.record["source"]


def test_a_loader_shuffles_it_and_workers_may_read_it(clip, folder, tmp_path):
    cached = cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", shard=2, progress=False)
    one, two = (list(batches(cached, 4, seed=1, workers=workers)) for workers in (0, 2))
    assert [len(batch) for batch in one] == [4, 4, 1] and all(map(torch.equal, one, two))
    assert torch.equal(torch.cat(one).sum((1, 2)).sort(0).values, cached.__getitems__(range(9)).sum((1, 2)).sort(0).values)


def test_on_the_fly_gives_the_same(clip, folder):
    photos = Photos(folder, preprocess)
    live, (tokens, cls, labels) = LiveTokens(clip, photos), truth(clip, photos)
    found = live.batch(range(11))
    torch.testing.assert_close(found.tokens, tokens)
    torch.testing.assert_close(found.cls, cls)
    assert len(live) == 11 and torch.equal(found.labels, labels) and len(live.skipped) == 2 and "a/3.png" in live.skipped[0]
    assert live.__getitems__([3, 7]).shape == (0, 4, 4, 8)
    scenes = Shapes(resolution=18, samples=5, max_objects=2)
    assert torch.equal(LiveTokens(clip, scenes).batch([4, 2]).labels, torch.tensor([4, 2]))


def test_kept_in_memory_every_picture_is_encoded_once(clip, folder, monkeypatch):
    photos, seen, encode = Photos(folder, preprocess), [], clip.encode
    kept, tokens = KeptTokens(clip, photos), truth(clip, photos)[0]
    good = [k for k in range(11) if k not in (3, 7)]
    monkeypatch.setattr(clip, "encode", lambda pixels: seen.append(len(pixels)) or encode(pixels))
    for indices in ([3, 1, 9, 1], list(range(11)), [10, 7, 0]):
        expected = tokens[[good.index(k) for k in indices if k in good]].half().float()
        assert torch.equal(kept.__getitems__(indices), expected)
    assert seen == [2, 7] and len(kept.skipped) == 2 and kept.__getitems__([7]).shape == (0, 4, 4, 8)
    assert KeptTokens.wanted(clip, photos) == 11 * 4 * 4 * 8 * 2
    assert torch.equal(KeptTokens(clip, Shapes(resolution=18, samples=5, max_objects=2)).__getitems__([4]),
                       LiveTokens(clip, Shapes(resolution=18, samples=5, max_objects=2)).__getitems__([4]).half().float())


def test_no_gradient_is_kept(clip, folder, tmp_path):
    clip.requires_grad_(True)
    live = LiveTokens(clip, Photos(folder, preprocess)).batch([0])
    assert not live.tokens.requires_grad and not live.cls.requires_grad
    live.tokens.requires_grad_(True).sum().backward()  # and it may be trained on


def test_reading_a_few_pictures_does_not_read_the_file(tmp_path):
    scenes = Shapes(resolution=48, samples=64, max_objects=2)
    cached = cache_tokens(StandIn(dim=256), scenes, tmp_path / "cache", "float32", progress=False)
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) > 16e6
    again = TokenCache(cached.folder)
    before = psutil.Process().memory_full_info().uss
    rows = again.__getitems__([5, 60])
    assert psutil.Process().memory_full_info().uss - before < 4e6
    assert torch.equal(rows, cached.load().tokens[[5, 60]])


# what it says of itself


def test_cache_json_says_what_the_tokens_are_of(clip, folder, tmp_path):
    cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", "float32", progress=False)
    record = json.loads((tmp_path / "cache/cache.json").read_text())
    assert record["clip"]["name"] == "stand-in 0" and record["clip"]["layer"] == 1 and len(record["clip"]["sha256"]) == 64
    assert record["dtype"] == "float32" and record["grid"] == [4, 4] and record["dim"] == 8 and record["count"] == 9
    assert record["preprocessing"]["pixels"] == [3, 12, 12] and len(record["preprocessing"]["of_a_test_picture"]) == 27
    assert record["source"]["folder"] == str(folder) and record["source"]["count"] == 11
    assert ["a/0.png", (folder / "a/0.png").stat().st_size] in record["source"]["files"]
    assert {"torch", "course-lib", "safetensors"} <= record["versions"].keys()


def test_bytes_are_said_before_and_are_what_is_written(clip, folder, tmp_path, capsys):
    for name in ("a/3.png", "b/2.png"):
        (folder / name).unlink()
    cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", "float32", shard=4)
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Caching")]
    assert "4 × 4 tokens of 8 numbers for 9 pictures in float32: 5.0 kB to be written" in said  # 9 · (4 · 17 · 8 + 8) bytes
    written = sum(tensor.nbytes for path in (tmp_path / "cache").glob("*.safetensors") for tensor in load_file(path).values())
    assert written == 9 * (4 * 17 * 8 + 8)


def test_a_finished_cache_is_not_written_again(clip, folder, tmp_path, monkeypatch, capsys):
    cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", progress=False)
    capsys.readouterr()
    monkeypatch.setattr(module, "save_file", None)
    assert len(cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", progress=False)) == 9
    assert capsys.readouterr().err == ""


# another model, layer, preprocessing, source


@pytest.mark.parametrize(("change", "words"), [
    ({"clip": StandIn(seed=1)}, r"another model: stand-in 0 \(weights \w{12}\), not stand-in 1 \(weights \w{12}\); name another folder"),
    ({"clip": StandIn(layer=2)}, "another layer: 1, not 2; name another folder, or delete this one.$"),
    ({"preprocess": lambda image: 1 - preprocess(image)}, r"another preprocessing: to \[3, 12, 12\] numbers, the mean .* 0...., not to"),
    ({"preprocess": lambda image: preprocess(image).flip(2)}, "another preprocessing"),
    ({"preprocess": lambda image: preprocess(image.crop((4, 4, 40, 40)))}, "another preprocessing"),
    ({"preprocess": lambda image: preprocess(image, 24)}, r"another preprocessing: to \[3, 12, 12\] numbers.* not to \[3, 24, 24\]"),
    ({"dtype": "float32"}, "another precision: float16, not float32"),
    ({"subset_size": 5}, "another source: 11 pictures of .*photos, not 5 pictures of .*photos")])
def test_a_cache_of_something_else_is_named(clip, folder, tmp_path, change, words):
    cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", progress=False)
    photos = Photos(folder, change.get("preprocess", preprocess), use_subset="subset_size" in change, subset_size=change.get("subset_size", 5))
    other = change.get("clip", clip)
    with pytest.raises(BadInput, match=f"cache holds tokens of {words}"):
        cache_tokens(other, photos, tmp_path / "cache", change.get("dtype", "float16"), progress=False)
    if "dtype" not in change:
        with pytest.raises(BadInput, match=words):
            TokenCache(tmp_path / "cache", other, photos)
    if "clip" in change:
        with pytest.raises(BadInput, match=words):
            TokenCache(tmp_path / "cache", other)


def test_a_changed_file_is_another_source_and_rounding_is_no_other_preprocessing(clip, folder, tmp_path):
    cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", progress=False)
    assert len(TokenCache(tmp_path / "cache", clip, Photos(folder, lambda image: preprocess(image) + 0.004))) == 9
    with open(folder / "a/0.png", "ab") as file:
        file.write(b"more")
    with pytest.raises(BadInput, match="another source: .* not these, of which a file or a setting has changed"):
        TokenCache(tmp_path / "cache", clip, Photos(folder, preprocess))


def test_the_fingerprint_is_of_every_weight(clip):
    first = provenance.clip_record(clip)["sha256"]
    assert provenance.clip_record(StandIn())["sha256"] == first
    with torch.no_grad():
        clip.say[-1, -1] += 1e-6
    assert provenance.clip_record(clip)["sha256"] != first
    assert provenance.clip_record(StandIn().half())["sha256"] != first and provenance.clip_record(StandIn().bfloat16())["sha256"] != first


# killed, full, damaged


def test_killed_it_goes_on_after_the_last_whole_file(clip, folder, tmp_path, monkeypatch):
    whole = cache_tokens(clip, Photos(folder, preprocess), tmp_path / "whole", shard=3, batch_size=2, progress=False)
    seen = []

    class Killed(BaseException):
        pass

    def counted(image, until=5):
        seen.append(1)
        if len(seen) > until:
            raise Killed
        return preprocess(image)

    with pytest.raises(Killed):
        cache_tokens(clip, Photos(folder, counted), tmp_path / "cut", shard=3, batch_size=2, progress=False)
    with pytest.raises(BadInput, match="tokens in .*cut are not complete; the command that began"):
        TokenCache(tmp_path / "cut")
    (tmp_path / "cut/.from_0000003.safetensors.x1.safetensors").write_bytes(b"what a kill -9 leaves behind")
    first = [path for path in files(tmp_path / "cut") if path.startswith("from")]
    assert first == ["from_0000000.safetensors"]
    monkeypatch.setattr(Photos, "__getitems__", watched(Photos.__getitems__, asked := []))
    again = cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cut", shard=100, batch_size=5, progress=False)
    assert sorted(sum(asked, [])) == list(range(3, 11))  # the first three are not read again, and files keep their size
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert torch.equal(again.load().tokens, whole.load().tokens) and again.record == whole.record


def watched(method, asked):
    def wrapper(self, indices):
        asked.append(list(indices))
        return method(self, indices)
    return wrapper


def write_slowly(folder):
    encode = module._encoded

    def slow(*arguments):
        time.sleep(0.02)
        return encode(*arguments)

    module._encoded = slow
    cache_tokens(StandIn(), Shapes(resolution=18, samples=400, max_objects=2), folder, shard=4, batch_size=2, progress=False)


def test_a_kill_at_any_moment_leaves_nothing_half_written(tmp_path):
    """A process of its own, killed while it writes; what lies there then is read, or written anew, and the whole is the same."""
    process = multiprocessing.get_context("fork").Process(target=write_slowly, args=(tmp_path / "cache",))
    process.start()
    while len(list((tmp_path / "cache").glob("from_*"))) < 5:
        assert process.is_alive()
        time.sleep(0.01)
    process.kill()
    process.join()
    done = list((tmp_path / "cache").glob("from_*"))
    assert 5 <= len(done) < 100 and all(len(load_file(path)["labels"]) == 4 for path in done)
    scenes = Shapes(resolution=18, samples=400, max_objects=2)
    cached = cache_tokens(StandIn(), scenes, tmp_path / "cache", batch_size=50, progress=False)
    whole = StandIn().encode(StandIn().normalized(scenes.batch(range(400))["image"])).tokens
    torch.testing.assert_close(cached.load().tokens, whole.half().float(), rtol=1e-3, atol=1e-3)
    assert not list((tmp_path / "cache").glob(".*"))


def test_too_little_room_is_said_before_anything_is_written(clip, folder, tmp_path, monkeypatch):
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 2000, 2000))
    with pytest.raises(BadInput, match=r"the tokens of 11 pictures take 3.1 kB more, and .*cache has 2.0 kB left; take a subset, float16, "):
        cache_tokens(clip, Photos(folder, preprocess), tmp_path / "deep/cache", progress=False)
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"),
                                   module.SafetensorError("I/O error: No space left on device (os error 28)")])
def test_a_disk_that_becomes_full(clip, folder, tmp_path, monkeypatch, error):
    written = []

    def full(rows, path, metadata):
        Path(path).write_bytes(b"half")
        if len(written) == 2:
            raise error
        written.append(save_file(rows, path, metadata))

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(BadInput, match=r"cannot go on caching tokens into .*cache \(the disk is full\); make room or name another folder"):
        cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", shard=2, progress=False)
    assert files(tmp_path / "cache") == ["cache.json", "from_0000000.safetensors", "from_0000002.safetensors"]
    monkeypatch.undo()
    assert len(cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", shard=2, progress=False)) == 9


def test_a_disk_that_refuses(clip, folder, tmp_path):
    """A limit on the size of a file is met in the middle of writing it, as a full disk is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1800, before[1]))
    try:
        with pytest.raises(BadInput, match="cannot go on caching tokens into .*File too large"):
            cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", "float32", progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(tmp_path / "cache") in ([], ["cache.json"])


@pytest.mark.parametrize(("damage", "words"), [
    (lambda cache: (cache / "from_0000000.safetensors").write_bytes((cache / "from_0000000.safetensors").read_bytes()[:-9]), "damaged"),
    (lambda cache: (cache / "from_0000000.safetensors").unlink(), "from_0000000.safetensors is missing or damaged"),
    (lambda cache: (cache / "cache.json").write_text("{"), "cache.json cannot be read .*; delete .*cache and cache the tokens again.$"),
    (lambda cache: (cache / "cache.json").write_text("[]"), "cache.json cannot be read"),
    (lambda cache: (cache / "cache.json").unlink(), r"cache holds no tokens \(cache.json is missing\); cache them first.$")])
def test_a_damaged_cache(clip, folder, tmp_path, damage, words):
    cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", progress=False)
    damage(tmp_path / "cache")
    with pytest.raises(BadInput, match=words):
        TokenCache(tmp_path / "cache")


@pytest.mark.parametrize("settings", [{"dtype": "int8"}, {"batch_size": 0}, {"shard": 0}, {"workers": -1}])
def test_settings_that_cannot_be(clip, folder, tmp_path, settings):
    with pytest.raises(BadInput, match="dtype must be float16 or float32, batch_size and shard at least 1 and workers at least 0"):
        cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", **settings)


def test_a_folder_without_a_usable_picture(clip, folder, tmp_path):
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(BadInput, match="none of the 11 pictures can be used; the first: .*a/0.png is not a picture"):
        cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", batch_size=4, progress=False)


def test_all_at_once_only_if_it_fits(clip, folder, tmp_path, monkeypatch):
    cached = cache_tokens(clip, Photos(folder, preprocess), tmp_path / "cache", progress=False)
    monkeypatch.setattr(module, "free_memory", lambda device: 3000)
    with pytest.raises(BadInput, match="the 4.9 kB of all tokens in .*cache do not fit into the 3.0 kB of memory that are left"):
        cached.load()
