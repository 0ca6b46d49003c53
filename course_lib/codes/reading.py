"""How to read an atlas: what varies most, what a map has kept, what clusters are worth, and how things are spelled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64
from scipy.spatial.distance import cdist, pdist
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from course_lib.codes.atlas import Atlas, Labels, Vectors, cluster
from course_lib.codes.quantizer import ProductQuantizer
from course_lib.core.errors import BadInput

Map = Float32[np.ndarray, "objects 2"]


def what(atlas: Atlas, names: Sequence[str] | None = None) -> Labels:
    """One number for each combination of the named factors, all of them if none is named: what an object is."""
    number = torch.zeros(len(atlas), dtype=torch.int64)
    for name in atlas.factors if names is None else names:
        number = number * len(atlas.values[name]) + atlas.factors[name]
    return number.numpy()


def group_means(vectors: Vectors, labels: Labels) -> Vectors:
    """For each object the mean vector of all objects with its label."""
    _, which = np.unique(labels, return_inverse=True)
    sums = np.zeros((which.max() + 1, vectors.shape[1]), np.float64)
    np.add.at(sums, which, vectors)
    return (sums / np.bincount(which)[:, None])[which].astype(np.float32)


def without(vectors: Vectors, labels: Labels) -> Vectors:
    """What is left of each vector when the mean of its group is taken away."""
    return vectors - group_means(vectors, labels)


def explained(vectors: Vectors, labels: Labels) -> float:
    """The share of the variance that lies between the groups: Σ ‖mean of its group − mean‖² / Σ ‖vector − mean‖², from 0 to 1."""
    centre = vectors.mean(0)
    return float(np.square(group_means(vectors, labels) - centre).sum() / np.square(vectors - centre).sum())


def components(vectors: Vectors) -> Float[np.ndarray, "dim"]:
    """The share of the variance that each principal component has, largest first; they sum to 1."""
    squares = np.square(np.linalg.svd(vectors - vectors.mean(0), compute_uv=False).astype(np.float64))
    return squares / squares.sum()


def cloud(vectors: Vectors, seed: int = 0) -> Vectors:
    """A cloud without any structure: as many points, of one normal distribution with the same mean and covariance."""
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal(vectors.mean(0), np.cov(vectors.T), size=len(vectors), method="svd").astype(np.float32)


def kept_neighbours(vectors: Vectors, places: Map, many: int = 10) -> float:
    """The share of the `many` nearest neighbours of each object that are still among its nearest on the map."""
    if not 1 <= many < len(vectors):
        raise BadInput(f"of {len(vectors)} objects each has 1 to {len(vectors) - 1} neighbours, not {many}.")
    true, drawn = (NearestNeighbors(n_neighbors=many).fit(x).kneighbors(return_distance=False) for x in (vectors, places))
    return float(np.mean([len(np.intersect1d(a, b)) / many for a, b in zip(true, drawn)]))


def islands_apart(vectors: Vectors, places: Map, labels: Labels) -> dict[str, Float[np.ndarray, "pairs"] | float]:
    """For every pair of groups the distance of their means, `true` and on the map (`drawn`), and their rank correlation (Spearman)."""
    groups = np.unique(labels)
    true, drawn = (pdist(np.stack([x[labels == group].mean(0) for group in groups])) for x in (vectors, places))
    return {"true": true, "drawn": drawn, "rank": float(spearmanr(true, drawn)[0])}


def by_number(vectors: Vectors, truths: Mapping[str, Labels], numbers: Sequence[int], method: str = "k-means",
              seed: int = 0) -> dict[str, dict[str, list[float]]]:
    """For each truth and each number of clusters ari, nmi, and nmi_by_chance: the same clusters with objects exchanged at random."""
    shuffled = np.random.default_rng(seed).permutation(len(vectors))
    found = {name: {"ari": [], "nmi": [], "nmi_by_chance": []} for name in truths}
    for labels in (cluster(vectors, method, number, seed) for number in numbers):
        for name, truth in truths.items():
            found[name]["ari"].append(float(adjusted_rand_score(truth, labels)))
            found[name]["nmi"].append(float(normalized_mutual_info_score(truth, labels)))
            found[name]["nmi_by_chance"].append(float(normalized_mutual_info_score(truth, labels[shuffled])))
    return found


def called_alike(codes: Int64[Tensor, "objects codebooks"], values: Int64[Tensor, "objects"], rest: Int[np.ndarray, "objects"],
                 many: int) -> Float[Tensor, "codebooks many many"]:
    """Which values a codebook does not tell apart: take two objects that are alike in the `rest`, one with value i and one with
    value j, of 0 to `many` − 1; how often do they have the same code? NaN where there is no such pair."""
    pair = torch.from_numpy(np.equal.outer(rest, rest)) & ~torch.eye(len(rest), dtype=torch.bool)
    same = pair & (codes.T[:, :, None] == codes.T[:, None])  # (codebooks, objects, objects)
    own = torch.nn.functional.one_hot(values, many).float()
    return (own.T @ same.float() @ own) / (own.T @ pair.float() @ own)


@dataclass(frozen=True)
class Spelling:
    """How things are spelled; a phrase is all codes of an object, a thing is all that is true of it."""

    things: int  # that occur
    phrases: int  # that occur
    several: int  # things with more than one phrase: synonyms
    often: int  # things that occur at least twice, or they could have no second phrase
    shared: int  # phrases for more than one thing
    within: float  # mean distance in vectors of two objects that are one thing and have different phrases; NaN without synonyms
    beyond: float  # mean distance of an object to the nearest one that is another thing


def spelling(atlas: Atlas) -> Spelling:
    """Count phrases and things, and measure how far synonyms lie from each other. Raises `BadInput` without codes."""
    vectors, thing = atlas.vectors("codes"), what(atlas)
    phrase = np.unique(atlas.codes.numpy(), axis=0, return_inverse=True)[1].reshape(-1)
    pairs, away = np.unique(np.stack([thing, phrase], 1), axis=0), cdist(vectors, vectors)
    same = np.equal.outer(thing, thing)
    synonyms = same & ~np.equal.outer(phrase, phrase)
    by_thing, by_phrase = (np.unique(column, return_counts=True)[1] for column in pairs.T)
    return Spelling(len(by_thing), len(by_phrase), int((by_thing > 1).sum()), int((np.unique(thing, return_counts=True)[1] > 1).sum()),
                    int((by_phrase > 1).sum()), float(away[synonyms].mean()) if synonyms.any() else float("nan"),
                    float(np.where(same, np.inf, away).min(1).mean()))


@torch.no_grad()
def spell_anew(atlas: Atlas, codes: int = 512, seed: int = 0) -> tuple[Atlas, ProductQuantizer]:
    """The same slots with new codebooks in which no word costs anything: each of `codes` codes is a part of some slot of the atlas."""
    if atlas.codes is None:
        raise BadInput("this atlas has no codes to be spelled anew.")
    quantizer = ProductQuantizer(atlas.slots.shape[1], atlas.codes.shape[1], codes).eval()
    quantizer.start_from(atlas.slots, torch.Generator().manual_seed(seed))
    found = quantizer(atlas.slots)
    return replace(atlas, codes=found.indices, quantized=found.quantized), quantizer


def retell(scenes: Int64[Tensor, "scenes slots codebooks"], atlas: Atlas, seed: int = 0) -> tuple[Int64[Tensor, "scenes slots codebooks"], int]:
    """Replace every phrase that has synonyms in the atlas by one of them, drawn at random; also return how many were replaced.

    A phrase says what the first object of the atlas is that has it; a phrase that the atlas does not have is left as it is.
    """
    rng, says, phrases = np.random.default_rng(seed), {}, {}
    for phrase, thing in zip(map(tuple, atlas.codes.tolist()), what(atlas).tolist()):
        if says.setdefault(phrase, thing) == thing and phrase not in phrases.setdefault(thing, []):
            phrases[thing].append(phrase)
    told, replaced = scenes.clone().flatten(0, 1), 0
    for row, phrase in enumerate(map(tuple, told.tolist())):
        if others := [other for other in phrases.get(says.get(phrase), []) if other != phrase]:
            told[row] = torch.tensor(others[rng.integers(len(others))])
            replaced += 1
    return told.view_as(scenes), replaced


def whole_scenes(atlas: Atlas, objects: int) -> Int64[Tensor, "scenes"]:
    """The scenes all of whose `objects` are in the atlas, by their numbers."""
    return (torch.bincount(atlas.scene, minlength=len(atlas.pictures)) == objects).nonzero()[:, 0]
