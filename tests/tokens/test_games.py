"""Critics alone: the fair game cannot be won, the unfair one is, and a verdict is what it says."""

import pytest
import torch
from torch import nn

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import AveragePooling
from course_lib.tokens.compressor import Compressor, Standard
from course_lib.tokens.critic import ConvCritic
from course_lib.tokens.fields import extract_rf_targets
from course_lib.tokens.games import FieldPick, distinct, judge, sides, slopes, train_critic
from course_lib.tokens.losses import BUGS

CHANCE = torch.Generator().manual_seed(0)
TOKENS = torch.randn(96, 8, 12, 6, generator=CHANCE) + torch.randn(96, 1, 1, 6, generator=CHANCE)
SCALE = Standard(6)
SCALE.fit(TOKENS)


class Linear(nn.Module):
    """c(grid) = w · grid / √numbers: its slope is ‖w‖ everywhere, in the unit of `slopes`."""

    def __init__(self, length: float):
        super().__init__()
        w = torch.randn(8, 12, 6, generator=torch.Generator().manual_seed(1))
        self.w = nn.Parameter(length * w / w.norm())

    def forward(self, grid):
        return (grid * self.w).sum((1, 2, 3)) / grid[0].numel() ** 0.5


def test_a_field_pick_takes_a_token_of_each_field_and_every_one_in_time():
    torch.manual_seed(0)
    model, fields = FieldPick((2, 3)), extract_rf_targets(TOKENS[:4], (2, 3))  # (b, n, field, d)
    seen = torch.zeros(fields.shape[:3], dtype=torch.bool)
    for _ in range(120):
        found = model(TOKENS[:4])
        here = (fields == found.tokens[:, :, None]).all(3)
        assert (here.sum(2) == 1).all() and found.bits == 0
        seen |= here
    assert seen.all()
    back = model.expand(found)
    assert torch.equal(extract_rf_targets(back, (2, 3)), found.tokens[:, :, None].expand_as(fields))


@pytest.mark.parametrize("game", ["pick", "put_back"])
def test_sides_are_standardised_grids_of_one_size(game):
    real, fake = sides(game, AveragePooling((4, 4)), SCALE)(TOKENS)
    assert real.shape == fake.shape == ((96, 4, 4, 6) if game == "pick" else TOKENS.shape)
    assert not fake.requires_grad
    if game == "put_back":
        torch.testing.assert_close(real, SCALE(TOKENS))
        model = AveragePooling((4, 4))
        torch.testing.assert_close(fake, SCALE(Compressor.expand(model, model(TOKENS))))


def test_a_verdict_is_that_of_the_critic():
    shown, critic = sides("put_back", AveragePooling((4, 4)), SCALE), Linear(2.5)
    found = judge(critic, shown, TOKENS)
    real, fake = shown(TOKENS)
    a, b, c = (torch.einsum("bhwd,hwd->b", x, critic.w.detach()) / 576**0.5 for x in (real[:48], fake[:48], real[48:]))
    assert found.wasserstein == pytest.approx(float(a.mean() - b.mean()), abs=1e-5)
    assert found.floor == pytest.approx(abs(float(a.mean() - c.mean())), abs=1e-5)
    assert found.told_apart == pytest.approx(sum(float(x > y) for x in a for y in b) / 48**2, abs=1e-3)
    assert found.slope == pytest.approx(2.5, abs=1e-4)
    torch.testing.assert_close(slopes(critic, real, fake), torch.full((96,), 2.5))


def test_copies_of_real_tokens_win_the_fair_game_and_lose_the_unfair_one():
    """Both times the same compressor, which gives real tokens only; the critic of "put_back" needs a few steps."""
    found = {}
    for game in ("pick", "put_back"):
        torch.manual_seed(0)
        shown = sides(game, FieldPick((2, 3)), SCALE)
        found[game] = judge(train_critic(ConvCritic(6, hidden=16), shown, TOKENS, epochs=6, lr=1e-2), shown, TOKENS)
    assert abs(found["pick"].told_apart - 0.5) < 0.13 and found["put_back"].told_apart > 0.8


def test_the_penalty_holds_the_slope_and_a_bug_lets_go():
    slopes_found = {}
    shown = sides("pick", AveragePooling((2, 3)), SCALE)
    for name, bug in {"sound": {}, "buggy": BUGS["norm over one axis"]}.items():
        torch.manual_seed(0)
        slopes_found[name] = judge(train_critic(ConvCritic(6, hidden=16), shown, TOKENS, epochs=4, lr=1e-2, **bug), shown, TOKENS).slope
    assert 0.6 < slopes_found["sound"] < 1.4 < 2 < slopes_found["buggy"]


def test_distinct_counts_neighbours():
    model = AveragePooling((2, 3))  # fields of 4 × 4: of 11 pairs of neighbours in a row two cross a border
    assert torch.equal(distinct(TOKENS), torch.ones(96))
    torch.testing.assert_close(distinct(Compressor.expand(model, model(TOKENS))), torch.full((96,), 2 / 11))


def test_the_seed_decides():
    shown = sides("pick", AveragePooling((2, 3)), SCALE)
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        weights.append(train_critic(ConvCritic(6, hidden=8), shown, TOKENS[:32], epochs=1, seed=seed).value.weight.detach().clone())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_bad_input():
    with pytest.raises(BadInput, match="at least 2 pictures, not 1"):
        judge(Linear(1.0), sides("put_back", AveragePooling((4, 4)), SCALE), TOKENS[:1])
    with pytest.raises(BadInput, match="game must be one of"):
        sides("chess", AveragePooling((4, 4)), SCALE)(TOKENS)
