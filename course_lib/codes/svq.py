"""Semantic vector quantisation (Wu, Lee & Ahn 2024): picture → slots → a few codes for each slot → picture."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.codes.decoder import TransformerDecoder
from course_lib.codes.quantizer import ProductQuantizer, Quantized
from course_lib.core.errors import BadInput
from course_lib.core.weights import buildable
from course_lib.slots.attention import Chance, SeededSlots, SlotAttention
from course_lib.slots.autoencoder import BroadcastDecoder, Encoder, asked_cells

WHEN, DECODERS, UPDATES = ("after", "inside"), ("transformer", "broadcast"), ("whole", "blocks")


class Encoded(NamedTuple):
    """A picture as codes."""

    codes: Quantized  # quantized (batch, slots, dim), indices (batch, slots, codebooks), and the losses
    slots: Float[Tensor, "batch slots dim"]  # before the last quantisation
    attention: Float[Tensor, "batch iterations slots rows columns"]


class SVQOutput(NamedTuple):
    """What `SVQ` returns; masks sum to 1 over the slots at every pixel."""

    reconstruction: Float[Tensor, "batch 3 height width"]
    masks: Float[Tensor, "batch slots height width"]
    encoded: Encoded


def check_pictures(image: Tensor, stride: int) -> None:
    """Raise `BadInput` unless these are colour pictures whose sides `stride` divides."""
    if image.ndim != 4 or image.shape[1] != 3 or image.shape[2] % stride or image.shape[3] % stride or not image.numel():
        raise BadInput(f"pictures must have shape (batch, 3, height, width) with sides that {stride} divides, not {tuple(image.shape)}.")


class Blocks(nn.Module):
    """A linear map of each block of a vector by a matrix of its own: (…, m · inputs) → (…, m · outputs)."""

    def __init__(self, blocks: int, inputs: int, outputs: int):
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(blocks, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(blocks, outputs).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n outputs"]:
        return (torch.einsum("nmi,mio->nmo", x.unflatten(-1, (len(self.weight), -1)), self.weight) + self.bias).flatten(-2)


class BlockSlotAttention(SlotAttention):
    """Slot attention that updates each block of a slot by a GRU and an MLP of its own (Wu et al. 2024, sec. 3.1; Singh,
    Kim & Ahn 2023): what is written into one block depends on the values for it and its own past alone, so blocks, and
    with them codebooks, may come to stand for different properties."""

    def __init__(self, slot_dim: int, blocks: int, hidden_dim: int, gradient: str, eps: float):
        super().__init__(slot_dim, slot_dim, hidden_dim, gradient, eps)
        part = slot_dim // blocks
        self.gru, self.blocks, self.norm_mlp = None, blocks, nn.GroupNorm(blocks, slot_dim)  # a LayerNorm of each block
        self.from_values, self.from_slots = Blocks(blocks, part, 3 * part), Blocks(blocks, part, 3 * part)
        self.mlp = nn.Sequential(Blocks(blocks, part, hidden_dim), nn.ReLU(), Blocks(blocks, hidden_dim, part))

    def update(self, values: Float[Tensor, "batch k dim"], slots: Float[Tensor, "batch k dim"]) -> Float[Tensor, "batch k dim"]:
        """The GRU's equations (Cho et al. 2014) in each block: r, z = σ(…), c = tanh(…), slots = (1 − z) c + z slots."""
        shape = slots.shape
        new, old = (gates(x.flatten(0, 1)).unflatten(-1, (self.blocks, 3, -1)).unbind(-2)
                    for gates, x in ((self.from_values, values), (self.from_slots, slots)))
        reset, keep = (new[0] + old[0]).sigmoid(), (new[1] + old[1]).sigmoid()
        candidate = (new[2] + reset * old[2]).tanh()
        slots = ((1 - keep) * candidate).flatten(-2) + keep.flatten(-2) * slots.flatten(0, 1)
        return (slots + self.mlp(self.norm_mlp(slots))).view(shape)


@buildable
class SVQ(nn.Module):
    """The encoder, the start and the slot attention of Part II; every slot becomes `codebooks` codes; codes are decoded.

    quantise: "after" the last iteration, or "inside": after every one, as in the paper, so that the next iteration asks
    with what the codes say. decoder: "transformer" (places ask codes, see `TransformerDecoder`) or "broadcast" (every
    slot paints alone, see Part II). update: of "whole" slots, or of "blocks", one for each codebook, as in the paper.
    commitment, decay, restart, rate_weight: see `ProductQuantizer`. The defaults are the seed's: 4 slots of 64 numbers, 4 codebooks
    of 512 codes of 16 numbers, commitment 0.25. Number of slots and iterations may differ from call to call.
    """

    def __init__(self, num_slots: int = 4, slot_dim: int = 64, num_iterations: int = 3, codebooks: int = 4, codes: int = 512,
                 commitment: float = 0.25, quantise: str = "after", decoder: str = "transformer", update: str = "whole",
                 channels: int = 64, hidden_dim: int = 64, decoder_dim: int = 128, decoder_layers: int = 3,
                 learning: str = "ema", decay: float = 0.99, restart: float = 0.1, rate_weight: float = 0.0, gradient: str = "bilevel",
                 eps: float = 0.02):
        super().__init__()
        for name, value, known in (("quantise", quantise, WHEN), ("decoder", decoder, DECODERS), ("update", update, UPDATES)):
            if value not in known:
                raise BadInput(f"{name} must be one of {', '.join(known)}, not {value!r}.")
        if min(num_slots, num_iterations) < 1:
            raise BadInput(f"num_slots and num_iterations must be at least 1, not {num_slots} and {num_iterations}.")
        self.num_slots, self.num_iterations, self.inside = num_slots, num_iterations, quantise == "inside"
        self.quantizer = ProductQuantizer(slot_dim, codebooks, codes, learning, "data", commitment, decay, restart=restart,
                                          rate_weight=rate_weight)
        self.encoder = Encoder(channels, hidden_dim, slot_dim)
        self.start = SeededSlots(slot_dim, slot_dim)
        self.attention = (SlotAttention(slot_dim, slot_dim, hidden_dim, gradient, eps) if update == "whole" else
                          BlockSlotAttention(slot_dim, codebooks, hidden_dim, gradient, eps))
        self.decoder = (TransformerDecoder(slot_dim, decoder_dim, decoder_layers) if decoder == "transformer" else
                        BroadcastDecoder(slot_dim, decoder_dim, decoder_layers))

    def forward(self, image: Float[Tensor, "batch 3 height width"], num_slots: int | None = None, iterations: int | None = None,
                chance: Chance = None, cells: Int[Tensor, "cells"] | None = None) -> SVQOutput:
        """Picture to codes and back. chance: what the start of the slots draws from; cells: as for `SlotAutoencoder`."""
        encoded = self.encode(image, num_slots, iterations, chance)
        return SVQOutput(*self.paint(encoded.codes.quantized, *image.shape[-2:], cells), encoded)

    def encode(self, image: Float[Tensor, "batch 3 height width"], num_slots: int | None = None,
               iterations: int | None = None, chance: Chance = None) -> Encoded:
        """The codes of pictures with values in [0, 1], whose sides are multiples of 4."""
        num_slots = self.num_slots if num_slots is None else num_slots
        iterations = self.num_iterations if iterations is None else iterations
        check_pictures(image, self.encoder.stride)
        if num_slots < 1:
            raise BadInput(f"a picture needs at least 1 slot, not {num_slots}.")
        tokens = self.encoder(image)
        inputs = tokens.flatten(1, 2)
        between = (lambda slots: self.quantizer(slots).quantized) if self.inside else None
        slots, attention = self.attention(inputs, self.start(inputs, num_slots, chance), iterations, between)
        return Encoded(self.quantizer(slots), slots, attention.unflatten(-1, tokens.shape[1:3]))

    def paint(self, slots: Float[Tensor, "batch slots dim"], height: int = 64, width: int = 64,
              cells: Int[Tensor, "cells"] | None = None) -> tuple[Tensor, Tensor]:
        """Reconstruction and masks, of the whole picture or of some cells."""
        found = self.decoder(slots, *asked_cells(height, width, self.decoder.stride, cells, slots.device))
        if isinstance(self.decoder, TransformerDecoder):
            return found
        pictures, logits = found
        masks = logits.softmax(1)
        return (masks[:, :, None] * pictures).sum(1), masks

    def decode(self, indices: Int[Tensor, "batch slots codebooks"], height: int = 64, width: int = 64) -> Float[Tensor, "batch 3 height width"]:
        """The pictures that codes say. Raises `BadInput` for an index that names no code."""
        return self.paint(self.quantizer.lookup(indices), height, width)[0]
