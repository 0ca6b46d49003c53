"""The loss of CLIP, and how small it can be."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from course_lib.core.errors import BadInput


def contrastive_loss(images: Float[Tensor, "batch embed"], texts: Float[Tensor, "batch embed"], log_scale: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Symmetric InfoNCE (Radford et al. 2021, figure 3): each picture finds its text in the batch, each text its picture.

        L = ½ [mean_i −log softmax_j(s ⟨v_i, t_j⟩)_i + mean_j −log softmax_i(s ⟨v_i, t_j⟩)_j],    s = exp(log_scale)

    images and texts: v and t of unit length, row i of both is a pair. All other texts of a batch count as wrong.
    """
    logits, right = log_scale.exp() * images @ texts.mT, torch.arange(len(images), device=images.device)
    return (cross_entropy(logits, right) + cross_entropy(logits.mT, right)) / 2


def least_loss(batch: int, scale: float | Float[Tensor, "*lead"]) -> Float[Tensor, "*lead"]:
    """The smallest loss that `batch` B pairs can have at scale s:

        ln(1 + (B − 1) e^(−s B / (B − 1)))

    It is reached when each picture has cosine 1 with its text and −1/(B − 1) with all others, as the corners of a simplex have. None does
    better: by Jensen the loss is at least ln(1 + (B − 1) e^(−s d)), d the mean cosine of pairs minus that of all others, and
    (B − 1) d = Σᵢ ⟨vᵢ − v̄, tᵢ − t̄⟩ ≤ B. Raises `BadInput` for fewer than two pairs.
    """
    if batch < 2:
        raise BadInput(f"a contrast needs at least 2 pairs, not {batch}.")
    return torch.log1p((batch - 1) * torch.exp(-torch.as_tensor(scale) * batch / (batch - 1)))
