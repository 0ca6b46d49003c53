"""From one compressed token to its own field and nothing else: by convolutions or by attention; and compressor and decoder as one."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.core.errors import at_least_one
from course_lib.core.weights import buildable
from course_lib.tokens.compressor import Grid, factors
from course_lib.tokens.decoder import AskTokens, Decoder, LearnedCompressor, Rise, Tokens, zeroed
from course_lib.tokens.fields import Fields, assemble_rf, extract_rf_targets


class RFDecoder(Decoder):
    """What the field decoders share: every place gets the token of its field, and a correction made of that token alone.

        rebuilt field = spread(token) + changes(token)        the same weights for every field; spread: see `decoder.Spread`

    As all decoders: at first spread is repetition and the correction zero; tokens come and go in CLIP's own scale, inside they are
    standardised; what it returns is a full grid, and `fields` the same field by field. A field of one token is corrected too. The
    decoder is not told which field it works on: CLIP's tokens know their place, and one that does not cannot be told where it stands.
    """

    def changes(self, tokens: Float[Tensor, "many dim"]) -> Float[Tensor, "many field dim"]:
        """What is added to each token at the places of its field, in standard units. A subclass gives it."""
        raise NotImplementedError

    def correction(self, tokens: Tokens) -> Grid:
        return assemble_rf(self.changes(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2]), self.grid, self.output_grid)

    def fields(self, tokens: Tokens) -> Fields:
        """The rebuilt fields, to be compared with `extract_rf_targets` of the original: 36 tokens give (batch, 36, 16, dim)."""
        return extract_rf_targets(self(tokens), self.output_grid)


class RFConvDecoder(RFDecoder):
    """A picture of 1 × 1 made as large as the field: at each stage x ← skip(repeat(x)) + W gelu(transposed conv(x)).

        in three stages     1 × 1 → 2 × 2 → 4 × 4 → 4 × 4      1 × 1 → 3 × 3 → 3 × 3 → 3 × 3      1 × 1 → 2 × 3 → 2 × 3 → 2 × 3

    The largest factors come first, so that the places soon exist and the later stages can tell neighbours from each other. Along an
    axis where there is only one place yet, a stage paints just what grows from it: around it there is nothing.
    hidden: channels inside, by default `dim`.
    """

    def __init__(self, dim: int, grid: Sequence[int] = (24, 24), output_grid: Sequence[int] = (6, 6), num_layers: int = 3,
                 hidden: int | None = None):
        super().__init__(dim, grid, output_grid)
        at_least_one(dim=dim, num_layers=num_layers, hidden=dim if hidden is None else hidden)
        width, size, stages = hidden or dim, (1, 1), []
        for into, factor in zip([dim, *[width] * num_layers], factors(self.field, num_layers)):
            stages.append(Rise(into, width, factor, around=(int(size[0] > 1), int(size[1] > 1))))
            size = size[0] * factor[0], size[1] * factor[1]
        self.stages = nn.Sequential(*stages)
        self.out = zeroed(nn.Conv2d(width, dim, 1))

    def changes(self, tokens: Float[Tensor, "many dim"]) -> Float[Tensor, "many field dim"]:
        x = self.out(self.stages(tokens[:, :, None, None]))  # (many, dim, rows, columns)
        return rearrange(x, "m d h w -> m (h w) d")


class RFAttentionDecoder(RFDecoder):
    """Every place of the field asks the token and the other places of its field.

        state = place + W token;   state ← state + attention(state, [token, places of the field]);   state ← state + MLP(state)

    Asking the token alone would be no attention: of a single key the softmax is 1, whatever is asked. So the places ask one another too,
    each with its own question, and can agree on who says what. Blocks as in `decoder.AttentionDecoder`, with field + 1 keys.
    hidden: width of the state, by default `dim`; rounded up to a multiple of the heads.
    """

    HEADS = 4

    def __init__(self, dim: int, grid: Sequence[int] = (24, 24), output_grid: Sequence[int] = (6, 6), num_layers: int = 3,
                 hidden: int | None = None):
        super().__init__(dim, grid, output_grid)
        at_least_one(dim=dim, num_layers=num_layers, hidden=dim if hidden is None else hidden)
        width = -(-(hidden or dim) // self.HEADS) * self.HEADS
        self.place = nn.Parameter(torch.randn(self.field[0] * self.field[1], width) / width**0.5)
        self.read, self.own, self.norm_token = nn.Linear(dim, width), nn.Linear(dim, width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(AskTokens(width, self.HEADS) for _ in range(num_layers))
        self.norm, self.out = nn.LayerNorm(width), zeroed(nn.Linear(width, dim))

    def changes(self, tokens: Float[Tensor, "many dim"]) -> Float[Tensor, "many field dim"]:
        known = self.norm_token(self.read(tokens))[:, None]  # (many, 1, width)
        state = self.place + self.own(tokens)[:, None]  # (many, field, width)
        for block in self.blocks:
            state = block(state, torch.cat([known, block.norm_attention(state)], 1))
        return self.out(self.norm(state))


@buildable
class RFCompressor(LearnedCompressor):
    """`LearnedCompressor` whose decoder rebuilds each field from its own token: `expand` and `decoder.fields` give the same.

    Its compressor is the same: what a token knows of other fields, it knows from there (`fields.measured_receptive_field`).
    """

    DECODERS = RFConvDecoder, RFAttentionDecoder
