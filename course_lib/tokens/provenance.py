"""What tokens on disk are of: the model with the SHA-256 of its weights, layer, preprocessing, source, grid, versions."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from course_lib.core.errors import BadInput, one_line

RECORD = "cache.json"
SAME_PIXELS = 0.01  # preprocessings that differ less are one and the same, by another version or on another machine


@torch.no_grad()
def described(clip: nn.Module, source: Dataset) -> dict:
    """What tokens of these pictures by this model are; `check` compares it."""
    pixels = _test_pixels(clip, source)
    grid, dim = clip.encode(pixels[None].to(next(clip.parameters()).device)).tokens.shape[1:3], clip.dim
    about = source.provenance() if hasattr(source, "provenance") else {
        name: value for name, value in vars(source).items() if isinstance(value, (bool, int, float, str))}
    about = {"class": type(source).__name__, "count": len(source), **about}
    seen = F.adaptive_avg_pool2d(pixels.cpu(), 3).flatten()
    preprocessing = {"pixels": list(pixels.shape), "of_a_test_picture": [round(float(value), 4) for value in seen]}
    return {"clip": clip_record(clip), "preprocessing": preprocessing, "grid": list(grid), "dim": dim,
            "source": about | {"sha256": hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()},
            "versions": {name: version(name) for name in ("course-lib", "torch", "torchvision", "pillow", "safetensors")}}


def _test_pixels(clip: nn.Module, source: Dataset) -> Tensor:
    """What becomes of a fixed picture on its way to CLIP: it differs as soon as size, cut, scale or colours are treated otherwise."""
    row, column = np.mgrid[:47, :61]
    picture = np.stack([4 * column, 5 * row, (row + column) * 7 % 256], -1).astype(np.uint8)
    if hasattr(source, "preprocess"):
        pixels = source.preprocess(Image.fromarray(picture))
        return pixels[0] if pixels.ndim == 4 else pixels
    side = source.__getitems__([0])["image"].shape[2:]
    image = F.interpolate(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255, side, mode="bilinear")
    return clip.normalized(image.to(next(clip.parameters()).device))[0]


def clip_record(clip: nn.Module) -> dict:
    """Name, layer, and the SHA-256 over names, shapes and numbers of all weights."""
    total = hashlib.sha256()
    for name, value in sorted(clip.state_dict().items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return {"name": clip.name, "layer": clip.layer, "sha256": total.hexdigest()}


def check(folder: Path, old: dict, new: dict) -> None:
    """Raise `BadInput`, naming the first thing in which two descriptions differ."""
    def differ(kind: str, there: object, here: object) -> None:
        raise BadInput(f"{folder} holds tokens of another {kind}: {there}, not {here}; name another folder, or delete this one.")

    was, now = old["clip"], new["clip"]
    if was["sha256"] != now["sha256"]:
        differ("model", f"{was['name']} (weights {was['sha256'][:12]})", f"{now['name']} (weights {now['sha256'][:12]})")
    if was["layer"] != now["layer"]:
        differ("layer", was["layer"], now["layer"])
    if "preprocessing" in new:
        was, now = old["preprocessing"], new["preprocessing"]
        if was["pixels"] != now["pixels"] or not np.allclose(was["of_a_test_picture"], now["of_a_test_picture"], rtol=0, atol=SAME_PIXELS):
            differ("preprocessing", f"to {was['pixels']} numbers, the mean of a test picture {np.mean(was['of_a_test_picture']):.3f}",
                   f"to {now['pixels']}, {np.mean(now['of_a_test_picture']):.3f}")
    if "dtype" in new and old["dtype"] != new["dtype"]:
        differ("precision", old["dtype"], new["dtype"])
    if "source" in new and old["source"]["sha256"] != new["source"]["sha256"]:
        was, now = (f"{each['count']} pictures of {each.get('folder', each['class'])}" for each in (old["source"], new["source"]))
        differ("source", was, now if now != was else "these, of which a file or a setting has changed")


def read_record(folder: Path) -> dict | None:
    """What cache.json says, or None where there is none. Raises `BadInput` if it cannot be read."""
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not {"clip", "preprocessing", "grid", "dim", "dtype", "source", "shard", "count"} <= record.keys():
            raise ValueError("it lacks an entry")
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"{path} cannot be read ({one_line(error)}); delete {folder} and cache the tokens again.") from None
    return record
