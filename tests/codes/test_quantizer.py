"""The quantiser against an independent implementation, against its formula, and against the laws it obeys."""

import math
from pathlib import Path

import pytest
import scipy.stats
import torch
from safetensors.torch import load_file, save_file
from sklearn.cluster import KMeans
from torch import Tensor
from vector_quantize_pytorch import VectorQuantize

from course_lib.codes.quantizer import (
    LEARNINGS, NOISE, ROUNDS, STARTS, ProductQuantizer, Quantized, draw, entropy_bits, kmeans, nearest)
from course_lib.core.errors import BadInput

DIM, M, CODES = 12, 3, 7
SIZE = DIM // M


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def small(**settings) -> ProductQuantizer:
    """Three codebooks of seven codes of four numbers, in training mode; nothing starts or restarts unless asked for."""
    return ProductQuantizer(**{"dim": DIM, "codebooks": M, "codes": CODES, "start": "normal", "restart": 0, **settings})


def twin(ours: ProductQuantizer, **settings) -> VectorQuantize:
    """The PyPI module with our weights. Its uses and sums begin as ours do: one use for each code."""
    heads = {"heads": ours.codebooks, "codebook_dim": ours.code_dim, "separate_codebook_per_head": True}
    theirs = VectorQuantize(ours.dim, ours.codes, decay=ours.decay, eps=ours.eps, rotation_trick=False,
                            commitment_weight=ours.commitment_weight, **(heads if ours.codebooks > 1 else {}), **settings)
    inner = theirs._codebook
    with torch.no_grad():
        inner.embed.copy_(ours.codebook)
        inner.embed_avg.copy_(ours.codebook)
    assert inner.cluster_size.eq(1).all() and ours.uses.eq(1).all()
    return theirs


def gradient_of_both(output: Tensor, loss: Tensor, weights: Tensor, *wanted: Tensor) -> tuple[Tensor, ...]:
    """Of a loss on what follows the quantiser plus the quantiser's own."""
    return torch.autograd.grad((output * weights).sum() + loss, wanted)


def by_hand(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Indices (n, m) by the definition: every distance, part by part."""
    parts = vectors.unflatten(-1, (len(codebook), -1))
    return (parts[:, :, None] - codebook).square().sum(-1).argmin(-1)


def state(quantizer: ProductQuantizer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in quantizer.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """To the last bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("codebooks", "codes"), [(1, 40), (4, 512)])
def test_indices_gradient_commitment_and_ema_steps_are_those_of_the_module_from_pypi(codebooks, codes):
    ours = ProductQuantizer(64, codebooks, codes, start="normal", restart=0)
    theirs, weights = twin(ours), torch.randn(32, 4, 64)
    assert (ours.decay, ours.eps, ours.commitment_weight) == (0.99, 1e-5, 0.25)
    for _ in range(4):  # the second step sees codes that the first has moved
        inputs = torch.randn(32, 4, 64, requires_grad=True)
        mine, (its, indices, loss, parts) = ours(inputs), theirs(inputs, return_loss_breakdown=True)
        assert torch.equal(mine.indices, indices.view(mine.indices.shape))
        torch.testing.assert_close((mine.quantized, mine.loss, mine.commitment), (its, loss.squeeze(), parts.commitment))
        torch.testing.assert_close(gradient_of_both(mine.quantized, mine.loss, weights, inputs),
                                   gradient_of_both(its, loss, weights, inputs))
        inner = theirs._codebook
        torch.testing.assert_close((ours.uses, ours.sums, ours.codebook), (inner.cluster_size, inner.embed_avg, inner.embed))
    ours.eval(), theirs.eval()
    assert torch.equal(ours(inputs).indices, theirs(inputs)[1].view(mine.indices.shape))
    lookup = theirs.get_codes_from_indices(indices)
    torch.testing.assert_close(ours.lookup(mine.indices), lookup)


def test_product_codes_are_several_modules_from_pypi_in_a_loop():
    ours = ProductQuantizer(start="normal", restart=0)
    loop = []
    for entries in ours.codebook:
        plain = ProductQuantizer(16, 1, start="normal")
        plain.codebook.copy_(entries[None])
        loop.append(twin(plain))
    for _ in range(3):
        inputs = torch.randn(128, 64)
        mine = ours(inputs)
        quantized, indices, losses = zip(*(theirs(part) for theirs, part in zip(loop, inputs.split(16, 1))))
        assert torch.equal(mine.indices, torch.stack(indices, 1))
        torch.testing.assert_close((mine.quantized, mine.loss), (torch.cat(quantized, 1), torch.stack(losses).mean()))
        torch.testing.assert_close(ours.codebook, torch.cat([theirs._codebook.embed for theirs in loop]))
        torch.testing.assert_close(ours.uses, torch.cat([theirs._codebook.cluster_size for theirs in loop]))


def test_codes_learned_by_the_loss_get_the_gradient_of_the_module_from_pypi():
    ours = small(learning="loss", commitment_weight=1.0)  # its one loss teaches codes and inputs: both terms at weight 1
    theirs, weights = twin(ours, learnable_codebook=True, ema_update=False), torch.randn(5, 6, DIM)
    inputs = torch.randn(5, 6, DIM, requires_grad=True)
    mine, (its, _, loss) = ours(inputs), theirs(inputs)
    torch.testing.assert_close(mine.loss, 2 * loss.squeeze())
    torch.testing.assert_close(gradient_of_both(mine.quantized, mine.loss, weights, inputs, ours.codebook),
                               gradient_of_both(its, loss, weights, inputs, theirs._codebook.embed))


@pytest.mark.parametrize("learning", LEARNINGS)
def test_it_is_its_formula(learning):
    """The docstring of `ProductQuantizer` in float64, vector by vector, with gradients and the EMA step by hand."""
    quantizer = small(learning=learning).double()
    before, n, eps = quantizer.codebook.detach().clone(), 20, 1e-5
    inputs, weights = torch.randn(n, DIM, dtype=torch.float64, requires_grad=True), torch.randn(n, DIM, dtype=torch.float64)
    result = quantizer(inputs)
    chosen = by_hand(inputs.detach(), before)
    assert torch.equal(result.indices, chosen)
    codes = torch.stack([torch.cat([before[m, k] for m, k in enumerate(row)]) for row in chosen])
    assert torch.equal(result.quantized, codes)
    gap = inputs.detach() - codes
    torch.testing.assert_close(result.commitment, gap.square().mean())
    assert float(result.codebook_loss.detach()) == (pytest.approx(float(gap.square().mean())) if learning == "loss" else 0)
    torch.testing.assert_close(result.loss, result.codebook_loss + 0.25 * result.commitment)
    ((result.quantized * weights).sum() + result.loss).backward()
    torch.testing.assert_close(inputs.grad, weights + 0.25 * 2 * gap / gap.numel())
    for m in range(M):
        for k in range(CODES):
            mine = (chosen[:, m] == k)[:, None] * torch.ones(SIZE, dtype=torch.bool)
            part, off = inputs.detach()[:, m * SIZE:(m + 1) * SIZE], gap[:, m * SIZE:(m + 1) * SIZE]
            uses = 0.99 + 0.01 * float(mine[:, 0].sum())
            assert float(quantizer.uses[m, k]) == pytest.approx(uses, abs=1e-12)
            if learning == "loss":
                assert torch.equal(quantizer.codebook, before)  # the optimiser's, not ours
                torch.testing.assert_close(quantizer.codebook.grad[m, k], (-2 * off * mine).sum(0) / gap.numel())
            else:
                total = 0.99 * CODES + 0.01 * n
                smooth = (uses + eps) / (total + CODES * eps) * total
                sums = 0.99 * before[m, k] + 0.01 * (part * mine).sum(0)
                torch.testing.assert_close(quantizer.codebook[m, k], sums / smooth, rtol=1e-12, atol=1e-12)


def test_the_defaults_are_the_courses():
    quantizer = ProductQuantizer()
    assert quantizer.codebook.shape == (4, 512, 16) and quantizer.dim == 64 and quantizer.commitment_weight == 0.25
    assert quantizer.bits == 36 and 4 * quantizer.bits == 144  # a slot, a scene


@pytest.mark.parametrize("lead", [(), (5,), (2, 3, 4)])
def test_any_leading_shape_and_what_was_chosen_is_what_is_looked_up(lead):
    quantizer = small().eval()
    result = quantizer(torch.randn(*lead, DIM))
    assert isinstance(result, Quantized) and result.quantized.shape == (*lead, DIM) and result.indices.shape == (*lead, M)
    assert torch.equal(quantizer.lookup(result.indices), result.quantized)  # to the last bit, straight-through or not
    again = quantizer(result.quantized)
    assert torch.equal(again.indices, result.indices) and float(again.commitment) == 0


def test_the_gradient_of_what_follows_goes_straight_through():
    inputs = torch.randn(9, DIM, requires_grad=True)
    result = small(commitment_weight=0.0)(inputs)
    ((result.quantized**3).sum() + result.loss).backward()
    torch.testing.assert_close(inputs.grad, 3 * result.quantized.detach() ** 2)


@pytest.mark.parametrize("learning", LEARNINGS)
def test_training_brings_the_codes_to_the_data(learning):
    centres = 3 * torch.randn(M, CODES, SIZE)
    quantizer = small(codes=5 * CODES, learning=learning, restart=0.1, decay=0.9)
    optimizer = torch.optim.Adam(quantizer.parameters(), lr=0.03) if learning == "loss" else None
    errors = []
    for _ in range(150):
        parts = centres[torch.arange(M), torch.randint(0, CODES, (64, M))] + 0.1 * torch.randn(64, M, SIZE)
        result = quantizer(parts.flatten(1))
        errors.append(float(result.commitment))
        if optimizer:
            optimizer.zero_grad()
            result.loss.backward()
            optimizer.step()
    assert errors[-1] < 0.02 < 1 < errors[0]  # the noise alone has 0.01


def test_in_eval_mode_nothing_changes():
    for settings in ({"start": "data"}, {"restart": 50.0}, {"learning": "loss"}):
        quantizer = small(**settings).eval()
        before, chance = state(quantizer), torch.get_rng_state()
        quantizer(torch.randn(30, DIM, generator=torch.Generator().manual_seed(1)))
        assert same(state(quantizer), before) and torch.equal(torch.get_rng_state(), chance)


def test_a_start_from_data_takes_vectors_of_the_first_training_batch():
    quantizer, vectors = small(start="data", decay=0.0, learning="loss"), torch.randn(CODES + 3, DIM)
    quantizer.eval()(vectors)
    assert not quantizer.started
    quantizer.train()(vectors)
    assert quantizer.started
    for codes, parts in zip(quantizer.codebook, vectors.unflatten(-1, (M, SIZE)).unbind(1)):
        found = (codes[:, None] == parts).all(-1)  # (codes, n)
        assert found.sum(1).eq(1).all() and found.sum(0).le(1).all()  # each is one of the vectors, none twice
    before = quantizer.codebook.detach().clone()
    quantizer(torch.randn(30, DIM))
    assert torch.equal(quantizer.codebook, before)  # it starts once


def test_where_vectors_are_fewer_than_codes_noise_parts_the_copies():
    vectors, every = torch.randn(M, 3, SIZE), torch.ones(M, CODES, dtype=torch.bool)
    entries = draw(vectors, every)
    away = torch.cdist(entries, vectors).amin(-1)
    assert away.eq(0).sum() == 3 * M and 0 < away.max() < 6 * NOISE * math.sqrt(SIZE)
    assert all(len(codes.unique(dim=0)) == CODES for codes in entries)


def test_a_kmeans_start_is_the_kmeans_of_scikit_learn():
    vectors = torch.randn(M, 400, SIZE).double()  # one cloud: no centre loses all vectors, which scikit-learn would move
    first = draw(vectors, torch.ones(M, CODES, dtype=torch.bool))
    ours = kmeans(vectors, first)
    for m in range(M):
        theirs = KMeans(CODES, init=first[m].numpy(), n_init=1, max_iter=ROUNDS, tol=0, algorithm="lloyd").fit(vectors[m])
        torch.testing.assert_close(ours[m], torch.as_tensor(theirs.cluster_centers_))
    data, clusters = small(start="data"), small(start="kmeans")
    for quantizer in (data, clusters):
        quantizer.start_from(vectors.float().transpose(0, 1).flatten(1), torch.Generator().manual_seed(3))
    torch.testing.assert_close(clusters.codebook, kmeans(vectors.float(), data.codebook))
    errors = [float(quantizer.eval()(torch.randn(4000, DIM)).commitment) for quantizer in (data, clusters)]
    assert errors[1] < 0.9 * errors[0]


def test_a_centre_without_vectors_stays():
    vectors, far = torch.randn(1, 20, SIZE), torch.full((1, 1, SIZE), 99.0)
    assert torch.equal(kmeans(vectors, torch.cat([vectors[:, :2], far], 1))[:, 2:], far)


class Watched(ProductQuantizer):
    """Notes the share of codes that each training step draws anew."""

    def __init__(self, **settings):
        super().__init__(16, 1, 512, **settings)
        self.shares: list[float] = []

    def _replace(self, chosen: Tensor, entries: Tensor) -> None:
        self.shares[-1] = float(chosen.float().mean())
        super()._replace(chosen, entries)

    def train_on(self, steps: int, vectors: int = 320) -> "Watched":
        for _ in range(steps):
            self.shares.append(0.0)
            self(torch.randn(vectors, 16))
        return self


def test_a_threshold_that_scales_with_usage_keeps_codes_and_an_absolute_one_redraws_them_for_ever():
    """512 codes and 64 × 5 slots a step, 0.6 uses per code: the field's trap and the way around it."""
    scaled = Watched().train_on(300)
    assert scaled.shares[0] == 1 and sum(scaled.shares[1:]) < 0.1  # the start from data; then a few that nobody needs
    trap = Watched(restart=1.0 / (320 / 512)).train_on(300)  # the number 1.0, as a share of the mean use
    assert min(trap.shares[-100:]) == 1  # after 300 steps still every code, every step
    errors = [float(quantizer.eval()(torch.randn(5000, 16)).commitment) for quantizer in (scaled, trap)]
    assert errors[0] < 0.9 * errors[1]


@pytest.mark.parametrize("vectors", [64, 1024])
def test_the_same_share_serves_small_and_large_batches(vectors):
    quantizer = Watched(decay=0.97).train_on(300, vectors)
    assert sum(quantizer.shares[-50:]) / 50 < 0.005


def test_dead_codes_come_back_and_the_others_stay():
    far = ProductQuantizer(2, 1, 8, start="normal", decay=0.9, restart=0.1)
    far.codebook[:, 1:] += 100
    far.sums.copy_(far.codebook)
    without = ProductQuantizer(2, 1, 8, start="normal", decay=0.9, restart=0)
    without.load_state_dict(far.state_dict())
    for _ in range(100):
        inputs = torch.randn(64, 2)
        far(inputs), without(inputs)
    indices = far.eval()(torch.randn(500, 2)).indices
    assert float(far.usage(indices)) == 1 and float(without.usage(without.eval()(torch.randn(500, 2)).indices)) == 1 / 8


@pytest.mark.parametrize("learning", LEARNINGS)
def test_a_restart_gives_a_dead_code_a_vector_and_the_mean_use(learning):
    quantizer, vectors = small(restart=0.1, learning=learning, decay=0.0), torch.randn(50, DIM)
    quantizer.uses[1, 4] = 0.0
    dead, use, before = quantizer.uses == 0, float(quantizer.uses[1].mean()), quantizer.codebook.detach().clone()
    entries = draw(vectors.unflatten(-1, (M, SIZE)).transpose(0, 1), dead)
    quantizer._replace(dead, entries)
    assert torch.equal(quantizer.codebook[~dead], before[~dead])
    assert (quantizer.codebook[1, 4] == vectors[:, SIZE:2 * SIZE]).all(-1).sum() == 1
    assert float(quantizer.uses[1, 4]) == pytest.approx(use) and quantizer.uses[~dead].eq(1).all()
    if learning == "ema":
        torch.testing.assert_close(quantizer.sums, quantizer.codebook * quantizer.uses.unsqueeze(-1))


def test_a_code_costs_what_its_name_costs():
    """Entropy-constrained: ‖z − e‖² − rate_weight · rate_share · ln p, by hand, with frequencies that the uses say."""
    quantizer, vectors = small(rate_weight=0.8), torch.randn(200, DIM)
    quantizer.uses.copy_(torch.rand(M, CODES) ** 4 + 1e-3)
    quantizer.eval()
    p = quantizer.uses / quantizer.uses.sum(1, keepdim=True)
    far = (vectors.unflatten(-1, (M, -1))[:, :, None] - quantizer.codebook).square().sum(-1)
    for share in (1.0, 0.25, 0.0):
        quantizer.rate_share = share
        assert torch.equal(quantizer(vectors).indices, (far - 0.8 * share * p.log()).argmin(-1))
    assert torch.equal(quantizer(vectors).indices, by_hand(vectors, quantizer.codebook))


def test_a_code_that_was_never_chosen_has_a_finite_cost():
    quantizer = small(rate_weight=1.0).eval()
    quantizer.uses[:, 1:] = 0
    vectors = quantizer.codebook[:, 3].flatten()[None] + 100
    quantizer.codebook[:, 3] += 100
    assert (quantizer(vectors).indices == 3).all()


def test_of_codes_that_mean_the_same_one_stays():
    """Three clusters, seven codes: without a cost all are used, with one hardly more than there are clusters."""
    clusters = 4 * torch.randn(3, DIM)
    perplexity = {}
    for weight in (0.0, 0.5):
        torch.manual_seed(1)
        quantizer = small(start="data", rate_weight=weight, decay=0.9)
        for _ in range(200):
            indices = quantizer(clusters[torch.randint(3, (256,))] + 0.1 * torch.randn(256, DIM)).indices
        perplexity[weight] = quantizer.perplexity(indices)
    assert (perplexity[0.0] > 4.5).all() and (perplexity[0.5] < 3.3).all() and (perplexity[0.5] > 2.5).all()


def test_perplexity_usage_and_bits_by_hand():
    quantizer = ProductQuantizer(4, 2, 4)
    indices = torch.tensor([[0, 3], [1, 3], [2, 3], [2, 3]])
    assert quantizer.counts(indices).tolist() == [[1, 1, 2, 0], [0, 0, 0, 4]]
    assert entropy_bits(quantizer.counts(indices)).tolist() == [1.5, 0.0]  # ¼·2 + ¼·2 + ½·1
    assert quantizer.perplexity(indices).tolist() == pytest.approx([2**1.5, 1.0])
    assert quantizer.usage(indices).tolist() == [0.75, 0.25] and quantizer.bits == 4
    even = torch.arange(4)[:, None].expand(-1, 2)
    assert float(entropy_bits(quantizer.counts(even)).sum()) == quantizer.bits
    counts = torch.randint(0, 50, (3, 100))
    assert entropy_bits(counts).tolist() == pytest.approx(scipy.stats.entropy(counts, base=2, axis=1), rel=1e-5)


@pytest.mark.parametrize("start", STARTS)
def test_one_seed_gives_one_codebook(start):
    def trained(**chance: int) -> dict[str, Tensor]:
        torch.manual_seed(chance.get("seed", 0))
        quantizer = small(start=start, restart=0.5, decay=0.8)
        generator = torch.Generator().manual_seed(chance["own"]) if "own" in chance else None
        data = torch.Generator().manual_seed(5)
        for _ in range(20):
            quantizer(torch.randn(6, DIM, generator=data), generator)
        return state(quantizer)

    assert same(trained(), trained()) and not same(trained(), trained(seed=1))
    untouched = trained(own=1), torch.get_rng_state()
    assert same(trained(own=1), untouched[0]) and not same(trained(own=2), untouched[0])
    assert torch.equal(torch.get_rng_state(), untouched[1])  # its own generator serves start and restarts


@pytest.mark.parametrize("learning", LEARNINGS)
@pytest.mark.parametrize("done", [0, 10])
def test_loaded_again_it_goes_on_to_the_last_bit(learning, done, tmp_path):
    def train_on(quantizer: ProductQuantizer) -> None:
        optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.1) if learning == "loss" else None
        for _ in range(10):
            result = quantizer(torch.randn(6, DIM, requires_grad=True))
            if optimizer:
                optimizer.zero_grad()
                result.loss.backward()
                optimizer.step()

    settings = {"learning": learning, "start": "data", "restart": 0.5, "decay": 0.9}
    first = small(**settings)
    if done:
        train_on(first)
    save_file(state(first), tmp_path / "codes.safetensors")
    chance = torch.get_rng_state()
    train_on(first)
    second = small(**settings)
    assert not same(state(first), state(second))
    second.load_state_dict(load_file(tmp_path / "codes.safetensors"))
    torch.set_rng_state(chance)
    train_on(second)
    assert same(state(first), state(second))


@pytest.mark.parametrize("learning", LEARNINGS)
def test_under_autocast_codes_are_compared_and_kept_in_float32(learning):
    vectors = torch.randn(200, DIM).bfloat16()
    plain, mixed = small(learning=learning, codes=500), small(learning=learning, codes=500)  # so many that bfloat16 mixes them up
    mixed.load_state_dict(plain.state_dict())
    expected = plain(vectors.float())
    with torch.autocast("cpu", torch.bfloat16):
        inputs = vectors.clone().requires_grad_()
        result = mixed(inputs)
    assert torch.equal(result.indices, expected.indices) and same(state(mixed), state(plain))
    assert result.quantized.dtype == torch.bfloat16 and result.loss.dtype == mixed.codebook.dtype == torch.float32
    torch.testing.assert_close(result.loss, expected.loss)
    (result.quantized.sum() + result.loss).backward()
    assert inputs.grad.dtype == torch.bfloat16 and inputs.grad.isfinite().all()


def test_the_nearest_code_in_float32_is_the_nearest():
    """The short cut ½‖e‖² − z · e against every distance in float64; where they disagree, the two codes are as near."""
    vectors, codebook = torch.randn(4, 500, 16) + 3, torch.randn(4, 512, 16) + 3  # far from 0: where it loses digits
    distance = (vectors.double()[:, :, None] - codebook.double()[:, None]).square().sum(-1)
    chosen = distance.gather(2, nearest(vectors, codebook)[..., None])[..., 0]
    assert (chosen - distance.amin(2)).max() < 1e-4


def batch_of(step: int) -> Tensor:
    return torch.randn(20, DIM, generator=torch.Generator().manual_seed(step))


def one_of_two(rank: int, folder: Path) -> None:
    """A process with one half of every batch. What starts or restarts follows from the first process's chance alone."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.manual_seed(0)
    plain = small()
    torch.manual_seed(1 + rank)
    started = small(start="data", restart=0.7, decay=0.8)
    for step in range(5):
        plain(batch_of(step).chunk(2)[rank])
        started(batch_of(step).chunk(2)[rank])
    save_file(state(plain), folder / f"plain{rank}")
    save_file(state(started), folder / f"started{rank}")
    torch.distributed.destroy_process_group()


def test_two_processes_keep_one_codebook(tmp_path):
    torch.multiprocessing.spawn(one_of_two, (tmp_path,), nprocs=2)
    torch.manual_seed(0)
    alone = small()
    for step in range(5):
        alone(batch_of(step))
    for name in ("plain", "started"):
        assert same(load_file(tmp_path / f"{name}0"), load_file(tmp_path / f"{name}1"))
    torch.testing.assert_close(load_file(tmp_path / "plain0"), state(alone))  # as one process with the whole batch


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"codes": 0}, "a codebook needs at least 1 code, not 0.$"),
    ({"dim": 64, "codebooks": 5}, "vectors of 64 numbers cannot be cut into 5 equal parts, one for each codebook.$"),
    ({"codebooks": 0}, "cannot be cut into 0 equal parts"),
    ({"dim": 0, "codebooks": 1}, "vectors of 0 numbers cannot be cut"),
    ({"learning": "lloyd"}, "learning must be one of ema, loss, not 'lloyd'.$"),
    ({"start": "zeros"}, "start must be one of normal, data, kmeans, not 'zeros'.$"),
    ({"decay": 1.0}, "decay must be at least 0 and below 1, not 1.0.$"),
    ({"rate_weight": -0.1}, "rate_weight must be 0 or a positive number, not -0.1.$"),
    ({"restart": -0.1}, "restart must be 0 or a positive share of the mean use, not -0.1.$"),
    ({"restart": math.nan}, "restart must be 0 or a positive share")])
def test_settings_that_cannot_be(settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        small(**settings)


def test_input_that_does_not_fit():
    quantizer = small(codes=7)
    with pytest.raises(BadInput, match=r"takes vectors of 12 numbers, not a tensor of shape \[2, 16\].$"):
        quantizer(torch.randn(2, 16))
    with pytest.raises(BadInput, match="at least one vector, not from none"):
        quantizer.start_from(torch.zeros(0, DIM))
    for index in (7, -1):
        for method in (quantizer.lookup, quantizer.counts, quantizer.perplexity, quantizer.usage):
            with pytest.raises(BadInput, match=f"code {index} is out of range: a codebook of 7 has codes 0 to 6.$"):
                method(torch.tensor([[0, 6, index]]))
    with pytest.raises(BadInput, match=r"one index for each of 3 codebooks; these indices have shape \[5, 2\].$"):
        quantizer.lookup(torch.zeros(5, 2, dtype=torch.long))
