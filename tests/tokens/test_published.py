"""CLIPs on paper have the sizes of the real ones, whose numbers of parameters are published with their weights."""

import pytest
import torch

from course_lib.core.errors import BadInput
from course_lib.tokens.published import PUBLISHED, count, on_paper
from course_lib.tokens.small_clip import SmallClip

KNOWN = {"openai/clip-vit-large-patch14-336": (427_944_193, (24, 24), 1024), "openai/clip-vit-base-patch16": (149_620_737, (14, 14), 768),
         "openai/clip-vit-base-patch32": (151_277_313, (7, 7), 768), "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": (986_109_441, (16, 16), 1280)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_tokens_are_the_published_ones(name):
    model = on_paper(name)
    found = count(model)
    assert (found.parameters, found.grid, found.dim) == KNOWN[name] and found.resolution == PUBLISHED[name].resolution
    assert all(p.device.type == "meta" for p in model.parameters())


def test_operations_are_those_of_a_formula():
    """2 · n (4 d² + 8 d²) for the matrices and 4 n² d for attention in every layer, and the patches."""
    size, found = PUBLISHED["openai/clip-vit-base-patch32"], count(on_paper("openai/clip-vit-base-patch32"))
    n, d = 50, size.dim
    expected = size.layers * (2 * n * 12 * d**2 + 4 * n**2 * d) + 2 * 49 * 3 * size.patch**2 * d
    assert found.gflop * 1e9 == pytest.approx(expected)


def test_a_clip_with_numbers_is_counted_alike():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = SmallClip(32, dim=16, layers=1, heads=2, text_dim=16, text_layers=1, text_heads=2, projection=8).clip
    found = count(small)
    assert (found.resolution, found.grid, found.dim) == (32, (8, 8), 16)
    assert found.seeing < found.parameters == sum(p.numel() for p in small.parameters())


def test_a_name_that_is_not_written_down():
    with pytest.raises(BadInput, match="^the sizes of 'clip' are not written down here; there are openai/"):
        on_paper("clip")
