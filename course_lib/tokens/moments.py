"""Moment matching: the tokens of a compressor moved to the mean and the covariance of real ones, in closed form, and moved back.

    moved = real mean + A (token − own mean)        A Σ_own Aᵀ = Σ_real

What a critic has to find by playing, as far as means and covariances go: the ablation that a critic must beat. A is invertible, so the
decoder gets the very tokens back that it was trained with, and nothing is lost but digits.

Every A is Σ_real^½ Q Σ_own^−½ with Q orthogonal; there are as many as there are rotations. Which one to take:

    near    the least way: minimises E ‖moved − token‖², the optimal transport between two Gaussians (Peyré & Cuturi 2019, remark 2.31),
            A = Σ_own^−½ (Σ_own^½ Σ_real Σ_own^½)^½ Σ_own^−½. For codes that already stand near tokens.
    field   nearest to the mean of the field that the token stands for: minimises E ‖moved − mean of its field‖²,
            Q = U Vᵀ of Σ_real^½ Cov(mean of the field, token) Σ_own^−½ = U S Vᵀ, orthogonal Procrustes (Schönemann 1966). For any code.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Compressed, Compressor, Grid, Standard
from course_lib.tokens.merging import sums_of

TARGETS = ("near", "field")
SMALLEST = 1e-9  # of the largest variance: what is smaller is no direction that a token has

Square = Float64[Tensor, "dim dim"]


class MomentMatched(Compressor):
    """Another compressor, whose tokens are moved to the moments of real ones on their way and moved back before it expands them.

    All in units of `scale`, the mean and spread of real tokens, so that a channel with large numbers is not all that counts.
    Side information: that of the other. Raises `BadInput`: a compressor that lets no token pass, or tokens that do not vary in every
    direction, which no A brings to a covariance that does.
    """

    def __init__(self, compressor: Compressor, dim: int):
        super().__init__()
        self.compressor, self.takes = compressor, compressor.takes
        self.scale = Standard(dim)
        for name, start in (("own_mean", torch.zeros(dim)), ("real_mean", torch.zeros(dim)), ("a", torch.eye(dim)), ("inverse", torch.eye(dim))):
            self.register_buffer(name, start.double())

    @classmethod
    @torch.no_grad()
    def fit(cls, compressor: Compressor, batches: Iterable[Tensor], target: str = "near") -> "MomentMatched":
        """From batches (batch, height, width, dim) of training tokens: what passes is to be distributed as these are."""
        if target not in TARGETS:
            raise BadInput(f"target must be near or field, not {target!r}.")
        batches = list(batches)
        real = torch.cat([tokens.flatten(0, 2) for tokens in batches])
        model = cls(compressor, real.shape[1]).to(real.device)
        model.scale.fit(real)
        passed = [compressor(tokens) for tokens in batches]
        own = torch.cat([each.tokens.flatten(0, 1) for each in passed])
        if not len(own):
            raise BadInput(f"{type(compressor).__name__} lets no token pass, so there is nothing to move.")
        own_units, real_units = model.scale(own), model.scale(real)
        (own_mean, own_cov), (real_mean, real_cov) = moments(own_units), moments(real_units)
        if target == "near":
            a = transport(own_cov, real_cov)
        else:
            fields = torch.cat([_means(tokens, each) for tokens, each in zip(batches, passed)])
            centred = own_units.double() - own_mean
            a = matching(own_cov, real_cov, model.scale(fields).double().mT @ centred / len(centred))
        for name, value in (("own_mean", own_mean), ("real_mean", real_mean), ("a", a), ("inverse", torch.linalg.inv(a))):
            getattr(model, name).copy_(value)
        return model

    def forward(self, tokens: Tensor) -> Compressed:
        found = self.compressor(tokens)
        moved = self.real_mean + (self.scale(found.tokens).double() - self.own_mean) @ self.a.mT
        return found._replace(tokens=self.scale.back(moved).to(found.tokens))

    def expand(self, compressed: Compressed) -> Grid:
        own = self.own_mean + (self.scale(compressed.tokens).double() - self.real_mean) @ self.inverse.mT
        return self.compressor.expand(compressed._replace(tokens=self.scale.back(own).to(compressed.tokens)))


def moments(points: Float[Tensor, "n dim"]) -> tuple[Float64[Tensor, "dim"], Square]:
    """Mean and covariance (divided by n), in float64."""
    mean = points.double().mean(0)
    centred = points.double() - mean
    return mean, centred.mT @ centred / len(points)


def transport(own: Square, real: Square) -> Square:
    """The A of "near". Raises `BadInput` for a covariance `own` that is flat in some direction."""
    half, back = root(own), root(own, -0.5)
    return back @ root(half @ real @ half) @ back


def matching(own: Square, real: Square, cross: Square) -> Square:
    """The A of "field". cross: Cov(what the moved tokens are to be near, own). Raises `BadInput` as `transport` does."""
    half, back = root(real), root(own, -0.5)
    u, _, v = torch.linalg.svd(half @ cross @ back)
    return half @ u @ v @ back


def root(matrix: Square, power: float = 0.5) -> Square:
    """matrix^power of a symmetric matrix, by its eigenvalues. Raises `BadInput` if a negative power meets one that is (nearly) 0."""
    values, vectors = torch.linalg.eigh(matrix)
    least = SMALLEST * float(values[-1])
    if power < 0 and not float(values[0]) > least:
        raise BadInput("the tokens to move do not vary in every direction, so they cannot be moved to tokens that do; give more pictures than "
                       "a token has numbers, and a compressor whose tokens use all of them.")
    return (vectors * values.clamp(min=0) ** power) @ vectors.mT


def _means(tokens: Grid, passed: Compressed) -> Float[Tensor, "n dim"]:
    """The mean of the tokens that each compressed token stands for; of one that stands for none, the token itself."""
    owner, n = passed.owner.flatten(1, 2), passed.tokens.shape[1]
    many = sums_of(torch.ones_like(tokens[..., :1]).flatten(1, 2), owner, n)
    return torch.where(many > 0, sums_of(tokens.flatten(1, 2), owner, n) / many.clamp(min=1), passed.tokens).flatten(0, 1)
