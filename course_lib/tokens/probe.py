"""What CLIP's tokens know: read by a linear probe behind every layer, moved by what happens elsewhere, missed when they are taken away.

Scenes are batches of `CaptionedScenes`, so what is at each place is known. Nothing here trains a CLIP or draws.
"""

from typing import NamedTuple

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from course_lib.core.errors import BadInput
from course_lib.slots.scenes import Scenes
from course_lib.tokens.captions import FACTORS, describe, objects
from course_lib.tokens.clip import ClipTokens, Encoded
from course_lib.tokens.compressor import Grid

AT_ONCE = 25  # pictures that go through CLIP together
Images = Float[Tensor, "scenes embed"]


# behind every layer


@torch.no_grad()
def behind_layers(clip: ClipTokens, image: Float[Tensor, "batch 3 rows columns"]) -> list[Encoded]:
    """Tokens and CLS of pictures in [0, 1] behind each layer, 0 (the input of the first) to L, from one pass.

    They are all kept: 4 (L + 1) (n + 1) dim bytes a picture of n tokens.
    """
    (height, width), vision, device = clip.grid_of(*image.shape[2:]), clip.clip.vision_model, clip.clip.logit_scale.device
    every = torch.empty(len(vision.encoder.layers) + 1, len(image), height * width + 1, clip.dim, device=device)  # filled: nothing is held twice
    for start in range(0, len(image), AT_ONCE):
        pixels = clip.normalized(image[start : start + AT_ONCE].to(device))
        states = vision(pixels, output_hidden_states=True, interpolate_pos_encoding=(height, width) != clip.grid).hidden_states
        for kept, hidden in zip(every, states, strict=True):
            kept[start : start + AT_ONCE] = hidden
    return [Encoded(rearrange(hidden[:, 1:], "b (h w) d -> b h w d", h=height), hidden[:, 0]) for hidden in every]


def behind(clip: ClipTokens, layer: int) -> ClipTokens:
    """The same weights, cut behind another layer."""
    return ClipTokens(clip.clip, clip.tokenizer, clip.processor, layer, clip.freeze, clip.name)


# how alike tokens are that have nothing in common


class Floor(NamedTuple):
    """Of tokens of different places and pictures. cosine: the mean of drawn pairs; length: ‖E u‖², u = x / ‖x‖, what it must be, as

        E ⟨u, u′⟩ = ⟨E u, E u′⟩ = ‖E u‖²        for independent u and u′

    centred: the mean cosine of the same pairs after the mean token is subtracted.
    """

    cosine: float
    length: float
    centred: float


def cosine_floor(tokens: Float[Tensor, "*lead dim"], seed: int = 0) -> Floor:
    """Pairs are drawn by shuffling all tokens. Raises `BadInput` for fewer than two tokens."""
    flat = tokens.flatten(0, -2)
    if len(flat) < 2:
        raise BadInput(f"a pair needs two tokens, and there is {len(flat)}.")
    order = torch.randperm(len(flat), generator=torch.Generator().manual_seed(seed)).to(flat.device)
    pairs = order, order.roll(1)  # nobody is paired with itself
    unit, centred = normalize(flat, dim=-1), normalize(flat - flat.mean(0), dim=-1)
    cosine, apart = (float((each[pairs[0]] * each[pairs[1]]).sum(-1).mean()) for each in (unit, centred))
    return Floor(cosine, float(unit.mean(0).square().sum()), apart)


# linear probes


def on_objects(tokens: Grid, scenes: Scenes) -> Float[Tensor, "objects dim"]:
    """The token at the centre of each object, scene after scene."""
    height, width = tokens.shape[1:3]
    x, y = ((scenes["position"].to(tokens.device) + 1) / 2).unbind(-1)
    place = (y * height).long().clamp(0, height - 1) * width + (x * width).long().clamp(0, width - 1)
    index = place[..., None].expand(-1, -1, tokens.shape[-1])
    return rearrange(tokens, "b h w d -> b (h w) d").gather(1, index)[scenes["present"]]


def of_objects(tokens: Grid, under: Int64[Tensor, "batch height width"], scenes: Scenes) -> Float[Tensor, "objects dim"]:
    """The mean of all tokens that lie on each object (`moving.lies_on`), scene after scene; zeros for one that no token lies on."""
    mask = one_hot(under, scenes["present"].shape[1] + 1)[..., 1:].to(tokens)
    total = torch.einsum("bhwk,bhwd->bkd", mask, tokens)
    return (total / mask.sum((1, 2)).clamp(min=1)[..., None])[scenes["present"]]


def answers(scenes: Scenes) -> dict[str, Int64[Tensor, "objects"]]:
    """What is to be read off a token on each object: `FACTORS` of the object, and "other kind" and "other colour" of another object of the
    scene: the next one, and of the last one the first."""
    present, names = scenes["present"], dict(zip(FACTORS, ("kind", "colour_index", "size_index", "place")))
    many = present.sum(1, keepdim=True)
    after = (torch.arange(present.shape[1]) + 1) % many
    found = {name: scenes[names[name]] for name in FACTORS}
    found |= {f"other {name}": scenes[names[name]].gather(1, after) for name in ("kind", "colour")}
    return {name: value.long()[present] for name, value in found.items()}


def linear_probe(learn: tuple[Float[Tensor, "n dim"], Int64[Tensor, "n"]], test: tuple[Float[Tensor, "m dim"], Int64[Tensor, "m"]],
                 strength: float = 0.1) -> float:
    """Share of right answers of a logistic regression on standardised tokens, as CLIP's own paper probes (Radford et al. 2021, 3.2).

    strength: the inverse of the penalty. Raises `BadInput` if there is only one answer to learn.
    """
    if len(learn[1].unique()) < 2:
        raise BadInput("all tokens to learn from have the same answer; give more scenes.")
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
    probe.fit(learn[0].cpu().numpy(), learn[1].numpy())
    return float(probe.score(test[0].cpu().numpy(), test[1].numpy()))


def most_frequent(learn: Int64[Tensor, "n"], test: Int64[Tensor, "m"]) -> float:
    """Share of right answers of a probe that sees nothing: always what was most frequent in what it learned from."""
    return float((test == learn.mode().values).float().mean())


# what happens elsewhere


def changed_patches(image: Float[Tensor, "twice 3 rows columns"], grid: tuple[int, int]) -> Bool[Tensor, "pairs height width"]:
    """In which patches neighbours, pictures 2i and 2i + 1, differ in at least one pixel."""
    different = (image[::2] != image[1::2]).any(1).float()
    return reduce(different, "b (h p) (w q) -> b h w", "max", h=grid[0], w=grid[1]).bool()


def movement(tokens: Float[Tensor, "twice height width dim"]) -> Float[Tensor, "pairs height width"]:
    """‖x − x′‖² of each token between neighbours, pictures 2i and 2i + 1."""
    return (tokens[::2] - tokens[1::2]).square().sum(-1)


def elsewhere(tokens: Float[Tensor, "twice height width dim"], changed: Bool[Tensor, "pairs height width"]) -> float:
    """Σ ‖x − x′‖² over the patches where nothing changed, as a share of all: 0 if every token knows its own patch alone.

    Raises `BadInput` if no token moved.
    """
    moved = movement(tokens).double()
    if not float(moved.sum()):
        raise BadInput("no token differs between the neighbours; give scenes with neighbours.")
    return float(moved[~changed].sum() / moved.sum())


# without some of the tokens


@torch.no_grad()
def thinned(clip: nn.Module, encoded: Encoded, share: float, seed: int = 0) -> Images:
    """Embeddings when only so large a share of each picture's tokens, drawn for each picture, goes on behind `clip.layer`, with CLS.

    clip: what replays them, a `ClipTokens`. share 0 is "CLS only". Raises `BadInput` for a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise BadInput(f"the share of tokens that are kept must be from 0 to 1, not {share}.")
    tokens = encoded.tokens.flatten(1, 2)
    draws = torch.rand(tokens.shape[:2], generator=torch.Generator().manual_seed(seed)).to(tokens.device)
    kept = draws.argsort(1)[:, : round(share * tokens.shape[1])].sort(1).values
    left = tokens.gather(1, kept[..., None].expand(-1, -1, tokens.shape[2]))
    return torch.cat([clip.replay(*part) for part in zip(left.split(AT_ONCE), encoded.cls.split(AT_ONCE))])


# which word belongs to which object


def exchanged(scenes: Scenes, factor: str) -> tuple[Int64[Tensor, "asked"], list[str], list[str]]:
    """Of each scene whose first two objects differ in `factor`: its number in the batch, a true caption, and one in which these two
    have exchanged it. Both have the same words. Scenes where that makes no difference are left out.

    Raises `BadInput` for another factor.
    """
    if factor not in FACTORS:
        raise BadInput(f"factor must be one of {', '.join(FACTORS)}, not {factor!r}.")
    name, rows, true, wrong = FACTORS.index(factor), [], [], []
    for row, (first, second, *others) in enumerate(objects(scenes)):
        swapped = [a._replace(**{a._fields[name]: b[name]}) for a, b in ((first, second), (second, first))]
        if set(swapped) != {first, second}:
            rows.append(row)
            true.append(describe([first, second, *others]))
            wrong.append(describe([*swapped, *others]))
    return torch.tensor(rows, dtype=torch.long), true, wrong


@torch.no_grad()
def exchange(clip: nn.Module, scenes: Scenes, factor: str, images: Images) -> Bool[Tensor, "asked"]:
    """Whether the true caption is nearer to the picture than the `exchanged` one; who only knows which words occur is right in half.

    clip: what reads them, a `ClipTokens`. images: embeddings of all scenes. Raises `BadInput` if no scene can be asked.
    """
    rows, true, wrong = exchanged(scenes, factor)
    if not len(rows):
        raise BadInput(f"no scene has two objects that can exchange their {factor}; give more scenes.")
    right, other = ((clip.text_embedding(texts) * images[rows.to(images.device)]).sum(-1) for texts in (true, wrong))
    return right > other
