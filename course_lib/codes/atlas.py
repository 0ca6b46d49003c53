"""The atlas: every object that has a slot of its own, with its slot, its codes and the truth about it; maps of them, clusters
among them, and how well these agree with the truth. scikit-learn and umap-learn do the work."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64, UInt8
from matplotlib.colors import rgb_to_hsv
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from course_lib.codes.svq import SVQ
from course_lib.core.errors import BadInput
from course_lib.slots.autoencoder import SlotAutoencoder
from course_lib.slots.owners import owners
from course_lib.slots.recipe import start_chance
from course_lib.slots.scenes import COLOURS, SceneDataset, Scenes

AT_ONCE = 50  # scenes
HELD = 0.5  # of an object's pixels, that its slot holds at least
LEAST = 10  # objects in an atlas
VECTORS, MAPS, CLUSTERINGS = ("slots", "codes", "factors"), ("pca", "t-sne", "umap"), ("k-means", "dbscan", "hierarchical")
NEIGHBOURS = 5  # the object itself and four more, as in DBSCAN's paper (Ester et al. 1996, sec. 4.2)
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")  # where any hue occurs, each stands for a sixth of the circle
PLACES = tuple(f"{row} {column}" for row in ("upper", "middle", "lower") for column in ("left", "centre", "right"))


@dataclass(frozen=True)
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
    lost: dict[str, float] = field(default_factory=dict)  # shares of visible objects that have no slot of their own

    def __len__(self) -> int:
        return len(self.slots)

    def vectors(self, of: str = "slots") -> Float32[np.ndarray, "objects numbers"]:
        """What is mapped and clustered: "slots", "codes" (the vectors that they stand for) or "factors" (the truth, one-hot:
        two objects that differ in n factors are √(2n) apart). Raises `BadInput` for another name, or no codes."""
        if of not in VECTORS or (of == "codes" and self.quantized is None):
            known = VECTORS if self.quantized is not None else ("slots", "factors")
            raise BadInput(f"vectors of this atlas are {', '.join(known)}, not {of!r}.")
        if of == "factors":
            return torch.cat([F.one_hot(self.factors[name], len(self.values[name])) for name in self.factors], 1).float().numpy()
        return (self.slots if of == "slots" else self.quantized).numpy()

    def words(self, row: int) -> str:
        """What object number `row` is, for example "large red circle, upper left; codes 3 17 250 8"."""
        said = {name: self.values[name][int(number[row])] for name, number in self.factors.items()}
        codes = "" if self.codes is None else "; codes " + " ".join(map(str, self.codes[row].tolist()))
        return f"{said['size']} {said['colour']} {said['kind']}, {said['place']}{codes}"

    def thumbnails(self, rows: Sequence[int], side: int = 24) -> UInt8[Tensor, "some side side 3"]:
        """The objects `rows` cut out of their pictures: squares of one size, as large as the largest object needs."""
        half = 1.1 * float(self.radius.max())
        reach = torch.linspace(-half, half, 2 * side + 1)[1::2]  # the middles of `side` pixels
        y, x = torch.meshgrid(reach, reach, indexing="ij")
        grid = self.position[list(rows), None, None] + torch.stack([x, y], -1)
        found = self.pictures[self.scene[list(rows)]].movedim(-1, 1).float()
        return F.grid_sample(found, grid, mode="nearest", align_corners=False).round().byte().movedim(1, -1)


@torch.no_grad()
def collect(model: SVQ | SlotAutoencoder, data: SceneDataset, scenes: int = 1000, seed: int = 0, progress: bool = False) -> Atlas:
    """The objects of scenes 0 to `scenes` − 1 and what `model` keeps of each.

    An object's slot is the one that holds most of its visible pixels by the last attention, which is what a slot was made
    from. It is the object's own if it holds at least half of them, and most of no other object and not of the background.
    Objects without such a slot are left out; `lost` has the shares that are *merged* with another object, *swallowed* by
    the background's slot, or in *pieces*; one object may be merged and swallowed.

    Factors: place is the ninth of the picture with the centre; kind; colour is one of the eight, or where any hue occurs the
    nearest of six; size is small or large where there are two sizes, else small, middle or large by thirds of their range.
    seed: of the start of the slots. Raises `BadInput` for fewer than 10 objects in the end, and for NaN.
    """
    if scenes < 1:
        raise BadInput(f"an atlas needs at least 1 scene, not {scenes}.")
    device, parts = next(model.parameters()).device, []
    for first in tqdm(range(0, scenes, AT_ONCE), desc="objects", unit="batch", disable=not progress):
        batch = data.batch(range(first, min(first + AT_ONCE, scenes)))
        parts.append(_objects(model, batch, data, device, seed) | {"pictures": (255 * batch["image"]).round().byte().movedim(1, -1)})
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    own, scene = found.pop("own"), torch.arange(scenes)[:, None].expand(found["seen"].shape)
    seen, pictures = found.pop("seen"), found.pop("pictures")
    lost = {name: float(found.pop(name)[seen].double().mean()) for name in ("merged", "swallowed", "pieces")}
    if int(own.sum()) < LEAST:
        raise BadInput(f"an atlas needs at least {LEAST} objects with a slot of their own, and in {scenes} scenes there are "
                       f"{int(own.sum())} of {int(seen.sum())}; take more scenes, or a model whose slots follow the objects.")
    rows = {name: value[own].contiguous() for name, value in found.items()}
    if rows["slots"].isnan().any():
        raise BadInput("slots hold NaN; the model that made them has diverged.")
    named = "colour_index" in batch or type(data)._colour is not SceneDataset._colour and _eight(rows["colour"])
    factors, values = _factors(rows, data, named)
    return Atlas(rows["slots"], rows.get("codes"), rows.get("quantized"), factors, values, scene[own], rows["position"],
                 rows["size"], pictures, lost)
