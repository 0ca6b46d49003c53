"""The single token of the theorem: it reaches R, nothing else does better, and climbing finds it."""

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import AveragePooling, StridedPick
from course_lib.tokens.decoder_rf import RFCompressor
from course_lib.tokens.fields import field_resultant
from course_lib.tokens.metrics import field_cosine
from course_lib.tokens.single import MeanDirection, PutBack, best_direction


def tokens(*shape, seed=0, shift=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.mark.parametrize(("grid", "output"), [((6, 6), (3, 2)), ((4, 10), (2, 5)), ((3, 3), (1, 1)), ((2, 2), (2, 2))])
def test_the_direction_of_the_mean_of_unit_tokens_reaches_the_ceiling_and_others_stay_below(grid, output):
    x = tokens(2, *grid, 7) * torch.linspace(0.2, 4, 2 * grid[0] * grid[1]).view(2, *grid, 1)  # of unequal lengths
    ceiling, reached = field_resultant(x, output), {}
    for model in (MeanDirection(output), AveragePooling(output), StridedPick(output)):
        passed = model(x)
        reached[type(model)] = field_cosine(model.expand(passed), x, output)
        assert passed.bits == 0 and passed.tokens.shape == (2, output[0] * output[1], 7)
        assert (reached[type(model)] <= ceiling + 1e-5).all()
    torch.testing.assert_close(reached[MeanDirection], ceiling, atol=1e-5, rtol=0)
    if grid != output:
        assert (reached[StridedPick] < ceiling - 1e-3).all() and (reached[AveragePooling] < ceiling).any()


def test_length_is_the_mean_length_of_the_field_and_scales_with_the_tokens():
    x = tokens(1, 4, 4, 5)
    passed = MeanDirection((2, 2))(x).tokens
    fields = x.unflatten(1, (2, 2)).unflatten(3, (2, 2)).permute(0, 1, 3, 2, 4, 5).reshape(1, 4, 4, 5)
    torch.testing.assert_close(passed.norm(dim=2), fields.norm(dim=3).mean(2))
    torch.testing.assert_close(MeanDirection((2, 2))(3 * x).tokens, 3 * passed)


def test_tokens_that_cancel_have_no_direction():
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).view(1, 1, 2, 2)
    assert MeanDirection((1, 1))(x).tokens.abs().max() < 1e-6


def test_climbing_from_anywhere_ends_at_the_direction_of_the_mean():
    field = tokens(16, 9, seed=3, shift=0.5) * torch.linspace(0.1, 3, 16)[:, None]
    before = torch.get_rng_state()
    found = best_direction(field)
    wanted = normalize(normalize(field, dim=1).mean(0), dim=0)
    assert float(cosine_similarity(found, wanted, dim=0)) > 0.9999 and torch.equal(before, torch.get_rng_state())
    ceiling = float(field_resultant(field.view(1, 4, 4, 9), (1, 1)))
    assert float((normalize(field, dim=1) @ found).mean()) == pytest.approx(ceiling, abs=1e-3)


def test_put_back_repeats_the_tokens_whatever_the_decoder_would_write():
    model = RFCompressor(3, (4, 4), (2, 2), num_layers=1, hidden=4)
    torch.nn.init.normal_(model.decoder.spread.bias)
    x = tokens(2, 4, 4, 3)
    with torch.no_grad():
        passed = model(x)
        back = PutBack(model).expand(PutBack(model)(x))
        assert not torch.allclose(back, model.expand(passed))
    torch.testing.assert_close(back, passed.tokens.view(2, 2, 2, 3).repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert PutBack(model).output_grid == (2, 2) and PutBack(model).takes == "tokens"


def test_grids_that_do_not_nest():
    with pytest.raises(BadInput, match="cannot be divided into 4 × 4 equal fields"):
        MeanDirection((4, 4))(tokens(1, 6, 6, 3))
