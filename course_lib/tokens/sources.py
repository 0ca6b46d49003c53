"""Where a CLIP comes from: weights of this course, a folder on this machine, or the hub."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel
from transformers.utils import logging

from course_lib.core.errors import BadInput, one_line
from course_lib.core.paths import DATA
from course_lib.core.weights import load_weights
from course_lib.tokens.small_clip import SmallClip

BUNDLED = "clip"  # the shipped small CLIP
Parts = tuple[CLIPModel, object, CLIPImageProcessorPil]  # the model, its tokenizer and its processor of pictures


def find_clip(name: str, weights: Path = DATA / "weights") -> Parts:
    """The CLIP called `name`, in float32, in eval mode and on the CPU.

    name: shipped weights, or the path of such (NAME.safetensors with its card); else a folder in transformers' format with
    config.json, model.safetensors, tokenizer and preprocessor_config.json; else a name of the hub, such as
    openai/clip-vit-large-patch14-336, which is kept by the hub's own cache.
    Raises `BadInput`: none of the three, the hub out of reach, or a folder that holds something else or less.
    """
    path = Path(name.removesuffix(".safetensors"))
    for base in (path, Path(weights) / path):
        if base.with_name(f"{base.name}.safetensors").exists():
            small = load_weights(base, SmallClip)
            return small.clip, small.tokenizer, small.processor
    if Path(name).is_dir():
        _check_folder(Path(name))
        try:
            return _pretrained(name, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
            raise BadInput(f"the folder {name} holds no whole CLIP ({_first_sentence(error)}); it needs config, weights, tokenizer and "
                           "preprocessor as transformers' save_pretrained writes them.") from error
    try:
        return _pretrained(name)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"{name!r} is neither shipped with the course nor a folder here, and the hub does not give it ({_first_sentence(error)}); "
                       f"name a folder that holds it, or take the bundled model {BUNDLED!r}.") from error


def _check_folder(folder: Path) -> None:
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except FileNotFoundError as error:
        raise BadInput(f"the folder {folder} has no config.json; name a folder that transformers' save_pretrained wrote.") from error
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder / 'config.json'} cannot be read ({_first_sentence(error)}); get it again.") from error
    if kind != "clip":
        raise BadInput(f"the folder {folder} holds a model of the kind {kind!r}, not a CLIP with pictures and text ('clip'); name another.")


def _pretrained(name: str, **options) -> Parts:
    """All three from one place. Refused is what transformers would silently make up: lacking parameters, an empty tokenizer."""
    with _quiet():
        model, found = CLIPModel.from_pretrained(name, dtype=torch.float32, output_loading_info=True, **options)
        if lacking := sorted(found["missing_keys"]):
            raise ValueError(f"the weights lack {len(lacking)} parameters, {lacking[0]} among them")
        tokenizer, text = AutoTokenizer.from_pretrained(name, **options), model.config.text_config
        end = text.vocab_size - 1 if text.eos_token_id == 2 else text.eos_token_id  # 2 is in old files, and the model takes the last
        if tokenizer.eos_token_id != end:
            raise ValueError(f"a text must end with token {end}, and the tokenizer, if there is one, ends it with {tokenizer.eos_token_id}")
        return model.eval(), tokenizer, CLIPImageProcessorPil.from_pretrained(name, **options)


@contextmanager
def _quiet() -> Iterator[None]:
    """Errors only, and no bars: what matters is said by `BadInput`."""
    hub, level, bars = getLogger("huggingface_hub"), logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_level = hub.level
    logging.set_verbosity_error()
    hub.setLevel(ERROR)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub.setLevel(hub_level)
        if bars:
            logging.enable_progress_bar()


def _first_sentence(error: Exception) -> str:
    return one_line(" ".join(str(error).split()).split(". ")[0])
