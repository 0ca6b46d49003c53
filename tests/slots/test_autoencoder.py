"""The slot autoencoder: its parts add up, any size and number of slots goes, what cannot go is said in a sentence."""

import math
from itertools import product

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from course_lib.core import memory
from course_lib.core.errors import BadInput
from course_lib.core.weights import load_weights, save_weights
from course_lib.slots.attention import GRADIENTS
from course_lib.slots.autoencoder import STARTS, BroadcastDecoder, SlotAutoencoder, SoftPosition, cell_centres, strip
from course_lib.slots.recipe import make_optimizers
from course_lib.slots.scenes import Shapes

CARD = {"experiment": "toy", "config": {}, "seed": 0, "seconds": 0.0, "metrics": {}}
SMALL = {"num_slots": 3, "slot_dim": 8, "hidden_dim": 8, "channels": 4, "decoder_dim": 8, "queries": 5}
QUERIES = SMALL | {"start": "queries"}


@pytest.fixture(autouse=True)
def same_numbers():
    torch.manual_seed(0)


@pytest.fixture
def as_a_reader(monkeypatch):
    """Without the type checks of the tests, which would speak before the model does."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_defaults_are_those_of_the_seed():
    model = SlotAutoencoder()
    assert (model.num_slots, model.num_iterations, model.start.project.out_features) == (7, 3, 64)
    assert model.attention.mlp[0].out_features == model.encoder.mlp[1].out_features == 64
    out = model(torch.rand(1, 3, 16, 16))
    assert out.slots.shape == (1, 7, 64) and out.attention.shape == (1, 3, 7, 4, 4)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 48), (64, 64), (128, 128), (32, 56), (4, 8)])
@pytest.mark.parametrize("start", ["gaussian", "queries", "seeds"])
def test_every_size_and_what_comes_out(height, width, start):
    model = SlotAutoencoder(**SMALL, start=start)
    out = model(torch.rand(2, 3, height, width))
    assert out.reconstruction.shape == (2, 3, height, width) and out.slots.shape == (2, 3, 8)
    assert out.masks.shape == (2, 3, height, width) and out.pictures.shape == (2, 3, 3, height, width)
    assert out.attention.shape == (2, 3, 3, height // 4, width // 4)
    torch.testing.assert_close(out.masks.sum(1), torch.ones(2, height, width))
    torch.testing.assert_close(out.attention.sum(2), torch.ones(2, 3, height // 4, width // 4))
    assert out.masks.min() >= 0
    mixed = sum(out.masks[:, k, None] * out.pictures[:, k] for k in range(3))
    torch.testing.assert_close(out.reconstruction, mixed)


@pytest.mark.parametrize("start", ["gaussian", "queries", "seeds"])
def test_slots_and_iterations_may_change_from_call_to_call(start):
    model, image = SlotAutoencoder(**SMALL, start=start), torch.rand(2, 3, 16, 16)
    for num_slots, iterations in ((1, 1), (2, 7), (5, 3)):
        out = model(image, num_slots, iterations)
        assert out.slots.shape == (2, num_slots, 8) and out.attention.shape == (2, iterations, num_slots, 4, 4)
    torch.testing.assert_close(model(image, 3, 3, chance()), model(image, chance=chance()))


def test_one_seed_one_answer():
    model, image = SlotAutoencoder(**SMALL), torch.rand(2, 3, 16, 16)
    first, again, other = (model(image, chance=chance(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not torch.allclose(first.slots, other.slots)
    each = model(image, chance=[chance(1), chance(2)])  # a picture's answer is its own, whatever else the batch holds
    alone = model(image[1:], chance=[chance(2)])
    torch.testing.assert_close(each.reconstruction[1:], alone.reconstruction)


def test_positions_of_two_sizes_agree_where_their_pixels_do():
    add = SoftPosition(5)
    coarse, fine = (add(torch.zeros(1, 5, 3 * n, 4 * n)) for n in (1, 3))
    torch.testing.assert_close(fine[..., 1::3, 1::3], coarse)  # the middle of three pixels is the centre of one
    x, y = (2 + 0.5) / 4, (1 + 0.5) / 3
    torch.testing.assert_close(coarse[0, :, 1, 2], add.project(torch.tensor([x, y, 1 - x, 1 - y])))


def test_a_slot_paints_alone():
    decoder, slots, places = BroadcastDecoder(8, 4), torch.randn(2, 3, 8), cell_centres(16, 24, 4)
    pictures, logits = decoder(slots, places, 6)
    one = decoder(slots[:, 1:2], places, 6)
    torch.testing.assert_close((pictures[:, 1:2], logits[:, 1:2]), one)


def test_the_decoder_is_its_formula():
    """Against loops over pictures, slots, cells and pixels, in the words of the docstring."""
    decoder, slots, places = BroadcastDecoder(8, 4).double(), torch.randn(2, 3, 8).double(), cell_centres(8, 12, 4).double()
    pictures, logits = decoder(slots, places, 3)
    for b, k, row, column in product(range(2), range(3), range(2), range(3)):
        x, y = (column + 0.5) / 3, (row + 0.5) / 2
        waves = [[wave(2**o * math.pi * v) for o in range(4) for v in (x, y)] for wave in (math.sin, math.cos)]
        place = decoder.place(torch.tensor([2 * x - 1, 2 * y - 1, *waves[0], *waves[1]]).double())
        answer = decoder.mlp(decoder.scale(slots[b, k]) * place + decoder.shift(slots[b, k])).view(4, 4, 4)
        inside = slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4)
        torch.testing.assert_close(pictures[b, k][:, *inside], answer[:3])
        torch.testing.assert_close(logits[b, k][inside], answer[3])


def test_some_cells_are_those_of_the_whole():
    """What only a few cells are asked for is what they answer among all."""
    model, image, cells = SlotAutoencoder(**SMALL), torch.rand(2, 3, 16, 24), torch.tensor([7, 0, 23])
    whole, some = model(image, chance=chance()), model(image, chance=chance(), cells=cells)
    assert some.reconstruction.shape == (2, 3, 4, 12)
    torch.testing.assert_close(some.reconstruction, strip(whole.reconstruction, cells, 4))
    torch.testing.assert_close(some.masks, strip(whole.masks, cells, 4))
    assert torch.equal(strip(image, cells, 4)[..., :4], image[..., 4:8, 4:8])  # cell 7 of 6 columns: second row and column


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("start", STARTS)
def test_whatever_may_learn_is_taught(start, gradient):
    """Several processes wait for a gradient of every parameter that asks for one."""
    model = SlotAutoencoder(**SMALL, start=start, gradient=gradient)
    model(torch.rand(2, 3, 16, 16)).reconstruction.square().mean().backward()
    taught = {name for name, p in model.named_parameters() if p.grad is not None}
    assert taught == {name for name, _ in model.named_parameters() if gradient != "implicit" or not name.startswith("start.")}
    assert taught == {name for name, p in model.named_parameters() if p.requires_grad}


def test_a_card_brings_it_back(tmp_path):
    model, image = SlotAutoencoder(**SMALL, start="gaussian", gradient="implicit").eval(), torch.rand(1, 3, 16, 16)
    save_weights(model, tmp_path / "slots", card=CARD)
    again = load_weights(tmp_path / "slots", expect=SlotAutoencoder)
    assert again.card_arguments == model.card_arguments and again.attention.gradient == "implicit"
    for mine, its in zip(model(image, chance=chance()), again(image, chance=chance())):
        assert torch.equal(mine, its)


def test_it_learns_four_scenes_by_heart():
    """Well below the variance within the pictures: what the best single colour for each of them leaves."""
    torch.manual_seed(1)
    image = Shapes(resolution=32, max_objects=3).batch(range(4))["image"]
    model = SlotAutoencoder(num_slots=4, slot_dim=32, hidden_dim=32, start="queries", queries=4)
    optimizers, losses = make_optimizers(model, lr=4e-4), []
    for _ in range(300):
        loss = (model(image).reconstruction - image).square().mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(float(loss.detach()))
    variance = float((image - image.mean((2, 3), keepdim=True)).square().mean())
    assert losses[0] > variance and sum(losses[-10:]) / 10 < 0.3 * variance


@pytest.mark.parametrize("gradients", [True, False])
def test_the_estimate_of_memory(gradients):
    """Against the bytes of all maps, counted as the decoder's layers make them."""
    decoder, slots = BroadcastDecoder(8, 64), torch.randn(2, 3, 8)
    made = []
    for layer in [decoder.mlp[0], *(layer for layer in decoder.mlp if isinstance(layer, nn.Linear))]:
        layer.register_forward_hook(lambda layer, given, out: made.append(out.nbytes))  # other ReLUs write into what they are given
    decoder(slots, cell_centres(16, 24, 4), 6)
    with torch.set_grad_enabled(gradients):
        estimate = decoder.bytes_needed(6, 24)
    assert sum(made) <= estimate / (2 if gradients else 1) <= 2 * sum(made)


@pytest.mark.parametrize("num_slots", [4, 10**9])
def test_more_slots_than_memory_are_refused_before_anything_is_made(num_slots, monkeypatch):
    model, image = SlotAutoencoder(**SMALL, start="gaussian"), torch.rand(2, 3, 16, 24)
    needed = model.decoder.bytes_needed(2 * num_slots, 24)
    monkeypatch.setattr("course_lib.slots.autoencoder.free_memory", lambda device: needed - 1)
    monkeypatch.setattr(model.encoder, "forward", None)  # nothing may run
    with pytest.raises(BadInput, match=f"{num_slots} slots for 2 pictures of 24 × 16 pixels need about") as error:
        model(image, num_slots)
    numbers = f"need about {needed / 1e9:.1f} GB of memory and {(needed - 1) / 1e9:.1f} GB are free;"
    assert numbers in str(error.value)
    assert str(error.value).endswith("; use fewer slots, a smaller batch or a lower resolution.")


def test_only_the_cells_that_are_decoded_need_memory(monkeypatch):
    model, image = SlotAutoencoder(**SMALL), torch.rand(2, 3, 16, 24)
    monkeypatch.setattr("course_lib.slots.autoencoder.free_memory", lambda device: model.decoder.bytes_needed(2 * 4, 6))
    assert model(image, 4, cells=torch.arange(6)).masks.shape == (2, 4, 4, 24)
    with pytest.raises(BadInput, match="use fewer slots"):
        model(image, 4, cells=torch.arange(7))


def test_what_just_fits_is_done(monkeypatch):
    model, image = SlotAutoencoder(**SMALL), torch.rand(2, 3, 16, 24)
    needed = model.decoder.bytes_needed(2 * 4, 24)
    monkeypatch.setattr("course_lib.slots.autoencoder.free_memory", lambda device: needed)
    assert model(image, 4).slots.shape == (2, 4, 8)
    with pytest.raises(BadInput, match="5 slots for 2 pictures"):
        model(image, 5)
    with torch.no_grad():  # half of it is for the gradients
        assert model(image, 5).slots.shape == (2, 5, 8)


def test_free_memory_is_that_of_the_machine(monkeypatch):
    free = memory.free_memory(torch.device("cpu"))
    assert 0 < free < memory.psutil.virtual_memory().total
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    assert memory.free_memory(torch.device("cuda", 0)) == 1200  # 200 are torch's own to use again


@pytest.mark.parametrize(("image", "words"), [
    (torch.rand(2, 1, 16, 16), r"shape \(batch, 3, height, width\), not torch.float32 of shape \(2, 1, 16, 16\)"),
    (torch.rand(3, 16, 16), r"not torch.float32 of shape \(3, 16, 16\)"),
    (torch.rand(2, 16, 16, 3), r"of shape \(2, 16, 16, 3\)"),
    (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), "floating-point numbers .* not torch.uint8"),
    (torch.rand(2, 3, 16, 18), "multiples of 4, not 16 and 18"), (torch.rand(2, 3, 0, 16), "not 0 and 16"),
    (torch.rand(2, 3, 30, 16), "not 30 and 16")], ids=["grey", "no batch", "last", "bytes", "wide", "empty", "high"])
def test_bad_pictures(image: Tensor, words, as_a_reader):
    with pytest.raises(BadInput, match=words):
        SlotAutoencoder(**SMALL)(image)


@pytest.mark.parametrize(("call", "words"), [
    ({"num_slots": 0}, "at least 1 slot, not 0"), ({"num_slots": -2}, "at least 1 slot, not -2"),
    ({"num_slots": 6}, "5 learned queries, so at most 5 slots, not 6"), ({"iterations": 0}, "1 iteration, not 0")])
def test_bad_calls(call, words):
    with pytest.raises(BadInput, match=words):
        SlotAutoencoder(**QUERIES)(torch.rand(1, 3, 16, 16), **call)


@pytest.mark.parametrize(("wrong", "words"), [
    ({"num_slots": 0}, "num_slots must be at least 1"), ({"slot_dim": 0}, "slot_dim"), ({"channels": -1}, "not -1"),
    ({"num_iterations": 0}, "num_iterations"), ({"hidden_dim": 0}, "hidden_dim"), ({"queries": 0}, "queries"),
    ({"start": "queries", "queries": 2}, "3 slots need at least as many queries, not 2"), ({"gradient": "half"}, "not 'half'"),
    ({"start": "zero"}, "one of gaussian, queries, seeds, not 'zero'")])
def test_bad_models(wrong, words):
    with pytest.raises(BadInput, match=words):
        SlotAutoencoder(**SMALL | wrong)
