"""Semantic vector quantisation: what the codes say is what is painted, at any size, with every switch; the patch VQ-VAE beside it."""

import inspect

import pytest
import torch
from torch import nn

from course_lib.codes.svq import SVQ, WHEN, BlockSlotAttention, Blocks
from course_lib.codes.vqvae import PatchVQ
from course_lib.core.errors import BadInput
from course_lib.core.weights import load_weights, save_weights
from course_lib.slots.attention import SlotAttention
from course_lib.slots.autoencoder import strip

CARD = {"experiment": "toy", "config": {}, "seed": 0, "seconds": 0.0, "metrics": {}}
SMALL = {"slot_dim": 8, "codebooks": 2, "codes": 6, "channels": 4, "hidden_dim": 8, "decoder_dim": 8, "num_slots": 3}
PATCHES = {"slot_dim": 8, "codes": 6, "channels": 4, "decoder_dim": 8}
SWITCHES = [{}, {"quantise": "inside"}, {"decoder": "broadcast"}, {"update": "blocks"}, {"learning": "loss"}]


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_defaults_are_those_of_the_seed():
    default = {name: p.default for name, p in inspect.signature(SVQ).parameters.items()}
    assert [default[name] for name in ("num_slots", "slot_dim", "codebooks", "codes", "commitment")] == [4, 64, 4, 512, 0.25]
    assert default["decoder"] == "transformer" and default["quantise"] == "after"
    quantizer = SVQ().quantizer
    assert quantizer.codebook.shape == (4, 512, 16) and 4 * quantizer.bits == 16 * PatchVQ().quantizer.bits == 144


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("pixels", [32, 48, 64, 128])
def test_every_size_and_every_switch(switch, pixels):
    model, image = SVQ(**SMALL, **switch), torch.rand(2, 3, pixels, pixels)
    out = model(image)
    assert out.reconstruction.shape == image.shape and out.masks.shape == (2, 3, pixels, pixels)
    torch.testing.assert_close(out.masks.sum(1), torch.ones(2, pixels, pixels))
    assert out.encoded.codes.indices.shape == (2, 3, 2) and out.encoded.attention.shape == (2, 3, 3, pixels // 4, pixels // 4)
    assert model(image, num_slots=5, iterations=1).masks.shape[1] == 5


@pytest.mark.parametrize("switch", SWITCHES)
def test_the_codes_say_all_that_is_painted(switch):
    model, image = SVQ(**SMALL, **switch), torch.rand(2, 3, 32, 48)
    model(image)  # places the codes
    model.eval()
    out = model(image, chance=chance())
    torch.testing.assert_close(model.decode(out.encoded.codes.indices, 32, 48), out.reconstruction)
    cells = torch.tensor([7, 0, 95])
    some = model(image, chance=chance(), cells=cells)
    torch.testing.assert_close(some.reconstruction, strip(out.reconstruction, cells, 4))
    torch.testing.assert_close(some.masks, strip(out.masks, cells, 4))


@pytest.mark.parametrize("switch", SWITCHES)
def test_everything_that_may_learn_is_taught(switch):
    model = SVQ(**SMALL, **switch)
    out = model(torch.rand(2, 3, 16, 16))
    (out.reconstruction.square().mean() + out.encoded.codes.loss).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("quantise", WHEN)
def test_codes_are_made_after_the_last_iteration_or_after_each(quantise, monkeypatch):
    model, calls = SVQ(**SMALL, quantise=quantise), []
    quantizer = model.quantizer.forward
    monkeypatch.setattr(model.quantizer, "forward", lambda slots: calls.append(slots.shape) or quantizer(slots))
    model.encode(torch.rand(2, 3, 16, 16), iterations=4)
    assert calls == [(2, 3, 8)] * (4 if quantise == "inside" else 1)


def test_inside_the_next_iteration_asks_with_what_the_codes_say():
    model = SVQ(**SMALL, quantise="inside")
    image = torch.rand(2, 3, 16, 16)
    model(image)
    model.eval()
    inputs = model.encoder(image).flatten(1, 2)
    first, _ = model.attention(inputs, model.start(inputs, 3, chance()), 1)
    second, _ = model.attention.step(model.attention.norm_inputs(inputs), model.quantizer(first).quantized)
    torch.testing.assert_close(model.encode(image, iterations=2, chance=chance()).slots, second)


def test_a_block_knows_its_own_values_and_past_alone():
    attention = BlockSlotAttention(12, 3, 8, "full", 1e-8).double()
    values, slots = torch.randn(2, 4, 12).double(), torch.randn(2, 4, 12).double()
    before = attention.update(values, slots)
    changed_values, changed_slots = values.clone(), slots.clone()
    changed_values[..., 4:8], changed_slots[..., 4:8] = 5.0, -3.0
    moved = (attention.update(changed_values, changed_slots) - before).abs().amax((0, 1)) > 0
    assert moved.tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_a_block_is_a_gru_cell_and_an_mlp():
    """With one block: torch's GRUCell and the MLP of `SlotAttention` on the same weights."""
    whole, block = SlotAttention(6, 6, 8).double(), BlockSlotAttention(6, 1, 8, "full", 1e-8).double()
    with torch.no_grad():
        for ours, weight, bias in ((block.from_values, whole.gru.weight_ih, whole.gru.bias_ih), (block.from_slots, whole.gru.weight_hh, whole.gru.bias_hh),
                                   (block.mlp[0], whole.mlp[0].weight, whole.mlp[0].bias), (block.mlp[2], whole.mlp[2].weight, whole.mlp[2].bias)):
            ours.weight.copy_(weight.T[None])
            ours.bias.copy_(bias[None])
    values, slots = torch.randn(2, 4, 6).double(), torch.randn(2, 4, 6).double()
    torch.testing.assert_close(block.update(values, slots), whole.update(values, slots))


def test_blocks_are_linear_maps_side_by_side():
    blocks, x = Blocks(3, 4, 5).double(), torch.randn(7, 12).double()
    parts = [nn.functional.linear(x[:, 4 * m : 4 * m + 4], blocks.weight[m].T, blocks.bias[m]) for m in range(3)]
    torch.testing.assert_close(blocks(x), torch.cat(parts, 1))


@pytest.mark.parametrize("pixels", [32, 48, 64, 128])
def test_patches_have_the_same_interface(pixels):
    model, image = PatchVQ(**PATCHES), torch.rand(2, 3, pixels, pixels)
    model(image)
    model.eval()
    out, patches = model(image), (pixels // 16) ** 2
    assert out.encoded.codes.indices.shape == (2, patches, 1) and out.masks.shape == (2, patches, pixels, pixels)
    assert out.encoded.attention.sum((1, 2)).eq(1).all() and out.encoded.attention.shape[-1] == pixels // 16
    torch.testing.assert_close(model.decode(out.encoded.codes.indices, pixels, pixels), out.reconstruction)
    cells = torch.tensor([3, 0])
    torch.testing.assert_close(model(image, cells=cells).reconstruction, strip(out.reconstruction, cells, 4))


def test_a_patch_code_belongs_to_its_place():
    """The same code at another place is painted there: what moves is the place, not the code."""
    model = PatchVQ(**PATCHES).eval()
    indices = torch.zeros(1, 4, 1, dtype=torch.long)
    indices[0, 0] = 3
    turned = indices.flip(1)
    assert not torch.allclose(model.decode(indices, 32, 32), model.decode(turned, 32, 32))


@pytest.mark.parametrize("model", [SVQ(**SMALL, update="blocks", quantise="inside"), PatchVQ(**PATCHES)])
def test_a_card_brings_it_back(model, tmp_path):
    image = torch.rand(2, 3, 32, 32)
    model(image)
    save_weights(model.eval(), tmp_path / "codes", card=CARD)
    again = load_weights(tmp_path / "codes", expect=type(model))
    indices = torch.randint(0, 6, (2, 3, 2) if isinstance(model, SVQ) else (2, 4, 1))
    assert torch.equal(model.decode(indices, 32, 32), again.decode(indices, 32, 32))


@pytest.mark.parametrize(("arguments", "words"), [
    ({"quantise": "never"}, "quantise must be one of after, inside, not 'never'"),
    ({"decoder": "cnn"}, "decoder must be one of transformer, broadcast, not 'cnn'"),
    ({"update": "half"}, "update must be one of whole, blocks, not 'half'"),
    ({"num_slots": 0}, "num_slots and num_iterations must be at least 1, not 0 and 3"),
    ({"codes": 0}, "at least 1 code, not 0"),
    ({"slot_dim": 9}, "9 numbers cannot be cut into 2 equal parts"),
])
def test_impossible_models(arguments, words):
    with pytest.raises(BadInput, match=words):
        SVQ(**SMALL | arguments)


def test_bad_input():
    model, patches = SVQ(**SMALL), PatchVQ(**PATCHES)
    with pytest.raises(BadInput, match="sides that 4 divides, not .2, 3, 30, 32"):
        model(torch.rand(2, 3, 30, 32))
    with pytest.raises(BadInput, match="at least 1 slot, not 0"):
        model(torch.rand(2, 3, 32, 32), num_slots=0)
    with pytest.raises(BadInput, match="sides that 16 divides, not .2, 3, 40, 32"):
        patches(torch.rand(2, 3, 40, 32))
    with pytest.raises(BadInput, match="32 × 32 pixels has 4 patches, not 3"):
        patches.decode(torch.zeros(1, 3, 1, dtype=torch.long), 32, 32)
    with pytest.raises(BadInput, match="code 6 is out of range"):
        model.decode(torch.full((1, 3, 2), 6))
