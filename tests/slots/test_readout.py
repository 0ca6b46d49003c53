"""A linear read-out finds what is there, and nothing where nothing is."""

import pytest
import torch
from torch.nn.functional import one_hot

from course_lib.core.errors import BadInput
from course_lib.slots.readout import linear_readout, owned
from course_lib.slots.scenes import Shapes


def test_what_is_linear_is_found_and_noise_is_not() -> None:
    chance = torch.Generator().manual_seed(0)
    slots = torch.randn(400, 8, generator=chance)
    target = slots @ torch.randn(8, 2, generator=chance) + 3
    assert linear_readout(slots, target) > 0.999
    assert linear_readout(slots, torch.randn(400, 1, generator=chance)) < 0.1


def test_only_objects_that_one_slot_holds_are_read() -> None:
    scenes = Shapes(resolution=32, max_objects=3).batch(range(8))
    masks = one_hot(scenes["ids"].long(), 4).movedim(-1, 1).float()
    slots = torch.zeros(8, 4, 2)
    slots[:, 1:] = scenes["position"]  # slot k holds object k and says where it is
    read, truth = owned(scenes, slots, masks, len(Shapes.kinds))
    assert torch.equal(read, truth["position"]) and len(read) == int(scenes["present"].sum())
    assert truth["kind"].sum(1).eq(1).all()
    halves = torch.rand(8, 2, 32, 32, generator=torch.Generator().manual_seed(0))  # nobody holds 90 % of anything
    assert len(owned(scenes, slots, halves, 3)[0]) == 0


def test_too_few_targets() -> None:
    with pytest.raises(BadInput, match="at least 4 objects"):
        linear_readout(torch.zeros(3, 2), torch.zeros(3, 1))
