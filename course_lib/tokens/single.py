"""One token for a field: the one that reaches the ceiling R, and how near to it any others come."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from course_lib.tokens.baselines import sizes
from course_lib.tokens.compressor import Compressed, Compressor, Grid, by_field
from course_lib.tokens.fields import extract_rf_targets


class MeanDirection(Compressor):
    """token = the mean length of the field's tokens times the direction of the mean of its unit tokens.

    In mean cosine with its field no single token is better: it reaches R (`fields.field_resultant`). In squared error the mean of the
    tokens themselves is (`baselines.AveragePooling`). Where unit tokens cancel there is no direction, and the token is 0.
    Side information: none. Raises `BadInput` for a grid that output_grid does not divide.
    """

    def __init__(self, output_grid: Sequence[int] = (6, 6)):
        super().__init__()
        self.output_grid = sizes(output_grid)

    def forward(self, tokens: Grid) -> Compressed:
        fields = extract_rf_targets(tokens, self.output_grid)
        direction = normalize(normalize(fields, dim=3).mean(2), dim=2)
        return by_field(direction * fields.norm(dim=3).mean(2)[..., None], tokens, self.output_grid)


class PutBack(Compressor):
    """Another compressor whose tokens are put back as they are, each at all places of its field, whatever its decoder would write there."""

    def __init__(self, compressor: Compressor):
        super().__init__()
        self.compressor, self.takes, self.output_grid = compressor, compressor.takes, compressor.output_grid

    def forward(self, tokens: Tensor) -> Compressed:
        return self.compressor(tokens)


def best_direction(field: Float[Tensor, "field dim"], starts: int = 8, steps: int = 300, seed: int = 0) -> Float[Tensor, "dim"]:
    """The direction with the largest mean cosine with a field, found without knowing the theorem: gradient ascent from random starts.

    One start would do: the mean cosine is linear in the direction, so on the sphere there is one hill. Several show it.
    """
    unit = normalize(field, dim=1)
    tokens = torch.randn(starts, field.shape[1], generator=torch.Generator().manual_seed(seed)).requires_grad_()
    climb = torch.optim.Adam([tokens], lr=0.05)
    for _ in range(steps):
        loss = -(normalize(tokens, dim=1) @ unit.mT).mean()
        climb.zero_grad()
        loss.backward()
        climb.step()
    found = normalize(tokens.detach(), dim=1)
    return found[(found @ unit.mT).mean(1).argmax()]
