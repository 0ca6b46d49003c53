"""Published CLIPs as far as they can be had without their weights: built on paper from their sizes, with tokens and parameters to count."""

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPConfig, CLIPModel

from course_lib.core.errors import BadInput


class Published(NamedTuple):
    """Sizes from the published configuration. embed: width of the embeddings that are compared; MLPs are 4 times as wide as tokens."""

    dim: int
    layers: int
    heads: int
    patch: int
    resolution: int
    embed: int
    text_dim: int
    text_layers: int
    text_heads: int


PUBLISHED = {"openai/clip-vit-large-patch14-336": Published(1024, 24, 16, 14, 336, 768, 768, 12, 12),
             "openai/clip-vit-base-patch16": Published(768, 12, 12, 16, 224, 512, 512, 12, 8),
             "openai/clip-vit-base-patch32": Published(768, 12, 12, 32, 224, 512, 512, 12, 8),
             "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": Published(1280, 32, 16, 14, 224, 1024, 1024, 24, 16)}


class Counted(NamedTuple):
    """grid (height, width) and dim: of the tokens of a picture; parameters of all and of the part that sees; gflop: of one picture
    through that part, two for a multiplication and an addition."""

    resolution: int
    grid: tuple[int, int]
    dim: int
    parameters: int
    seeing: int
    gflop: float


def on_paper(name: str) -> CLIPModel:
    """The published CLIP with every shape and no number in it (torch's meta device): nothing is loaded, and no memory is needed.

    Raises `BadInput` for a name that is not in `PUBLISHED`.
    """
    if name not in PUBLISHED:
        raise BadInput(f"the sizes of {name!r} are not written down here; there are {', '.join(PUBLISHED)}.")
    size = PUBLISHED[name]
    vision = {"hidden_size": size.dim, "num_hidden_layers": size.layers, "num_attention_heads": size.heads, "intermediate_size": 4 * size.dim,
              "patch_size": size.patch, "image_size": size.resolution, "projection_dim": size.embed}
    text = {"hidden_size": size.text_dim, "num_hidden_layers": size.text_layers, "num_attention_heads": size.text_heads,
            "intermediate_size": 4 * size.text_dim, "projection_dim": size.embed}
    with torch.device("meta"):
        return CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=size.embed)).eval()


@torch.no_grad()
def count(clip: CLIPModel) -> Counted:
    """Of a CLIP with or without numbers in it."""
    config = clip.config.vision_config
    side = config.image_size
    with FlopCounterMode(display=False) as counter:
        hidden = clip.vision_model(torch.zeros(1, 3, side, side, device=clip.logit_scale.device)).last_hidden_state
    grid = 2 * (side // config.patch_size,)
    if hidden.shape[1] != grid[0] * grid[1] + 1:
        raise BadInput(f"{hidden.shape[1]} tokens are not CLS and a grid of {grid[0]} × {grid[1]}; give a CLIP whose patches tile its pictures.")
    many, seeing = (sum(p.numel() for p in part.parameters()) for part in (clip, clip.vision_model))
    return Counted(side, grid, hidden.shape[2], many, seeing, counter.get_total_flops() / 1e9)
