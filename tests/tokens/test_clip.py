"""CLIP cut open: its tokens are transformers' hidden states, and what is put back unchanged gives the model's own answer."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import (BertConfig, BertModel, CLIPConfig, CLIPImageProcessor, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer,
                          CLIPVisionConfig, CLIPVisionModel)

from course_lib.core.errors import BadInput
from course_lib.core.weights import save_weights
from course_lib.tokens import sources
from course_lib.tokens.captions import CaptionedScenes, captions, make_tokenizer
from course_lib.tokens.clip import ClipTokens, cls_behind
from course_lib.tokens.small_clip import SmallClip, resized, waves
from course_lib.tokens.zero_shot import ZeroShot, embedded

TINY = {"dim": 16, "layers": 3, "heads": 2, "text_dim": 12, "text_layers": 2, "text_heads": 2, "projection": 8}
CARD = {"experiment": "clip", "config": {}, "seed": 0, "seconds": 1.0, "metrics": {}}
# hidden size, heads, patch, pixels and embedding of the models of the syllabus, from their published configurations
PUBLISHED = {"openai/clip-vit-large-patch14-336": (1024, 16, 14, 336, 768), "openai/clip-vit-base-patch16": (768, 12, 16, 224, 512),
             "openai/clip-vit-base-patch32": (768, 12, 32, 224, 512), "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": (1280, 16, 14, 224, 1024)}
TOKEN_GRIDS = dict(zip(PUBLISHED, [(24, 24), (14, 14), (7, 7), (16, 16)]))


def small(resolution: int = 32, **changes) -> SmallClip:
    torch.manual_seed(0)
    return SmallClip(resolution, **TINY | changes).eval()


def pixels(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def close(found: torch.Tensor, expected: torch.Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def write(folder: Path, config: CLIPConfig, tokenizer=None, dtype: torch.dtype = torch.float32) -> CLIPModel:
    """A model with cheap random weights, in transformers' format with tokenizer and preprocessor."""
    with torch.device("meta"):
        model = CLIPModel(config).to(dtype)
    model = model.to_empty(device="cpu")
    block = 0.02 * torch.randn(max(p.numel() for p in model.parameters()), generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(block[: p.numel()].view(p.shape))
        for name, buffer in model.named_buffers():
            buffer.copy_(torch.arange(buffer.numel()).view(buffer.shape))
    model.save_pretrained(folder)
    (tokenizer or make_tokenizer()).save_pretrained(folder)
    size = config.vision_config.image_size
    CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}).save_pretrained(folder)
    return model.eval()


def config_of(dim: int, heads: int, patch: int, size: int, embed: int, layers: int = 2, ratio: int = 1) -> CLIPConfig:
    """A published shape of pictures with few layers and a small text side."""
    tokenizer = make_tokenizer()
    vision = {"hidden_size": dim, "num_attention_heads": heads, "patch_size": patch, "image_size": size, "num_hidden_layers": layers,
              "intermediate_size": ratio * dim, "projection_dim": embed}
    text = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16, "vocab_size": len(tokenizer),
            "max_position_embeddings": 48, "projection_dim": embed, "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return CLIPConfig(vision_config=vision, text_config=text, projection_dim=embed)


# tokens, and back


@pytest.mark.parametrize("layer", [-4, -3, -2, -1, 0, 1, 2, 3])
@torch.no_grad()
def test_tokens_are_hidden_states_and_unchanged_they_give_the_models_own_embedding(layer):
    model, picture = small(), pixels(3, 3, 32, 32)
    clip = ClipTokens.of(model, layer)
    whole = model.clip.vision_model(picture, output_hidden_states=True)
    tokens, cls = clip.encode(picture)
    assert tokens.shape == (3, 8, 8, 16) and clip.grid == (8, 8) and clip.dim == 16
    close(tokens.flatten(1, 2), whole.hidden_states[layer][:, 1:], 1e-6)
    close(cls, whole.hidden_states[layer][:, 0], 1e-6)
    own = normalize(model.clip.get_image_features(picture).pooler_output, dim=-1)
    close(clip.replay(tokens.flatten(1, 2), cls), own)
    close(clip.image_embedding(picture), own)
    close(own.norm(dim=-1), torch.ones(3))


@torch.no_grad()
def test_places_are_rows_and_columns():
    clip = ClipTokens.of(small(), layer=0)
    picture = pixels(1, 3, 32, 32)
    changed = picture.clone()
    changed[:, :, 8:12, 20:24] += 1
    different = (clip.encode(changed).tokens != clip.encode(picture).tokens).any(-1)[0]
    assert different.nonzero().tolist() == [[2, 5]]


@torch.no_grad()
def test_replay_takes_any_number_of_tokens_in_any_order():
    clip = ClipTokens.of(small())
    tokens, cls = clip.encode(pixels(2, 3, 32, 32))
    tokens = tokens.flatten(1, 2)
    shuffled = tokens[:, torch.randperm(64, generator=torch.Generator().manual_seed(3))]
    close(clip.replay(shuffled, cls), clip.replay(tokens, cls))  # positions are in the tokens
    assert clip.replay(tokens[:, :5], cls).shape == (2, 8)
    assert not torch.allclose(clip.replay(tokens[:, :5], cls), clip.replay(tokens, cls), atol=1e-3)
    alone = clip.replay(tokens[:, :0], cls)
    close(clip.replay(cls[:, None], cls), alone)  # attention to oneself, twice


def test_frozen_means_no_parameter_learns_but_tokens_may():
    clip = ClipTokens.of(small())
    assert not any(p.requires_grad for p in clip.parameters()) and not clip.train().training
    tokens, cls = clip.encode(pixels(2, 3, 32, 32))
    assert not tokens.requires_grad
    changed = tokens.flatten(1, 2).requires_grad_()
    clip.replay(changed, cls)[:, 0].sum().backward()
    assert changed.grad.abs().sum() > 0
    free = ClipTokens.of(small(), freeze=False)
    assert free.training and free.encode(pixels(2, 3, 32, 32)).tokens.requires_grad


def test_the_last_layer_serves_cls_alone():
    """Why layer −2: no gradient of the embedding reaches a token behind the last layer."""
    for layer, reached in ((-1, False), (-2, True)):
        clip = ClipTokens.of(small(), layer)
        tokens, cls = clip.encode(pixels(1, 3, 32, 32))
        changed = tokens.flatten(1, 2).requires_grad_()
        clip.replay(changed, cls)[:, 0].sum().backward()
        assert bool(changed.grad.abs().sum() > 0) == reached


def test_cls_alone_is_what_the_whole_layer_makes_of_it():
    """Values and gradients, those of the weights too."""
    found = []
    for of_cls in (lambda layer, hidden: layer(hidden, attention_mask=None)[:, 0], cls_behind):
        layer = small().clip.vision_model.encoder.layers[0]
        hidden = torch.randn(3, 10, layer.embed_dim, generator=torch.Generator().manual_seed(0)).requires_grad_()
        value = of_cls(layer, hidden)
        value.square().sum().backward()
        found.append([value, hidden.grad, *(p.grad for p in layer.parameters())])
    for whole, alone in zip(*found, strict=True):
        close(whole, alone)


@pytest.mark.parametrize("layer", [4, -5, 99])
def test_a_layer_that_is_not_there(layer):
    with pytest.raises(BadInput, match=f"^the small CLIP has 3 layers, so layer must be from -4 to 3, not {layer}.$"):
        ClipTokens.of(small(), layer)


# other sizes


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 64), (24, 48), (16, 64), (32, 16)])
@torch.no_grad()
def test_pictures_of_other_sizes_and_not_square(height, width):
    model, picture = small(), pixels(2, 3, height, width)
    clip = ClipTokens.of(model)
    tokens = clip.encode(picture).tokens
    assert tokens.shape == (2, height // 4, width // 4, 16)
    theirs = model.clip.vision_model(picture, output_hidden_states=True, interpolate_pos_encoding=True)
    close(tokens.flatten(1, 2), theirs.hidden_states[-2][:, 1:], 1e-6)


@pytest.mark.parametrize("shape", [(30, 32), (32, 34), (3, 32), (0, 32)])
def test_sides_that_patches_do_not_divide(shape):
    with pytest.raises(BadInput, match=rf"^a picture of {shape[0]} × {shape[1]} pixels cannot be cut into .* multiples of 4.$"):
        ClipTokens.of(small()).encode(torch.zeros(1, 3, *shape))


@torch.no_grad()
def test_a_model_at_another_resolution_is_the_same_with_interpolated_positions():
    model = small(32)
    finer, picture = model.at_resolution(64), pixels(2, 3, 64, 64)
    assert ClipTokens.of(finer).grid == (16, 16) and finer.card_arguments["resolution"] == 64
    close(ClipTokens.of(finer).encode(picture).tokens, ClipTokens.of(model).encode(picture).tokens, 1e-6)
    kept = {name: value for name, value in model.state_dict().items() if "vision_model.embeddings.position" not in name}
    assert all(torch.equal(finer.state_dict()[name], value) for name, value in kept.items())
    same = model.at_resolution(32)
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in model.state_dict().items())


def test_interpolated_positions_keep_constants_and_cls():
    positions = torch.cat([torch.full((1, 4), 9.0), torch.arange(4.0).expand(6, 4)])
    finer = resized(positions, (2, 3), (6, 5))
    assert finer.shape == (31, 4) and torch.equal(finer[0], positions[0])
    close(finer[1:], torch.arange(4.0).expand(30, 4))


def test_first_positions_depend_on_the_place_in_the_picture_and_not_on_the_grid():
    fine, coarse = waves((36, 36), 128).view(36, 36, 128), waves((12, 12), 128).view(12, 12, 128)
    close(fine[1::3, 1::3], coarse)  # the middle one of 3 × 3 is where the one was
    near, far = ((coarse[0, 0] - coarse[0, k]).norm() for k in (1, 11))
    assert near < far
    assert waves((3, 5), 18)[:, 16:].abs().max() == 0 and waves((3, 5), 18).shape == (15, 18)
    assert len(coarse.flatten(0, 1).unique(dim=0)) == 144


# texts


@torch.no_grad()
def test_texts_are_transformers_own_whatever_they_are_padded_with():
    model = small()
    clip = ClipTokens.of(model)
    texts = ["a red circle", "there is a small blue square at the top left ; there is a pink triangle"]
    both = clip.text_embedding(texts)
    for k, text in enumerate(texts):
        numbers = model.tokenizer(text, return_tensors="pt")
        own = model.clip.get_text_features(numbers["input_ids"], numbers["attention_mask"]).pooler_output
        close(both[k : k + 1], normalize(own, dim=-1))
        close(clip.text_embedding([text])[0], both[k])
    close(both.norm(dim=-1), torch.ones(2))
    assert not torch.allclose(both[0], clip.text_embedding(["a blue circle"])[0], atol=1e-4)


def test_texts_that_cannot_be_read():
    clip = ClipTokens.of(small())
    with pytest.raises(BadInput, match="^a text has 62 tokens, and the small CLIP reads at most 48; shorten it.$"):
        clip.text_embedding(["a red circle", "a " * 60])
    with pytest.raises(BadInput, match="^there is no text"):
        clip.text_embedding([])


@torch.no_grad()
def test_logits_are_transformers_own():
    model = small()
    clip, picture, texts = ClipTokens.of(model), pixels(3, 3, 32, 32), ["a red circle", "a blue square"]
    numbers = model.tokenizer(texts, return_tensors="pt", padding=True)
    theirs = model.clip(pixel_values=picture, **numbers).logits_per_image
    close(clip.logits(clip.image_embedding(picture), clip.text_embedding(texts)), theirs, 1e-4)


# zero-shot


def test_zero_shot_is_right_when_the_true_caption_is_nearest_and_a_tie_is_wrong():
    asked = ZeroShot({"kind": torch.eye(3).expand(4, 3, 3), "size": torch.eye(3)[:2].expand(4, 2, 3)})
    images = normalize(torch.tensor([[1.0, 0, 0], [0.5, 0.6, 0], [1, 1, 0], [0.1, 0, 0.9]]), dim=-1)
    assert asked.right(images)["kind"].tolist() == [True, False, False, False]
    assert asked.accuracy(images) == {"kind": 0.25, "size": 0.5}
    assert asked.chance == {"kind": pytest.approx(1 / 3), "size": 0.5}
    with pytest.raises(BadInput, match="^the questions are about 4 pictures, and 3 embeddings are given"):
        asked.right(images[:3])


@torch.no_grad()
def test_questions_read_by_a_clip():
    clip, scenes = ClipTokens.of(small()), CaptionedScenes(32, seed=9).batch(range(4))
    asked = ZeroShot.about(scenes, clip, ["colour", "joint"])
    assert asked.candidates["colour"].shape == (4, 8, 8) and asked.candidates["joint"].shape == (4, 288, 8)
    close(embedded(clip, scenes["image"]), clip.image_embedding(clip.normalized(scenes["image"])))
    assert len(captions(scenes)) == 4


# pictures


def by_hand(picture: Image.Image, size: int) -> np.ndarray:
    """CLIP's preprocessing with Pillow and NumPy: RGB, shorter side to `size` (bicubic), the middle, mean and deviation."""
    picture = picture.convert("RGB")
    w, h = picture.size
    short = min(w, h)
    picture = picture.resize((int(size * w / short), int(size * h / short)), Image.Resampling.BICUBIC)
    left, top = (picture.size[0] - size) // 2, (picture.size[1] - size) // 2
    array = np.asarray(picture.crop((left, top, left + size, top + size)), np.float32) / 255
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    return ((array - mean) / std).transpose(2, 0, 1)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK"])
def test_preprocessing_is_transformers_own(mode):
    clip = ClipTokens.of(small())
    noise = np.random.default_rng(0).integers(0, 256, (70, 101, 3), np.uint8)
    pictures = [Image.fromarray(noise).convert(mode), Image.fromarray(noise[:40, :33]).convert(mode)]
    found = clip.preprocess(pictures)
    assert found.shape == (2, 3, 32, 32)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    assert torch.equal(found, processor(images=pictures, return_tensors="pt")["pixel_values"])
    for row, picture in zip(found, pictures):
        np.testing.assert_allclose(row.numpy(), by_hand(picture, 32), atol=2e-5)
    assert torch.equal(clip.preprocess(pictures[0]), found[:1])


def test_a_drawn_scene_is_the_same_as_tensor_and_as_picture():
    clip, image = ClipTokens.of(small(48)), CaptionedScenes(48).batch([0])["image"]
    picture = Image.fromarray((image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy())
    close(clip.preprocess(picture), clip.normalized(image), atol=0.5 / 255 / 0.26 + 1e-5)


# where they come from


def test_a_shipped_clip_brings_its_tokenizer(tmp_path):
    model = small()
    save_weights(model, tmp_path / "mine", card=CARD)
    by_path = ClipTokens.load(str(tmp_path / "mine"))
    clip, tokenizer, _ = sources.find_clip("mine", tmp_path)
    texts = ["a small red circle at the left"]
    with torch.no_grad():
        close(by_path.text_embedding(texts), ClipTokens.of(model).text_embedding(texts), 0)
    assert tokenizer(texts)["input_ids"] == model.tokenizer(texts)["input_ids"] and by_path.resolution == 32


@pytest.mark.parametrize("name", PUBLISHED)
@torch.no_grad()
def test_published_shapes_through_the_door_for_folders(name, tmp_path):
    dim, heads, patch, size, embed = PUBLISHED[name]
    folder = tmp_path / name
    own = write(folder, config_of(dim, heads, patch, size, embed))
    clip = ClipTokens.load(str(folder))
    assert (clip.grid, clip.dim, clip.resolution) == (TOKEN_GRIDS[name], dim, size)
    picture = clip.preprocess(Image.new("RGB", (300, 200), "orange"))
    assert picture.shape == (1, 3, size, size)
    tokens, cls = clip.encode(picture)
    assert tokens.shape == (1, *TOKEN_GRIDS[name], dim)
    close(clip.image_embedding(picture), normalize(own.get_image_features(picture).pooler_output, dim=-1))
    assert clip.text_embedding(["a red circle"]).shape == (1, embed)


@torch.no_grad()
def test_vit_large_at_its_true_size(tmp_path):
    """All 24 layers of openai/clip-vit-large-patch14-336, 304 million parameters, in half precision on disk."""
    dim, heads, patch, size, embed = PUBLISHED["openai/clip-vit-large-patch14-336"]
    write(tmp_path, config_of(dim, heads, patch, size, embed, layers=24, ratio=4), dtype=torch.float16)
    clip = ClipTokens.load(str(tmp_path))
    assert sum(p.numel() for p in clip.clip.vision_model.parameters()) == 303_507_456
    picture = clip.preprocess(Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 336, 3), np.uint8)))
    tokens, cls = clip.encode(picture)
    assert tokens.shape == (1, 24, 24, 1024) and tokens.dtype == torch.float32 and bool(tokens.isfinite().all())
    assert clip.replay(tokens.flatten(1, 2), cls).shape == (1, 768)


def test_the_byte_pair_tokenizer_of_real_models(tmp_path):
    words = ["<|startoftext|>", "<|endoftext|>", *"ader", "a</w>", "d</w>", "re", "red</w>"]
    tokenizer = CLIPTokenizer(vocab={word: k for k, word in enumerate(words)}, merges=[("r", "e"), ("re", "d</w>")])
    config = config_of(16, 2, 8, 32, 8)
    config.text_config.vocab_size, config.text_config.eos_token_id = len(words), 1
    write(tmp_path, config, tokenizer)
    clip = ClipTokens.load(str(tmp_path))
    assert clip.token_ids(["a red", "red"]).tolist() == [[0, 6, 9, 1], [0, 9, 1, 1]]  # padded with the end itself
    with torch.no_grad():
        close(clip.text_embedding(["a red", "red"])[1], clip.text_embedding(["red"])[0])


def refused(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as error:
        ClipTokens.load(name)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_a_hub_out_of_reach_is_one_sentence_that_names_the_bundled_model(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused("openai/clip-vit-base-patch32", f"neither shipped .* nor a folder here, and the hub does not give it .* '{sources.BUNDLED}'.$")
    refused("no such name!", "^'no such name!' is neither")


def test_folders_that_hold_something_else_or_less(tmp_path):
    refused(str(tmp_path), "has no config.json")
    (tmp_path / "config.json").write_text("{")
    refused(str(tmp_path), "config.json cannot be read")
    BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)).save_pretrained(tmp_path / "bert")
    refused(str(tmp_path / "bert"), "holds a model of the kind 'bert', not a CLIP")
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 32, "patch_size": 8}
    CLIPVisionModel(CLIPVisionConfig(**vision)).save_pretrained(tmp_path / "eyes")
    refused(str(tmp_path / "eyes"), "'clip_vision_model', not a CLIP with pictures and text")


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda folder: (folder / "model.safetensors").unlink(), "holds no whole CLIP"),
    (lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:900]), "holds no whole CLIP"),
    (lambda folder: (folder / "preprocessor_config.json").unlink(), "holds no whole CLIP"),
    (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")], "holds no whole CLIP"),
    (lambda folder: change(folder / "config.json", "vision_config", "num_hidden_layers", 3), "the weights lack 16 parameters"),
    (lambda folder: change(folder / "config.json", "vision_config", "hidden_size", 32), "holds no whole CLIP")],
    ids=["no weights", "cut off", "no preprocessor", "no tokenizer", "more layers", "other width"])
def test_a_folder_with_a_part_missing_or_not_fitting(spoil, words, tmp_path):
    write(tmp_path, config_of(16, 2, 8, 32, 8))
    assert ClipTokens.load(str(tmp_path)).grid == (4, 4)
    spoil(tmp_path)
    refused(str(tmp_path), words)


def change(path: Path, part: str, name: str, value: int) -> None:
    config = json.loads(path.read_text())
    config[part][name] = value
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(("settings", "words"), [
    ({"resolution": 30}, "a picture of 30 pixels cannot be cut into patches of 4; use a multiple of 4.$"),
    ({"resolution": 2}, "cannot be cut"), ({"heads": 3}, "widths of 16 and 12 cannot be shared equally among 3 and 2 heads.$"),
    ({"layers": 0}, "layers of a CLIP must be at least 1, not 0.$"), ({"projection": -1}, "projection of a CLIP must")])
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(BadInput, match=words):
        small(**{"resolution": 32} | settings)
