"""The exercises of notebook 09: what each answer must satisfy."""

import numpy as np
from sklearn.metrics import adjusted_rand_score

from course_lib.core.exercises import Checks

check = Checks()
NEAR = 1e-4


@check.exercise("components", hint="u, s, vt = np.linalg.svd(centred, full_matrices=False); places: centred @ vt[:2].T; shares: s**2 / (s**2).sum().")
def check_components(answer) -> None:
    x = _vectors()
    kept = x.copy()
    found = answer(x)
    assert isinstance(found, tuple) and len(found) == 2, "Shape: return two things, the places and the shares."
    places, shares = (np.asarray(part) for part in found)
    assert places.shape == (60, 2), f"Shape: two numbers for each of the 60 objects, not {places.shape}."
    assert shares.shape == (5,), f"Shape: a share for each of the 5 directions, not {shares.shape}."
    assert np.array_equal(x, kept), "Law: what you were given must not change; work on a copy."
    assert abs(shares.sum() - 1) < NEAR, f"Law: the shares sum to 1; yours sum to {shares.sum():.3f}."
    assert (np.diff(shares) < 1e-9).all(), "Law: the first direction has the largest share, then they fall."
    assert np.abs(places.mean(0)).max() < NEAR, "Law: variance is counted from the mean; take the mean away first."
    true = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    assert np.abs(shares - true / true.sum()).max() < NEAR, "Law: a share is a singular value squared, over the sum of all squares."
    assert np.abs(places.var(0, ddof=1) - true[:2]).max() < NEAR * true[0], (
        "Law: the variance of the places is that of the two largest directions, in the units of the vectors.")
    assert abs(np.corrcoef(places.T)[0, 1]) < NEAR, "Law: the two numbers of a place are uncorrelated."


@check.exercise("lloyd", hint="distances = ((points[:, None] - centres) ** 2).sum(2); labels = distances.argmin(1); then the mean of each cluster that has points.")
def check_lloyd(answer) -> None:
    points, centres = _vectors()[:, :2].copy(), np.array([[-5.0, 0.0], [5.0, 5.0], [5.0, -5.0], [900.0, 900.0]])
    kept = points.copy(), centres.copy()
    found = answer(points, centres)
    assert isinstance(found, tuple) and len(found) == 2, "Shape: return two things, the labels and the new centres."
    labels, new = (np.asarray(part) for part in found)
    assert labels.shape == (60,), f"Shape: a label for each of the 60 points, not {labels.shape}."
    assert new.shape == centres.shape, f"Shape: as many centres as before, {centres.shape}, not {new.shape}."
    assert np.array_equal(points, kept[0]) and np.array_equal(centres, kept[1]), "Law: what you were given must not change; work on a copy."
    near = ((points[:, None] - centres) ** 2).sum(2)
    assert np.array_equal(labels, near.argmin(1)), "Law: a point belongs to the nearest of the *old* centres."
    assert np.isfinite(new).all(), "Law: a cluster without points has no mean; let its centre stay where it is."
    assert np.allclose(new[3], centres[3]), "Law: a cluster without points keeps its centre."
    for k in range(3):
        assert np.allclose(new[k], points[labels == k].mean(0)), f"Law: a new centre is the mean of its points; that of cluster {k} is not."


@check.exercise("ari", hint="pairs(n) = n (n − 1) / 2; index = pairs(table).sum(), rows = pairs(table.sum(1)).sum(), columns alike; expected = rows · columns / pairs(n).")
def check_ari(answer) -> None:
    def value(table) -> float:
        return float(answer(np.array(table)))

    first = answer(np.diag([3, 4, 5]))
    assert isinstance(first, (int, float, np.floating)), "Shape: return one number."
    assert abs(float(first) - 1) < NEAR, f"Law: the same partition, only with other names: 1, not {float(first):.3f}."
    assert abs(value([[0, 3], [4, 0]]) - 1) < NEAR, "Law: the names of the clusters mean nothing; the columns may change places."
    for table in ([[5, 1, 0], [0, 6, 2], [1, 0, 9]], [[4, 4], [3, 5], [1, 0]], [[10, 2, 7]]):
        truth = _ari(np.array(table))
        assert abs(value(table) - truth) < NEAR, (
            f"Law: (index − expected) / (½ (rows + columns) − expected), in pairs, is {truth:.3f} for {table}; you return {value(table):.3f}.")
        assert abs(value(np.array(table).T) - truth) < NEAR, "Law: clusters and truth may change places."
    assert abs(value([[1, 1], [1, 1]]) + 0.5) < NEAR, "Law: it may fall below 0, less agreement than by chance: here −0.5."


def _vectors() -> np.ndarray:
    """60 vectors of 5 numbers that vary differently, not around 0."""
    return np.random.default_rng(0).normal(size=(60, 5)) @ np.diag([6.0, 4.0, 2.0, 1.0, 0.5]) + np.array([3.0, -1.0, 0.0, 7.0, 2.0])


def _ari(table: np.ndarray) -> float:
    """By scikit-learn, from the objects that a table counts."""
    cluster, value = (np.repeat(index.ravel(), table.ravel()) for index in np.indices(table.shape))
    return float(adjusted_rand_score(value, cluster))
