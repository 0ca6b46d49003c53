"""All compressors at all rates, measured on the same fresh scenes; `course_lib.tokens.table` is its door and says what the columns are."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm.auto import tqdm

from course_lib.core.errors import BadInput
from course_lib.core.paths import DATA
from course_lib.core.weights import load_pretrained, read_card
from course_lib.tokens.baselines import AveragePooling, Bilinear, Downsampled, MeanToken, PCAField, RandomPick, StridedPick
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.compressor import Compressed, Compressor, Grid, Standard
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.merging import KMeans, ToMe
from course_lib.tokens.metrics import (
    Distance, Seen, Share, centred_cosine, coded_bits, compress, cosine, draw, gain, median_distance, mmd, quantised, share, sliced_wasserstein,
    variance_unexplained, zero_shot)
from course_lib.tokens.provenance import clip_record
from course_lib.tokens.zero_shot import ZeroShot

RATES = (4, 9, 16, 36)
SCENES, FITTED, LEVELS = 100, 320, 4
TRAINING, FRESH = 0, 2**41  # seeds of scenes; the recipe validates on 2**40
POINTS, POINTS_MMD = 2000, 500  # tokens on either side of a distance
AT_ONCE = 32  # pictures
PLAIN = (AveragePooling, Bilinear, StridedPick, RandomPick, KMeans, ToMe)  # called with an output grid, nothing to fit
NOTHING = "CLS only"  # the row of `MeanToken`
LEARNED = {"learned": ("compress_{}x", RATES), "learned, critic": ("compress_{}x_critic", (16,)),
           "RF, critic": ("compress_rf_{}x", RATES)}  # names of weights, and the rates they are shipped at


class Row(NamedTuple):
    """A compressor at a rate; see above. `put_back` and `rebuilt` are differences to CLS alone, for every question of `QUESTIONS`."""

    name: str
    rate: int | None  # None: no token passes, and there is nothing to compare with real ones
    cosine: float
    centred_cosine: float
    variance_unexplained: float
    numbers: int
    side_bits: float
    bits: float
    coded_unexplained: float
    wasserstein: Distance | None
    mmd: Distance | None
    put_back: dict[str, Share]
    rebuilt: dict[str, Share]


class Table(NamedTuple):
    """Rows by rate; zero-shot answers with all tokens, with CLS alone and by chance; the step of the rounding in CLIP's own scale; a
    sentence for each shipped compressor that is not there."""

    rows: list[Row]
    full: dict[str, Share]
    cls_only: dict[str, Share]
    chance: dict[str, float]
    step: float
    missing: list[str]


def compressor_table(clip: ClipTokens, scenes: int = SCENES, fitted: int = FITTED, rates: Sequence[int] = RATES, levels: int = LEVELS,
                     folder: Path = DATA / "weights", progress: bool = True, only: Sequence[str] | None = None) -> Table:
    """The table for the tokens of `clip`, measured on so many fresh scenes.

    fitted: training scenes for PCA and means. levels: tokens are rounded to their standard deviation (root mean square over channels)
    over so many. folder: of the shipped compressors. only: the names of the rows that are wanted; None for all.
    Raises `BadInput`: too few scenes; a rate that is no square or whose side does not divide the grid; a shipped compressor of another CLIP.
    """
    if min(scenes, fitted) < 8 or levels < 1:
        raise BadInput(f"scenes and fitted must be at least 8 and levels at least 1, not {scenes}, {fitted} and {levels}.")
    grids = {rate: output_grid(clip.grid, rate) for rate in rates}
    world = CaptionedScenes(clip.resolution, samples=scenes, seed=FRESH)
    seen = encoded(clip, world, progress)
    training = encoded(clip, CaptionedScenes(clip.resolution, samples=fitted, seed=TRAINING), progress).tokens
    scale = Standard(clip.dim)
    scale.fit(training)
    missing: list[str] = []
    wanted = [(name, rate, make) for rate, grid in grids.items() for name, make in contenders(clip, grid, rate, training, folder, missing)
              if only is None or name in only]
    with tqdm(desc="reading captions", total=len(wanted), unit="row", disable=not progress) as bar:
        questions = ZeroShot.about(world.batch(range(scenes)), clip).candidates
        judge = Judge(clip, seen, scale, questions, step_of(scale, levels))
        rows = [judge.row(NOTHING, None, MeanToken.fit(training.split(AT_ONCE)))]
        for name, rate, make in wanted:
            bar.set_description(f"{name} {rate}x")
            rows.append(judge.row(name, rate, make()))
            bar.update()
    chance = {name: 1 / texts.shape[1] for name, texts in judge.questions.items()}
    full, cls_only = ({name: share(right) for name, right in answers.items()} for answers in (judge.full, judge.cls_only))
    return Table(rows, full, cls_only, chance, judge.step, missing)


def contenders(clip: ClipTokens, grid: tuple[int, int], rate: int, training: Grid, folder: Path, missing: list[str]
               ) -> Iterator[tuple[str, Callable[[], Compressor]]]:
    """Name and maker of each compressor to `grid`; shipped ones that are not there are named in `missing`."""
    yield "Downsampled", partial(Downsampled, clip, grid)
    for kind in PLAIN:
        yield kind.__name__, partial(kind, grid)
    yield "PCAField", lambda: PCAField.fit(training.split(AT_ONCE), grid)
    for label, (pattern, rates) in LEARNED.items():
        name = pattern.format(rate)
        if rate not in rates:
            continue
        if (folder / f"{name}.safetensors").exists():
            yield label, partial(shipped, name, folder, clip, grid)
        else:
            missing.append(f"{name} is not among the weights of {folder.name}/, so its row is left out.")


def shipped(name: str, folder: Path, clip: ClipTokens, grid: tuple[int, int]) -> LearnedCompressor:
    """A shipped compressor; raises `BadInput` if it is of another CLIP or another grid."""
    model, known = load_pretrained(name, folder, LearnedCompressor), read_card(folder / name).get("clip")
    same = known is None or all(known[key] == value for key, value in clip_record(clip).items() if key != "name")
    if not same or (model.dim, tuple(model.grid), tuple(model.output_grid)) != (clip.dim, clip.grid, grid):
        raise BadInput(f"{name} compresses tokens of another CLIP than {clip.name}, or not to a grid of {grid[0]} × {grid[1]}; train it again.")
    return model


def step_of(scale: Standard, levels: int = LEVELS) -> float:
    """What tokens are rounded to, in their own units: their standard deviation (root mean square over channels) over so many levels."""
    return float(scale.std.square().mean().sqrt()) / levels


def output_grid(grid: Sequence[int], rate: int) -> tuple[int, int]:
    """The grid of 1 / rate as many tokens: fields of √rate × √rate."""
    side = math.isqrt(max(rate, 0))
    if not side or side**2 != rate or grid[0] % side or grid[1] % side:
        raise BadInput(f"a rate must be the square of a number that divides {grid[0]} and {grid[1]}, such as 4 or 16, not {rate}.")
    return grid[0] // side, grid[1] // side


@torch.no_grad()
def encoded(clip: ClipTokens, world: CaptionedScenes, progress: bool = False) -> Seen:
    """All scenes of an epoch: tokens, CLS and pixels, on the CPU."""
    parts = []
    for first in tqdm(range(0, len(world), AT_ONCE), desc="encoding scenes", unit="batch", disable=not progress):
        pixels = clip.normalized(world.batch(range(first, min(first + AT_ONCE, len(world))))["image"])
        parts.append((*(part.float().cpu() for part in clip.encode(pixels)), pixels))
    return Seen(*map(torch.cat, zip(*parts)))


class Judge:
    """What all rows share: the scenes, the questions, what CLIP answers with all tokens and with none, the floors."""

    def __init__(self, clip: ClipTokens, seen: Seen, scale: Standard, questions: dict[str, Tensor], step: float):
        self.clip, self.seen, self.scale, self.questions, self.step = clip, seen, scale, questions, step
        self.full, self.cls_only = self.answers(seen.tokens.flatten(1, 2)), self.answers(seen.tokens[:, 0, :0])
        self.real = scale(seen.tokens).flatten(0, 2)
        bandwidth = median_distance(draw(self.real, POINTS_MMD, 0))
        self.distances = {"wasserstein": (sliced_wasserstein, POINTS), "mmd": (partial(mmd, bandwidth=bandwidth), POINTS_MMD)}
        self.floors: dict[tuple[str, int], tuple[Tensor, float]] = {}

    @torch.no_grad()
    def row(self, name: str, rate: int | None, compressor: Compressor) -> Row:
        """Everything that is measured of one compressor; the columns are those of `Row`."""
        tokens, mean = self.seen.tokens, self.scale.mean
        passed = joined([compress(compressor, Seen(*part)) for part in zip(*(each.split(AT_ONCE) for each in self.seen))])
        rounded = quantised(passed.tokens, self.step)
        rebuilt, coded = (expanded(compressor, passed._replace(tokens=these)) for these in (passed.tokens, rounded * self.step))
        bits = passed.tokens.shape[1] * coded_bits(rounded.flatten(0, 1)) + passed.bits
        return Row(name, rate, float(cosine(rebuilt, tokens).mean()), float(centred_cosine(rebuilt, tokens, mean).mean()),
                   variance_unexplained(rebuilt, tokens, mean), math.prod(passed.tokens.shape[1:]), passed.bits, bits,
                   variance_unexplained(coded, tokens, mean),
                   **{name: None if rate is None else self.distance(name, passed.tokens) for name in self.distances},
                   **{way: self.gains(these) for way, these in {"put_back": passed.tokens, "rebuilt": rebuilt.flatten(1, 2)}.items()})

    def distance(self, name: str, passed: Float[Tensor, "pictures n dim"]) -> Distance:
        """Of tokens that pass to one half of the real ones, and from the other half to the same; all cut to the same number, on which both
        distances depend, so the floor is measured once for each number."""
        (measure, most), made = self.distances[name], self.scale(passed).flatten(0, 1)
        few = min(most, len(made), len(self.real) // 2)
        if (name, few) not in self.floors:
            real, others = draw(self.real, 2 * few, 1).split(few)
            self.floors[name, few] = real, measure(others, real)
        real, floor = self.floors[name, few]
        return Distance(measure(draw(made, few, 0), real), floor)

    def gains(self, tokens: Float[Tensor, "pictures n dim"]) -> dict[str, Share]:
        """How much better each question is answered with these tokens than with CLS alone."""
        return {name: gain(right, self.cls_only[name]) for name, right in self.answers(tokens).items()}

    def answers(self, tokens: Float[Tensor, "pictures n dim"]) -> dict[str, Bool[Tensor, "pictures"]]:
        """Whether each question about each picture is answered rightly, if CLIP goes on with its CLS and these tokens."""
        return self.told(self.images(tokens))

    @torch.no_grad()
    def images(self, tokens: Float[Tensor, "pictures n dim"]) -> Float[Tensor, "pictures embed"]:
        """The embeddings of the pictures, if CLIP goes on with its CLS and these tokens."""
        return torch.cat([self.clip.replay(*part) for part in zip(tokens.split(AT_ONCE), self.seen.cls.split(AT_ONCE))])

    def told(self, images: Float[Tensor, "pictures embed"]) -> dict[str, Bool[Tensor, "pictures"]]:
        """Whether each question is answered rightly by these embeddings."""
        return {name: zero_shot(images, texts) for name, texts in self.questions.items()}


def joined(parts: Sequence[Compressed]) -> Compressed:
    """Batches as one; bits: the mean over pictures."""
    many = [len(part.tokens) for part in parts]
    bits = sum(part.bits * n for part, n in zip(parts, many)) / sum(many)
    return Compressed(torch.cat([part.tokens for part in parts]), torch.cat([part.owner for part in parts]), bits)


def expanded(compressor: Compressor, passed: Compressed) -> Grid:
    """The rebuilt grids of all pictures, some at a time."""
    parts = zip(passed.tokens.split(AT_ONCE), passed.owner.split(AT_ONCE))
    return torch.cat([compressor.expand(Compressed(tokens, owner, passed.bits)) for tokens, owner in parts])
