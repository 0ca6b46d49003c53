"""The atlas: who is in it and as what, maps that repeat, clusters that are there to be found, scores that scikit-learn confirms."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from course_lib.codes.atlas import CLUSTERINGS, HUES, MAPS, PLACES, cluster, collect, knee_distance, make_maps, project, score
from course_lib.codes.quantizer import Quantized
from course_lib.codes.svq import SVQ, Encoded
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput
from course_lib.core.weights import load_pretrained
from course_lib.slots.scenes import COLOURS, MultiDSprites, Shapes


class Seer(SVQ):
    """A model that sees perfectly by colour: slot 1 + c owns the pixels of colour c; slot 0 owns the background.

    Its slots are 3 · (colour as one-hot) and where its pixels lie; codes say the colour, and whether there is any.
    """

    torn = 1  # into so many slots is each object torn

    def encode(self, image, num_slots=None, iterations=None, chance=None):
        paint = torch.cat([torch.zeros(1, 3), torch.tensor(list(COLOURS.values()))])
        owner = torch.cdist(image.movedim(1, -1).flatten(0, 2), paint).argmin(1).view(len(image), *image.shape[2:])
        stripes = torch.arange(image.shape[3]) % self.torn
        masks = F.one_hot(owner * self.torn + stripes * (owner > 0), 9 * self.torn).movedim(-1, 1).float()
        here = torch.linspace(-1, 1, image.shape[3])
        area = masks.sum((2, 3)).clamp(min=1)
        x, y = (masks * here).sum((2, 3)) / area, (masks * here[:, None]).sum((2, 3)) / area
        colour = torch.arange(9 * self.torn).expand(len(image), -1)
        slots = torch.cat([3.0 * F.one_hot(colour, 9 * self.torn), x[..., None], y[..., None]], 2)
        codes = torch.stack([colour, (area > 1).long()], 2)
        nothing = torch.zeros(())
        return Encoded(Quantized(slots.round(), codes, *[nothing] * (len(Quantized._fields) - 2)), slots, masks[:, None])


def seer(torn: int = 1) -> Seer:
    model = Seer(slot_dim=8, codebooks=2, codes=6, channels=4, hidden_dim=8, decoder_dim=8).eval()
    model.torn = torn
    return model


@pytest.fixture(scope="module")
def world():
    return RuleWorld(32, seed=5)


@pytest.fixture(scope="module")
def atlas(world):
    return collect(seer(), world, 60)  # more than one batch


def blobs(n: int = 30, apart: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds of n points in 6 dimensions, and which is which."""
    truth = np.repeat(np.arange(3), n)
    return (np.random.default_rng(0).normal(size=(3 * n, 6)) + apart * np.eye(6)[truth]).astype(np.float32), truth


def purity(places: np.ndarray, truth: np.ndarray) -> float:
    """The share of points whose nearest neighbour on the map is of their own group."""
    away = np.linalg.norm(places[:, None] - places, axis=-1) + 1e9 * np.eye(len(places))
    return float((truth[away.argmin(1)] == truth).mean())


def test_every_object_with_its_slot_its_codes_and_the_truth(atlas, world):
    scenes = world.batch(range(60))
    assert len(atlas) == 180 and atlas.lost == {"merged": 0.0, "pieces": 0.0}
    truth = {"place": "place", "kind": "kind", "colour": "colour_index", "size": "size_index"}
    for name, key in truth.items():
        assert torch.equal(atlas.factors[name], scenes[key].flatten()), name
        assert atlas.factors[name].max() < len(atlas.values[name])
    assert torch.equal(atlas.codes[:, 0] - 1, atlas.factors["colour"]) and atlas.codes[:, 1].eq(1).all()
    assert torch.equal(atlas.slots[:, :9].argmax(1) - 1, atlas.factors["colour"])  # the very slot that holds the object
    assert (atlas.slots[:, 9:] - atlas.position).abs().max() < 0.12  # a triangle's middle is not its circle's
    assert torch.equal(atlas.quantized, atlas.slots.round())
    assert atlas.scene.tolist() == [row // 3 for row in range(180)]
    assert torch.equal(atlas.pictures, (255 * scenes["image"]).round().byte().permute(0, 2, 3, 1))


def test_an_object_in_words(atlas):
    assert repr(atlas) == "Atlas of 180 objects in 60 scenes"
    place, kind, colour, size = (atlas.values[name][int(atlas.factors[name][7])] for name in ("place", "kind", "colour", "size"))
    assert atlas.words(7) == f"{size} {colour} {kind}, {place}, codes {int(atlas.codes[7, 0])} 1"


def test_objects_that_share_a_slot_are_left_out():
    world = RuleWorld(32, colours=3, rule=False, seed=1)
    scenes = world.batch(range(60))
    colour = scenes["colour_index"]
    shared = (colour[:, :, None] == colour[:, None]).sum(2) > 1
    atlas = collect(seer(), world, 60)
    assert 0.3 < shared.double().mean() < 0.8
    assert atlas.lost == {"merged": float(shared.double().mean()), "pieces": 0.0}
    assert torch.equal(atlas.factors["place"], scenes["place"][~shared])
    assert torch.equal(atlas.scene, (~shared).nonzero()[:, 0])


def test_an_object_in_pieces_has_no_slot(world):
    assert len(collect(seer(2), world, 10)) == 30  # one of two slots always has half
    with pytest.raises(BadInput, match="at least 10 objects with slots of their own, and here are 0, of 30 objects"):
        collect(seer(4), world, 10)


@pytest.mark.parametrize(("world", "names", "sizes"), [(Shapes, tuple(COLOURS), ("small", "middle", "large")),
                                                       (MultiDSprites, HUES, ("small", "middle", "large"))])
def test_the_worlds_of_part_two(world, names, sizes):
    data = world(seed=2**40)
    model = load_pretrained("slots_shapes" if world is Shapes else "slots_multi_dsprites")
    atlas, scenes = collect(model, data, 12), data.batch(range(12))
    assert atlas.codes is None and "codes" not in atlas.words(0)
    assert atlas.values == {"place": PLACES, "kind": tuple(data.kinds), "colour": names, "size": sizes}
    for row in range(len(atlas)):  # find the object again by where it is
        scene = int(atlas.scene[row])
        (k,) = [k for k in range(6) if scenes["present"][scene, k] and torch.equal(scenes["position"][scene, k], atlas.position[row])]
        assert int(atlas.factors["kind"][row]) == int(scenes["kind"][scene, k])
        x, y = atlas.position[row].tolist()
        assert PLACES[int(atlas.factors["place"][row])] == (("upper", "middle", "lower")[(y > -1 / 3) + (y > 1 / 3)] + " "
                                                            + ("left", "centre", "right")[(x > -1 / 3) + (x > 1 / 3)])
        low, high = data.sizes
        assert int(atlas.factors["size"][row]) == min(int(3 * (float(scenes["size"][scene, k]) - low) / (high - low)), 2)
        rgb = scenes["colour"][scene, k]
        if world is Shapes:
            assert torch.allclose(torch.tensor(COLOURS[names[int(atlas.factors["colour"][row])]]), rgb)
        else:  # the largest and the smallest of red, green and blue tell the hue's sixth, or its neighbour
            pure = {"red": (0,), "yellow": (0, 1), "green": (1,), "cyan": (1, 2), "blue": (2,), "magenta": (0, 2)}
            assert int(rgb.argmax()) in pure[names[int(atlas.factors["colour"][row])]]


def test_the_start_of_the_slots_is_chosen_by_the_seed():
    model, data = load_pretrained("slots_shapes"), Shapes(seed=2**40)
    same, again, other = (collect(model, data, 6, seed=seed).slots for seed in (0, 0, 1))
    assert torch.equal(same, again) and not torch.equal(same, other[: len(same)])


def test_an_object_is_where_the_atlas_says(atlas):
    side = atlas.pictures.shape[1]
    x, y = ((atlas.position + 1) / 2 * side).long().unbind(1)
    paint = (255 * torch.tensor(list(COLOURS.values()))).round().byte()
    assert torch.equal(atlas.pictures[atlas.scene, y, x], paint[atlas.factors["colour"]])


def test_vectors(atlas):
    assert np.array_equal(atlas.vectors(), atlas.slots.numpy()) and np.array_equal(atlas.vectors("codes"), atlas.quantized.numpy())
    truth = atlas.vectors("factors")
    assert truth.shape == (180, 9 + 3 + 8 + 2) and (truth.sum(1) == 4).all()
    differ = sum(int(number[0] != number[1]) for number in atlas.factors.values())
    assert np.linalg.norm(truth[0] - truth[1]) == pytest.approx(math.sqrt(2 * differ))


@pytest.mark.parametrize("method", MAPS)
def test_maps_repeat_and_keep_groups_apart(method):
    vectors, truth = blobs()
    places = project(vectors, method, seed=3)
    assert places.shape == (90, 2) and np.isfinite(places).all()
    assert np.array_equal(places, project(vectors, method, seed=3))
    assert purity(places, truth) == 1.0
    if method == "umap":
        assert not np.array_equal(places, project(vectors, method, seed=4))
    if method == "pca":  # the first two right singular vectors, up to sign
        centred = vectors - vectors.mean(0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        np.testing.assert_allclose(np.abs(places), np.abs(u[:, :2] * s[:2]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", MAPS)
def test_maps_of_few_and_of_equal_objects(method):
    vectors = np.repeat(blobs()[0][::9], 2, 0)[:14]
    assert np.isfinite(project(vectors, method)).all()


def test_equal_vectors_are_one_point_of_umap():
    vectors, truth = blobs()
    often = np.arange(90) % 20 + 1
    places = project(np.repeat(vectors, often, 0), "umap")
    assert len(np.unique(places, axis=0)) == 90 and purity(places[np.cumsum(often) - 1], truth) == 1.0


def test_a_map_may_look_at_fewer_neighbours():
    vectors, _ = blobs()
    for method in ("t-sne", "umap"):
        near = project(vectors, method, neighbours=3)
        assert np.isfinite(near).all() and not np.allclose(near, project(vectors, method))


def test_an_object_in_the_slot_of_the_background_is_swallowed(world):
    class Blind(Seer):
        """Red objects lie in the slot of the background."""

        def encode(self, image, num_slots=None, iterations=None, chance=None):
            seen = super().encode(image)
            masks = seen.attention[:, 0].clone()
            masks[:, 0] += masks[:, 1]
            masks[:, 1] = 0
            return Encoded(seen.codes, seen.slots, masks[:, None])

    model = Blind(slot_dim=8, codebooks=2, codes=6, channels=4, hidden_dim=8, decoder_dim=8).eval()
    atlas = collect(model, world, 60)
    assert torch.equal(atlas.swallowed, atlas.factors["colour"] == 0) and atlas.swallowed.any()


def test_all_maps_by_name(atlas):
    maps = make_maps(atlas, ("slots", "factors"), ("pca",))
    assert list(maps) == ["PCA of slots", "PCA of factors"]
    assert np.array_equal(maps["PCA of slots"], project(atlas.vectors(), "pca"))


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_clusters_that_are_there_are_found(method):
    vectors, truth = blobs()
    found = cluster(vectors, method, 3)
    pairs = set(zip(found.tolist(), truth.tolist()))
    if method == "dbscan":  # its rim is noise, and it was not told that there are three
        assert (found < 0).mean() < 0.25
        pairs = {pair for pair in pairs if pair[0] >= 0}
    assert len(pairs) == 3
    assert np.array_equal(found, cluster(vectors, method, 3))


def test_an_outlier_is_noise():
    vectors, _ = blobs()
    assert cluster(np.concatenate([vectors, np.full((1, 6), 99, np.float32)]), "dbscan")[-1] == -1


def test_the_knee():
    """A line of points one apart but for a few: the knee of the distances is that of the line."""
    x = np.concatenate([np.arange(200.0), 1000 + 50 * np.arange(8.0)]).astype(np.float32)[:, None]
    assert 2 <= knee_distance(x) <= 4  # the fourth neighbour is 2 away, at the ends up to 4


def test_equal_vectors_count_once_in_dbscan():
    vectors, truth = blobs()
    found = cluster(vectors, "dbscan")
    assert np.array_equal(cluster(np.repeat(vectors, np.arange(90) % 8 + 1, 0), "dbscan") < 0, np.repeat(found < 0, np.arange(90) % 8 + 1))
    assert set(cluster(np.repeat(vectors[:2], 10, 0), "dbscan").tolist()) == {-1}  # two points make no cluster


def test_scores_find_what_the_slots_tell(atlas):
    rows = score(atlas, ("slots", "factors"))
    assert len(rows) == 2 * 3 * 4
    found = {(row["vectors"], row["clustering"], row["factor"]): row for row in rows}
    for method in ("k-means", "hierarchical"):  # many slots are equal, so DBSCAN's knee is a small distance: it sees places
        row = found["slots", method, "colour"]
        assert row["ari"] > 0.95 and row["nmi"] > 0.95 and row["clusters"] == 8 and row["nmi_by_chance"] < 0.2
        assert abs(found["slots", method, "size"]["ari"]) < 0.1
    assert found["slots", "k-means", "kind"]["clusters"] == 3 and found["slots", "k-means", "size"]["clusters"] == 2
    assert all((row["noise"] == 0) or row["clustering"] == "dbscan" for row in rows)


def test_noise_counts_as_one_cluster(atlas, monkeypatch):
    from course_lib.codes import atlas as module

    half = np.where(atlas.factors["colour"].numpy() < 4, atlas.factors["colour"].numpy(), -1)
    monkeypatch.setattr(module, "cluster", lambda *_: half)
    row = next(row for row in score(atlas, ("slots",), ("dbscan",)) if row["factor"] == "colour")
    assert row["clusters"] == 4 and row["noise"] == pytest.approx((half < 0).mean())
    assert row["ari"] < 0.9 and 0 < row["nmi"] < 0.95  # not the 1 of the clustered ones alone


FEW, SAME, WRONG = (np.zeros((9, 2), np.float32), np.ones((20, 3), np.float32), np.full((20, 3), np.nan, np.float32))
FINE = blobs()[0]


@pytest.mark.parametrize(("call", "words"), [
    (lambda: project(FINE, "pcb"), "a map is one of pca, t-sne, umap, not 'pcb'"),
    (lambda: project(FEW), "a map needs at least 10 objects, not 9"),
    (lambda: project(SAME), "all the same: they have collapsed"),
    (lambda: project(WRONG), "NaN or infinity"),
    (lambda: project(FINE, "t-sne", neighbours=1), "a map of 90 objects looks at 2 to 89 neighbours, not 1"),
    (lambda: cluster(FINE, "kmeans"), "a clustering is one of k-means, dbscan, hierarchical, not 'kmeans'"),
    (lambda: cluster(FINE, clusters=0), "90 objects make 1 to 90 clusters, not 0"),
    (lambda: cluster(SAME, "dbscan"), "collapsed"),
    (lambda: collect(seer(), RuleWorld(32), 0), "at least 1 scene, not 0"),
    (lambda: collect(seer(), RuleWorld(32), 2), "at least 10 objects with slots of their own, and here are 6, of 6 objects"),
])
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(BadInput, match=words) as raised:
        call()
    assert str(raised.value).count("\n") == 0 and str(raised.value).endswith(".")


def test_vectors_that_are_not_there(atlas):
    with pytest.raises(BadInput, match="are slots, codes, factors, not 'colours'"):
        atlas.vectors("colours")
    with pytest.raises(BadInput, match="are slots, factors, not 'codes'"):
        collect(load_pretrained("slots_shapes"), Shapes(), 6).vectors("codes")


def test_slots_that_are_nan():
    model = load_pretrained("slots_shapes")
    with torch.no_grad():
        next(model.attention.parameters()).fill_(torch.nan)
    with pytest.raises(BadInput, match="NaN"):
        collect(model, Shapes(), 6)
