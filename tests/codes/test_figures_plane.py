"""Every picture of notebook 06: it is a Figure, its axes have names, nothing is cut off, missing or warned about."""

import inspect
import re
import warnings

import numpy as np
import pytest
import torch
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from course_lib.codes import exercises, figures_plane, plane
from course_lib.codes.explorer_plane import VoronoiExplorer, VoronoiPicture
from course_lib.codes.figures_plane import BORDER, Cells, cells_picture
from course_lib.core.errors import BadInput
from course_lib.core.style import new_figure

X = plane.clusters()
CODES = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 3.0], [30.0, 30.0]])
RUN = plane.train(plane.codebook(1, commitment_weight=0), torch.zeros(1, 2), 20, points=torch.ones(1, 2), rate=0.1)
LEFT = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]) ** torch.arange(30)[:, None]
BOTH = {"by the loss": LEFT, "by a moving average": LEFT}
SWEEP = {"8 codes": torch.rand(3, 4) + 0.1, "16 codes": torch.rand(3, 4) + 0.1}

DRAW = {
    "cells_figure": lambda: figures_plane.cells_figure({"a": (X, CODES), "b": (X, CODES[:1]), "c": (X, X[:32])}),
    "line_figure": lambda: figures_plane.line_figure([-2.0, -1.0, 1.0, 2.0], {"start": [-1.0, 0.5], "after one step": [-1.5, 1.5]}),
    "staircase_figure": lambda: figures_plane.staircase_figure([-1.5, -0.5, 0.5, 1.5], 0.8),
    "through_figure": lambda: figures_plane.through_figure([-1.5, -0.5, 0.5, 1.5]),
    "pair_figure": lambda: figures_plane.pair_figure(
        {f"commitment {c}": (RUN, plane.pair_theory(20, 1, 1, 0, 0.1, 0.01) if c else None) for c in (0, 0.25, 0.91, 4)}),
    "follow_figure": lambda: figures_plane.follow_figure(BOTH, BOTH, plane.SHARES),
    "sweep_figure": lambda: figures_plane.sweep_figure((0, 0.25, 1, 16), {"task error": SWEEP, "gap": SWEEP}),
    "bits_figure": lambda: figures_plane.bits_figure({"one": {2: 0.5, 10: 0.03}, "four": {8: 0.4, 36: 0.03}}, {"four": ("4 × 4", "4 × 512")}),
    "rebuilt_figure": lambda: figures_plane.rebuilt_figure({"picture": torch.rand(8, 3, 64, 64), "4 × 512\n36 bits a slot": torch.rand(8, 3, 64, 64)}),
    "VoronoiPicture": lambda: VoronoiPicture().figure,
    "VoronoiExplorer.still": lambda: VoronoiExplorer().still((0.0, 1.0), (0, 80)),
    **{name: getattr(exercises, name) for name in vars(exercises) if name.endswith("_target")},
}


@pytest.fixture(scope="module", params=DRAW)
def figure(request):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that the font lacks, an axis without extent, a layout that collapsed
        drawn = DRAW[request.param]()
        drawn.canvas.draw()
    return drawn


def visible_texts(figure: Figure) -> list[Text]:
    """Every text that shows, but tick labels outside the axis' limits, which matplotlib keeps and does not draw."""
    undrawn = set()
    for axis in figure.findobj(Axis):
        drawn = axis._update_ticks()
        for tick in [*axis.majorTicks, *axis.minorTicks]:
            if tick not in drawn:
                undrawn |= {tick.label1, tick.label2}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and text not in undrawn]


def worded(labels) -> bool:
    """Whether words stand at the ticks, and not only numbers."""
    return any(re.search(r"[^\W\d_]", label.get_text()) for label in labels)


def test_every_public_figure_is_drawn_here():
    public = {name for name, thing in vars(figures_plane).items() if name.endswith("_figure") and inspect.isfunction(thing)
              and thing.__module__ == figures_plane.__name__}
    assert public <= DRAW.keys() and len([name for name in DRAW if name.endswith("_target")]) == 4


def test_it_is_a_figure_with_something_in_it(figure):
    assert isinstance(figure, Figure)
    assert np.asarray(figure.canvas.buffer_rgba())[..., :3].std() > 5


def test_the_axes_have_names(figure):
    for axes in figure.axes:
        inner = not axes.get_subplotspec().is_first_col() or not axes.get_subplotspec().is_last_row()
        assert axes.get_ylabel() or inner or worded(axes.get_yticklabels()) or not axes.get_yticks().size
        assert axes.get_xlabel() or inner or worded(axes.get_xticklabels()) or not axes.get_xticks().size


def test_no_text_is_cut_off(figure):
    frame = figure.bbox.padded(1)
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 and frame.y0 <= box.y0 and box.x1 <= frame.x1 and box.y1 <= frame.y1, text.get_text()


def test_titles_and_axis_names_do_not_overlap(figure):
    texts = [text for axes in figure.axes for text in (axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title)]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_visible() and text.get_text()]
    for i, (name, box) in enumerate(boxes):
        for other, its in boxes[i + 1 :]:
            assert not box.padded(-1).overlaps(its.padded(-1)), f"{name!r} overlaps {other!r}"


def test_a_place_has_the_colour_of_its_nearest_code_and_borders_are_halfway():
    picture = cells_picture(CODES[:2], limit=2.0, fine=40)
    left, right = picture[:, :19].flatten(0, 1), picture[:, 21:].flatten(0, 1)
    assert (left == left[0]).all() and (right == right[0]).all() and not torch.equal(left[0], right[0])
    assert (picture[:, 20] == BORDER).all()  # x = 0 lies between columns 19 and 20
    tall = cells_picture(CODES[1:3], limit=2.0, fine=40)
    assert torch.equal(tall[-1, 5], cells_picture(CODES[1:3], 2.0, 40)[-1, 6]) and not torch.equal(tall[-1, 5], tall[0, 35])  # first row at the bottom


def test_used_codes_are_numbered_diamonds_and_unused_ones_crosses():
    cells = Cells(new_figure().add_subplot())
    cells.set(CODES, X)
    assert len(cells.codes.get_xdata()) == 3 and len(cells.dead.get_xdata()) == 1
    assert [number.get_text() for number in cells.numbers if number.get_visible()] == ["1", "2", "3"]
    cells.set(CODES, X, points=torch.tensor([[1.0, 0.2]]))  # who is used is decided by the points
    assert np.array_equal(np.ravel(cells.codes.get_data()), [1, 0]) and len(cells.dead.get_xdata()) == 3
    with pytest.raises(BadInput, match="room for 32 codes, not 33"):
        cells.set(X[:33], X)


def test_drawing_leaves_the_random_numbers_alone():
    before = torch.get_rng_state()
    for name in ("cells_figure", "VoronoiPicture", "nearest_target"):
        DRAW[name]()
    assert torch.equal(before, torch.get_rng_state())
