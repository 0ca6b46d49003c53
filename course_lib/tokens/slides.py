"""The pictures of the lecture on Part IV, drawn from the shipped weights and from recorded claims: the same models give the same slides."""

import html
import re
from collections.abc import Sequence
from functools import cache

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from course_lib.core.claims import quotable
from course_lib.core.frames import Frames
from course_lib.core.paths import DATA
from course_lib.core.projector import SCREEN, photograph, projected
from course_lib.core.style import new_figure
from course_lib.core.threads import one_thread
from course_lib.core.weights import read_card
from course_lib.slots.scenes import Scenes
from course_lib.tokens.baselines import AveragePooling, StridedPick
from course_lib.tokens.captions import COLOUR_NAMES, FACTORS, KINDS, SIZES, Captioned, CaptionedScenes, captions
from course_lib.tokens.comparison import encoded
from course_lib.tokens.compressor import Standard
from course_lib.tokens.explorer_rates import RATES, RateExplorer, default_compressors
from course_lib.tokens.figures_clip import similarity_figure, zero_shot_figure
from course_lib.tokens.figures_contrast import captioned_figure, matrix_figure
from course_lib.tokens.figures_global import Bars, bars_figure, grids_figure
from course_lib.tokens.merging import KMeans, ToMe
from course_lib.tokens.metrics import Seen
from course_lib.tokens.moving import GroupPanel, MapPanel, Neighbours, examples, lies_on
from course_lib.tokens.slides_fields import ceiling, clip, counted, heat_frames, reach, sides, worst
from course_lib.tokens.slides_line import critics, game_frames
from course_lib.tokens.zero_shot import embedded

HELD_OUT = 2**40  # seed of scenes that no training has, as in the notebooks
SHOWN, RATED = 3, 1  # the scene of the pictures that show one; that of the rate slider
WALK = 12  # stops of the token that walks
GRIDS = {4: (12, 12), 9: (8, 8), 16: (6, 6), 36: (4, 4)}
AT_16 = {"learned": "learned", "pca": "PCA of fields", "kmeans": "k-means", "tome": "ToMe", "pool": "average pooling", "strided": "strided pick",
         "smaller": "smaller picture"}  # keys of the claims of notebook 11, and how the slide calls them


@cache
def scenes() -> Scenes:
    return CaptionedScenes(clip().resolution, seed=HELD_OUT).batch(range(24))


@cache
def seen() -> Seen:
    """The tokens of the scenes, with their CLS and pixels."""
    with one_thread():
        return encoded(clip(), CaptionedScenes(clip().resolution, samples=24, seed=HELD_OUT))


@cache
def scale() -> Standard:
    """(x − mean) / std of every channel over some training scenes."""
    with one_thread():
        found = Standard(clip().dim)
        found.fit(encoded(clip(), CaptionedScenes(clip().resolution, samples=64, seed=0)).tokens)
    return found


def larger(figure: Figure, size: float) -> Figure:
    """The same figure with titles, labels of axes and words inside in `size` points."""
    for axes in figure.axes:
        axes.set_title(axes.get_title() or axes.get_title(loc="left"), size=size, loc="center")
        axes.title.set_ha("center")
        axes._left_title.set_text("")
        for text in (axes.xaxis.label, axes.yaxis.label, *axes.texts):
            text.set_size(size)
    return figure


def captioned() -> Figure:
    """Scenes of two or three objects, the first whose captions are short enough for a slide."""
    few = CaptionedScenes(clip().resolution, max_objects=3, seed=HELD_OUT).batch(range(40))
    texts = captions(few)
    short = [row for row, text in enumerate(texts) if len(text) < 86][:4]
    return larger(captioned_figure(few["image"][short], [texts[row] for row in short], width=26), 14)


@torch.no_grad()
def matrix() -> Figure:
    """The cosines of a batch of 32 pairs of neighbours, whole and its corner."""
    batch = Captioned(CaptionedScenes(clip().resolution, seed=HELD_OUT, neighbours=True), clip().tokenizer).batch(range(32))
    with one_thread():
        texts = nn.functional.normalize(clip().clip.get_text_features(batch["text"]).pooler_output, dim=-1)
        cosines = embedded(clip(), batch["image"]) @ texts.mT
    return larger(matrix_figure({"64 pictures, 64 captions": cosines, "the upper left corner": cosines[:16, :16]}), 14)


def zero_shot() -> Figure:
    """What notebook 10 claims about answers on seen and held-out combinations, beside chance."""
    said, names = quotable(), (*FACTORS, "joint")
    found = dict(read_card(DATA / "weights" / "clip")["metrics"])
    found |= {f"{name}{ending}": float(said[f"tokens.clip_{name}{ending}"]) for name in names for ending in ("", "_held_out")}
    figure = zero_shot_figure(found, names)
    figure.axes[0].set_title("")
    figure.axes[0].set_xticks(range(len(names)), ["kind\nof 3", "colour\nof 8", "size\nof 2", "place\nof 6", "all four\nof 288"])
    for text in figure.axes[0].texts:
        text.set_size(13)
    return figure


def exchanged() -> Figure:
    """Right answers if one word is exchanged between two objects, as notebook 10 claims them."""
    said = quotable()
    return big_bars([Bars("", {f"{name}s": float(said[f"tokens.clip_exchange_{name}"]) for name in ("size", "kind", "colour", "place")},
                          0.5, "chance", ".2f")])


def big_bars(panels: Sequence[Bars]) -> Figure:
    """`bars_figure` for a projector."""
    figure = bars_figure(panels)
    for axes in figure.axes:
        axes.set_title(axes.get_title(loc="left"), size=14)
        for text in axes.texts:
            text.set_size(13)
        if legend := axes.get_legend():
            for text in legend.get_texts():
                text.set_size(13)
    return figure


def places() -> Figure:
    """Similarity maps of a token on an object and of one on the background, plain and centred."""
    tokens = seen().tokens[0]
    on_object, *_, on_background = examples(lies_on(scenes()["ids"][0], clip().grid))
    return larger(similarity_figure(scenes()["image"][0], {"cosine": tokens, "centred cosine": tokens - tokens.mean((0, 1))},
                                    [on_object, on_background]), 14)


class WalkPicture:
    """A scene with the token that walks, its cosines with all others, and these by what they lie on; `set` shows another place."""

    def __init__(self, grid: tuple[int, int]):
        self.figure = new_figure(11.5, 4.1)
        left, right, beside = self.figure.subplots(1, 3, width_ratios=[1, 1, 1.05])
        self.maps = [MapPanel(left, grid, heat=False, ring=6), MapPanel(right, grid, heat=True, ring=6)]
        self.groups = GroupPanel(beside, grid, size=18, font=13)
        for axes, title in ((left, "its ten nearest tokens"), (right, "centred cosine with all"), (beside, "by what they lie on")):
            axes.set_title(title, size=14)
        for axes in (left, right):
            axes.set(xticks=[], yticks=[])
        beside.set_xlabel("centred cosine")

    def set(self, image: Tensor, found: Neighbours) -> None:
        """Show the token `found` in `image`."""
        for panel in self.maps:
            panel.set(image, found)
        self.groups.set(found)


def walk_frames() -> Frames:
    """A token walks over the background from object to object of a scene: what it is near to, centred."""
    under, image, tokens = lies_on(scenes()["ids"][SHOWN], clip().grid), scenes()["image"][SHOWN], seen().tokens[SHOWN]
    rows = zip(*(scenes()[name][SHOWN].tolist() for name in ("size_index", "colour_index", "kind")))
    names = [f"{tuple(SIZES)[size]} {COLOUR_NAMES[colour]} {KINDS[kind]}" for size, colour, kind in rows]
    stops = route(examples(under)[:-1], WALK)
    images, captioned = [], []
    with matplotlib.rc_context(SCREEN):
        picture = WalkPicture(clip().grid)
        for place in stops:
            found = Neighbours.of(tokens, under, place, centred=True)
            picture.set(image, found)
            images.append(photograph(picture.figure))
            captioned.append(plain(found.words("Layer −2", names)))
    return Frames(images, [f"{row}, {column}" for row, column in stops], captioned, "row, column", 0)


def route(corners: Sequence[tuple[int, int]], many: int) -> list[tuple[int, int]]:
    """About so many places, all corners among them, at even steps along the straight lines between them; none twice in a row."""
    corner = np.array(corners, dtype=float)
    legs = np.linalg.norm(np.diff(corner, axis=0), axis=1)
    found = [corners[0]]
    for start, end, leg in zip(corner, corner[1:], legs):
        steps = max(1, round((many - 1) * leg / legs.sum()))
        found += [tuple(int(round(x)) for x in start + (end - start) * k / steps) for k in range(1, steps + 1)]
    return [place for place, before in zip(found, [None, *found]) if place != before]


def plain(words: str) -> str:
    """The words of an explorer without their marks."""
    return html.unescape(re.sub(r"<[^>]+>", "", words))


def grids() -> Figure:
    """One scene's tokens as colours: means of squares at four rates, and 36 tokens chosen in three other ways."""
    tokens = seen().tokens[[SHOWN]]
    pooled = {f"means, {rate}×": AveragePooling(grid) for rate, grid in GRIDS.items()}
    others = {"strided pick, 16×": StridedPick(GRIDS[16]), "k-means, 16×": KMeans(GRIDS[16]), "ToMe, 16×": ToMe(GRIDS[16])}
    with one_thread():
        rows = [{title: scale()(c.expand(c(tokens))[0]) for title, c in row.items()} for row in (pooled, others)]
    return larger(grids_figure(scenes()["image"][SHOWN], scale()(tokens[0]), rows), 14)


def at_16() -> Figure:
    """The compressors at 16× as notebook 11 claims them: what is unexplained, and joint answers rebuilt and put back."""
    said = quotable()

    def values(ending: str) -> dict[str, float]:
        return {name: float(said.get(f"tokens.rates_{key}_{ending}", np.nan)) for key, name in AT_16.items()}

    nothing = float(said["tokens.rates_cls"])
    put_back = {name: 0.0 if np.isnan(value) else value for name, value in values("put_back").items()}
    figure = big_bars([Bars("variance unexplained", values("unexplained"), form=".3f"),
                       Bars("answers, rebuilt", values("rebuilt"), nothing, "CLS only", ".0%"),
                       Bars("answers, put back", put_back, nothing, "CLS only", ".0%")])
    for text, value in zip(figure.axes[-1].texts, put_back.values(), strict=True):
        text.set_text(text.get_text() if value else "not asked")
    return figure


def rate_frames() -> Frames:
    """One scene through four compressors at every rate: the cosine of each rebuilt token with its original."""
    names, images, words = ("learned", "average pooling", "strided pick", "k-means"), [], []
    every = default_compressors(clip())
    one = {name: value[RATED : RATED + 1] for name, value in scenes().items()}
    with one_thread():
        explorer = RateExplorer(clip(), {name: every[name] for name in names}, one)
    for rate in RATES:
        explorer.rate.value = rate
        with matplotlib.rc_context(SCREEN):
            figure = larger(explorer.still(names), 13)
            figure.set_size_inches(11.5, 3.9)
            images.append(photograph(figure))
        words.append(f"Each of the tokens that pass stands for {rate} places; dark places do not come back.")
    return Frames(images, [f"{rate}×" for rate in RATES], words, "rate", 0)


SLIDE_FIGURES = {
    "captioned": projected(captioned, 11.5, 4.0),
    "matrix": projected(matrix, 9.5, 4),
    "zero_shot": projected(zero_shot, 11.5, 4.2),
    "exchanged": projected(exchanged, 6, 3.6),
    "places": projected(places, 9, 5.2),
    "grids": projected(grids, 11.5, 4.6),
    "at_16": projected(at_16, 11.5, 4.2),
    "critics": projected(critics, 11.5, 4.1),
    "sides": projected(sides, 11.5, 3.3),
    "ceiling": projected(ceiling, 11.5, 4),
    "counted": projected(counted, 11.5, 4),
    "worst": projected(worst, 11.5, 4.8),
    "reach": projected(reach, 11.5, 4.2),
}
SLIDE_DEMOS = {"walk": walk_frames, "game": game_frames, "rates": rate_frames, "heat": heat_frames}
