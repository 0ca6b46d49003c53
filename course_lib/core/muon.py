"""Muon (Jordan et al. 2024) as torch has it, but computed in float32."""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer


class Muon(torch.optim.Muon):
    """For matrices: the step of a matrix W is orthogonal, every direction in it moves equally far, however small its gradient.

        M ← μ M + (1 − μ) G;   W ← W − lr · 0.2 √max(rows, columns) · orthogonal((1 − μ) G + μ M)        μ = 0.95

    So the entries of a step have a root mean square near 0.2 lr, about that of Adam. Settings, state and checks are those of
    torch.optim.Muon, which computes in bfloat16. Most processors without an accelerator have no instructions for that, and
    there its steps took longer than everything else in a training step together (`bench/muon.py`).
    """

    def __init__(self, matrices: Iterable[nn.Parameter] | Iterable[dict], lr: float):
        super().__init__(matrices, lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of all matrices, in place. closure: computes the loss anew, as for any optimiser of torch."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            matrices, gradients, moments = [], [], []
            self._init_group(group, matrices, gradients, moments)
            for matrix, gradient, moment in zip(matrices, gradients, moments):
                moment.lerp_(gradient, 1 - group["momentum"])
                step = orthogonal(gradient.lerp(moment, group["momentum"]), group["ns_coefficients"], group["ns_steps"])
                matrix.add_(step, alpha=-float(group["lr"]) * 0.2 * max(matrix.shape) ** 0.5)
        return loss


def orthogonal(
    matrix: Float[Tensor, "rows columns"], coefficients: tuple[float, float, float], steps: int
) -> Float[Tensor, "rows columns"]:
    """U S' Vᵀ of the matrix U S Vᵀ, with S' near 1 (0.7 to 1.2): `steps` times X ← (a + b XXᵀ + c (XXᵀ)²) X, after Newton and
    Schulz. What is far below the largest of S is still on its way to 1."""
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.mT, coefficients, steps).mT
    a, b, c = coefficients
    x = matrix / matrix.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def muon_and_adam(matrices: Iterable[nn.Parameter], model: nn.Module, lr: float, betas: tuple[float, float]) -> list[Optimizer]:
    """Muon for these matrices (Jordan et al. 2024), Adam with these betas for all other parameters of the model."""
    matrices = list(matrices)
    chosen = set(matrices)
    others = [parameter for parameter in model.parameters() if parameter not in chosen]
    return [Muon(matrices, lr), torch.optim.Adam(others, lr=lr, betas=betas, fused=True)]
