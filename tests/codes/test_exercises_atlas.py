"""The checks of notebook 09 accept right answers, reject wrong ones with the law they break, and never raise."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from course_lib.codes.exercises_atlas import check


def components(vectors):
    centred = vectors - vectors.mean(0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    return centred @ vt[:2].T, s**2 / (s**2).sum()


def by_sklearn(vectors):
    found = PCA().fit(vectors)
    return found.transform(vectors)[:, :2], found.explained_variance_ratio_


def not_centred(vectors):
    u, s, vt = np.linalg.svd(vectors, full_matrices=False)
    return vectors @ vt[:2].T, s**2 / (s**2).sum()


def not_squared(vectors):
    s = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False)
    return components(vectors)[0], s / s.sum()


def scaled(vectors):
    places, shares = components(vectors)
    return places / places.std(0), shares


def centred_in_place(vectors):
    vectors -= vectors.mean(0)
    return components(vectors)


def lloyd(points, centres):
    labels = ((points[:, None] - centres) ** 2).sum(2).argmin(1)
    return labels, np.stack([points[labels == k].mean(0) if (labels == k).any() else centres[k] for k in range(len(centres))])


def lloyd_without_care(points, centres):
    labels = lloyd(points, centres)[0]
    with np.errstate(all="ignore"):
        return labels, np.stack([points[labels == k].sum(0) / np.float64((labels == k).sum()) for k in range(len(centres))])


def lloyd_to_the_end(points, centres):
    for _ in range(20):
        labels, centres = lloyd(points, centres)
    return labels, centres


def lloyd_drops(points, centres):
    labels, new = lloyd(points, centres)
    return labels, new[np.unique(labels)]


def ari(table):
    def pairs(n):
        return n * (n - 1) / 2

    index, rows, columns = pairs(table).sum(), pairs(table.sum(1)).sum(), pairs(table.sum(0)).sum()
    expected = rows * columns / pairs(table.sum())
    return (index - expected) / ((rows + columns) / 2 - expected)


def rand(table):
    n, squares = table.sum(), (table**2).sum()
    return (n * (n - 1) / 2 + squares - ((table.sum(1) ** 2).sum() + (table.sum(0) ** 2).sum()) / 2) / (n * (n - 1) / 2)


WRONG = [
    ("components", lambda x: (x[:, :2], np.ones(5) / 5), "from the mean"),  # the stub
    ("components", lambda x: components(x)[0], "two things"),
    ("components", lambda x: (x, components(x)[1]), "two numbers for each"),
    ("components", lambda x: (components(x)[0], components(x)[1][:2]), "each of the 5 directions"),
    ("components", not_centred, "take the mean away"),
    ("components", not_squared, "squared"),
    ("components", scaled, "in the units of the vectors"),
    ("components", centred_in_place, "must not change"),
    ("components", lambda x: (components(x)[0], components(x)[1][::-1]), "largest share"),
    ("lloyd", lambda points, centres: (np.zeros(len(points), int), centres.copy()), "nearest of the *old* centres"),  # the stub
    ("lloyd", lambda points, centres: lloyd(points, centres)[1], "two things"),
    ("lloyd", lloyd_without_care, "let its centre stay"),
    ("lloyd", lloyd_to_the_end, "old"),
    ("lloyd", lloyd_drops, "as many centres"),
    ("lloyd", lambda points, centres: (lloyd(points, centres)[0], centres.copy()), "is the mean of its points"),
    ("ari", lambda table: 0.0, "other names"),  # the stub
    ("ari", lambda table: np.trace(table) / table.sum() if table.shape[0] == table.shape[1] else 0.0, "names of the clusters"),
    ("ari", rand, "in pairs"),
    ("ari", lambda table: max(ari(table), 0.0), "you return 0.000"),
    ("ari", lambda table: table, "one number"),
]


@pytest.mark.parametrize(("name", "answer"), [("components", components), ("components", by_sklearn), ("lloyd", lloyd), ("ari", ari)])
def test_a_right_answer_passes(said, name, answer):
    assert 'data-check="ok"' in said(name, answer)


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = said(name, answer)
    assert 'data-check="no"' in words and law in words and "Hint" in words, words


@pytest.mark.parametrize("name", ["components", "lloyd", "ari"])
@pytest.mark.parametrize("answer", [None, 3, "text", lambda *arguments: 1 / 0, lambda: None])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)
