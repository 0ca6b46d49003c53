"""The convolutional compressor: average pooling at first, and every option has its effect."""

import pytest
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Compressed, Compressor, ConvCompressor, Standard, Whole, factors, owners


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def stirred(model: torch.nn.Module) -> torch.nn.Module:
    """With every parameter moved, so that no layer is at its start of zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def means(tokens: Tensor, output: tuple[int, int]) -> Tensor:
    return F.adaptive_avg_pool2d(tokens.movedim(3, 1), output).flatten(2).mT


def count(**changes) -> int:
    return sum(p.numel() for p in ConvCompressor(**{"dim": 6, "grid": (24, 24), "hidden": 5, **changes}).parameters())


@pytest.mark.parametrize("output", [4, 6, 8, 12, 24, 1, 2, 3])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_untrained_it_is_average_pooling_at_every_divisor(output, num_layers):
    tokens = torch.randn(2, 24, 24, 5)
    compressed = ConvCompressor(5, output_grid=(output, output), num_layers=num_layers)(tokens)
    assert compressed.tokens.shape == (2, output**2, 5) and compressed.bits == 0.0
    torch.testing.assert_close(compressed.tokens, means(tokens, (output, output)))


def test_grids_need_not_be_square():
    model, tokens = stirred(ConvCompressor(4, grid=(6, 20), output_grid=(3, 4))), torch.randn(3, 6, 20, 4)
    compressed = model(tokens)
    assert compressed.tokens.shape == (3, 12, 4) and compressed.owner.shape == (3, 6, 20)
    put_back = Compressor.expand(model, compressed)
    blocks = rearrange(put_back, "b (h p) (w q) d -> b (h w) (p q) d", h=3, w=4)
    torch.testing.assert_close(blocks, compressed.tokens[:, :, None].expand(-1, -1, 10, -1))


def test_the_owner_of_a_place_is_its_field():
    owner = owners((6, 4), (2, 2))
    assert owner.tolist() == [[0, 0, 1, 1]] * 3 + [[2, 2, 3, 3]] * 3
    assert owners((24, 24), (24, 24)).flatten().tolist() == list(range(576))


@pytest.mark.parametrize(("field", "stages", "expected"), [
    ((4, 4), 3, [(2, 2), (2, 2), (1, 1)]), ((3, 3), 3, [(3, 3), (1, 1), (1, 1)]), ((6, 6), 3, [(3, 3), (2, 2), (1, 1)]),
    ((2, 2), 1, [(2, 2)]), ((12, 5), 2, [(3, 5), (4, 1)]), ((1, 1), 2, [(1, 1), (1, 1)])])
def test_stages_share_out_the_factor(field, stages, expected):
    assert factors(field, stages) == expected


@pytest.mark.parametrize(("output", "num_layers"), [((6, 6), 1), ((6, 6), 2), ((6, 6), 3), ((8, 8), 3), ((4, 4), 2)])
def test_more_layers_see_more_and_exactly_this_much(output, num_layers):
    """Receptive field r ← r + (kernel − 1) · (product of the strides before), against the gradient of a token in the middle."""
    model = stirred(ConvCompressor(3, grid=(48, 48), output_grid=(2 * output[0], 2 * output[1]), num_layers=num_layers).double())
    sees, stride = 1, 1
    for factor, _ in factors((24 // output[0],) * 2, num_layers):
        sees, stride = sees + (factor + 1) * stride, stride * factor
    tokens = torch.randn(1, 48, 48, 3, dtype=torch.float64, requires_grad=True)
    middle = 2 * output[0] * output[1] + output[1]
    seen = torch.autograd.grad(model(tokens).tokens[0, middle].sum(), tokens)[0].abs().sum((0, 3)) > 0
    assert seen.any(0).sum() == seen.any(1).sum() == sees and seen.sum() == sees**2 and sees > 24 // output[0]


def test_every_option_has_its_effect_on_what_is_learned():
    widths, kernel = (6 * 5 + 5 * 5), 16
    one_stage, linear = 5 * 5 * kernel + 5 + 5 * 5 + 5, 6 * 6 * (16 - 4)  # one of 2 · 2 more; four times the field
    assert count(num_layers=2) - count(num_layers=1, output_grid=(12, 12)) == one_stage + linear
    assert count() - count(use_residual=False) == 6 * 5 + 5 + 6 * 16 * 6  # the skip path where the widths differ, and the linear one
    assert count(hidden=6) - count(hidden=6, use_residual=False) == 6 * 16 * 6
    assert count(hidden=None) == count(hidden=6) > count(hidden=5)
    first = ConvCompressor(6, hidden=5, num_layers=3).stages[0].look.weight
    assert first.numel() == widths // 11 * 6 * kernel


def test_without_residual_no_mean_gets_past_the_convolutions():
    """A constant added to all tokens is added to all compressed tokens by a skip path, and by nothing else while W' is 0."""
    tokens = torch.randn(2, 24, 24, 4)
    for use_residual in (True, False):
        model = ConvCompressor(4, use_residual=use_residual)
        torch.nn.init.zeros_(model.out.weight), torch.nn.init.zeros_(model.out.bias)
        shift = model(tokens + 3).tokens - model(tokens).tokens
        torch.testing.assert_close(shift, torch.full_like(shift, 3.0 if use_residual else 0.0))
        stages = stirred(model).stages
        with torch.no_grad():
            for stage in stages:
                stage.mix.weight.zero_(), stage.mix.bias.zero_()
            assert (model(tokens).tokens.var(1) > 1e-3).any() == use_residual


def test_the_linear_way_is_a_convolution_whose_kernel_is_its_stride():
    whole, tokens = stirred(Whole(5, (2, 3))), torch.randn(2, 6, 12, 5)
    kernel = rearrange(whole.weight, "out (h w into) -> out into h w", h=2, w=3) / 6**0.5
    expected = F.conv2d(tokens.movedim(3, 1), kernel, stride=(2, 3))
    torch.testing.assert_close(whole(tokens), expected.flatten(2).mT)
    weight = Whole(5, (2, 3)).weight
    torch.testing.assert_close(weight @ weight.mT, torch.eye(5))


def test_it_does_not_matter_in_what_units_clip_speaks():
    """With its statistics, the compressor of scaled and shifted tokens is the scaled and shifted compressor."""
    model, tokens = stirred(ConvCompressor(4)), torch.randn(3, 24, 24, 4)
    gain, shift = torch.tensor([100.0, 1.0, 0.01, 7.0]), torch.tensor([0.0, 50.0, -1.0, 3.0])
    model.scale.fit(tokens)
    before = model(tokens).tokens
    model.scale.fit(tokens * gain + shift)
    torch.testing.assert_close(model(tokens * gain + shift).tokens, before * gain + shift, rtol=1e-4, atol=1e-4)


def test_statistics_are_those_of_the_channels_and_part_of_the_weights():
    scale, tokens = Standard(3), torch.randn(5, 4, 2, 3) * torch.tensor([1.0, 20.0, 0.0]) + torch.tensor([3.0, 0.0, 8.0])
    scale.fit(tokens)
    units = scale(tokens)
    torch.testing.assert_close(units.mean((0, 1, 2)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(units.std((0, 1, 2), correction=0), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(scale.back(units), tokens)
    assert set(scale.state_dict()) == {"mean", "std"} and not list(scale.parameters())


def test_every_parameter_learns():
    model, tokens = stirred(ConvCompressor(4, hidden=6)), torch.randn(2, 24, 24, 4)
    model(tokens).tokens.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_a_compressor_that_says_nothing_else_puts_tokens_back():
    compressed = Compressed(torch.arange(3.0)[None, :, None], torch.tensor([[[2, 0], [1, 1]]]), 5.0)
    assert Compressor().expand(compressed).tolist() == [[[[2.0], [0.0]], [[1.0], [1.0]]]]


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"output_grid": (5, 6)}, r"a grid of 24 × 24 tokens cannot be divided into 5 × 6 equal fields; choose divisors"),
    ({"output_grid": (6, 7)}, "cannot be divided into 6 × 7"),
    ({"output_grid": (0, 6)}, "cannot be divided into 0 × 6"),
    ({"output_grid": (48, 48)}, "cannot be divided into 48 × 48"),
    ({"num_layers": 0}, "must be at least 1, not 4, 0"),
    ({"hidden": 0}, "must be at least 1, not 4, 3 and 0"),
])
def test_bad_settings(changes, sentence):
    with pytest.raises(BadInput, match=sentence):
        ConvCompressor(4, **changes)


@pytest.mark.parametrize("shape", [(2, 12, 24, 4), (2, 24, 24, 5)])
def test_tokens_of_another_clip(shape):
    with pytest.raises(BadInput, match="takes grids of 24 × 24 tokens of 4 numbers, not of shape"):
        ConvCompressor(4)(torch.randn(shape))
