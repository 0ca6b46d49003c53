"""The pictures of notebook 09 show the numbers they are given, and refuse what does not fit."""

import numpy as np
import pytest
import torch
from test_reading import COLOURS, PLACES, made

from course_lib.codes import figures_reading as figures
from course_lib.codes.figures_reading import Panel
from course_lib.codes.reading import by_number, islands_apart, spell_anew
from course_lib.core.errors import BadInput


def test_variance_is_printed():
    figure = figures.variance_figure({"slots": np.array([0.7, 0.3]), "codes": np.array([0.6, 0.4])}, {"slots": {"a": 0.25}, "codes": {"a": 0.5}})
    left, right = figure.axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[0.7, 0.3], [0.6, 0.4]]
    assert [text.get_text() for text in right.texts] == ["25%", "50%"]
    with pytest.raises(BadInput, match="the same vectors"):
        figures.variance_figure({"slots": np.ones(1)}, {"codes": {}})


def test_panels_and_their_legend():
    places = np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)
    same = [Panel(title, places, PLACES, ("x", "y", "z"), "place") for title in "abc"]
    figure = figures.maps_figure(same, columns=2)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a", "b", "c"] and not figure.axes[3].axison
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y", "z"]
    drawn = [np.asarray(points.get_offsets()) for points in figure.axes[0].collections]
    assert all(np.allclose(drawn[k], places[PLACES == k]) for k in range(3))
    mixed = figures.maps_figure([*same, Panel("d", places, words="nobody knows"), Panel("e", places, PLACES - 1)])
    assert not mixed.legends and mixed.axes[3].get_xlabel() == "nobody knows"
    assert len(mixed.axes[4].collections[0].get_offsets()) == 40  # noise is drawn, too
    with pytest.raises(BadInput, match="no map"):
        figures.maps_figure([])


def test_islands_and_scores():
    vectors = made().vectors()
    found = {"PCA": islands_apart(vectors, vectors[:, :2].copy(), PLACES)}
    axes = figures.islands_figure(found).axes[0]
    assert len(axes.collections[0].get_offsets()) == 3 and "rank correlation" in axes.get_title(loc="left")
    curves = by_number(vectors, {"place": PLACES, "colour": COLOURS}, (2, 3))
    figure = figures.by_number_figure((2, 3), curves, {"place": 3, "colour": 4})
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["3", "4"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == curves["place"]["ari"]
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["ARI", "NMI", "NMI by chance"]
    for call in (figures.islands_figure, lambda nothing: figures.by_number_figure((), nothing, {})):
        with pytest.raises(BadInput, match="there is no"):
            call({})


def test_alike_has_a_panel_for_each_codebook_and_their_product():
    alike = torch.stack([torch.ones(3, 3), torch.eye(3)])
    figure = figures.alike_figure(alike, "abc")
    assert [axes.get_title() for axes in figure.axes[:3]] == ["codebook 1", "codebook 2", "all of them"]
    assert np.array_equal(figure.axes[2].images[0].get_array(), np.eye(3)) and figure.axes[0].images[0].get_clim() == (0, 1)
    with pytest.raises(BadInput, match="each of the 2 values"):
        figures.alike_figure(alike, "ab")


def test_phrases_are_counted():
    atlas = made()
    zero, values = torch.zeros(120, dtype=torch.int64), {"kind": ("ball",), "size": ("small",)}
    atlas.factors.update(kind=zero, size=zero)
    atlas.values.update(values)
    figure = figures.phrases_figure({"one": atlas, "many": spell_anew(atlas, 64)[0]}, place=1)
    assert figure.axes[0].get_title(loc="left") == "one: 4 phrases for 4 things"
    assert figure.axes[1].get_title(loc="left").endswith(" phrases for 4 things") and len(figure.axes[1].collections) == 4
    with pytest.raises(BadInput, match="no atlas"):
        figures.phrases_figure({}, 0)
