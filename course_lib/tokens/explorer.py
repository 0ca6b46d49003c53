"""The sliders of Part IV: what one token of a CLIP is near to."""

from collections.abc import Sequence
from copy import copy

import torch
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.explorer import Explorer, choice, stops
from course_lib.core.threads import one_thread
from course_lib.slots.scenes import Scenes
from course_lib.tokens.captions import COLOUR_NAMES, KINDS, SIZES, CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.moving import Neighbours, TokenPicture, examples, lies_on, tokens_figure

SCENES = 12  # stops of the slider
HELD_OUT = 2**40  # seed of scenes that no training has, the same as `recipe_clip` measures on
NEEDED = ("image", "ids", "kind", "colour_index", "size_index")
MULTIPLES = 4  # tokens in the still figure, at most


class TokenExplorer(Explorer):
    """Slide one token over a scene and see what it is near to, behind any layer.

    Controls: `scene` (from 1), `row` and `column` of the token (from 0), `layer` (0, the input of the first, to L, the output of the
    last), and `measure`: "cosine", or "centred", after the mean token of the picture is subtracted from all.
    clip: by default the shipped one, behind its own layer at first; it is left as it is. scenes: a batch of `CaptionedScenes` that fits
    its patches, by default 12 held-out ones. A scene is encoded once for each layer, when it is first looked at.
    Raises `BadInput` if there is no scene, it is not captioned, patches do not fit into it, or the picture is a single token.
    """

    def __init__(self, clip: ClipTokens | None = None, scenes: Scenes | None = None):
        self.clip = ClipTokens.load("clip") if clip is None else clip
        self.scenes = CaptionedScenes(self.clip.resolution, seed=HELD_OUT).batch(range(SCENES)) if scenes is None else scenes
        if not self.scenes or not len(next(iter(self.scenes.values()))):
            raise BadInput("there is no scene to explore; give at least one.")
        if lacking := [name for name in NEEDED if name not in self.scenes]:
            raise BadInput(f"the scenes lack {', '.join(lacking)}; give a batch of CaptionedScenes.")
        height, width = self.grid = self.clip.grid_of(*self.scenes["image"].shape[2:])
        if height * width < 2:
            raise BadInput("a picture of one token has nothing to compare it with; give larger pictures.")
        self._encoded: dict[tuple[int, int], Tensor] = {}
        self._picture, self.layers = TokenPicture(self.grid), len(self.clip.clip.vision_model.encoder.layers)
        row, column = examples(self._under(0))[0]
        measure = choice([("cosine", "cosine"), ("centred cosine", "centred")], "measure")
        super().__init__(
            self._picture.figure, self._picture.moving, scene=stops(list(range(1, len(self.scenes["image"]) + 1)), "scene", width="17em"),
            row=stops(list(range(height)), "row", row, width="20em"), column=stops(list(range(width)), "column", column, width="20em"),
            layer=stops(list(range(self.layers + 1)), "layer", self.clip.layer, width="17em"), measure=measure)

    def update(self) -> str:
        found = self._found((self.row.value, self.column.value))
        self._picture.set(self.scenes["image"][self.scene.index], found)
        return found.words(f"Layer {self.layer.value} of {self.layers}", self._names())

    def still(self, places: Sequence[tuple[int, int]] | None = None) -> Figure:
        """Small multiples: the tokens at `places` (row, column) of the scene that is shown now, with the other controls as they stand;
        by default one in the middle of each of up to three objects and one on the background. Raises `BadInput` for no place, and for
        one outside the grid."""
        if places is None:
            *most, last = examples(self._under(self.scene.index))
            places = [*most[: MULTIPLES - 1], last]
        found = [self._found(tuple(place)) for place in places]
        names = ["background", *self._names()]
        titles = [f"{names[each.under[each.place]]}\nrow {each.place[0]}, column {each.place[1]}" for each in found]
        return tokens_figure(self.scenes["image"][self.scene.index], found, titles)

    def _found(self, place: tuple[int, int]) -> Neighbours:
        """The token at a place of the scene and layer of the sliders among the others."""
        with one_thread():
            return Neighbours.of(self._tokens(self.scene.index, self.layer.value), self._under(self.scene.index), place,
                                 self.measure.value == "centred")

    def _under(self, scene: int) -> Int64[Tensor, "height width"]:
        return lies_on(self.scenes["ids"][scene], self.grid)

    def _names(self) -> list[str]:
        """"small red circle" for each object of the scene of the slider."""
        rows = (self.scenes[name][self.scene.index].tolist() for name in ("size_index", "colour_index", "kind"))
        return [f"{tuple(SIZES)[size]} {COLOUR_NAMES[colour]} {KINDS[kind]}" for size, colour, kind in zip(*rows)]

    @torch.no_grad()
    def _tokens(self, scene: int, layer: int) -> Float[Tensor, "height width dim"]:
        """The tokens of a scene behind a layer, encoded when they are first asked for."""
        if (scene, layer) not in self._encoded:
            view = copy(self.clip)  # the same weights, cut elsewhere
            view.layer = layer
            pixels = view.normalized(self.scenes["image"][[scene]].to(view.clip.logit_scale.device))
            self._encoded[scene, layer] = view.encode(pixels).tokens[0].float().cpu()
        return self._encoded[scene, layer]
