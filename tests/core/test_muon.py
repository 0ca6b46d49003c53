"""Against torch's own Muon and against the singular value decomposition."""

import pytest
import torch

from course_lib.core.muon import Muon, orthogonal

COEFFICIENTS, STEPS = (3.4445, -4.775, 2.0315), 5


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8)])
def test_a_step_is_orthogonal_in_the_frame_of_the_gradient(shape):
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    in_frame = u.T @ orthogonal(gradient, COEFFICIENTS, STEPS) @ v.T
    assert (in_frame - in_frame.diag().diag()).abs().max() < 1e-10
    assert in_frame.diag().min() > 0.6 and in_frame.diag().max() < 1.25


def test_ten_steps_are_those_of_torch_but_for_the_rounding_of_bfloat16():
    start = [torch.randn(shape, generator=torch.Generator().manual_seed(k)) for k, shape in enumerate([(16, 32), (32, 16), (24, 24)])]
    ends = []
    for make in (lambda w: Muon(w, 0.01), lambda w: torch.optim.Muon(w, lr=0.01, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")):
        weights = [torch.nn.Parameter(w.clone()) for w in start]
        optimizer = make(weights)
        for step in range(10):
            optimizer.zero_grad()
            sum((w @ torch.linspace(-1, 1, w.shape[1]) - step).square().sum() + w.square().sum() for w in weights).backward()
            optimizer.step()
        ends.append([w.detach() - first for w, first in zip(weights, start)])
    for ours, theirs in zip(*ends):
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_what_has_no_gradient_stays_and_the_closure_is_called():
    still, moved = (torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2))
    optimizer = Muon([still, moved], 0.1)

    def closure():
        loss = moved.square().sum()
        loss.backward()
        return float(loss)

    assert optimizer.step(closure) == 6.0
    assert (still == 1).all() and (moved < 1).all() and list(optimizer.state) == [moved]


def test_vectors_are_refused():
    with pytest.raises(ValueError, match="2D"):
        Muon([torch.nn.Parameter(torch.ones(3))], 0.1)
