"""The loss of CLIP."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy


def contrastive_loss(images: Float[Tensor, "batch embed"], texts: Float[Tensor, "batch embed"], log_scale: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Symmetric InfoNCE (Radford et al. 2021, figure 3): each picture finds its text in the batch, each text its picture.

        L = ½ [mean_i −log softmax_j(s ⟨v_i, t_j⟩)_i + mean_j −log softmax_i(s ⟨v_i, t_j⟩)_j],    s = exp(log_scale)

    images and texts: v and t of unit length, row i of both is a pair. All other texts of a batch count as wrong.
    """
    logits, right = log_scale.exp() * images @ texts.mT, torch.arange(len(images), device=images.device)
    return (cross_entropy(logits, right) + cross_entropy(logits.mT, right)) / 2
