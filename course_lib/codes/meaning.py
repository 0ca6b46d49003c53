"""What codes mean in the rule world: a table of objects with their codes and the truth, and for every code what it most often says."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor
from tqdm.auto import tqdm

from course_lib.codes.metrics import factor_information
from course_lib.codes.svq import SVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput
from course_lib.slots.owners import owners
from course_lib.slots.scenes import COLOURS, start_chance

FACTORS = ("size", "colour", "kind", "row", "column")  # in the order in which they are said
SIZES, ROWS, COLUMNS = ("small", "large"), ("upper", "middle", "lower"), ("left", "centre", "right")
AT_ONCE, HELD = 50, 0.5  # scenes encoded together; share of an object's pixels that its slot holds at least
SURE = 0.8  # a code means a value, or one of a few values, if so many of its objects have it
Meaning = tuple[tuple[int, ...], ...]  # for each of `FACTORS` the numbers of the values that a code stands for


@dataclass(frozen=True)
class Objects:
    """A row for every object that has a slot of its own; see `collect_objects`."""

    codes: Int64[Tensor, "objects codebooks"]
    factors: dict[str, Int64[Tensor, "objects"]]  # `FACTORS` by the numbers of their values, and `place` = 3 · row + column
    scene: Int64[Tensor, "objects"]  # row of `scenes` and `states`
    slot: Int64[Tensor, "objects"]  # which of the scene's slots it is
    scenes: Int64[Tensor, "scenes slots codebooks"]  # all codes of every scene
    states: Int64[Tensor, "scenes places"]  # what the scenes are, see `RuleWorld`
    sizes: tuple[int, ...]  # how many values each of `FACTORS` has
    lost: float  # share of the objects without a slot of their own

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def which(self) -> Int64[Tensor, "objects"]:
        """One number for each thing that an object can be, its place included: 0 to 431 in the course's rule world."""
        number = torch.zeros(len(self), dtype=torch.int64)
        for name, size in zip(FACTORS, self.sizes):
            number = number * size + self.factors[name]
        return number


@torch.no_grad()
def collect_objects(model: SVQ, world: RuleWorld, scenes: int = 7000, seed: int = 0, progress: bool = False) -> Objects:
    """The objects of scenes 0 to `scenes` − 1 of a rule world, each with its slot and the codes of that slot.

    The slot is the one that took most of the object's inputs in the last attention, out of which the codes were made. It is the
    object's own if it holds at least half of them and is the slot of no other object. What it holds of the black background, of
    which there is nothing to say, does not matter. Objects without a slot of their own are left out and counted in `lost`.
    seed: of the start of the slots. Raises `BadInput` for no scenes, and if no object has a slot of its own.
    """
    if scenes < 1:
        raise BadInput(f"a table of objects needs at least 1 scene, not {scenes}.")
    device, parts = next(model.parameters()).device, []
    for first in tqdm(range(0, scenes, AT_ONCE), desc="objects", unit="batch", disable=not progress):
        batch = world.batch(range(first, min(first + AT_ONCE, scenes)))
        encoded = model.encode(batch["image"].to(device), chance=start_chance(batch, seed))
        owner, share, _ = owners(batch["ids"], encoded.attention[:, -1].cpu())
        parts.append({"codes": encoded.codes.indices.cpu(), "slot": owner[:, 1:], "share": share[:, 1:], "states": world.states(batch),
                      "size": batch["size_index"], "colour": batch["colour_index"], "kind": batch["kind"], "place": batch["place"]})
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    alone = (found["slot"][:, :, None] == found["slot"][:, None]).sum(2) == 1
    own = alone & (found["share"] >= HELD)
    if not own.any():
        raise BadInput(f"none of the objects of {scenes} scenes has a slot of its own; take a model whose slots follow the objects.")
    scene = own.nonzero()[:, 0]
    factors = {name: found[name][own] for name in ("size", "colour", "kind", "place")}
    factors |= {"row": factors["place"] // world.side, "column": factors["place"] % world.side}
    sizes = (len(world.sizes), world.colours, len(world.kinds), world.side, world.side)
    return Objects(found["codes"][scene, found["slot"][own]], factors, scene, found["slot"][own], found["codes"], found["states"],
                   sizes, 1 - float(own.double().mean()))


def information(objects: Objects, names: Sequence[str] = (*FACTORS, "place"), least: int | None = None) -> dict[str, Tensor]:
    """`factor_information` of the table: what each codebook tells about the named factors, each by itself."""
    limit = {} if least is None else {"least": least}
    return factor_information(objects.codes, {name: objects.factors[name] for name in names}, **limit)


@dataclass(frozen=True)
class Dictionary:
    """For every code of every codebook: how many objects have it, and how many of them have each value of each of `FACTORS`."""

    uses: Int64[Tensor, "codebooks codes"]
    counts: tuple[Int64[Tensor, "codebooks codes _"], ...]  # one table a factor, with a column for each of its values

    def says(self, codebook: int, code: int, sure: float = SURE) -> str:
        """What a code means, as words: "small red square, upper left", or "red/pink circle" where it may be either."""
        return in_words(self.meaning(codebook, code, sure))

    def meaning(self, codebook: int, code: int, sure: float = SURE) -> Meaning:
        """For each of `FACTORS` the fewest values that together at least `sure` of the code's objects have; none, (), if these are
        more than half of all its values, for then the code says little about it."""
        return tuple(_fewest(table[codebook, code], sure) for table in self.counts)

    def entries(self, codebook: int, sure: float = SURE, least: int = 1) -> dict[Meaning, list[int]]:
        """All meanings that occur, each with its codes, the most used first: the codes of one meaning are *synonyms*.

        Meanings stand in the order of their values, what is not said last; the factor comes first that the codebook tells
        most often. Only codes of at least `least` objects count. Raises `BadInput` if there is none, and for a codebook that is not there.
        """
        if not 0 <= codebook < len(self.uses):
            raise BadInput(f"there are codebooks 0 to {len(self.uses) - 1}, not {codebook}.")
        uses = self.uses[codebook]
        used = [code for code in uses.argsort(descending=True, stable=True).tolist() if uses[code] >= max(least, 1)]
        if not used:
            raise BadInput(f"no code of codebook {codebook + 1} has {least} objects; collect more scenes.")
        found: dict[Meaning, list[int]] = {}
        for code in used:
            found.setdefault(self.meaning(codebook, code, sure), []).append(code)
        told = [sum(int(uses[codes].sum()) for meaning, codes in found.items() if meaning[factor]) for factor in range(len(FACTORS))]
        order = sorted(range(len(FACTORS)), key=lambda factor: -told[factor])
        return dict(sorted(found.items(), key=lambda entry: [(not entry[0][factor], entry[0][factor]) for factor in order]))


def look_up(objects: Objects, codes: int = 512) -> Dictionary:
    """Count the values of every factor among the objects of every code. codes: the size of a codebook."""
    if int(objects.codes.max()) >= codes:
        raise BadInput(f"the objects have code {int(objects.codes.max())}, a codebook of {codes} has codes 0 to {codes - 1} only.")
    books = objects.codes.shape[1]
    row = objects.codes + codes * torch.arange(books)  # (objects, codebooks)
    tables = []
    for name, size in zip(FACTORS, objects.sizes):
        pair = row * size + objects.factors[name][:, None]
        tables.append(torch.bincount(pair.flatten(), minlength=books * codes * size).view(books, codes, size))
    return Dictionary(tables[0].sum(2), tuple(tables))


def _fewest(counts: Int64[Tensor, "values"], sure: float) -> tuple[int, ...]:
    most, order = counts.sort(descending=True, stable=True)
    if not most[0]:
        return ()
    enough = int((most.cumsum(0) < sure * most.sum()).sum()) + 1
    return tuple(sorted(order[:enough].tolist())) if 2 * enough <= len(counts) else ()


def in_words(meaning: Meaning) -> str:
    """A meaning as words: ((0,), (0,), (1,), (0,), ()) is "small red square, upper row"; "no clear meaning" if nothing is said."""
    size, colour, kind, row, column = ("/".join(names[number] for number in numbers) for numbers, names in zip(
        meaning, (SIZES, list(COLOURS), list(RuleWorld.kinds), ROWS, COLUMNS)))
    where = " ".join(part for part in (row, column) if part) + " row" * (row > "" == column) + " column" * (column > "" == row)
    return ", ".join(part for part in (" ".join(word for word in (size, colour, kind) if word), where) if part) or "no clear meaning"


def agreement(objects: Objects) -> Float[Tensor, "codebooks"]:
    """How often two objects that are alike in everything, their place included, have the same code, for each codebook.

    Over all pairs of like objects: Σ n[thing, code] (n[thing, code] − 1) / Σ n[thing] (n[thing] − 1), which small counts do not bias.
    One over it is the number of synonyms that a thing would have if all were used alike. Raises `BadInput` without a pair.
    """
    which, width = objects.which, int(objects.codes.max()) + 1
    many = torch.bincount(which)
    pairs = (many * (many - 1)).sum()
    if not pairs:
        raise BadInput("no two of these objects are alike; collect more scenes.")
    same = [torch.bincount(which * width + code) for code in objects.codes.T]
    return torch.stack([(n * (n - 1)).sum() / pairs for n in same]).float()


def scene_words(states: Int[Tensor, "places"], world: RuleWorld) -> list[str]:
    """Every object of a scene in words, place by place."""
    found = world.objects(states[None])
    rows = torch.stack([found["size"][0], found["colour"][0], found["kind"][0]], 1)
    return [in_words(tuple((number,) for number in (*rows[place].tolist(), *divmod(place, world.side))))
            for place in states.nonzero().flatten().tolist()]
