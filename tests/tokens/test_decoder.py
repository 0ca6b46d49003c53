"""The decoders: at first they put tokens back, then they learn; compressor and decoder are one, and their card rebuilds them."""

import pytest
import torch
from einops import rearrange
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.core.weights import load_weights, save_weights
from course_lib.tokens.baselines import PCAField
from course_lib.tokens.compressor import Compressor
from course_lib.tokens.decoder import AskTokens, AttentionDecoder, ConvDecoder, LearnedCompressor, Spread, zeroed
from course_lib.tokens.losses import mse

DECODERS = pytest.mark.parametrize("kind", [ConvDecoder, AttentionDecoder])
CARD = {"experiment": "compress_global", "config": {}, "seed": 0, "seconds": 1.0, "metrics": {}}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def stirred(model: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@DECODERS
@pytest.mark.parametrize(("grid", "output"), [((24, 24), (4, 4)), ((24, 24), (8, 8)), ((6, 20), (3, 4)), ((5, 7), (5, 7))])
def test_untrained_every_place_gets_the_token_of_its_field(kind, grid, output):
    tokens = torch.randn(2, output[0] * output[1], 6)
    expected = F.interpolate(tokens.mT.unflatten(2, output), size=grid, mode="nearest").movedim(1, 3)
    torch.testing.assert_close(kind(6, grid, output, num_layers=2)(tokens), expected)


@DECODERS
def test_every_parameter_learns_and_fields_get_different_tokens(kind):
    decoder = stirred(kind(6, (6, 9), (2, 3), hidden=8))
    rebuilt = decoder(torch.randn(2, 6, 6))
    assert rebuilt.shape == (2, 6, 9, 6) and (rebuilt[:, :3, :3].var((1, 2)) > 1e-6).all()  # within one field
    (rebuilt * torch.randn_like(rebuilt)).sum().backward()  # not the plain sum: keys' biases and the like cancel in it
    dead = [name for name, parameter in decoder.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert dead == []


@DECODERS
def test_more_layers_are_more_to_learn(kind):
    two, three = (sum(p.numel() for p in kind(6, num_layers=layers).parameters()) for layers in (2, 3))
    assert three > two


@DECODERS
def test_it_does_not_matter_in_what_units_clip_speaks(kind):
    decoder, tokens = stirred(kind(4, (8, 8), (2, 2))), torch.randn(5, 4, 4)
    decoder.scale.fit(tokens)
    before = decoder(tokens)
    decoder.scale.fit(tokens * 30 + 7)
    torch.testing.assert_close(decoder(tokens * 30 + 7), before * 30 + 7, rtol=1e-4, atol=1e-3)


def test_convolutions_see_the_neighbourhood_and_attention_sees_everything():
    far = []
    for kind in (ConvDecoder, AttentionDecoder):
        tokens = torch.randn(1, 64, 4, requires_grad=True)
        corner = stirred(kind(4, (32, 32), (8, 8)))(tokens)[0, 0, 0].sum()
        moved = torch.autograd.grad(corner, tokens)[0].abs().sum((0, 2)).view(8, 8)
        assert moved[0, 0] > 0
        far.append(bool((moved[5:, 5:] > 0).any()))
    assert far == [False, True]


def test_attention_is_torchs_own_block_without_self_attention():
    """Cross-attention with the weights of nn.MultiheadAttention, which is another implementation of the same formula."""
    ours, theirs = AskTokens(8, 2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.to_query.weight, ours.to_keys_values.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.to_query.bias, ours.to_keys_values.bias]))
        theirs.out_proj.load_state_dict(ours.to_out.state_dict())
    state, tokens = torch.randn(3, 10, 8), torch.randn(3, 4, 8)
    expected = state + theirs(ours.norm_attention(state), tokens, tokens)[0]
    torch.testing.assert_close(ours(state, tokens), expected + ours.mlp(ours.norm_mlp(expected)))


@pytest.mark.parametrize("use_attention", [False, True])
def test_the_card_rebuilds_it(use_attention, tmp_path):
    model = stirred(LearnedCompressor(6, (6, 12), (3, 2), num_layers=2, hidden=8, use_attention=use_attention, decoder_layers=1))
    tokens = 5 + 3 * torch.randn(4, 6, 12, 6)
    model.fit(tokens)
    again = load_weights(save_weights(model, tmp_path / "small", card=CARD), expect=LearnedCompressor)
    for one, other in zip(model(tokens)[:2], again(tokens)[:2]):
        assert torch.equal(one, other)
    assert torch.equal(model.expand(model(tokens)), again.expand(again(tokens))) and torch.equal(model.scale.mean, again.scale.mean)
    assert isinstance(again.decoder, AttentionDecoder) == use_attention and len(again.compressor.stages) == 2


def test_untrained_it_is_average_pooling_there_and_back_and_expand_is_the_decoder():
    model, tokens = LearnedCompressor(5), torch.randn(2, 24, 24, 5)
    compressed = model(tokens)
    torch.testing.assert_close(model.expand(compressed), Compressor.expand(model, compressed))
    stirred(model)
    compressed = model(tokens)
    assert torch.equal(model.expand(compressed), model.decoder(compressed.tokens))
    assert not torch.allclose(model.expand(compressed), Compressor.expand(model, compressed))


def test_it_learns_what_no_mean_can_keep():
    """Four places of a field, two of them free: with the width for it, two numbers a field rebuild all four."""
    free = torch.randn(16, 4, 4, 2)
    tokens = torch.stack([free[..., :1], free[..., 1:], free[..., 1:], -free[..., :1]], 3)  # (16, 4, 4, four places, 1)
    tokens = tokens.unflatten(3, (2, 2)).permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2)  # (16, 8, 8, 1)
    tokens = torch.cat([tokens, torch.zeros_like(tokens)], 3)  # a second channel, empty: two numbers a token
    model = LearnedCompressor(2, (8, 8), (4, 4), num_layers=1, hidden=32)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(100):
        optimizer.zero_grad()
        error = (model.expand(model(tokens)) - tokens).square().mean() / tokens.square().mean()
        error.backward()
        optimizer.step()
    pooled = LearnedCompressor(2, (8, 8), (4, 4))
    lost = (pooled.expand(pooled(tokens)) - tokens).square().mean() / tokens.square().mean()
    assert lost > 0.7 and error < 0.1


def test_the_linear_way_is_a_transposed_convolution():
    spread, tokens = stirred(Spread(5, (2, 3))), torch.randn(2, 12, 5)
    kernel, bias = (rearrange(part, f"{lead} (h w d) -> {lead} d h w", h=2, w=3) for part, lead in ((spread.weight, "into"), (spread.bias, "")))
    expected = F.conv_transpose2d(rearrange(tokens, "b (h w) d -> b d h w", h=3), kernel * 6**0.5, stride=(2, 3)) + bias.repeat(1, 3, 4)
    torch.testing.assert_close(spread(tokens, (3, 4)), expected.movedim(1, 3))


def test_trained_with_mse_the_linear_ways_become_pca_per_field():
    """Fields of twelve values, rotated, with a mean of their own; three numbers pass. The corrections stay at their start of zero."""
    values = torch.randn(16, 4, 4, 12) * 0.7 ** torch.arange(12.0) @ torch.linalg.qr(torch.randn(12, 12))[0] + torch.randn(12)
    tokens = rearrange(values, "b oh ow (fh fw d) -> b (oh fh) (ow fw) d", fh=2, fw=2)
    model = LearnedCompressor(3, (8, 8), (4, 4), num_layers=1, hidden=1)
    model.fit(tokens)
    units = model.scale(tokens)
    pca = PCAField.fit([units], (4, 4))
    best, pooled = (mse(grid, units).item() for grid in (pca.expand(pca(units)), model.scale(model.expand(model(tokens)))))
    whole, spread = model.compressor.whole, model.decoder.spread
    optimizer = torch.optim.LBFGS([whole.weight, *spread.parameters()], max_iter=150, line_search_fn="strong_wolfe", tolerance_change=0)

    def error() -> torch.Tensor:
        optimizer.zero_grad()
        lost = mse(spread(whole(units), (4, 4)), units)
        lost.backward()
        return lost

    optimizer.step(error)
    assert pooled > 10 * best and error().item() == pytest.approx(best, rel=1e-3)
    torch.testing.assert_close(model.scale(model.expand(model(tokens))), pca.expand(pca(units)), atol=0.02, rtol=0)


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: ConvDecoder(4, (24, 24), (5, 5)), "cannot be divided into 5 × 5"),
    (lambda: AttentionDecoder(4, num_layers=0), "num_layers must be at least 1, not 0"),
    (lambda: ConvDecoder(4, hidden=0), "hidden must be at least 1, not 0"),
    (lambda: LearnedCompressor(4, decoder_layers=0), "num_layers must be at least 1, not 0"),
    (lambda: ConvDecoder(4)(torch.randn(2, 35, 4)), r"takes 36 tokens of 4 numbers, not of shape \[35, 4\]"),
])
def test_bad_input(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call()


def test_a_zeroed_layer_says_nothing_and_can_learn():
    layer = torch.nn.Linear(3, 2)
    assert zeroed(layer) is layer and not layer(torch.randn(5, 3)).any()
    layer(torch.ones(1, 3)).sum().backward()
    assert layer.weight.grad.all() and layer.bias.grad.all()
