"""The exercises of notebook 10: what each answer must satisfy, and the figure it should lead to."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import normalize

from course_lib.core.exercises import Checks, number_of
from course_lib.tokens.figures_contrast import matrix_figure
from course_lib.tokens.losses_clip import contrastive_loss, least_loss

check = Checks()
NEAR = 1e-4


@check.exercise("loss", hint="logits = scale * images @ texts.mT; torch.nn.functional.cross_entropy(logits, torch.arange(B)) is the first half, "
                             "and the second half is the same of logits.mT.")
def check_loss(answer) -> None:
    v, t = _pairs(6, 4)
    found = answer(v, t, 5.0)
    assert isinstance(found, (int, float, Tensor)) and torch.as_tensor(found).numel() == 1, "Shape: return one number."
    alike = number_of(answer(torch.ones(7, 1), torch.ones(7, 1), 3.0))
    assert not abs(alike - 7 * math.log(7)) < NEAR, "Law: the mean over the pictures, not their sum; else a larger batch is a larger loss."
    assert abs(alike - math.log(7)) < NEAR, f"Law: who cannot tell 7 pairs apart has a loss of ln 7 = {math.log(7):.3f}; you return {alike:.3f}."
    corners = torch.eye(5)
    assert abs(number_of(answer(corners, corners, 1.0)) - math.log1p(4 / math.e)) < NEAR, (
        "Law: with cosines 1 on the diagonal and 0 elsewhere, at scale 1, the loss is ln(1 + 4/e).")
    assert abs(number_of(answer(corners, corners, 4.0)) - math.log1p(4 * math.exp(-4))) < NEAR, (
        "Law: the cosines are multiplied by the scale before the softmax.")
    one = -torch.log_softmax(5 * v @ t.mT, 1).diagonal().mean(), -torch.log_softmax(5 * v @ t.mT, 0).diagonal().mean()
    found = number_of(found)
    assert all(abs(found - float(half)) > NEAR for half in one), (
        "Law: both ways: pictures look for their text, and texts for their picture; take the mean of the two.")
    assert abs(found - float(sum(one))) > NEAR, "Law: the mean of the two halves, not their sum."
    truth = number_of(contrastive_loss(v, t, torch.tensor(5.0).log()))
    assert abs(found - truth) < NEAR, (
        f"Law: ½ (mean over rows + mean over columns) of −log softmax on the diagonal is {truth:.4f} here; you return {found:.4f}.")


@check.exercise("least_loss", hint="every row of logits is s on the diagonal and −s/(B − 1) elsewhere. Write −log of its softmax, and divide "
                                   "above and below by e^s.")
def check_least(answer) -> None:
    found = answer(8, 2.0)
    assert isinstance(found, (int, float, Tensor)) and torch.as_tensor(found).numel() == 1, "Shape: return one number."
    assert abs(number_of(answer(8, 0.0)) - math.log(8)) < NEAR, "Law: at scale 0 all logits are 0, and the loss is ln B."
    assert number_of(answer(8, 50.0)) < 1e-6, "Law: with a large scale the loss can be as small as one likes."
    assert abs(number_of(found) - math.log1p(7 * math.exp(-2))) > NEAR, "Law: others can have a cosine below 0; put in −1/(B − 1), not 0."
    assert abs(number_of(found) - math.log1p(7 * math.exp(-4))) > NEAR, (
        "Law: only two vectors can have cosine −1 with each other; B of them reach −1/(B − 1).")
    for batch, scale in ((2, 1.0), (8, 2.0), (64, 10.0)):
        truth = float(least_loss(batch, scale))
        assert abs(number_of(answer(batch, scale)) - truth) < NEAR, (
            f"Law: ln(1 + (B − 1) e^(−s B/(B − 1))) is {truth:.4f} for B = {batch} and s = {scale:g}; you return {number_of(answer(batch, scale)):.4f}.")


@check.exercise("similarity", hint="subtract the mean token over rows and columns if centred; divide every token by its length; then "
                                   "(tokens * tokens[row, column]).sum(-1).")
def check_similarity(answer) -> None:
    tokens = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0)) + 1
    kept = tokens.clone()
    found = answer(tokens, 1, 4)
    assert isinstance(found, Tensor), "Return a tensor."
    assert found.shape == (4, 6), f"Shape: one number for each token, (4, 6); got {tuple(found.shape)}."
    assert torch.equal(tokens, kept), "Law: what you were given must not change; work on a copy."
    assert abs(float(found[1, 4]) - 1) < NEAR, f"Law: a token has cosine 1 with itself; row 1, column 4 has {float(found[1, 4]):.3f}."
    assert torch.allclose(answer(torch.linspace(0.5, 3, 24).view(4, 6, 1) * tokens, 1, 4), found, atol=NEAR), "Law: a cosine does not know how long a token is; divide by the lengths."
    unit = normalize(tokens, dim=-1)
    assert torch.allclose(found, unit @ unit[1, 4], atol=NEAR), "Law: the cosine is ⟨a, b⟩ / (‖a‖ ‖b‖); some of yours are something else."
    centred = answer(tokens, 1, 4, True)
    assert centred.shape == (4, 6) and torch.equal(tokens, kept), "Shape and law of the centred map are those of the plain one."
    assert torch.allclose(answer(tokens + 5, 1, 4, True), centred, atol=1e-3), (
        "Law: centred, adding the same vector to all tokens changes nothing: subtract their mean first.")
    away = normalize(tokens - tokens.mean((0, 1)), dim=-1)
    assert torch.allclose(centred, away @ away[1, 4], atol=NEAR), "Law: the mean is one token: over rows and columns, not over the numbers of a token."


@check.exercise("mean_cosine", hint="the sum of all ⟨u_i, u_j⟩, with i = j, is ‖Σ u‖². Take the n pairs of a token with itself away, 1 each, and "
                                    "divide by n (n − 1).")
def check_mean_cosine(answer) -> None:
    tokens = torch.randn(30, 8, generator=torch.Generator().manual_seed(0)) + 0.5
    found = answer(tokens)
    assert isinstance(found, (int, float, Tensor)) and torch.as_tensor(found).numel() == 1, "Shape: return one number."
    assert abs(number_of(answer(torch.ones(5, 3))) - 1) < NEAR, "Law: equal tokens have a mean cosine of 1."
    unit = normalize(tokens, dim=-1)
    table = unit @ unit.mT
    assert abs(number_of(found) - float(table.mean())) > NEAR, "Law: a token with itself is no pair; take these n out, and divide by n (n − 1)."
    assert abs(number_of(answer(torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]))) + 1 / 3) < NEAR, (
        "Law: four tokens that add up to nothing have a mean cosine of −1/3.")
    assert abs(number_of(answer(tokens * torch.linspace(0.1, 9, 30)[:, None])) - number_of(found)) < NEAR, (
        "Law: cosines do not know lengths; make the tokens unit vectors first.")
    truth = float((table.sum() - 30) / (30 * 29))
    assert abs(number_of(found) - truth) < NEAR, f"Law: (‖Σ u‖² − n) / (n (n − 1)) is {truth:.4f} here; you return {number_of(found):.4f}."


def loss_target() -> Figure:
    """The matrices of three invented batches, with their losses at scale 5."""
    v, t = _pairs(8, 6)
    batches = {"all alike": (torch.ones(8, 1), torch.ones(8, 1)), "by chance": (v, t), "corners": (torch.eye(8), torch.eye(8))}
    losses = {name: number_of(contrastive_loss(*both, torch.tensor(5.0).log())) for name, both in batches.items()}
    return matrix_figure({f"{name}: loss {losses[name]:.3f}": v @ t.mT for name, (v, t) in batches.items()})


def _pairs(many: int, dim: int) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(0)
    return tuple(normalize(torch.randn(many, dim, generator=chance), dim=-1) for _ in range(2))
