"""CLIP as a source of tokens: any `CLIPModel` of transformers, cut open behind one of its layers.

    pixels → encode → (height, width) tokens and CLS  →  [compress, expand, …]  →  replay → embedding ↔ text embedding

As LLaVA (Liu et al. 2023) takes them: the tokens behind the layer before the last, without CLS. The last layer serves only CLS,
so nothing asks of its other tokens that they say what is at their place.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention
from transformers import CLIPModel
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

from course_lib.core.errors import BadInput
from course_lib.tokens.compressor import Grid
from course_lib.tokens.small_clip import SmallClip, normalized
from course_lib.tokens.sources import find_clip

Pixels = Float[Tensor, "batch 3 rows columns"]  # normalised, as `preprocess` and `normalized` return them


class Encoded(NamedTuple):
    """A batch of pictures behind a layer."""

    tokens: Grid
    cls: Float[Tensor, "batch dim"]


class ClipTokens(nn.Module):
    """A CLIP with its tokenizer and its processor of pictures, cut behind `layer`.

    layer counts as transformers' `hidden_states` do: 0 is the input of the first layer, L (or −1) the output of the last of L,
    so −2 is the output of the one before it. freeze: no parameter learns, and nothing brings the model out of eval mode;
    gradients still flow through `replay` to changed tokens.
    Raises `BadInput` for a layer that the model has not.
    """

    def __init__(self, clip: CLIPModel, tokenizer, processor, layer: int = -2, freeze: bool = True, name: str = "CLIP"):
        super().__init__()
        many = len(clip.vision_model.encoder.layers)
        if not -many - 1 <= layer <= many:
            raise BadInput(f"{name} has {many} layers, so layer must be from {-many - 1} to {many}, not {layer}.")
        self.clip, self.tokenizer, self.processor, self.freeze, self.name = clip, tokenizer, processor, freeze, name
        self.layer = layer if layer >= 0 else many + 1 + layer
        if freeze:
            self.requires_grad_(False)
        self.train(not freeze)

    @classmethod
    def load(cls, name: str, layer: int = -2, freeze: bool = True) -> "ClipTokens":
        """The CLIP called `name`: shipped weights (or the path of such), a folder in transformers' format, or a name of the hub.

        Raises `BadInput` as `sources.find_clip` does.
        """
        return cls(*find_clip(name), layer, freeze, name)

    @classmethod
    def of(cls, model: SmallClip, layer: int = -2, freeze: bool = True) -> "ClipTokens":
        """The tokens of a small CLIP; they share their weights."""
        return cls(model.clip, model.tokenizer, model.processor, layer, freeze, "the small CLIP")

    @property
    def resolution(self) -> int:
        """The side in pixels of the pictures that the model was made for."""
        return self.clip.config.vision_config.image_size

    @property
    def patch(self) -> int:
        """The side in pixels of the square that becomes one token."""
        return self.clip.config.vision_config.patch_size

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) of the tokens of a picture of `resolution`."""
        return self.grid_of(self.resolution, self.resolution)

    @property
    def dim(self) -> int:
        """The width of a token."""
        return self.clip.config.vision_config.hidden_size

    def grid_of(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the tokens of a picture of so many pixels; raises `BadInput` if patches do not fit into it."""
        if min(height, width) < self.patch or height % self.patch or width % self.patch:
            raise BadInput(f"a picture of {height} × {width} pixels cannot be cut into {self.name}'s patches of {self.patch} × {self.patch}; "
                           f"both sides must be multiples of {self.patch}.")
        return height // self.patch, width // self.patch

    def train(self, mode: bool = True) -> "ClipTokens":
        """As for any module, but a frozen model stays in eval mode."""
        return super().train(mode and not self.freeze)

    def encode(self, pixels: Pixels) -> Encoded:
        """The tokens behind `layer`, each at its place, and CLS apart.

        Pictures of another size, square or not, are encoded with positions interpolated to their grid.
        """
        grid = self.grid_of(*pixels.shape[2:])
        vision = self.clip.vision_model
        hidden = vision.pre_layrnorm(vision.embeddings(pixels, interpolate_pos_encoding=grid != self.grid))
        for layer in vision.encoder.layers[: self.layer]:
            hidden = layer(hidden, attention_mask=None)
        return Encoded(rearrange(hidden[:, 1:], "b (h w) d -> b h w d", h=grid[0]), hidden[:, 0])

    def replay(self, tokens: Float[Tensor, "batch n dim"], cls: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch embed"]:
        """The remaining layers on any number of tokens and CLS: the embedding of the picture, of unit length.

        Positions were added before the first layer and are in the tokens by now, so tokens need not be a grid.
        """
        hidden, layers = torch.cat([cls[:, None], tokens], 1), self.clip.vision_model.encoder.layers[self.layer :]
        for layer in layers[:-1]:
            hidden = layer(hidden, attention_mask=None)
        cls = cls_behind(layers[-1], hidden) if len(layers) else hidden[:, 0]
        return normalize(self.clip.visual_projection(self.clip.vision_model.post_layernorm(cls)), dim=-1)

    def image_embedding(self, pixels: Pixels) -> Float[Tensor, "batch embed"]:
        """The embedding of whole pictures, of unit length: nothing is changed on the way."""
        tokens, cls = self.encode(pixels)
        return self.replay(rearrange(tokens, "b h w d -> b (h w) d"), cls)

    def text_embedding(self, texts: Sequence[str]) -> Float[Tensor, "texts embed"]:
        """The embedding of each text, of unit length; raises `BadInput` for a text that is longer than the model reads."""
        return normalize(self.clip.get_text_features(self.token_ids(texts)).pooler_output, dim=-1)

    def token_ids(self, texts: Sequence[str]) -> Int64[Tensor, "texts length"]:
        """The numbers of the texts' tokens, shorter ones padded behind their end, where nothing of them is read."""
        if not len(texts):
            raise BadInput("there is no text to embed; give at least one.")
        numbers = self.tokenizer(list(texts), padding=True, return_tensors="pt")["input_ids"]
        most = self.clip.config.text_config.max_position_embeddings
        if numbers.shape[1] > most:
            raise BadInput(f"a text has {numbers.shape[1]} tokens, and {self.name} reads at most {most}; shorten it.")
        return numbers.to(self.clip.logit_scale.device)

    def logits(self, images: Float[Tensor, "images embed"], texts: Float[Tensor, "texts embed"]) -> Float[Tensor, "images texts"]:
        """Cosine of each picture's and each text's embedding, times the learned scale: the softmax of a row is CLIP's answer."""
        return self.clip.logit_scale.exp() * images @ texts.mT

    def preprocess(self, pictures: Image | Sequence[Image]) -> Pixels:
        """Pictures as the model takes them, by transformers' own processor: RGB, shorter side to `resolution`, middle cut out."""
        pictures = [pictures] if isinstance(pictures, Image) else list(pictures)
        return self.processor(images=pictures, return_tensors="pt")["pixel_values"].to(self.clip.logit_scale.device)

    def normalized(self, image: Float[Tensor, "batch 3 rows columns"]) -> Pixels:
        """Pictures in [0, 1] that already have their size, as the model takes them."""
        return normalized(image, self.processor)


def cls_behind(layer: CLIPEncoderLayer, hidden: Float[Tensor, "batch n dim"]) -> Float[Tensor, "batch dim"]:
    """CLS behind a layer, `layer(hidden)[:, 0]`, for a tenth of the work: it asks all tokens, and what becomes of the others is not computed."""
    attention, seen = layer.self_attn, layer.layer_norm1(hidden)
    query, key, value = (rearrange(ask(x), "b n (heads d) -> b heads n d", heads=attention.num_heads)
                         for ask, x in ((attention.q_proj, seen[:, :1]), (attention.k_proj, seen), (attention.v_proj, seen)))
    found = scaled_dot_product_attention(query, key, value, scale=attention.scale, dropout_p=attention.dropout if layer.training else 0.0)
    cls = hidden[:, 0] + attention.out_proj(rearrange(found, "b heads 1 d -> b (heads d)"))
    return cls + layer.mlp(layer.layer_norm2(cls))
