"""The pictures of the lecture on Part III that show vectors and no scenes: what vector quantisation does, and what it costs."""

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.codes import plane
from course_lib.codes.figures_lecture import TwoStarts, used_only
from course_lib.codes.figures_plane import bits_figure, cells_figure, follow_figure, pair_figure
from course_lib.codes.quantizer import ProductQuantizer
from course_lib.core.frames import Frames
from course_lib.core.projector import SCREEN, photograph
from course_lib.core.threads import one_thread
from course_lib.core.weights import load_pretrained
from course_lib.slots import loaders
from course_lib.slots.figures_attention import lines_figure
from course_lib.slots.scenes import Scenes, start_chance

ASIDE, WIDE = torch.tensor([2.5, 0.0]), 5.2  # the data of notebook 06's gallery lie beside the start of the codes
STEPS = (0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 150)


def cells() -> Figure:
    """1, 5 and 16 codes on the five clusters, each the best of five starts of k-means."""
    x = plane.clusters()
    panels = {}
    for codes in (1, 5, 16):
        runs = [plane.train(plane.codebook(codes, start="kmeans", decay=0, restart=0), x, 20, seed=seed) for seed in range(5)]
        panels[f"{codes} code{'s' * (codes > 1)}"] = x, min(runs, key=lambda run: run.error[-1]).codes[-1]
    return titles(cells_figure(panels))


def titles(figure: Figure) -> Figure:
    """The same figure with titles as large as its other words."""
    for axes in figure.axes:
        axes.set_title(axes.get_title(loc="left"), size=14)
    return figure


def spring() -> Figure:
    """One point that is to reach 1 and one code that stays at 0: without commitment the point runs away."""
    runs = {}
    for weight in (0.0, 0.25, 1.0):
        quantizer = plane.codebook(1, decay=0.95, commitment_weight=weight, restart=0)
        quantizer.start_from(torch.zeros(1, 2))
        run = plane.train(quantizer.eval(), torch.tensor([[1.0, 0.0]]), 120, points=torch.zeros(1, 2), rate=0.1)
        runs[f"commitment {weight:g}"] = run, None
    return pair_figure(runs, target=1.0)


def follow() -> Figure:
    """All points jump by 0.8: which codes follow, by the loss and by a moving average; marks are theory."""
    tight, owner, move = plane.clusters(spread=0.15), plane.cluster_of(), torch.tensor([0.8, 0.0])
    means = torch.stack([tight[owner == k].mean(0) for k in range(5)])
    remaining, steps = {}, torch.arange(61)[:, None]
    for name, settings in {"by the loss": {"learning": "loss"}, "by a moving average": {"learning": "ema", "decay": 0.95}}.items():
        quantizer = plane.codebook(5, restart=0, **settings)
        plane.train(quantizer, means, 0)
        order = quantizer.eval()(means).indices[:, 0]
        plane.train(quantizer.train(), tight, 100, lr=0.1)
        moved = plane.train(quantizer, tight + move, 60, lr=0.1)
        remaining[name] = (means + move - moved.codes[:, order]).norm(dim=2) / move.norm()
    theory = {"by the loss": (1 - 0.1 * torch.tensor(plane.SHARES)) ** steps, "by a moving average": (0.95**steps).expand(-1, 5)}
    return follow_figure(remaining, theory, plane.SHARES)


def trap() -> Figure:
    """32 codes, batches of 8: unused codes are drawn anew, below a tenth of the mean use or below four times the mean use."""
    x, shown = plane.clusters(), list(range(0, 401, 20))
    lines = {name: plane.train(plane.codebook(32, 0, restart=restart), x, 400, batch=8).error[shown].tolist()
             for name, restart in (("healthy", 0.1), ("trapped", 4.0))}
    figure = lines_figure(shown, lines, "step", "distortion on all points", log=True)
    figure.axes[0].set_ylim(top=12)
    figure.axes[0].legend(loc="upper left", ncols=2)
    return figure


@torch.no_grad()
def bits() -> Figure:
    """Slots of Part II quantised by k-means, one codebook or four: distortion against bits, also with the parts exchanged."""
    model = load_pretrained("slots_shapes")
    training, held_out = loaders.create_datasets("shapes", held_out=100)

    def slots_of(batch: Scenes) -> Tensor:
        inputs = model.encoder(batch["image"]).flatten(1, 2)
        return model.attention(inputs, model.start(inputs, model.num_slots, start_chance(batch)), model.num_iterations)[0].flatten(0, 1)

    def exchanged(slots: Tensor, seed: int) -> Tensor:
        chance = torch.Generator().manual_seed(seed)
        return torch.cat([part[torch.randperm(len(part), generator=chance)] for part in slots.split(16, 1)], 1)

    with one_thread():
        seen = torch.cat([slots_of(training.batch(range(first, first + 100))) for first in range(0, 600, 100)])
        new, lines = slots_of(held_out.batch(range(100))), {}
        variance = (new - seen.mean(0)).square().mean()
        for name, (learn, test) in {"slots": (seen, new), "parts exchanged": (exchanged(seen, 0), exchanged(new, 1))}.items():
            for label, codebooks, sizes in (("one codebook", 1, (4, 16, 64, 256, 1024)), ("four codebooks", 4, (2, 4, 16, 64, 256, 512))):
                points = lines.setdefault(f"{label},\n{name}", {})
                for codes in sizes:
                    quantizer = ProductQuantizer(64, codebooks, codes, start="kmeans")
                    quantizer.start_from(learn, torch.Generator().manual_seed(0))
                    points[quantizer.bits] = float((quantizer.eval()(test).quantized - test).square().mean() / variance)
    return bits_figure(lines)


def priced() -> Figure:
    """16 codes on the five clusters, with three prices of a word."""
    x, panels = plane.clusters(), {}
    for price in (0.0, 1.0, 8.0):
        quantizer = plane.codebook(16, 0, decay=0.9, restart=0, rate_weight=price)
        run = plane.train(quantizer, x, 300, seed=0)
        panels[f"price {price:g}"] = x, used_only(run.codes[-1], quantizer.eval()(x).indices[:, 0])
    return titles(cells_figure(panels))


def start_frames() -> Frames:
    """Codes that start at data points, and codes that start as N(0, 1) beside the data: step by step."""
    x = plane.clusters() + ASIDE
    ways = {"data start": "data", "random start": "normal"}
    with matplotlib.rc_context(SCREEN):
        picture = TwoStarts({name: plane.train(plane.codebook(16, 0, decay=0.95, restart=0, start=start), x, STEPS[-1])
                             for name, start in ways.items()}, WIDE)
        images, captions = [], []
        for step in STEPS:
            captions.append(picture.set(step))
            images.append(photograph(picture.figure))
    return Frames(images, [str(step) for step in STEPS], captions, "step", 0)
