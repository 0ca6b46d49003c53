"""Priors over the codes of a scene: a causal transformer that generates scenes, and a baseline that only counts."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.codes.quantizer import check_codes
from course_lib.core.errors import BadInput, at_least_one
from course_lib.core.weights import buildable

AT_ONCE = 512  # scenes generated at the same time: enough for full speed, and the cache of the defaults takes 50 MB

Codes = Int[Tensor, "batch slots codebooks"]
Cache = Float[Tensor, "batch positions 2 heads head_dim"]  # keys and values of one block


class CodePrior(nn.Module):
    """What the priors share: scenes of slots × codebooks codes, each 0 to codes − 1, and what is refused.

    Both have `nll(codes)` and `generate(n, temperature, top_k, generator)`. A patch VQ-VAE fits too: its patches are slots
    with one codebook. positions = slots · codebooks, slot-major: all codes of the first slot, then of the second.
    """

    def __init__(self, slots: int, codebooks: int, codes: int):
        super().__init__()
        at_least_one(slots=slots, codebooks=codebooks, codes=codes)
        self.slots, self.codebooks, self.codes = slots, codebooks, codes
        self.positions = slots * codebooks

    def check(self, codes: Tensor) -> None:
        """Raise `BadInput` unless `codes` are scenes of this prior."""
        if codes.ndim != 3 or codes.shape[1:] != (self.slots, self.codebooks) or codes.is_floating_point():
            raise BadInput(f"this prior takes whole numbers of shape (batch, {self.slots} slots, {self.codebooks} "
                           f"codebooks), not {codes.dtype} of shape {tuple(codes.shape)}.")
        check_codes(codes, self.codes)

    def draws(
        self, n: int, temperature: float, top_k: int | None, generator: torch.Generator | None
    ) -> Float[Tensor, "n positions"]:
        """Check what `generate` was asked for; return all its random numbers, in (0, 1].

        They are drawn on the CPU: the same on every device.
        """
        if n < 1:
            raise BadInput(f"n must be at least 1 scene, not {n}.")
        if not 0 <= temperature < math.inf:
            raise BadInput(f"temperature must be a finite number from 0 on, not {temperature}.")
        if top_k is not None and not 1 <= top_k <= self.codes:
            raise BadInput(f"top_k must be from 1 to the {self.codes} codes of a codebook, not {top_k}.")
        return 1 - torch.rand(n, self.positions, generator=generator, dtype=torch.float64)


class Block(nn.Module):
    """x + attention(LN(x)), then x + MLP(LN(x)): a pre-norm transformer block (Xiong et al. 2020), MLP 4 · dim wide.

        y[i] = Σ_{j ≤ i} softmax over j ≤ i of (q[i] · k[j] / √head_dim) v[j]        in every head: nothing looks ahead
    """

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_qkv, self.to_out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)  # of what each half adds

    def forward(
        self, x: Float[Tensor, "batch new dim"], cache: Cache | None = None, known: int = 0
    ) -> Float[Tensor, "batch new dim"]:
        """All positions at once; or with a cache one new position, which sees the `known` ones before it by their keys and
        values kept there."""
        qkv = self.to_qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1))  # (batch, new, 3, heads, head_dim)
        query, pairs = qkv[:, :, 0], qkv[:, :, 1:]
        if cache is not None:
            cache[:, known : known + 1] = pairs
            pairs = cache[:, : known + 1]
        q, k, v = (part.transpose(1, 2) for part in (query, *pairs.unbind(2)))  # each (batch, heads, positions, head_dim)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        x = x + self.dropout(self.to_out(y.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))


@buildable
class Prior(CodePrior):
    """p(scene) = Π p(code i | codes before it): a causal transformer over slot-major codes.

        input i  = table of codebook m(i−1) [code i−1] + slot[s(i)] + codebook[m(i)]        input 0: the start token
        logits i = head of codebook m(i) · LN(what the blocks made of inputs 0 … i)          s(i), m(i): of position i

    So an input says which code came last and which place is to be told next. Every codebook has its own table and its
    own head, so a position has logits for the codes of its codebook only: codes of others need not be masked, there are none.
    (One vocabulary for all codebooks would need −∞ on the others, and waste most of the head.)
    The heads start at zero: the untrained prior holds all codes equally likely, and its NLL is the nominal rate,
    positions · ln(codes) nats (4 × 4 × 512: 99.8 nats = 144 bits).
    """

    def __init__(self, slots: int = 4, codebooks: int = 4, codes: int = 512, dim: int = 128, layers: int = 6, heads: int = 4,
                 dropout: float = 0.0):
        super().__init__(slots, codebooks, codes)
        at_least_one(dim=dim, layers=layers, heads=heads)
        if dim % heads:
            raise BadInput(f"a width of {dim} cannot be shared equally among {heads} heads.")
        if not 0 <= dropout < 1:
            raise BadInput(f"dropout must be at least 0 and below 1, not {dropout}.")
        scale = dim**-0.5
        self.tables = nn.Embedding(1 + codebooks * codes, dim)  # row 0: the start; then codebook after codebook
        self.slot = nn.Parameter(scale * torch.randn(slots, 1, dim))
        self.codebook = nn.Parameter(scale * torch.randn(codebooks, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Parameter(torch.zeros(codebooks, codes, dim))
        nn.init.normal_(self.tables.weight, std=scale)
        self.register_buffer("first", 1 + codes * torch.arange(codebooks).repeat(slots), persistent=False)  # row of code 0

    def forward(self, codes: Codes) -> Float[Tensor, "batch slots codebooks codes"]:
        """Logits of every code given the codes before it. Raises `BadInput`: scenes of another shape, codes out of range."""
        self.check(codes)
        rows = F.pad(codes.flatten(1) + self.first, (1, -1))  # to the right: 0, the start, comes in, the last code falls out
        hidden = self.norm(self._read(rows)).unflatten(1, (self.slots, self.codebooks))
        return torch.einsum("bsmd,mcd->bsmc", hidden, self.head)

    def nll(self, codes: Codes) -> Float[Tensor, "batch"]:
        """−ln p of each scene in nats, the sum over its positions. Raises `BadInput` as `forward` does."""
        each = F.cross_entropy(self(codes).flatten(0, 2), codes.flatten().long(), reduction="none")
        return each.view(len(codes), self.positions).sum(1)

    @torch.no_grad()
    def generate(self, n: int, temperature: float = 1.0, top_k: int | None = None,
                 generator: torch.Generator | None = None, cache: bool = True) -> Codes:
        """`n` scenes, code after code. temperature divides the logits, 0 takes the likeliest code; top_k: only from the
        `top_k` likeliest codes.

        cache: keep keys and values, so that every step computes one position; without, every step computes all positions
        up to its own anew. Random numbers are the same, and so are the codes (but for one whose random number lies within
        rounding of the border between two codes).
        Raises `BadInput`: n, temperature or top_k out of range.
        """
        draws = self.draws(n, temperature, top_k, generator).to(self.first.device)
        training = self.training
        self.eval()  # no dropout
        codes = [self._generate(some, temperature, top_k, cache) for some in draws.split(AT_ONCE)]
        self.train(training)
        return torch.cat(codes).unflatten(1, (self.slots, self.codebooks))

    def _generate(self, draws: Tensor, temperature: float, top_k: int | None, cache: bool) -> Int[Tensor, "n positions"]:
        kept = self.head.new_empty(self._cache_shape(len(draws))) if cache else None
        rows = self.first.new_zeros(len(draws), self.positions + 1)  # the start, then what is generated
        for i in range(self.positions):
            known = i if cache else 0  # positions whose keys and values need not be computed again
            x = self._read(rows[:, known : i + 1], known, kept)[:, -1]
            logits = F.linear(self.norm(x), self.head[i % self.codebooks])
            rows[:, i + 1] = self.first[i] + pick(logits, draws[:, i : i + 1], temperature, top_k)[:, 0]
        return rows[:, 1:] - self.first

    def _read(self, rows: Int[Tensor, "n new"], known: int = 0, cache: Tensor | None = None) -> Float[Tensor, "n new dim"]:
        """What the blocks make of inputs number known, known + 1, …; before the last norm."""
        places = (self.slot + self.codebook).flatten(0, 1)  # (positions, dim)
        x = self.tables(rows) + places[known : known + rows.shape[1]]
        for number, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache[number], known)
        return x

    def _cache_shape(self, n: int) -> tuple[int, ...]:
        heads = self.blocks[0].heads
        return len(self.blocks), n, self.positions, 2, heads, self.norm.normalized_shape[0] // heads


@buildable
class Independent(CodePrior):
    """p(scene) = Π p(code at its position), counted in training scenes: scenes whose codes know nothing of each other.

        p(code k at position i) = (count[i, k] + smoothing) / Σ of the same over all codes

    smoothing gives a code that was never seen at its place a finite NLL; it is small, since what is generated must not be
    spoilt by codes that were never seen (0.01: with 20,000 scenes and 512 codes once in 4000 codes).
    """

    def __init__(self, slots: int = 4, codebooks: int = 4, codes: int = 512, smoothing: float = 0.01):
        super().__init__(slots, codebooks, codes)
        if not 0 < smoothing < math.inf:
            raise BadInput(f"smoothing must be a positive number, not {smoothing}.")
        self.smoothing = smoothing
        self.register_buffer("counts", torch.zeros(slots, codebooks, codes, dtype=torch.long))

    def count(self, codes: Codes) -> None:
        """Add scenes to those that have been counted. Raises `BadInput` for scenes of another prior."""
        self.check(codes)
        first = self.codes * torch.arange(self.positions, device=codes.device)  # of each position, among all counts
        rows = (codes.flatten(1) + first).flatten()
        self.counts += torch.bincount(rows, minlength=self.counts.numel()).view_as(self.counts)

    def nll(self, codes: Codes) -> Float[Tensor, "batch"]:
        """−ln p of each scene in nats. Raises `BadInput` for scenes of another prior."""
        self.check(codes)
        each = self.logits.log_softmax(1)[torch.arange(self.positions, device=codes.device), codes.flatten(1).long()]
        return -each.sum(1)

    def generate(self, n: int, temperature: float = 1.0, top_k: int | None = None,
                 generator: torch.Generator | None = None) -> Codes:
        """`n` scenes; arguments and errors are those of `Prior.generate`."""
        draws = self.draws(n, temperature, top_k, generator).T.contiguous().to(self.counts.device)
        codes = pick(self.logits, draws, temperature, top_k).T.contiguous()
        return codes.unflatten(1, (self.slots, self.codebooks))

    @property
    def logits(self) -> Float[Tensor, "positions codes"]:
        """ln(count + smoothing): what a softmax makes into probabilities."""
        return (self.counts + self.smoothing).log().flatten(0, 1)


def pick(
    logits: Float[Tensor, "*lead codes"], draws: Float[Tensor, "*lead many"], temperature: float = 1.0,
    top_k: int | None = None,
) -> Int[Tensor, "*lead many"]:
    """For each draw u the first code whose cumulated probability reaches u; p = softmax(logits / temperature).

    u lies in (0, 1], so a code of probability 0 is never picked. temperature 0: the likeliest code; top_k: p is 0 but for
    the `top_k` likeliest codes. They stay in the order of their numbers, not of their p: logits that differ by
    rounding only then give other codes only where u lies within rounding of a border.
    """
    if temperature < torch.finfo(logits.dtype).tiny:  # 0, or too small to divide by
        return logits.argmax(-1, keepdim=True).expand_as(draws)
    if top_k:
        allowed = logits.topk(top_k).indices.sort(-1).values
        return allowed.gather(-1, pick(logits.gather(-1, allowed), draws, temperature))
    weights = ((logits - logits.amax(-1, keepdim=True)) / temperature).exp()
    reached = weights.cumsum(-1)
    return torch.searchsorted(reached, draws.to(reached) * reached[..., -1:])
