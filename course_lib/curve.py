"""The course's one picture: what passes each bottleneck, in bits, against what is lost and what can still be done.

    python -m course_lib.curve [key=value ...]

All is measured anew, from shipped weights and held-out data: the β-VAEs of Part I, the slots of Part II, the codes of Part III, the
tokens of Part IV. Each world is its own measure of all three:

  rate       bits through the bottleneck for each number of the original (a sample has 1, a picture of 64 × 64 pixels 12,288)
  lost       squared error / variance of the world: 1 for who always says the mean
  use        of what the world asks: 0 for who must guess, 1 for who saw the original

Slots and tokens are real numbers, so they are rounded to multiples of a step and entropy-coded, number by number; the error is that
of the rounded ones. It writes curve.csv, a row for every point, and curve.png.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from course_lib.codes.editing import share_right
from course_lib.codes.generation import encode_scenes, paint_codes
from course_lib.codes.loaders import create_datasets as create_rules
from course_lib.codes.prior import Prior
from course_lib.codes.quantizer import entropy_bits
from course_lib.codes.recipe import variance_of
from course_lib.codes.recipe_prior import measure_nll
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.core.command import key, serve
from course_lib.core.errors import BadInput
from course_lib.core.map import PARTS
from course_lib.core.paths import atomic, write_csv
from course_lib.core.run import check_writable
from course_lib.core.style import PALETTE, new_figure
from course_lib.core.threads import one_thread
from course_lib.core.weights import load_pretrained
from course_lib.latents.family import VAEFamily
from course_lib.latents.metrics import even_data, rate_and_distortion
from course_lib.latents.mixture import Mixture
from course_lib.latents.rate_distortion import exact_threshold, rate_distortion_curve
from course_lib.slots.autoencoder import SlotAutoencoder
from course_lib.slots.loaders import create_datasets
from course_lib.slots.metrics import foreground_ari
from course_lib.slots.scenes import start_chance
from course_lib.tokens.captions import FACTORS
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.comparison import compressor_table
from course_lib.tokens.metrics import coded_bits, quantised

SLOT_STEPS = (2.0, 1.0, 0.5, 0.25, 0.125)  # steps of rounding, in standard deviations of all numbers that pass
TOKENS = {"learned": "learned compressor", "AveragePooling": "average pooling"}  # rows of `compressor_table`, and their names here
BETWEEN = 20  # points drawn between two of R(D)
RATE_AXIS, LOST_AXIS = (1e-3, 10.0), (5e-6, 1.5)
LOOKS = {"β-VAE": ("latents", "o"), "slots": ("slots", "s"), "SVQ": ("codes", "^"), "patches": ("codes", "v"),
         "learned compressor": ("tokens", "D"), "average pooling": ("tokens", "x")}
COLOURS = {part: PALETTE[colour] for part, *_, colour in PARTS}


class Point(NamedTuple):
    """One bottleneck at one setting. rate: bits for each number of the original; lost and use: shares, see above; NaN for not asked."""

    series: str
    setting: str
    bits: float
    numbers: int
    lost: float
    use: float

    @property
    def rate(self) -> float:
        """Bits for each number of the original."""
        return self.bits / self.numbers


def latent_points(n: int = 2000) -> Iterator[Point]:
    """Every β of the first family. Use: is x above 0 or below? of n even samples of the mixture, beside the better guess."""
    family, mixture = load_pretrained("latents_family", expect=VAEFamily).requires_grad_(False), Mixture()
    rates, distortions = rate_and_distortion(family, mixture)
    x, chance = even_data(mixture, n), torch.Generator().manual_seed(0)
    rebuilt = family.decode(family.reparameterize(*family.encode(x), torch.randn(n, 1, generator=chance))).squeeze(-1)
    right = ((rebuilt > 0) == (x[:, 0] > 0)).double().mean(-1)
    guess = max(float(mixture.cdf(0.0)), 1 - float(mixture.cdf(0.0)))
    first = family.first(None)
    for row, beta in enumerate(family.betas, start=first):
        yield Point("β-VAE", f"β = {beta:g}", float(rates[row]) / math.log(2), 1, float(distortions[row]) / mixture.variance,
                    (float(right[row]) - guess) / (1 - guess))


def slot_points(scenes: int) -> Iterator[Point]:
    """Slots of Shapes, rounded coarser and finer. Use: FG-ARI, how well the masks that are painted part the objects."""
    model, data = load_pretrained("slots_shapes", expect=SlotAutoencoder).requires_grad_(False), create_datasets("shapes", held_out=scenes)[1]
    batch = data.batch(range(scenes))
    image = batch["image"]
    slots = model(image, chance=start_chance(batch)).slots
    for step in SLOT_STEPS:
        whole = quantised(slots, step * float(slots.std()))
        _, masks, rebuilt = model.decode((whole * (step * slots.std())).to(slots), *image.shape[2:])
        bits = slots.shape[1] * coded_bits(whole.flatten(0, 1))
        yield Point("slots", f"step {step:g} σ", bits, image[0].numel(), float((rebuilt - image).square().mean()) / variance_of(data),
                    float(foreground_ari(batch["ids"], masks).nanmean()))


def code_points(scenes: int) -> Iterator[Point]:
    """Codes of the rule world: as they stand, entropy-coded one by one, and under the prior. Use: scenes that are read back exactly."""
    data = create_rules("rules", held_out=scenes)[1]
    batch = data.batch(range(scenes))
    for name, weights, prior_of, kind in (("SVQ", "svq_rules", "svq_prior_rules", SVQ), ("patches", "vqvae_rules", "vqvae_prior_rules", PatchVQ)):
        model, prior = load_pretrained(weights, expect=kind), load_pretrained(prior_of, expect=Prior)
        codes = encode_scenes(model, data, scenes)
        rebuilt = paint_codes(model, codes, data.resolution)
        lost, use = float((rebuilt - batch["image"]).square().mean()) / variance_of(data), share_right(rebuilt, data.states(batch), data)
        nominal = prior.slots * prior.codebooks * math.log2(prior.codes)
        alone = prior.slots * float(entropy_bits(model.quantizer.counts(codes)).sum())
        told = measure_nll(prior, codes)["nll"] / math.log(2)
        for setting, bits in (("nominal", nominal), ("entropy-coded", alone), ("under the prior", told)):
            yield Point(name, setting, bits, batch["image"][0].numel(), lost, use)


def token_points(scenes: int) -> Iterator[Point]:
    """Tokens of the shipped CLIP at every rate. Use: of the zero-shot answers that all tokens give beyond CLS alone, the share that is left."""
    clip = ClipTokens.load("clip")
    table = compressor_table(clip, scenes, progress=False, only=tuple(TOKENS))
    whole = sum(table.full[name].value - table.cls_only[name].value for name in FACTORS)
    for row in table.rows:
        if row.rate is not None:
            use = sum(row.rebuilt[name].value for name in FACTORS) / whole
            yield Point(TOKENS[row.name], f"{row.rate}×", row.bits, math.prod(clip.grid) * clip.dim, row.coded_unexplained, use)


def measure(scenes: int = 200, progress: bool = True) -> list[Point]:
    """All points of the picture. Raises `BadInput` for fewer than 20 scenes of each world, of which nothing can be said."""
    if scenes < 20:
        raise BadInput(f"scenes must be at least 20, not {scenes}: of fewer nothing can be said.")
    worlds = {"latents": latent_points, "slots": partial(slot_points, scenes), "codes": partial(code_points, scenes),
              "tokens": partial(token_points, scenes)}
    points: list[Point] = []
    with one_thread(), tqdm(worlds.items(), unit="world", disable=not progress) as bar:
        for name, world in bar:
            bar.set_postfix_str(name)
            points += world()
    return points


@cache
def bound() -> tuple[np.ndarray, np.ndarray]:
    """(bits, share lost) of the best code there can be for the mixture of Part I: points of its rate–distortion function, and between
    them what two such codes reach that take turns, which is hardly more."""
    mixture = Mixture()
    curve = rate_distortion_curve(mixture, np.concatenate([np.geomspace(0.003, 3, 12), np.linspace(4, exact_threshold(mixture), 8)]))
    rate, lost = np.append(curve.rate, 0) / math.log(2), np.append(curve.distortion / mixture.variance, 1.0)
    places = np.linspace(0, len(rate) - 1, BETWEEN * (len(rate) - 1) + 1)  # a straight line is bent where axes are logarithmic
    return np.interp(places, np.arange(len(rate)), rate), np.interp(places, np.arange(len(lost)), lost)


def curve_figure(points: list[Point]) -> Figure:
    """Left what is lost, right what can still be done, both against the rate; one mark for each kind of bottleneck.

    The black line is the least rate of the one world whose bound is known for every error, the dashed one the entropy of a scene
    of the rule world, below which nothing tells all scenes apart.
    """
    figure = new_figure(13, 5.4)
    lost, use = figure.subplots(1, 2, sharex=True)
    bits, share = bound()
    lost.plot(bits, share, color="black", linewidth=1.5, label="R(D) of Part I's mixture")
    entropy = create_rules("rules", held_out=1)[1].entropy / math.log(2)
    for axes in (lost, use):
        some = [point for point in points if point.series == "SVQ"]
        axes.axvline(entropy / some[0].numbers, color=COLOURS["codes"], linestyle="--", linewidth=1, label="entropy of a rule-world scene" if axes is lost else None)
    for series, (part, marker) in LOOKS.items():
        some = sorted((point for point in points if point.series == series), key=lambda point: point.rate)
        for axes, values in ((lost, [point.lost for point in some]), (use, [point.use for point in some])):
            axes.plot([point.rate for point in some], values, marker=marker, color=COLOURS[part], linewidth=1, markersize=7, markerfacecolor="none" if marker != "x" else None,
                      label=series if axes is lost else None, linestyle="-" if part in ("latents", "slots") else ":")
    lost.set(xscale="log", yscale="log", xlim=RATE_AXIS, ylim=LOST_AXIS, ylabel="lost: squared error / variance", title="What is lost")
    use.set(ylim=(-0.08, 1.05), ylabel="use: 0 a guess, 1 the original", title="What can still be done")
    for axes in (lost, use):
        axes.set_xlabel("rate: bits for each number of the original")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


@dataclass
class Settings:
    """Every key of the command line."""

    out: str = key("folder for curve.csv and curve.png", "outputs/curve")
    scenes: int = key("held-out scenes of each world", 200)
    progress: bool = key("show a progress bar", True)


def write(points: list[Point], out: Path) -> None:
    """curve.csv and curve.png."""
    write_csv(out / "curve.csv", [point._asdict() | {"rate": point.rate} for point in points])
    with atomic(out / "curve.png") as picture:
        curve_figure(points).savefig(picture, format="png", dpi=150)


def run(settings: Settings) -> str:
    """Measure, write, and return what is printed."""
    check_writable(Path(settings.out))
    points = measure(settings.scenes, settings.progress)
    write(points, Path(settings.out))
    rows = [f"{point.series:<20} {point.setting:<16} {point.rate:9.4f} bits a number   lost {point.lost:.5f}   use {point.use:.2f}" for point in points]
    return "\n".join([*rows, f"{settings.out}: curve.csv and curve.png"])


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    return serve(Settings, "course_lib.curve", __doc__, run)


if __name__ == "__main__":
    sys.exit(main())
