"""A claim is a sentence of the course that is measured each time a notebook runs.

`claim` compares, prints and (under `make claims`) records. README, notebooks and slides quote numbers only as
`{{key}}`, filled from `data/claims.json`, `data/timings.json` and `data/runs/*.json` by `fill`.
"""

import json
import math
import os
import re
from pathlib import Path

from course_lib.core.errors import BadInput
from course_lib.core.paths import DATA

RECORD = "COURSE_CLAIMS"  # environment variable: a JSON-lines file to which every claim is appended
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
QUOTE = re.compile(r"\{\{\s*([\w.]+)\s*(?::\s*([^}\s]+)\s*)?\}\}")


def claim(key: str, value: float, *, above: float = -math.inf, below: float = math.inf, unit: str = "", spread: float = 0.0) -> None:
    """State that above < value < below; print ✓ with the value, or raise AssertionError.

    key: "part.what_is_measured", unique in the course.
    spread: by how much another processor may move the value, if that is more than a tenth of it. Each adds up in an order of
        its own, and small differences decide where a short training or a search for clusters ends.
    """
    value, above, below, spread = float(value), float(above), float(below), float(spread)
    if not 0 <= spread < math.inf:
        raise BadInput(f"the spread of claim {key!r} must be a number from 0 on, not {spread:g}.")
    if above == -math.inf and below == math.inf:
        raise BadInput(f"claim {key!r} has no bound; give above=, below= or both.")
    bounds = f"{above:g} < " * (above > -math.inf), f" < {below:g}" * (below < math.inf)
    sentence = f"{key}: {bounds[0]}{value:.4g}{bounds[1]}{' ' * bool(unit)}{unit}"
    sentence += f", ±{spread:g} by rounding" * bool(spread)
    if not above < value < below:
        raise AssertionError(f"✗ {sentence} does not hold")
    if path := os.environ.get(RECORD):
        limits = {"above": above, "below": below, "spread": spread or math.inf}
        row = {"key": key, "value": value, "unit": unit, **{k: v for k, v in limits.items() if math.isfinite(v)}}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    print(f"✓ {sentence}")


def quotable(folder: Path = DATA) -> dict[str, float | str]:
    """Every number that prose may quote: claims by key, `minutes.NOTEBOOK`, `memory.NOTEBOOK` in GB, `runs.NAME.KEY`, and of shipped
    weights `cards.NAME.METRIC`."""
    numbers: dict[str, float | str] = {}
    for key, row in _read(folder / "claims.json").items():
        numbers[key] = row["value"]
    timings = _read(folder / "timings.json")
    numbers |= {f"minutes.{name}": seconds / 60 for name, seconds in timings.get("seconds", {}).items()}
    numbers |= {f"memory.{name}": megabytes / 1024 for name, megabytes in timings.get("peak_mb", {}).items()}
    for path in sorted((folder / "runs").glob("*.json")):
        for key, value in _read(path).get("measured", {}).items():
            numbers[f"runs.{path.stem}.{key}"] = value
    for path in sorted((folder / "weights").glob("*.json")):
        metrics = _read(path).get("metrics", {})  # a family of models has lists, which no sentence quotes
        numbers |= {f"cards.{path.stem}.{name}": value for name, value in metrics.items() if not isinstance(value, list)}
    return numbers


def fill(text: str, numbers: dict[str, float | str] | None = None) -> str:
    """Replace every `{{key}}` or `{{key:.2f}}` in `text` by its measured number (default format `.3g`)."""
    numbers = quotable() if numbers is None else numbers

    def quote(match: re.Match) -> str:
        key, form = match[1], match[2]
        if key not in numbers:
            raise BadInput(f"no measured number is called {key!r}; run `make claims`, or correct the key.")
        value = numbers[key]
        return value if isinstance(value, str) else _typeset(format(value, form or ".3g"))

    return QUOTE.sub(quote, text)


def _typeset(number: str) -> str:
    """A number as prose writes it: a true minus sign, none before a rounded zero, and 1·10⁻⁵ for 1e-05."""
    digits, _, exponent = number.partition("e")
    digits = digits if re.search("[1-9]", digits) else digits.lstrip("-")
    power = f"·10{str(int(exponent)).translate(SUPERSCRIPT)}" if exponent else ""
    return (digits + power).replace("-", "−")


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
