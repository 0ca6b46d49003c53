"""Slot attention against an independent implementation, against its formula, and against the laws it obeys."""

import math

import pytest
import slot_attention
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.slots.attention import GRADIENTS, LearnedQueries, SeededSlots, SharedGaussian, SlotAttention

B, K, N, DIM = 2, 4, 9, 6


@pytest.fixture(autouse=True)
def float64():
    """Every test here computes in float64, noise included, so that 1e-10 tells formulas apart."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def module(gradient: str = "full", inputs: int = DIM, dim: int = DIM) -> SlotAttention:
    """The same weights at every call, those of the norms too far from where training begins."""
    attention, noise = SlotAttention(inputs, dim, 2 * dim, gradient), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in attention.parameters():
            value.copy_(torch.randn(value.shape, generator=noise) / 2)
    return attention


def close(a, b) -> None:
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def twin(ours: SlotAttention, start: SharedGaussian, iterations: int) -> tuple[nn.Module, dict[str, Tensor]]:
    """The PyPI module with our weights, and our parameters by its names.

    Both add eps = 1e-8 to the attention before its weighted mean and have LayerNorm's eps 1e-5 (Keras' is 1e-3). Its
    q, k and v have biases, which the paper and we have not: they are zero.
    """
    theirs = slot_attention.SlotAttention(K, DIM, iterations, eps=1e-8, hidden_dim=ours.mlp[0].out_features)
    shared = {"slots_mu": start.mean, "slots_logsigma": start.log_std, "to_q.weight": ours.to_query.weight,
              "to_k.weight": ours.to_key.weight, "to_v.weight": ours.to_value.weight}
    for mine, its in {"norm_inputs": "norm_input", "norm_mlp": "norm_pre_ff", "norm_slots": "norm_slots",
                      "gru": "gru", "mlp": "mlp"}.items():
        shared |= {f"{its}.{name}": value for name, value in getattr(ours, mine).named_parameters()}
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            value.copy_(shared.get(name, torch.zeros(())))
    norms = [module for module in [*ours.modules(), *theirs.modules()] if isinstance(module, nn.LayerNorm)]
    assert ours.eps == 1e-8 and len(norms) == 6 and {norm.eps for norm in norms} == {1e-5}
    return theirs, shared


@pytest.mark.parametrize("iterations", [1, 3])
def test_forward_and_gradients_are_those_of_the_module_from_pypi(iterations):
    ours, start = module(), SharedGaussian(DIM)
    nn.init.normal_(start.log_std)
    theirs, shared = twin(ours, start, iterations)
    assert len(shared) == len([*ours.parameters(), *start.parameters()])  # all of ours
    inputs, weights = torch.randn(B, N, DIM, requires_grad=True), torch.randn(B, K, DIM)
    torch.manual_seed(1)  # both draw the same noise
    mine = ours(inputs, start(inputs, K), iterations)[0]
    torch.manual_seed(1)
    its = theirs(inputs)
    close(mine, its)
    parameters = dict(theirs.named_parameters())
    close(torch.autograd.grad((mine * weights).sum(), [inputs, *shared.values()]),
          tuple(value.view_as(like) for value, like in zip(
              torch.autograd.grad((its * weights).sum(), [inputs, *(parameters[name] for name in shared)]),
              [inputs, *shared.values()])))


def by_the_formula(attention: SlotAttention, inputs: Tensor, slots: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """The docstring of `SlotAttention` for one picture, with keys and values of all inputs and the GRU spelt out."""
    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], eps=1e-5)

    p, history = dict(attention.named_parameters()), []
    x = norm(inputs, "norm_inputs")
    keys, values = x @ p["to_key.weight"].T, x @ p["to_value.weight"].T
    for _ in range(iterations):
        query = norm(slots, "norm_slots") @ p["to_query.weight"].T
        scores = (query @ keys.T / math.sqrt(slots.shape[1])).exp()
        history.append(scores / scores.sum(0))
        weights = (history[-1] + 1e-8) / (history[-1] + 1e-8).sum(1, keepdim=True)
        ur, uz, un = (weights @ values @ p["gru.weight_ih"].T + p["gru.bias_ih"]).chunk(3, 1)
        hr, hz, hn = (slots @ p["gru.weight_hh"].T + p["gru.bias_hh"]).chunk(3, 1)
        z = (uz + hz).sigmoid()
        slots = (1 - z) * (un + (ur + hr).sigmoid() * hn).tanh() + z * slots
        hidden = (norm(slots, "norm_mlp") @ p["mlp.0.weight"].T + p["mlp.0.bias"]).relu()
        slots = slots + hidden @ p["mlp.2.weight"].T + p["mlp.2.bias"]
    return slots, torch.stack(history)


@pytest.mark.parametrize("iterations", [1, 4])
def test_it_is_its_formula(iterations):
    attention, inputs, start = module(inputs=5), torch.randn(B, N, 5), torch.randn(B, K, DIM)
    slots, history = attention(inputs, start, iterations)
    assert slots.shape == (B, K, DIM) and history.shape == (B, iterations, K, N)
    for i in range(B):
        expected, rounds = by_the_formula(attention, inputs[i], start[i], iterations)
        close(slots[i], expected)
        close(history[i], rounds)


def test_every_input_is_shared_out_among_the_slots():
    attention = module()(3 * torch.randn(B, N, DIM), torch.randn(B, K, DIM))[1]
    close(attention.sum(2), torch.ones(B, 3, N))
    assert attention.min() >= 0 and attention.std() > 0.01
    close(module()(torch.randn(B, N, DIM), torch.randn(B, 1, DIM))[1], torch.ones(B, 3, 1, N))  # one slot gets all


def test_the_order_of_slots_and_inputs_means_nothing():
    inputs, start = torch.randn(B, N, DIM), torch.randn(B, K, DIM)
    slots, attention = module()(inputs, start)
    order = torch.randperm(K)
    other, moved = module()(inputs, start[:, order])
    close(other, slots[:, order])
    close(moved, attention[:, :, order])
    assert not torch.allclose(other, slots)
    order = torch.randperm(N)
    other, moved = module()(inputs[:, order], start)
    close(other, slots)
    close(moved, attention[..., order])


def test_slots_that_start_alike_stay_alike():
    slots, _ = module()(torch.randn(B, N, DIM), torch.randn(B, 1, DIM).expand(-1, K, -1))
    close(slots, slots[:, :1].expand(-1, K, -1))


def test_more_iterations_go_on_where_fewer_stop():
    attention, inputs, start = module(), torch.randn(B, N, DIM), torch.randn(B, K, DIM)
    three, history = attention(inputs, start, 3)
    five, longer = attention(inputs, start, 5)
    close(longer[:, :3], history)
    close(attention(inputs, three, 2)[0], five)
    assert not torch.allclose(three, five)


def gradients(attention: SlotAttention, inputs: Tensor, start: Tensor, iterations: int = 3) -> tuple:
    """Of a sum of squares of the slots, with respect to the inputs, the start and every parameter."""
    loss = attention(inputs, start, iterations)[0].square().sum()
    return torch.autograd.grad(loss, [inputs, start, *attention.parameters()], allow_unused=True)


def test_the_gradients_differ_and_the_numbers_do_not():
    inputs, start = (torch.randn(B, n, DIM, requires_grad=True) for n in (N, K))
    full, implicit, bilevel = (module(gradient) for gradient in GRADIENTS)
    slots, attention = full(inputs, start)
    for other in (implicit, bilevel):
        close(other(inputs, start), (slots, attention))
    point = full(inputs, start, 2)[0].detach().requires_grad_()  # found by hand, then one step with a gradient
    to_inputs, to_point, *to_weights = gradients(full, inputs, point, 1)
    assert gradients(implicit, inputs, start)[1] is None
    close([value for value in gradients(implicit, inputs, start) if value is not None], [to_inputs, *to_weights])
    close(gradients(bilevel, inputs, start), (to_inputs, to_point, *to_weights))
    names = ["inputs", "start", *(name for name, _ in full.named_parameters())]
    last_step = (to_inputs, to_point, *to_weights)
    same = [name for name, a, b in zip(names, gradients(full, inputs, start), last_step) if torch.allclose(a, b)]
    assert same == ["norm_slots.bias"]  # no gradient ever: what moves all queries alike cancels in a softmax over slots


def test_the_full_gradient_is_that_of_finite_differences():
    attention = module(inputs=2, dim=3)
    names, values = zip(*attention.named_parameters())

    def slots(inputs: Tensor, start: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(attention, dict(zip(names, values)), (inputs, start, 2))[0]

    inputs, start = torch.randn(1, 4, 2, requires_grad=True), torch.randn(1, 2, 3, requires_grad=True)
    assert torch.autograd.gradcheck(slots, (inputs, start, *values), fast_mode=True)


def blank(batch: int) -> Tensor:
    """Inputs for a start that only counts them."""
    return torch.zeros(batch, N, DIM)


def test_a_shared_gaussian_starts_any_number_of_slots():
    start = SharedGaussian(3)
    with torch.no_grad():
        start.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
        start.log_std.copy_(torch.tensor([0.5, 1.0, 2.0]).log())
    slots = start(blank(500), 20, torch.Generator().manual_seed(0)).flatten(0, 1).detach()
    close(start(blank(500), 20, torch.Generator().manual_seed(0)).flatten(0, 1), slots)
    for k in range(3):  # 10,000 samples: four standard errors
        assert float(slots[:, k].mean()) == pytest.approx([1, 2, 3][k], abs=0.04 * [0.5, 1, 2][k])
        assert float(slots[:, k].std()) == pytest.approx([0.5, 1, 2][k], rel=0.03)


@pytest.mark.parametrize("start", [SharedGaussian(DIM), LearnedQueries(DIM, 9)], ids=["gaussian", "queries"])
def test_with_a_generator_each_a_picture_starts_alike_in_every_batch(start):
    def start_of(*seeds: int) -> Tensor:
        return start(blank(len(seeds)), K, [torch.Generator().manual_seed(seed) for seed in seeds])

    together = start_of(3, 4, 5)
    for i, seed in enumerate((3, 4, 5)):
        close(start_of(seed)[0], together[i])
    assert not torch.allclose(together[0], together[1])


def test_learned_queries_are_chosen_by_chance_and_stay_in_order():
    start = LearnedQueries(1, 6)
    with torch.no_grad():
        start.queries.copy_(torch.arange(6.0)[:, None])
    chosen = start(blank(400), 4, torch.Generator().manual_seed(0))[..., 0]
    assert (chosen.diff(dim=1) > 0).all()  # in order, none twice
    counts = torch.bincount(chosen.long().flatten(), minlength=6)
    assert counts.min() > 200 and len(chosen.unique(dim=0)) == math.comb(6, 4)  # about 267 each, every subset
    close(start(blank(400), 4, torch.Generator().manual_seed(0))[..., 0], chosen)
    close(start(blank(2), 6)[..., 0], torch.arange(6.0).expand(2, -1))
    start(blank(400), 4).sum().backward()
    assert int(start.queries.grad.sum()) == 1600


def test_every_cluster_gets_a_seed():
    """On far-apart clusters every cluster gets a seed, first seeds are even, and equal inputs are never taken twice."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(5, DIM, generator=generator)
    cluster = torch.randint(0, 5, (300, N), generator=generator)
    cluster[:, :5] = torch.arange(5)
    chosen = SeededSlots.choose(centres[cluster], torch.rand(300, 5, 8, generator=generator))
    assert cluster.gather(1, chosen).sort(1).values.eq(torch.arange(5)).all()
    first = SeededSlots.choose(torch.randn(4000, 4, DIM, generator=generator), torch.rand(4000, 1, 1, generator=generator))
    assert torch.bincount(first[:, 0], minlength=4).sub(1000).abs().max() < 4 * 28


def test_a_seed_is_drawn_with_the_eighth_power_of_its_distance():
    inputs = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, -1], [-1, 1, 0, 0]])  # layer-normalised: distances² 4, 8 of 1st to 2nd, 3rd
    draws = torch.rand(3000, 2, 1, generator=torch.Generator().manual_seed(0))
    draws[:, 0] = 0
    chosen = SeededSlots.choose(inputs.expand(3000, -1, -1), draws)
    assert (chosen[:, 0] == 0).all()
    assert float((chosen[:, 1] == 2).float().mean()) == pytest.approx(8**4 / (8**4 + 4**4), abs=0.02)


def test_of_the_inputs_drawn_the_one_that_leaves_least_becomes_the_seed():
    """Against a direct count: the sum over inputs of the eighth power of the distance to the nearest seed."""
    inputs = torch.randn(20, 30, DIM, generator=torch.Generator().manual_seed(1))
    draws = torch.rand(20, 2, 4, generator=torch.Generator().manual_seed(2))
    chosen = SeededSlots.choose(inputs, draws)
    for x, number, (first, second) in zip(torch.nn.functional.layer_norm(inputs, (DIM,)).double(), chosen, draws):
        power = (x[:, None] - x[None]).square().sum(-1) ** 4
        tried = (first * 30).long()
        assert number[0] == tried[power[tried].sum(1).argmin()]
        near = power[number[0]]
        tried = [int((near.cumsum(0) <= draw * near.sum()).sum()) for draw in second.double()]
        assert number[1] == min(tried, key=lambda n: float(torch.minimum(near, power[n]).sum()))


def test_more_slots_than_queries():
    with pytest.raises(BadInput, match="has 6 learned queries, so at most 6 slots, not 7.$"):
        LearnedQueries(DIM, 6)(blank(1), 7)


def test_bad_input():
    with pytest.raises(BadInput, match="batch of 3 pictures needs as many generators, not 1"):
        SharedGaussian(DIM)(blank(3), K, [torch.Generator()])
    with pytest.raises(BadInput, match="at least 1 iteration, not 0"):
        module()(torch.randn(B, N, DIM), torch.randn(B, K, DIM), 0)
    with pytest.raises(BadInput, match="gradient must be one of full, implicit, bilevel, not 'half'"):
        SlotAttention(DIM, gradient="half")
