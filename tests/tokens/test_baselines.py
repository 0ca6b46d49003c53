"""Every baseline against its definition in plain loops or another library, and the laws that all compressors obey."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn.cluster
import sklearn.decomposition
import torch
from hypothesis import given
from hypothesis import strategies as st
from stand_in import StandIn
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.core.weights import load_weights, save_weights
from course_lib.tokens import baselines
from course_lib.tokens.baselines import (
    AveragePooling, Bilinear, Downsampled, MeanToken, PCAField, RandomPick, StridedPick, leading, log2_choose, nearest_cells)
from course_lib.tokens.compressor import owners
from course_lib.tokens.draws import draws
from course_lib.tokens.merging import KMeans, ToMe, kmeans_start, merge, owner_bits, schedule

GRID, SMALL, DIM = (6, 8), (3, 2), 5
CARD = {"experiment": "compress_global", "config": {}, "seed": 0, "seconds": 1.0, "metrics": {}}


def grid_of_tokens(batch=4, grid=GRID, dim=DIM, seed=0):
    """Not white: a mean, and channels of different size."""
    noise = torch.randn(batch, *grid, dim, generator=torch.Generator().manual_seed(seed))
    return noise * torch.linspace(0.5, 3, dim) + torch.linspace(-1, 2, dim)


def fields(tokens, small=SMALL):
    """Each field of each picture as (height, width, dim), by slices."""
    rows, columns = tokens.shape[1] // small[0], tokens.shape[2] // small[1]
    return [[picture[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns] for i in range(small[0]) for j in range(small[1])]
            for picture in tokens]


def make(name, tokens=None, small=SMALL):
    if name in ("PCAField", "MeanToken"):
        batches = [grid_of_tokens(40, seed=1) if tokens is None else tokens]
        return PCAField.fit(batches, small) if name == "PCAField" else MeanToken.fit(batches)
    return {"AveragePooling": AveragePooling, "Bilinear": Bilinear, "StridedPick": StridedPick, "RandomPick": RandomPick, "KMeans": KMeans,
            "ToMe": ToMe}[name](small)


EVERY = ["AveragePooling", "Bilinear", "StridedPick", "RandomPick", "KMeans", "ToMe", "PCAField", "MeanToken"]


# laws of all


@pytest.mark.parametrize("name", EVERY)
def test_all_are_called_alike(name):
    tokens, compressor = grid_of_tokens(), make(name)
    found = compressor(tokens)
    n = 0 if name == "MeanToken" else 6
    assert found.tokens.shape == (4, n, DIM) and found.owner.shape == (4, *GRID) and found.owner.dtype == torch.int64
    assert 0 <= found.owner.min() and found.owner.max() < max(n, 1) and found.bits >= 0
    assert n == 0 or all(len(each.unique()) == n for each in found.owner)  # every token stands for some place
    assert compressor.expand(found).shape == tokens.shape and compressor.takes == "tokens"


@pytest.mark.parametrize("name", EVERY)
def test_a_picture_does_not_depend_on_its_neighbours(name):
    tokens, compressor = grid_of_tokens(), make(name)
    alone, together = compressor(tokens[2:3]), compressor(tokens.flip(0))
    torch.testing.assert_close(alone.tokens, together.tokens[1:2])
    assert torch.equal(alone.owner, together.owner[1:2])


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("PCAField", "MeanToken")])
def test_a_constant_picture_comes_back_whole(name):
    tokens, compressor = grid_of_tokens(3)[:, :1, :1].expand(-1, *GRID, -1), make(name)
    found = compressor(tokens)
    torch.testing.assert_close(compressor.expand(found), tokens)
    assert found.tokens.isfinite().all()


@pytest.mark.parametrize("name", ["AveragePooling", "Bilinear", "StridedPick", "RandomPick", "KMeans", "ToMe", "PCAField"])
def test_with_a_token_for_every_place_nothing_is_lost(name):
    tokens = grid_of_tokens(2, (2, 3))
    compressor = make(name, grid_of_tokens(60, (2, 3)), (2, 3))
    torch.testing.assert_close(compressor.expand(compressor(tokens)), tokens, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["RandomPick", "KMeans", "ToMe"])
def test_random_numbers_and_results_follow_from_the_seed(name):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second = make(name)(grid_of_tokens()), make(name)(grid_of_tokens())
    assert torch.equal(first.tokens, second.tokens) and torch.equal(first.owner, second.owner)
    assert torch.equal(torch.get_rng_state(), state)
    if name == "RandomPick":
        assert not torch.equal(RandomPick(SMALL, seed=1)(grid_of_tokens()).tokens, first.tokens)


# where places are fixed


def test_average_pooling_is_the_mean_of_every_field():
    tokens = grid_of_tokens()
    found = AveragePooling(SMALL)(tokens)
    expected = torch.stack([torch.stack([field.mean((0, 1)) for field in picture]) for picture in fields(tokens)])
    torch.testing.assert_close(found.tokens, expected)
    pooled = F.adaptive_avg_pool2d(tokens.permute(0, 3, 1, 2), SMALL).flatten(2).mT
    torch.testing.assert_close(found.tokens, pooled)
    rebuilt = AveragePooling(SMALL).expand(found)
    assert torch.equal(rebuilt[1, 3, 5], found.tokens[1, 1 * 2 + 1])
    assert found.bits == 0


def test_no_single_vector_is_nearer_to_its_field_than_the_mean():
    tokens = grid_of_tokens()
    found, compressor = AveragePooling(SMALL)(tokens), AveragePooling(SMALL)
    best = (compressor.expand(found) - tokens).square().sum()
    for seed in range(3):
        other = found._replace(tokens=found.tokens + 0.05 * torch.randn(found.tokens.shape, generator=torch.Generator().manual_seed(seed)))
        assert (compressor.expand(other) - tokens).square().sum() > best


@pytest.mark.parametrize("small", [(3, 2), (4, 5), (6, 8)])
def test_bilinear_weights_are_those_of_the_formula(small):
    """x at (i + ½) · height / out − ½, between its two neighbours, clipped at the rim; both axes by one matrix each."""
    def weights(n, few):
        at = ((torch.arange(few) + 0.5) * n / few - 0.5).clamp(0, n - 1)
        return (1 - (at[:, None] - torch.arange(n)).abs()).clamp(min=0)

    tokens = grid_of_tokens()
    found = Bilinear(small)(tokens)
    expected = torch.einsum("ih,jw,bhwd->bijd", weights(6, small[0]), weights(8, small[1]), tokens).flatten(1, 2)
    torch.testing.assert_close(found.tokens, expected)
    up = torch.einsum("hi,wj,bijd->bhwd", weights(small[0], 6), weights(small[1], 8), found.tokens.unflatten(1, small))
    torch.testing.assert_close(Bilinear(small).expand(found), up)


def test_with_antialias_every_token_counts():
    def felt(antialias):
        tokens = grid_of_tokens(1, (24, 24)).requires_grad_()
        Bilinear((4, 4), antialias)(tokens).tokens.sum().backward()
        return (tokens.grad[..., 0] != 0).double().mean()

    assert felt(True) == 1 and felt(False) == pytest.approx(4 * 16 / 576)


@pytest.mark.parametrize("place", [None, (0, 0), (1, 3)])
def test_strided_pick_takes_the_same_place_of_every_field(place):
    tokens = grid_of_tokens()
    row, column = place or (1, 2)
    expected = torch.stack([torch.stack([field[row, column] for field in picture]) for picture in fields(tokens)])
    assert torch.equal(StridedPick(SMALL, place)(tokens).tokens, expected)


@pytest.mark.parametrize(("grid", "small"), [((24, 24), (6, 6)), ((6, 8), (3, 2)), ((5, 7), (5, 1))])
def test_nearest_cells_are_the_fields_where_these_divide(grid, small):
    assert torch.equal(nearest_cells(grid, small), owners(grid, small))


def test_nearest_cells_of_any_two_grids():
    for n, few in itertools.product(range(1, 12), range(1, 12)):
        cell = nearest_cells((n, 1), (few, 1)).flatten()
        assert cell.tolist() == [math.floor((i + 0.5) * few / n + 1e-12) for i in range(n)]
        assert len(cell.unique()) == min(n, few) and (cell.diff() >= 0).all()


# picked at random


def test_random_pick_keeps_real_tokens_and_gives_each_place_the_nearest():
    tokens = grid_of_tokens()
    found = RandomPick(SMALL)(tokens)
    for picture, kept, owner in zip(tokens, found.tokens, found.owner):
        places = [(i, j) for i in range(6) for j in range(8) if (picture[i, j] == kept).all(1).any()]
        assert len(places) == 6 and torch.equal(torch.stack([picture[place] for place in places]), kept)
        for i, j in itertools.product(range(6), range(8)):
            assert int(owner[i, j]) == min(range(6), key=lambda k: (i - places[k][0]) ** 2 + (j - places[k][1]) ** 2)
    assert found.bits == pytest.approx(math.log2(math.comb(48, 6)))


def test_every_set_of_places_is_equally_likely():
    tokens = torch.arange(4.0).view(1, 2, 2, 1) + 0.01 * torch.rand(6000, 2, 2, 1, generator=torch.Generator().manual_seed(0))
    sets = Counter(map(tuple, RandomPick((1, 2))(tokens).tokens.squeeze(2).int().tolist()))
    assert len(sets) == 6 and scipy.stats.chisquare(list(sets.values())).pvalue > 1e-3


def test_a_pictures_random_numbers_are_uniform_and_its_own():
    tokens = torch.randn(300, 2, 3, 2, generator=torch.Generator().manual_seed(0))
    found = draws(tokens, 50, seed=3)
    assert scipy.stats.kstest(found.flatten().numpy(), "uniform").pvalue > 1e-3
    for numbers, most in ((found, 0.7), (found.T, 0.3)):  # of pictures, and of draws
        assert abs(np.corrcoef(numbers.numpy())[np.triu_indices(len(numbers), 1)]).max() < most
    assert torch.equal(draws(tokens[7:9], 20, seed=3), found[7:9, :20]) and not (draws(tokens, 50, seed=4) == found).any()
    one = tokens[:1].clone()
    one[0, 1, 2, 1] += 1e-6
    assert not (draws(one, 50, seed=3) == found[:1]).any()


def test_leading_eigenvectors_of_large_matrices_are_those_of_all():
    chance = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(2, 200, 200, dtype=torch.float64, generator=chance)).Q
    matrix = turn @ torch.diag_embed(0.9 ** torch.arange(200.0).double()) @ turn.mT
    values, vectors = leading(matrix, 5)
    torch.testing.assert_close(values, 0.9 ** torch.arange(5.0).double().expand(2, -1))
    torch.testing.assert_close((vectors.mT @ turn[..., :5]).abs(), torch.eye(5).double().expand(2, -1, -1), atol=1e-6, rtol=0)
    assert torch.equal(leading(matrix, 5)[1], vectors)


def test_bits_of_a_choice():
    assert log2_choose(576, 36) == pytest.approx(scipy.special.gammaln([577, 37, 541]) @ [1, -1, -1] / math.log(2))
    assert log2_choose(48, 0) == log2_choose(48, 48) == 0 and log2_choose(10, 3) == pytest.approx(math.log2(120))


# a smaller picture


@pytest.mark.parametrize("small", [(2, 2), (4, 4), (2, 3), (3, 3)])
def test_downsampled_is_clip_on_the_means_of_areas(small):
    clip, pixels = StandIn(), torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    compressor = Downsampled(clip, small)
    found = compressor(pixels)
    little = torch.stack([pixels[:, :, math.floor(i * 12 / (3 * small[0])) : math.ceil((i + 1) * 12 / (3 * small[0]))].mean(2)
                          for i in range(3 * small[0])], 2)
    little = torch.stack([little[..., math.floor(j * 12 / (3 * small[1])) : math.ceil((j + 1) * 12 / (3 * small[1]))].mean(3)
                          for j in range(3 * small[1])], 3)
    torch.testing.assert_close(found.tokens, clip.encode(little).tokens.flatten(1, 2))
    assert compressor.takes == "pixels" and found.owner.shape == (3, 4, 4) and compressor.expand(found).shape == (3, 4, 4, 8)


# merged


def test_lloyd_is_that_of_scikit_learn():
    tokens, compressor = grid_of_tokens(), KMeans(SMALL, steps=4)
    found, points = compressor(tokens), tokens.flatten(1, 2)
    middle = points.mean(1, keepdim=True)
    start = kmeans_start(points - middle, draws(tokens, 6, 0)) + middle
    for picture, first, centres in zip(points, start, found.tokens):
        theirs = sklearn.cluster.KMeans(6, init=first.numpy(), n_init=1, max_iter=4, tol=0, algorithm="lloyd").fit(picture.numpy())
        np.testing.assert_allclose(centres, theirs.cluster_centers_, rtol=1e-4, atol=1e-4)


def test_a_cluster_is_the_mean_of_its_places_and_steps_make_it_better():
    tokens = grid_of_tokens()
    found = KMeans(SMALL)(tokens)
    for picture, owner, centres in zip(tokens, found.owner, found.tokens):
        torch.testing.assert_close(torch.stack([picture[owner == k].mean(0) for k in range(6)]), centres)
    errors = [(make_k.expand(make_k(tokens)) - tokens).square().mean() for make_k in (KMeans(SMALL, steps) for steps in (1, 3, 10))]
    assert errors[0] > errors[1] >= errors[2]


def test_the_start_draws_by_squared_distance():
    """Three points on a line, two centres: exact probabilities of every pair (Arthur & Vassilvitskii 2007)."""
    line, chances = torch.tensor([0.0, 1.0, 3.0]), torch.rand(30_000, 2, generator=torch.Generator().manual_seed(0))
    centres = kmeans_start(line.view(1, 3, 1).expand(30_000, -1, -1), chances).squeeze(2)
    for first, second in itertools.permutations([0.0, 1.0, 3.0], 2):
        expected = (second - first) ** 2 / (line - first).square().sum() / 3
        share = ((centres[:, 0] == first) & (centres[:, 1] == second)).double().mean()
        assert float(share) == pytest.approx(float(expected), abs=0.01)
    assert (centres[:, 0] != centres[:, 1]).all()


def test_as_many_different_tokens_as_clusters_are_all_found():
    values = 5 * grid_of_tokens(3, (6, 1)).flatten(1, 2)
    tokens = values[:, torch.randint(6, GRID, generator=torch.Generator().manual_seed(0))]
    torch.testing.assert_close(KMeans(SMALL).expand(KMeans(SMALL)(tokens)), tokens, rtol=1e-4, atol=1e-4)


def test_tome_cannot_merge_what_its_turns_put_on_one_side():
    """Stripes of two values: the first of every two tokens is in A, the second in B, so no equal ones are ever compared."""
    stripes = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[torch.arange(8).remainder(2)].expand(1, 6, 8, 2)
    odd_rows = stripes[:, :, :7]  # here a row begins in B if the one before began in A, and equal ones meet
    assert (ToMe((3, 4)).expand(ToMe((3, 4))(stripes)) - stripes).square().mean() > 0.05
    for compressor, tokens in ((ToMe((3, 4)), odd_rows), (KMeans((1, 2)), stripes)):
        torch.testing.assert_close(compressor.expand(compressor(tokens)), tokens)


def tome_by_hand(points, remains):
    """The algorithm of the paper with lists and loops, on one picture: (tokens, members of each)."""
    merged = [(point.double(), [place]) for place, point in enumerate(points)]
    for remain in remains:
        a, b = merged[::2], merged[1::2]
        pairs = []
        for number, (vector, _) in enumerate(a):
            cosines = [float(vector @ other / vector.norm() / other.norm()) for other, _ in b]
            pairs.append((max(cosines), number, int(np.argmax(cosines))))
        pairs.sort(key=lambda pair: -pair[0])
        into = {number: partner for _, number, partner in pairs[: len(merged) - remain]}
        new = []
        for number in range(len(merged)):
            if number % 2 == 0 and number // 2 not in into:
                new.append(merged[number])
            elif number % 2:
                group = [merged[number], *(a[k] for k, partner in into.items() if partner == number // 2)]
                members = sum((each[1] for each in group), [])
                new.append((sum(vector * len(each) for vector, each in group) / len(members), members))
        merged = new
    return merged


@pytest.mark.parametrize(("grid", "small", "rounds"), [((6, 8), (3, 2), None), ((6, 8), (3, 2), 7), ((5, 5), (3, 1), None), ((3, 7), (4, 4), 2)])
def test_tome_is_the_algorithm_of_the_paper(grid, small, rounds):
    tokens = grid_of_tokens(3, grid)
    found, n = ToMe(small, rounds)(tokens), math.prod(small)
    for picture, kept, owner in zip(tokens.flatten(1, 2), found.tokens, found.owner.flatten(1)):
        expected = tome_by_hand(picture, schedule(math.prod(grid), n, rounds))
        assert len(expected) == n
        for number, (vector, members) in enumerate(expected):
            torch.testing.assert_close(kept[number], vector.float())
            assert (owner == number).nonzero().flatten().tolist() == sorted(members)


def test_merging_keeps_the_mean_of_all_tokens():
    tokens = grid_of_tokens()
    found = ToMe(SMALL)(tokens)
    sizes = F.one_hot(found.owner.flatten(1), 6).sum(1)
    torch.testing.assert_close((found.tokens * sizes[..., None]).sum(1) / 48, tokens.mean((1, 2)))


@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 12))
def test_a_schedule_ends_where_it_should_and_never_removes_more_than_half(places, n, more):
    places, n = max(places, n), min(places, n)
    fewest = schedule(places, n, None)
    for remain in (fewest, schedule(places, n, len(fewest) + more)):
        assert ([places, *remain])[-1] == n
        assert all(before >= after >= before - before // 2 for before, after in zip([places, *remain], remain))
    if fewest:
        with pytest.raises(BadInput, match=f"takes at least {len(fewest)} rounds, .* not {len(fewest) - 1}.$"):
            schedule(places, n, len(fewest) - 1)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_owner_bits_are_those_of_the_adaptive_code(n):
    owner = torch.randint(n, (3, 40), generator=torch.Generator().manual_seed(0))
    bits = []
    for row in owner.tolist():
        seen, total = [0] * n, 0.0
        for label in row:
            total -= math.log2((seen[label] + 1) / (sum(seen) + n))
            seen[label] += 1
        bits.append(total)
    assert owner_bits(owner, n) == pytest.approx(sum(bits) / 3, rel=1e-9)


def test_owner_bits_follow_the_entropy_and_not_the_number_of_labels():
    same, even = torch.zeros(1, 576, dtype=torch.int64), torch.arange(576).remainder(36)[None]
    assert owner_bits(same, 36) == pytest.approx(log2_choose(576 + 35, 35)) and owner_bits(same, 1) == 0
    assert owner_bits(even, 36) == pytest.approx(576 * math.log2(36), rel=0.05)


# fitted


def data_of_fields(tokens, small=SMALL):
    return torch.stack([torch.stack([field.flatten() for field in picture]) for picture in fields(tokens, small)])  # (pictures, n, values)


def low_rank(pictures, seed=0):
    """Tokens that depend on each other, so that a few directions hold most of a field."""
    chance = torch.Generator().manual_seed(seed)
    mix = torch.randn(12, 48 * DIM, generator=torch.Generator().manual_seed(9))
    return (torch.randn(pictures, 12, generator=chance) @ mix).view(-1, *GRID, DIM) + grid_of_tokens(pictures, seed=seed + 1)


@pytest.mark.parametrize("per_field", [False, True])
def test_pca_is_that_of_scikit_learn_however_it_is_streamed(per_field):
    train, test = low_rank(150), low_rank(7, seed=5)
    model = PCAField.fit(train.split(17), SMALL, per_field)
    rebuilt = data_of_fields(model.expand(model(test))).numpy()
    rows, asked = data_of_fields(train).numpy(), data_of_fields(test).numpy()
    for number in range(6):
        some = rows[:, number] if per_field else rows.reshape(-1, rows.shape[2])
        theirs = sklearn.decomposition.PCA(DIM, svd_solver="full").fit(some)
        expected = theirs.inverse_transform(theirs.transform(asked[:, number]))
        np.testing.assert_allclose(rebuilt[:, number], expected, rtol=1e-3, atol=1e-3)
        share = float(model.explained[number if per_field else 0])
        assert share == pytest.approx(theirs.explained_variance_ratio_.sum(), rel=1e-4)


def test_streaming_loses_no_digits_to_a_large_mean():
    train = grid_of_tokens(60)
    near, far = PCAField.fit(train.split(13), SMALL), PCAField.fit((train + 1000).split(13), SMALL)
    torch.testing.assert_close(far.explained, near.explained, rtol=1e-3, atol=0)
    torch.testing.assert_close(far.mean, near.mean + 1000)


def test_a_linear_compressor_and_decoder_trained_for_mse_end_at_its_error():
    """Baldi & Hornik 1989: the least squared error of a linear bottleneck is that of PCA, and no other minimum is in the way."""
    train, small = low_rank(80)[..., :3], (3, 2)
    model = PCAField.fit([train], small)
    least = float((model.expand(model(train)) - train).square().mean())
    rows = data_of_fields(train, small).flatten(0, 1)
    start = 0.1 * torch.randn(2 * 3 * rows.shape[1] + 3 + rows.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def error(weights):
        weights = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
        down, up, inner, outer = weights.split([3 * rows.shape[1], 3 * rows.shape[1], 3, rows.shape[1]])
        code = F.linear(rows.double(), down.view(3, -1), inner)
        loss = F.mse_loss(F.linear(code, up.view(-1, 3), outer), rows.double())
        return loss.item(), torch.autograd.grad(loss, weights)[0].numpy()

    learned = scipy.optimize.minimize(error, start.numpy(), jac=True, method="L-BFGS-B", options={"maxiter": 300}).fun
    assert least * (1 - 1e-5) <= learned < least * 1.001
    assert least < 0.9 * float((AveragePooling(small).expand(AveragePooling(small)(train)) - train).square().mean())


def test_the_mean_token_is_the_mean_of_all_and_nothing_passes():
    train, tokens = grid_of_tokens(30), grid_of_tokens()
    model = MeanToken.fit(train.split(7))
    torch.testing.assert_close(model.mean, train.mean((0, 1, 2)))
    found = model(tokens)
    assert found.tokens.numel() == 0 and found.bits == 0
    assert torch.equal(model.expand(found), model.mean.expand(4, *GRID, -1))
    clip = StandIn(dim=DIM)
    cls = tokens.mean((1, 2))
    assert torch.equal(clip.replay(found.tokens, cls), clip.replay(tokens.flatten(1, 2)[:, :0], cls))  # CLS alone


@pytest.mark.parametrize("name", ["PCAField", "MeanToken"])
def test_fitted_ones_come_back_from_their_cards(name, tmp_path):
    model, tokens = make(name), grid_of_tokens()
    back = load_weights(save_weights(model, tmp_path / name, card=CARD), expect=type(model))
    assert torch.equal(back.expand(back(tokens)), model.expand(model(tokens)))


def test_gradients_pass_where_the_map_is_smooth():
    for compressor in (AveragePooling(SMALL), Bilinear(SMALL), StridedPick(SMALL), RandomPick(SMALL), KMeans(SMALL), ToMe(SMALL), make("PCAField")):
        tokens = grid_of_tokens().requires_grad_()
        compressor.expand(compressor(tokens)).square().sum().backward()
        assert tokens.grad.isfinite().all() and (tokens.grad != 0).any()


# refused


@pytest.mark.parametrize(("call", "words"), [
    (lambda: AveragePooling((4, 4))(grid_of_tokens()), "a grid of 6 × 8 tokens cannot be divided into 4 × 4 equal fields"),
    (lambda: StridedPick((4, 4))(grid_of_tokens()), "cannot be divided"), (lambda: PCAField.fit([grid_of_tokens()], (4, 4)), "cannot be divided"),
    (lambda: StridedPick(SMALL, (2, 0))(grid_of_tokens()), r"place \(2, 0\) is outside a field of 2 × 4 tokens; count from 0.$"),
    (lambda: RandomPick((7, 7))(grid_of_tokens()), "49 tokens cannot be kept of a picture that has 48; take a smaller output_grid.$"),
    (lambda: KMeans((7, 7))(grid_of_tokens()), "49 tokens cannot be kept"), (lambda: ToMe((7, 7))(grid_of_tokens()), "49 tokens cannot be kept"),
    (lambda: KMeans(SMALL, steps=0), "k-means needs at least 1 step of Lloyd, not 0.$"),
    (lambda: ToMe(SMALL, rounds=2)(grid_of_tokens()), "from 48 to 6 tokens takes at least 3 rounds, for each removes at most half, not 2.$"),
    (lambda: merge(torch.randn(1, 5, 2), torch.ones(1, 5), 3), "a round can remove 0 to 2 of 5 tokens, not 3.$"),
    (lambda: MeanToken.fit([]), "there are no tokens to take the mean of"), (lambda: PCAField.fit([]), "there are no tokens to fit a PCA to"),
    (lambda: make("PCAField")(grid_of_tokens(grid=(8, 6))), r"this PCA takes grids of 6 × 8 tokens of 5 numbers, not of shape \[8, 6, 5\].$"),
    (lambda: AveragePooling((0, 3)), r"a grid is \(height, width\), both at least 1, not \(0, 3\).$")])
def test_what_cannot_be(call, words):
    with pytest.raises(BadInput, match=words):
        call()


def test_a_covariance_that_does_not_fit_is_said_before(monkeypatch):
    monkeypatch.setattr(baselines, "free_memory", lambda device: 1000)
    with pytest.raises(BadInput, match="the covariance of 6 × 40 values takes 0.0 GB .* are left; take a larger output_grid, or one basis"):
        PCAField.fit([grid_of_tokens()], SMALL, per_field=True)
