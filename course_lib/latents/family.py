"""Train a whole family of β-VAEs at once: any number of β's and seeds, one batched network, one loop.

Members never exchange anything: the losses are summed, so each gets its own gradient, and Adam works element by element.
The result is that of training one by one; only the matrix products are shared.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import trange

from course_lib.core.errors import BadInput
from course_lib.core.threads import one_thread
from course_lib.latents.losses import beta_vae_loss
from course_lib.latents.mixture import check_data
from course_lib.latents.models import HIDDEN, VAE, VAEFamily

# the slider's stops: every 1-2-5 step, and closer where the collapse is
BETAS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 4.0, 5.0, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 10.0, 14.0, 20.0)


def cosine(step: int, steps: int) -> float:
    """Factor of the learning rate at `step`: from 1 to 0 along half a cosine (Loshchilov & Hutter 2017, eq. 5)."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def draws(n: int, batch_size: int, steps: int, latent: int, seed: int) -> Iterator[tuple[Int[Tensor, "batch"], Tensor]]:
    """The random numbers of one training run: each step the rows of a batch (drawn with replacement) and its noise."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(n, (batch_size,), generator=generator)
        yield rows, torch.randn(batch_size, latent, generator=generator)


def start(seed: int, hidden: Sequence[int] = HIDDEN, latent: int = 1) -> VAE:
    """The VAE from which every member of this seed starts; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAE(hidden, latent)


@one_thread()
def train_family(x: Float[Tensor, "n 1"], betas: Sequence[float] = BETAS, seeds: Sequence[int] = (0,), *, steps: int = 4000,
                 lr: float = 3e-3, batch_size: int = 64, hidden: Sequence[int] = HIDDEN, latent: int = 1,
                 anneal: bool = True, progress: bool = True) -> tuple[VAEFamily, Float[Tensor, "steps members"]]:
    """Train one VAE per (β, seed) on x with Adam; return the family and its losses.

    Members of one seed share start, batches and noise, so that they differ by β alone. The default (4000 steps, learning
    rate 3e-3 falling along a cosine) ends where 16,000 steps at a constant 1e-3 end
    (data/runs/latents_family_settings.json), in a quarter of the time.
    """
    x = check_data(x)
    if steps < 1 or batch_size < 1:
        raise BadInput(f"a family trains for at least 1 step of at least 1 sample, not {steps} of {batch_size}.")
    if not 0 < lr < math.inf:
        raise BadInput(f"lr must be a positive number, not {lr}.")
    with torch.random.fork_rng(devices=[]):
        family = VAEFamily(betas, seeds, hidden, latent)
    copies = [{name: value.expand(len(betas), *value.shape) for name, value in start(seed, hidden, latent).state_dict().items()}
              for seed in seeds]
    family.load_state_dict({name: torch.cat([copy[name] for copy in copies]) for name in copies[0]})
    beta = torch.tensor(family.betas).repeat(len(seeds))
    optimizer = torch.optim.Adam(family.parameters(), lr=lr, fused=True)
    losses = torch.empty(steps, len(beta))
    streams = zip(*(draws(len(x), batch_size, steps, latent, seed) for seed in seeds))
    for step in trange(steps, desc=f"{len(beta)} β-VAEs", disable=not progress, mininterval=0.2):
        rows, noise = zip(*next(streams))
        # (members, batch, ·): every β of a seed sees the same batch and noise
        batch = torch.stack([x[r] for r in rows]).repeat_interleave(len(betas), 0)
        noise = torch.stack(noise).repeat_interleave(len(betas), 0)
        x_hat, mu, log_var = family(batch, noise)
        loss = beta_vae_loss(x_hat, batch, mu, log_var, beta)["loss"]
        optimizer.param_groups[0]["lr"] = lr * cosine(step, steps) if anneal else lr
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        losses[step] = loss.detach()
    if not (finite := losses.isfinite().all(0)).all():
        raise BadInput(f"the loss at beta = {float(beta[~finite][0]):g} stopped being finite; use a smaller learning rate.")
    return family.requires_grad_(False), losses
