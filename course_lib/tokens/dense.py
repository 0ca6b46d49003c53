"""The dense probe: what lies at each place, read off the token of that place by a linear classifier.

Asked is the kind, or the colour, of the object there; "background" is one of the answers. Nearly all places are background, so as many
places of each answer are learned from and asked about as there are of the rarest, at most `EACH`; who always gives one answer is right in
1 / answers. So is the balanced accuracy of any test (Brodersen et al. 2010).

A probe that learned from CLIP's own tokens and is applied to rebuilt ones asks whether what reads tokens goes on reading (transfer). One
that learned from a compressor's own tokens asks whether it is still said at all, in whatever code (own).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.slots.scenes import Scenes
from course_lib.tokens.captions import COLOUR_NAMES, KINDS
from course_lib.tokens.compressor import Grid
from course_lib.tokens.moving import lies_on

ANSWERS = {"kind": ("background", *KINDS), "colour": ("background", *COLOUR_NAMES)}
COLUMNS = {"kind": "kind", "colour": "colour_index"}  # in a batch of scenes
EACH = 400  # places of each answer, at most

Labels = Int64[Tensor, "batch height width"]
Others = Int64[Tensor, "others height width"]  # of other pictures, not as many
Places = Int64[Tensor, "chosen"]  # numbers of places, picture after picture, row by row


def labels(scenes: Scenes, grid: tuple[int, int], question: str) -> Labels:
    """The answer at each place, a number in `ANSWERS[question]`, of what covers most of its patch (`moving.lies_on`).

    Raises `BadInput` for another question, or a picture that cannot be cut into such a grid.
    """
    if question not in ANSWERS:
        raise BadInput(f"question must be {' or '.join(ANSWERS)}, not {question!r}.")
    under = lies_on(scenes["ids"], grid)
    answers = torch.nn.functional.pad(scenes[COLUMNS[question]].long() + 1, (1, 0))  # object 0 is the background
    return answers.gather(1, under.flatten(1)).view_as(under)


def balanced(answers: Labels, each: int = EACH, seed: int = 0) -> Places:
    """As many places of every answer that occurs, drawn from all pictures: as there are of the rarest, at most `each`.

    Raises `BadInput` if only one answer occurs, of which there is nothing to tell apart.
    """
    flat = answers.flatten()
    found, many = flat.unique(return_counts=True)
    if len(found) < 2 or each < 1:
        raise BadInput("all places have the same answer, or none is to be taken; give more scenes and at least one place of each answer.")
    order = torch.randperm(len(flat), generator=torch.Generator().manual_seed(seed))
    few = min(each, int(many.min()))
    return torch.cat([order[flat[order] == answer][:few] for answer in found])


@dataclass
class DenseProbe:
    """One question, its places to learn from and its places to be asked about, drawn once for all compressors."""

    learn: Labels
    test: Others
    strength: float = 0.1  # the inverse of the penalty, as `probe.linear_probe` has it
    each: int = EACH

    def __post_init__(self) -> None:
        self.learn_at, self.test_at = balanced(self.learn, self.each), balanced(self.test, self.each, 1)
        if not set(self.test.unique().tolist()) <= set(self.learn.unique().tolist()):
            raise BadInput("an answer occurs in the test that there is nothing to learn from; give more scenes to learn from.")

    @property
    def chance(self) -> float:
        """The balanced accuracy of one answer, always."""
        return 1 / len(self.test.unique())

    def fit(self, tokens: Grid) -> Pipeline:
        """A logistic regression on standardised tokens of the pictures to learn from (Radford et al. 2021, 3.2)."""
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=self.strength, max_iter=2000))
        return probe.fit(*_at(tokens, self.learn, self.learn_at))

    def right(self, probe: Pipeline, tokens: Grid) -> Bool[Tensor, "asked"]:
        """Whether each place asked about is told rightly; of every answer equally many, so their mean is the balanced accuracy."""
        x, y = _at(tokens, self.test, self.test_at)
        return torch.from_numpy(probe.predict(x) == y)

    def on_objects(self, right: Bool[Tensor, "asked"]) -> float:
        """The share of right ones among the places on objects."""
        return float(right[self.test.flatten()[self.test_at] > 0].float().mean())


def _at(tokens: Tensor, answers: Tensor, places: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and answers at the places, as scikit-learn takes them."""
    if tokens.shape[:3] != answers.shape:
        raise BadInput(f"the probe knows what lies in grids of shape {list(answers.shape)}, and the tokens are {list(tokens.shape[:3])}.")
    return tokens.flatten(0, 2)[places].float().numpy(), answers.flatten()[places].numpy()
