"""The exercises of notebook 06: what each answer must satisfy, and the figure it should lead to."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.codes.figures_plane import cells_figure, through_figure
from course_lib.codes.plane import clusters
from course_lib.codes.quantizer import entropy_bits, nearest, totals
from course_lib.core.exercises import Checks, normal
from course_lib.slots.figures_attention import lines_figure

check = Checks()
CODES = torch.tensor([[0.0, 2.0], [-1.8, 0.6], [-1.2, -1.6], [1.2, -1.6], [1.9, 0.6], [0.0, 0.0]])  # one for each cluster, and one more


@check.exercise("nearest", hint="torch.cdist(vectors, codebook) has all distances, (n, k); which of its two axes do the codes lie on?")
def check_nearest(answer) -> None:
    vectors, codes = normal(0, 50, 3), normal(1, 7, 3)
    indices = answer(vectors, codes)
    assert isinstance(indices, Tensor), "Return a tensor."
    assert indices.shape == (50,), f"Shape: one index for each vector, (50,); got {tuple(indices.shape)}."
    assert not indices.is_floating_point() and not indices.is_complex() and indices.dtype != torch.bool, "Shape: an index is a whole number."
    assert 0 <= int(indices.min()) and int(indices.max()) < 7, "Law: with 7 codes an index is 0 to 6."
    assert answer(codes, codes).tolist() == list(range(7)), "Law: a vector that is a code is nearest to that code."
    far = codes * torch.tensor([[1.0], [1], [1], [1], [1], [1], [9]])
    assert answer(vectors, far).tolist() == nearest(vectors[None], far[None])[0].tolist(), (
        "Law: nearest means the least distance ‖z − e‖. A long code is not nearer because its product with z is larger.")
    assert indices.tolist() == nearest(vectors[None], codes[None])[0].tolist(), "Law: some vector has a code that is nearer than yours."


@check.exercise("straight_through", hint="z + (something whose value is codes − z, and whose gradient is 0); .detach() cuts a gradient.")
def check_straight_through(answer) -> None:
    z, codes, upstream = normal(2, 6, 2).requires_grad_(), normal(3, 6, 2).requires_grad_(), normal(4, 6, 2)
    result = answer(z, codes)
    assert isinstance(result, Tensor), "Return a tensor."
    assert result.shape == (6, 2), f"Shape: as z and codes, (6, 2); got {tuple(result.shape)}."
    assert torch.allclose(result, codes, atol=1e-6), "Law: forwards the result is the codes, and nothing else."
    assert result.requires_grad, "Law: no gradient leaves the result; z must get one."
    to_z, to_codes = torch.autograd.grad((result * upstream).sum(), [z, codes], allow_unused=True)
    assert to_z is not None and to_z.any(), "Law: no gradient reaches z."
    assert torch.allclose(to_z, upstream, atol=1e-6), "Law: backwards z gets the gradient of the result as it is, not a multiple of it."
    assert to_codes is None or not to_codes.any(), "Law: this way leads to z alone; the codes must not get a gradient."


@check.exercise("ema_step", hint="new_zeros(...).index_add_(0, indices, points) sums the points of each code; torch.bincount counts them.")
def check_ema_step(answer) -> None:
    points, codes = normal(5, 40, 2), normal(6, 6, 2)
    codes[5] = 99  # too far for anybody
    uses, indices = torch.tensor([3.0, 1.0, 5.0, 2.0, 4.0, 0.5]), nearest(points[None], codes[None])[0]
    sums = codes * uses[:, None]
    kept = uses.clone(), sums.clone()
    counts, totalled = (value[0] for value in totals(points[:, None], indices[:, None], 6))
    for decay in (0.9, 0.0):
        result = answer(uses, sums, points, indices, decay)
        assert isinstance(result, tuple) and len(result) == 3, "Return three things: the new uses, the new sums and the new codes."
        assert all(isinstance(value, Tensor) for value in result), "Return tensors."
        n, s, e = result
        assert n.shape == (6,) and s.shape == e.shape == (6, 2), f"Shape: (6,), (6, 2) and (6, 2); got {', '.join(str(tuple(v.shape)) for v in result)}."
        assert torch.equal(uses, kept[0]) and torch.equal(sums, kept[1]), "Law: what you were given must not change; make new tensors."
        assert torch.allclose(n, decay * uses + (1 - decay) * counts, atol=1e-4), (
            "Law: N ← decay · N + (1 − decay) · n, with n the number of points of each code.")
        assert torch.allclose(s, decay * sums + (1 - decay) * totalled, atol=1e-4), (
            "Law: S ← decay · S + (1 − decay) · s, with s the sum of the points of each code.")
        if decay:
            assert torch.allclose(e[5], codes[5], atol=1e-3), "Law: N and S of a code that nobody chose shrink alike, so that code stays where it is."
            assert torch.allclose(e, s / n[:, None], atol=1e-3), "Law: a code is S / N."
    used = counts > 0
    assert torch.allclose(e[used], (totalled / counts[:, None])[used], atol=1e-3), "Law: without a memory, decay = 0, a code is the mean of its points."


@check.exercise("perplexity", hint="torch.bincount(indices, minlength=codes) / len(indices) are the shares; 0 · log 0 is 0, so leave the zeros out.")
def check_perplexity(answer) -> None:
    def value(indices: Tensor, codes: int) -> float:
        found = answer(indices, codes)
        assert isinstance(found, (int, float, Tensor)), "Shape: return one number."
        assert not isinstance(found, Tensor) or found.numel() == 1, f"Shape: return one number, not a tensor of shape {tuple(found.shape)}."
        return float(found)

    even, one = torch.arange(8).repeat(5), torch.full((40,), 3)
    assert not math.isnan(value(one, 8)), "Law: a code that is never used must not give NaN."
    assert abs(value(one, 8) - 1) < 1e-3, f"Law: if one code says everything the perplexity is 1; you return {value(one, 8):.3f}."
    assert abs(value(even, 8) - 8) < 1e-3, f"Law: 8 codes that are used alike have perplexity 8; you return {value(even, 8):.3f}."
    assert abs(value(even, 20) - 8) < 1e-3, f"Law: codes that are never used add nothing: still 8, not {value(even, 20):.3f}."
    mixed = torch.tensor([0] * 8 + [1] * 4 + [2] * 2 + [3] + [4])
    truth = float(entropy_bits(torch.bincount(mixed)).exp2())
    assert abs(value(mixed, 5) - truth) < 1e-3, (
        f"Law: 2^H with H = Σ p log₂(1/p) is {truth:.3f} for shares 1/2, 1/4, 1/8, 1/16, 1/16; you return {value(mixed, 5):.3f}.")


def nearest_target() -> Figure:
    """Every point in the cell of its code; one code is nobody's nearest."""
    return cells_figure({"target: six codes": (clusters(), CODES)})


def straight_through_target() -> Figure:
    """Forwards a staircase, backwards a straight line."""
    return through_figure([-1.5, -0.5, 0.5, 1.5])


def ema_target(steps: int = 40) -> Figure:
    """How much of the way to the mean of its points a code still has to go, for three decays."""
    x = list(range(steps + 1))
    return lines_figure(x, {f"decay {decay:g}": [decay**t for t in x] for decay in (0.0, 0.8, 0.95)}, "step", "share of the way still to go",
                        "target: a code that goes to the mean of its points", ylim=(-0.03, 1.03))


def perplexity_target() -> Figure:
    """Two codes: from 1, when one of them says everything, to 2, when both are used alike."""
    share = torch.linspace(0, 1, 41)
    counts = torch.stack([share, 1 - share], 1).mul(40).round().long()
    return lines_figure(share.tolist(), {"two codes": entropy_bits(counts).exp2().tolist()}, "share of the first code", "perplexity",
                        "target: perplexity of two codes", ylim=(0.9, 2.1))
