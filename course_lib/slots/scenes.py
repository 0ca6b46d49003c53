"""The data of Part II: pictures of a few flat objects, drawn on the fly, with the truth about every pixel.

Scene number i of a data set follows from (seed, i) alone: the same picture in any batch, order, process or resolution.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import torch
from matplotlib.colors import hsv_to_rgb
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.utils import make_grid, save_image

from course_lib.core.errors import BadInput
from course_lib.core.paths import atomic

Scenes = dict[str, Tensor]  # a batch; see `SceneDataset`
Inside = Callable[[Tensor, Tensor], Tensor]

COLOURS = {"red": (0.89, 0.10, 0.11), "orange": (1.0, 0.55, 0.0), "yellow": (1.0, 0.92, 0.2), "green": (0.2, 0.68, 0.25),
           "cyan": (0.1, 0.85, 0.85), "blue": (0.15, 0.35, 0.9), "purple": (0.6, 0.2, 0.75), "pink": (1.0, 0.6, 0.8)}
# Is the point (u, v) inside? The unit circle just holds every kind; v points down, as rows do.
SHAPES: dict[str, Inside] = {
    "circle": lambda u, v: u.square() + v.square() <= 1,
    "square": lambda u, v: torch.maximum(u.abs(), v.abs()) <= 0.5**0.5,
    "triangle": lambda u, v: torch.maximum(3**0.5 * u.abs() - v, 2 * v) <= 1,
}
SPRITES: dict[str, Inside] = {
    "square": SHAPES["square"],
    "ellipse": lambda u, v: u.square() + (v / 0.6).square() <= 1,
    "heart": lambda u, v: ((1.2 * u).square() + (0.1 - 1.2 * v).square() - 1) ** 3
    <= (1.2 * u).square() * (0.1 - 1.2 * v) ** 3,
}
GAP = 0.06  # between objects that may not touch: about 2 of 64 pixels
CANDIDATES, ATTEMPTS = 16, 200  # places tried for an object, and draws of the whole scene


class Batched(Dataset):
    """Data that come as whole batches, from `batch(indices)`; one scene is a batch of one. `samples` are in an epoch."""

    samples: int

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> Scenes:
        if not -len(self) <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        return {name: value[0] for name, value in self.batch([index % len(self)]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Scenes:
        return self.batch(indices)


class SceneDataset(Batched):
    """Scenes of min_objects to max_objects objects in front of one background. A batch is a dict of tensors:

    image     float (batch, 3, height, width) in [0, 1]
    ids       uint8 (batch, height, width): 0 background, k = object k; exact, visible pixels only
    present   bool (batch, objects): the rows below hold max_objects objects, of which this many are there
    kind      int (batch, objects): index into `kinds`
    colour    float (batch, objects, 3): RGB in [0, 1]
    number    int (batch,): the scene's number in the data set
    position  float (batch, objects, 2): centre, x to the right and y down; the picture is [−1, 1]²
    size      float (batch, objects): radius of the circle around the object, in the same unit
    angle     float (batch, objects): rotation in radians
    way       float (batch, objects): where `motion` takes it, in turns
    visible   float (batch, objects): share of its pixels that nothing hides; later objects are in front

    Every number from 0 on is a scene; `samples` is what one epoch takes (see `course_lib.core.randomness.batches`).
    At the default sizes an object is at least 8 of 64 pixels across.
    Raises `BadInput` for impossible numbers, or when so many objects do not fit.
    """

    endless = True
    kinds: dict[str, Inside]
    sizes: tuple[float, float]
    spacing: float  # least distance of two centres in units of the sum of their radii; below 1 objects may overlap
    turn: bool  # whether objects are rotated

    def __init__(self, resolution: int = 64, min_objects: int = 2, max_objects: int = 6, samples: int = 20_000, seed: int = 0):
        if resolution < 16:
            raise BadInput(f"resolution must be at least 16 pixels, not {resolution}: objects would be smaller than 2 pixels.")
        if not 1 <= min_objects <= max_objects <= 20:
            raise BadInput(f"the number of objects must satisfy 1 ≤ min_objects ≤ max_objects ≤ 20, not {min_objects} and {max_objects}.")
        if samples < 1 or seed < 0:
            raise BadInput(f"samples must be at least 1 and seed at least 0, not {samples} and {seed}.")
        self.resolution, self.min_objects, self.max_objects = resolution, min_objects, max_objects
        self.samples, self.seed = samples, seed

    def batch(self, indices: Sequence[int], motion: float | int = 0) -> Scenes:
        """The scenes of these numbers; with `motion`, the same scenes with every object moved that far, each its own way."""
        scenes = self._factors(indices)
        if motion:
            way = 2 * torch.pi * scenes["way"]
            scenes["position"] = scenes["position"] + motion * torch.stack([way.cos(), way.sin()], -1)
        return self.draw(scenes)

    def draw(self, scenes: Scenes) -> Scenes:
        """Add `image`, `ids` and `visible` to factors and `background` (batch, 3): a scene can be edited and drawn again."""
        n, px = self.resolution, self.resolution
        centre = (torch.arange(n) + 0.5) / (n / 2) - 1  # of pixels
        size, position = scenes["size"][..., None, None], scenes["position"][..., None, None]
        dx, dy = (centre - position[:, :, 0]) / size, (centre[:, None] - position[:, :, 1]) / size  # (b, objects, 1, w) (b, objects, h, 1)
        cos, sin = scenes["angle"].cos()[..., None, None], scenes["angle"].sin()[..., None, None]
        u, v = (cos * dx + sin * dy, cos * dy - sin * dx) if self.turn else (dx.expand(-1, -1, px, -1), dy.expand(-1, -1, -1, px))
        cover = torch.zeros(u.shape, dtype=torch.bool)
        for index, inside in enumerate(self.kinds.values()):
            chosen = scenes["kind"] == index
            cover[chosen] = inside(u[chosen], v[chosen])
        cover &= scenes["present"][..., None, None]
        number = torch.arange(1, cover.shape[1] + 1, dtype=torch.uint8)[:, None, None]
        ids = (cover * number).amax(1)
        area, seen = cover.sum((2, 3)), (ids[:, None] == number).sum((2, 3))
        colours = torch.cat([scenes["background"][:, None], scenes["colour"]], 1)
        image = torch.gather(colours, 1, ids.flatten(1).long()[..., None].expand(-1, -1, 3))
        image = image.transpose(1, 2).reshape(-1, 3, px, px)
        return scenes | {"image": image, "ids": ids, "visible": seen / area.clamp(min=1)}

    def _factors(self, indices: Sequence[int]) -> Scenes:
        """Draw all that decides the scenes, with the few that could not be placed drawn again."""
        indices = np.asarray(indices, np.int64)
        if not len(indices) or indices.min() < 0:
            raise BadInput("scenes are numbered from 0 on; ask for at least one of them.")
        drawn: dict[str, np.ndarray] = {}
        left = np.arange(len(indices))
        for attempt in range(ATTEMPTS):
            factors, fits = self._attempt(indices[left], attempt)
            for name, value in factors.items():
                drawn.setdefault(name, np.empty((len(indices), *value.shape[1:]), value.dtype))[left] = value
            left = left[~fits]
            if not len(left):
                return {name: torch.from_numpy(value) for name, value in drawn.items()}
        raise BadInput(f"{self.max_objects} objects of radius {self.sizes[0]} to {self.sizes[1]} do not fit into a picture; use fewer.")

    def _attempt(self, indices: np.ndarray, attempt: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        many, n = len(indices), self.max_objects
        draws = np.stack([np.random.Generator(np.random.Philox(key=[self.seed, index], counter=[0, 0, 0, attempt])).random(
            5 + n * (7 + 2 * CANDIDATES)) for index in indices])
        scene, each = draws[:, :5], draws[:, 5:].reshape(many, n, -1)
        count = self.min_objects + (scene[:, 0] * (self.max_objects - self.min_objects + 1)).astype(int)
        present = np.arange(n) < count[:, None]
        size = self.sizes[0] + each[..., 0] * (self.sizes[1] - self.sizes[0])
        position, fits = self._place(each[..., 7:].reshape(many, n, CANDIDATES, 2), size, present)
        factors = {"present": present, "kind": (each[..., 1] * len(self.kinds)).astype(np.int64), "size": size,
                   "angle": 2 * np.pi * each[..., 2] * self.turn, "way": each[..., 3], "number": indices, "colour": self._colour(each[..., 4:7]),
                   "position": position, "background": self._background(scene[:, 1:4])}
        return {key: value.astype(np.float32) if value.dtype == float else value for key, value in factors.items()}, fits

    def _place(self, unit: np.ndarray, size: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give each object the first of its candidate places that is far enough from the objects before it."""
        places = (2 * unit - 1) * (1 - size[..., None, None])  # the whole object lies inside the picture
        position, fits = places[:, :, 0].copy(), np.ones(len(unit), bool)
        for k in range(1, unit.shape[1]):
            away = np.linalg.norm(places[:, k, :, None] - position[:, None, :k], axis=-1)  # (scenes, candidates, earlier)
            need = self.spacing * (size[:, k, None] + size[:, :k]) + GAP * (self.spacing >= 1)
            free = (away >= need[:, None]).all(-1)
            position[:, k] = places[np.arange(len(unit)), k, free.argmax(-1)]
            fits &= free.any(-1) | ~present[:, k]
        return position, fits

    def _colour(self, unit: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _background(self, unit: np.ndarray) -> np.ndarray:
        """A grey that differs from scene to scene, so that it takes part of a slot to know it."""
        return np.repeat(0.35 * unit[:, :1], 3, axis=1)


class Shapes(SceneDataset):
    """Circles, squares and triangles in eight colours, upright, apart from one another; colours may repeat in a scene."""

    kinds, sizes, spacing, turn = SHAPES, (0.18, 0.28), 1.0, False

    def _colour(self, unit: np.ndarray) -> np.ndarray:
        return np.array(list(COLOURS.values()))[(unit[..., 0] * len(COLOURS)).astype(int)]


class MultiDSprites(SceneDataset):
    """Squares, ellipses and hearts of any hue, turned and scaled, partly hiding one another.

    background: "grey" (a shade that differs from scene to scene) or "coloured". Like DeepMind's Multi-dSprites
    (multi_object_datasets, 2019), not the same files: figures on the two are not the same figures.
    """

    kinds, sizes, spacing, turn = SPRITES, (0.21, 0.36), 0.55, True

    def __init__(self, *args, background: str = "grey", **kwargs):
        if background not in ("grey", "coloured"):
            raise BadInput(f"background must be grey or coloured, not {background!r}.")
        super().__init__(*args, **kwargs)
        self.background = background

    def _colour(self, unit: np.ndarray) -> np.ndarray:
        return hsv_to_rgb(np.stack([unit[..., 0], 0.4 + 0.6 * unit[..., 1], 0.6 + 0.4 * unit[..., 2]], -1))

    def _background(self, unit: np.ndarray) -> np.ndarray:
        if self.background == "grey":
            return super()._background(unit)
        return hsv_to_rgb(np.stack([unit[:, 0], 0.3 + 0.7 * unit[:, 1], 0.1 + 0.35 * unit[:, 2]], -1))


def start_chance(scenes: Scenes, seed: int = 0) -> list[torch.Generator]:
    """A generator for each scene that follows from its number and the seed alone: however many processes share a batch, a
    scene's slots start alike. Training takes its step as the seed, so a scene shown again starts anew."""
    return [torch.Generator().manual_seed(number + seed) for number in scenes["number"].tolist()]


def main(arguments: list[str] | None = None) -> None:
    """Write a sample sheet: 8 scenes of each data set, and below them the objects' numbers as shades."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.slots.scenes", description=main.__doc__)
    parser.add_argument("path", nargs="?", default="slots_scenes.png", help="the PNG to write (default: %(default)s)")
    path = parser.parse_args(arguments).path
    rows = []
    for world in (Shapes(), MultiDSprites(), MultiDSprites(background="coloured")):
        scenes = world.batch(range(8))
        rows += [scenes["image"], (scenes["ids"][:, None] / world.max_objects).expand(-1, 3, -1, -1)]
    with atomic(path) as file:
        save_image(make_grid(torch.cat(rows), nrow=8), file, format="png")
    print(path)


if __name__ == "__main__":
    main()
