"""Pictures from disk: every kind of file becomes the RGB picture that it shows, or one sentence; the rest is still read."""

import io
import os
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from course_lib.core.errors import BadInput
from course_lib.core.randomness import as_it_is, batches
from course_lib.tokens.photos import MIN_SIDE, Photos, create_photos, on_cpu, open_picture

SIDE = 12


def picture(seed: int = 0, width: int = 20, height: int = 16) -> Image.Image:
    """Smooth colours, so that JPEG changes little."""
    small = np.random.default_rng(seed).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


def preprocess(image: Image.Image) -> torch.Tensor:
    assert image.mode == "RGB"
    return torch.from_numpy(np.array(image.resize((SIDE, SIDE)))).permute(2, 0, 1) / 255


def processor(images, return_tensors):
    return {"pixel_values": torch.stack([preprocess(image) for image in images])}


def saved(image: Image.Image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.fixture
def imagenet(tmp_path):
    """train/ and val/ with three classes; the files of a class are numbered by their colours."""
    for split, many in (("train", 4), ("val", 2)):
        for label, name in enumerate(["n02", "n01", "n03"]):
            for k in range(many):
                saved(picture(10 * label + k), tmp_path / split / name / f"{name}_{k}.JPEG")
    return tmp_path


@pytest.fixture
def plain(tmp_path):
    for k in range(9):
        saved(picture(k), tmp_path / "flat" / f"{k}.png")
    return tmp_path / "flat"


def all_of(photos, batch_size=32, workers=0):
    return list(DataLoader(photos, batch_size, num_workers=workers, collate_fn=as_it_is))


# the two layouts


def test_class_folders_are_read_as_torchvision_reads_them(imagenet):
    ours, theirs = Photos(imagenet, preprocess, "train"), ImageFolder(imagenet / "train", preprocess)
    assert ours.classes == theirs.classes == ["n01", "n02", "n03"] and len(ours) == len(theirs) == 12
    for k in (0, 5, 11):
        assert torch.equal(ours[k][0], theirs[k][0]) and ours[k][1] == theirs[k][1]
    assert len(Photos(imagenet, preprocess, "val")) == 6


def test_a_plain_folder_has_no_labels_and_passes_over_what_is_no_picture(plain):
    (plain / "notes.txt").write_text("no picture")
    (plain / ".hidden.png").write_text("nor this")
    saved(picture(), plain / "results" / "not_read.png")
    photos = Photos(plain, preprocess)
    assert photos.files == [f"{k}.png" for k in range(9)] and photos.classes == [] and set(photos.labels.tolist()) == {-1}
    (batch,) = all_of(photos)
    assert torch.equal(batch.pixels, torch.stack([preprocess(picture(k)) for k in range(9)]))


def test_hidden_folders_are_no_class_and_empty_ones_are(imagenet):
    (imagenet / "train/.ipynb_checkpoints").mkdir()
    (imagenet / "train/n00").mkdir()
    photos = Photos(imagenet, preprocess, "train")
    assert photos.classes == ["n00", "n01", "n02", "n03"] and sorted(set(photos.labels.tolist())) == [1, 2, 3]


def test_endings_are_known_in_any_case(tmp_path):
    for name in ("A.JPEG", "b.Png", "c.gif", "d.WEBP", "e.tif", "f.bmp"):
        saved(picture(), tmp_path / name)
    assert len(all_of(Photos(tmp_path, preprocess))[0].names) == 6


# batches


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_folder_in_order_whoever_reads_them(plain, workers):
    found = all_of(Photos(plain, preprocess), batch_size=4, workers=workers)
    assert [len(batch.names) for batch in found] == [4, 4, 1]
    assert torch.cat([batch.indices for batch in found]).tolist() == list(range(9))
    assert torch.equal(torch.cat([batch.pixels for batch in found]), torch.stack([preprocess(picture(k)) for k in range(9)]))


def test_a_shuffled_loader_of_the_course_gives_the_same_batches(plain):
    loader = batches(Photos(plain, preprocess), 4, seed=0)
    loader.sampler.set_epoch(1)
    found = list(loader)
    order = torch.cat([batch.indices for batch in found])
    assert sorted(order.tolist()) == list(range(9)) and order.tolist() != list(range(9))
    assert torch.equal(found[0].pixels[0], preprocess(picture(int(order[0]))))


def test_the_processor_alone_and_a_batch_of_one_give_the_same_pixels(plain):
    one, batch = Photos(plain, on_cpu(processor)), Photos(plain, lambda image: preprocess(image)[None])
    assert torch.equal(one[3][0], preprocess(picture(3))) and torch.equal(batch[3][0], one[3][0])


# subsets


def test_a_subset_follows_from_its_seed_alone(imagenet):
    def subset(seed, size=5):
        return Photos(imagenet, preprocess, "train", use_subset=True, subset_size=size, seed=seed)

    whole = Photos(imagenet, preprocess, "train")
    state = torch.get_rng_state()
    assert subset(3).files == subset(3).files and subset(3).files != subset(4).files and len(subset(3)) == 5
    assert torch.equal(torch.get_rng_state(), state)
    labels = dict(zip(whole.files, whole.labels.tolist()))
    assert [labels[name] for name in subset(3).files] == subset(3).labels.tolist()
    assert set(subset(3, 3).files) < set(subset(3, 5).files)  # a larger subset holds the smaller one
    assert subset(3, 100).files == whole.files
    assert len(Photos(imagenet, preprocess, "train", subset_size=5)) == 12  # only if asked for


def test_train_and_val_lie_there_or_are_divided(imagenet, plain):
    train, val = create_photos(imagenet, preprocess, use_subset=True, subset_size=7)
    assert (len(train), len(val)) == (7, 6) and train.folder.name == "train" and val.folder.name == "val"
    train, val = create_photos(plain, preprocess, held_out=0.3)
    assert len(val) == 3 and set(train.files) | set(val.files) == {f"{k}.png" for k in range(9)} and not set(train.files) & set(val.files)
    again = create_photos(plain, preprocess, use_subset=True, subset_size=4, seed=5, held_out=0.3)
    assert again[1].files == val.files and len(again[0]) == 4 and set(again[0].files) < set(train.files)


# every kind of file


def test_grey_palette_and_one_bit_pictures_show_what_they_show(tmp_path):
    grey = picture().convert("L")
    for name, image in {"grey.png": grey, "grey.jpg": grey, "one.png": grey.convert("1"), "p.gif": picture().convert("P")}.items():
        opened = open_picture(saved(image, tmp_path / name))
        assert opened.mode == "RGB" and np.abs(array(opened) - array(image.convert("RGB"))).max() <= 6


def test_cmyk_is_converted(tmp_path):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(array(open_picture(saved(red, tmp_path / "red.jpg"))) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_sixteen_bits_keep_their_white(tmp_path, ending):
    values = np.linspace(0, 65535, 16 * 16).astype(np.uint16).reshape(16, 16)
    opened = array(open_picture(saved(Image.fromarray(values), tmp_path / f"deep.{ending}")))
    assert np.array_equal(opened, (values / 257).round().astype(int)[..., None].repeat(3, 2)) and opened.max() == 255


def test_thirty_two_bits_are_refused(tmp_path):
    path = saved(Image.fromarray(np.ones((16, 16), np.float32)), tmp_path / "float.tiff")
    with pytest.raises(BadInput, match="float.tiff holds 32-bit numbers, .* save it with 8 or 16 bits.$"):
        open_picture(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    image = picture().convert("RGBA")
    image.putalpha(0)
    if mode == "P":
        path = tmp_path / "p.png"
        image.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=8).save(path, transparency=bytes(256))
    else:
        path = saved(image.convert(mode), tmp_path / f"{mode}.png")
    assert (array(open_picture(path)) == 255).all() and (array(open_picture(path, background="black")) == 0).all()


def test_half_transparent_is_half_the_page(tmp_path):
    path = saved(Image.new("RGBA", (8, 8), (0, 100, 200, 128)), tmp_path / "half.png")
    assert np.abs(array(open_picture(path)) - (127 + np.array([0, 100, 200]) * 128 / 255)).max() <= 1


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_of_a_moving_picture_the_first_frame(tmp_path, ending):
    first, rest = Image.new("RGB", (16, 16), "red"), [Image.new("RGB", (16, 16), colour) for colour in ("green", "blue")]
    path = saved(first, tmp_path / f"moving.{ending}", save_all=True, append_images=rest, duration=100)
    assert Image.open(path).n_frames == 3 and np.abs(array(open_picture(path)) - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_camera_is_carried_out(tmp_path, orientation):
    steps = {1: [], 2: ["FLIP_LEFT_RIGHT"], 3: ["ROTATE_180"], 4: ["FLIP_TOP_BOTTOM"], 5: ["TRANSPOSE"], 6: ["ROTATE_90"],
             7: ["TRANSVERSE"], 8: ["ROTATE_270"]}[orientation]  # how the camera held the picture that we want to see
    upright, stored, exif = picture(), picture(), Image.Exif()
    for step in steps:
        stored = stored.transpose(Image.Transpose[step])
    exif[274] = orientation
    assert np.array_equal(array(open_picture(saved(stored, tmp_path / "turned.png", exif=exif))), array(upright))


# what cannot be used


def truncated(path):
    saved(picture(width=200, height=200), path, quality=95)
    path.write_bytes(path.read_bytes()[:2000])


BROKEN = {
    "cut.jpg": (truncated, "is damaged or cut short .*; get it again.$"),
    "text.png": (lambda path: path.write_text("I am a text"), "is not a picture, whatever its name says; .*JPEG or PNG.$"),
    "empty.png": (lambda path: path.write_bytes(b""), "is not a picture"),
    "dot.png": (lambda path: saved(Image.new("RGB", (1, 1)), path), f"has only 1 × 1 pixels, .* at least {MIN_SIDE} × {MIN_SIDE}.$"),
    "line.png": (lambda path: saved(Image.new("RGB", (9000, 8)), path), "has 9000 × 8 pixels, .* at most 100 times as long as wide; cut it.$"),
    "bomb.png": (lambda path: saved(Image.new("1", (9000, 9000)), path), "has 9000 × 9000 pixels, more than the 80000000 .* smaller.$"),
    "gone.png": (lambda path: path.symlink_to(path.with_name("nowhere.png")), "there is no picture .*gone.png; check the name.$")}


@pytest.mark.parametrize("name", BROKEN)
def test_a_picture_that_cannot_be_used_is_told_in_one_sentence(tmp_path, name):
    make, words = BROKEN[name]
    make(tmp_path / name)
    with pytest.raises(BadInput, match=f"{name}.*{words}|{words}") as caught:
        open_picture(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value) and str(caught.value).count(". ") == 0


def test_the_rest_of_a_folder_is_still_read(plain):
    for name, (make, _) in BROKEN.items():
        make(plain / name)
    found = all_of(Photos(plain, preprocess), batch_size=3)
    assert [name for batch in found for name in batch.names] == [f"{k}.png" for k in range(9)]
    lines = [line for batch in found for line in batch.skipped]
    assert len(lines) == len(BROKEN) and all(sum(name in line for line in lines) == 1 for name in BROKEN)


def test_a_folder_of_broken_pictures_alone(tmp_path):
    for name in ("text.png", "dot.png"):
        BROKEN[name][0](tmp_path / name)
    (batch,) = all_of(Photos(tmp_path, preprocess))
    assert batch.pixels.shape == (0, 3, 0, 0) and not len(batch.labels) and len(batch.skipped) == 2


def test_pils_own_limit_is_a_sentence_too_and_stays_as_it_was(tmp_path, monkeypatch):
    path = saved(Image.new("1", (200, 100)), tmp_path / "large.png")
    for limit in (15_000, 5_000):  # a warning of PIL's, and an error
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(BadInput, match=f"large.png has more pixels than the {limit} that PIL takes for safe"):
                open_picture(path)
        assert Image.MAX_IMAGE_PIXELS == limit


def test_damaged_bytes_give_a_picture_or_a_sentence(tmp_path):
    chance, exif = np.random.default_rng(0), Image.Exif()
    exif[274] = 6
    for form, options in {"PNG": {"exif": exif}, "JPEG": {"exif": exif}, "GIF": {}, "WEBP": {"exif": exif}, "BMP": {}, "PPM": {}}.items():
        whole = io.BytesIO()
        picture().save(whole, form, **options)
        for _ in range(40):
            data = np.frombuffer(whole.getvalue(), np.uint8).copy()
            data[chance.integers(0, len(data), 4)] = chance.integers(0, 256, 4)
            path = tmp_path / f"x.{form.lower()}"
            path.write_bytes(data[: chance.integers(1, 2 * len(data))].tobytes())
            try:
                assert open_picture(path).mode == "RGB"
            except BadInput as error:
                assert path.name in str(error)


@pytest.fixture
def nobody():
    """Someone who owns no file: to root nothing is forbidden."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    yield
    os.seteuid(mine)


@pytest.fixture
def forbidden(tmp_path_factory):
    """A plain folder and class folders; in each something that may not be read."""
    top = tmp_path_factory.mktemp("open")
    for folder in (top, *top.parents):  # a worker of pytest has a level of its own
        if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)
    for name in ("plain/a.png", "plain/secret.png", "classes/one/a.png", "classes/two/b.png", "closed/a.png"):
        saved(picture(), top / name)
    for name in ("plain/secret.png", "classes/two", "closed"):
        (top / name).chmod(0)
    yield top
    for name in ("plain/secret.png", "classes/two", "closed"):
        (top / name).chmod(0o755)


def test_what_may_not_be_read(forbidden, nobody):
    (batch,) = all_of(Photos(forbidden / "plain", preprocess))
    assert batch.names == ["a.png"] and batch.skipped[0].endswith("secret.png may not be read (no permission); make it readable.")
    classes = Photos(forbidden / "classes", preprocess)
    assert classes.files == ["one/a.png"] and "classes/two may not be read" in classes.skipped[0]
    with pytest.raises(BadInput, match=r"the folder .*closed may not be read \(Permission denied\); make it readable.$"):
        Photos(forbidden / "closed", preprocess)


@pytest.mark.parametrize(("call", "words"), [
    (lambda plain: Photos(plain / "none", preprocess), "there is no folder .*none; check the name.$"),
    (lambda plain: Photos(plain / "0.png", preprocess), "0.png is not a folder; name the folder"),
    (lambda plain: Photos(plain.parent / "empty", preprocess), "empty holds no pictures .*png.*; name a folder of pictures, or of class"),
    (lambda plain: Photos(plain.parent / "nest", preprocess), "nest holds no pictures"),
    (lambda plain: Photos(plain, preprocess, "val"), "there is no folder .*val; check the name.$"),
    (lambda plain: Photos(plain, preprocess, use_subset=True, subset_size=0), "subset_size must be at least 1 picture, not 0.$"),
    (lambda plain: create_photos(plain, preprocess, use_subset=True, subset_size=-1), "subset_size must be at least 1 picture, not -1.$"),
    (lambda plain: create_photos(plain, preprocess, held_out=1.0), "held_out must be between 0 and 1 .* not 1.0 of 9.$"),
    (lambda plain: open_picture(plain), "flat is a folder, not a picture; name a file in it.$")])
def test_what_cannot_be_asked_for(plain, call, words):
    (plain.parent / "empty").mkdir()
    (plain.parent / "nest/inner").mkdir(parents=True)
    with pytest.raises(BadInput, match=words):
        call(plain)
