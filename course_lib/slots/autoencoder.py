"""Pictures to slots and back: CNN with soft positions → slot attention → spatial-broadcast decoder, one box a class."""

from functools import partial
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.core.errors import BadInput, at_least_one
from course_lib.core.memory import free_memory
from course_lib.core.weights import buildable
from course_lib.slots.attention import Chance, LearnedQueries, SeededSlots, SharedGaussian, SlotAttention

STARTS = ("gaussian", "queries", "seeds")


class SlotOutput(NamedTuple):
    """What `SlotAutoencoder` returns; the reconstruction is Σₖ masks[k] · pictures[k]."""

    reconstruction: Float[Tensor, "batch 3 height width"]
    masks: Float[Tensor, "batch slots height width"]  # sum to 1 over the slots
    slots: Float[Tensor, "batch slots dim"]
    attention: Float[Tensor, "batch iterations slots rows columns"]  # sums to 1 over the slots
    pictures: Float[Tensor, "batch slots 3 height width"]  # each slot's own, before the masks


class SoftPosition(nn.Module):
    """Add W·(x, y, 1 − x, 1 − y) + b to every place of a map, x and y from 0 to 1: positions for maps of any size."""

    def __init__(self, channels: int):
        super().__init__()
        self.project = nn.Linear(4, channels)

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        y, x = (((torch.arange(n, device=features.device) + 0.5) / n) for n in features.shape[-2:])
        y, x = torch.meshgrid(y, x, indexing="ij")
        return features + rearrange(self.project(torch.stack([x, y, 1 - x, 1 - y], -1)), "h w c -> c h w")


class Encoder(nn.Module):
    """Four convolutions (stride 2, 2, 1, 1), soft positions, an MLP on every place: one input token per 4×4 pixels."""

    stride = 4

    def __init__(self, channels: int, hidden_dim: int, slot_dim: int):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, stride in zip((3, channels, channels, channels), (2, 2, 1, 1)):
            layers += [nn.Conv2d(inputs, channels, 3, stride, 1), nn.ReLU()]
        self.cnn = nn.Sequential(*layers)
        self.position = SoftPosition(channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, slot_dim))

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch rows columns dim"]:
        features = self.position(self.cnn(2 * image - 1))
        return self.mlp(rearrange(features, "b c h w -> b h w c"))


def cell_centres(height: int, width: int, stride: int) -> Float[Tensor, "cells 2"]:
    """x and y, from 0 to 1, of the centre of every stride × stride cell of a picture, row by row."""
    y, x = ((torch.arange(n // stride) + 0.5) / (n // stride) for n in (height, width))
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1).flatten(0, 1)


def asked_cells(height: int, width: int, stride: int, cells: Int[Tensor, "cells"] | None,
                device: torch.device) -> tuple[Float[Tensor, "cells 2"], int]:
    """The centres of the cells that a decoder is asked at, all of a picture or those of these numbers, and how many stand side by side."""
    places = cell_centres(height, width, stride).to(device)
    return (places, width // stride) if cells is None else (places[cells], len(cells))


def strip(image: Float[Tensor, "batch c height width"], cells: Int[Tensor, "cells"],
          stride: int) -> Float[Tensor, "batch c stride length"]:
    """Cells of a picture, by their numbers (row by row), side by side: a picture of height `stride`."""
    rows = rearrange(image, "b c (h p) (w q) -> b c p (h w) q", p=stride, q=stride)
    return rows[:, :, :, cells].flatten(3)


def waves(places: Float[Tensor, "cells 2"], octaves: int) -> Float[Tensor, "cells features"]:
    """γ(x, y): 2x − 1 and 2y − 1, and sine and cosine of 2ᵒ·π·x and 2ᵒ·π·y for o from 0 to octaves − 1 (Tancik et al. 2020)."""
    angle = torch.pi * 2.0 ** torch.arange(octaves, device=places.device)[:, None] * places[:, None]
    return torch.cat([2 * places - 1, angle.sin().flatten(1), angle.cos().flatten(1)], 1)


class BroadcastDecoder(nn.Module):
    """Each slot alone is asked at every 4×4 cell of the picture what it would paint there, and how much is its own.

        h = (M slot) ⊙ (P γ(x, y)) + S slot;     picture and mask logits of the cell's 16 pixels = MLP(h)

    The slot is broadcast over all places and told where it stands (Watters et al. 2019), here by γ, the place and sines and
    cosines of it (Tancik et al. 2020); their product with the slot lets it move what it paints, as
    cos ω(x − x₀) = cos ωx cos ωx₀ + sin ωx sin ωx₀. Where the paper has convolutions at full resolution, one MLP answers
    for each cell: several times cheaper on a CPU, and any choice of cells can be asked for alone.
    """

    stride, octaves = 4, 4

    def __init__(self, slot_dim: int, hidden_dim: int, layers: int = 1):
        super().__init__()
        self.place = nn.Linear(2 + 4 * self.octaves, hidden_dim)
        self.scale, self.shift = nn.Linear(slot_dim, hidden_dim), nn.Linear(slot_dim, hidden_dim)
        hidden: list[nn.Module] = [nn.ReLU(inplace=True)]
        for _ in range(layers):
            hidden += [nn.Linear(hidden_dim, hidden_dim), nn.ReLU(inplace=True)]
        self.mlp = nn.Sequential(*hidden, nn.Linear(hidden_dim, 4 * self.stride**2))

    def forward(
        self, slots: Float[Tensor, "batch slots dim"], places: Float[Tensor, "cells 2"], columns: int
    ) -> tuple[Float[Tensor, "batch slots 3 height width"], Float[Tensor, "batch slots height width"]]:
        """Return each slot's picture, `columns` cells wide, and its mask's logits."""
        scale, shift = self.scale(slots)[:, :, None], self.shift(slots)[:, :, None]
        maps = self.mlp(torch.addcmul(shift, scale, self.place(waves(places, self.octaves))))  # hidden maps live no longer than they must
        maps = rearrange(maps, "b k (h w) (c p q) -> b k c (h p) (w q)", c=4, p=self.stride, w=columns)
        return maps[:, :, :3], maps[:, :, 3]

    def bytes_needed(self, slots: int, cells: int) -> int:
        """About the memory of the maps of so many slots, all pictures together."""
        numbers = slots * cells * ((len(self.mlp) // 2 + 1) * self.place.out_features + 3 * self.mlp[-1].out_features)
        return numbers * (2 if torch.is_grad_enabled() else 1) * 4


@buildable
class SlotAutoencoder(nn.Module):
    """A picture explained by `num_slots` slots; slot attention by Locatello et al. (2020), with these choices:

    start: "gaussian" (one learned Gaussian for all slots), "queries" (`queries` learned ones, of which each picture gets a
    random `num_slots`) or "seeds" (k-means++ among the inputs).
    eps: the share of every input that every slot gets unasked. The paper's 1e-8 only keeps the mean defined; 0.005 pulls
    a slot that owns little towards the mean of the picture, and so parts two slots that share one object: the one that
    loses a little loses more, until it owns nothing.
    gradient: "full", "implicit" or "bilevel", see `SlotAttention`. channels: of the encoder's convolutions. hidden_dim: of
    the encoder's and the attention's MLP; decoder_dim and decoder_layers: of the decoder's.
    Number of slots and iterations may differ from call to call.
    """

    def __init__(self, num_slots: int = 7, slot_dim: int = 64, num_iterations: int = 3, hidden_dim: int = 64,
                 channels: int = 64, decoder_dim: int = 128, decoder_layers: int = 1, start: str = "seeds", queries: int = 12,
                 gradient: str = "bilevel", eps: float = 0.005):
        super().__init__()
        at_least_one(num_slots=num_slots, slot_dim=slot_dim, num_iterations=num_iterations, hidden_dim=hidden_dim,
                     channels=channels, decoder_dim=decoder_dim, decoder_layers=decoder_layers, queries=queries)
        if start not in STARTS:
            raise BadInput(f"start must be one of {', '.join(STARTS)}, not {start!r}.")
        if start == "queries" and num_slots > queries:
            raise BadInput(f"{num_slots} slots need at least as many queries, not {queries}.")
        self.num_slots, self.num_iterations = num_slots, num_iterations
        self.encoder = Encoder(channels, hidden_dim, slot_dim)
        self.start = {"gaussian": partial(SharedGaussian, slot_dim), "queries": partial(LearnedQueries, slot_dim, queries),
                      "seeds": partial(SeededSlots, slot_dim, slot_dim)}[start]()
        self.start.requires_grad_(gradient != "implicit")  # which never teaches it; several processes wait for all gradients
        self.attention = SlotAttention(slot_dim, slot_dim, hidden_dim, gradient, eps)
        self.decoder = BroadcastDecoder(slot_dim, decoder_dim, decoder_layers)

    def forward(
        self,
        image: Float[Tensor, "batch 3 height width"],
        num_slots: int | None = None,
        iterations: int | None = None,
        chance: Chance = None,
        cells: Int[Tensor, "cells"] | None = None,
    ) -> SlotOutput:
        """Explain pictures (values in [0, 1]). chance: the generator(s) that the start of the slots draws from.

        cells: the numbers of the only cells that are to be decoded; reconstruction, masks and pictures are then a `strip`.
        Raises `BadInput`: other than three channels, sides that 4 does not divide, no slots, more slots than there are
        queries or than the memory holds.
        """
        num_slots = self.num_slots if num_slots is None else num_slots
        iterations = self.num_iterations if iterations is None else iterations
        self._check(image, num_slots, cells)
        tokens = self.encoder(image)
        inputs = tokens.flatten(1, 2)
        slots, attention = self.attention(inputs, self.start(inputs, num_slots, chance), iterations)
        pictures, masks, reconstruction = self.decode(slots, *image.shape[-2:], cells)
        attention = attention.unflatten(-1, tokens.shape[1:3])
        return SlotOutput(reconstruction, masks, slots, attention, pictures)

    def decode(
        self, slots: Float[Tensor, "batch slots dim"], height: int, width: int, cells: Int[Tensor, "cells"] | None = None
    ) -> tuple[Float[Tensor, "batch slots 3 _ _"], Float[Tensor, "batch slots _ _"], Float[Tensor, "batch 3 _ _"]]:
        """Slots to the pictures, masks and reconstruction of `SlotOutput`, of the whole height × width or of some cells."""
        chosen, columns = asked_cells(height, width, self.decoder.stride, cells, slots.device)
        at_once = len(slots) if torch.is_grad_enabled() else 32  # what only looks need not hold all maps at the same time
        found = []
        for some in slots.split(at_once):
            pictures, logits = self.decoder(some, chosen, columns)
            masks = logits.softmax(1)
            found.append((pictures, masks, (masks[:, :, None] * pictures).sum(1)))
        pictures, masks, reconstruction = (torch.cat(parts) for parts in zip(*found))
        return pictures, masks, reconstruction

    def _check(self, image: Tensor, num_slots: int, cells: Tensor | None) -> None:
        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            raise BadInput("pictures must be floating-point numbers of shape (batch, 3, height, width), "
                           f"not {image.dtype} of shape {tuple(image.shape)}.")
        (height, width), stride = image.shape[2:], self.decoder.stride
        if height % stride or width % stride or not height * width:
            raise BadInput(f"height and width must be multiples of {stride}, not {height} and {width}.")
        if num_slots < 1:
            raise BadInput(f"a picture needs at least 1 slot, not {num_slots}.")
        asked = height * width // stride**2 if cells is None else len(cells)
        needed = self.decoder.bytes_needed(len(image) * num_slots, asked)
        free = free_memory(image.device)
        if needed > free:
            raise BadInput(f"{num_slots} slots for {len(image)} pictures of {width} × {height} pixels need about "
                           f"{needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; use fewer slots, "
                           "a smaller batch or a lower resolution.")
