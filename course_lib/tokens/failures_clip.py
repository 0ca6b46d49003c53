"""Contrast gone wrong: small CLIPs that are trained like the one of `recipe_clip`, each with one thing changed.

`contrast_row` trains one of `CHANGES` and says what became of it; bench/records/clip_contrast.py keeps a table of them.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from course_lib.core.errors import BadInput
from course_lib.core.schedules import warm_up_and_decay
from course_lib.core.training import History, train
from course_lib.slots.scenes import Scenes
from course_lib.tokens.captions import COLOUR_NAMES, FACTORS, HELD_OUT, KINDS, UNNAMED, Captioned, CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.losses_clip import contrastive_loss
from course_lib.tokens.probe import exchange
from course_lib.tokens.loaders import HELD_OUT as UNSEEN
from course_lib.tokens.recipe_clip import CLIP, make_optimizers, objective, validation
from course_lib.tokens.small_clip import SmallClip
from course_lib.tokens.zero_shot import ZeroShot, embedded

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # of embeddings of pictures and texts, and the log of the scale
SMALL = {"resolution": 48, "patch": 8, "dim": 64, "layers": 2, "text_dim": 64, "text_layers": 2}  # 36 tokens: seconds teach it something
COMBINATIONS = np.array([(KINDS.index(kind), COLOUR_NAMES.index(colour)) for kind, colour in HELD_OUT])
PAIRS, LR = 16, 5e-3  # pairs of neighbours in a batch


def no_temperature(images: Tensor, texts: Tensor, log_scale: Tensor) -> Tensor:
    """The contrastive loss of plain cosines: the scale is 1 and stays it."""
    return contrastive_loss(images, texts, torch.zeros_like(log_scale))


def one_sided(images: Tensor, texts: Tensor, log_scale: Tensor) -> Tensor:
    """Each picture finds its text, and no text looks for its picture."""
    return cross_entropy(log_scale.exp() * images @ texts.mT, torch.arange(len(images), device=images.device))


def no_contrast(images: Tensor, texts: Tensor, log_scale: Tensor) -> Tensor:
    """1 − cosine of each pair, and nothing that pushes others away."""
    return (1 - (images * texts).sum(-1)).mean()


class Exchanging(CaptionedScenes):
    """Half of the neighbours do not differ in a new value, but by an exchange: their first two objects have one factor exchanged, so
    that both scenes are told in the same words. What would make no difference or a held-out combination is a place instead.

    Raises `BadInput` for scenes of one object.
    """

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        if self.min_objects < 2:
            raise BadInput(f"an exchange needs at least 2 objects, not {self.min_objects}.")

    def _differ(self, factors, odd, changed, count, free, scene):
        exchange, names = scene[:, 7] < 0.5, ("kind", "colour_index", "size_index", "place")
        changed = super()._differ(factors, odd & ~exchange, changed, count, free, scene)
        pair = np.stack([factors[name][:, :2] for name in names], -1)  # (scenes, 2 objects, 4 factors)
        one = np.arange(len(names)) == changed[:, None, None]
        swapped = np.where(one, pair[:, ::-1], pair)
        held_out = (swapped[:, :, None, :2] == COMBINATIONS).all(-1).any((1, 2))
        possible = (swapped != pair).any((1, 2)) & ~held_out
        changed = np.where(exchange & ~possible, FACTORS.index("place"), changed)
        for number, name in enumerate(names):
            rows = np.flatnonzero(exchange & odd & (changed == number))
            factors[name][rows, :2] = factors[name][rows, 1::-1]
        return changed


class Change(NamedTuple):
    """What a small CLIP is trained with; the defaults are those of `recipe_clip`."""

    loss: Loss = contrastive_loss
    world: type[CaptionedScenes] = CaptionedScenes
    neighbours: bool = True
    unnamed: float = UNNAMED  # above it captions are not made distinct either


CHANGES = {"as_it_is": Change(), "no_temperature": Change(no_temperature), "one_sided": Change(one_sided), "no_contrast": Change(no_contrast),
           "no_neighbours": Change(neighbours=False), "exchanges": Change(world=Exchanging), "full_captions": Change(unnamed=0.0),
           "terse_captions": Change(unnamed=0.8)}


def train_small(change: Change = Change(), *, epochs: int, steps: int = 20, pairs: int = PAIRS, seed: int = 0, model: SmallClip | None = None,
                held_out: Scenes | None = None, watch: Callable | None = None, progress: bool = False) -> tuple[SmallClip, History]:
    """A small CLIP after `epochs` of so many `steps`, and its history, with `FACTORS` if scenes are held out.

    pairs: of neighbours in a batch, and without neighbours as many scenes. model: by default one of `SMALL`, begun from `seed`.
    """
    if model is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = SmallClip(**SMALL)
    many = pairs if change.neighbours else 2 * pairs  # a pair has one number
    world = change.world(model.resolution, samples=steps * many, seed=seed, neighbours=change.neighbours)
    data = Captioned(world, model.tokenizer, change.unnamed <= UNNAMED, change.unnamed)
    history = train(model, partial(objective, loss=change.loss), data, epochs=epochs, batch_size=many, lr=LR, optimizers=make_optimizers,
                    scheduler=partial(warm_up_and_decay, steps=epochs * steps), clip=CLIP, seed=seed, watch=watch, progress=progress,
                    validate=partial(validation, scenes=held_out) if held_out is not None else None)
    return model, history


def contrast_row(change: str, seed: int, *, epochs: int, steps: int = 100, scored: int = 400, **options) -> dict[str, float | str]:
    """One training and what it led to, on `scored` scenes that none has seen: zero-shot of every factor, kind_held_out (of objects of a
    combination that no training has), exchange_FACTOR (of sentences with that factor exchanged between two objects, how often the true
    one is nearer; chance ½), `alike`, the mean cosine of embeddings of different pictures, and the last epoch's loss.

    Raises `BadInput` for a change that is not known.
    """
    if change not in CHANGES:
        raise BadInput(f"change must be one of {', '.join(CHANGES)}, not {change!r}.")
    model, history = train_small(CHANGES[change], epochs=epochs, steps=steps, seed=seed, **options)
    clip = ClipTokens.of(model)
    scenes = CaptionedScenes(model.resolution, samples=scored, seed=UNSEEN).batch(range(scored))
    images = embedded(clip, scenes["image"])
    exchanged = {f"exchange_{name}": float(exchange(clip, scenes, name, images).float().mean()) for name in FACTORS}
    new = CaptionedScenes(model.resolution, samples=scored, seed=UNSEEN, combinations="held_out").batch(range(scored))
    held_out = ZeroShot.about(new, clip, ["kind"]).accuracy(embedded(clip, new["image"]))["kind"]
    alike = float((images.sum(0).square().sum() - scored) / (scored * (scored - 1)))
    return {"change": change, "seed": seed, **ZeroShot.about(scenes, clip, FACTORS).accuracy(images), "kind_held_out": held_out, **exchanged,
            "alike": alike, **{name: history.epochs[name][-1] for name in ("loss", "found", "scale")}, "seconds": history.seconds}
