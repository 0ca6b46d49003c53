"""The pictures of the lecture on Part II, drawn from the shipped weights: the same models give the same slides."""

import math
from collections.abc import Sequence
from functools import cache

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.frames import Frames
from course_lib.core.projector import SCREEN, photograph, projected
from course_lib.core.weights import load_pretrained
from course_lib.slots import failures, tiny
from course_lib.slots.autoencoder import SlotAutoencoder, SlotOutput
from course_lib.slots.figures import slot_parts
from course_lib.slots.figures_attention import bars_figure, iteration_figure, matrices_figure, paths_figure
from course_lib.slots.figures_lecture import (DemoPicture, binding_figure, costs_figure, panels_figure, rows_figure, scene_figure,
                                              tie_figure, way_figure)
from course_lib.slots.figures_training import in_words, scenes_sheet, slots_against_scores
from course_lib.slots.exercises import ORDER, implicit_target
from course_lib.slots.loaders import create_datasets
from course_lib.slots.metrics import scene_metrics, segmentation
from course_lib.slots.readout import linear_readout, owned
from course_lib.slots.recipe import measure
from course_lib.slots.scenes import COLOURS, Scenes, Shapes, start_chance
from course_lib.slots.ties import part, pulled_step, tie_growth, tied_start

COUNTS = tuple(range(2, 11))  # stops of the slot-count demo
SHOWN = 5  # objects in the scene of the demos: the first held-out one with so many
POINTS, HAND = torch.tensor([[-2.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), math.log(3) / 2  # of notebook 04, section 2


@cache
def model(name: str = "slots_shapes") -> SlotAutoencoder:
    return load_pretrained(name, expect=SlotAutoencoder).requires_grad_(False)


@cache
def held_out(kind: str = "shapes", scenes: int = 60) -> Scenes:
    return create_datasets(kind)[1].batch(range(scenes))


def one(scenes: Scenes, index: int) -> Scenes:
    return {name: value[index : index + 1] for name, value in scenes.items()}


@cache
def scene() -> Scenes:
    """The first held-out scene with five objects, as a batch of one."""
    return one(held_out(), int((held_out()["present"].sum(1) == SHOWN).nonzero()[0]))


def explain(scenes: Scenes, name: str = "slots_shapes", **how: int) -> SlotOutput:
    """What a shipped model makes of a batch; how: num_slots, iterations."""
    return model(name)(scenes["image"], chance=start_chance(scenes), **how)


def scores(scenes: Scenes, out: SlotOutput) -> dict[str, float]:
    """FG-ARI, full ARI and MSE of one scene."""
    found = {name: float(value) for name, value in scene_metrics(scenes["ids"], out.masks).items() if name in ("fg_ari", "full_ari")}
    return found | {"mse": float((out.reconstruction - scenes["image"]).square().mean())}


def sheet() -> Figure:
    """Six scenes of each data set with the outlines of their objects."""
    kinds = {"Shapes": held_out(), "Multi-dSprites": held_out("multi_dsprites", 6)}
    return scenes_sheet({name: {key: value[:6] for key, value in scenes.items()} for name, scenes in kinds.items()}, columns=6)


def binding() -> Figure:
    """A red circle and a blue square, and a blue circle and a red square: equal sums of features."""
    kind, colour = torch.tensor([[0, 1], [0, 1]]), torch.tensor([[0, 1], [1, 0]])
    rgb = torch.tensor([COLOURS["red"], COLOURS["blue"]])
    scenes = Shapes().draw({"present": torch.ones(2, 2, dtype=torch.bool), "kind": kind, "colour": rgb[colour], "background": torch.full((2, 3), 0.85),
                            "position": torch.tensor([[-0.45, 0.0], [0.45, 0.0]]).expand(2, 2, 2), "size": torch.full((2, 2), 0.36),
                            "angle": torch.zeros(2, 2)})
    features = torch.cat([torch.nn.functional.one_hot(colour, 2), torch.nn.functional.one_hot(kind, 2)], -1).float()
    return binding_figure(list(scenes["image"]), features.sum(1), ["red", "blue", "circle", "square"])


def hand() -> Figure:
    """The iteration of notebook 04 that can be done by hand."""
    slots = torch.tensor([[-HAND, 0.0], [HAND, 0.0]])
    new, matrix = tiny.step(POINTS, slots)
    return iteration_figure(POINTS[:, 0], slots[:, 0], matrix, new[:, 0])


def competition() -> Figure:
    """The attention of two slots that start on one side, after ten iterations with either softmax."""
    right = torch.tensor([[0.5, 0.0], [1.0, 0.0]])
    return matrices_figure({f"softmax over {over}": tiny.iterate(POINTS, right, 10, normalise=over)[1][-1] for over in ("slots", "inputs")})


def k_means() -> Figure:
    """Three slots on three clusters, after one iteration and after ten."""
    points = tiny.three_clusters()
    path, _ = tiny.iterate(points, tiny.poor_start(), 10)
    return paths_figure(points, {"one iteration": path[:2], "ten": path})


def ties(temperatures: Sequence[float], shares: Sequence[float], x: Sequence[float], xlabel: str, mark: int) -> Figure:
    """One of the two lists is as long as x and varies, the other has one entry; at the left the way for entry `mark`."""
    points = tiny.three_clusters().double()
    settings = [(t, eps) for t in temperatures for eps in shares]
    path = [part(tied_start(points), 0.15)]
    for _ in range(40):
        path.append(pulled_step(points, path[-1], *settings[mark]))
    title = f"temperature {settings[mark][0]:.2g}, eps {settings[mark][1]:.2g}"
    growth = [tie_growth(points, tied_start(points), *setting) for setting in settings]
    return tie_figure(points, torch.stack(path), title, x, growth, xlabel, mark)


def tie() -> Figure:
    """What becomes of tied slots, by the temperature."""
    temperatures = [0.2 * 2 ** (k / 4) for k in range(-6, 15)]
    return ties(temperatures, [0.0], temperatures, "temperature T", 6)


def untie() -> Figure:
    """The same by the share that each slot gets unasked."""
    shares = [0.02 * 2 ** (k / 3) for k in range(-13, 8)]
    return ties([0.2], shares, shares, "eps, the share of each input that each slot gets unasked", 13)


def permuted() -> Figure:
    """Slots in another order give the same attention in another order."""
    points, slots = tiny.three_clusters()[::2], tiny.poor_start()
    rows = [[f"slot {k + 1}" for k in order] for order in ([0, 1, 2], ORDER)]
    return matrices_figure({"attention": tiny.attention(points, slots), "slots permuted": tiny.attention(points, slots[ORDER])}, rows)


def memory() -> Figure:
    """What autograd keeps for the backward pass, by iterations: the target picture of an exercise without its title."""
    figure = implicit_target()
    figure.axes[0].set_title("")
    figure.axes[0].legend(loc="upper left")
    return figure


def way() -> Figure:
    """The whole model on the scene of the demos."""
    return way_figure(scene()["image"][0], model().encoder(scene()["image"])[0], explain(scene()))


def one_scene() -> Figure:
    """The scene of the demos, its reconstruction, and who owns which pixel."""
    out = explain(scene())
    return scene_figure({"picture": scene()["image"][0], "rebuilt": out.reconstruction[0]}, out.masks[0])


def two_scores() -> Figure:
    """The scene for pencil and paper of notebook 05: the truth and four other ways to give its pixels to slots, with both scores."""
    ids = failures.paper_scene()
    ways = {"the truth": ids, "shattered background": failures.background_in_pieces(ids), "objects in halves": failures.objects_in_halves(ids),
            "objects in pairs": failures.objects_in_pairs(ids), "objects in one slot": failures.objects_in_one(ids)}
    panels = {}
    for name, labels in ways.items():
        masks = failures.from_labels(labels)
        found = {key: float(value) for key, value in scene_metrics(ids, masks).items() if key in ("fg_ari", "full_ari")}
        panels[name] = (masks[0], in_words(found).split(", "))
    return panels_figure(panels)


def rows(scenes: Sequence[Scenes], names: Sequence[str], words: Sequence[str]) -> Figure:
    """A row for each scene (a batch of one), taken apart by the shipped model of that name."""
    return rows_figure([part["image"][0] for part in scenes], [explain(part, name) for part, name in zip(scenes, names)], words)


def found() -> Figure:
    """The first four held-out scenes, not the best ones."""
    parts = [one(held_out(), i) for i in range(4)]
    return rows(parts, ["slots_shapes"] * 4, [f"FG-ARI\n{scores(part, explain(part))['fg_ari']:.2f}" for part in parts])


def failing() -> Figure:
    """The shipped and the failing model on the scene of the demos."""
    names = {"slots_shapes": "shipped", "slots_failing": "failing"}
    lines = [f"{word}:\nFG-ARI\n{scores(scene(), explain(scene(), name))['fg_ari']:.2f}" for name, word in names.items()]
    return rows([scene()] * 2, list(names), lines)


def counts() -> Figure:
    """Scores of the shipped model on held-out scenes, by the number of slots."""
    found = [measure(model(), held_out(), k) for k in COUNTS]
    return slots_against_scores(COUNTS, {name: [row[name] for row in found] for name in ("fg_ari", "full_ari", "miou")}, objects=(2, 6))


def keeps() -> Figure:
    """How well a linear map reads each factor from the slot that owns the object, on held-out scenes."""
    scenes = held_out("shapes", 240)
    out = explain(scenes)
    slots, truth = owned(scenes, out.slots, out.masks, len(Shapes.kinds))
    found = {name: linear_readout(slots, target) for name, target in truth.items()}
    figure = bars_figure({"linear read-out": found}, "R² (1 = all of it)")
    figure.axes[0].get_legend().remove()
    figure.axes[0].set_ylim(min(0, *found.values()) - 0.05, 1.08)
    for number in figure.axes[0].texts:
        number.set_size(13)
    return figure


def demo(states: Sequence[tuple[str, dict, Sequence[Tensor], Tensor, dict[str, float], str]], control: str, start: int) -> Frames:
    """A frame for each (label, two pictures by title, tiles, masks, scores, words before the scores)."""
    images, captions = [], []
    with matplotlib.rc_context(SCREEN):
        picture = DemoPicture()
        for _, pictures, tiles, masks, values, words in states:
            picture.set(pictures, masks, tiles, "\n".join([*words.split(", "), *in_words(values).split(", ")]))
            images.append(photograph(picture.figure))
            captions.append(f"{words}: {in_words(values)}.")
    return Frames(images, [state[0] for state in states], captions, control, start)


def count_frames() -> Frames:
    """One scene, taken apart by 2 to 10 slots of the same model."""
    states = []
    for k in COUNTS:
        out = explain(scene(), num_slots=k)
        used = len(segmentation(out.masks, *out.masks.shape[-2:]).unique())
        pictures = {"picture": scene()["image"][0], "rebuilt": out.reconstruction[0]}
        states.append((str(k), pictures, list(slot_parts(out.pictures, out.masks)[0]), out.masks[0], scores(scene(), out),
                       f"{SHOWN} objects, {k} slots, {used} of them own pixels"))
    return demo(states, "slots", COUNTS.index(model().num_slots))


def attention_frames() -> Frames:
    """The attention of each iteration, and what the decoder makes of the slots after it."""
    history, states = explain(scene(), iterations=7).attention[0], []
    for t in range(1, 8):
        out = explain(scene(), iterations=t)
        pictures = {"picture": scene()["image"][0], "rebuilt": out.reconstruction[0]}
        share = float(history[t - 1].amax(0).mean())
        states.append((str(t), pictures, list(history[t - 1]), history[t - 1], scores(scene(), out),
                       f"iteration {t}, owners take {share:.0%}"))
    return demo(states, "iteration", 0)


SLIDE_FIGURES = {
    "scenes": projected(sheet, 8.5, 3.3),
    "binding": projected(binding, 11, 3),
    "hand": projected(hand, 9.5, 2.8),
    "competition": projected(competition, 9.5, 2.6),
    "k_means": projected(k_means, 6.8, 3.4),
    "tie": projected(tie, 11, 4.1),
    "untie": projected(untie, 11, 4.1),
    "permuted": projected(permuted, 9.5, 2.6),
    "memory": projected(memory, 5.5, 4),
    "way": projected(way, 11.5, 3.3),
    "one": projected(one_scene, 6, 2.3),
    "costs": projected(costs_figure, 10, 3.6),
    "two_scores": projected(two_scores, 12, 3.2),
    "found": projected(found, 10.5, 4.4),
    "failing": projected(failing, 10.5, 2.6),
    "counts": projected(counts, 9.5, 4),
    "keeps": projected(keeps, 5.2, 3.8),
}
SLIDE_DEMOS = {"count": count_frames, "attention": attention_frames}
