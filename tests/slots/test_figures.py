"""Every picture of Part II: a Figure in which nothing is cut off or overlaps, which shows the numbers that it was given."""

import inspect
import math
import warnings

import numpy as np
import pytest
import torch
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from course_lib.core.errors import BadInput
from course_lib.slots import figures, figures_training, moving
from course_lib.slots.autoencoder import SlotAutoencoder
from course_lib.slots.figures import (SLOT_COLOURS, number_places, segmentation_picture, slot_colour, slot_parts, visualize_attention_evolution,
                                      visualize_slot_decomposition, visualize_slots)
from course_lib.slots.figures_training import Failure, failure_gallery, in_words, scenes_sheet, slots_against_scores, training_curves
from course_lib.slots.moving import IterationPicture, SlotPicture, iterations_figure, sheet, slot_counts_figure
from course_lib.slots.scenes import MultiDSprites, Shapes
from course_lib.slots.scenes import main as scenes_main
from course_lib.slots.tiny import poor_start, three_clusters

SCENES = Shapes().batch(range(3))
IMAGE = SCENES["image"]
TRUE = torch.nn.functional.one_hot(SCENES["ids"].long(), 7).movedim(-1, 1).float()  # the objects in the place of slots
with torch.no_grad(), torch.random.fork_rng():
    torch.manual_seed(0)
    MODEL = SlotAutoencoder(slot_dim=16, hidden_dim=16, channels=8)
    OUT = MODEL(IMAGE, 10, 3)
    ONE = [MODEL(IMAGE[:1], k, 2) for k in (2, 10)]
SCORES = {"fg_ari": 0.95, "full_ari": 0.1, "mse": 0.00123}
CURVES = {"loss": [0.1, 0.05, 0.02], "mse": [0.09, 0.06, 0.03], "fg_ari": [0.0, 0.5, 0.9], "full_ari": [-0.01, 0.3, 0.8]}


def moved_picture() -> Figure:
    picture = SlotPicture()
    picture.set(IMAGE[0], SCENES["ids"][0], ONE[1])
    return picture.figure


DRAW = {
    "visualize_slots": lambda: visualize_slots(IMAGE, OUT.reconstruction, OUT.masks, pictures=OUT.pictures),
    "visualize_attention_evolution": lambda: visualize_attention_evolution(OUT.attention, image=IMAGE),
    "visualize_slot_decomposition": lambda: visualize_slot_decomposition(IMAGE[2], IMAGE[2] + 0.05, TRUE[2]),
    "scenes_sheet": lambda: scenes_sheet({"Shapes": SCENES, "Multi-dSprites": MultiDSprites().batch(range(2))}, columns=3),
    "training_curves": lambda: training_curves(CURVES),
    "slots_against_scores": lambda: slots_against_scores([2, 3, 4], {"fg_ari": [0.3, 0.5, 0.9], "full_ari": [0.2, 0.4, 0.8], "miou": [0, 0.1, 0.7]},
                                                         (3, 4), (2, 3)),
    "failure_gallery": lambda: failure_gallery([Failure("Two objects in one slot", IMAGE[0], TRUE[0], IMAGE[0], SCORES, "A sentence. " * 15)] * 2),
    "slot_counts_figure": lambda: slot_counts_figure(IMAGE[0], ONE),
    "iterations_figure": lambda: iterations_figure(three_clusters(), poor_start()),
    "SlotPicture": moved_picture,
    "IterationPicture": lambda: IterationPicture(three_clusters(), poor_start()).figure,
}


@pytest.fixture(scope="module", params=DRAW)
def figure(request):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that the font lacks, an axis without extent, a layout that collapsed
        drawn = DRAW[request.param]()
        drawn.canvas.draw()
    return drawn


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_every_public_figure_is_drawn_here():
    public = {name for module in (figures, figures_training, moving) for name, thing in vars(module).items()
              if inspect.isfunction(thing) and thing.__module__ == module.__name__ and inspect.signature(thing).return_annotation is Figure
              and not name.startswith("_")}
    assert public and public <= DRAW.keys()


def test_it_is_a_figure_with_something_in_it(figure):
    assert isinstance(figure, Figure)
    assert np.asarray(figure.canvas.buffer_rgba())[..., :3].std() > 5


def test_no_text_is_cut_off_and_no_titles_overlap(figure):
    frame, undrawn = figure.bbox.padded(1), set()  # tick labels outside the limits, which matplotlib keeps and does not draw
    for axis in figure.findobj(Axis):
        drawn = axis._update_ticks() if axis.axes.get_visible() and axis.axes.axison else []
        undrawn |= {label for tick in axis.majorTicks + axis.minorTicks if tick not in drawn for label in (tick.label1, tick.label2)}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in undrawn:
            box = text.get_window_extent()
            assert frame.x0 <= box.x0 and frame.y0 <= box.y0 and box.x1 <= frame.x1 and box.y1 <= frame.y1, text.get_text()
    heads = [text for axes in figure.axes for text in (axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label) if text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in heads]
    for i, (name, box) in enumerate(boxes):
        for other, its in boxes[i + 1 :]:
            assert not box.padded(-1).overlaps(its.padded(-1)), f"{name!r} overlaps {other!r}"


def test_ten_slots_have_ten_colours_that_repeat():
    assert len(set(SLOT_COLOURS)) == 10 and slot_colour(10) == slot_colour(0)


def test_the_segmentation_has_the_colour_of_the_largest_mask():
    masks = torch.zeros(2, 12, 4, 6)
    masks[0, 3], masks[1, 11] = 0.6, 0.6
    masks[1, 2, :, :3] = 0.9
    picture = segmentation_picture(masks)
    assert picture.shape == (2, 4, 6, 3)
    assert torch.allclose(picture[0], torch.tensor(to_rgb(SLOT_COLOURS[3]))) and torch.allclose(picture[1, :, :3], torch.tensor(to_rgb(SLOT_COLOURS[2])))
    assert torch.allclose(picture[1, :, 3:], torch.tensor(to_rgb(SLOT_COLOURS[1])))  # slot 12 repeats the colour of slot 2


def test_a_number_stands_inside_its_slot_and_only_where_there_is_room():
    for ids, masks in zip(SCENES["ids"], TRUE):
        for slot, place in enumerate(number_places(masks)):
            assert (place is not None) == bool((ids == slot).any())
            assert place is None or int(ids[place[1], place[0]]) == slot
    stripe = torch.zeros(2, 64, 64)
    stripe[0], stripe[1, :, :2] = 0.5, 1.0  # two pixels wide
    (column, row), none = number_places(stripe)
    assert none is None and abs(column - 33) <= 1 and abs(row - 32) <= 1  # the middle of what is left


def test_parts_are_white_outside_the_mask():
    parts = slot_parts(IMAGE[:1, None], TRUE[:1])[0]
    own = TRUE[0, 1].bool()
    assert torch.allclose(parts[1][:, own], IMAGE[0][:, own]) and bool((parts[1][:, ~own] == 1).all())


def test_visualize_slots_shows_what_it_is_given():
    drawn = visualize_slots(IMAGE, OUT.reconstruction, TRUE, rows=2)
    assert len(drawn.axes) == 2 * (3 + 7)
    row = drawn.axes[10:]
    shown = [np.asarray(axes.images[0].get_array()) for axes in row]
    assert shown[0] == pytest.approx(IMAGE[1].permute(1, 2, 0).numpy())
    assert shown[1] == pytest.approx(OUT.reconstruction[1].clamp(0, 1).permute(1, 2, 0).numpy())
    assert shown[2] == pytest.approx(segmentation_picture(TRUE)[1].numpy())
    assert shown[4] == pytest.approx(slot_parts(OUT.reconstruction[:, None], TRUE)[1, 1].permute(1, 2, 0).numpy())
    assert texts(row[2]) == [str(k + 1) for k in range(7) if (SCENES["ids"][1] == k).any()]  # numbers beside the colours
    assert [axes.get_title() for axes in drawn.axes[3:10]] == [f"slot {k}" for k in range(1, 8)]


def test_attention_is_on_one_scale_with_one_colour_bar():
    drawn = visualize_attention_evolution(OUT.attention[1])
    maps = [axes for axes in drawn.axes if axes.images and axes.images[0].get_array().ndim == 2]
    assert len(maps) == 3 * 10 and {axes.images[0].get_clim() for axes in maps} == {(0, 1)}
    assert np.array_equal(maps[13].images[0].get_array(), OUT.attention[1, 1, 3].numpy())
    assert [axes.get_label() for axes in drawn.axes].count("<colorbar>") == 1
    assert [axes.get_ylabel() for axes in drawn.axes[:33:11]] == ["iteration 1", "iteration 2", "iteration 3"]


def test_decomposition_takes_one_picture_with_or_without_a_batch():
    alone = visualize_slot_decomposition(IMAGE[2], OUT.reconstruction[2], TRUE[2])
    batch = visualize_slot_decomposition(IMAGE[2:], OUT.reconstruction[2:], TRUE[2:], pictures=None)
    arrays = [[np.asarray(axes.images[0].get_array()) for axes in drawn.axes if axes.images] for drawn in (alone, batch)]
    assert all(np.array_equal(a, b) for a, b in zip(*arrays)) and len(arrays[0]) == 2 * 9
    assert np.array_equal(arrays[0][3], TRUE[2, 1].numpy())
    assert f"MSE {float((IMAGE[2] - OUT.reconstruction[2]).square().mean()):.4f}" in [axes.get_title() for axes in alone.axes]


def test_save_path_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "slots.png"
    assert isinstance(visualize_slots(IMAGE[:1], IMAGE[:1], TRUE[:1, :2], save_path=path), Figure)
    visualize_attention_evolution(OUT.attention[:, :1, :2], save_path=str(tmp_path / "attention.png"))
    visualize_slot_decomposition(IMAGE[0], IMAGE[0], TRUE[0, :2], save_path=tmp_path / "decomposition.png")
    names = {file.name for file in tmp_path.rglob("*.png")}
    assert names == {"slots.png", "attention.png", "decomposition.png"}
    before = path.read_bytes()
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **options: file.write_text("half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        visualize_slots(IMAGE[:1], IMAGE[:1], TRUE[:1, :2], save_path=path)
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("draw", [
    lambda: visualize_slots(IMAGE, IMAGE[:2], TRUE), lambda: visualize_slots(IMAGE[:, :1], IMAGE[:, :1], TRUE),
    lambda: visualize_slots(IMAGE, IMAGE, TRUE[:, :, ::2]), lambda: visualize_slot_decomposition(IMAGE[0], IMAGE[0], TRUE[0, 0]),
    lambda: visualize_attention_evolution(OUT.masks[0])], ids=["batch", "channels", "size", "no slots", "no iterations"])
def test_shapes_that_do_not_fit(draw):
    with pytest.raises(BadInput, match="must have shape"):
        draw()


def test_the_sheet_counts_what_can_be_seen():
    drawn = scenes_sheet({"Shapes": SCENES}, columns=3)
    assert [axes.get_title() for axes in drawn.axes] == [f"{n} objects" for n in SCENES["present"].sum(1).tolist()]
    hidden = {name: value[:1] for name, value in SCENES.items()} | {"ids": (SCENES["ids"][:1] == 1).to(torch.uint8)}
    assert scenes_sheet({"one": hidden}, columns=1).axes[0].get_title() == "1 object"


def test_curves_and_scores_show_their_numbers():
    left, right = training_curves(CURVES).axes
    assert [list(line.get_ydata()) for line in left.lines + right.lines] == list(CURVES.values())
    (axes,) = slots_against_scores([2, 5], {"miou": [0.1, 0.2], "fg_ari": [0.3, 0.4]}).axes
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == {"FG-ARI": [0.3, 0.4], "mIoU": [0.1, 0.2]}
    assert len({(line.get_marker(), line.get_linestyle()) for line in axes.lines}) == 2  # not by colour alone
    for draw, words in ((lambda: slots_against_scores([2, 3], {"miou": [0.1]}), "one value for each of the 2"),
                        (lambda: training_curves({}), "has a 'loss'"), (lambda: failure_gallery([]), "at least one failure"),
                        (lambda: scenes_sheet({}), "at least one batch")):
        with pytest.raises(BadInput, match=words):
            draw()


def test_measures_in_words():
    assert in_words(SCORES) == "FG-ARI 0.95, full ARI 0.10, MSE 0.0012"
    assert in_words({"full_ari": -0.001, "miou": -0.25, "fg_ari": math.nan}) == "full ARI 0.00, mIoU −0.25, FG-ARI undefined"
    (row,) = [axes for axes in DRAW["failure_gallery"]().axes if "Two objects in one slot" in texts(axes)][:1]
    assert texts(row)[1] == in_words(SCORES)


def test_the_sheet_of_tiles_has_fixed_places():
    tiles = sheet([torch.zeros(2, 3, 32, 32), torch.zeros(1, 3, 8, 8)])
    assert tiles.shape == sheet([]).shape == (8 * 68 - 4, 10 * 68 - 4, 3)
    black = tiles[..., 0] == 0
    assert int(black.sum()) == 3 * 64 * 64 and bool(black[:64, 68:132].all()) and bool(black[68:132, :64].all())


def test_the_stand_alone_sheets(tmp_path, capsys):
    for main in (figures.main, scenes_main):
        path = tmp_path / f"{main.__module__}.png"
        main([str(path)])
        assert capsys.readouterr().out == f"{path}\n"
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("RGB")).std() > 20


def test_the_commands_have_help(capsys):
    for main in (figures.main, scenes_main):
        with pytest.raises(SystemExit) as done:
            main(["--help"])
        assert done.value.code == 0 and "sample sheet" in capsys.readouterr().out
