"""Moments against numpy and scipy, the least way against other ways, and compressors that lose nothing by being moved."""

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.stats import ortho_group

from course_lib.core.errors import BadInput
from course_lib.tokens.baselines import AveragePooling, Downsampled, MeanToken, PCAField
from course_lib.tokens.compressor import Compressor
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.merging import KMeans
from course_lib.tokens.moments import MomentMatched, _means, matching, moments, root, transport

GRID, SMALL, DIM = (6, 8), (3, 2), 5


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def some_tokens(batch=60, seed=0):
    """Neighbours alike, channels of different size and correlated, a mean."""
    coarse = normal(seed, batch, 3, 4, DIM).repeat_interleave(2, 1).repeat_interleave(2, 2)
    return (coarse + 0.5 * normal(seed + 1, batch, *GRID, DIM)) @ (normal(7, DIM, DIM) + torch.eye(DIM)) + torch.linspace(-3, 30, DIM)


def covariance(seed):
    half = normal(seed, DIM, DIM).double()
    return half @ half.T + 0.1 * torch.eye(DIM).double()


def test_moments_are_those_of_numpy():
    points = normal(0, 50, DIM) + 1000
    mean, spread = moments(points)
    np.testing.assert_allclose(mean, points.double().mean(0))
    np.testing.assert_allclose(spread, np.cov(points.numpy().astype(float).T, bias=True), rtol=1e-6)


def test_roots_are_those_of_scipy():
    matrix = covariance(1)
    np.testing.assert_allclose(root(matrix), scipy.linalg.sqrtm(matrix.numpy()), atol=1e-8)
    np.testing.assert_allclose(root(matrix, -0.5), np.linalg.inv(scipy.linalg.sqrtm(matrix.numpy())), atol=1e-7)


def test_both_ways_bring_the_covariance_and_near_is_the_least_way_of_all():
    own, real = covariance(1), covariance(2)
    near, other = transport(own, real), matching(own, real, normal(3, DIM, DIM).double())
    for a in (near, other):
        torch.testing.assert_close(a @ own @ a.T, real)

    def way(a):  # E ‖A x − x‖² for x of covariance own
        gone = a - torch.eye(DIM).double()
        return float((gone @ own @ gone.T).trace())

    half = root(own)  # the squared W₂ of two Gaussians with one mean (Peyré & Cuturi 2019, eq. 2.41)
    assert way(near) == pytest.approx(float((own + real - 2 * root(half @ real @ half)).trace()))
    for seed in range(50):
        turned = root(real) @ torch.from_numpy(ortho_group.rvs(DIM, random_state=seed)) @ root(own, -0.5)
        assert way(turned) > way(near)


def test_field_is_nearest_to_what_it_is_to_be_near():
    x, y = normal(4, 400, DIM).double(), normal(5, 400, DIM).double()
    y = y + x @ normal(6, DIM, DIM).double()
    x, y = x - x.mean(0), y - y.mean(0)
    own, real = x.T @ x / 400, covariance(2)
    best = matching(own, real, y.T @ x / 400)

    def away(a):
        return float((x @ a.T - y).square().sum(1).mean())

    for seed in range(50):
        turned = root(real) @ torch.from_numpy(ortho_group.rvs(DIM, random_state=seed)) @ root(own, -0.5)
        assert away(turned) > away(best)
    assert away(transport(own, real)) >= away(best)


def compressors(tokens):
    torch.manual_seed(0)
    learned = LearnedCompressor(DIM, GRID, SMALL, hidden=4)
    learned.fit(tokens)
    torch.nn.init.normal_(learned.compressor.out.weight)
    return {"pool": AveragePooling(SMALL), "pca": PCAField.fit([tokens], SMALL), "learned": learned, "k-means": KMeans(SMALL)}


@pytest.mark.parametrize("target", ["near", "field"])
@pytest.mark.parametrize("name", ["pool", "pca", "learned", "k-means"])
def test_tokens_get_the_moments_of_real_ones_and_come_back_unchanged(name, target):
    tokens = some_tokens()
    compressor = compressors(tokens)[name]
    model = MomentMatched.fit(compressor, tokens.split(25), target)
    with torch.no_grad():
        plain, moved = compressor(tokens), model(tokens)
        back, expected = model.expand(moved), compressor.expand(plain)
    mean, spread = moments(model.scale(moved.tokens).flatten(0, 1))
    true_mean, true_spread = moments(model.scale(tokens).flatten(0, 2))
    torch.testing.assert_close(mean, true_mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(spread, true_spread, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(back, expected, atol=1e-3, rtol=1e-3)
    assert moved.bits == plain.bits and torch.equal(moved.owner, plain.owner) and not torch.allclose(moved.tokens, plain.tokens, atol=0.1)
    with torch.no_grad():
        alone = model(tokens[[4]]).tokens
    torch.testing.assert_close(alone, moved.tokens[[4]], atol=1e-3, rtol=1e-3)  # what a picture becomes does not depend on the others


def test_field_finds_tokens_that_were_turned_and_near_does_not():
    class Turned(Compressor):
        """Means of fields in a code of their own: turned, and moved away."""

        def __init__(self):
            super().__init__()
            self.turn = torch.from_numpy(ortho_group.rvs(DIM, random_state=1)).float()

        def forward(self, tokens):
            found = AveragePooling(SMALL)(tokens)
            return found._replace(tokens=(found.tokens @ self.turn) * 3 - 50)

    tokens = some_tokens()
    means = AveragePooling(SMALL)(tokens).tokens
    straight = MomentMatched.fit(AveragePooling(SMALL), [tokens], "field")(tokens).tokens
    away = {target: float((MomentMatched.fit(Turned(), [tokens], target)(tokens).tokens - means).square().sum(2).mean()) for target in ("near", "field")}
    torch.testing.assert_close(MomentMatched.fit(Turned(), [tokens], "field")(tokens).tokens, straight, atol=1e-2, rtol=1e-3)
    assert away["field"] < 0.5 * away["near"]


def test_means_are_those_of_the_places_a_token_stands_for():
    tokens = some_tokens(3)
    passed = KMeans(SMALL)(tokens)
    found = _means(tokens, passed).unflatten(0, (3, 6))
    for row in range(3):
        for k in range(6):
            own = tokens[row][passed.owner[row] == k]
            torch.testing.assert_close(found[row, k], own.mean(0) if len(own) else passed.tokens[row, k], atol=1e-4, rtol=1e-5)


def test_bad_input():
    tokens = some_tokens(8)
    with pytest.raises(BadInput, match="^target must be near or field, not 'far'.$"):
        MomentMatched.fit(AveragePooling(SMALL), [tokens], "far")
    with pytest.raises(BadInput, match="^MeanToken lets no token pass"):
        MomentMatched.fit(MeanToken.fit([tokens]), [tokens])
    with pytest.raises(BadInput, match="^the tokens to move do not vary in every direction"):
        MomentMatched.fit(AveragePooling((1, 1)), [tokens[:2]])
    assert MomentMatched(Downsampled(torch.nn.Identity()), DIM).takes == "pixels"
