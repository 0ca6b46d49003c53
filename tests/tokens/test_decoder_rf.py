"""The field decoders: one token, its own field, nothing else; at first they put tokens back, then they learn."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.core.weights import load_weights, save_weights
from course_lib.tokens.compressor import Compressor, owners
from course_lib.tokens.decoder import ConvDecoder
from course_lib.tokens.decoder_rf import RFAttentionDecoder, RFCompressor, RFConvDecoder
from course_lib.tokens.fields import extract_rf_targets, get_rf_indices
from course_lib.tokens.losses import mse

DECODERS = pytest.mark.parametrize("kind", [RFConvDecoder, RFAttentionDecoder])
PAIRS = [((24, 24), (4, 4)), ((24, 24), (6, 6)), ((24, 24), (8, 8)), ((24, 24), (12, 12)), ((6, 20), (3, 4)), ((4, 15), (4, 3)), ((5, 7), (5, 7)),
         ((3, 5), (1, 1))]  # fields of 6 × 6, 4 × 4, 3 × 3, 2 × 2, 2 × 5, 1 × 5, 1 × 1, 3 × 5
CARD = {"experiment": "compress_rf", "config": {}, "seed": 0, "seconds": 1.0, "metrics": {}}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def stirred(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@DECODERS
@pytest.mark.parametrize(("grid", "output"), PAIRS)
def test_untrained_every_place_gets_the_token_of_its_field(kind, grid, output):
    tokens = torch.randn(2, output[0] * output[1], 6)
    expected = F.interpolate(tokens.mT.unflatten(2, output), size=grid, mode="nearest").movedim(1, 3)
    torch.testing.assert_close(kind(6, grid, output)(tokens), expected)


@DECODERS
@pytest.mark.parametrize(("grid", "output"), PAIRS)
def test_a_token_paints_its_own_field_all_of_it_and_no_other(kind, grid, output):
    decoder, tokens = stirred(kind(4, grid, output, hidden=8)), torch.randn(1, output[0] * output[1], 4)
    moved = tokens.clone()
    moved[:, -1] += torch.randn(4)
    changed = (decoder(moved) - decoder(tokens)).abs().sum(3)[0] > 1e-5
    assert torch.equal(changed, owners(grid, output) == tokens.shape[1] - 1)


@DECODERS
def test_a_place_has_no_gradient_to_any_but_its_token(kind):
    decoder, tokens = stirred(kind(4, (6, 6), (3, 2), hidden=8)), torch.randn(2, 6, 4, requires_grad=True)
    rebuilt, owner = decoder(tokens), owners((6, 6), (3, 2))
    for i, j in ((0, 0), (3, 2), (5, 5)):
        (gradient,) = torch.autograd.grad(rebuilt[1, i, j].sum(), tokens, retain_graph=True)
        assert (gradient.abs().sum(2) > 0).nonzero().tolist() == [[1, int(owner[i, j])]]


@DECODERS
def test_all_fields_share_one_decoder_and_places_differ(kind):
    decoder, token = stirred(kind(6, (6, 9), (2, 3), hidden=8)), torch.randn(1, 1, 6)
    fields = decoder.fields(token.expand(2, 6, 6))
    torch.testing.assert_close(fields, fields[:1, :1].expand_as(fields))
    assert (torch.pdist(fields[0, 0]) > 1e-3).all()


@DECODERS
@pytest.mark.parametrize(("grid", "output"), PAIRS)
def test_fields_are_those_of_the_grid(kind, grid, output):
    decoder, tokens = stirred(kind(3, grid, output, num_layers=1, hidden=4)), torch.randn(2, output[0] * output[1], 3)
    assert torch.equal(decoder.fields(tokens), decoder(tokens).flatten(1, 2)[:, get_rf_indices(grid, output)])


@DECODERS
@pytest.mark.parametrize(("grid", "output"), PAIRS)
def test_every_parameter_learns_and_none_is_idle(kind, grid, output):
    decoder = stirred(kind(6, grid, output, hidden=8))
    rebuilt = decoder(torch.randn(3, output[0] * output[1], 6))
    (rebuilt * torch.randn_like(rebuilt)).sum().backward()
    assert [name for name, p in decoder.named_parameters() if not p.grad.abs().sum() > 0] == []
    if kind is RFConvDecoder and min(decoder.field) > 2:  # no weight of a kernel reaches only beyond the field
        assert all((p.grad != 0).all() for name, p in decoder.named_parameters() if name.endswith("paint.weight"))


@DECODERS
def test_more_layers_are_more_to_learn(kind):
    few = [sum(p.numel() for p in kind(6, num_layers=layers).parameters()) for layers in (1, 2, 3, 5)]
    assert few == sorted(set(few))


@DECODERS
def test_it_does_not_matter_in_what_units_clip_speaks(kind):
    decoder, tokens = stirred(kind(4, (8, 8), (2, 2))), torch.randn(5, 4, 4)
    decoder.scale.fit(tokens)
    before = decoder(tokens)
    decoder.scale.fit(tokens * 30 + 7)
    torch.testing.assert_close(decoder(tokens * 30 + 7), before * 30 + 7, rtol=1e-4, atol=1e-3)


def test_places_of_a_field_ask_each_other():
    """Where one place asks otherwise all say something else; attention to a single token would move that one alone."""
    decoder, token = stirred(RFAttentionDecoder(4, (4, 4), (1, 1), num_layers=1, hidden=8)), torch.randn(1, 1, 4)
    before = decoder.fields(token)[0, 0]
    with torch.no_grad():
        decoder.place[5] += torch.randn(8)
    moved = (decoder.fields(token)[0, 0] - before).abs().sum(1) > 1e-6
    assert moved.all()


@pytest.mark.parametrize("use_attention", [False, True])
def test_the_card_rebuilds_it(use_attention, tmp_path):
    model = stirred(RFCompressor(6, (6, 12), (3, 2), num_layers=2, hidden=8, use_attention=use_attention, decoder_layers=1))
    tokens = 5 + 3 * torch.randn(4, 6, 12, 6)
    model.fit(tokens)
    again = load_weights(save_weights(model, tmp_path / "small", card=CARD), expect=RFCompressor)
    assert torch.equal(model.expand(model(tokens)), again.expand(again(tokens)))
    assert type(again.decoder) is (RFAttentionDecoder if use_attention else RFConvDecoder)
    assert torch.equal(again.decoder.scale.mean, model.scale.mean)


@pytest.mark.parametrize("use_attention", [False, True])
def test_expand_is_the_field_decoder_and_untrained_it_is_average_pooling(use_attention):
    model, tokens = RFCompressor(5, use_attention=use_attention), torch.randn(2, 24, 24, 5)
    compressed = model(tokens)
    torch.testing.assert_close(model.expand(compressed), Compressor.expand(model, compressed))
    stirred(model)
    compressed = model(tokens)
    assert torch.equal(extract_rf_targets(model.expand(compressed), (6, 6)), model.decoder.fields(compressed.tokens))


@pytest.mark.parametrize("use_attention", [False, True])
def test_it_learns_to_write_different_tokens_where_one_number_tells_them(use_attention):
    """A field is s · (1, −1, −1, 1) + m in one channel: pooled, its pattern is gone; a token that keeps s and m rebuilds it."""
    s, m = torch.randn(2, 32, 4, 4, 1)
    pattern = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)
    grid = s.repeat_interleave(2, 1).repeat_interleave(2, 2) * pattern[..., None] + m.repeat_interleave(2, 1).repeat_interleave(2, 2)
    grid = torch.cat([grid, torch.zeros_like(grid)], 3)
    model = RFCompressor(2, (8, 8), (4, 4), num_layers=1, hidden=16, use_attention=use_attention)
    lost = mse(model.expand(model(grid)), grid) / mse(torch.zeros_like(grid), grid)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        error = mse(model.expand(model(grid)), grid)
        error.backward()
        optimizer.step()
    assert lost > 0.4 and error / mse(torch.zeros_like(grid), grid) < 0.1


def test_a_field_decoder_has_no_more_to_learn_than_the_global_one():
    def count(kind: type) -> int:
        return sum(p.numel() for p in kind(16, (24, 24), (6, 6), num_layers=3).parameters())

    assert count(RFConvDecoder) < count(ConvDecoder)


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: RFConvDecoder(4, (24, 24), (5, 5)), "cannot be divided into 5 × 5"),
    (lambda: RFAttentionDecoder(4, num_layers=0), "num_layers must be at least 1, not 0"),
    (lambda: RFConvDecoder(4, hidden=0), "hidden must be at least 1, not 0"),
    (lambda: RFCompressor(4, decoder_layers=0), "num_layers must be at least 1, not 0"),
    (lambda: RFConvDecoder(4)(torch.randn(2, 35, 4)), r"takes 36 tokens of 4 numbers, not of shape \[35, 4\]"),
])
def test_bad_input(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call()
