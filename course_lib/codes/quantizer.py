"""Vector quantisation (van den Oord et al. 2017) with product codes (Jégou et al. 2011): a vector becomes a few numbers."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput

LEARNINGS = ("ema", "loss")
STARTS = ("normal", "data", "kmeans")
ROUNDS = 10  # of Lloyd's algorithm in a k-means start
SELDOM = 1e-6  # the least frequency of a code: it has a finite cost even if it was never chosen
NOISE = 0.01  # of the vectors' spread, added where one vector starts several codes, as in Jukebox (Dhariwal et al. 2020)

Codebooks = Float[Tensor, "m codes code_dim"]
Vectors = Float[Tensor, "m n code_dim"]  # sub-vector number m of each of n vectors


class Quantized(NamedTuple):
    """What `ProductQuantizer` returns; the two losses are means over vectors and their dimensions."""

    quantized: Float[Tensor, "... dim"]  # exactly the chosen codes; backwards, the gradient goes straight to the input
    indices: Int[Tensor, "... codebooks"]  # 0 to codes − 1
    loss: Float[Tensor, ""]  # codebook_loss + commitment_weight · commitment
    commitment: Float[Tensor, ""]  # (z − sg[e])²: pulls the input to its code
    codebook_loss: Float[Tensor, ""]  # (sg[z] − e)²: pulls the code to its inputs; 0 if learning = "ema"


class ProductQuantizer(nn.Module):
    """Cut a vector into `codebooks` parts and replace each by the nearest of the `codes` entries of its own codebook.

        k[m] = argmin over k of ‖z[m] − e[m, k]‖²,      quantized = e[1, k[1]], …, e[M, k[M]]     (van den Oord, eq. 1, 2)
        loss = (sg[z] − e)² + commitment_weight · (z − sg[e])²         means, not sums, over dimensions             (eq. 3)

    Backwards `quantized` is z: the gradient of what follows goes straight through. One codebook is plain VQ; M
    codebooks of K codes say one of K^M things with M·K entries. The defaults are the course's: 4 × 512 × 16.
    learning: "loss", codes are parameters and follow eq. 3; "ema", its first term is left out and a code is the moving
    mean of its inputs (appendix A.1): with n[k] inputs that chose k and their sum s[k] in this step,

        N[k] ← decay · N[k] + (1 − decay) · n[k],      S[k] ← decay · S[k] + (1 − decay) · s[k]
        e[k] = S[k] / N'[k],   N'[k] = (N[k] + eps) / (ΣN + codes · eps) · ΣN                 Laplace smoothing

    start: "normal", codes are drawn from N(0, 1); "data", from the first training batch; "kmeans", they are the centres of
    its clusters, which needs more vectors than codes to differ from "data": `start_from` takes a larger sample.
    restart: before a training step, codes with N[k] < restart · mean(N) become vectors of the batch. It is a share of
    the uses that every code would have if all had the same, because no absolute number fits: at 0.25 uses per code and
    step all codes stay below 1.0 and are drawn anew for ever (a restart of 4 does just that). 0: never. A code that is
    never chosen is dead after ln(restart) / ln(decay) steps, 230 with the defaults: one that is chosen less often than
    that on average, because batches are very small, needs a longer decay.

    rate_weight: entropy-constrained VQ (Chou, Lookabaugh & Gray 1989). With more codes than there are things to say, several
    mean the same, and which of them is chosen is noise that someone must store and a prior must learn. If a code also
    costs what it takes to name it, −ln p[k] nats when codes as frequent as p[k] = N[k] / ΣN are entropy-coded,

        k[m] = argmin over k of ‖z[m] − e[m, k]‖² − rate_weight · ln p[m, k]

    then of two codes that would do the more frequent one is chosen, and the other dies out. `rate_share` scales it, from
    0 to 1: it can begin only when there is something to say, else one code takes all.

    Only `forward` in training mode and `start_from` change anything; all state is in the parameters and buffers. Random
    numbers come from torch's generator, or the one that is given, and only if something starts. In several processes N
    and S count all of them, and what starts comes from the first one's batch. Under autocast the codes are compared in
    the codebook's float32.
    Raises `BadInput` for sizes that do not fit together, unknown names and numbers out of range.
    """

    def __init__(self, dim: int = 64, codebooks: int = 4, codes: int = 512, learning: str = "ema", start: str = "data",
                 commitment_weight: float = 0.25, decay: float = 0.99, eps: float = 1e-5, restart: float = 0.1,
                 rate_weight: float = 0.0):
        super().__init__()
        if codes < 1:
            raise BadInput(f"a codebook needs at least 1 code, not {codes}.")
        if codebooks < 1 or dim < 1 or dim % codebooks:
            raise BadInput(f"vectors of {dim} numbers cannot be cut into {codebooks} equal parts, one for each codebook.")
        if learning not in LEARNINGS:
            raise BadInput(f"learning must be one of {', '.join(LEARNINGS)}, not {learning!r}.")
        if start not in STARTS:
            raise BadInput(f"start must be one of {', '.join(STARTS)}, not {start!r}.")
        if not 0 <= decay < 1:
            raise BadInput(f"decay must be at least 0 and below 1, not {decay}.")
        if not restart >= 0:
            raise BadInput(f"restart must be 0 or a positive share of the mean use, not {restart}.")
        if not 0 <= rate_weight < math.inf:
            raise BadInput(f"rate_weight must be 0 or a positive number, not {rate_weight}.")
        self.dim, self.codebooks, self.codes, self.code_dim = dim, codebooks, codes, dim // codebooks
        self.learning, self.start, self.commitment_weight = learning, start, commitment_weight
        self.decay, self.eps, self.restart, self.rate_weight, self.rate_share = decay, eps, restart, rate_weight, 1.0
        entries = torch.randn(codebooks, codes, self.code_dim)
        if learning == "loss":
            self.codebook = nn.Parameter(entries)
        else:
            self.register_buffer("codebook", entries)
            self.register_buffer("sums", entries.clone())  # S
        self.register_buffer("uses", torch.ones(codebooks, codes))  # N
        self.register_buffer("started", torch.tensor(start == "normal"))
        self.register_buffer("first", codes * torch.arange(codebooks), persistent=False)  # row of each codebook's code 0

    @property
    def bits(self) -> float:
        """Nominal rate in bits per vector, M · log₂(codes): all codes equally likely, no prior."""
        return self.codebooks * math.log2(self.codes)

    def forward(self, inputs: Float[Tensor, "... dim"], generator: torch.Generator | None = None) -> Quantized:
        """Quantise; in training mode also start, restart and (EMA) move the codes, which shows from the next step on."""
        parts = self._parts(inputs)  # (n, m, code_dim)
        vectors = parts.detach().transpose(0, 1)
        if self.training and not self.started:
            self._begin(vectors, generator)
        elif self.training and self.restart:
            dead = self.uses < self.restart * self.uses.mean(1, keepdim=True)
            if dead.any():
                self._replace(dead, draw(vectors, dead, generator))
        rows = nearest(vectors, self.codebook.detach(), self._cost()).T + self.first  # (n, m) of the (m · codes) entries
        chosen = F.embedding(rows, self.codebook.flatten(0, 1))  # (n, m, code_dim)
        fixed, zero = chosen.detach(), chosen.new_zeros(())
        commitment = F.mse_loss(parts, fixed)
        codebook_loss = F.mse_loss(chosen, parts.detach()) if self.learning == "loss" else zero
        if self.training:
            self._count(parts.detach(), rows)
        quantized = (fixed + (parts - parts.detach())).view(inputs.shape)  # z − z is 0: the codes to the last bit
        indices = (rows - self.first).view(*inputs.shape[:-1], self.codebooks)
        return Quantized(quantized.to(inputs.dtype), indices, codebook_loss + self.commitment_weight * commitment,
                         commitment, codebook_loss)

    def lookup(self, indices: Int[Tensor, "... codebooks"]) -> Float[Tensor, "... dim"]:
        """The vectors that `indices` name: what a decoder gets from a prior. Raises `BadInput` where there is no such code."""
        self._check(indices)
        return F.embedding(indices + self.first, self.codebook.flatten(0, 1)).flatten(-2)

    def counts(self, indices: Int[Tensor, "... codebooks"]) -> Int[Tensor, "codebooks codes"]:
        """How often each code of each codebook occurs in `indices`; counts of several batches add up."""
        self._check(indices)
        rows = (indices + self.first).flatten()
        return torch.bincount(rows, minlength=self.codebooks * self.codes).view(self.codebooks, self.codes)

    def perplexity(self, indices: Int[Tensor, "... codebooks"]) -> Float[Tensor, "codebooks"]:
        """2^H of the code frequencies, for each codebook: 1 (one code does all) to `codes` (all are used alike)."""
        return entropy_bits(self.counts(indices)).exp2()

    def usage(self, indices: Int[Tensor, "... codebooks"]) -> Float[Tensor, "codebooks"]:
        """The share of its codes, 0 to 1, that occur in `indices` at all, for each codebook."""
        return self.counts(indices).bool().float().mean(1)

    @torch.no_grad()
    def start_from(self, vectors: Float[Tensor, "... dim"], generator: torch.Generator | None = None) -> None:
        """Place all codes now, from a sample larger than a batch, say; a start from the first batch is then left out."""
        if not vectors.numel():
            raise BadInput("codes can only start from at least one vector, not from none.")
        self._begin(self._parts(vectors).transpose(0, 1), generator)

    def _parts(self, inputs: Tensor) -> Float[Tensor, "n m code_dim"]:
        if not inputs.ndim or inputs.shape[-1] != self.dim:
            raise BadInput(f"this quantiser takes vectors of {self.dim} numbers, not a tensor of shape {list(inputs.shape)}.")
        return inputs.to(self.codebook.dtype).reshape(-1, self.codebooks, self.code_dim)

    def _cost(self) -> Float[Tensor, "m codes"] | None:
        """What naming each code costs, in squared distance; None if nothing."""
        weight = self.rate_weight * self.rate_share
        return -weight * (self.uses / self.uses.sum(1, keepdim=True)).clamp(min=SELDOM).log() if weight else None

    def _check(self, indices: Tensor) -> None:
        if not indices.ndim or indices.shape[-1] != self.codebooks:
            raise BadInput(f"each vector has one index for each of {self.codebooks} codebooks; these indices have shape "
                           f"{list(indices.shape)}.")
        check_codes(indices, self.codes)

    @torch.no_grad()
    def _begin(self, vectors: Vectors, generator: torch.Generator | None) -> None:
        every = torch.ones_like(self.uses, dtype=torch.bool)
        entries = draw(vectors, every, generator)
        self._replace(every, kmeans(vectors, entries) if self.start == "kmeans" else entries)
        self.started.fill_(True)

    @torch.no_grad()
    def _replace(self, chosen: Bool[Tensor, "m codes"], entries: Codebooks) -> None:
        """Give the chosen codes new entries, and the mean use, so that they have time to be used before they are judged."""
        if processes() > 1:
            torch.distributed.broadcast(entries, 0)
        use = self.uses.mean(1, keepdim=True)
        self.uses.copy_(torch.where(chosen, use, self.uses))
        chosen = chosen.unsqueeze(-1)
        self.codebook.copy_(torch.where(chosen, entries, self.codebook))
        if self.learning == "ema":
            self.sums.copy_(torch.where(chosen, entries * use.unsqueeze(-1), self.sums))

    @torch.no_grad()
    def _count(self, parts: Float[Tensor, "n m code_dim"], rows: Int[Tensor, "n m"]) -> None:
        """N and S, and the codebook that follows from them."""
        counts, sums = totals(parts, rows, self.codes)
        if processes() > 1:
            both = torch.cat([sums, counts.unsqueeze(-1)], -1)
            torch.distributed.all_reduce(both)
            sums, counts = both[..., :-1], both[..., -1]
        self.uses.lerp_(counts, 1 - self.decay)
        if self.learning == "ema":
            self.sums.lerp_(sums, 1 - self.decay)
            total = self.uses.sum(1, keepdim=True)
            smooth = (self.uses + self.eps) * (total / (total + self.codes * self.eps))
            torch.div(self.sums, smooth.unsqueeze(-1), out=self.codebook)


def nearest(vectors: Vectors, codebook: Codebooks, cost: Float[Tensor, "m codes"] | None = None) -> Int[Tensor, "m n"]:
    """argmin over k of ‖z − e[k]‖² + cost[k] = argmin of ½(‖e[k]‖² + cost[k]) − z · e[k]: ‖z‖² is the same for all codes."""
    with torch.autocast(vectors.device.type, enabled=False):
        half = codebook.square().sum(-1)
        half = (half if cost is None else half + cost).unsqueeze(1) / 2
        return torch.baddbmm(half, vectors, codebook.mT, alpha=-1).argmin(-1)


def totals(
    parts: Float[Tensor, "n m code_dim"], rows: Int[Tensor, "n m"], codes: int
) -> tuple[Float[Tensor, "m codes"], Codebooks]:
    """For every code the number of vectors that chose it, and their sum."""
    m, size = parts.shape[1:]
    rows = rows.flatten()
    counts = parts.new_zeros(m * codes).index_add_(0, rows, parts.new_ones(len(rows)))
    return counts.view(m, codes), parts.new_zeros(m * codes, size).index_add_(0, rows, parts.flatten(0, 1)).view(m, codes, size)


def draw(vectors: Vectors, wanted: Bool[Tensor, "m codes"], generator: torch.Generator | None = None) -> Codebooks:
    """A vector by chance for every code; no two wanted codes share one while there are enough, then noise parts them."""
    m, n, size = vectors.shape
    order = torch.rand(m, n, generator=generator).argsort(1).to(vectors.device)  # on the CPU: the same on every device
    rank = wanted.cumsum(1) - 1  # -1 for those not wanted before the first that is
    drawn = vectors.gather(1, order.gather(1, rank % n).unsqueeze(-1).expand(-1, -1, size))
    if wanted.shape[1] <= n:
        return drawn
    noise = torch.randn(drawn.shape, generator=generator).to(drawn)
    return drawn + NOISE * vectors.std((1, 2), keepdim=True) * noise * (rank >= n).unsqueeze(-1)


def kmeans(vectors: Vectors, centres: Codebooks, rounds: int = ROUNDS) -> Codebooks:
    """Lloyd's algorithm: `rounds` times every centre becomes the mean of the vectors nearest to it; without any it stays."""
    first = centres.shape[1] * torch.arange(len(centres), device=centres.device)
    for _ in range(rounds):
        counts, sums = totals(vectors.transpose(0, 1), nearest(vectors, centres).T + first, centres.shape[1])
        counts = counts.unsqueeze(-1)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return centres


def entropy_bits(counts: Int[Tensor, "*lead codes"]) -> Float[Tensor, "*lead"]:
    """H = Σ p log₂(1/p) bits, p = counts / Σ counts: what one index costs when it is entropy-coded by itself.

    Summed over codebooks: bits per vector; a prior that knows the other indices pays less. From n counted
    vectors H is too small by about (codes used − 1) / (2n ln 2) bits (Miller 1955).
    """
    p = counts / counts.sum(-1, keepdim=True)
    return torch.special.entr(p).sum(-1) / math.log(2)


def check_codes(indices: Int[Tensor, "..."], codes: int) -> None:
    """Raise `BadInput`, naming the first index that is none of the numbers 0 to codes − 1."""
    wrong = indices[(indices < 0) | (indices >= codes)]
    if len(wrong):
        raise BadInput(f"code {int(wrong[0])} is out of range: a codebook of {codes} has codes 0 to {codes - 1}.")


def processes() -> int:
    """How many processes train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_available() and torch.distributed.is_initialized() else 1
