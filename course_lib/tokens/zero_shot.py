"""Zero-shot: of several captions, which is the picture's? Asked of each factor alone and of all together.

    answer = argmax_k cos(image embedding, text embedding of candidate k);  right if it is the true caption

The texts are embedded once, so that many ways to embed the same pictures can be judged by the same questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from course_lib.slots.scenes import Scenes
from course_lib.tokens.captions import FACTORS, candidates
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.metrics import zero_shot

QUESTIONS = (*FACTORS, "joint")
AT_ONCE = 512  # texts, or pictures


@dataclass
class ZeroShot:
    """Questions about some scenes: for each factor the embeddings (scenes, candidates, embed) of captions, the true one first."""

    candidates: dict[str, Float[Tensor, "scenes candidates embed"]]

    @classmethod
    @torch.no_grad()
    def about(cls, scenes: Scenes, clip: ClipTokens, questions: Sequence[str] = QUESTIONS, seed: int = 0) -> "ZeroShot":
        """The questions, read by `clip`. questions: some of `FACTORS` and "joint" (see `captions.candidates`)."""
        found = {}
        for question in questions:
            texts = candidates(scenes, question, seed)
            flat = [text for each in texts for text in each]
            read = torch.cat([clip.text_embedding(flat[k : k + AT_ONCE]) for k in range(0, len(flat), AT_ONCE)])
            found[question] = read.unflatten(0, (len(texts), -1))
        return cls(found)

    @property
    def chance(self) -> dict[str, float]:
        """How often a guess is right: 1 of so many candidates."""
        return {name: 1 / texts.shape[1] for name, texts in self.candidates.items()}

    def right(self, images: Float[Tensor, "scenes embed"]) -> dict[str, Bool[Tensor, "scenes"]]:
        """For each question, whether the true caption is nearer than every other (`metrics.zero_shot`)."""
        return {name: zero_shot(images, texts) for name, texts in self.candidates.items()}

    def accuracy(self, images: Float[Tensor, "scenes embed"]) -> dict[str, float]:
        """For each question the share of right answers."""
        return {name: float(right.float().mean()) for name, right in self.right(images).items()}


@torch.no_grad()
def embedded(clip: ClipTokens, image: Float[Tensor, "scenes 3 rows columns"]) -> Float[Tensor, "scenes embed"]:
    """The embeddings of pictures in [0, 1], so many at a time."""
    device = clip.clip.logit_scale.device
    return torch.cat([clip.image_embedding(clip.normalized(part.to(device))) for part in image.split(AT_ONCE // 8)])
