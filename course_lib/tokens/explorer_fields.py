"""The compression slider: which compressor, how many tokens, and what becomes of every field of a scene."""

import html
from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from course_lib.core.errors import BadInput
from course_lib.core.paths import DATA
from course_lib.core.weights import load_pretrained
from course_lib.slots.scenes import Scenes
from course_lib.tokens.baselines import AveragePooling, PCAField, StridedPick
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.compressor import Compressor
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.decoder_rf import RFCompressor
from course_lib.tokens.explorer_rates import START, RateExplorer, grids_of
from course_lib.tokens.fields import field_resultant
from course_lib.tokens.figures_tokens import token_colours
from course_lib.tokens.moving_fields import FieldsPicture, letters_of_bands
from course_lib.tokens.moving_rates import Kept
from course_lib.tokens.single import MeanDirection

SINGLE = {"best single token": MeanDirection, "average pooling": AveragePooling, "strided pick": StridedPick}
FITTED = 32  # grids in memory while a PCA is fitted
LARGEST = 4096  # values of a field up to which a PCA is fitted in some seconds

Choice = Compressor | BadInput  # a compressor, or why it is not there


class CompressionExplorer(RateExplorer):
    """Move the rate, choose a compressor and a scene: its tokens and the rebuilt ones as colours, the cosine of every field with its band, and
    what CLIP answers before and after.

    Controls, scenes and questions: those of `RateExplorer`. compressors: {name: {rate: compressor}}, by default `field_compressors`;
    where a `BadInput` stands in place of one (its weights are missing, say), the words say it and the maps are empty.
    Colours: the first three principal components of the standardised tokens of the scene, one basis for both grids.
    Errors: those of `RateExplorer`; and `still` raises the `BadInput` that stands in place of a compressor.
    """

    PICTURE = FieldsPicture

    def __init__(self, clip: ClipTokens | None = None, compressors: Mapping[str, Mapping[int, Choice]] | None = None, scenes: Scenes | None = None):
        clip = ClipTokens.load("clip") if clip is None else clip
        super().__init__(clip, field_compressors(clip) if compressors is None else compressors, scenes)

    def update(self) -> str:
        name, number = self.compressor.value, self.scene.index
        image, tokens = self.scenes["image"][number], self.seen.tokens[number]
        if isinstance(missing := self.compressors[name][self._rate_of(name)], BadInput):
            self._picture.blank(image, token_colours(self.scale(tokens), [])[0])
            return f"<b>{name}, {self.rate.value:g}×</b>: {html.escape(str(missing))}"
        kept = self._kept(name)
        self._picture.set(image, kept, *token_colours(self.scale(tokens), [self.scale(kept.rebuilt)]))
        ceiling = float(field_resultant(tokens[None], kept.fields.shape).mean())
        return f"{kept.words()} One token at all places of its field could reach at most R = {ceiling:.3f}. ({letters_of_bands()}.)"

    def _kept(self, name: str) -> Kept:
        if isinstance(missing := self.compressors[name][self._rate_of(name)], BadInput):
            raise missing
        return super()._kept(name)


def field_compressors(clip: ClipTokens, training: Float[Tensor, "pictures height width dim"] | None = None, folder: Path = DATA / "weights",
                      ) -> dict[str, dict[int, Choice]]:
    """The shipped compressors of fields and of whole grids, single tokens, and with training tokens the best linear code of fields.

    A rate whose weights are not there has the reason in place of the compressor. PCA: at rates whose fields have at most `LARGEST` values.
    folder: of the weights.
    """
    grids = grids_of(clip)
    found = {"RF": {rate: _shipped(f"compress_rf_{rate}x", RFCompressor, folder) for rate in grids},
             "global": {rate: _shipped(f"compress_{rate}x", LearnedCompressor, folder) for rate in grids},
             "global, critic": {START: _shipped(f"compress_{START}x_critic", LearnedCompressor, folder)}}
    if training is not None:
        found["PCA of fields"] = {rate: PCAField.fit(training.split(FITTED), grid) for rate, grid in grids.items() if rate * clip.dim <= LARGEST}
    return found | {name: {rate: kind(grid) for rate, grid in grids.items()} for name, kind in SINGLE.items()}


def _shipped(name: str, kind: type[LearnedCompressor], folder: Path) -> Choice:
    try:
        return load_pretrained(name, folder, kind)
    except BadInput as missing:  # shown where the slider stops at it; the other rates work
        return missing
