"""The controls of compression: which compressor, how many tokens, and what is left of a scene."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ipywidgets as widgets
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.explorer import Explorer, stops
from course_lib.core.threads import one_thread
from course_lib.core.weights import find_weights
from course_lib.slots.scenes import Scenes
from course_lib.tokens.baselines import AveragePooling, Bilinear, Downsampled, RandomPick, StridedPick
from course_lib.tokens.captions import COLOUR_NAMES, FACTORS, KINDS, PLACES, SIZES, CaptionedScenes, Object, describe, objects
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.compressor import Compressor, Standard
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.merging import KMeans, ToMe
from course_lib.tokens.metrics import Seen, centred_cosine, compress, cosine, field_cosine, variance_unexplained
from course_lib.tokens.moving_rates import Answer, Kept, RatePicture, kept_figure

SCENES, START = 12, 16  # stops of the slider; the rate that is shown first
HELD_OUT = 2**40  # seed of scenes that no training has
RATES = (4, 9, 16, 36)
NAMES = dict(zip(FACTORS, (KINDS, COLOUR_NAMES, tuple(SIZES), PLACES)))  # what may be answered
PLAIN = {"average pooling": AveragePooling, "bilinear": Bilinear, "strided pick": StridedPick, "random pick": RandomPick, "k-means": KMeans, "ToMe": ToMe}


class Question(NamedTuple):
    """Of the first object: what may be answered, the true answer first, and how a caption with each is embedded."""

    names: list[str]
    texts: Float[Tensor, "candidates embed"]


class RateExplorer(Explorer):
    """Choose a compressor and a rate, and see what is left of a scene: cosines, fields, and what CLIP answers.

    Controls: `compressor` (by name), `rate` (places for each token that passes), `scene` (from 1).
    compressors: {name: {rate: compressor}}, by default the shipped ones and those that learn nothing. One that lacks the rate of the slider is
    shown at the rate nearest to it that it has, and the words say so. scenes: a batch of `CaptionedScenes` of the CLIP's resolution, by
    default 12 held-out ones. The mean of centred cosine and variance is that of all their tokens.
    CLIP is asked for kind, colour, size and place of the first object, each among all values; places that others hold are left out.
    Raises `BadInput`: no compressor, no scene or scenes without captions, a compressor for another grid.
    """

    PICTURE = RatePicture

    def __init__(self, clip: ClipTokens | None = None, compressors: Mapping[str, Mapping[int, Compressor]] | None = None,
                 scenes: Scenes | None = None):
        self.clip = ClipTokens.load("clip") if clip is None else clip
        self.compressors = default_compressors(self.clip) if compressors is None else compressors
        self.scenes = CaptionedScenes(self.clip.resolution, seed=HELD_OUT).batch(range(SCENES)) if scenes is None else scenes
        if not self.compressors or not all(self.compressors.values()):
            raise BadInput("there is no compressor to explore; give at least one, with at least one rate each.")
        if lacking := [name for name in ("image", "kind", "colour_index", "size_index", "place") if not len(self.scenes.get(name, []))]:
            raise BadInput(f"the scenes lack {', '.join(lacking)}; give a batch of CaptionedScenes with at least one scene.")
        self.seen = self._encoded()
        self.scale = Standard(self.seen.tokens.shape[-1])
        self.scale.fit(self.seen.tokens)
        self._questions: dict[int, dict[str, Question]] = {}
        self._uncompressed: dict[int, dict[str, dict[str, Answer]]] = {}
        self._picture = self.PICTURE(self.clip.grid, FACTORS)
        rates = sorted({rate for each in self.compressors.values() for rate in each})
        options = list(self.compressors)
        chosen = widgets.Dropdown(options=options, value=options[0], description="compressor", style={"description_width": "initial"})
        super().__init__(
            self._picture.figure, self._picture.moving, compressor=chosen,
            rate=stops(rates, "rate", START if START in rates else rates[0], width="17em"),
            scene=stops(list(range(1, len(self.scenes["image"]) + 1)), "scene", width="17em"))

    def update(self) -> str:
        kept = self._kept(self.compressor.value)
        self._picture.set(self.scenes["image"][self.scene.index], kept)
        return kept.words()

    def still(self, names: Sequence[str] | None = None) -> Figure:
        """Small multiples: these compressors (by default all) at the rate and scene of the sliders; raises `BadInput` for an unknown name or none."""
        names = list(self.compressors) if names is None else list(names)
        if unknown := [name for name in names if name not in self.compressors]:
            raise BadInput(f"there is no compressor {unknown[0]!r}; there are {', '.join(self.compressors)}.")
        return kept_figure(self.scenes["image"][self.scene.index], [self._kept(name) for name in names])

    @torch.no_grad()
    def _kept(self, name: str) -> Kept:
        """What this compressor keeps of the scene of the slider."""
        have, wanted, number, mean = self.compressors[name], self.rate.value, self.scene.index, self.scale.mean
        rate = self._rate_of(name)
        note = "" if rate == wanted else f" (At {wanted}× there is no {name}; shown is {rate}×.)"
        seen = Seen(*(each[[number]] for each in self.seen))
        with one_thread():
            compressed = compress(have[rate], seen)
            rebuilt = have[rate].expand(compressed)
            if rebuilt.shape != seen.tokens.shape:
                raise BadInput(f"{name} gives a grid of {rebuilt.shape[1]} × {rebuilt.shape[2]} tokens, and the picture has "
                               f"{seen.tokens.shape[1]} × {seen.tokens.shape[2]}.")
            new = {"rebuilt": rebuilt.flatten(1, 2), "put_back": compressed.tokens}
            answers = self._before(number, seen) | {way: self._answers(tokens, seen.cls) for way, tokens in new.items()}
        fields = field_cosine(rebuilt, seen.tokens, have[rate].output_grid)[0]
        return Kept(name, cosine(rebuilt, seen.tokens)[0], fields, float(centred_cosine(rebuilt, seen.tokens, mean).mean()),
                    variance_unexplained(rebuilt, seen.tokens, mean), compressed.tokens.shape[1], compressed.bits, answers, note, rebuilt[0])

    def _rate_of(self, name: str) -> int:
        """The rate that this compressor is shown at: of those it has the nearest to the slider's."""
        return min(self.compressors[name], key=lambda each: (abs(each - self.rate.value), each))

    def _before(self, number: int, seen: Seen) -> dict[str, dict[str, Answer]]:
        """What is answered with all tokens and with none: of a scene once."""
        if number not in self._uncompressed:
            shown = {"full": seen.tokens.flatten(1, 2), "cls_only": seen.tokens[:, 0, :0]}
            self._uncompressed[number] = {way: self._answers(tokens, seen.cls) for way, tokens in shown.items()}
        return self._uncompressed[number]

    def _answers(self, tokens: Float[Tensor, "1 n dim"], cls: Float[Tensor, "1 dim"]) -> dict[str, Answer]:
        image = self.clip.replay(tokens, cls)[0]
        found = {}
        for factor, (names, texts) in self._asked(self.scene.index).items():
            best = int((texts @ image).argmax())
            found[factor] = Answer(best == 0, _short(names[best]))
        return found

    def _asked(self, number: int) -> dict[str, Question]:
        """The questions about a scene, read when it is first looked at."""
        if number not in self._questions:
            self._questions[number] = {
                factor: Question(names, self.clip.text_embedding(captions))
                for factor, (names, captions) in questions(objects({name: each[[number]] for name, each in self.scenes.items()})[0]).items()}
        return self._questions[number]

    @torch.no_grad()
    def _encoded(self) -> Seen:
        with one_thread():
            pixels = self.clip.normalized(self.scenes["image"].to(self.clip.clip.logit_scale.device))
            tokens, cls = self.clip.encode(pixels)
        return Seen(tokens.float(), cls.float(), pixels)


def questions(scene: Sequence[Object]) -> dict[str, tuple[list[str], list[str]]]:
    """For each factor the values that its first object might have and a caption with each, the true one first; other objects stay."""
    first, *others = scene
    taken = {each.place for each in others}
    found = {}
    for factor, names in NAMES.items():
        free = [value for value in range(len(names)) if value != getattr(first, factor) and (factor != "place" or value not in taken)]
        values = [getattr(first, factor), *free]
        found[factor] = [names[value] for value in values], [describe([first._replace(**{factor: value}), *others]) for value in values]
    return found


def default_compressors(clip: ClipTokens) -> dict[str, dict[int, Compressor]]:
    """The shipped compressors and those that learn nothing, at all rates whose fields divide the grid of the CLIP; that with a critic at 16.

    Raises `BadInput` if weights are missing.
    """
    grids = grids_of(clip)
    shipped = {"learned": {rate: find_weights(f"compress_{rate}x", LearnedCompressor) for rate in grids},
               "learned, critic": {START: find_weights(f"compress_{START}x_critic", LearnedCompressor)}}
    plain = {name: {rate: kind(grid) for rate, grid in grids.items()} for name, kind in PLAIN.items()}
    return shipped | plain | {"smaller picture": {rate: Downsampled(clip, grid) for rate, grid in grids.items()}}


def grids_of(clip: ClipTokens) -> dict[int, tuple[int, int]]:
    """The output grid of every rate of `RATES` whose square fields divide the grid of the CLIP."""
    sides = {rate: round(rate**0.5) for rate in RATES}
    return {rate: (clip.grid[0] // side, clip.grid[1] // side) for rate, side in sides.items() if not (clip.grid[0] % side or clip.grid[1] % side)}


def _short(place: str) -> str:
    """A place in a cell of the table: "at the top left" → "top left"."""
    return place.removeprefix("at the ").removeprefix("in the ")
