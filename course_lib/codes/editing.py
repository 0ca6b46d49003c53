"""Edits of a scene by its codes, and what became of them: exchange codes, paint, read the picture back with the parser.

What an edit should give is known exactly, because a scene of the rule world is a list of what stands at every place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor
from torch.nn import functional as F

from course_lib.codes.generation import paint_codes
from course_lib.codes.meaning import Objects
from course_lib.codes.metrics import parse
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import BACKGROUND, RuleWorld
from course_lib.core.errors import BadInput

CHANGES = ("kind", "size", "colour", "place")  # one at a time, all else stays
OUTCOMES = ("nothing", "one object", "several objects", "not readable")


@dataclass(frozen=True)
class Edits:
    """One edit a row: in a scene, one object is to become another that differs from it in one factor; see `plan`."""

    scenes: Int64[Tensor, "edits slots codebooks"]  # codes before
    slot: Int64[Tensor, "edits"]  # of the object to be changed
    donor: Int64[Tensor, "edits codebooks"]  # codes of an object elsewhere that is what this one shall become
    scene: Int64[Tensor, "edits"]  # number of the scene in its world
    donor_scene: Int64[Tensor, "edits"]
    before: Int64[Tensor, "edits places"]  # states, see `RuleWorld`
    target: Int64[Tensor, "edits places"]

    def __len__(self) -> int:
        return len(self.scenes)

    def without_spare(self, model: SVQ) -> "Edits":
        """The same edits, each in a scene without its spare slot (`spare_slots`), which is never the one to be edited."""
        spare = spare_slots(model, self.scenes, self.slot)
        return replace(self, scenes=leave_out(self.scenes, spare), slot=self.slot - (self.slot > spare).long())


def plan(objects: Objects, world: RuleWorld, change: str, edits: int = 200, seed: int = 0) -> Edits:
    """For an object in each of `edits` scenes a donor: an object of another scene that differs from it in `change` and in
    nothing else. A new place is free in the scene, and a new colour is not that of another of its objects.

    Raises `BadInput` for an unknown change, and if fewer than `edits` scenes have such an object with a donor in the table.
    """
    if change not in CHANGES:
        raise BadInput(f"what is changed must be one of {', '.join(CHANGES)}, not {change!r}.")
    generator, found = torch.Generator().manual_seed(seed), []
    others = [name for name in CHANGES if name != change]
    for row in torch.randperm(len(objects), generator=generator).tolist():
        scene = int(objects.scene[row])
        fits = objects.scene != scene
        for name in others:
            fits &= objects.factors[name] == objects.factors[name][row]
        taken = objects.states[scene]
        forbidden = taken.nonzero().flatten() if change == "place" else objects.factors[change][row].view(1)
        if change == "colour":
            forbidden = world.objects(taken[None])["colour"][0]
        fits &= ~torch.isin(objects.factors[change], forbidden)
        if fits.any() and scene not in {scene for _, _, scene in found}:
            donors = fits.nonzero().flatten()
            found.append((row, int(donors[torch.randint(len(donors), (), generator=generator)]), scene))
        if len(found) == edits:
            break
    else:
        raise BadInput(f"only {len(found)} of {edits} scenes have an object that can change its {change}; collect more scenes.")
    rows, donors, scenes = (torch.tensor(each) for each in zip(*found))
    before = objects.states[scenes]
    target = before.scatter(1, objects.factors["place"][rows][:, None], 0)
    state = objects.states[objects.scene[donors], objects.factors["place"][donors]]
    target = target.scatter(1, objects.factors["place"][donors][:, None], state[:, None])
    return Edits(objects.scenes[scenes], objects.slot[rows], objects.codes[donors], scenes, objects.scene[donors], before, target)


def exchange(scenes: Int[Tensor, "edits slots codebooks"], slot: Int[Tensor, "edits"], donor: Int[Tensor, "edits codebooks"],
             codebooks: Sequence[int]) -> Int[Tensor, "edits slots codebooks"]:
    """The codes of scenes in which one slot has taken the donor's codes of these codebooks (from 0), and kept its others."""
    codes, rows = scenes.clone(), torch.arange(len(scenes))
    for book in codebooks:
        codes[rows, slot, book] = donor[:, book]
    return codes


def leave_out(scenes: Int[Tensor, "scenes slots codebooks"], slot: Int[Tensor, "scenes"]) -> Int[Tensor, "scenes fewer codebooks"]:
    """The scenes with one slot less each."""
    keep = torch.arange(scenes.shape[1]) != slot[:, None]
    return scenes[keep].view(len(scenes), -1, scenes.shape[2])


def spare_slots(model: SVQ, scenes: Int[Tensor, "scenes slots codebooks"],
                needed: Int[Tensor, "scenes"] | None = None) -> Int64[Tensor, "scenes"]:
    """In each scene the slot whose leaving changes the picture least (mean squared error); needed: slots that must stay.

    Raises `BadInput` if there is only one slot.
    """
    many = scenes.shape[1]
    if many < 2:
        raise BadInput(f"a scene of {many} slot has none to spare.")
    whole, changes = paint_codes(model, scenes), []
    for slot in range(many):
        rest = leave_out(scenes, torch.full((len(scenes),), slot))
        changes.append((paint_codes(model, rest) - whole).square().mean((1, 2, 3)))
    change = torch.stack(changes, 1)
    if needed is not None:
        change = change.scatter(1, needed[:, None], torch.inf)
    return change.argmin(1)


def edited_right(model: SVQ, world: RuleWorld, edits: Edits, codebooks: Sequence[int]) -> float:
    """The share of the edits that are exactly right when the donor's codes of these codebooks are taken, see `share_right`."""
    codes = exchange(edits.scenes, edits.slot, edits.donor, codebooks)
    return share_right(paint_codes(model, codes, world.resolution), edits.target, world)


def share_right(images: Float[Tensor, "batch 3 height width"], states: Int[Tensor, "batch places"], world: RuleWorld) -> float:
    """The share of pictures that can be read and are exactly these states: every object, and every empty place too."""
    read = parse(images, world)
    return float((read["parsable"] & (read["states"] == states).all(1)).float().mean())


def by_number(model: SVQ, world: RuleWorld, edits: Edits, order: Sequence[int]) -> list[float]:
    """`edited_right` with the donor's codes of no codebook, of the first of `order`, of the first two, and so on."""
    return [edited_right(model, world, edits, order[:number]) for number in range(len(order) + 1)]


def one_code_changed(codes: Int[Tensor, "scenes slots codebooks"], where: Bool[Tensor, "scenes slots"] | None = None,
                     seed: int = 0) -> Int[Tensor, "scenes slots codebooks"]:
    """In every scene one code by chance, of any slot (or patch) and codebook, is replaced by another that occurs in that codebook
    in some scene; frequent codes come more often. where: the slots or patches that may change, and from which other codes are taken.

    Raises `BadInput` for a scene in which nothing may change, and if there is no other code.
    """
    where = torch.ones(codes.shape[:2], dtype=torch.bool) if where is None else where
    if not where.any(1).all():
        raise BadInput("in every scene at least one slot must be allowed to change.")
    generator, changed = torch.Generator().manual_seed(seed), codes.clone()
    slots = torch.multinomial(where.float(), 1, generator=generator)[:, 0].tolist()
    books = torch.randint(codes.shape[2], (len(codes),), generator=generator).tolist()
    pools = codes[where].T  # (codebooks, all slots that may change)
    for row, (slot, book) in enumerate(zip(slots, books)):
        pool = pools[book][pools[book] != codes[row, slot, book]]
        if not len(pool):
            raise BadInput("all these scenes have the same code here, so there is no other to put in its place; give more scenes.")
        changed[row, slot, book] = pool[torch.randint(len(pool), (), generator=generator)]
    return changed


def patches_of(states: Int[Tensor, "scenes places"], world: RuleWorld, stride: int = PatchVQ.stride) -> Bool[Tensor, "scenes patches"]:
    """The patches, row by row, on which something of the objects lies."""
    lit = (world.compose(states)["image"] - BACKGROUND).abs().amax(1, keepdim=True)
    return (F.max_pool2d(lit, stride) > 0).flatten(1)


@torch.no_grad()
def exchange_patches(model: PatchVQ, world: RuleWorld,
                     edits: Edits) -> tuple[Int[Tensor, "edits patches 1"], Bool[Tensor, "edits patches"]]:
    """The same edits with a code for each patch: the patches on which the object lies before or after take the codes that they have in
    the donor's scene; and which these are. The place must stay: a patch code says nothing about where it is used."""
    before, after = (torch.where(edits.before != edits.target, states, 0) for states in (edits.before, edits.target))
    if ((before > 0) != (after > 0)).any():
        raise BadInput("patches can only be exchanged for those at the same place; plan a change of kind, size or colour.")
    own, donor = (model.encode(world.batch(rows.tolist())["image"]).codes.indices for rows in (edits.scene, edits.donor_scene))
    where = patches_of(before, world, model.stride) | patches_of(after, world, model.stride)
    return torch.where(where[..., None], donor, own), where


def outcomes(images: Float[Tensor, "batch 3 height width"], before: Int[Tensor, "batch places"], world: RuleWorld) -> dict[str, float]:
    """What an edit did to scenes, shares by `OUTCOMES`: nothing that can be read, one object (it changed, moved, came or went),
    several, or the picture can no longer be read."""
    read = parse(images, world)
    places = (read["states"] != before).sum(1)
    gone, come = ((a > 0) & (b == 0) for a, b in ((before, read["states"]), (read["states"], before)))
    moved = (places == 2) & (gone.sum(1) == 1) & (come.sum(1) == 1)
    ok = read["parsable"]
    found = (ok & (places == 0), ok & ((places == 1) | moved), ok & (places > 1) & ~moved, ~ok)
    return {name: float(value.float().mean()) for name, value in zip(OUTCOMES, found)}
