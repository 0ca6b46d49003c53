"""The data of Part IV: scenes of two to four objects, and captions that name every object.

    "a small red circle at the top left and a large blue square in the middle"

Kind, colour, size and place are listed, so a caption can be changed in one of them and becomes false. A few combinations of
kind and colour never occur in training. Scene number i and its caption follow from (seed, i) alone.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from course_lib.core.errors import BadInput
from course_lib.slots.scenes import COLOURS, GAP, SHAPES, Batched, SceneDataset, Scenes

KINDS, COLOUR_NAMES = tuple(SHAPES), tuple(COLOURS)
SIZES = {"small": 0.17, "large": 0.29}  # radii where the picture is [−1, 1]²: 8 and 14 of 48 pixels across
SIDE = 3  # places in a row and in a column
PLACES = ("at the top left", "at the top", "at the top right", "at the left", "in the middle", "at the right",
          "at the bottom left", "at the bottom", "at the bottom right")
FACTORS = ("kind", "colour", "size", "place")
HELD_OUT = (("square", "red"), ("circle", "green"), ("triangle", "blue"), ("circle", "pink"))  # never seen in training
OBJECTS = 4  # at most, so that a place is free for every wrong answer
PLACES_TRIED = SIDE**2 - OBJECTS + 1  # answers to "where?": the place of the object, and free ones
# How a caption begins and what stands between two objects; each with the places before or behind the objects.
TEMPLATES = [(*words, first) for words, first in product(
    [("", " and "), ("there is ", " ; there is "), ("a picture : ", " , "), ("you see ", " , and ")], [False, True])]
UNNAMED = 0.2  # how often a caption is silent about sizes, how often about places and how often about colours
CHANGED = (0.4, 0.2, 0.2, 0.2)  # how often neighbours differ in each of `FACTORS`; the kind is the hardest to see
SPECIAL = ("[PAD]", "[UNK]", "[BOS]", "[EOS]")  # transformers takes an EOS of 2 for an old mistake, so it is 3
WORDS = tuple(sorted({word for text in (*KINDS, *COLOUR_NAMES, *SIZES, *PLACES, "a", *(t[0] + t[1] for t in TEMPLATES))
                      for word in text.split()}))
LENGTH = 48  # tokens of the longest caption, with room for 3 more


class Object(NamedTuple):
    """Numbers of one object's kind (in `KINDS`), colour (in `COLOUR_NAMES`), size (in `SIZES`) and place (in `PLACES`)."""

    kind: int
    colour: int
    size: int
    place: int


def _pairs(held_out: bool) -> np.ndarray:
    """The (kind, colour) that are held out, or those that are not."""
    return np.array([(k, c) for (k, kind), (c, colour) in product(enumerate(KINDS), enumerate(COLOUR_NAMES))
                     if ((kind, colour) in HELD_OUT) == held_out])


class CaptionedScenes(SceneDataset):
    """Circles, squares and triangles, each near the middle of a place of its own. A batch is that of `SceneDataset`, and with it

    place, colour_index, size_index    int (batch, objects): which of `PLACES`, `COLOUR_NAMES`, `SIZES`
    changed                            int (batch,): with `neighbours`, what the pair differs in, a number in `FACTORS`

    combinations: "seen" draws every object from the kinds and colours that are not `HELD_OUT`; "held_out" draws the first
    object of a scene from these. neighbours: scene 2i + 1 is scene 2i with one factor of one object changed, so that a
    batch of both asks for more than which words occur.
    """

    kinds, sizes, turn = SHAPES, tuple(SIZES.values()), False

    def __init__(self, resolution: int = 96, min_objects: int = 2, max_objects: int = OBJECTS, samples: int = 20_000, seed: int = 0,
                 combinations: str = "seen", neighbours: bool = False):
        if combinations not in ("seen", "held_out"):
            raise BadInput(f"combinations must be seen or held_out, not {combinations!r}.")
        if max_objects > OBJECTS:
            raise BadInput(f"a captioned scene has at most {OBJECTS} objects, not {max_objects}.")
        super().__init__(resolution, min_objects, max_objects, samples, seed)
        self.combinations, self.neighbours = combinations, neighbours

    def _attempt(self, indices: np.ndarray, attempt: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        many, n, source = len(indices), self.max_objects, indices // 2 if self.neighbours else indices
        draws = np.stack([np.random.Generator(np.random.Philox(key=[self.seed, index], counter=[0, 0, 0, attempt])).random(
            8 + SIDE**2 + n * 5) for index in source])
        scene, where, each = draws[:, :8], draws[:, 8:8 + SIDE**2].argsort(1), draws[:, 8 + SIDE**2:].reshape(many, n, 5)
        count = self.min_objects + (scene[:, 0] * (n - self.min_objects + 1)).astype(int)
        seen, held_out = _pairs(False), _pairs(True)
        kind, colour = np.moveaxis(seen[(each[..., 0] * len(seen)).astype(int)], -1, 0)
        if self.combinations == "held_out":
            kind[:, 0], colour[:, 0] = held_out[(each[:, 0, 0] * len(held_out)).astype(int)].T
        factors = {"kind": kind, "colour_index": colour, "size_index": (each[..., 1] * len(self.sizes)).astype(int), "place": where[:, :n]}
        if self.neighbours:
            changed = np.searchsorted(np.cumsum(CHANGED)[:-1], scene[:, 4], side="right")
            factors["changed"] = self._differ(factors, indices % 2 == 1, changed, count, where[:, n:], scene)
        size = np.array(self.sizes)[factors["size_index"]]
        row, column = np.divmod(factors["place"], SIDE)
        middle = 2 / SIDE * (np.stack([column, row], -1) - (SIDE - 1) / 2)
        factors |= {"present": np.arange(n) < count[:, None], "size": size, "angle": np.zeros((many, n)), "way": each[..., 4],
                    "position": middle + (2 * each[..., 2:4] - 1) * (1 / SIDE - GAP / 2 - size[..., None]),
                    "colour": np.array(list(COLOURS.values()))[factors["colour_index"]], "number": indices,
                    "background": self._background(scene[:, 1:4])}
        return {name: value.astype(np.float32) if value.dtype == float else value for name, value in factors.items()}, np.ones(many, bool)

    def _differ(self, factors: dict[str, np.ndarray], odd: np.ndarray, changed: np.ndarray, count: np.ndarray, free: np.ndarray,
                scene: np.ndarray) -> np.ndarray:
        """Make the odd scenes differ from the even ones, as `changed` says if that can be; return in what they do."""
        _change(factors, odd, changed, (scene[:, 5] * count).astype(int), free, scene[:, 6])
        return changed


def _change(factors: dict[str, np.ndarray], odd: np.ndarray, changed: np.ndarray, which: np.ndarray, free: np.ndarray, chance: np.ndarray) -> None:
    """In the `odd` scenes give object `which` another value of the factor `changed`, never a held-out combination."""
    seen, rows = _pairs(False), np.arange(len(odd))
    now = np.stack([factors["kind"], factors["colour_index"]], -1)[rows, which]
    for number, name in enumerate(("kind", "colour_index")):
        chosen = np.flatnonzero(odd & (changed == number))
        same, other = (seen[None, :, k] == now[chosen, None, k] for k in (1 - number, number))
        order = np.argsort(~(same & ~other), axis=1, kind="stable")  # the combinations that differ in this alone come first
        pick = order[np.arange(len(chosen)), (chance[chosen] * (same & ~other).sum(1)).astype(int)]
        factors[name][chosen, which[chosen]] = seen[pick, number]
    chosen = np.flatnonzero(odd & (changed == FACTORS.index("size")))
    factors["size_index"][chosen, which[chosen]] = 1 - factors["size_index"][chosen, which[chosen]]
    chosen = np.flatnonzero(odd & (changed == FACTORS.index("place")))
    factors["place"][chosen, which[chosen]] = free[chosen, (chance[chosen] * free.shape[1]).astype(int)]


def objects(scenes: Scenes) -> list[list[Object]]:
    """The objects of every scene, as numbers."""
    rows = torch.stack([scenes["kind"], scenes["colour_index"], scenes["size_index"], scenes["place"]], -1).tolist()
    return [[Object(*row) for row, there in zip(scene, present) if there] for scene, present in zip(rows, scenes["present"].tolist())]


def describe(objects: Sequence[Object], template: int = 0, size: bool = True, place: bool = True, colour: bool = True) -> str:
    """The objects in this order by a template of `TEMPLATES`, with or without their sizes, places and colours."""
    begin, between, first = TEMPLATES[template]
    phrases = []
    for each in objects:
        words = f"a {tuple(SIZES)[each.size]} " if size else "a "
        words += f"{COLOUR_NAMES[each.colour]} {KINDS[each.kind]}" if colour else KINDS[each.kind]
        where = PLACES[each.place]
        phrases.append((f"{where} {words}" if first else f"{words} {where}") if place else words)
    return begin + between.join(phrases)


def captions(scenes: Scenes, seed: int = 0, attempt: int = 0, unnamed: float = UNNAMED) -> list[str]:
    """A caption for each scene: the order of its objects, the template and what is left unsaid follow from (seed, number, attempt).

    What a scene differs in from its neighbour is always said: else the caption would be true of both. The kind is always
    said; where the colour is not, it is the kind alone that must be found, and so kinds are learnt apart from colours.
    """
    changed = scenes["changed"].tolist() if "changed" in scenes else [-1] * len(scenes["number"])
    texts = []
    for number, scene, factor in zip(scenes["number"].tolist(), objects(scenes), changed):
        chance = _chance(seed, number, attempt)
        order, template = chance.permutation(len(scene)), int(chance.integers(len(TEMPLATES)))
        said = {name: bool(draw >= unnamed or FACTORS.index(name) == factor) for name, draw in zip(("size", "place", "colour"), chance.random(3))}
        texts.append(describe([scene[k] for k in order], template, **said))
    return texts


def distinct_captions(scenes: Scenes, seed: int = 0, attempts: int = 20, unnamed: float = UNNAMED) -> list[str]:
    """`captions`, with repeated ones drawn again: in a batch an equal caption would count as wrong though it is right."""
    texts = captions(scenes, seed, unnamed=unnamed)
    for attempt in range(1, attempts):
        if len(set(texts)) == len(texts):
            return texts
        again = captions(scenes, seed, attempt, unnamed)
        texts = [new if text in texts[:k] else text for k, (text, new) in enumerate(zip(texts, again))]
    raise BadInput("two scenes of one batch are the same, so no captions tell them apart; draw other scenes.")


def candidates(scenes: Scenes, factor: str, seed: int = 0) -> list[list[str]]:
    """For each scene captions of which only the first is true; the others differ in `factor` of the first object.

    factor: one of `FACTORS`: all its other values (of places, as many free ones as every scene has); or "joint": all
    combinations of all four. Every caption says all; template and order follow from (seed, number).
    """
    if factor not in (*FACTORS, "joint"):
        raise BadInput(f"factor must be one of {', '.join(FACTORS)} or joint, not {factor!r}.")
    answers = []
    for number, scene in zip(scenes["number"].tolist(), objects(scenes)):
        chance = _chance(seed, number)
        order, template = chance.permutation(len(scene)), int(chance.integers(len(TEMPLATES)))
        free = chance.permutation(sorted(set(range(len(PLACES))) - {each.place for each in scene}))[: PLACES_TRIED - 1].tolist()
        true = scene[0]
        values = [[true.kind, *(k for k in range(len(KINDS)) if k != true.kind)],
                  [true.colour, *(k for k in range(len(COLOUR_NAMES)) if k != true.colour)], [true.size, 1 - true.size], [true.place, *free]]
        asked = [value if factor in (name, "joint") else value[:1] for name, value in zip(FACTORS, values)]
        answers.append([describe([Object(*other) if k == 0 else scene[k] for k in order], template) for other in product(*asked)])
    return answers


def make_tokenizer(words: Sequence[str] = WORDS, length: int = LENGTH) -> PreTrainedTokenizerFast:
    """One token for each word, [BOS] before and [EOS] behind, in the form of transformers; other words are [UNK]."""
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[(word, vocabulary[word]) for word in ("[BOS]", "[EOS]")])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=length, pad_token="[PAD]", unk_token="[UNK]",
                                   bos_token="[BOS]", eos_token="[EOS]")


class Captioned(Batched):
    """What CLIP is trained on: `image` (batch, 3, height, width) in [0, 1] and `text` (batch, length), numbers of tokens.

    No two captions of a batch are equal, as long as they are `distinct`. Of a world with neighbours every index is a pair of scenes.
    unnamed: how often a caption is silent about sizes, places and colours, each.
    """

    def __init__(self, world: CaptionedScenes, tokenizer: PreTrainedTokenizerFast, distinct: bool = True, unnamed: float = UNNAMED):
        self.world, self.tokenizer, self.samples, self.endless = world, tokenizer, world.samples, world.endless
        self.distinct, self.unnamed = distinct, unnamed

    def batch(self, indices: Sequence[int]) -> Scenes:
        """Pictures and the tokens of their captions; with neighbours two of each for every index."""
        if self.world.neighbours:
            indices = [2 * index + k for index in indices for k in (0, 1)]
        scenes = self.world.batch(indices)
        texts = (distinct_captions if self.distinct else captions)(scenes, self.world.seed, unnamed=self.unnamed)
        return {"image": scenes["image"], "text": self.tokenizer(texts, padding=True, return_tensors="pt")["input_ids"]}


def _chance(seed: int, number: int, attempt: int = 0) -> np.random.Generator:
    """Draws for the caption of a scene; the scene itself takes the same key with counters that begin at 0."""
    return np.random.Generator(np.random.Philox(key=[seed, number], counter=[0, 0, 1, attempt]))
