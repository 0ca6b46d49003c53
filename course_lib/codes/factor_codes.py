"""The rule world told in numbers, without pictures: codes that lose nothing and have no synonyms.

For a prior over them the best possible NLL is known exactly, for every position. Codes of pictures are compared with it.
"""

import math
from itertools import combinations, permutations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.codes.world import RuleWorld, States
from course_lib.core.errors import BadInput

FACTORS = ("place", "kind", "colour", "size")  # the codebooks, in this order

Told = Int[Tensor, "batch objects factors"]


def factor_codes(states: States, world: RuleWorld) -> Told:
    """The place, kind, colour and size of each object, as numbers from 0 on; objects in the order of their places.

    Two scenes have the same codes only if they are the same. Raises `BadInput` for a scene with another number of objects.
    """
    number = (states > 0).sum(1)
    if (number != world.max_objects).any():
        raise BadInput(f"every scene must have {world.max_objects} objects; one has {int(number[number != world.max_objects][0])}.")
    place = (states > 0).nonzero()[:, 1].view(len(states), world.max_objects)
    found = world.objects(states)
    return torch.stack([place, *(found[name].gather(1, place) for name in FACTORS[1:])], 2)


def alphabet(world: RuleWorld) -> tuple[int, ...]:
    """How many numbers each factor has: what a codebook needs."""
    return world.places, len(world.kinds), world.colours, len(world.sizes)


def factor_states(codes: Told, world: RuleWorld) -> States:
    """The scenes that such codes tell, see `RuleWorld`; of two objects on one place only one is there.

    Raises `BadInput` for a number that names nothing.
    """
    if not known(codes, world).all():
        raise BadInput(f"the numbers of place, kind, colour and size must be below {', '.join(map(str, alphabet(world)))}.")
    place, kind, colour, size = codes.unbind(2)
    return world.states({"place": place, "kind": kind, "colour_index": colour, "size_index": size})


def factor_lawful(codes: Told, world: RuleWorld) -> Bool[Tensor, "batch"]:
    """Which scenes exist: all numbers name something, no place is taken twice, and the rule is obeyed. The order of the
    objects does not matter."""
    named = known(codes, world)
    return named & world.obeys(factor_states(torch.where(named[:, None, None], codes, 0), world))


def known(codes: Told, world: RuleWorld) -> Bool[Tensor, "batch"]:
    """Which scenes hold only numbers that name something."""
    return ((codes >= 0) & (codes < torch.tensor(alphabet(world)))).all(2).all(1)


def position_entropies(world: RuleWorld, shuffled: bool = False) -> Float[Tensor, "objects factors"]:
    """H(code i | codes before it) in nats: what the best prior spends at each position; together the scene's entropy.

    Kind and size are free, ln 3 and ln 2. By the rule the colours have ln 8, ln 7, ln 6. The places of a list in reading order have
    ln C(9, 3) together, the first one less than ln 9. shuffled: objects in random order; places then have ln 9, ln 8, ln 7,
    all in all ln 3! more.
    """
    n = world.max_objects
    places = torch.tensor(list((permutations if shuffled else combinations)(range(world.places), n)))
    spent = torch.stack([_prefix_entropy(places, k) for k in range(n + 1)]).diff()
    _, kinds, colours, sizes = alphabet(world)
    colour = [math.log(colours - k if world.rule else colours) for k in range(n)]
    others = [torch.full((n,), math.log(kinds)), torch.tensor(colour), torch.full((n,), math.log(sizes))]
    return torch.stack([spent, *(each.double() for each in others)], 1)


def _prefix_entropy(rows: Int[Tensor, "rows n"], k: int) -> Float[Tensor, ""]:
    """Of the first k numbers of a row drawn at random, in nats."""
    counts = rows[:, :k].unique(dim=0, return_counts=True)[1] if k else torch.tensor([len(rows)])
    p = counts.double() / len(rows)
    return -(p * p.log()).sum()
