"""The pictures of notebook 07 show the numbers they are given, and refuse what does not fit."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from course_lib.codes import figures_codes
from course_lib.codes.editing import CHANGES, OUTCOMES
from course_lib.core.errors import BadInput


def squares(count: int = 3):
    """Pictures with a lit square each, masks of 4 slots in quarters, codes that count."""
    images = torch.zeros(count, 3, 16, 16)
    images[:, 0, 2:7, 2:7] = 1
    masks = torch.zeros(count, 4, 16, 16)
    for slot in range(4):
        masks[:, slot, 8 * (slot // 2):, 8 * (slot % 2):] = 1 + slot
    return images, masks / masks.sum(1, keepdim=True), torch.arange(16 * count).view(count, 4, 4)


def test_codes_are_printed_beside_their_scene():
    images, masks, codes = squares()
    figure = figures_codes.codes_figure(images, images, masks, codes)
    assert isinstance(figure, Figure) and len(figure.axes) == 12
    for scene in range(3):
        words = [text.get_text() for text in figure.axes[4 * scene + 3].texts]
        assert words[:4] == [f"book {book}" for book in (1, 2, 3, 4)]
        assert words[4:] == [word for slot in range(4) for word in (str(slot + 1), *map(str, codes[scene, slot].tolist()))]
    with pytest.raises(BadInput, match="at least one scene"):
        figures_codes.codes_figure(images[:0], images[:0], masks[:0], codes[:0])


def test_only_what_is_painted_has_a_number_and_its_full_colour():
    images, masks, _ = squares(1)
    figure = figures_codes.codes_figure(images, images, masks, torch.zeros(1, 4, 4, dtype=torch.int64))
    axes = figure.axes[2]
    assert [text.get_text() for text in axes.texts] == ["1"]
    shade = np.asarray(axes.images[0].get_array())
    assert shade[4, 4].max() < 0.6 and shade[12, 12].min() > 0.75  # slot 1's own blue; pale where it is black


def test_information_is_printed_on_a_fixed_scale():
    share, shuffled = torch.tensor([[0.99, 0.2, 1.0], [0.0, 0.5, 0.61]]), torch.tensor([[0.01, -0.002, 0.0]] * 2)
    figure = figures_codes.information_figure(share, shuffled, ["size", "colour", "kind"])
    left, right = figure.axes[:2]
    assert [text.get_text() for text in left.texts] == ["0.99", "0.20", "1.00", "0.00", "0.50", "0.61"]
    assert [text.get_text() for text in right.texts] == ["0.01", "0.00", "0.00"] * 2  # no minus before a zero
    assert all(axes.images[0].get_clim() == (0, 1) for axes in (left, right))
    assert [label.get_text() for label in left.get_yticklabels()] == ["codebook 1", "codebook 2"]
    with pytest.raises(BadInput, match="2 factors"):
        figures_codes.information_figure(share, shuffled, ["size", "colour"])


def test_an_edit_grid_outlines_what_changed():
    before = torch.zeros(3, 16, 16)
    after = before.repeat(2, 1, 1, 1)
    after[1, :, 4:9, 4:9] = 1
    figure = figures_codes.edits_figure(before, {"codebook 1": (after, ["same", "other"]), "codebook 2": (after[:1], ["same"])})
    assert len(figure.axes) == 6 and [axes.get_title() for axes in figure.axes[:3]] == ["before", "same", "other"]
    outlines = [len(axes.collections) for axes in figure.axes]
    assert outlines == [0, 0, 2, 0, 0, 0] and not figure.axes[5].axison
    assert figure.axes[2].get_xlim() == figure.axes[1].get_xlim() and figure.axes[2].get_ylim() == figure.axes[1].get_ylim()
    for rows in ({}, {"a": (after, ["one"])}):
        with pytest.raises(BadInput, match="at least one row"):
            figures_codes.edits_figure(before, rows)


def test_shares_of_edits_are_lines():
    shares = {change: [0.0, 0.1 * n, 1.0] for n, change in enumerate(CHANGES)}
    (axes,) = figures_codes.edit_success_figure(shares).axes
    assert [line.get_label() for line in axes.lines] == list(CHANGES) and axes.lines[2].get_ydata() == pytest.approx([0, 0.2, 1])
    assert len({(line.get_marker(), line.get_linestyle()) for line in axes.lines}) == 4 and axes.get_ylim() == (0, 1)
    with pytest.raises(BadInput, match="no edit"):
        figures_codes.edit_success_figure({})


def test_outcomes_are_bars_that_fill_the_line():
    shares = dict(zip(OUTCOMES, (0.5, 0.3, 0.0, 0.2)))
    (axes,) = figures_codes.outcomes_figure({"SVQ": shares, "patches": shares}).axes
    assert [bar.get_width() for bar in axes.patches[:4]] == pytest.approx(list(shares.values()))
    assert [bar.get_x() for bar in axes.patches[:4]] == pytest.approx([0, 0.5, 0.8, 0.8])
    assert [text.get_text() for text in axes.texts[:3]] == ["50%", "30%", "20%"]
    with pytest.raises(BadInput, match="no model"):
        figures_codes.outcomes_figure({})


def test_rows_of_pictures():
    images, _, _ = squares(2)
    changed = images.clone()
    changed[1] = 1 - changed[1]
    figure = figures_codes.versus_figure({"picture": images, "edited": changed}, {"edited": "picture"})
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["picture", "edited"]
    assert [len(axes.collections) for axes in figure.axes] == [0, 0, 0, 2]
    with pytest.raises(BadInput, match="as many pictures"):
        figures_codes.versus_figure({"a": images, "b": images[:1]})


def test_two_trainings_side_by_side():
    runs = {name: {"mse": [0.02, 0.01], "fg_ari": [0.1, 0.5], "perplexity": [1.0, value]} for name, value in (("after", 9.0), ("inside", 7.0))}
    figure = figures_codes.two_ways_figure(runs)
    assert [[line.get_ydata()[-1] for line in axes.lines] for axes in figure.axes] == [[0.01, 0.01], [0.5, 0.5], [9.0, 7.0]]
    assert [line.get_label() for line in figure.axes[0].lines] == ["after", "inside"]
    with pytest.raises(BadInput, match="no training"):
        figures_codes.two_ways_figure({})
