"""The critics, and which grids they are shown."""

import pytest
import scipy.stats
import torch
from einops import reduce
from torch import Tensor, nn

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Compressed, Compressor, ConvCompressor, owners
from course_lib.tokens.critic import CRITICS, GAMES, ConvCritic, MultiScaleCritic, opponents, pick, pooled
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.losses import company, critic_loss, gradient_penalty

BOTH = pytest.mark.parametrize("name", list(CRITICS))


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class Strided(Compressor):
    """The upper left token of every field: real tokens, so no fair game can be lost with it."""

    output_grid = (4, 4)

    def forward(self, tokens: Tensor) -> Compressed:
        return Compressed(tokens[:, ::2, ::2].flatten(1, 2), owners((8, 8), (4, 4)).expand(len(tokens), -1, -1), 0.0)


@BOTH
@pytest.mark.parametrize("grid", [(24, 24), (6, 6), (1, 1), (5, 9), (2, 17)])
def test_a_grid_of_any_size_has_one_value(name, grid):
    critic, tokens = CRITICS[name](4, hidden=8), torch.randn(3, *grid, 4)
    values = critic(tokens)
    assert values.shape == (3,) and torch.isfinite(values).all()
    gradient_penalty(critic, tokens, tokens + 1).backward()
    assert all(torch.isfinite(p.grad).all() for p in critic.parameters() if p.grad is not None)


@BOTH
def test_the_value_of_a_grid_knows_nothing_of_its_batch(name):
    critic, tokens = CRITICS[name](4, hidden=8), torch.randn(5, 8, 8, 4)
    assert company(critic, tokens) == 0 and not [m for m in critic.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    torch.testing.assert_close(critic(tokens)[3:], critic(tokens[3:]))


@BOTH
def test_every_parameter_learns_from_the_loss_of_the_critic(name):
    critic, (real, fake) = CRITICS[name](4, hidden=8), torch.randn(2, 40, 8, 8, 4)
    loss = critic_loss(critic(real), critic(fake + 1)) + 10 * gradient_penalty(critic, real, fake + 1)
    loss.backward()
    dead = {name for name, p in critic.named_parameters() if not p.grad.abs().sum() > 1e-9}
    assert {name for name in dead if "look" not in name} == {name for name, _ in critic.named_parameters() if name.endswith("value.bias")}
    assert not {name for name in dead if "weight" in name}  # a constant is no judgement; one place can be alike in real and fake


def test_more_layers_and_channels_are_more_to_learn():
    def count(critic: nn.Module) -> int:
        return sum(p.numel() for p in critic.parameters())

    assert count(ConvCritic(4, 8, 3)) - count(ConvCritic(4, 8, 2)) == 8 * 8 * 9 + 8
    assert count(MultiScaleCritic(4, 8, 2, scales=3)) == 3 * count(ConvCritic(4, 8, 2))


def test_many_scales_are_the_mean_of_critics_of_means():
    critic, tokens = MultiScaleCritic(3, hidden=8, scales=3), torch.randn(2, 8, 12, 3)
    seen = [tokens, *(reduce(tokens, "b (h p) (w q) d -> b h w d", "mean", p=size, q=size) for size in (2, 4))]
    expected = sum(one(grid) for one, grid in zip(critic.critics, seen)) / 3
    torch.testing.assert_close(critic(tokens), expected)
    assert pooled(tokens[:, :5, :7], 4).shape == (2, 2, 2, 3)
    torch.testing.assert_close(pooled(tokens[:, :5, :7], 4)[:, 1, 1], tokens[:, 4, 4:7].mean(1))


def test_the_coarse_scale_of_put_back_is_the_compressed_grid():
    """Averaged over a field, sixteen equal tokens are that token: at this scale the game is fair."""
    model, tokens = ConvCompressor(3, (8, 8), (2, 2)), torch.randn(2, 8, 8, 3)
    compressed = model(tokens)
    real, fake = opponents("put_back", model, tokens, compressed)
    torch.testing.assert_close(pooled(fake, 4).flatten(1, 2), compressed.tokens)
    torch.testing.assert_close(pooled(real, 4), pooled(fake, 4))  # untrained, it is average pooling


def test_pick_takes_every_token_of_a_field_equally_often():
    tokens = torch.arange(6 * 8.0).view(1, 6, 8, 1).expand(3000, -1, -1, -1)
    chosen = pick(tokens, (3, 2))
    assert chosen.shape == (3000, 3, 2, 1)
    for row in range(3):
        for column in range(2):
            field = tokens[0, 2 * row:2 * row + 2, 4 * column:4 * column + 4].flatten()
            found = (chosen[:, row, column] == field).sum(0)
            assert found.sum() == 3000 and scipy.stats.chisquare(found.numpy()).pvalue > 1e-4
    assert torch.equal(pick(tokens, (6, 8)), tokens)


@pytest.mark.parametrize("game", GAMES)
def test_opponents_have_the_same_size(game):
    model, tokens = LearnedCompressor(3, (8, 12), (4, 3)), torch.randn(2, 8, 12, 3)
    compressed = model(tokens)
    real, fake = opponents(game, model, tokens, compressed)
    assert real.shape == fake.shape == ((2, 4, 3, 3) if game == "pick" else (2, 8, 12, 3))
    if game != "pick":
        assert torch.equal(real, tokens)
        expected = model.expand(compressed) if game == "rebuilt" else compressed.tokens[:, owners((8, 12), (4, 3))]
        assert torch.equal(fake, expected)
    else:
        assert torch.equal(fake.flatten(1, 2), compressed.tokens)


def estimate(game: str) -> float:
    """What a critic trained for a moment says of real tokens of a field against all tokens, on fresh data, in root mean squares."""
    model, critic = Strided(), ConvCritic(2, hidden=16)
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3, betas=(0.5, 0.9))
    for step in range(61):
        tokens = torch.randn(32, 8, 8, 2)  # every place alike: a token of a field is as good as any other
        real, fake = opponents(game, model, tokens, model(tokens))
        loss = critic_loss(critic(real), critic(fake))
        if step < 60:
            optimizer.zero_grad()
            (loss + 10 * gradient_penalty(critic, real, fake, unit=real[0].numel() ** 0.5)).backward()
            optimizer.step()
    return -float(loss.detach())


def test_576_against_36_is_unfair_and_36_against_36_is_not():
    """Even real tokens lose when each stands at all places of its field; the same tokens win the fair game."""
    unfair, fair = estimate("put_back"), estimate("pick")
    assert unfair > 0.1 and abs(fair) < unfair / 4


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: ConvCritic(0), "of a critic must be at least 1, not 0, 64 and 2"),
    (lambda: MultiScaleCritic(4, scales=0), "needs at least 1 scale, not 0"),
    (lambda: opponents("chess", Strided(), *[torch.randn(1, 8, 8, 2)] * 1, Strided()(torch.randn(1, 8, 8, 2))),
     "game must be one of put_back, pick, rebuilt, not 'chess'"),
])
def test_bad_input(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call()
