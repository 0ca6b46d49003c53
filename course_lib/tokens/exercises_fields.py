"""The exercises of notebook 12: what each answer must satisfy."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.core.exercises import Checks, normal, number_of, shape_of
from course_lib.tokens.critic_rf import compute_rf_gradient_penalty
from course_lib.tokens.fields import field_resultant, get_rf_indices

check = Checks()
NEAR = 1e-4


@check.exercise("indices", hint="rearrange(torch.arange(height * width), '(r h c w) -> …') needs sizes for all but one of its letters: "
                                "'(r h c w) -> (r c) (h w)' with r=rows, h=height // rows, c=columns.")
def check_indices(answer) -> None:
    for grid, output in (((4, 4), (2, 2)), ((6, 4), (3, 2)), ((4, 9), (2, 3)), ((3, 5), (3, 1))):
        many, each = output[0] * output[1], grid[0] * grid[1] // (output[0] * output[1])
        asked = f"a grid of {grid[0]} × {grid[1]} in {output[0]} × {output[1]} fields"
        found = answer(grid, output)
        assert isinstance(found, Tensor) and found.shape == (many, each), f"Shape: {asked} gives a tensor of shape {(many, each)}, not {shape_of(found)}."
        assert not found.is_floating_point(), "Shape: the places are whole numbers, good to index with."
        assert torch.equal(found.flatten().sort().values, torch.arange(grid[0] * grid[1])), (
            f"Law: every place lies in exactly one field; in {asked} some places are missing or named twice.")
        row, column = found // grid[1], found % grid[1]
        high, wide = (int(side.max(1).values.sub(side.min(1).values).max()) + 1 for side in (row, column))
        assert (high, wide) == (grid[0] // output[0], grid[1] // output[1]), (
            f"Law: a field is a rectangle of {grid[0] // output[0]} × {grid[1] // output[1]} neighbours; in {asked} yours reach over {high} × {wide} places.")
        assert torch.equal(found, get_rf_indices(grid, output)), "Law: fields are numbered row by row, and so are the places within each."


@check.exercise("sample", hint="chosen = torch.randint(field, (batch, n), generator=generator); then fields[torch.arange(batch)[:, None], "
                               "torch.arange(n), chosen].")
def check_sample(answer) -> None:
    batch, n, field = 3, 5, 4
    fields = torch.arange(batch * n * field).view(batch, n, field, 1).expand(-1, -1, -1, 2).float()

    def draw(seed: int) -> Tensor:
        return answer(fields, torch.Generator().manual_seed(seed))

    first = draw(0)
    assert isinstance(first, Tensor) and first.shape == (batch, n, 2), f"Shape: one token for each field, {(batch, n, 2)}, not {shape_of(first)}."
    many = torch.stack([draw(seed) for seed in range(400)])  # (draws, batch, n, dim)
    assert torch.equal(many[..., 0], many[..., 1]), "Law: a whole token is drawn; you put together numbers of different tokens."
    place = many[..., 0].long()
    assert torch.equal(place.float(), many[..., 0]), "Law: one of the tokens of the field, as it is; a mean of several is no token."
    assert torch.equal(place // field, (torch.arange(batch * n).view(batch, n)).expand_as(place)), (
        "Law: the token for a field comes from that field, and from that picture.")
    assert torch.equal(draw(7), draw(7)), "Law: the same generator gives the same draw: use the one you are given."
    within = place % field
    share = torch.stack([(within == k).float().mean() for k in range(field)])
    assert share.min() > 0.2 and share.max() < 0.3, f"Law: all places of a field are equally likely, 25% each; yours are drawn {_percent(share)}."
    assert (within == within[:, :1, :1]).all((1, 2)).float().mean() < 0.1, (
        "Law: every field of every picture draws for itself; yours all take the same place.")
    assert (within == within[:, :1]).all((1, 2)).float().mean() < 0.1, "Law: pictures draw independently; yours all take the same places."


@check.exercise("ceiling", hint="unit = torch.nn.functional.normalize(fields, dim=-1); m = unit.mean(-2); the ceiling is m.norm(dim=-1), and "
                                "the token points along m.")
def check_ceiling(answer) -> None:
    fields = normal(0, 2, 3, 5, 4) * torch.linspace(0.2, 3, 30).view(2, 3, 5, 1) + 0.5
    found = answer(fields)
    assert isinstance(found, tuple) and len(found) == 2, "Shape: return two things, the ceiling and the token that reaches it."
    ceiling, token = found
    assert isinstance(ceiling, Tensor) and ceiling.shape == (2, 3), f"Shape: one ceiling for each of 2 · 3 fields, not {shape_of(ceiling)}."
    assert isinstance(token, Tensor) and token.shape == (2, 3, 4), f"Shape: one token of 4 numbers for each field, not {shape_of(token)}."
    alike = answer(torch.ones(1, 1, 5, 4) * torch.linspace(1, 9, 5)[:, None])[0]
    assert abs(number_of(alike) - 1) < NEAR, f"Law: if all tokens point one way, R = 1, whatever their lengths; you return {number_of(alike):.3f}."
    across = answer(torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]))[0]
    assert abs(number_of(across) - 0.5**0.5) < NEAR, f"Law: of two tokens at right angles R = √½ = 0.707; you return {number_of(across):.3f}."
    longer = answer(fields * torch.tensor([1.0, 7, 1, 1, 1])[:, None])[0]
    assert torch.allclose(longer, ceiling, atol=NEAR), (
        "Law: a cosine does not know how long a token is, so making one seven times as long changes no ceiling: take unit tokens first.")
    truth = field_resultant(fields.reshape(1, 6, 5, 4), (6, 1)).view(2, 3)
    assert torch.allclose(ceiling, truth, atol=NEAR), f"Law: R = ‖mean of unit tokens‖ is {number_of(truth[0, 0]):.4f} for the first field; " \
                                                      f"you return {number_of(ceiling[0, 0]):.4f}."
    reached = torch.cosine_similarity(token[:, :, None], fields, dim=-1).mean(2)
    assert torch.allclose(reached, ceiling, atol=1e-3), (
        f"Law: the token reaches the ceiling: its mean cosine with the first field should be {number_of(ceiling[0, 0]):.4f}, and is {number_of(reached[0, 0]):.4f}.")


@check.exercise("penalty", hint="alpha = torch.rand(batch, n, 1); x = (alpha·real + (1 − alpha)·fake).requires_grad_(); torch.autograd.grad("
                                "critic(x).sum(), x, create_graph=True); the norm over the last axis only.")
def check_penalty(answer) -> None:
    real, fake = normal(1, 16, 9, 4), normal(2, 16, 9, 4) + 2
    for length in (1.0, 3.0, 0.0):
        found = answer(Linear(length), real, fake)
        assert isinstance(found, Tensor) and found.shape == (), "Shape: return one number, as a tensor without axes."
        wanted = (length - 1) ** 2
        assert abs(number_of(found) - wanted) < 1e-3, (
            f"Law: a critic of slope {length:g} on every single token costs ({length:g} − 1)² = {wanted:g}; you return {number_of(found):.3f}. Each of the "
            "batch · n tokens is a sample of its own: the norm runs over the last axis, and then comes a mean.")
    alpha = _positions(answer, real, fake)
    assert alpha.std(2).max() < 1e-3, "Law: one alpha for each token, not for each number: the point lies on the line between the two tokens."
    assert alpha.min() > -1e-3 and alpha.max() < 1 + 1e-3, "Law: the points lie between real and fake, alpha is from 0 to 1."
    one = alpha[..., 0]
    assert one.std() > 0.15 and 0.3 < one.mean() < 0.7, "Law: alpha is uniform from 0 to 1."
    assert one.std(1).mean() > 0.15, "Law: every token of a picture has an alpha of its own; yours share one."
    critic = Linear(3.0)
    loss = answer(critic, real, fake)
    assert loss.requires_grad, "Law: the penalty must teach the critic: create_graph=True, else it has no gradient."
    (gradient,) = torch.autograd.grad(loss, critic.w)
    assert torch.allclose(gradient, 4 * critic.w.detach() / 3, atol=1e-3), "Law: the gradient of (‖w‖ − 1)² is 2 (‖w‖ − 1) w / ‖w‖."
    assert abs(number_of(compute_rf_gradient_penalty(Linear(3.0), real, fake)) - number_of(loss)) < 1e-3


class Linear(nn.Module):
    """c(token) = w · token with ‖w‖ = length, for every token of 4 numbers."""

    def __init__(self, length: float):
        super().__init__()
        w = normal(3, 4)
        self.w = nn.Parameter(length * w / w.norm())

    def forward(self, x: Float[Tensor, "batch n 4"]) -> Float[Tensor, "batch n"]:
        return x @ self.w


def _positions(answer, real: Tensor, fake: Tensor) -> Tensor:
    """α of every number of the points at which the answer asks the critic for a gradient."""
    seen = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.sum(-1)

    answer(critic, real, fake)
    assert seen and seen[-1].shape == real.shape, "Shape: ask the critic at one point between each real and fake token."
    return (seen[-1] - fake) / (real - fake)




def _percent(shares: Tensor) -> str:
    return ", ".join(f"{float(share):.0%}" for share in shares)
