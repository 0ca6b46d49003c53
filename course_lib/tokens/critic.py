"""The critics of WGAN-GP: a grid of tokens in, one number out; and what exactly is compared with what."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Compressed, Compressor, Grid
from course_lib.tokens.fields import sample_rf_tokens

Shown = Float[Tensor, "batch h w dim"]  # a grid of another size than the one it comes from
GAMES = ("put_back", "pick", "rebuilt")


class ConvCritic(nn.Module):
    """c(grid) = w · mean over places of features(grid): convolutions with leaky ReLUs, so a grid of any size has a value.

    Each token is read alone, then `num_layers` convolutions of 3 × 3 with stride 2 look at neighbours. No BatchNorm: with it the
    value of one grid depends on the others of its batch, and the penalty would bind a function that has no gradient of its own
    at a sample (Gulrajani et al. 2017, sec. 4).
    No attention either: the penalty differentiates twice, which the fast attention kernels cannot.
    """

    def __init__(self, dim: int, hidden: int = 64, num_layers: int = 2):
        super().__init__()
        if min(dim, hidden, num_layers) < 1:
            raise BadInput(f"dim, hidden and num_layers of a critic must be at least 1, not {dim}, {hidden} and {num_layers}.")
        self.read = nn.Linear(dim, hidden)
        self.look = nn.ModuleList(nn.Conv2d(hidden, hidden, 3, stride=2, padding=1) for _ in range(num_layers))
        self.value = nn.Linear(hidden, 1)

    def forward(self, tokens: Grid) -> Float[Tensor, "batch"]:
        x = rearrange(F.leaky_relu(self.read(tokens), 0.2), "b h w c -> b c h w")
        for look in self.look:
            x = F.leaky_relu(look(x), 0.2)
        return self.value(x.mean((2, 3))).squeeze(1)


class MultiScaleCritic(nn.Module):
    """The mean of critics that see the grid as it is and averaged over 2 × 2, 4 × 4, … places (Wang, T.-C. et al. 2018, sec. 3.2).

    scales: how many there are. A grid that a scale does not divide is averaged over what is left at its border.
    """

    def __init__(self, dim: int, hidden: int = 64, num_layers: int = 2, scales: int = 3):
        super().__init__()
        if scales < 1:
            raise BadInput(f"a critic needs at least 1 scale, not {scales}.")
        self.critics = nn.ModuleList(ConvCritic(dim, hidden, num_layers) for _ in range(scales))

    def forward(self, tokens: Grid) -> Float[Tensor, "batch"]:
        return torch.stack([critic(pooled(tokens, 2**scale)) for scale, critic in enumerate(self.critics)]).mean(0)


CRITICS = {"conv": ConvCritic, "multi_scale": MultiScaleCritic}


def pooled(tokens: Grid, factor: int) -> Shown:
    """The mean over factor × factor places, of fewer at the lower and right border."""
    if factor == 1:
        return tokens
    x = F.avg_pool2d(rearrange(tokens, "b h w d -> b d h w"), factor, ceil_mode=True)
    return rearrange(x, "b d h w -> b h w d")


def pick(tokens: Grid, output_grid: Sequence[int]) -> Shown:
    """One token of every field at random, as a grid of `output_grid`."""
    return rearrange(sample_rf_tokens(tokens, output_grid), "b (h w) d -> b h w d", h=output_grid[0])


def opponents(game: str, model: Compressor, tokens: Grid, compressed: Compressed, rebuilt: Grid | None = None) -> tuple[Shown, Shown]:
    """What the critic is shown as real and as compressed: two batches of grids of the same size, in CLIP's own scale.

    put_back: the original tokens (576, say) against the compressed ones (36), each put back at all places of its field. This
        is the game of a global critic, and it is unfair. Sixteen equal neighbours never occur in a real grid: a critic that
        knows nothing of pictures can count distinct tokens, or look at the difference of two neighbours, and tell the two apart
        for ever, even if every one of the 36 is a real token of its field. Nothing a compressor could do would help it. Shown
        as they are, 576 places and 36, the two would differ for a critic by the share of places at the border alone, and
        nothing lies between grids of different size, where the penalty is taken.
    pick: one original token of every field, drawn at random, against the compressed ones: 36 against 36. Fair: copying a token of
        each field wins it. So it says that compressed tokens look like tokens, and not that they know their field.
    rebuilt: the original tokens against the grid that the decoder makes: 576 against 576, and every place can be told right.

    model: whose output_grid `pick` uses; of `rebuilt` nothing is needed but that game. Raises `BadInput` for another game.
    """
    if game == "put_back":
        return tokens, Compressor.expand(model, compressed)
    if game == "pick":
        height, width = model.output_grid
        return pick(tokens, (height, width)), rearrange(compressed.tokens, "b (h w) d -> b h w d", h=height)
    if game == "rebuilt":
        return tokens, model.expand(compressed) if rebuilt is None else rebuilt
    raise BadInput(f"game must be one of {', '.join(GAMES)}, not {game!r}.")
