"""Scenes as codes, codes as pictures, and what a prior's pictures are worth: between the models and the judge."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor
from tqdm.auto import tqdm

from course_lib.codes.metrics import copies, judge, parse, share
from course_lib.codes.order import canonical_order, random_order, row_major
from course_lib.codes.prior import CodePrior
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput
from course_lib.slots.scenes import SceneDataset, start_chance

ORDERS = ("canonical", "codes", "random", "none")
AT_ONCE = 50  # pictures that are encoded or painted at the same time
ROWS = 3  # in which slots are read: the rule world's places lie in three rows

Codes = Int[Tensor, "batch slots codebooks"]


@torch.no_grad()
def encode_scenes(model: SVQ | PatchVQ, data: SceneDataset, count: int, order: str = "canonical", seed: int = 0,
                  progress: bool = False) -> Codes:
    """The codes of scenes 0 to count − 1, with a slot without an object first and then as a page is read (canonical), by their
    numbers, so that a set of slots has one spelling wherever they are (codes), shuffled (random), or as the model gives its slots
    (none). Who is where is said by the last attention. Patches stay where they are in any case: a decoder of patches must know
    which is which.

    seed: of the start of the slots and of the shuffling. Raises `BadInput` for another order and for no scenes.
    """
    if order not in ORDERS:
        raise BadInput(f"order must be one of {', '.join(ORDERS)}, not {order!r}.")
    if count < 1:
        raise BadInput(f"at least 1 scene must be encoded, not {count}.")
    device, found = next(model.parameters()).device, []
    for first in tqdm(range(0, count, AT_ONCE), desc="scenes to codes", unit="batch", disable=not progress):
        scenes = data.batch(range(first, min(first + AT_ONCE, count)))
        encoded = model.encode(scenes["image"].to(device), chance=start_chance(scenes, seed))
        codes = encoded.codes.indices
        if order == "canonical" and isinstance(model, SVQ):
            codes = canonical_order(codes, row_major(encoded.attention[:, -1], ROWS))
        elif order == "codes" and isinstance(model, SVQ):
            codes = canonical_order(codes)
        found.append(codes.cpu())
    codes = torch.cat(found)
    return random_order(codes, torch.Generator().manual_seed(seed)) if order == "random" and isinstance(model, SVQ) else codes


@torch.no_grad()
def paint_codes(model: SVQ | PatchVQ, codes: Codes, size: int = 64) -> Float[Tensor, "batch 3 size size"]:
    """The pictures of codes, values cut to [0, 1] as a screen does it."""
    device = next(model.parameters()).device
    return torch.cat([model.decode(part.to(device), size, size).clamp(0, 1).cpu() for part in codes.split(AT_ONCE)])


def judged(images: Float[Tensor, "batch 3 size size"], world: RuleWorld, training: Int64[Tensor, "training places"] | None = None) -> dict[str, float]:
    """What becomes of generated pictures, shares of all: right, with its interval (low, high), unparsable, wrong_number and
    same_colour (see `judge`); with the states of the training scenes also copied, the share that occurs among them."""
    found = judge(images, world)
    right = share(found["right"])
    shares = {name: float(value.float().mean()) for name, value in found.items()}
    shares |= {"low": right.low, "high": right.high}
    if training is not None:
        shares["copied"] = float((found["right"] & copies(parse(images, world)["states"], training, world)).float().mean())
    return shares


def generated(model: SVQ | PatchVQ, prior: CodePrior, n: int, temperature: float = 1.0, top_k: int | None = None, seed: int = 0,
              size: int = 64) -> Float[Tensor, "n 3 size size"]:
    """n pictures that nobody drew: codes from the prior, painted by the model's decoder.

    Raises `BadInput` if the two do not fit together, and `generate`'s errors.
    """
    check_pair(model, prior, size)
    return paint_codes(model, prior.generate(n, temperature, top_k, torch.Generator().manual_seed(seed)), size)


def check_pair(model: SVQ | PatchVQ, prior: CodePrior, size: int = 64) -> None:
    """Raise `BadInput` unless the prior speaks the codes that the model paints."""
    want = shape_of(model, size)
    have = {name: getattr(prior, name) for name in want}
    if have != want:
        raise BadInput(f"this prior tells {_told(have)}, but the {type(model).__name__} paints {_told(want)}; "
                       "take the prior that was trained on its codes.")


def shape_of(model: SVQ | PatchVQ, size: int = 64) -> dict[str, int]:
    """What a prior over the codes of square pictures needs to know: slots (or patches), codebooks, codes."""
    slots = model.num_slots if isinstance(model, SVQ) else (size // model.stride) ** 2
    return {"slots": slots, "codebooks": model.quantizer.codebooks, "codes": model.quantizer.codes}


def _told(shape: Mapping[str, int]) -> str:
    return "{slots} × {codebooks} codes of {codes}".format(**shape)
