"""What survives compression: every compressor at every rate, asked all that Part IV can ask of tokens; each is built once.

`Survivor` asks more questions than `comparison.Judge`, in the same row: zero-shot and retrieval, of tokens put back and of rebuilt ones,
all minus the answers of CLS alone. `examine` looks into the rebuilt grid: its fields by band, and what a linear probe reads at each place.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.pipeline import Pipeline
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.paths import DATA
from course_lib.tokens.baselines import MeanToken
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.comparison import AT_ONCE, LEVELS, NOTHING, RATES, Judge, Row, contenders, output_grid, step_of
from course_lib.tokens.compressor import Compressor, Grid, Standard
from course_lib.tokens.dense import ANSWERS, DenseProbe
from course_lib.tokens.metrics import Seen, bands, compress, field_cosine
from course_lib.tokens.retrieval import Retrieval
from course_lib.tokens.zero_shot import ZeroShot

FOUND = {"text R@1": (1, "text"), "text R@5": (5, "text"), "picture R@1": (1, "picture"), "picture R@5": (5, "picture")}
Name = tuple[str, int | None]  # of a compressor, and its rate
Asked = dict[str, tuple[DenseProbe, Pipeline]]  # by question: the probe, and what it learned from CLIP's own tokens


class Survivor(Judge):
    """A `Judge` with the questions of `retrieval` as well, under the names of `FOUND`: in a row they stand beside the zero-shot ones."""

    def __init__(self, clip: ClipTokens, world: CaptionedScenes, seen: Seen, scale: Standard, levels: int = LEVELS):
        self.about = Retrieval.about(world, clip)
        questions = ZeroShot.about(world.batch(range(len(world))), clip).candidates
        super().__init__(clip, seen, scale, questions, step_of(scale, levels))

    def told(self, images: Float[Tensor, "pictures embed"]) -> dict[str, Bool[Tensor, "_"]]:
        """Zero-shot and retrieval by these embeddings."""
        return super().told(images) | {name: self.about.recall(images, k, look_for) for name, (k, look_for) in FOUND.items()}

    @property
    def chance(self) -> dict[str, float]:
        """What who guesses has, of every question."""
        found = {name: 1 / texts.shape[1] for name, texts in self.questions.items()}
        return found | {name: self.about.chance(k, look_for) for name, (k, look_for) in FOUND.items()}


class Examined(NamedTuple):
    """bands: fields of a picture, on average, by their mean cosine. own, transfer: balanced accuracy of the dense probe that learned from
    the compressor's own rebuilt tokens, and of the one that learned from CLIP's, on rebuilt tokens; put_back: own, each place read off the
    token that stands for it. Each by question."""

    bands: dict[str, float]
    own: dict[str, float]
    transfer: dict[str, float]
    put_back: dict[str, float]


def build(clip: ClipTokens, training: Grid, rates: Sequence[int] = RATES, folder: Path = DATA / "weights",
          without: Sequence[str] = ()) -> tuple[dict[Name, Compressor], list[str]]:
    """All compressors of the comparison, by name and rate, CLS only first; and a sentence for each shipped one that is not there."""
    missing: list[str] = []
    found: dict[Name, Compressor] = {(NOTHING, None): MeanToken.fit(training.split(AT_ONCE))}
    for rate in rates:
        grid = output_grid(clip.grid, rate)
        found |= {(name, rate): make() for name, make in contenders(clip, grid, rate, training, folder, missing) if name not in without}
    return found, missing


def survey(judge: Judge, compressors: Mapping[Name, Compressor]) -> Iterator[Row]:
    """A row for each."""
    return (judge.row(name, rate, compressor) for (name, rate), compressor in compressors.items())


def probes(learn: dict[str, Tensor], test: dict[str, Tensor], tokens: Grid) -> Asked:
    """For each question a `DenseProbe`, and what it learned from CLIP's own `tokens` of the pictures to learn from.

    learn, test: the answers at every place (`dense.labels`), by question. Raises `BadInput` if they ask different questions.
    """
    if learn.keys() != test.keys() or not learn:
        raise BadInput(f"learn and test must ask the same questions, some of {', '.join(ANSWERS)}.")
    found = {name: DenseProbe(learn[name], test[name]) for name in learn}
    return {name: (probe, probe.fit(tokens)) for name, probe in found.items()}


@torch.no_grad()
def examine(compressor: Compressor, learn: Seen, test: Seen, asked: Asked, output_grid: Sequence[int]) -> Examined:
    """Bands over the fields of output_grid, and the dense probe; `learn` are other pictures than `test`. Of a compressor that lets no
    token pass nothing is there to be read off when put back: it has what a guess has."""
    (rebuilt_learn, back_learn), (rebuilt, back) = _grids(compressor, learn), _grids(compressor, test)
    fields = {name: count / len(test.tokens) for name, count in bands(field_cosine(rebuilt, test.tokens, output_grid)).items()}
    read: dict[str, dict[str, float]] = {"own": {}, "transfer": {}, "put_back": {}}
    for name, (probe, reads_tokens) in asked.items():
        read["own"][name] = _share(probe, probe.fit(rebuilt_learn), rebuilt)
        read["transfer"][name] = _share(probe, reads_tokens, rebuilt)
        read["put_back"][name] = probe.chance if back is None else _share(probe, probe.fit(back_learn), back)
    return Examined(fields, **read)


def _grids(compressor: Compressor, seen: Seen) -> tuple[Tensor, Tensor | None]:
    """The rebuilt grid; and that in which every place has the token that stands for it, None if no token passes."""
    rebuilt, back = [], []
    for part in zip(*(each.split(AT_ONCE) for each in seen)):
        passed = compress(compressor, Seen(*part))
        rebuilt.append(compressor.expand(passed))
        if passed.tokens.shape[1]:
            back.append(Compressor.expand(compressor, passed))
    return torch.cat(rebuilt), torch.cat(back) if back else None


def _share(probe: DenseProbe, fitted: Pipeline, tokens: Grid) -> float:
    return float(probe.right(fitted, tokens).double().mean())


def between(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """y at x of the curve through some points, straight where both axes are logarithmic: what a fixed rate would have at so many tokens.

    Raises `BadInput` for an x outside the points, of which nothing is known.
    """
    order = np.argsort(xs)
    xs, ys = np.array(xs, dtype=float)[order], np.array(ys, dtype=float)[order]
    if not xs[0] <= x <= xs[-1]:
        raise BadInput(f"{x:g} is not between {xs[0]:g} and {xs[-1]:g}, the ends of the curve.")
    return float(np.exp(np.interp(np.log(x), np.log(xs), np.log(ys))))


def met(row: Row, examined: Examined) -> dict[str, bool]:
    """The targets of seed document 003, line by line, for a compressor to 36 fields; 002 has the first and the last."""
    few = examined.bands
    found = {"cosine > 0.85": row.cosine > 0.85, "excellent ≥ 20": few["excellent"] >= 20, "fair ≤ 5": few["fair"] <= 5,
             "poor ≤ 1": few["poor"] <= 1}
    return found | {"W < 0.1": row.wasserstein is not None and row.wasserstein.value < 0.1}
