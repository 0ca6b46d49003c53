"""The rule world, the data of Part III: three objects on a grid of places, all of different colours.

Everything in it is listed (places, kinds, colours, sizes), so its scenes can be counted, and a generated picture can be
read back and judged. The pictures are those of `slots.scenes`; scene number i follows from (seed, i) alone, as there.
"""

import math
from functools import cached_property
from itertools import combinations, permutations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.slots.scenes import COLOURS, SHAPES, SceneDataset, Scenes

CELL = 0.625  # the side of a place, where the picture is 2: 20 of 64 pixels, so that 3 places and a rim of 2 pixels fill it
BACKGROUND = 0.0  # black in all scenes: so all eight colours stand out
States = Int64[Tensor, "batch places"]


class RuleWorld(SceneDataset):
    """Scenes of `objects` objects on different places of a grid, drawn uniformly from all that obey the rule.

    The rule: all colours are different. With `rule=False` colours are independent and the rule is often broken.
    Each object has a kind, one of the first `colours` of the eight colours, and a size; places are numbered row by row,
    and the objects of a scene come in this order. A batch is that of `SceneDataset`, and with it

    place, colour_index, size_index    int (batch, objects): which of the places, of `COLOURS`, of `sizes`

    *States* (batch, places) are a scene without an order: for each place 0 if it is empty, else
    1 + (kind · colours + colour) · sizes + size. Objects do not touch: two large neighbours are 2 of 64 pixels apart.
    Raises `BadInput` for impossible numbers, and for a resolution in which a place is not a whole number of pixels.
    """

    kinds, sizes, turn = SHAPES, (0.18, 0.28), False  # the smallest and the largest objects of `Shapes`
    side = 3  # places in a row and in a column

    def __init__(self, resolution: int = 64, objects: int = 3, colours: int = len(COLOURS), samples: int = 20_000, seed: int = 0,
                 rule: bool = True):
        if resolution % 32:
            raise BadInput(f"resolution must be a multiple of 32, not {resolution}: else a place is no whole number of pixels.")
        if not 1 <= objects <= min(self.side**2, colours) or colours > len(COLOURS):
            raise BadInput(f"a scene has 1 to {self.side**2} objects and at least as many of the {len(COLOURS)} colours to choose from, "
                           f"not {objects} objects and {colours} colours.")
        super().__init__(resolution, objects, objects, samples, seed)
        self.colours, self.rule, self.places = colours, rule, self.side**2
        self.values = len(self.kinds) * colours * len(self.sizes)  # what an object can be
        self._where = np.array(list(combinations(range(self.places), objects)))
        self._paint = np.array(list(permutations(range(colours), objects)))

    @property
    def scenes(self) -> int:
        """How many scenes there are, as sets of objects: C(places, n) · colours!/(colours − n)! · (kinds · sizes)ⁿ.

        Without the rule coloursⁿ stands in the middle.
        """
        n = self.max_objects
        paint = math.perm(self.colours, n) if self.rule else self.colours**n
        return math.comb(self.places, n) * paint * (len(self.kinds) * len(self.sizes)) ** n

    @property
    def entropy(self) -> float:
        """Of one scene, in nats: ln `scenes`, as all are equally likely."""
        return math.log(self.scenes)

    @property
    def lawful_by_chance(self) -> float:
        """The share of scenes with independent colours that obey the rule: colours!/(colours − n)! / coloursⁿ."""
        return math.perm(self.colours, self.max_objects) / self.colours**self.max_objects

    def seen_by_chance(self, n: int) -> float:
        """How probable it is that a new scene is among n earlier ones, drawn alike: 1 − (1 − 1/scenes)ⁿ."""
        return -math.expm1(n * math.log1p(-1 / self.scenes)) if self.scenes > 1 else float(n > 0)

    def obeys(self, states: States) -> Bool[Tensor, "batch"]:
        """The rule: as many objects as the world has, and no two of one colour."""
        found = self.objects(states)
        same = found["colour"][:, :, None] == found["colour"][:, None]
        twins = (same & found["present"][:, :, None] & found["present"][:, None]).triu(1)
        return (found["present"].sum(1) == self.max_objects) & ~twins.any(2).any(1)

    def objects(self, states: States) -> dict[str, Tensor]:
        """`present`, and the numbers of `kind`, `colour` and `size`, each (batch, places); −1 where there is no object."""
        value = states - 1
        found = {"kind": value // (self.colours * len(self.sizes)), "colour": value // len(self.sizes) % self.colours,
                 "size": value % len(self.sizes)}
        return {"present": states > 0} | {name: torch.where(states > 0, number, -1) for name, number in found.items()}

    def states(self, scenes: Scenes) -> States:
        """A batch of scenes without the order of their objects."""
        value = 1 + (scenes["kind"] * self.colours + scenes["colour_index"]) * len(self.sizes) + scenes["size_index"]
        return torch.zeros(len(value), self.places, dtype=torch.int64).scatter(1, scenes["place"], value)

    def first(self, n: int) -> States:
        """The scenes 0 to n − 1, without pictures: the first n that a training with this seed sees."""
        return self.states(self._factors(range(n)))

    def key(self, states: States) -> Int64[Tensor, "batch"]:
        """One number for a scene, another for every other: the states are its digits."""
        return (states * (self.values + 1) ** torch.arange(self.places, device=states.device)).sum(1)

    def compose(self, states: States) -> Scenes:
        """Draw any scenes, lawful or not, with one row per place where others have one per object."""
        found = {name: value.clamp(min=0) for name, value in self.objects(states).items()}
        place = torch.arange(self.places).expand(len(states), -1)
        factors = self._grid(place.numpy(), found["kind"].numpy(), found["colour"].numpy(), found["size"].numpy())
        scenes = {name: torch.from_numpy(value) for name, value in factors.items()}
        return self.draw(scenes | {"present": states > 0})

    @cached_property
    def templates(self) -> Float[Tensor, "states 3 cell cell"]:
        """What a place looks like in each of its states, at this resolution; the same at every place."""
        states = torch.zeros(self.values + 1, self.places, dtype=torch.int64)
        states[:, 0] = torch.arange(self.values + 1)
        cell = round(CELL / 2 * self.resolution)
        rim = (self.resolution - self.side * cell) // 2
        return self.compose(states)["image"][:, :, rim:rim + cell, rim:rim + cell].clone()

    def _attempt(self, indices: np.ndarray, attempt: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        many, n = len(indices), self.max_objects
        draws = np.stack([np.random.Generator(np.random.Philox(key=[self.seed, index], counter=[0, 0, 0, attempt])).random(
            2 + n * 3) for index in indices])
        where = (draws[:, 0] * len(self._where)).astype(int)
        if self.rule:
            paint = self._paint[(draws[:, 1] * len(self._paint)).astype(int)]
        else:
            paint = np.stack(np.unravel_index((draws[:, 1] * self.colours**n).astype(int), (self.colours,) * n), -1)
        each = draws[:, 2:].reshape(many, n, 3)
        kind, size = ((each[..., k] * len(values)).astype(int) for k, values in enumerate((self.kinds, self.sizes)))
        factors = self._grid(self._where[where], kind, paint, size)
        return factors | {"way": each[..., 2].astype(np.float32), "number": indices}, np.ones(many, bool)

    def _grid(self, place: np.ndarray, kind: np.ndarray, colour: np.ndarray, size: np.ndarray) -> dict[str, np.ndarray]:
        """The factors that `draw` needs, from numbers (batch, objects)."""
        row, column = np.divmod(place, self.side)
        centre = CELL * (np.stack([column, row], -1) - (self.side - 1) / 2)
        factors = {"place": place, "kind": kind, "colour_index": colour, "size_index": size, "position": centre,
                   "present": np.ones(place.shape, bool), "size": np.array(self.sizes)[size], "angle": np.zeros(place.shape),
                   "colour": np.array(list(COLOURS.values()))[colour], "background": np.full((len(place), 3), BACKGROUND)}
        return {name: value.astype(np.float32) if value.dtype == float else value for name, value in factors.items()}
