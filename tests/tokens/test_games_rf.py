"""Critics alone against compressors that do not learn: who they can tell from real tokens follows from what they see."""

import math

import pytest
import torch
from torch import nn

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import AveragePooling
from course_lib.tokens.compressor import Standard
from course_lib.tokens.critic_rf import RFCritic, compute_rf_gradient_penalty
from course_lib.tokens.fields import extract_rf_targets
from course_lib.tokens.games import FieldPick
from course_lib.tokens.games_rf import OtherField, OtherPicture, judge_rf, pair_of, penalty_of_pictures, slopes_rf, train_rf_critic

GRID = (2, 2)


class Linear(nn.Module):
    """w · token for every token."""

    sees = "token"

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, tokens, seen=None):
        return tokens @ self.w


def numbered(pictures=3, side=4, dim=2):
    """Every token holds the number of its picture and of its place."""
    picture = torch.arange(pictures).view(-1, 1, 1).expand(-1, side, side)
    place = torch.arange(side * side).view(1, side, side).expand(pictures, -1, -1)
    return torch.stack([picture, place], 3).float()


def world(pictures=64, seed=0):
    """Tokens (4, 4) whose first number is that of their field, the second that of their picture, and two of noise."""
    chance = torch.Generator().manual_seed(seed)
    field = torch.tensor([[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2).float().expand(pictures, -1, -1) - 1.5
    picture = torch.randn(pictures, 1, 1, generator=chance).expand(-1, 4, 4)
    return torch.stack([field, picture, *torch.randn(2, pictures, 4, 4, generator=chance)], 3)


@pytest.mark.parametrize("seed", range(4))
def test_tokens_of_another_field_are_real_and_each_fields_is_used_once(seed):
    torch.manual_seed(seed)
    tokens = numbered()
    passed = OtherField(GRID)(tokens)
    fields = extract_rf_targets(tokens, GRID)
    came = torch.tensor([[[bool((fields[b, m] == token).all(1).any()) for m in range(4)] for token in passed.tokens[b]] for b in range(3)])
    assert came.sum() == 12 and not came.diagonal(dim1=1, dim2=2).any() and (came.sum(1) == 1).all() and passed.bits == 0


def test_tokens_of_another_picture_are_of_the_same_field():
    tokens = numbered()
    passed = OtherPicture(GRID)(tokens)
    assert torch.equal(passed.tokens[..., 0], torch.tensor([2.0, 0, 1])[:, None].expand(-1, 4))
    for number in range(4):
        assert torch.isin(passed.tokens[:, number, 1], extract_rf_targets(tokens, GRID)[0, number, :, 1]).all()
    with pytest.raises(BadInput, match="a batch of one picture"):
        OtherPicture(GRID)(tokens[:1])
    with pytest.raises(BadInput, match="a picture of one field"):
        OtherField((1, 1))


def test_verdict_of_a_critic_that_is_known():
    tokens, scale = world(), Standard(4)
    scale.fit(tokens)
    critic = Linear(torch.tensor([0.5, 0.0, 0.0, 0.0]))
    found = judge_rf(critic, AveragePooling(GRID), scale, tokens)
    assert found.wasserstein == pytest.approx(0, abs=1e-5) and found.told_apart == 0.5 and found.floor == pytest.approx(0, abs=1e-5)
    assert found.slope == pytest.approx(0.5 * math.sqrt(4), rel=1e-4)
    torch.manual_seed(0)
    below = judge_rf(critic, OtherField(GRID), scale, tokens)
    assert below.wasserstein == pytest.approx(0, abs=1e-5)  # the same numbers, each in another place


@pytest.mark.parametrize(("player", "sees", "caught"), [
    (FieldPick, "mean", False), (OtherPicture, "position", False), (OtherPicture, "mean", True), (OtherField, "token", False), (OtherField, "position", True)])
def test_what_a_critic_sees_decides_whom_it_catches(player, sees, caught):
    tokens, held_out, scale = world(), world(128, 1), Standard(4)
    scale.fit(tokens)
    torch.manual_seed(0)
    critic = RFCritic(4, GRID, hidden=32, sees=sees)
    assert train_rf_critic(critic, player(GRID), scale, tokens, epochs=12, batch_size=16, lr=2e-2) is critic
    verdict = judge_rf(critic, player(GRID), scale, held_out)
    assert (verdict.told_apart > 0.6) == (verdict.wasserstein > 0.08) == caught, verdict


def test_one_norm_over_a_picture_asks_for_slopes_that_are_root_n_too_small():
    real, fake = torch.randn(5, 9, 4), torch.randn(5, 9, 4) + 1
    for length in (0.5, 1 / 3, 2.0):
        critic = Linear(length * torch.tensor([0.0, 0.6, 0.8, 0.0]))
        wrong = penalty_of_pictures(critic, real, fake)
        assert float(wrong.detach()) == pytest.approx((3 * length - 1) ** 2, abs=1e-5) and wrong.requires_grad
        assert float(compute_rf_gradient_penalty(critic, real, fake).detach()) == pytest.approx((length - 1) ** 2, abs=1e-5)
        assert float(penalty_of_pictures(critic, real, fake, unit=2.0).detach()) == pytest.approx((6 * length - 1) ** 2, abs=1e-4)


def test_slopes_are_those_of_each_token_and_what_is_seen_is_left_out():
    torch.manual_seed(0)
    tokens, scale = world(8), Standard(4)
    critic = RFCritic(4, GRID, hidden=8, sees="mean")
    found = slopes_rf(critic, pair_of(AveragePooling(GRID), scale, tokens, "mean"))
    assert found.shape == (8, 4) and not found.requires_grad
    torch.testing.assert_close(slopes_rf(Linear(torch.tensor([3.0, 0, 4, 0])), pair_of(AveragePooling(GRID), scale, tokens)), torch.full((8, 4), 10.0))
