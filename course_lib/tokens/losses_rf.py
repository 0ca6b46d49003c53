"""What is lost of each field: the loss of a field decoder, and the statistics of rebuilt fields of any compressor."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Grid
from course_lib.tokens.fields import Fields, field_resultant, field_size
from course_lib.tokens.metrics import BANDS, band_of

PerField = Float[Tensor, "batch rows columns"]
RF_RECONSTRUCTIONS = ("mse", "cosine", "hybrid")


class RFLoss(NamedTuple):
    """What `rf_reconstruction_loss` returns."""

    loss: Float[Tensor, ""]
    per_field: Float[Tensor, "batch n"]  # the loss is their mean


def rf_reconstruction_loss(rebuilt: Fields, targets: Fields, kind: str = "mse") -> RFLoss:
    """The loss of every field and their mean, of rebuilt fields (`decoder.fields`) and true ones (`extract_rf_targets`):

        mse: mean (x̂ − x)²        cosine: 1 − mean cos(x̂, x)        hybrid: both        mean over the places of a field, and numbers

    All fields are equally large, so their mean is the mean over the whole grid: this is `losses.RECONSTRUCTIONS` to the last digits of a
    float. What is new in the system of fields is the decoder, and that its loss can be read field by field.
    """
    if kind not in RF_RECONSTRUCTIONS:
        raise BadInput(f"the loss of a field must be one of {', '.join(RF_RECONSTRUCTIONS)}, not {kind!r}.")
    per_field = rebuilt.new_zeros(rebuilt.shape[:2])
    if kind in ("mse", "hybrid"):
        per_field = per_field + (rebuilt - targets).square().mean((2, 3))
    if kind in ("cosine", "hybrid"):
        per_field = per_field + 1 - F.cosine_similarity(rebuilt, targets, dim=-1).mean(2)
    return RFLoss(per_field.mean(), per_field)


class RFStatistics(NamedTuple):
    """Of every field of every picture, as maps of output_grid.

    cosine          mean over its places of cos(x̂, x)
    resultant       R, the most that a single token can reach (`fields.field_resultant`)
    centred_cosine  mean of cos(x̂ − mean, x − mean)
    error           Σ ‖x̂ − x‖²
    variance        Σ ‖x − mean‖²
    """

    cosine: PerField
    resultant: PerField
    centred_cosine: PerField
    error: PerField
    variance: PerField

    @property
    def of_ceiling(self) -> PerField:
        """cosine / R: at most 1 where one token stands for a field. A decoder that writes another at each place may be above."""
        return self.cosine / self.resultant

    @property
    def bands(self) -> Int64[Tensor, "batch four"]:
        """How many fields of each picture are excellent, good, fair, poor (`band_of`)."""
        return F.one_hot(band_of(self.cosine), len(BANDS)).sum((1, 2))

    @property
    def rows(self) -> Float[Tensor, "batch rows"]:
        """Mean cosine of each row of fields, from the top."""
        return self.cosine.mean(2)

    @property
    def columns(self) -> Float[Tensor, "batch columns"]:
        """Mean cosine of each column of fields, from the left."""
        return self.cosine.mean(1)

    @property
    def variance_unexplained(self) -> float:
        """Σ error / Σ variance over all fields: the constant mean token has 1."""
        return float(self.error.double().sum() / self.variance.double().sum())

    def summary(self) -> dict[str, float]:
        """Means over pictures, for a tracker: the measures, fields per picture in each band, and row_0, …, column_0, …"""
        found = {"cosine": self.cosine.mean(), "of_ceiling": self.of_ceiling.mean(), "resultant": self.resultant.mean(),
                 "centred_cosine": self.centred_cosine.mean(), "unexplained": self.variance_unexplained}
        found |= dict(zip(BANDS, self.bands.double().mean(0)))
        for name, profile in (("row", self.rows), ("column", self.columns)):
            found |= {f"{name}_{number}": value for number, value in enumerate(profile.mean(0))}
        return {name: float(value) for name, value in found.items()}


@torch.no_grad()
def compute_rf_statistics(rebuilt: Grid, tokens: Grid, output_grid: Sequence[int], mean: Float[Tensor, "dim"]) -> RFStatistics:
    """The statistics of every field of output_grid; rebuilt: what any compressor's `expand` gives; mean: of the training tokens.

    All cosines come from five lengths, of x, x̂, x − mean, x̂ − mean and x̂ − x:  a · b = (‖a‖² + ‖b‖² − ‖a − b‖²) / 2.
    So nothing as large as the tokens is written, and near 1 no digits are lost. A cosine with a token of length 0 is 0.
    Raises `BadInput`: grids that do not nest; NaN; a field whose tokens cancel (R = 0), of which cosine / R means nothing; tokens that all
    equal the mean.
    """
    size = field_size(tokens.shape[1:3], output_grid)
    x, y, mean = tokens.float(), rebuilt.float(), mean.to(tokens.device).float()
    long, rebuilt_long = (torch.linalg.vector_norm(each, dim=-1) for each in (x, y))
    away, rebuilt_away, apart = _distance(x, mean), _distance(y, mean), _distance(y, x)
    cosines = _mean_of(_cosine(long, rebuilt_long, apart), output_grid)
    resultant = field_resultant(x, output_grid, long)
    if not cosines.isfinite().all():
        raise BadInput("a cosine is NaN, which is in no band; the model that made it has diverged.")
    if not resultant.all():
        raise BadInput("the tokens of a field cancel or are 0, so no token is near it and cosine / R means nothing; give tokens of real pictures.")
    places = size[0] * size[1]
    variance = _mean_of(away.square(), output_grid) * places
    if not variance.any():
        raise BadInput("all tokens equal the mean, so there is no variance to explain; measure on real pictures.")
    return RFStatistics(cosines, resultant, _mean_of(_cosine(away, rebuilt_away, apart), output_grid),
                        _mean_of(apart.square(), output_grid) * places, variance)


def _distance(a: Grid, b: Tensor) -> Float[Tensor, "batch height width"]:
    """‖a − b‖ at every place, b a grid or one token for all; summed as it is subtracted, so that a − b is nowhere in memory."""
    flat, exact = a.flatten(0, 2), {"compute_mode": "donot_use_mm_for_euclid_dist"}
    found = torch.cdist(flat, b[None], **exact) if b.ndim == 1 else torch.cdist(flat[:, None], b.flatten(0, 2)[:, None], **exact)
    return found.view(a.shape[:3])


def _cosine(a: Tensor, b: Tensor, apart: Tensor) -> Tensor:
    """The cosine of two sides of a triangle whose third side is `apart`; 0 where one side is 0."""
    product = a * b
    return torch.where(product > 0, (a.square() + b.square() - apart.square()) / (2 * product), product).clamp(-1, 1)


def _mean_of(values: Float[Tensor, "batch height width"], output_grid: Sequence[int]) -> PerField:
    """Of every field, the mean over its places."""
    rows, columns = output_grid
    return values.unflatten(2, (columns, -1)).unflatten(1, (rows, -1)).mean((2, 4))
