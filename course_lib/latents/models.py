"""The three networks of Part I, all built from one MLP.

Every model takes `members`: 0 is one model; M > 0 is a family of M independent models of the same shape, whose
parameters carry a leading axis and which run side by side in one batched matrix product.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.core.errors import BadInput
from course_lib.core.weights import buildable
from course_lib.latents.losses import check_beta

HIDDEN = (32, 64, 32)  # as in Gen_Study, the study Part I grew from


class Linear(nn.Module):
    """y = x W + b with W of shape (in, out), or (members, in, out) for a family. Starts like `torch.nn.Linear`."""

    def __init__(self, inputs: int, outputs: int, members: int = 0):
        super().__init__()
        lead, reach = (members,) * bool(members), 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(*lead, inputs, outputs).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.empty(*lead, 1, outputs).uniform_(-reach, reach))

    def forward(self, x: Float[Tensor, "*lead batch inputs"]) -> Float[Tensor, "*members batch outputs"]:
        if self.weight.ndim == 2:
            return torch.addmm(self.bias, x, self.weight)
        return torch.baddbmm(self.bias, x.expand(len(self.weight), *x.shape[-2:]), self.weight)


class MLP(nn.Sequential):
    """Linear → ReLU → … → Linear through the given sizes, for example [1, 32, 64, 32, 1]."""

    def __init__(self, sizes: Sequence[int], members: int = 0):
        if min(sizes) < 1:
            raise BadInput(f"every layer of an MLP needs at least one unit; the sizes were {list(sizes)}.")
        layers: list[nn.Module] = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            layers += [Linear(inputs, outputs, members), nn.ReLU()]
        super().__init__(*layers[:-1])


@buildable
class Decoder(nn.Module):
    """x̂ = g(z). Trained on noise paired at random with data it is *non-identifiable*: nothing tells it which x a z means."""

    def __init__(self, hidden: Sequence[int] = HIDDEN, latent: int = 1, members: int = 0):
        super().__init__()
        self.decoder = MLP([latent, *hidden, 1], members)

    def decode(self, z: Float[Tensor, "*lead batch latent"]) -> Float[Tensor, "*members batch 1"]:
        """x̂ = g(z)."""
        return self.decoder(z)

    forward = decode


@buildable
class Autoencoder(nn.Module):
    """ẑ = f(x), x̂ = g(ẑ)."""

    def __init__(self, hidden: Sequence[int] = HIDDEN, latent: int = 1, members: int = 0):
        super().__init__()
        self.encoder = MLP([1, *hidden, latent], members)
        self.decoder = MLP([latent, *hidden, 1], members)

    def encode(self, x: Float[Tensor, "*lead batch 1"]) -> Float[Tensor, "*members batch latent"]:
        """ẑ = f(x)."""
        return self.encoder(x)

    def decode(self, z: Float[Tensor, "*lead batch latent"]) -> Float[Tensor, "*members batch 1"]:
        """x̂ = g(z)."""
        return self.decoder(z)

    def forward(self, x: Float[Tensor, "*lead batch 1"]) -> Float[Tensor, "*members batch 1"]:
        return self.decode(self.encode(x))


@buildable
class VAE(nn.Module):
    """q(z|x) = N(μ(x), diag σ²(x)), z = μ + σ·ε with ε ~ N(0, 1), x̂ = g(z) (Kingma & Welling 2014, sec. 2.4)."""

    def __init__(self, hidden: Sequence[int] = HIDDEN, latent: int = 1, members: int = 0):
        super().__init__()
        self.encoder = MLP([1, *hidden, 2 * latent], members)
        self.decoder = MLP([latent, *hidden, 1], members)

    def encode(self, x: Float[Tensor, "*lead batch 1"]) -> tuple[Tensor, Tensor]:
        """Return μ(x) and log σ²(x), each (*members, batch, latent)."""
        mu, log_var = self.encoder(x).chunk(2, dim=-1)
        return mu, log_var

    def reparameterize(self, mu: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
        """z = μ + σ·ε: the randomness comes from outside, so gradients reach μ and σ."""
        return mu + torch.exp(0.5 * log_var) * noise

    def decode(self, z: Float[Tensor, "*lead batch latent"]) -> Float[Tensor, "*members batch 1"]:
        """x̂ = g(z)."""
        return self.decoder(z)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x̂ (*members, batch, 1), μ and log σ² (*members, batch, latent)."""
        mu, log_var = self.encode(x)
        return self.decode(self.reparameterize(mu, log_var, noise)), mu, log_var


@buildable
class VAEFamily(VAE):
    """One VAE for every β and every seed, side by side: member number `seed_index · len(betas) + beta_index`."""

    def __init__(self, betas: Sequence[float], seeds: Sequence[int] = (0,), hidden: Sequence[int] = HIDDEN,
                 latent: int = 1):
        betas = [check_beta(beta) for beta in betas]
        if not betas or not seeds:
            raise BadInput("a family needs at least one beta and one seed.")
        if len(set(betas)) < len(betas) or len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise BadInput("the betas and the seeds of a family must differ from each other, and seeds be 0 or more.")
        super().__init__(hidden, latent, members=len(betas) * len(seeds))
        self.betas, self.seeds, self.hidden, self.latent = betas, list(seeds), tuple(hidden), latent

    def first(self, seed: int | None = None) -> int:
        """Return the number of the first member of this seed (of the first seed by default)."""
        if seed is not None and seed not in self.seeds:
            raise BadInput(f"no member was trained with seed {seed}; there are {', '.join(map(str, self.seeds))}.")
        return len(self.betas) * (0 if seed is None else self.seeds.index(seed))

    def at(self, beta: float, seed: int | None = None) -> VAE:
        """Return the member trained with this β (and seed; the first by default) as a single VAE (a copy)."""
        if beta not in self.betas:
            raise BadInput(f"no member was trained at beta = {beta:g}; there are {', '.join(f'{b:g}' for b in self.betas)}.")
        index = self.first(seed) + self.betas.index(beta)
        single = VAE(self.hidden, self.latent)
        single.load_state_dict({name: value[index] for name, value in self.state_dict().items()})
        return single
