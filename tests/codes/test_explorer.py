"""The code editor, moved as code moves it: picture and words are those of the model, the parser and the dictionary."""

import io
import random
import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from perfect_codes import COLOUR, PLACE, SPARE, Perfect
from PIL import Image

from course_lib.codes import explorer as module
from course_lib.codes.editing import leave_out
from course_lib.codes.explorer import SCENES, CodeExplorer
from course_lib.codes.meaning import collect_objects, in_words, look_up, scene_words
from course_lib.codes.moving import painted_places, words_of_change
from course_lib.codes.svq import SVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput
from course_lib.slots.scenes import COLOURS

WORLD = RuleWorld(64, samples=200)


@pytest.fixture(scope="module")
def model():
    return Perfect(WORLD)


@pytest.fixture(scope="module")
def dictionary(model):
    return look_up(collect_objects(model, WORLD, 200), 16)


@pytest.fixture
def explorer(model, dictionary):
    return CodeExplorer(model, dictionary, WORLD)


def model_like(**sizes) -> SVQ:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SVQ(**{"slot_dim": 8, "codes": 16, "channels": 4, "hidden_dim": 8, "decoder_dim": 8, "decoder_layers": 1} | sizes).eval()


def state(explorer) -> tuple[bytes, str]:
    return bytes(explorer.picture.value), explorer.words.value


def label(explorer, words: str) -> int:
    """The stop of the code that says so."""
    (stop,) = [value for name, value in explorer.code.options if name.endswith(f"· {words}")]
    return stop


def test_every_control_changes_picture_and_words_and_the_axes_stay(explorer):
    limits = [(axes.get_xlim(), axes.get_ylim(), axes.get_position().bounds) for axes in explorer.figure.axes]
    artists = len(explorer.figure.findobj())
    explorer.spare.value = "leave out"
    explorer.codebook.value, explorer.slot.value = COLOUR + 1, 2
    for name, values in (("scene", (1, 2, 5)), ("slot", (2, 3)), ("codebook", (1, 2, 3, 4)), ("code", (0, 1, 4, 7))):
        control, seen = explorer.controls[name], set()
        if name == "codebook":
            explorer.code.value = 0
        for value in values:
            control.value = value
            seen.add(state(explorer))
        assert len({picture for picture, _ in seen}) == len({words for _, words in seen}) == len(values), name
        control.value = values[0] if name != "codebook" else COLOUR + 1
    assert limits == [(axes.get_xlim(), axes.get_ylim(), axes.get_position().bounds) for axes in explorer.figure.axes]
    assert len(explorer.figure.findobj()) <= artists + 8  # the boxes behind four numbers appear with them


def test_the_slider_says_what_the_codes_mean_in_order(explorer, dictionary):
    explorer.codebook.value = PLACE + 1
    assert [name.split(" · ")[-1] for name, _ in explorer.code.options] == ["as it is", *(
        f"{row} {column}" for row in ("upper", "middle", "lower") for column in ("left", "centre", "right"))]
    explorer.codebook.value = COLOUR + 1
    assert [in_words(meaning) for meaning in dictionary.entries(COLOUR, least=5)] == [name.split(" · ")[-1] for name, _ in explorer.code.options[1:]]


def test_another_codebook_starts_with_nothing_changed(explorer):
    explorer.codebook.value = COLOUR + 1
    explorer.code.value = 3
    assert "is replaced by code" in explorer.words.value
    explorer.codebook.value = PLACE + 1
    assert explorer.code.value == 0 and "Nothing is changed" in explorer.words.value


def test_a_new_colour_is_painted_and_said(explorer, model):
    explorer.scene.value, explorer.slot.value, explorer.codebook.value, explorer.spare.value = 3, 2, COLOUR + 1, "leave out"
    before = scene_words(WORLD.first(3)[2], WORLD)[1]
    new = next(word for word in ("red", "pink", "green", "blue") if word not in " ".join(scene_words(WORLD.first(3)[2], WORLD)))
    explorer.code.value = label(explorer, new)
    words = explorer.words.value
    size, old, rest = before.split(" ", 2)
    assert f"Result: {before} becomes {size} {new} {rest}." in words and f"is replaced by code {list(COLOURS).index(new)}, {new}" in words
    codes = explorer.codes[2].clone()
    codes[1, COLOUR] = list(COLOURS).index(new)
    painted = model.decode(leave_out(codes[None], torch.tensor([SPARE])))[0]
    assert np.allclose(np.asarray(explorer._picture.edited.get_array()), painted.permute(1, 2, 0).numpy())
    difference = np.asarray(explorer._picture.change.get_array())
    assert difference.max() > 0.2 and np.allclose(difference, (painted - WORLD.batch([2])["image"][0]).abs().amax(0), atol=1e-5)


def test_a_move_and_what_the_twin_does(explorer):
    explorer.slot.value, explorer.codebook.value = 1, PLACE + 1
    old = scene_words(WORLD.first(1)[0], WORLD)
    free = next(word for _, word in [(v, n.split(" · ")[-1]) for n, v in explorer.code.options[1:]] if not any(word in each for each in old))
    explorer.code.value = label(explorer, free)
    thing = old[0].split(",")[0]
    both = f"{thing}, {free} appears"
    moved = f"{old[0]} becomes {thing}, {free}"
    assert both in explorer.words.value  # the twin is still there
    explorer.spare.value = "leave out"
    spare = int(explorer.spare_slot[0])
    assert (moved in explorer.words.value) == (spare == SPARE) and ("choose another slot" in explorer.words.value) == (spare == 0)


def test_synonyms_go_round(model, dictionary):
    twice = dictionary
    entries = {((0,),) * 5: [3, 5]}
    explorer = CodeExplorer(model, twice, WORLD, codebook=COLOUR + 1)
    explorer._entries[COLOUR] = list(entries.items())
    explorer.code.options = explorer._options(COLOUR + 1)
    explorer.code.value = 1
    said = []
    for number in (1, 2, 3):
        explorer.synonym.value = number
        said.append(explorer.words.value)
    assert "(synonym 1 of 2)" in said[0] and "(synonym 2 of 2)" in said[1] and said[0] == said[2]


def test_a_list_of_synonyms_is_shown_only_if_there_are_any(explorer, model, dictionary, monkeypatch):
    assert explorer.synonym.layout.display == "none"
    monkeypatch.setattr(CodeExplorer, "_stops", lambda self, book: [(((0,),) * 5, [3, 5] if book == COLOUR else [3])])
    assert CodeExplorer(model, dictionary, WORLD).synonym.layout.display is None


def test_words_say_whether_the_spare_slot_is_there(explorer):
    explorer.slot.value = 2 if int(explorer.spare_slot[0]) != 1 else 1
    kept, explorer.spare.value = explorer.words.value, "leave out"
    left = f"Slot {int(explorer.spare_slot[0]) + 1}, the spare one, is left out."
    assert left not in kept and left in explorer.words.value
    explorer.code.value = 2
    assert left in explorer.words.value


def test_random_moves_end_in_the_right_state(explorer, model, dictionary):
    chance = random.Random(0)
    for _ in range(25):
        control = chance.choice(list(explorer.controls.values()))
        options = [option[1] if isinstance(option, tuple) else option for option in control.options]
        control.value = chance.choice(options)
    fresh = CodeExplorer(model, dictionary, WORLD)
    for name, control in fresh.controls.items():
        control.value = explorer.controls[name].value
    assert state(explorer) == state(fresh)


def test_the_picture_is_a_png_of_one_size_and_the_still_has_a_row_for_each_codebook(explorer):
    assert Image.open(io.BytesIO(explorer.picture.value)).size == (1120, 440)
    figure = explorer.still(4)
    assert isinstance(figure, Figure) and len(figure.axes) == 4 * 5
    assert [axes.get_ylabel() for axes in figure.axes[::5]] == [f"codebook {book}" for book in (1, 2, 3, 4)]


def test_what_a_code_says_fits_above_its_picture():
    words = "small orange/green/cyan/pink circle, lower row"
    lines = module._narrow(words).splitlines()
    assert lines == ["small orange/green/", "cyan/pink circle", "lower row"] and max(map(len, lines)) <= 22


def test_default_weights_scenes_and_first_slot(model, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "load_pretrained", lambda name, expect: asked.append((name, expect)) or model)
    monkeypatch.setattr(module, "COUNTED", 200)
    explorer = CodeExplorer(world=WORLD)
    assert asked == [("svq_rules", SVQ)] and len(explorer.scene.options) == SCENES
    assert explorer.slot.value - 1 != int(explorer.spare_slot[0])


def test_bad_dictionaries_get_one_sentence(model, dictionary):
    with pytest.raises(BadInput, match="4 × 16 codes, the model 4 × 32"):
        CodeExplorer(model_like(codes=32), dictionary, WORLD)
    few = RuleWorld(64, samples=2)
    with pytest.raises(BadInput, match="no code of codebook 1 has 5 objects"):
        CodeExplorer(Perfect(few), look_up(collect_objects(Perfect(few), few, 2), 16), few)


def test_a_model_that_learned_nothing_is_shown_too(dictionary):
    explorer = CodeExplorer(model_like(), dictionary, WORLD)
    explorer.code.value = 2
    code = int(explorer.codes[0, explorer.slot.index, explorer.codebook.index])
    assert re.search(rf"code {code}, .*(is replaced by code \d+|Nothing is changed)", explorer.words.value)
    assert np.asarray(explorer._picture.edited.get_array()).std() > 0  # something is painted


def test_an_error_is_shown_and_raised(explorer, monkeypatch):
    def broken(*_):
        raise BadInput("no such thing.")

    monkeypatch.setattr(module, "parse", broken)
    with pytest.raises(BadInput):
        explorer.scene.value = 2
    assert 'role="alert"' in explorer.words.value and "no such thing" in explorer.words.value


def test_words_of_every_change():
    states = torch.zeros(9, dtype=torch.int64)
    first, second = states.clone(), states.clone()
    first[0], second[0] = 1, 2
    assert words_of_change(first, second, (["a"], ["b"]), True) == "a becomes b"
    assert words_of_change(first, states, (["a"], []), True) == "a disappears" and words_of_change(states, second, ([], ["b"]), True) == "b appears"
    assert words_of_change(first, first, (["a"], ["a"]), True) == "no object changes into another one"
    assert "no longer be read" in words_of_change(first, second, (["a"], ["b"]), False)
    second[3] = 4
    assert words_of_change(first, second, (["a"], ["b", "c"]), True) == "a becomes b and c"


def test_numbers_stand_on_what_a_slot_paints():
    picture, masks = torch.zeros(3, 20, 20), torch.zeros(2, 20, 20)
    picture[0, 4:8, 10:14], masks[0] = 1, 0.9
    assert painted_places(picture, masks) == [(11.5, 5.5), None]
