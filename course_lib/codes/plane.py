"""A world in which vector quantisation can be seen: points in the plane, one codebook, and everything that moves is kept.

The quantiser is the course's own (`quantizer.py`). Here it meets clusters of unequal size, an encoder so free that it may put
every point anywhere ("free points"), and a small network. Errors of the plane are squared distances, not means over the two numbers.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.codes.quantizer import ProductQuantizer, entropy_bits, nearest
from course_lib.core.errors import BadInput
from course_lib.core.threads import one_thread

SHARES = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16)  # of the points, cluster by cluster: 15/8 bits of entropy, exactly
Points = Float[Tensor, "n 2"]
Codes = Float[Tensor, "k 2"]


def clusters(n: int = 320, seed: int = 0, spread: float = 0.3, radius: float = 2.0) -> Points:
    """n points in five round clusters, one after another in the shares 1/2, 1/4, 1/8, 1/16, 1/16; their centres lie on a circle.

    spread: standard deviation within a cluster. Raises `BadInput` if n cannot be shared out so.
    """
    if n < 16 or n % 16:
        raise BadInput(f"five clusters with shares down to 1/16 need a multiple of 16 points, not {n}.")
    angle = (90 + 72 * torch.arange(5.0)).deg2rad()
    centres = radius * torch.stack([angle.cos(), angle.sin()], 1)
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    return centres[cluster_of(n)] + spread * noise


def cluster_of(n: int = 320) -> Int[Tensor, "n"]:
    """The number of the cluster, 0 to 4, to which each point of `clusters(n)` belongs."""
    return torch.arange(5).repeat_interleave(torch.tensor([int(share * n) for share in SHARES]))


def untrained(n: int = 320, seed: int = 0, spread: float = 0.5) -> Points:
    """Where an encoder that has learned nothing puts n points: one small cloud around the origin."""
    return spread * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


def codebook(codes: int, seed: int = 0, **settings) -> ProductQuantizer:
    """One codebook for the plane, in training mode; the world's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ProductQuantizer(2, 1, codes, **settings).train()


def due(quantizer: ProductQuantizer) -> float:
    """The share of codes, 0 to 1, that the quantiser will draw anew at its next training step: N < restart · mean(N)."""
    return float((quantizer.uses < quantizer.restart * quantizer.uses.mean(1, keepdim=True)).float().mean())


@dataclass(frozen=True)
class History:
    """A training, moment by moment: t = steps + 1 moments, before the first step and after each. Squared distances."""

    targets: Points  # where the task wants the outputs
    points: Float[Tensor, "t n 2"]  # z
    codes: Float[Tensor, "t k 2"]  # e
    redrawn: Float[Tensor, "steps"]  # the share of codes that were drawn anew at each step

    @cached_property
    def indices(self) -> Int[Tensor, "t n"]:
        """The number of the nearest code of each point."""
        return nearest(self.points, self.codes)

    @cached_property
    def outputs(self) -> Float[Tensor, "t n 2"]:
        """q(z), the nearest code of each point."""
        return self.codes.gather(1, self.indices.unsqueeze(-1).expand(-1, -1, 2))

    @cached_property
    def error(self) -> Float[Tensor, "t"]:
        """The task: mean of ‖q(z) − target‖². If the points are the targets themselves it is the distortion."""
        return (self.outputs - self.targets).square().sum(-1).mean(1)

    @cached_property
    def gap(self) -> Float[Tensor, "t"]:
        """Mean of ‖z − q(z)‖²: how far the encoder stands from the codes that speak for it."""
        return (self.points - self.outputs).square().sum(-1).mean(1)

    @cached_property
    def counts(self) -> Int[Tensor, "t k"]:
        """How many points chose each code."""
        return torch.stack([torch.bincount(row, minlength=self.codes.shape[1]) for row in self.indices])

    @cached_property
    def perplexity(self) -> Float[Tensor, "t"]:
        """2^H of the shares of points that chose each code: how many codes are used, as if all used ones were used alike."""
        return entropy_bits(self.counts).exp2()


def train(quantizer: ProductQuantizer, targets: Points, steps: int, *, points: Float[Tensor, "m 2"] | None = None, rate: float = 0.0,
          lr: float = 0.0, batch: int | None = None, seed: int = 0) -> History:
    """Train a codebook of the plane, and with `rate` the points as well; the quantiser is changed.

    The points z (by default the targets) follow the straight-through gradient of ‖q(z) − target‖² and the commitment term,

        z ← z − rate · [(q(z) − target) + commitment_weight · (z − q(z))]

    which is gradient descent on the mean of both over points. Codes with learning "ema" move by themselves; with "loss" they
    follow the gradient of (sg[z] − e)², e ← e + lr · (share of the points that chose e) · (their mean − e).
    batch: so many points, drawn by chance for each step, are shown; None shows all. Starts "data" and "kmeans" see all points.
    Raises `BadInput` for a quantiser that is not one codebook of the plane, and for points that are not as many as the targets.
    """
    points = (targets if points is None else points).clone()
    if quantizer.dim != 2 or quantizer.codebooks != 1:
        raise BadInput(f"the plane needs one codebook of 2 numbers, not {quantizer.codebooks} for {quantizer.dim} numbers.")
    if points.shape != targets.shape:
        raise BadInput(f"every point needs a target: there are {len(points)} points and {len(targets)} targets.")
    generator, n = torch.Generator().manual_seed(seed), len(points)
    kept_points, kept_codes, redrawn = [], [], []
    with one_thread(), torch.enable_grad():
        if not quantizer.started:
            quantizer.start_from(points, generator)
        for _ in range(steps + 1):
            kept_points.append(points.clone())
            kept_codes.append(quantizer.codebook.detach()[0].clone())
            if len(kept_codes) > steps:
                break
            redrawn.append(due(quantizer))
            shown = torch.randperm(n, generator=generator)[:batch] if batch else slice(None)
            _step(quantizer, points, targets, shown, rate, lr, generator)
    return History(targets, torch.stack(kept_points), torch.stack(kept_codes), torch.tensor(redrawn))


def _step(quantizer: ProductQuantizer, points: Points, targets: Points, shown: Tensor | slice, rate: float, lr: float,
          generator: torch.Generator) -> None:
    """One step of `train`, in place. Means over the two numbers make the gradient of n points 1/n of what the docstring says."""
    z = points[shown].clone().requires_grad_()
    result = quantizer(z, generator)
    loss = (result.quantized - targets[shown]).square().mean() + result.loss
    learned = [quantizer.codebook] if quantizer.learning == "loss" else []
    to_points, *to_codes = torch.autograd.grad(loss, [z, *learned])
    with torch.no_grad():
        points[shown] -= rate * len(z) * to_points
        for code, gradient in zip(learned, to_codes):
            code -= lr * gradient


def pair_theory(steps: int, z: float, e: float, weight: float, rate: float, follow: float) -> Float[Tensor, "t 2"]:
    """One point and its one code on a line, target 0: (z, e) at each moment. The code moves to the point by the share `follow`.

        z ← z − rate · [e + weight · (z − e)],      e ← e + follow · (z − e)

    Linear, so moment t is the t-th power of a 2 × 2 matrix. They swing if (follow + rate · weight)² < 4 · rate · follow.
    """
    matrix = torch.tensor([[1 - rate * weight, rate * (weight - 1)], [follow, 1 - follow]], dtype=torch.float64)
    first = torch.tensor([z, e], dtype=torch.float64)
    return torch.stack([torch.linalg.matrix_power(matrix, t) @ first for t in range(steps + 1)]).float()


def calm_weight(rate: float, follow: float) -> float:
    """The least commitment weight with which point and code of `pair_theory` do not swing: (2√(rate · follow) − follow) / rate."""
    return (2 * (rate * follow) ** 0.5 - follow) / rate


@dataclass(frozen=True)
class Network:
    """What a small VQ-VAE of the plane came to."""

    error: float  # mean ‖output − target‖²
    gap: float  # mean ‖z − q(z)‖²
    size: float  # √ of the mean ‖z − mean(z)‖²: how large the encoder draws its picture


def train_network(targets: Points, weight: float, seed: int = 0, codes: int = 8, steps: int = 300, lr: float = 5e-3) -> Network:
    """A VQ-VAE with a layer of 32 in the encoder and in the decoder, Adam: unlike the free points its decoder learns, too."""
    with torch.random.fork_rng(devices=[]), one_thread(), torch.enable_grad():
        torch.manual_seed(seed)
        encoder, decoder = (nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2)) for _ in range(2))
        quantizer = ProductQuantizer(2, 1, codes, commitment_weight=weight, decay=0.95).train()
        optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr)
        for _ in range(steps):
            z = encoder(targets)
            result = quantizer(z)
            loss = (decoder(result.quantized) - targets).square().mean() + result.loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            z = encoder(targets)
            quantized = quantizer.eval()(z).quantized
            distance = lambda a, b: float((a - b).square().sum(1).mean())
            return Network(distance(decoder(quantized), targets), distance(z, quantized), distance(z, z.mean(0)) ** 0.5)
