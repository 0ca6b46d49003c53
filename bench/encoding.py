"""CLIP's wrapper against bare transformers: the embedding of the same batch, `ClipTokens.image_embedding` beside `get_image_features`.

    python bench/encoding.py [ROUNDS]        (part of: make bench)

First the shipped small CLIP on 16 pictures of 96 pixels, then the vision tower of a ViT-L/14 at 336 pixels, built from its
configuration with random weights, on one picture; of that also the peak memory of this process. Both take turns in every
round. The limit is for processor time with one thread, medians; the results must be equal.
"""

import resource
import statistics
import sys
import time

import torch
from transformers import CLIPConfig, CLIPModel

from course_lib.core.threads import one_thread
from course_lib.tokens.clip import ClipTokens, Pixels

LIMIT = 1.1
SMALL, BATCH = "clip", 16
LARGE = {"image_size": 336, "patch_size": 14, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
         "num_attention_heads": 16, "projection_dim": 768}  # openai/clip-vit-large-patch14-336
WARM_UP = 1


@torch.no_grad()
def seconds(clip: ClipTokens, pixels: Pixels, rounds: int) -> tuple[float, float]:
    """Median seconds of the processor: the wrapper's, and the bare model's."""
    calls = (lambda: clip.image_embedding(pixels),
             lambda: torch.nn.functional.normalize(clip.clip.get_image_features(pixels).pooler_output, dim=-1))
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + WARM_UP):
        found = []
        for call, kept in zip(calls, times):
            start = time.process_time()
            found.append(call())
            if number >= WARM_UP:
                kept.append(time.process_time() - start)
        torch.testing.assert_close(*found, rtol=0, atol=1e-5)
    return statistics.median(times[0]), statistics.median(times[1])


def large() -> ClipTokens:
    """The vision tower at true size; its text tower is as small as it can be, for nothing here reads."""
    torch.manual_seed(0)
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "projection_dim": 768}
    return ClipTokens(CLIPModel(CLIPConfig(vision_config=LARGE, text_config=text, projection_dim=768)), None, None)


def main(rounds: int) -> int:
    worst = 0.0
    with one_thread():
        for name, clip, many, times in (("the small CLIP", ClipTokens.load(SMALL), BATCH, rounds), ("ViT-L/14-336", large(), 1, max(2, rounds // 5))):
            ours, bare = seconds(clip, torch.randn(many, 3, clip.resolution, clip.resolution), times)
            worst = max(worst, ours / bare)
            print(f"{name}, {many} × {clip.grid[0]} × {clip.grid[1]} tokens of {clip.dim}, median of {times}: wrapper {ours:.2f} s of the processor, "
                  f"transformers {bare:.2f} s, ratio {ours / bare:.2f} (limit {LIMIT})")
    print(f"peak memory with both models: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
