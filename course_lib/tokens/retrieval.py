"""Image–text retrieval: which of many captions is the picture's, and which of the pictures is a caption's? (Radford et al. 2021, table 13.)

    R@k = share of queries with a right answer among the k nearest (cosine)        a wrong answer as near as the right one stands before it

A caption here names every object, and is right for every picture that has just these objects, in whatever order it names them: so a
caption that also fits another picture is not counted as wrong. The captions are those of the pictures and of as many neighbours,
scenes that differ in one factor of one object (`CaptionedScenes`): a wrong answer that has nearly all the words (Yuksekgonul et al. 2023).
The texts are embedded once, so that many ways to embed the same pictures can be judged by the same questions.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.slots.scenes import Scenes
from course_lib.tokens.captions import CaptionedScenes, captions, objects
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.zero_shot import AT_ONCE

DIRECTIONS = ("text", "picture")  # what is looked for


@dataclass
class Retrieval:
    """texts: embeddings of the captions, of unit length; right: for which pictures each of them is."""

    texts: Float[Tensor, "captions embed"]
    right: Bool[Tensor, "pictures captions"]

    def __post_init__(self) -> None:
        if self.right.shape[1] != len(self.texts) or not self.right.any(1).all():
            raise BadInput("every picture needs at least one right caption, and every caption a column that says for which pictures it is.")

    @classmethod
    @torch.no_grad()
    def about(cls, world: CaptionedScenes, clip: ClipTokens) -> "Retrieval":
        """The scenes of an epoch of `world` as pictures; their captions and those of their neighbours, read by `clip`.

        Raises `BadInput` for a world of neighbours, whose scenes already stand beside one another.
        """
        if world.neighbours:
            raise BadInput("give a world without neighbours; they are added here, as captions without pictures.")
        pairs = CaptionedScenes(world.resolution, world.min_objects, world.max_objects, 2 * len(world), world.seed, world.combinations, neighbours=True)
        scenes = pairs.batch(range(2 * len(world)))  # scene 2i is scene i of the world, scene 2i + 1 its neighbour
        texts = captions(scenes, unnamed=0.0)
        read = torch.cat([clip.text_embedding(texts[k : k + AT_ONCE]) for k in range(0, len(texts), AT_ONCE)])
        return cls(read, same_objects(scenes)[::2])

    def recall(self, images: Float[Tensor, "pictures embed"], k: int, look_for: str = "text") -> Bool[Tensor, "queries"]:
        """Whether each query finds a right answer among its k nearest. look_for: "text" for pictures as queries, "picture" for captions;
        a caption that is right for no picture is not asked. Raises `BadInput`: another k or direction, another number of pictures."""
        right = self._right(look_for)
        if len(images) != len(self.right):
            raise BadInput(f"there are captions of {len(self.right)} pictures, and {len(images)} embeddings are given; give one for each.")
        scores = images @ self.texts.to(images).mT
        return ranks(scores if look_for == "text" else scores.mT[self.right.any(0)], right) <= self._checked(k, right)

    def chance(self, k: int, look_for: str = "text") -> float:
        """R@k of who draws: 1 − C(M − m, k) / C(M, k) with m right answers of M, mean over the queries."""
        right = self._right(look_for)
        many, k = right.shape[1], self._checked(k, right)
        return sum(1 - math.comb(many - int(m), k) / math.comb(many, k) for m in right.sum(1)) / len(right)

    def _right(self, look_for: str) -> Bool[Tensor, "queries answers"]:
        if look_for not in DIRECTIONS:
            raise BadInput(f"look_for must be text or picture, not {look_for!r}.")
        return self.right if look_for == "text" else self.right.mT[self.right.any(0)]

    def _checked(self, k: int, right: Tensor) -> int:
        if not 1 <= k <= right.shape[1]:
            raise BadInput(f"k must be from 1 to {right.shape[1]}, the number of answers there are, not {k}.")
        return k


def ranks(scores: Float[Tensor, "queries answers"], right: Bool[Tensor, "queries answers"]) -> Int64[Tensor, "queries"]:
    """The place of the best right answer in the order of the scores, 1 the first: 1 + how many wrong ones are at least as near."""
    best = scores.masked_fill(~right, -math.inf).amax(1, keepdim=True)
    return 1 + ((scores >= best) & ~right).sum(1)


def same_objects(scenes: Scenes) -> Bool[Tensor, "scenes scenes"]:
    """Whether two scenes have the same objects, whatever their order: then every caption of one that says all is true of the other."""
    known: dict[tuple, int] = {}
    number = torch.tensor([known.setdefault(tuple(sorted(each)), len(known)) for each in objects(scenes)])
    return number[:, None] == number
