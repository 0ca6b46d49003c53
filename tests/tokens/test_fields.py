"""Receptive fields: their places, one token of each, all of each; what a single token can reach; and what tokens really depend on."""

import pytest
import scipy.stats
import torch
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import AveragePooling, Downsampled, MeanToken, RandomPick, StridedPick
from course_lib.tokens.compressor import Compressor, ConvCompressor, owners
from course_lib.tokens.fields import (assemble_rf, extract_rf_targets, field_resultant, field_size, get_rf_indices, measured_receptive_field,
                                      sample_rf_tokens)
from course_lib.tokens.metrics import field_cosine

PAIRS = pytest.mark.parametrize(("grid", "output"), [((24, 24), (6, 6)), ((24, 24), (4, 4)), ((24, 24), (8, 8)), ((24, 24), (12, 12)),
                                                     ((6, 20), (3, 4)), ((12, 8), (2, 8)), ((5, 7), (5, 7)), ((5, 7), (1, 1)), ((1, 9), (1, 3))])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@PAIRS
def test_every_place_is_in_one_field_and_it_is_its_owners(grid, output):
    where, owner = get_rf_indices(grid, output), owners(grid, output).flatten()
    assert where.shape == (output[0] * output[1], owner.numel() // (output[0] * output[1]))
    assert torch.equal(where.flatten().sort().values, torch.arange(owner.numel()))
    assert torch.equal(owner[where], torch.arange(len(where))[:, None].expand(where.shape))
    assert (where.diff(dim=1) > 0).all()  # within a field row by row


@PAIRS
def test_targets_are_the_tokens_at_these_places_and_can_be_put_back(grid, output):
    tokens = torch.randn(2, *grid, 3)
    targets = extract_rf_targets(tokens, output)
    assert torch.equal(targets, tokens.flatten(1, 2)[:, get_rf_indices(grid, output)])
    assert torch.equal(assemble_rf(targets, grid, output), tokens)
    assert targets.shape[2] == field_size(grid, output)[0] * field_size(grid, output)[1]


def test_a_field_is_a_rectangle_of_the_picture():
    where = get_rf_indices((4, 6), (2, 2))
    assert where.tolist() == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11], [12, 13, 14, 18, 19, 20], [15, 16, 17, 21, 22, 23]]


@PAIRS
def test_samples_are_of_their_own_field(grid, output):
    places = torch.arange(grid[0] * grid[1], dtype=torch.float32).view(1, *grid, 1).expand(5, -1, -1, -1)
    chosen = sample_rf_tokens(places, output)[..., 0].long()
    assert torch.equal(owners(grid, output).flatten()[chosen], torch.arange(output[0] * output[1]).expand(5, -1))


def test_samples_are_uniform_and_fields_and_pictures_draw_for_themselves():
    grid, output, many = (6, 8), (3, 2), 4000
    places = torch.arange(48.0).view(1, *grid, 1).expand(many, -1, -1, -1)
    chosen = sample_rf_tokens(places, output)[..., 0]  # (many, 6)
    rank = (chosen[..., None] == get_rf_indices(grid, output)).int().argmax(2)  # which of the 8 of its field
    for one in rank.T:
        assert scipy.stats.chisquare(one.bincount(minlength=8)).pvalue > 1e-4
    for one, other in ((rank[:, 0], rank[:, 1]), (rank[:, 2], rank[:, 5]), (rank[:-1, 3], rank[1:, 3])):  # two fields; two pictures
        assert scipy.stats.chisquare((8 * one + other).bincount(minlength=64)).pvalue > 1e-4


def test_the_same_seed_draws_the_same_and_nothing_else_is_disturbed():
    tokens = torch.randn(8, 6, 6, 4)

    def draw(number: int) -> torch.Tensor:
        return sample_rf_tokens(tokens, (2, 2), torch.Generator().manual_seed(number))

    before = torch.get_rng_state()
    assert torch.equal(draw(3), draw(3)) and not torch.equal(draw(3), draw(4)) and torch.equal(before, torch.get_rng_state())
    assert torch.equal(sample_rf_tokens(tokens, (6, 6)), tokens.flatten(1, 2))  # a field of one token has no choice
    turned = tokens.transpose(1, 2)  # a grid that is no block of memory
    assert torch.equal(sample_rf_tokens(turned, (2, 2), torch.Generator().manual_seed(1)),
                       sample_rf_tokens(turned.contiguous(), (2, 2), torch.Generator().manual_seed(1)))


def test_samples_have_the_gradients_of_the_tokens_that_were_chosen():
    tokens = torch.randn(2, 4, 4, 3, requires_grad=True)
    sample_rf_tokens(tokens, (2, 2)).sum().backward()
    assert torch.equal(extract_rf_targets(tokens.grad, (2, 2)).sum(2), torch.ones(2, 4, 3))


@PAIRS
def test_resultant_is_the_length_of_the_mean_unit_token(grid, output):
    tokens = torch.randn(3, *grid, 5) + 0.5
    expected = F.normalize(extract_rf_targets(tokens, output), dim=-1).mean(2).norm(dim=-1)
    torch.testing.assert_close(field_resultant(tokens, output).flatten(1), expected)
    torch.testing.assert_close(field_resultant(tokens * torch.rand(3, *grid, 1).add(0.1), output).flatten(1), expected)  # lengths do not matter
    if grid == output:
        torch.testing.assert_close(expected, torch.ones_like(expected))


def test_no_single_token_is_nearer_to_its_field_than_r_and_the_mean_direction_is_as_near():
    tokens, output = torch.randn(4, 8, 12, 6) + 0.3, (4, 3)
    ceiling = field_resultant(tokens, output)
    units = F.normalize(extract_rf_targets(tokens, output), dim=-1)

    def reached(single: torch.Tensor) -> torch.Tensor:  # (4, 12, 6): put at every place of its field
        owner = owners((8, 12), output)
        return field_cosine(single[:, owner], tokens, output)

    torch.testing.assert_close(reached(units.mean(2)), ceiling)
    for single in (*torch.randn(50, 4, 12, 6), *extract_rf_targets(tokens, output).unbind(2), *(units.mean(2) + 0.05 * torch.randn(50, 4, 12, 6))):
        assert (reached(single) <= ceiling + 1e-6).all()
    pooled = reached(AveragePooling(output)(tokens).tokens)  # the mean of tokens, not of unit tokens: near, and not above
    assert (pooled <= ceiling + 1e-6).all() and (pooled < ceiling - 1e-4).any()


def test_opposite_tokens_cancel_and_a_token_of_length_zero_adds_nothing():
    tokens = torch.tensor([[2.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).view(1, 1, 4, 2)
    torch.testing.assert_close(field_resultant(tokens, (1, 2)), torch.tensor([[[0.0, 0.5]]]))


@pytest.mark.parametrize(("grid", "output"), [((8, 8), (2, 2)), ((6, 9), (2, 3))])
def test_average_pooling_sees_its_field_and_nothing_else(grid, output):
    found = measured_receptive_field(AveragePooling(output), torch.randn(2, *grid, 5))
    inside = owners(grid, output) == torch.arange(output[0] * output[1])[:, None, None]
    torch.testing.assert_close(found.share, inside / inside.sum((1, 2), keepdim=True))
    torch.testing.assert_close(found.inside, torch.ones(len(inside)))


def test_a_pick_sees_one_place():
    for compressor in (StridedPick((2, 2)), RandomPick((2, 2))):
        found = measured_receptive_field(compressor, torch.randn(1, 4, 4, 3))
        torch.testing.assert_close(found.share.flatten(1).amax(1), torch.ones(4))
        torch.testing.assert_close(found.inside, torch.ones(4))


def stirred(output: tuple[int, int], layers: int) -> ConvCompressor:
    model = ConvCompressor(4, (12, 12), output, layers, use_residual=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def test_convolutions_see_more_than_their_field_and_more_stages_see_further():
    tokens, owner = torch.randn(3, 12, 12, 4), owners((12, 12), (3, 3))
    one, three = (measured_receptive_field(stirred((3, 3), layers), tokens) for layers in (1, 3))
    for found in (one, three):
        torch.testing.assert_close(found.share.sum((1, 2)), torch.ones(9))
        torch.testing.assert_close(found.inside, (found.share * (owner == torch.arange(9)[:, None, None])).sum((1, 2)))
        assert (found.inside < 0.95).all()
    assert ((one.share[4] > 0).nonzero().aminmax(dim=0).min.tolist(), (one.share[4] > 0).sum()) == ([3, 3], 36)  # a field and one place around
    assert (three.share[4] > 0).sum() > 36


def test_random_directions_measure_the_whole_derivative():
    model, tokens = stirred((3, 3), 2), torch.randn(1, 12, 12, 4)
    whole = torch.autograd.functional.jacobian(lambda x: model(x).tokens[0], tokens).square().sum((1, 2, 5))  # (9, 12, 12)
    many = torch.stack([measured_receptive_field(model, tokens, seed=seed).inside for seed in range(30)]).mean(0)
    exact = (whole / whole.sum((1, 2), keepdim=True) * (owners((12, 12), (3, 3)) == torch.arange(9)[:, None, None])).sum((1, 2))
    torch.testing.assert_close(many, exact, atol=0.05, rtol=0)


def test_units_of_the_channels_count():
    """A loud channel that is pooled and a quiet one that is picked: in its own units the quiet one has its say."""
    class Half(Compressor):
        output_grid = (1, 1)

        def forward(self, tokens):
            pooled, picked = AveragePooling((1, 1))(tokens), StridedPick((1, 1), (0, 0))(tokens)
            return pooled._replace(tokens=pooled.tokens * torch.tensor([1.0, 0.0]) + picked.tokens * torch.tensor([0.0, 1.0]))

    tokens = torch.randn(1, 2, 2, 2)
    quiet, loud = (measured_receptive_field(Half(), tokens, std=torch.tensor(std)).share[0, 0, 0] for std in ([1.0, 1e-3], [1e-3, 1.0]))
    assert quiet < 0.3 and loud > 0.99


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: get_rf_indices((24, 24), (5, 5)), "24 × 24 tokens cannot be divided into 5 × 5 equal fields"),
    (lambda: sample_rf_tokens(torch.randn(1, 6, 6, 2), (4, 6)), "cannot be divided into 4 × 6"),
    (lambda: extract_rf_targets(torch.randn(1, 6, 6, 2), (12, 12)), "cannot be divided into 12 × 12"),
    (lambda: field_resultant(torch.randn(1, 6, 6, 2), (0, 6)), "cannot be divided into 0 × 6"),
    (lambda: assemble_rf(torch.randn(1, 4, 9, 2), (6, 6), (3, 3)), "has 9 fields of 4 tokens, not 4 of 9"),
    (lambda: measured_receptive_field(MeanToken(2), torch.randn(1, 4, 4, 2)), "MeanToken lets no token pass"),
    (lambda: measured_receptive_field(Downsampled(torch.nn.Identity(), (2, 2)), torch.randn(1, 4, 4, 2)), "Downsampled takes pixels"),
])
def test_bad_input(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call()


def test_tokens_that_depend_on_nothing_are_named():
    class Blind(Compressor):
        def forward(self, tokens):
            return AveragePooling((2, 2))(tokens * torch.tensor([[0.0, 1.0], [1.0, 1.0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)[..., None])

    with pytest.raises(BadInput, match="compressed token 0 depends on no token"):
        measured_receptive_field(Blind(), torch.randn(1, 4, 4, 2))

    class Frozen(Compressor):
        def forward(self, tokens):
            return AveragePooling((2, 2))(tokens.detach())

    with pytest.raises(BadInput, match="Frozen gives tokens without gradients"):
        measured_receptive_field(Frozen(), torch.randn(1, 4, 4, 2))
