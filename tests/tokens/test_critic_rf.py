"""The paired critic: single tokens, penalised one by one; who can fool it, by what it sees; and what dropout does to its penalty."""

import pytest
import torch
from torch import Tensor, nn

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Grid
from course_lib.tokens.critic_rf import SEES, RFCritic, RFPair, compute_rf_gradient_penalty, rf_critic_loss, rf_generator_loss, rf_opponents
from course_lib.tokens.fields import extract_rf_targets
from course_lib.tokens.losses import gradient_penalty

ALL = pytest.mark.parametrize("sees", SEES)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pair_for(sees: str, batch: int = 5, n: int = 6, dim: int = 4) -> RFPair:
    return RFPair(torch.randn(batch, n, dim), torch.randn(batch, n, dim) + 1, torch.randn(batch, n, dim) if sees == "mean" else None)


@ALL
def test_a_value_depends_on_its_own_token_alone(sees):
    critic, pair = RFCritic(4, (2, 3), hidden=8, num_layers=3, sees=sees), pair_for(sees)
    tokens = pair.real.requires_grad_()
    values = critic(tokens, pair.seen)
    assert values.shape == (5, 6)
    (gradient,) = torch.autograd.grad(values[2, 4], tokens)
    alone = torch.zeros(5, 6)
    alone[2, 4] = 1
    assert torch.equal((gradient.abs().sum(2) > 0).float(), alone)


@ALL
def test_every_parameter_learns(sees):
    critic = RFCritic(4, (2, 3), hidden=8, num_layers=3, sees=sees)
    rf_critic_loss(critic, pair_for(sees)).loss.backward()
    assert [name for name, p in critic.named_parameters() if not p.grad.abs().sum() > 1e-9] == ["value.bias"]  # a constant is no judgement


def test_what_it_sees_matters_and_only_that():
    tokens = torch.randn(2, 6, 4)
    turned = tokens.flip(1)
    token, position, mean = (RFCritic(4, (2, 3), hidden=8, sees=sees) for sees in SEES)
    torch.testing.assert_close(token(turned), token(tokens).flip(1))
    assert not torch.allclose(position(turned), position(tokens).flip(1))
    assert not torch.allclose(mean(tokens, tokens), mean(tokens, turned))
    torch.testing.assert_close(mean(turned, turned), mean(tokens, tokens).flip(1))


def test_the_penalty_is_that_of_single_tokens_with_an_alpha_for_each_pair():
    critic, pair, shown = RFCritic(4, hidden=8), pair_for("token"), []

    def watched(x: Tensor) -> Tensor:
        shown.append(x.detach())
        return critic(x)

    found = compute_rf_gradient_penalty(watched, pair.real, pair.fake, unit=2.0)
    alpha = (shown[0] - pair.fake) / (pair.real - pair.fake)  # (batch, n, dim)
    torch.testing.assert_close(alpha, alpha[..., :1].expand_as(alpha), atol=1e-3, rtol=0)
    assert alpha[..., 0].flatten().unique().numel() == 30 and 0 <= alpha.min() + 1e-3 and alpha.max() <= 1 + 1e-3
    gradient = torch.autograd.functional.jacobian(lambda x: critic(x).sum(), shown[0])  # by another way: fields do not mix
    torch.testing.assert_close(found, (2 * gradient.square().sum(-1).sqrt() - 1).square().mean())


@ALL
def test_a_linear_critic_of_slope_one_pays_nothing_and_of_slope_two_one(sees):
    """The norm over all n tokens of a picture would be √n and 2 √n."""
    class Slope(nn.Module):
        def forward(self, tokens, seen=None):
            return k * tokens[..., 0] + (0 if seen is None else 7 * seen[..., 1])  # what is seen beside is free

    pair = pair_for(sees)
    for k in (1.0, 2.0):
        torch.testing.assert_close(compute_rf_gradient_penalty(Slope(), *pair), torch.tensor((k - 1) ** 2))
    at_once = gradient_penalty(lambda x: Slope()(x).sum(1), pair.real, pair.fake)
    torch.testing.assert_close(at_once, torch.tensor((2 * 6**0.5 - 1) ** 2))


def test_the_penalty_is_taken_in_float32():
    critic, pair = RFCritic(4, hidden=8), pair_for("mean")
    seeing = RFCritic(4, hidden=8, sees="mean")
    with torch.autocast("cpu", torch.bfloat16):
        for judge, beside in ((critic, None), (seeing, pair.seen.bfloat16())):
            torch.manual_seed(1)
            half = compute_rf_gradient_penalty(judge, pair.real.bfloat16(), pair.fake.bfloat16(), beside)
            assert half.dtype == torch.float32
            torch.manual_seed(1)
            with torch.autocast("cpu", enabled=False):
                rounded = [None if x is None else x.bfloat16().float() for x in (pair.real, pair.fake, beside)]
                assert torch.equal(half, compute_rf_gradient_penalty(judge, *rounded))


@ALL
def test_losses_are_the_formulas(sees):
    critic, pair = RFCritic(4, (2, 3), hidden=8, sees=sees), pair_for(sees)
    values = [critic(x, pair.seen).mean() for x in pair[:2]]
    torch.manual_seed(3)
    found = rf_critic_loss(critic, pair, lambda_gp=7.0, unit=2.0)
    torch.manual_seed(3)
    torch.testing.assert_close(found.penalty, compute_rf_gradient_penalty(critic, *pair, unit=2.0))
    torch.testing.assert_close(found.loss, values[1] - values[0] + 7 * found.penalty)
    torch.testing.assert_close(found.wasserstein, values[0] - values[1])
    torch.testing.assert_close(rf_generator_loss(critic, pair), -values[1])
    assert not found.wasserstein.requires_grad and not found.penalty.requires_grad


@ALL
def test_opponents_are_a_token_of_each_field_the_compressed_ones_and_the_mean(sees):
    tokens, compressed = torch.randn(3, 6, 8, 5), torch.randn(3, 6, 5)
    pair = rf_opponents(tokens, compressed, (3, 2), sees, torch.Generator().manual_seed(0))
    fields = extract_rf_targets(tokens, (3, 2))
    assert (pair.real[:, :, None] == fields).all(-1).any(-1).all() and pair.fake is compressed
    if sees == "mean":
        torch.testing.assert_close(pair.seen, fields.mean(2))
    else:
        assert pair.seen is None


def world(batch: int) -> Grid:
    """4 fields of 2 × 2 tokens, dim 2: a sign that tells the place of the field, a number of the field's own, and much noise."""
    sign = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    own = torch.stack([sign.expand(batch, 2, 2), torch.randn(batch, 2, 2)], 3)
    return 2 * own.repeat_interleave(2, 1).repeat_interleave(2, 2) + 2.5 * torch.randn(batch, 4, 4, 2)


COPIES = {"mean of its field": lambda fields: fields.mean(2), "one token of its field": lambda fields: fields[:, :, 3],
          "of another field": lambda fields: fields[:, :, 3].roll(1, 1), "of another picture": lambda fields: fields[:, :, 3].roll(1, 0)}
FOOLED = {"mean of its field": (), "one token of its field": SEES, "of another field": ("token",), "of another picture": ("token", "position")}


def judged(sees: str, copy: str) -> float:
    """What a critic trained for a moment says of fresh pictures: W by its own estimate."""
    critic, compress = RFCritic(2, (2, 2), hidden=16, sees=sees), COPIES[copy]
    optimizer = torch.optim.Adam(critic.parameters(), 0.02, betas=(0.5, 0.9))
    for batch in (*[64] * 60, 4000):
        tokens = world(batch)
        found = rf_critic_loss(critic, rf_opponents(tokens, compress(extract_rf_targets(tokens, (2, 2))), (2, 2), sees))
        optimizer.zero_grad()
        found.loss.backward()
        optimizer.step()
    return float(found.wasserstein)


@ALL
def test_what_each_critic_can_tell(sees):
    """A copied token fools all of them, whatever is lost of its field; from elsewhere it fools those who do not see where it belongs."""
    for copy, fooled in FOOLED.items():
        found = judged(sees, copy)
        assert abs(found) < 0.15 if sees in fooled else found > 0.5, (copy, found)


def test_with_dropout_the_penalty_binds_each_draw_and_the_mean_critic_is_flatter():
    """One hidden layer: eval() is exactly the mean of all draws, so ‖E g‖ ≤ E ‖g‖ can be read off."""
    critic, x = RFCritic(3, hidden=16, num_layers=1, dropout=0.5), torch.randn(1, 1, 3).expand(4000, 1, 3)

    def slopes() -> Tensor:
        at = x.clone().requires_grad_()
        return torch.autograd.grad(critic(at).sum(), at)[0][:, 0]

    drawn, mean = slopes(), critic.eval() and slopes()
    torch.testing.assert_close(drawn.mean(0), mean[0], atol=0.02, rtol=0)
    assert drawn.norm(dim=1).mean() > 1.1 * mean[0].norm()
    assert mean.std(0).max() < 1e-6 and drawn.std(0).max() > 0.01


def test_dropout_is_noise_in_training_and_nothing_else():
    pair, critic = pair_for("token"), RFCritic(4, hidden=8, num_layers=3, dropout=0.2)
    assert not torch.equal(critic(pair.real), critic(pair.real))
    plain = RFCritic(4, hidden=8, num_layers=3)
    plain.load_state_dict(critic.state_dict())
    assert torch.equal(critic.eval()(pair.real), plain(pair.real)) and torch.equal(critic(pair.real), critic(pair.real))


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: RFCritic(4, hidden=0), "must be at least 1, not 4, 0, 2 and 6 × 6"),
    (lambda: RFCritic(4, dropout=1.0), "dropout must be at least 0 and below 1, not 1.0"),
    (lambda: RFCritic(4, sees="all"), "must be one of token, position, mean, not 'all'"),
    (lambda: RFCritic(4, sees="mean")(torch.randn(1, 36, 4)), "sees the mean takes means of fields"),
    (lambda: RFCritic(4)(torch.randn(1, 36, 4), torch.randn(1, 36, 4)), "sees the token takes no means of fields"),
    (lambda: RFCritic(4, sees="position")(torch.randn(1, 9, 4)), "knows 36 positions, and is shown 9"),
    (lambda: rf_opponents(torch.randn(1, 6, 6, 4), torch.randn(1, 9, 4), (2, 2)), r"4 fields need 4 compressed tokens .* not of shape \[1, 9, 4\]"),
    (lambda: rf_opponents(torch.randn(1, 6, 6, 4), torch.randn(1, 16, 4), (4, 4)), "cannot be divided into 4 × 4"),
    (lambda: rf_opponents(torch.randn(1, 2, 2, 4), torch.randn(1, 4, 4), (2, 2), "mean"), "a field of one token is its own mean"),
])
def test_bad_input(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call()


def test_a_field_of_one_token_is_judged_by_critics_that_do_not_see_the_mean():
    tokens = torch.randn(1, 2, 3, 4)
    pair = rf_opponents(tokens, tokens.flatten(1, 2) + 1, (2, 3), "position")
    assert torch.equal(pair.real, tokens.flatten(1, 2)) and torch.isfinite(rf_critic_loss(RFCritic(4, (2, 3), sees="position"), pair).loss)
