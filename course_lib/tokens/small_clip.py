"""A CLIP that a laptop trains: transformers' own `CLIPModel` with few and narrow layers, and a tokenizer of one token per word."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from course_lib.core.errors import BadInput
from course_lib.core.weights import buildable
from course_lib.tokens.captions import LENGTH, WORDS, make_tokenizer

GREATEST = 4.605170185988092  # ln 100, the largest log of the scale (Radford et al. 2021, 2.5)


@buildable
class SmallClip(nn.Module):
    """`clip`, the CLIPModel, with its `tokenizer` and its `processor` of pictures.

    resolution: side of a picture in pixels; patch: side of the square that becomes one token; dim, layers, heads, ratio: of
    both transformers unless the text's own are given; the hidden width of an MLP is ratio · dim. projection: width of the
    embeddings that are compared. words: what the tokenizer knows. length: tokens of the longest caption.
    Raises `BadInput` for a patch that does not divide the picture or a width that heads cannot share.
    """

    def __init__(self, resolution: int = 48, patch: int = 4, dim: int = 128, layers: int = 4, heads: int = 4, ratio: int = 2,
                 text_dim: int = 128, text_layers: int = 2, text_heads: int = 4, projection: int = 64,
                 words: Sequence[str] = WORDS, length: int = LENGTH):
        super().__init__()
        sizes = {"patch": patch, "dim": dim, "layers": layers, "heads": heads, "ratio": ratio, "text_dim": text_dim, "text_layers": text_layers,
                 "text_heads": text_heads, "projection": projection, "length": length}
        for name, value in sizes.items():
            if value < 1:
                raise BadInput(f"{name} of a CLIP must be at least 1, not {value}.")
        if resolution < patch or resolution % patch:
            raise BadInput(f"a picture of {resolution} pixels cannot be cut into patches of {patch}; use a multiple of {patch}.")
        if dim % heads or text_dim % text_heads:
            raise BadInput(f"widths of {dim} and {text_dim} cannot be shared equally among {heads} and {text_heads} heads.")
        self.tokenizer = make_tokenizer(words, length)
        self.processor = CLIPImageProcessorPil(size={"shortest_edge": resolution}, crop_size={"height": resolution, "width": resolution})
        vision = {"image_size": resolution, "patch_size": patch, "hidden_size": dim, "intermediate_size": ratio * dim, "num_hidden_layers": layers,
                  "num_attention_heads": heads, "projection_dim": projection, "hidden_act": "gelu"}
        text = {"vocab_size": len(self.tokenizer), "hidden_size": text_dim, "intermediate_size": ratio * text_dim,
                "num_hidden_layers": text_layers, "num_attention_heads": text_heads, "projection_dim": projection, "hidden_act": "gelu",
                "max_position_embeddings": length, "pad_token_id": self.tokenizer.pad_token_id,
                "bos_token_id": self.tokenizer.bos_token_id, "eos_token_id": self.tokenizer.eos_token_id}
        self.clip = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=projection))
        with torch.no_grad():
            self.clip.vision_model.embeddings.position_embedding.weight[1:] = waves(2 * (resolution // patch,), dim)

    def forward(self, image: Float[Tensor, "batch 3 height width"], text: Int64[Tensor, "batch length"]) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings of pictures in [0, 1] and of captions, (batch, projection) each and of unit length, and the log of the scale."""
        own = self.clip.config.vision_config.image_size
        pixels = normalized(image, self.processor)
        seen = self.clip.get_image_features(pixels, interpolate_pos_encoding=tuple(image.shape[2:]) != (own, own)).pooler_output
        read = self.clip.get_text_features(text).pooler_output
        return nn.functional.normalize(seen, dim=-1), nn.functional.normalize(read, dim=-1), self.clip.logit_scale

    @torch.no_grad()
    def at_resolution(self, resolution: int) -> "SmallClip":
        """A new model for pictures of `resolution`, with the same weights; its positions are interpolated (bicubic) from these."""
        new = SmallClip(**self.card_arguments | {"resolution": resolution})
        weights = self.clip.state_dict()
        name = "vision_model.embeddings.position_embedding.weight"
        weights[name] = resized(weights[name], *(2 * (model.resolution // model.patch,) for model in (self, new)))
        new.clip.load_state_dict(weights)
        return new.train(self.training)

    @property
    def resolution(self) -> int:
        """The side in pixels of the pictures that the model was made for."""
        return self.clip.config.vision_config.image_size

    @property
    def patch(self) -> int:
        """The side in pixels of the square that becomes one token."""
        return self.clip.config.vision_config.patch_size


def waves(grid: tuple[int, int], dim: int) -> Float[Tensor, "places dim"]:
    """How the positions of a grid (height, width) begin: sines and cosines of x and of y, as large as what patches say at first.

        0.2 sin(2π x/λ), 0.2 cos(2π x/λ), and of y,    λ from twice the picture's side down to a quarter of it

    Then near places are alike from the start, and so they stay when the grid is refined. What is left of dim / 4 is 0.
    """
    y, x = torch.meshgrid(*((torch.arange(n) + 0.5) / n for n in grid), indexing="ij")
    many = dim // 4
    length = 2.0 * 8.0 ** -torch.linspace(0, 1, max(many, 1))[:many]
    angles = torch.stack([x, y], -1).flatten(0, 1)[..., None] * (2 * torch.pi / length)
    found = 0.2 * torch.cat([angles.sin(), angles.cos()], -1).flatten(1)
    return nn.functional.pad(found, (0, dim - 4 * many))


def normalized(image: Float[Tensor, "batch 3 height width"], processor) -> Float[Tensor, "batch 3 height width"]:
    """Pictures in [0, 1] → what the model takes: (x − mean) / standard deviation of each colour, by the processor's numbers."""
    mean, std = (image.new_tensor(value)[:, None, None] for value in (processor.image_mean, processor.image_std))
    return (image - mean) / std


def denormalized(pixels: Float[Tensor, "batch 3 height width"], processor) -> Float[Tensor, "batch 3 height width"]:
    """What the model takes → pictures in [0, 1]: undoes `normalized`."""
    mean, std = (pixels.new_tensor(value)[:, None, None] for value in (processor.image_mean, processor.image_std))
    return (pixels * std + mean).clamp(0, 1)


def resized(positions: Float[Tensor, "places dim"], old: tuple[int, int], new: tuple[int, int]) -> Float[Tensor, "more dim"]:
    """Position embeddings of CLS and a grid `old` (height, width), with the grid's part interpolated to `new`, as transformers does."""
    grid = rearrange(positions[1:], "(h w) d -> 1 d h w", h=old[0], w=old[1])
    grid = interpolate(grid, size=new, mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], rearrange(grid, "1 d h w -> (h w) d")])
