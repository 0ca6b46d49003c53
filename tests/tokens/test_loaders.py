"""What compressors are trained on: tokens or pixels, the same held-out pictures for every run, and the first of them to look at."""

import pytest
import torch
from PIL import Image

from course_lib.core.errors import BadInput
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.loaders import HELD_OUT, create_data
from course_lib.tokens.small_clip import SmallClip, denormalized, normalized


@pytest.fixture(scope="module")
def clips():
    """A CLIP on 24 × 24 pixels, frozen and not."""
    torch.manual_seed(0)
    small = SmallClip(24, dim=16, layers=2, heads=2, text_dim=16, text_layers=1, text_heads=2, projection=8)
    return [ClipTokens.of(small, freeze=freeze) for freeze in (True, False)]


@pytest.fixture
def photos(tmp_path):
    """Twenty pictures, of which two are held out."""
    for number in range(20):
        Image.effect_noise((40, 30), 90).convert("RGB").save(tmp_path / f"{number:02}.png")
    return tmp_path


def test_scenes_are_new_in_every_epoch_or_a_fixed_set_and_held_out_ones_are_of_no_training(clips):
    frozen, learning = clips
    endless, fixed = create_data(frozen, samples=9, held_out=5), create_data(frozen, use_subset=True, subset_size=7, held_out=5, seed=3)
    assert (len(endless.training), endless.training.endless) == (9, True) and (len(fixed.training), fixed.training.endless) == (7, False)
    scenes = CaptionedScenes(24, samples=5, seed=HELD_OUT).__getitems__(range(5))["image"]
    for data in (endless, fixed):
        torch.testing.assert_close(data.held_out, frozen.encode(frozen.normalized(scenes)).tokens)
    torch.testing.assert_close(create_data(learning, held_out=5).held_out, learning.normalized(scenes))


def test_the_picture_is_the_first_of_the_held_out(clips, photos):
    frozen, _ = clips
    for source in (None, str(photos)):
        data = create_data(frozen, source, held_out=2)
        assert data.picture.shape == (3, 24, 24) and 0 <= data.picture.min() and data.picture.max() <= 1
        seen = frozen.encode(frozen.normalized(data.picture[None])).tokens
        torch.testing.assert_close(seen, data.held_out[:1], atol=1e-4, rtol=1e-4)


def test_held_out_photos_that_cannot_be_read_are_passed_over(clips, photos):
    frozen, _ = clips
    every = create_data(frozen, str(photos)).held_out
    training = create_data(frozen, str(photos)).training.source
    held_out = sorted({path.name for path in photos.iterdir()} - set(training.files))
    (photos / held_out[0]).write_text("no picture")
    left = create_data(frozen, str(photos))
    assert (len(every), len(left.held_out)) == (2, 1)
    torch.testing.assert_close(frozen.encode(frozen.normalized(left.picture[None])).tokens, left.held_out, atol=1e-4, rtol=1e-4)
    (photos / held_out[1]).write_text("no picture")
    with pytest.raises(BadInput, match="none of the held-out pictures of .* can be read"):
        create_data(frozen, str(photos))


def test_a_batch_of_broken_photos_is_the_next_one_that_can_be_read(clips, photos):
    for clip in clips:
        data = create_data(clip, str(photos)).training
        whole = data.__getitems__(range(18))
        kept = {path: path.read_bytes() for path in (photos / name for name in data.source.files)}
        for path in list(kept)[3:7]:
            path.write_text("no picture")
        data = create_data(clip, str(photos)).training
        torch.testing.assert_close(data.__getitems__([3, 4]), whole[7:8])
        torch.testing.assert_close(data.__getitems__([2, 3]), whole[2:3])
        for path in kept:
            path.write_text("no picture")
        with pytest.raises(BadInput, match="none of the training pictures can be read"):
            create_data(clip, str(photos)).training.__getitems__([0, 1])
        for path, content in kept.items():
            path.write_bytes(content)


@pytest.mark.parametrize("name", ["samples", "subset_size", "held_out"])
def test_there_must_be_something(name, clips):
    with pytest.raises(BadInput, match="must be at least 1"):
        create_data(clips[0], **{name: 0})


def test_denormalized_undoes_normalized(clips):
    picture, processor = torch.rand(2, 3, 8, 6), clips[0].processor
    torch.testing.assert_close(denormalized(normalized(picture, processor), processor), picture)
