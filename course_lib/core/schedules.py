"""How a learning rate changes during training."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

WARMUP = 300  # steps


def warm_up_and_decay(optimizer: Optimizer, steps: int, warmup: int = WARMUP) -> LambdaLR:
    """lr · min(step/warmup, 1) · ½(1 + cos π step/steps): no jump while all is still alike, none at the end."""
    warmup = min(warmup, max(steps // 10, 1))
    return LambdaLR(optimizer, lambda step: (
        min((step + 1) / warmup, 1.0) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2))
