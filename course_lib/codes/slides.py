"""The pictures of the lecture on Part III, drawn from the shipped weights: the same models give the same slides."""

import json
from collections.abc import Sequence
from functools import cache

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.codes.atlas import collect, make_maps
from course_lib.codes.editing import Edits, exchange, exchange_patches, leave_out, plan, spare_slots
from course_lib.codes.factor_codes import FACTORS, position_entropies
from course_lib.codes.figures import pictures_figure
from course_lib.codes.figures_ablations import ablation_figure
from course_lib.codes.figures_atlas import atlas_figure
from course_lib.codes.figures_codes import codes_figure, edits_figure, information_figure, versus_figure
from course_lib.codes.figures_generation import VERDICTS, accuracy_figure, nll_figure, positions_figure, verdict_sheet
from course_lib.codes.figures_lecture import EditPicture, way_figure
from course_lib.codes.figures_plane import staircase_figure
from course_lib.codes.generation import generated, paint_codes
from course_lib.codes.loaders import create_datasets
from course_lib.codes.meaning import FACTORS as SAID
from course_lib.codes.meaning import Objects, collect_objects, information, look_up, scene_words
from course_lib.codes.metrics import judge, parse, share
from course_lib.codes.moving import words_of_change
from course_lib.codes.prior import Prior
from course_lib.codes.slides_plane import bits, cells, follow, priced, spring, start_frames, trap
from course_lib.codes.svq import SVQ, SVQOutput
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.claims import quotable
from course_lib.core.frames import Frames
from course_lib.core.paths import DATA
from course_lib.core.projector import SCREEN, photograph, projected
from course_lib.core.threads import one_thread
from course_lib.core.weights import load_pretrained
from course_lib.slots.scenes import Scenes, start_chance

OBJECTS = 2000  # held-out scenes whose objects say what a code means
NAMES = (*SAID, "place")
TEMPERATURES = (0.0, 0.3, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0)
JUDGED = 500  # scenes behind the shares that notebook 08 claims


@cache
def svq() -> SVQ:
    return load_pretrained("svq_rules", expect=SVQ).requires_grad_(False)


@cache
def patches() -> PatchVQ:
    return load_pretrained("vqvae_rules", expect=PatchVQ).requires_grad_(False)


@cache
def world() -> RuleWorld:
    return create_datasets("rules", held_out=OBJECTS)[1]


@cache
def scenes() -> Scenes:
    return world().batch(range(24))


@cache
def coded() -> SVQOutput:
    with one_thread():
        return svq()(scenes()["image"], chance=start_chance(scenes()))


@cache
def objects() -> Objects:
    with one_thread():
        return collect_objects(svq(), world(), OBJECTS)


@cache
def knowledge() -> dict[str, Tensor]:
    return information(objects(), NAMES, least=1000)


def best_informed(factor: str) -> list[int]:
    """The codebooks, the one that knows most about a factor first."""
    return knowledge()["share"][:, NAMES.index(factor)].argsort(descending=True).tolist()


def larger(figure: Figure, size: float, without: Sequence[str] = ()) -> Figure:
    """The same figure with all words inside its axes in `size` points, and those of `without` hidden."""
    for text in (text for axes in figure.axes for text in axes.texts):
        text.set(fontsize=size, visible=text.get_text() not in without)
    return figure


def rows_of_codes(first: int, many: int) -> Figure:
    """The scenes, what comes back, who owns what, and the sixteen numbers between."""
    out, some = coded(), slice(first, first + many)
    return larger(codes_figure(scenes()["image"][some], out.reconstruction[some], out.masks[some], out.encoded.codes.indices[some]), 13)


def way() -> Figure:
    """The whole model on the first scene."""
    image = scenes()["image"][:1]
    with one_thread():
        tokens = svq().encoder(image)[0]
    out = coded()
    return way_figure(image[0], tokens, out.encoded.slots[0], out.encoded.codes.indices[0], out.reconstruction[0], svq().quantizer.codes)


def knows() -> Figure:
    """What each codebook knows about each factor; the control with shuffled codes stands in the notebook."""
    found = knowledge()
    figure = information_figure(found["share"], found["shuffled"], NAMES)
    return larger(figure, 14)


@cache
def edits_of(change: str) -> Edits:
    """The first edits of this kind, as notebook 07 plans them."""
    return plan(objects(), world(), change, edits=12)


def exchanged_codes() -> Figure:
    """One object is to take another colour: 0 to 4 codes of a donor, the best informed codebook first."""
    with one_thread():
        edits, order = edits_of("colour").without_spare(svq()), best_informed("colour")
        rows = torch.stack([exchange(edits.scenes[:1], edits.slot[:1], edits.donor[:1], order[:many])[0] for many in range(5)])
        images = paint_codes(svq(), rows)
    figure = edits_figure(images[0], {"new colour": (images, [f"{many} code{'s' * (many != 1)}" for many in range(5)])})
    for axes in figure.axes:
        axes.title.set_size(14)
        axes.yaxis.label.set_size(14)
    return figure


def against_patches(many: int = 8) -> Figure:
    """All codes of an object exchanged for those of a donor of another size, in slots and in patches."""
    edits = edits_of("size")
    with one_thread():
        bare = edits.without_spare(svq())
        by_slot = paint_codes(svq(), exchange(bare.scenes, bare.slot, bare.donor, range(4))[:many])
        by_patch = paint_codes(patches(), exchange_patches(patches(), world(), edits)[0][:many])
    rows = {"wanted": world().compose(edits.target[:many])["image"], "slots": by_slot, "patches": by_patch}
    figure = versus_figure(rows, {"slots": "wanted", "patches": "wanted"})
    for axes in figure.axes:
        axes.yaxis.label.set_size(14)
    return figure


def exact(shuffled: bool = False) -> Figure:
    """What the best prior spends at each position of a list of objects; shuffled: also if the objects come in random order."""
    first = position_entropies(world()).float()
    figure = larger(positions_figure(first, FACTORS, position_entropies(world(), True).float() if shuffled else None, slot="object"), 13)
    axes = figure.axes[0]
    axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), size=13)
    words = ("in reading order", "in random order")[: 1 + shuffled]
    handles = axes.containers[:1] + axes.lines[:1] if shuffled else axes.containers[:1]
    axes.legend(handles, words, loc="upper left", bbox_to_anchor=(1, 1)) if shuffled else axes.get_legend().remove()
    return figure


def spent() -> Figure:
    """Nats for one scene under three priors, as notebook 08 claims them, beside the entropy of the world."""
    said = quotable()
    rows = {name: float(said[f"codes.{key}_nats"]) for name, key in
            (("patches, transformer", "patch"), ("slots, transformer", "prior"), ("slots, each code\nby itself", "independent"))}
    return larger(nll_figure(rows, world().entropy), 13)


def judged_cases() -> Figure:
    """Two scenes in six states, and what the judge says of each."""
    states = world().first(200)[[0, 3]]
    true = world().compose(states)["image"]
    value, first = states - 1, (states > 0).int().argmax(1, keepdim=True)
    other = world().compose(torch.where(states > 0, 1 + value // 16 * 16 + (value + 6) % 16, 0))["image"]  # every colour three further
    cases = {"as it is": true, "moved by a pixel": true.roll(1, 3), "blurred": torch.nn.functional.avg_pool2d(true, 3, 1, 1),
             "half way between": (true + other) / 2, "one is missing": world().compose(states.scatter(1, first, 0))["image"],
             "without the rule": RuleWorld(seed=world().seed, rule=False).batch([0, 3])["image"]}
    images = torch.stack(list(cases.values()), 1).flatten(0, 1)
    return larger(verdict_sheet(images, judge(images, world()), notes=list(cases)), 11.5)


def accuracy() -> Figure:
    """What becomes of generated scenes under the two transformers, as notebook 08 claims it."""
    said, rows = quotable(), {}
    for name, key in (("slots", "svq"), ("patches", "vqvae")):
        right = share(torch.arange(JUDGED) < round(JUDGED * float(said[f"codes.{key}_right"])))
        known = {"right": right.value} | {verdict: float(said[f"codes.{key}_{verdict}"]) for verdict in ("unparsable", "same_colour")}
        rows[name] = known | {"wrong_number": max(0.0, 1 - sum(known.values())), "low": right.low, "high": right.high}
    return larger(accuracy_figure(rows, world().lawful_by_chance), 13)


def ablations() -> Figure:
    """The recorded sweep of notebook 09."""
    figure = ablation_figure(json.loads((DATA / "runs" / "codes_ablations.json").read_text(encoding="utf-8"))["rows"])
    for axes in figure.axes:
        axes.title.set_size(12)
    return figure


def atlas() -> Figure:
    """A map of slots, coloured by the truth."""
    with one_thread():
        found = collect(svq(), world(), 250)
        figure = atlas_figure(found, make_maps(found, ["slots"], ["t-sne"]), ["place", "kind", "colour", "size"])
    for axes in figure.axes:
        for text in axes.get_legend().get_texts() if axes.get_legend() else []:
            text.set_size(12)
    return figure


def edit_frames(scene: int = 2) -> Frames:
    """One code of one slot is exchanged, first in the codebook that knows most of the column, then in that of the row: what the codes
    say, and what is painted."""
    dictionary, books = look_up(objects(), svq().quantizer.codes), [best_informed(factor)[0] for factor in ("column", "row")]
    with one_thread():
        whole = coded().encoded.codes.indices[scene : scene + 1]
        codes = leave_out(whole, spare_slots(svq(), whole))[0]
        others = [(book, synonyms[0]) for book in books for synonyms in dictionary.entries(book, least=20).values() if codes[0, book] not in synonyms]
        edited = codes.repeat(1 + len(others), 1, 1)
        for number, (book, code) in enumerate(others, start=1):
            edited[number, 0, book] = code
        painted = paint_codes(svq(), edited)
    read, images, labels, captions = parse(painted, world()), [], ["as it is"], []
    with matplotlib.rc_context(SCREEN):
        picture = EditPicture(svq().quantizer.codebooks)
        for number, (book, code) in enumerate([(None, None), *others]):
            said = [(int(each), dictionary.says(m, int(each))) for m, each in enumerate(edited[number, 0])]
            picture.set(painted[0], painted[number], 0, book, said)
            images.append(photograph(picture.figure))
            words = tuple(scene_words(read["states"][k], world()) for k in (0, number))
            if book is None:
                captions.append(f"Nothing is changed: {'; '.join(words[0])}.")
            else:
                labels.append(f"book {book + 1}, {code}")
                change = words_of_change(read["states"][0], read["states"][number], words, bool(read["parsable"][number]))
                captions.append(f"Book {book + 1} now says {said[book][1]}. Result: {change}.")
    return Frames(images, labels, captions, "code", 0)


def temperature_frames() -> Frames:
    """Twelve scenes that nobody drew at each temperature, from the same random numbers, with their verdicts."""
    prior, images, captions = load_pretrained("svq_prior_rules", expect=Prior), [], []
    for temperature in TEMPERATURES:
        with one_thread():
            made = generated(svq(), prior, 12, temperature, seed=0)
            found = judge(made, world())
        different = len(world().key(parse(made, world())["states"]).unique())
        with matplotlib.rc_context(SCREEN):
            figure = larger(verdict_sheet(made, found), 12)
            figure.set_size_inches(11.5, 11.5 * figure.get_figheight() / figure.get_figwidth())
            images.append(photograph(figure))
        counts = ", ".join(f"{int(found[name].sum())} {look.words[2:]}" for name, look in VERDICTS.items() if found[name].any())
        captions.append(f"Temperature {temperature:g}: of 12 scenes {counts}; {different} different scene{'s' * (different > 1)}.")
    return Frames(images, [f"{t:g}" for t in TEMPERATURES], captions, "temperature", TEMPERATURES.index(1.0))


SLIDE_FIGURES = {
    "words": projected(lambda: rows_of_codes(0, 1), 11.5, 2.6),
    "cells": projected(cells, 11.5, 4.4),
    "staircase": projected(lambda: staircase_figure([-1.5, -0.5, 0.5, 1.5], target=0.8), 11.5, 4.2),
    "spring": projected(spring, 11.5, 3),
    "follow": projected(follow, 11.5, 3.8),
    "trap": projected(trap, 6, 4),
    "bits": projected(bits, 11, 4.2),
    "way": projected(way, 12.2, 3.3),
    "codes": projected(lambda: rows_of_codes(1, 3), 11, 4.6),
    "knows": projected(knows, 11.5, 3.6),
    "exchanged": projected(exchanged_codes, 11, 2.4),
    "patches": projected(against_patches, 11.5, 3.9),
    "world": projected(lambda: pictures_figure(scenes()["image"][:12], columns=6), 9, 3),
    "exact": projected(exact, 11, 3.6),
    "order": projected(lambda: exact(shuffled=True), 11, 3.6),
    "spent": projected(spent, 11.5, 3.6),
    "judge": projected(judged_cases, 11, 4.1),
    "accuracy": projected(accuracy, 11.5, 2.9),
    "priced": projected(priced, 11.5, 4.4),
    "atlas": projected(atlas, 11.5, 4.6),
    "ablations": projected(ablations, 12, 4.4),
}
SLIDE_DEMOS = {"starts": start_frames, "edit": edit_frames, "temperature": temperature_frames}
