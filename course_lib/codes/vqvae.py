"""A patch VQ-VAE (van den Oord et al. 2017): the same codes and decoder as SVQ, but a code belongs to a place, not to an object."""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.codes.decoder import TransformerDecoder
from course_lib.codes.quantizer import ProductQuantizer
from course_lib.codes.svq import Encoded, SVQOutput, check_pictures
from course_lib.core.errors import BadInput
from course_lib.core.weights import buildable
from course_lib.slots.attention import Chance
from course_lib.slots.autoencoder import asked_cells, cell_centres, waves


@buildable
class PatchVQ(nn.Module):
    """Convolutions (stride 2, four times), one vector per 16×16 patch, one code for it, a transformer that asks all codes.

    A 64×64 picture has 16 patches; with 512 codes they say 16 · log₂ 512 = 144 bits, as much as 4 slots × 4 codebooks × 512.
    A code is told where its patch lies before it is decoded. It has the interface of `SVQ`: patches stand for slots.
    """

    stride, octaves, num_iterations = 16, 4, 1

    def __init__(self, slot_dim: int = 64, codes: int = 512, codebooks: int = 1, commitment: float = 0.25, channels: int = 64,
                 decoder_dim: int = 128, decoder_layers: int = 3, learning: str = "ema", decay: float = 0.99, restart: float = 0.1,
                 rate_weight: float = 0.0):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (3, channels, channels, channels):
            layers += [nn.Conv2d(inputs, channels, 3, 2, 1), nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1), nn.ReLU()]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(channels, slot_dim, 1))
        self.quantizer = ProductQuantizer(slot_dim, codebooks, codes, learning, "data", commitment, decay, restart=restart,
                                          rate_weight=rate_weight)
        self.position = nn.Linear(2 + 4 * self.octaves, slot_dim)
        self.decoder = TransformerDecoder(slot_dim, decoder_dim, decoder_layers)

    def forward(self, image: Float[Tensor, "batch 3 height width"], num_slots: int | None = None, iterations: int | None = None,
                chance: Chance = None, cells: Int[Tensor, "cells"] | None = None) -> SVQOutput:
        """Picture to codes and back. cells: as for `SlotAutoencoder`. Patches have no use for the three arguments before it;
        they are taken so that one recipe trains both models."""
        encoded = self.encode(image)
        return SVQOutput(*self.paint(encoded.codes.quantized, *image.shape[-2:], cells), encoded)

    def encode(self, image: Float[Tensor, "batch 3 height width"], num_slots: int | None = None,
               iterations: int | None = None, chance: Chance = None) -> Encoded:
        """The codes of pictures with values in [0, 1], whose sides are multiples of 16, patch by patch in rows; the three
        arguments after them change nothing, as in `forward`."""
        check_pictures(image, self.stride)
        features = self.encoder(2 * image - 1)
        vectors = rearrange(features, "b d h w -> b (h w) d")
        belongs = torch.eye(vectors.shape[1], device=image.device).view(1, 1, -1, *features.shape[2:])  # patch n is at place n
        return Encoded(self.quantizer(vectors), vectors, belongs.expand(len(image), -1, -1, -1, -1))

    def paint(self, vectors: Float[Tensor, "batch patches dim"], height: int = 64, width: int = 64,
              cells: Int[Tensor, "cells"] | None = None) -> tuple[Tensor, Tensor]:
        """Reconstruction, and who was asked, of the whole picture or of some cells."""
        patches = cell_centres(height, width, self.stride).to(vectors.device)
        if len(patches) != vectors.shape[1]:
            raise BadInput(f"a picture of {width} × {height} pixels has {len(patches)} patches, not {vectors.shape[1]}.")
        asked = asked_cells(height, width, self.decoder.stride, cells, vectors.device)
        return self.decoder(vectors + self.position(waves(patches, self.octaves)), *asked)

    def decode(self, indices: Int[Tensor, "batch patches codebooks"], height: int = 64, width: int = 64) -> Float[Tensor, "batch 3 height width"]:
        """The pictures that codes say. Raises `BadInput` for an index that names no code."""
        return self.paint(self.quantizer.lookup(indices), height, width)[0]
