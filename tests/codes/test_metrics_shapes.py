"""The reader of Shapes: true scenes are read rightly, what is no scene is refused."""

import pytest
import torch
from scipy.ndimage import binary_dilation
from torch.nn.functional import avg_pool2d, one_hot

from course_lib.codes.metrics_shapes import SPECK, colour_kept, read_shapes, readable, rims, share_readable, touching
from course_lib.slots.scenes import COLOURS, MultiDSprites, Shapes

WORLD = Shapes(seed=3)
SCENES = WORLD.batch(range(30))


def test_true_scenes_are_read_object_by_object():
    palette = torch.tensor(list(COLOURS.values()))
    for i, image in enumerate(SCENES["image"]):
        there = SCENES["present"][i]
        spots = read_shapes(image, WORLD)
        assert len(spots) == there.sum()
        for spot in spots:
            where = (torch.tensor([spot["x"], spot["y"]], dtype=torch.float32) + 0.5) / 32 - 1
            k = int((SCENES["position"][i, there] - where).norm(dim=1).argmin())
            torch.testing.assert_close(where, SCENES["position"][i, k], atol=0.03, rtol=0)  # a pixel
            assert spot["kind"] == SCENES["kind"][i, k] and torch.equal(palette[spot["colour"]], SCENES["colour"][i, k])
            assert spot["radius"] / 32 == pytest.approx(float(SCENES["size"][i, k]), abs=0.03) and spot["hue"] < 1e-6 and spot["fit"] > 0.9
    assert readable(SCENES["image"], WORLD).all()


def test_a_decoder_may_be_a_little_wrong():
    torch.manual_seed(0)
    images = SCENES["image"]
    assert readable(images + 0.03 * torch.randn_like(images), WORLD).float().mean() > 0.95
    assert readable(avg_pool2d(images, 3, 1, 1), WORLD).float().mean() > 0.75


@pytest.mark.parametrize(("spoilt", "most"), [
    (lambda images: (images + images.flip(0)) / 2, 0.5),  # two scenes at once
    (lambda images: torch.cat([images[:, :, :32], images.flip(0)[:, :, 32:]], 2), 0.5),  # halves, and some objects lie in one half
    (lambda images: images.roll(1, 1), 0.5),  # other colours, of which some are in the list too
    (lambda images: images[:, :, :1, :1].expand_as(images), 0)], ids=["mixed", "halves", "colours", "empty"])
def test_what_is_no_scene_is_refused(spoilt, most):
    assert readable(spoilt(SCENES["image"]), WORLD).float().mean() <= most


def test_more_objects_than_the_world_has_are_no_scene():
    few = Shapes(max_objects=3, seed=3)
    crowded = SCENES["present"].sum(1) > 3
    assert torch.equal(readable(SCENES["image"], few), ~crowded)


def test_the_share_has_an_interval():
    both = torch.cat([SCENES["image"][:5], torch.zeros(5, 3, 64, 64)])
    found = share_readable(both, WORLD)
    assert found["readable"] == 0.5 and found["low"] < 0.3 and found["high"] > 0.7


def test_objects_touch_if_one_that_is_made_a_pixel_larger_meets_another():
    ids = torch.cat([world.batch(range(40))["ids"] for world in (Shapes(seed=1), MultiDSprites(seed=1, min_objects=1, max_objects=3))])
    found = touching(one_hot(ids.long(), 7).movedim(3, 1).float())
    for picture, touches in zip(ids.numpy(), found):
        objects = [picture == k for k in range(1, 7) if (picture == k).sum() >= SPECK]
        assert bool(touches) == any((binary_dilation(a) & b).any() for a in objects for b in objects if a is not b)
    assert 0.1 < found[40:].float().mean() < 0.9 and not found[:40].any()  # Shapes stay apart


def test_rims_are_what_dilation_says():
    ids = MultiDSprites(seed=1).batch(range(3))["ids"]
    for reach in (1, 2):
        near = [torch.stack([torch.as_tensor(binary_dilation(picture == owner, torch.ones(3, 3), reach)) for owner in ids.unique()]).sum(0) > 1
                for picture in ids]
        assert torch.equal(rims(ids, reach), torch.stack(near))


def test_colour_kept_is_a_share_of_the_variance():
    scenes = MultiDSprites(seed=1).batch(range(20))
    drawn, ids = scenes["image"], scenes["ids"]
    assert colour_kept(drawn, drawn, ids) == 1
    mixed = drawn.clone()
    mixed[(ids == 0)[:, None].expand_as(drawn)] = 0.3  # another background is no object's colour
    assert colour_kept(drawn, mixed, ids) == 1
    large = [(scene, owner) for scene in range(20) for owner in range(1, int(ids.max()) + 1) if (ids[scene] == owner).sum() > 40]
    mean = torch.stack([drawn[scene][:, ids[scene] == owner].mean(1) for scene, owner in large]).mean(0)
    grey = mean[None, :, None, None].expand_as(drawn)
    assert abs(colour_kept(drawn, grey, ids)) < 1e-5  # who says the mean keeps nothing
    assert colour_kept(drawn, (drawn + grey) / 2, ids) == pytest.approx(0.75, abs=1e-5)
