"""The choice by a price against trying all choices, and what is rebuilt against each compressor by itself."""

import itertools
import math

import pytest
import torch

from course_lib.core.errors import BadInput
from course_lib.tokens.adaptive import Adaptive, choices, price_for
from course_lib.tokens.baselines import AveragePooling, Bilinear, PCAField
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.decoder_rf import RFCompressor
from course_lib.tokens.merging import owner_bits
from course_lib.tokens.metrics import coded_bits, quantised

GRID, DIM, OUT = (6, 12), 4, ((6, 12), (2, 4), (2, 2))


def some_tokens(batch=10, seed=0):
    """The left half of each picture is smooth, the right half rough."""
    chance = torch.Generator().manual_seed(seed)
    rough = torch.linspace(0.02, 1, GRID[1])[:, None]
    return torch.randn(batch, 1, 1, DIM, generator=chance) + rough * torch.randn(batch, *GRID, DIM, generator=chance) + 3


def pools():
    return [AveragePooling(size) for size in OUT]


@pytest.mark.parametrize("seed", range(5))
def test_no_other_choice_of_as_few_tokens_has_a_smaller_error(seed):
    chance = torch.Generator().manual_seed(seed)
    error = torch.rand(6, 3, generator=chance).sort(1).values
    cost = torch.tensor([4.0, 2.0, 1.0])
    units = torch.arange(6)
    for price in (0.0, 0.05, 0.1, 0.3, 2.0):
        chosen = choices(error, cost, price)
        best = min(float(error[units, torch.tensor(other)].sum()) for other in itertools.product(range(3), repeat=6)
                   if float(cost[torch.tensor(other)].sum()) <= float(cost[chosen].sum()))
        assert float(error[units, chosen].sum()) == pytest.approx(best)


def test_the_price_keeps_to_the_budget_and_no_lower_one_does():
    error, cost = torch.rand(40, 3, generator=torch.Generator().manual_seed(1)).sort(1).values * 50, torch.tensor([9.0, 4.0, 1.0])
    for budget in (1.0, 1.5, 4.0, 8.0):
        price = price_for(error, cost, budget)
        assert float(cost[choices(error, cost, price)].mean()) <= budget
        assert price == 0 or float(cost[choices(error, cost, price * (1 - 1e-6))].mean()) > budget
    assert price_for(error, cost, 9.0) == 0.0


@pytest.mark.parametrize("regions", [(1, 1), (1, 2), (2, 2)])
def test_each_region_is_that_of_its_compressor_and_all_is_counted(regions):
    tokens, compressors = some_tokens(), pools()
    model = Adaptive(compressors, GRID, DIM, regions).fit(some_tokens(30, 1).split(8), tokens=20)
    found = model(tokens, step=0.1)
    height, width = GRID[0] // regions[0], GRID[1] // regions[1]
    alone = [each.expand(each(tokens)._replace(tokens=quantised(each(tokens).tokens, 0.1) * 0.1)) for each in compressors]
    for b, r, c in itertools.product(range(10), range(regions[0]), range(regions[1])):
        here = b, slice(r * height, (r + 1) * height), slice(c * width, (c + 1) * width)
        assert torch.equal(found.rebuilt[here], alone[found.chosen[b, r, c]][here])
    per_region = [math.prod(size) // math.prod(regions) for size in OUT]
    assert found.tokens.tolist() == [sum(per_region[k] for k in picture.flatten().tolist()) for picture in found.chosen]
    assert found.side_bits == owner_bits(found.chosen.flatten(1), 3)
    bits = found.side_bits
    for k, each in enumerate(compressors):
        steps, owner = quantised(each(tokens).tokens, 0.1), each(tokens).owner
        sent = [steps[b, int(n)] for b in range(10) for n in owner[b][(found.chosen[b] == k).repeat_interleave(height, 0).repeat_interleave(width, 1)].unique()]
        bits += len(sent) * coded_bits(torch.stack(sent)) / 10 if sent else 0
    assert found.bits == pytest.approx(bits)
    assert model(tokens).bits is None


def test_the_rough_half_gets_the_tokens_and_equal_numbers_lose_less():
    training, tokens = some_tokens(60, 1), some_tokens(40, 2)
    model = Adaptive(pools(), GRID, DIM, (1, 2)).fit([training], tokens=40)
    found = model(tokens)
    assert float(found.tokens.float().mean()) == pytest.approx(40, abs=4)
    assert (found.chosen[:, 0, 1] == 0).float().mean() > 0.9 and (found.chosen[:, 0, 0] > 0).float().mean() > 0.9
    fixed = AveragePooling((6, 6))  # 36 tokens for every picture
    assert (found.rebuilt - tokens).square().sum() < 0.5 * (fixed.expand(fixed(tokens)) - tokens).square().sum()


def test_each_picture_is_coded_by_itself():
    tokens = some_tokens()
    model = Adaptive(pools(), GRID, DIM, (2, 2)).fit([some_tokens(30, 1)], tokens=20)
    whole, alone = model(tokens), model(tokens[[3]])
    assert torch.equal(whole.chosen[[3]], alone.chosen)
    torch.testing.assert_close(whole.rebuilt[[3]], alone.rebuilt)


def test_the_price_of_one_kind_of_compressor_alone_is_its_rate():
    model = Adaptive(pools(), GRID, DIM)
    model.price = 1e9
    assert model(some_tokens()).tokens.tolist() == [4] * 10
    model.price = 0.0
    found = model(some_tokens())
    assert found.tokens.tolist() == [72] * 10 and torch.equal(found.rebuilt, some_tokens()) and found.chosen.shape == (10, 1, 1)


def test_only_who_stays_inside_a_region_may_share_a_picture():
    training = some_tokens(40)
    for make in (lambda size: PCAField.fit([training], size), lambda size: PCAField.fit([training], size, per_field=True),
                 lambda size: RFCompressor(DIM, GRID, size, hidden=4)):
        Adaptive([make(size) for size in OUT[1:]], GRID, DIM, (2, 2))
    looks = [LearnedCompressor(DIM, GRID, size, hidden=4, use_attention=True) for size in OUT[1:]]
    for each in looks:
        torch.nn.init.normal_(each.decoder.out.weight)
    Adaptive(looks, GRID, DIM)
    with pytest.raises(BadInput, match="^LearnedCompressor rebuilds a region with tokens of others, which may not have been sent"):
        Adaptive(looks, GRID, DIM, (2, 2))
    with pytest.raises(BadInput, match="^Bilinear rebuilds a region with tokens of others"):
        Adaptive([Bilinear((6, 12)), Bilinear((2, 4))], GRID, DIM, (2, 2))


def test_bad_input():
    with pytest.raises(BadInput, match="^to choose needs at least two compressors, not 1.$"):
        Adaptive(pools()[:1], GRID, DIM)
    with pytest.raises(BadInput, match="^give the compressors from the one that passes most"):
        Adaptive(pools()[::-1], GRID, DIM)
    with pytest.raises(BadInput, match="^2 × 4 tokens for 6 × 12 places cannot be parted into 3 × 3 regions.$"):
        Adaptive(pools(), GRID, DIM, (3, 3))
    with pytest.raises(BadInput, match="^a budget of 1 is less than the cheapest choice costs, 4.$"):
        Adaptive(pools(), GRID, DIM).fit([some_tokens()], tokens=1)
    with pytest.raises(BadInput, match="^an error is not a finite number"):
        price_for(torch.tensor([[0.0, float("nan")]]), torch.tensor([2.0, 1.0]), 1.0)
