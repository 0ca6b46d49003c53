"""Compress pictures with a trained compressor: python -m course_lib.infer checkpoint=… image=… [key=value ...]

For each picture it writes, into `out`,
  NAME.safetensors   the compressed tokens, the grid rebuilt from them, CLS, and as metadata what they are of
  NAME.png           the picture as CLIP sees it, where its tokens come back (cosines), and the grids as colours
and summary.csv with the measures of all pictures of this call. NAME is the whole name of the picture: cat.jpg gives cat.jpg.png.
Pictures that are done already, by the same checkpoint and CLIP, are passed over, so the same command goes on after an interruption;
results of another picture, checkpoint or CLIP are never written over unless overwrite=true. Broken pictures are reported and left out.
"""

import sys
from dataclasses import asdict, dataclass

from course_lib.core.command import key, serve
from course_lib.tokens.inference import COLUMNS, Report, infer

EXAMPLES = """\
Examples:
  python -m course_lib.infer checkpoint=outputs/compress_global image=photo.jpg
  python -m course_lib.infer checkpoint=outputs/checkpoints/compress_global/best_model image=photos out=outputs/photos
  python -m course_lib.infer checkpoint=outputs/compress_rf image="my photos" figures=false batch_size=32 workers=2
  python -m course_lib.infer checkpoint=outputs/compress_global image=photo.jpg clip=models/clip-vit-large-patch14-336
"""
USE = """\
To go on with the files, in Python:
  from course_lib.tokens.inference import read
  from course_lib.tokens.trained import load_trained
  stored, trained = read("outputs/infer/photo.jpg.safetensors"), load_trained("outputs/compress_global")
  retrieval    trained.clip.replay(stored.compressed[None], stored.cls[None]) @ trained.clip.text_embedding(texts).mT are cosines
  generation   stored.compressed (n, dim): the picture as n words for a language model; stored.rebuilt (height, width, dim): as a full grid
Other programs: safetensors.torch.load_file(path) gives "compressed", "rebuilt" and "cls", in float32 and in CLIP's own scale.
"""


@dataclass
class Settings:
    """Every key of the command line; a default of None is written null."""

    checkpoint: str = key("of a compressor: shipped weights, NAME.safetensors, or the folder of a checkpoint of a finished training")
    image: str = key("a picture, or a folder of pictures or of class folders")
    out: str = key("folder for what is written, apart from the pictures", "outputs/infer")
    clip: str | None = key("shipped weights, a folder, or a name of the hub; null: the CLIP that the checkpoint's card names", None)
    layer: int | None = key("whose tokens, as transformers counts hidden states; null: the card's", None)
    figures: bool = key("false: no NAME.png, which takes longer than small models do", True)
    overwrite: bool = key("true: make everything again", False)
    batch_size: int = key("pictures in memory at a time", 8)
    workers: int = key("processes that read pictures ahead", 0)
    progress: bool = key("show a progress bar", True)


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    return serve(Settings, "course_lib.infer", __doc__, lambda settings: _summary(infer(**asdict(settings)), settings.out), f"\n{EXAMPLES}\n{USE}",
                 "interrupted; the same command goes on with the pictures that are not done.")


def _summary(report: Report, out: str) -> str:
    """What was done, in one line."""
    many = len(report.rows)
    means = ", ".join(f"{name.replace('_', ' ')} {sum(float(row[name]) for row in report.rows) / many:.3f}" for name in COLUMNS[1:-1])
    before = f" ({many - report.made} of them done before)" if report.made < many else ""
    left_out = f"; {len(report.skipped)} left out" if report.skipped else ""
    return f"{out}: {many} picture{'s' * (many != 1)}{before}{left_out}. {'Means: ' * (many > 1)}{means}."


if __name__ == "__main__":
    sys.exit(main())
