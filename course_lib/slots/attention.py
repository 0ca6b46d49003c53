"""Slot attention (Locatello et al. 2020, Algorithm 1): slots compete for the inputs, iteration after iteration."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput

GRADIENTS = ("full", "implicit", "bilevel")
Inputs, Slots = Float[Tensor, "batch n input_dim"], Float[Tensor, "batch slots dim"]
Chance = torch.Generator | Sequence[torch.Generator] | None  # one for the batch, one a picture, or torch's own


class SharedGaussian(nn.Module):
    """Every slot starts as a sample of one learned Gaussian, μ + σ·noise: any number of slots, none of them special."""

    def __init__(self, slot_dim: int):
        super().__init__()
        self.mean = nn.Parameter(torch.randn(slot_dim) / slot_dim**0.5)
        self.log_std = nn.Parameter(torch.zeros(slot_dim))

    def forward(self, inputs: Inputs, num_slots: int, chance: Chance = None) -> Slots:
        noise = _draw(torch.randn, len(inputs), (num_slots, len(self.mean)), chance)  # on the CPU: the same on every device
        return self.mean + self.log_std.exp() * noise.to(self.mean)


class LearnedQueries(nn.Module):
    """Every slot starts as a learned query of its own (Jia et al. 2023).

    Of more queries than slots each picture gets a random subset, in order. A model trained with subsets of every size
    works with any number of slots up to its number of queries.
    """

    def __init__(self, slot_dim: int, queries: int):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, slot_dim) / slot_dim**0.5)

    def forward(self, inputs: Inputs, num_slots: int, chance: Chance = None) -> Slots:
        batch, many = len(inputs), len(self.queries)
        if num_slots > many:
            raise BadInput(f"this model has {many} learned queries, so at most {many} slots, not {num_slots}.")
        if num_slots == many:
            return self.queries.expand(batch, -1, -1)
        chosen = _draw(torch.rand, batch, (many,), chance).argsort(1)[:, :num_slots].sort(1).values
        return self.queries[chosen.to(self.queries.device)]


class SeededSlots(nn.Module):
    """Every slot starts at one input of the picture, W·input + b, chosen as greedy k-means++ chooses its centres.

    `TRIALS` inputs are drawn, with a probability that grows with the eighth power of the distance to the nearest one chosen
    before; the one of them that leaves the least sum of these powers is taken (Arthur & Vassilvitskii 2007 take the
    square: here objects are few among many background tokens). For the first one the draw is even. Distances are
    between layer-normalised inputs. Any number of slots works, and no two of them start alike. (Slots started by
    clustering: Gao et al. 2023.)
    """

    TRIALS = 8

    def __init__(self, input_dim: int, slot_dim: int):
        super().__init__()
        self.project = nn.Linear(input_dim, slot_dim)

    def forward(self, inputs: Inputs, num_slots: int, chance: Chance = None) -> Slots:
        chosen = self.choose(inputs, _draw(torch.rand, len(inputs), (num_slots, self.TRIALS), chance).to(inputs.device))
        return self.project(inputs[torch.arange(len(inputs), device=inputs.device)[:, None], chosen])

    @staticmethod
    @torch.no_grad()
    def choose(inputs: Inputs, draws: Float[Tensor, "batch slots trials"]) -> Int[Tensor, "batch slots"]:
        """The numbers of the chosen inputs; `draws`, uniform in [0, 1), decide."""
        inputs = F.layer_norm(inputs.float(), inputs.shape[-1:])
        rows, chosen = torch.arange(len(inputs), device=inputs.device), []
        weight = torch.ones_like(inputs[..., 0])
        for draw in draws.unbind(1):
            total = weight.cumsum(1)
            drawn = torch.searchsorted(total, draw * total[:, -1:], right=True).clamp(max=weight.shape[1] - 1)
            left = torch.cdist(inputs[rows[:, None], drawn], inputs).pow(8)  # (batch, trials, n)
            if chosen:
                left = torch.minimum(left, weight[:, None])
            best = left.sum(2).argmin(1)
            chosen.append(drawn[rows, best])
            weight = left[rows, best]
        return torch.stack(chosen, 1)


def _draw(
    distribution: Callable[..., Tensor], batch: int, shape: tuple[int, ...], chance: Chance
) -> Float[Tensor, "batch ..."]:
    if chance is None or isinstance(chance, torch.Generator):
        return distribution(batch, *shape, generator=chance)
    if len(chance) != batch:
        raise BadInput(f"a batch of {batch} pictures needs as many generators, not {len(chance)}.")
    return torch.stack([distribution(shape, generator=generator) for generator in chance])


class SlotAttention(nn.Module):
    """`iterations` rounds of: softmax over slots, mean of the inputs weighted by it, GRU, residual MLP.

        A[k, n] = softmax over k of  q(LN(slots))[k] · k(LN(inputs))[n] / √dim      slots compete for each input
        U[k]    = Σₙ (A[k, n] + eps) v(LN(inputs))[n] / Σₙ (A[k, n] + eps)          eps = 1e-8
        slots   = GRU(U, slots);   slots = slots + MLP(LN(slots))

    q, k and v have no bias; LayerNorm's eps is torch's 1e-5 (Keras, and so the paper's code, has 1e-3).
    gradient: "full" through all iterations; "implicit" (Chang et al. 2022) only through the last one, the rest found
    the point where it acts; "bilevel" (Jia et al. 2023) like implicit, and the start of the slots receives the gradient
    of the last iteration's input, straight through. All three make the same `iterations` steps forward.
    """

    def __init__(self, input_dim: int, slot_dim: int = 64, hidden_dim: int = 128, gradient: str = "full",
                 eps: float = 1e-8):
        super().__init__()
        if gradient not in GRADIENTS:
            raise BadInput(f"gradient must be one of {', '.join(GRADIENTS)}, not {gradient!r}.")
        self.gradient, self.eps, self.scale = gradient, eps, slot_dim**-0.5
        self.norm_inputs = nn.LayerNorm(input_dim)
        self.norm_slots, self.norm_mlp = nn.LayerNorm(slot_dim), nn.LayerNorm(slot_dim)
        self.to_query = nn.Linear(slot_dim, slot_dim, bias=False)
        self.to_key = nn.Linear(input_dim, slot_dim, bias=False)
        self.to_value = nn.Linear(input_dim, slot_dim, bias=False)
        self.gru = nn.GRUCell(slot_dim, slot_dim)
        self.mlp = nn.Sequential(nn.Linear(slot_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, slot_dim))

    def forward(
        self, inputs: Float[Tensor, "batch n input_dim"], slots: Float[Tensor, "batch k dim"], iterations: int = 3,
        between: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Float[Tensor, "batch k dim"], Float[Tensor, "batch iterations k n"]]:
        """Return the slots after the last iteration, and A of every iteration. between: what happens to the slots after
        every iteration but the last (Part III makes codes of them)."""
        if iterations < 1:
            raise BadInput(f"slot attention needs at least 1 iteration, not {iterations}.")
        inputs, start, history = self.norm_inputs(inputs), slots, []
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.gradient == "full"):
            for _ in range(iterations - 1):
                slots, attention = self.step(inputs, slots)
                slots = between(slots) if between else slots
                history.append(attention)
        if self.gradient != "full":
            slots = slots.detach() + (start - start.detach() if self.gradient == "bilevel" else 0)
        slots, attention = self.step(inputs, slots)
        return slots, torch.stack([*history, attention], 1)

    def step(
        self, inputs: Float[Tensor, "batch n input_dim"], slots: Float[Tensor, "batch k dim"]
    ) -> tuple[Float[Tensor, "batch k dim"], Float[Tensor, "batch k n"]]:
        """One iteration on normalised inputs.

        q · (W x) = (Wᵀ q) · x, and a mean of W x is W times the mean of x: so keys and values are never computed for
        the many inputs; their matrices act on the few slots instead. Same numbers, fewer than half
        of the multiplications (notebook 04 counts them).
        """
        query = self.scale * self.to_query(self.norm_slots(slots)) @ self.to_key.weight  # (batch, k, input_dim)
        attention = (query @ inputs.transpose(1, 2)).softmax(dim=1)  # (batch, k, n)
        weights = attention + self.eps
        mean = (weights @ inputs) / weights.sum(-1, keepdim=True)  # (batch, k, input_dim)
        return self.update(self.to_value(mean), slots), attention

    def update(self, values: Float[Tensor, "batch k dim"], slots: Float[Tensor, "batch k dim"]) -> Float[Tensor, "batch k dim"]:
        """slots = GRU(values, slots);   slots + MLP(LN(slots))"""
        slots = self.gru(values.flatten(0, 1), slots.flatten(0, 1)).view_as(slots)
        return slots + self.mlp(self.norm_mlp(slots))
