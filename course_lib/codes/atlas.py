"""The atlas: every object that has a slot of its own, with its slot, its codes and the truth about it; maps of them, clusters
among them, and how well these agree with the truth. scikit-learn and umap-learn do the work."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, Int64, UInt8
from matplotlib.colors import rgb_to_hsv
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from course_lib.codes.svq import SVQ
from course_lib.core.errors import BadInput
from course_lib.slots.autoencoder import SlotAutoencoder
from course_lib.slots.owners import owners
from course_lib.slots.scenes import COLOURS, SceneDataset, Scenes, start_chance

AT_ONCE = 50  # scenes
HELD = 0.5  # of an object's pixels, that its slot holds at least
LEAST = 10  # objects in an atlas
VECTORS, CLUSTERINGS = ("slots", "codes", "factors"), ("k-means", "dbscan", "hierarchical")
MAPS = {"pca": "PCA", "t-sne": "t-SNE", "umap": "UMAP"}
NEIGHBOURS = 5  # the object itself and four more, as in the paper on DBSCAN (Ester et al. 1996, sec. 4.2)
UMAP_NEIGHBOURS = 15
STARTS = 400  # of k-means, divided by the number of clusters
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")  # where any hue occurs, each stands for a sixth of the circle
PLACES = tuple(f"{row} {column}" for row in ("upper", "middle", "lower") for column in ("left", "centre", "right"))
Vectors = Float32[np.ndarray, "objects numbers"]
Labels = Int[np.ndarray, "objects"]


@dataclass(frozen=True, repr=False, eq=False)
class Atlas:
    """The objects that have a slot of their own, a row for each; see `collect`."""

    slots: Float32[Tensor, "objects dim"]
    codes: Int64[Tensor, "objects codebooks"] | None  # None: the model has no codebooks
    quantized: Float32[Tensor, "objects dim"] | None  # the vectors that the codes stand for
    factors: dict[str, Int64[Tensor, "objects"]]  # place, kind, colour, size: the number of the true value
    values: dict[str, tuple[str, ...]]  # the names of these values
    scene: Int64[Tensor, "objects"]  # row of `pictures`
    position: Float32[Tensor, "objects 2"]  # of the centre; the picture is [−1, 1]², y points down
    radius: Float32[Tensor, "objects"]  # of the circle around the object, in the same unit
    pictures: UInt8[Tensor, "scenes height width 3"]
    lost: dict[str, float]  # shares of the visible objects that have no slot of their own
    swallowed: Bool[Tensor, "objects"]  # its slot is also the one that holds most of the background

    def __len__(self) -> int:
        return len(self.slots)

    def __repr__(self) -> str:
        return f"Atlas of {len(self)} objects in {len(self.pictures)} scenes"

    def vectors(self, of: str = "slots") -> Vectors:
        """What is mapped and clustered: "slots", "codes" (the vectors that they stand for) or "factors" (the truth, one-hot:
        two objects that differ in n factors are √(2n) apart). Raises `BadInput` for another name, or no codes."""
        known = [name for name in VECTORS if name != "codes" or self.quantized is not None]
        if of not in known:
            raise BadInput(f"the vectors of this atlas are {', '.join(known)}, not {of!r}.")
        if of == "factors":
            return torch.cat([F.one_hot(number, len(self.values[name])) for name, number in self.factors.items()], 1).float().numpy()
        return (self.slots if of == "slots" else self.quantized).numpy()

    def words(self, row: int) -> str:
        """What object number `row` is, for example "large red circle, upper left, codes 3 17 250 8"."""
        said = {name: self.values[name][int(number[row])] for name, number in self.factors.items()}
        codes = "" if self.codes is None else ", codes " + " ".join(map(str, self.codes[row].tolist()))
        return f"{said['size']} {said['colour']} {said['kind']}, {said['place']}{codes}"


@torch.no_grad()
def collect(model: SVQ | SlotAutoencoder, data: SceneDataset, scenes: int = 1000, seed: int = 0, progress: bool = False) -> Atlas:
    """The objects of scenes 0 to `scenes` − 1, and what `model` keeps of each.

    An object's slot is the one that holds most of its visible pixels by the last attention, from which the slot was made.
    It is the object's own if it holds at least half of them and is not also the slot of another object; background may be
    in it, too. Objects without such a slot are left out; `lost` has the shares that are *merged* with another object or in
    *pieces*, no slot having half of them; an object may be both.

    Factors: place, the ninth of the picture that holds the centre; kind; colour, one of the eight or, where any hue occurs,
    the nearest of six; size, small or large where there are two sizes, else small, middle or large: thirds of their range.
    seed: of the start of the slots. Raises `BadInput` for fewer than 10 objects in the end, and for NaN.
    """
    if scenes < 1:
        raise BadInput(f"an atlas needs at least 1 scene, not {scenes}.")
    parts = []
    for first in tqdm(range(0, scenes, AT_ONCE), desc="objects", unit="batch", disable=not progress):
        parts.append(_objects(model, data.batch(range(first, min(first + AT_ONCE, scenes))), seed))
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    seen, own, pictures = (found.pop(name) for name in ("seen", "own", "pictures"))
    lost = {name: float(found.pop(name)[seen].double().mean()) for name in ("merged", "pieces")}
    if int(own.sum()) < LEAST:
        raise BadInput(f"an atlas needs at least {LEAST} objects with slots of their own, and here are {int(own.sum())}, of {int(seen.sum())} "
                       "objects; take more scenes, or a model whose slots follow the objects.")
    rows = {name: value[own] for name, value in found.items()}
    factors, values = _factors(rows, data)
    return Atlas(rows["slots"], rows.get("codes"), rows.get("quantized"), factors, values, own.nonzero()[:, 0],
                 rows["position"], rows["size"], pictures, lost, rows["swallowed"])


def _objects(model: SVQ | SlotAutoencoder, scenes: Scenes, seed: int) -> dict[str, Tensor]:
    """Every object of a batch with its slot and what became of it (scenes, objects, …), and the pictures."""
    image, chance = scenes["image"].to(next(model.parameters()).device), start_chance(scenes, seed)
    one = torch.zeros(1, dtype=torch.int64, device=image.device)  # the only cell to be decoded: nobody looks at the pictures
    encoded = model.encode(image, chance=chance) if isinstance(model, SVQ) else model(image, chance=chance, cells=one)
    if encoded.slots.isnan().any():
        raise BadInput("slots hold NaN; the model that made them has diverged.")
    objects = scenes["present"].shape[1]
    owner, share, visible = owners(scenes["ids"], encoded.attention[:, -1].cpu())
    owner, share, visible = (F.pad(value, (0, objects + 1 - value.shape[1])) for value in (owner, share, visible))
    behind, owner, share, seen = owner[:, :1], owner[:, 1:], share[:, 1:], visible[:, 1:]  # first comes the background
    merged, pieces = ((owner[:, :, None] == owner[:, None]) & seen[:, None]).sum(2) > 1, share < HELD
    held = {"slots": encoded.slots}
    if isinstance(model, SVQ):
        held |= {"codes": encoded.codes.indices, "quantized": encoded.codes.quantized}
    picture = torch.arange(len(owner))[:, None]
    return {name: value.cpu()[picture, owner] for name, value in held.items()} | {
        name: scenes[name] for name in ("kind", "colour", "size", "position")} | {
        "seen": seen, "merged": merged, "pieces": pieces, "own": seen & ~merged & ~pieces, "swallowed": owner == behind,
        "pictures": (255 * scenes["image"]).round().byte().movedim(1, -1).contiguous()}


def _factors(rows: dict[str, Tensor], data: SceneDataset) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """The true factors as numbers, and the names of their values."""
    column, row = ((rows["position"] + 1) * 1.5).long().clamp(0, 2).unbind(1)
    away, colour = torch.cdist(rows["colour"], torch.tensor(list(COLOURS.values()))).min(1)
    names = tuple(COLOURS)
    if away.max() > 1e-3:  # any hue occurs
        hue = torch.from_numpy(rgb_to_hsv(rows["colour"].numpy())[:, 0])
        colour, names = (6 * hue).round().long() % 6, HUES
    if len(rows["size"].unique()) <= 2:
        size, sizes = (rows["size"] > sum(data.sizes) / 2).long(), ("small", "large")
    else:
        low, high = data.sizes
        size, sizes = (3 * (rows["size"] - low) / (high - low)).long().clamp(0, 2), ("small", "middle", "large")
    return ({"place": 3 * row + column, "kind": rows["kind"], "colour": colour, "size": size},
            {"place": PLACES, "kind": tuple(data.kinds), "colour": names, "size": sizes})

# UMAP's compiler gives OpenMP all cores for the rest of the process. Where other programs use them, t-SNE then takes fifteen times as long.
one_core = threadpool_limits.wrap(1)


@one_core
def project(vectors: Vectors, method: str = "pca", seed: int = 0, neighbours: float | None = None) -> Float32[np.ndarray, "objects 2"]:
    """A map: two numbers for each object; the same for the same seed and versions.

    "pca": the two directions of largest variance, in the units of the vectors (Pearson 1901). "t-sne": near neighbours stay
    near, perplexity 30 (van der Maaten & Hinton 2008). "umap": likewise, with 15 neighbours and minimal distance 0.1 (McInnes et
    al. 2018); equal vectors, as codes often are, count as one there and lie on one point, or they would be each other's only
    neighbours; its first call in a process compiles for some seconds. In the last two neither axes nor distances far apart mean
    anything. neighbours: look at so many instead, as the perplexity of t-SNE or the neighbours of UMAP.
    Raises `BadInput` for another method, fewer than 10 objects, NaN, vectors that are all alike, or fewer than 2 neighbours.
    """
    _check(vectors, method, MAPS, "a map")
    n = len(vectors)
    if neighbours is not None and not 2 <= neighbours < n:
        raise BadInput(f"a map of {n} objects looks at 2 to {n - 1} neighbours, not {neighbours}.")
    if method == "pca":
        found = PCA(2, svd_solver="full").fit_transform(vectors)
    elif method == "t-sne":
        found = TSNE(perplexity=min(30.0, (n - 1) / 3) if neighbours is None else neighbours, init="pca", random_state=seed).fit_transform(vectors)
    else:
        from umap import UMAP  # takes seconds to import, so only if asked for

        different, which = np.unique(vectors, axis=0, return_inverse=True)
        if len(different) <= UMAP_NEIGHBOURS:  # too few for a map of their own
            different, which = vectors, np.arange(n)
        near = min(UMAP_NEIGHBOURS, n - 1) if neighbours is None else int(neighbours)
        found = UMAP(near, min_dist=0.1, init="pca", random_state=seed, n_jobs=1).fit_transform(different)[which.reshape(-1)]
    return np.asarray(found, np.float32)


def make_maps(atlas: Atlas, of: Sequence[str] = ("slots", "codes"), methods: Sequence[str] = tuple(MAPS), seed: int = 0,
              progress: bool = False) -> dict[str, Float32[np.ndarray, "objects 2"]]:
    """Every map of every kind of vectors, by name: "PCA of slots", "t-SNE of slots", … Errors as in `project` and `Atlas.vectors`."""
    vectors = {name: atlas.vectors(name) for name in of}
    for name in vectors:
        for method in methods:
            _check(vectors[name], method, MAPS, "a map")  # before the first of them takes its time
    asked = tqdm([(name, method) for name in vectors for method in methods], desc="maps", unit="map", disable=not progress)
    return {f"{MAPS[method]} of {name}": project(vectors[name], method, seed) for name, method in asked}


@one_core
def cluster(vectors: Vectors, method: str = "k-means", clusters: int = 8, seed: int = 0) -> Labels:
    """The cluster of each object, counted from 0; −1 for what DBSCAN calls noise.

    "k-means": the best of 400/clusters starts, at least 10 (Lloyd 1982): with few clusters one bad start costs much. "hierarchical":
    from the bottom up, Ward's (1963) criterion. Both are told the number of `clusters`. "dbscan" finds it: dense regions within
    `knee_distance`, 5 objects make a core (Ester et al. 1996); equal vectors, as codes often are, count as one there, or all others
    would be noise beside them.
    Raises `BadInput` as `project` does, and for an impossible number of clusters.
    """
    _check(vectors, method, CLUSTERINGS, "a clustering")
    if not 1 <= clusters <= len(vectors):
        raise BadInput(f"{len(vectors)} objects make 1 to {len(vectors)} clusters, not {clusters}.")
    if method == "dbscan":
        different, which = np.unique(vectors, axis=0, return_inverse=True)
        return DBSCAN(eps=knee_distance(different), min_samples=NEIGHBOURS).fit_predict(different)[which.reshape(-1)]
    if method == "hierarchical":
        return AgglomerativeClustering(clusters, linkage="ward").fit_predict(vectors)
    return KMeans(min(clusters, len(np.unique(vectors, axis=0))), n_init=max(STARTS // clusters, 10), random_state=seed).fit_predict(vectors)


def knee_distance(vectors: Vectors, neighbours: int = NEIGHBOURS) -> float:
    """ε for DBSCAN: the knee of the sorted distances from each object to its fourth neighbour (itself not counted).

    The knee is the point farthest below the straight line from the first to the last of them, both axes scaled to
    [0, 1] (Satopää et al. 2011). The vectors must differ.
    """
    nearest = NearestNeighbors(n_neighbors=min(neighbours, len(vectors))).fit(vectors)
    d = np.sort(nearest.kneighbors(vectors)[0][:, -1])
    span = max(d[-1] - d[0], 1e-12)
    return float(d[np.argmax(np.linspace(0, 1, len(d)) - (d - d[0]) / span)])


def score(atlas: Atlas, of: Sequence[str] = ("slots", "codes"), methods: Sequence[str] = CLUSTERINGS, seed: int = 0) -> list[dict]:
    """How well clusters agree with each true factor: a row for each of the vectors × clusterings × factors, with

    vectors, clustering, factor; clusters: how many; noise: the share of objects in none (DBSCAN);
    ari: adjusted Rand index, 1 the same partition and 0 chance (Hubert & Arabie 1985); nmi: 2 I(C; F)/(H(C) + H(F)), from 0 to 1;
    nmi_by_chance: the same of these clusters with the objects exchanged at random, for NMI grows with their number.

    K-means and hierarchical clusters are told the factor's number of values. Noise counts as one more cluster: left out,
    it would flatter whoever clusters only what is easy.
    """
    rows, shuffled = [], np.random.default_rng(seed).permutation(len(atlas))
    for name in of:
        vectors, known = atlas.vectors(name), {}
        for method in methods:
            for factor, number in atlas.factors.items():
                truth, k = number.numpy(), 0 if method == "dbscan" else len(atlas.values[factor])
                if (method, k) not in known:
                    known[method, k] = cluster(vectors, method, max(k, 1), seed)
                found = known[method, k]
                rows.append({"vectors": name, "clustering": method, "factor": factor, "clusters": len(set(found[found >= 0].tolist())),
                             "noise": float((found < 0).mean()), "ari": float(adjusted_rand_score(truth, found)),
                             "nmi": float(normalized_mutual_info_score(truth, found)),
                             "nmi_by_chance": float(normalized_mutual_info_score(truth, found[shuffled]))})
    return rows


def _check(vectors: Vectors, method: str, known: Collection[str], what: str) -> None:
    if method not in known:
        raise BadInput(f"{what} is one of {', '.join(known)}, not {method!r}.")
    if len(vectors) < LEAST:
        raise BadInput(f"{what} needs at least {LEAST} objects, not {len(vectors)}.")
    if not np.isfinite(vectors).all():
        raise BadInput("vectors hold NaN or infinity; the model that made them has diverged.")
    if (vectors == vectors[0]).all():
        raise BadInput(f"{what} needs vectors that differ, and these are all the same: they have collapsed.")
