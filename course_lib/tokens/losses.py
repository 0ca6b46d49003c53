"""Losses of compression: WGAN-GP (Gulrajani et al. 2017), four ways to compare grids of tokens, and the classic bugs of the first.

    critic:     E[c(fake)] − E[c(real)] + λ · penalty        generator:  −E[c(fake)]
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from course_lib.tokens.compressor import Grid

Values = Float[Tensor, "batch"]
Samples = Float[Tensor, "batch *shape"]
Critic = Callable[[Samples], Values]


def critic_loss(real: Values, fake: Values) -> Float[Tensor, ""]:
    """E[c(fake)] − E[c(real)]. Its negative estimates the Wasserstein distance from below, if the critic's slopes are at most 1."""
    return fake.mean() - real.mean()


def generator_loss(fake: Values) -> Float[Tensor, ""]:
    """−E[c(fake)]: the generator climbs the critic."""
    return -fake.mean()


def between(real: Samples, fake: Samples) -> Samples:
    """α · real + (1 − α) · fake with one α ~ U(0, 1) for each sample: a point on the line between the two (algorithm 1, line 6)."""
    alpha = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
    return fake.lerp(real, alpha)


def slope(gradient: Samples) -> Values:
    """‖gradient‖₂ over all axes but that of the batch. Its own gradient at 0 is 0, where that of √(Σ g²) would be NaN."""
    return gradient.flatten(1).norm(dim=1)


def gradient_penalty(critic: Critic, real: Samples, fake: Samples, unit: float = 1.0, *, one_sided: bool = False,
                     points: Callable[[Samples, Samples], Samples] = between, length: Callable[[Samples], Values] = slope) -> Float[Tensor, ""]:
    """Mean of (unit · ‖∇c(x̂)‖₂ − 1)² at x̂ between real and fake (Gulrajani et al. 2017, eq. 3); always in float32.

    unit: the length, as the tokens measure it, that counts as distance 1. The paper's is 1. With √(numbers of a sample) distances are
        root mean squares of a number: then estimates do not grow with the grid, and the critic's pull on a token is of the
        size of a mean squared error's.
    one_sided: max(0, …)², only slopes above 1 cost (Petzka et al. 2018, eq. 7). On a line a critic of the wrong sign must pass through
        slope 0, which the paper's penalty charges λ for; `wgan` shows a game that waits there.
    points, length: the two places where implementations go wrong; see `BUGS`.
    """
    with torch.autocast(real.device.type, enabled=False):
        x = points(real.detach().float(), fake.detach().float()).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        excess = unit * length(gradient) - 1
        return (excess.clamp(min=0) if one_sided else excess).square().mean()


def mse(rebuilt: Grid, tokens: Grid) -> Float[Tensor, ""]:
    """Mean squared difference; of standardised tokens the share of variance that is lost, if channels are taken as equal."""
    return F.mse_loss(rebuilt, tokens)


def cosine(rebuilt: Grid, tokens: Grid) -> Float[Tensor, ""]:
    """1 − mean cosine of the two tokens at each place. Of standardised tokens, so 1 says that nothing but the mean is known."""
    return 1 - F.cosine_similarity(rebuilt, tokens, dim=-1).mean()


def hybrid(rebuilt: Grid, tokens: Grid) -> Float[Tensor, ""]:
    """mse + cosine: length and direction."""
    return mse(rebuilt, tokens) + cosine(rebuilt, tokens)


def spatial(rebuilt: Grid, tokens: Grid) -> Float[Tensor, ""]:
    """How far neighbours differ in another way than in the original, mean over neighbours to the right and below:

        mean (Δrebuilt − Δtokens)² + (cos(x, neighbour) of rebuilt − that of tokens)²        Δ: neighbour − x

    0 for any two grids with the same differences and the same angles: a border of an object must stay a border.
    """
    total = rebuilt.new_zeros(())
    for axis in (1, 2):
        if rebuilt.shape[axis] > 1:
            change, structure = zip(*(_to_neighbour(grid, axis) for grid in (rebuilt, tokens)))
            total = total + F.mse_loss(*change) + F.mse_loss(*structure)
    return total / 2


def perceptual(rebuilt: Grid, tokens: Grid) -> Float[Tensor, ""]:
    """mse + spatial: each token, and the structure among neighbours."""
    return mse(rebuilt, tokens) + spatial(rebuilt, tokens)


RECONSTRUCTIONS = {"mse": mse, "cosine": cosine, "hybrid": hybrid, "perceptual": perceptual}


def _to_neighbour(grid: Grid, axis: int) -> tuple[Float[Tensor, "batch h w dim"], Float[Tensor, "batch h w"]]:
    """Difference and cosine of every token and its next one along `axis`."""
    many = grid.shape[axis] - 1
    here, there = grid.narrow(axis, 0, many), grid.narrow(axis, 1, many)
    return there - here, F.cosine_similarity(here, there, dim=-1)


# The gallery: what is often found in place of the functions above. None of them fails; each is measurably something else.

def slope_of_channels(gradient: Samples) -> Float[Tensor, "batch *rest"]:
    """Bug: the norm over axis 1 alone. Every column gets slope 1 by itself, so the whole may be √(columns) too steep."""
    return gradient.norm(dim=1)


def slope_by_root(gradient: Samples) -> Values:
    """Bug: √(Σ g²) written out. Right, until a gradient is 0: then the critic's weights become NaN."""
    return gradient.flatten(1).pow(2).sum(1).sqrt()


def between_elements(real: Samples, fake: Samples) -> Samples:
    """Bug: an α for every number. The points fill the box that real and fake span, near its middle, and not the line between them."""
    return fake.lerp(real, torch.rand_like(real))


def not_between(real: Samples, fake: Samples) -> Samples:
    """Bug: α = 1. Slopes are held at the data only; between data and fakes the critic is as steep as it likes."""
    return real.clone()


def generator_loss_upside_down(fake: Values) -> Float[Tensor, ""]:
    """Bug: the sign. The generator runs from the data, and the loss falls beautifully."""
    return fake.mean()


BUGS = {
    "norm over one axis": {"length": slope_of_channels}, "√(Σ g²) written out": {"length": slope_by_root},
    "an α for every number": {"points": between_elements}, "α = 1": {"points": not_between},
}  # of gradient_penalty, as its arguments; `generator_loss_upside_down` and BatchNorm (see `company`) are the other two


def company(critic: Critic, samples: Samples) -> Float[Tensor, ""]:
    """How much the value of the first sample depends on the others of its batch: the share of its squared gradient that lies on them.

    0 for a function of one sample; BatchNorm in a critic gives more, and what is penalised is then no slope of the critic.
    """
    x = samples.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x)[0], x)
    share = gradient.flatten(1).square().sum(1)
    return share[1:].sum() / share.sum()
