"""The sliders of tokens, moved as code moves them, and that picture and words are those of the model."""

import io
import random
import re
from functools import partial

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from course_lib.core.errors import BadInput
from course_lib.core.weights import save_weights
from course_lib.tokens import clip as clip_module
from course_lib.tokens import explorer as module
from course_lib.tokens import recipe_clip, sources
from course_lib.tokens.captions import CaptionedScenes, describe, objects
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.explorer import SCENES, TokenExplorer
from course_lib.tokens.moving import GROUPS, NEAREST, Neighbours, examples, lies_on
from course_lib.tokens.small_clip import SmallClip

TINY = {"dim": 16, "layers": 3, "heads": 2, "text_dim": 12, "text_layers": 1, "text_heads": 2, "projection": 8}


@pytest.fixture(scope="module")
def clip():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ClipTokens.of(SmallClip(32, **TINY).eval())


@pytest.fixture(scope="module")
def built(clip):
    return TokenExplorer(clip)


@pytest.fixture
def explorer(built):
    """The same explorer for every test, as if it were new."""
    start = {name: control.value for name, control in built.controls.items()}
    yield built
    for name, control in built.controls.items():
        control.value = start[name]


def state(explorer: TokenExplorer) -> tuple[bytes, str]:
    return bytes(explorer.picture.value), explorer.words.value


def limits(explorer: TokenExplorer) -> list[tuple]:
    return [(axes.get_xlim(), axes.get_ylim(), tuple(axes.get_position().bounds)) for axes in explorer.figure.axes]


def hidden(clip: ClipTokens, image: torch.Tensor, layer: int) -> np.ndarray:
    """Tokens (height, width, dim) as transformers itself gives them."""
    with torch.no_grad():
        out = clip.clip.vision_model(clip.normalized(image[None]), output_hidden_states=True, interpolate_pos_encoding=True)
    return out.hidden_states[layer][0, 1:].unflatten(0, clip.grid_of(*image.shape[1:])).numpy()


def by_hand(tokens: np.ndarray, ids: np.ndarray, place: tuple[int, int], centred: bool) -> tuple[np.ndarray, list, dict, dict, str]:
    """Cosines, the ten nearest, and mean cosine and number of nearest by what lies under them, with loops."""
    height, width = tokens.shape[:2]
    patch = ids.shape[0] // height, ids.shape[1] // width
    tokens = tokens.astype(float) - (tokens.mean((0, 1)) if centred else 0)
    cosine, under = np.empty((height, width)), np.empty((height, width), int)
    for r in range(height):
        for c in range(width):
            cosine[r, c] = tokens[r, c] @ tokens[place] / np.linalg.norm(tokens[r, c]) / np.linalg.norm(tokens[place])
            numbers, pixels = np.unique(ids[r * patch[0]:(r + 1) * patch[0], c * patch[1]:(c + 1) * patch[1]], return_counts=True)
            under[r, c] = numbers[pixels.argmax()]
    others = [(r, c) for r in range(height) for c in range(width) if (r, c) != place]
    nearest = sorted(others, key=lambda at: -cosine[at])[:10]
    own, lists, counts = under[place], {name: [] for name in GROUPS}, dict.fromkeys(GROUPS, 0)
    for at in others:
        name = "background" if under[at] == 0 else "same object" if under[at] == own else "other objects"
        lists[name].append(cosine[at])
        counts[name] += at in nearest
    return cosine, nearest, {name: np.mean(values) for name, values in lists.items() if values}, counts, int(own)


def test_every_slider_changes_picture_and_words_and_the_axes_stay(explorer):
    before, artists = limits(explorer), len(explorer.figure.findobj())
    assert list(explorer.controls) == ["scene", "row", "column", "layer", "measure"]
    for name, count in (("scene", SCENES), ("row", 8), ("column", 8), ("layer", 4), ("measure", 2)):
        control = explorer.controls[name]
        first, seen = control.value, set()
        assert len(control.options) == count
        some = control.options[:: 1 + count // 5]
        for _, value in some:
            control.value = value
            seen.add(state(explorer))
        control.value = first
        assert len({picture for picture, _ in seen}) == len({words for _, words in seen}) == len(some) > 1, name
    assert limits(explorer) == before and len(explorer.figure.findobj()) == artists


def test_random_moves_end_in_the_right_state(explorer, clip):
    chance = random.Random(0)
    for _ in range(6):
        control = chance.choice(list(explorer.controls.values()))
        control.value = chance.choice(control.options)[1]
    fresh = TokenExplorer(clip)
    for name, control in fresh.controls.items():
        control.value = explorer.controls[name].value
    assert state(explorer) == state(fresh)


@pytest.mark.parametrize("measure", ["cosine", "centred"])
@pytest.mark.parametrize(("scene", "layer"), [(1, 0), (2, 3)])
def test_picture_and_words_are_those_of_the_model(explorer, clip, scene, layer, measure):
    scenes = explorer.scenes
    explorer.scene.value, explorer.layer.value, explorer.measure.value = scene, layer, measure
    image, ids = scenes["image"][scene - 1], scenes["ids"][scene - 1]
    tokens = hidden(clip, image, layer)
    for place in examples(lies_on(ids, clip.grid)):  # on every object, and on the background
        explorer.row.value, explorer.column.value = place
        cosine, nearest, means, counts, own = by_hand(tokens, ids.numpy(), place, measure == "centred")
        left, right = explorer._picture.maps
        np.testing.assert_allclose(right.heat.get_array(), cosine, atol=1e-5)
        assert (right.heat.norm.vmin, right.heat.norm.vmax) == (-1, 1)
        found = explorer._picture.found
        np.testing.assert_allclose([cosine[tuple(at)] for at in found.nearest.tolist()], [cosine[at] for at in nearest], atol=1e-5)
        assert {tuple(at) for at in found.nearest.flip(1).tolist()} == set(zip(*map(np.ndarray.tolist, right.rings[0].get_data())))
        for panel in (left, right):
            assert all(frame.get_xy() == (place[1] - 0.5, place[0] - 0.5) for frame in panel.frames)
        words = explorer.words.value.replace("−", "-")
        name = describe([objects(scenes)[scene - 1][own - 1]], place=False)[2:] if own else "background"
        assert f"<b>Layer {layer} of 3, token (row {place[0]}, column {place[1]})</b> lies on the {name}; its ten nearest tokens: " in words
        said = {"same object": "the same object", "other objects": "other objects" if own else "objects", "background": "the background"}
        order = GROUPS if own else GROUPS[::-1]
        assert ", ".join(f"{counts[group]} on {said[group]}" for group in order if counts[group]) + "; mean" in words
        kind = "centred cosine" if measure == "centred" else "cosine"
        pattern = f"mean {kind} " + ", ".join(rf"(-?\d\.\d\d) with {said[group]}" for group in order if group in means) + "; it is"
        shown = re.search(pattern, words).groups()
        np.testing.assert_allclose([float(value) for value in shown], [means[group] for group in order if group in means], atol=0.00502)
        norms = np.linalg.norm(tokens, axis=-1)
        length = norms[place] / np.sort(norms.flatten())[(norms.size - 1) // 2]
        assert abs(float(re.search(r"it is (\d+\.\d\d) times", words)[1]) - length) < 0.00502


def test_dots_stand_at_their_cosines_in_the_row_of_what_they_lie_on(explorer):
    for row, column in examples(lies_on(explorer.scenes["ids"][0], explorer.grid)):
        explorer.row.value, explorer.column.value = row, column
        found, panel = explorer._picture.found, explorer._picture.groups
        x, y = np.ma.filled(panel.dots.get_offsets(), np.nan).T
        itself = row * explorer.grid[1] + column
        assert np.flatnonzero(np.isnan(y)).tolist() == [itself]
        np.testing.assert_allclose(np.delete(x, itself), np.delete(found.cosine.flatten().numpy(), itself))
        for k, (name, part) in enumerate(found.groups.items()):
            assert np.array_equal(np.flatnonzero(np.round(y) == k), part.flatten().nonzero().flatten().numpy())
            line, told = panel.means[k].get_xdata(), panel.told[k].get_text()
            assert (list(line) == [found.means[name]] * 2 and told.startswith("mean ")) if part.any() else not len(line) and told == "no token"
        widths = panel.dots.get_linewidths()
        assert set(np.flatnonzero(widths)) == {r * explorer.grid[1] + c for r, c in found.nearest.tolist()}


def test_a_scene_is_encoded_once_for_each_layer_when_it_is_looked_at(clip, monkeypatch):
    calls, encode = [], ClipTokens.encode
    monkeypatch.setattr(ClipTokens, "encode", lambda self, pixels: calls.append((self.layer, len(pixels))) or encode(self, pixels))
    explorer = TokenExplorer(clip)
    assert calls == [(2, 1)]
    for measure in ("centred", "cosine"):
        for place in (0, 7):
            explorer.row.value = explorer.column.value = place
        explorer.measure.value = measure
    explorer.still([(3, 3)])
    assert calls == [(2, 1)]
    explorer.scene.value, explorer.layer.value = 2, 0
    explorer.scene.value, explorer.layer.value = 1, 2
    assert calls == [(2, 1), (2, 1), (0, 1), (0, 1)]
    explorer.scene.value = 2
    assert len(calls) == 4


def test_the_clip_random_numbers_and_threads_are_left_alone(clip):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    weights = {name: value.clone() for name, value in clip.state_dict().items()}
    explorer = TokenExplorer(clip)
    assert explorer.layer.value == clip.layer == 2
    explorer.layer.value = 0
    assert clip.layer == 2 and all(torch.equal(value, weights[name]) for name, value in clip.state_dict().items())
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads
    learning = ClipTokens(clip.clip, clip.tokenizer, clip.processor, freeze=False)
    learner = TokenExplorer(learning)
    learner.layer.value = 1
    assert learning.training and learner._encoded and not any(value.requires_grad for value in learner._encoded.values())


def test_what_lies_under_a_token_is_what_most_of_its_pixels_show():
    ids = torch.zeros(4, 6, dtype=torch.uint8)
    ids[0, 0] = ids[2:, :2] = 3
    ids[0, 2:4] = 1  # two pixels of four: the smaller number
    ids[2, 4:], ids[3, 4:] = 2, 1
    assert lies_on(ids, (2, 3)).tolist() == [[0, 0, 0], [3, 0, 1]]
    assert torch.equal(lies_on(ids, (4, 6)), ids.long())
    assert torch.equal(lies_on(torch.stack([ids, ids.flip(0)]), (2, 3)), torch.stack([lies_on(ids, (2, 3)), lies_on(ids.flip(0), (2, 3))]))
    with pytest.raises(BadInput, match="^a picture of 4 × 6 pixels cannot be cut into 3 × 3 equal patches.$"):
        lies_on(ids, (3, 3))


def test_examples_lie_deep_inside_and_the_background_comes_last():
    under = torch.zeros(7, 9, dtype=torch.long)
    under[1:4, 1:4], under[5, 8] = 2, 1
    assert examples(under) == [(5, 8), (2, 2), (0, 8)]
    assert examples(torch.full((2, 3), 4)) == [(0, 0)]


def test_similarity_does_not_know_length_and_the_centred_one_no_common_part():
    chance = torch.Generator().manual_seed(0)
    tokens, under = torch.randn(5, 7, 8, generator=chance), torch.zeros(5, 7, dtype=torch.long)
    lengths = torch.rand(5, 7, 1, generator=chance) + 0.5
    plain = Neighbours.of(tokens, under, (3, 6))
    torch.testing.assert_close(Neighbours.of(lengths * tokens, under, (3, 6)).cosine, plain.cosine)
    centred = Neighbours.of(tokens, under, (3, 6), centred=True)
    torch.testing.assert_close(Neighbours.of(tokens + 3, under, (3, 6), centred=True).cosine, centred.cosine, atol=1e-5, rtol=0)
    assert Neighbours.of(tokens + 3, under, (3, 6)).means["background"] > 0.8  # what they share hides how they differ
    assert abs(centred.means["background"]) < 0.2 and "mean centred cosine" in centred.words("Layer 1", [])


def test_equal_tokens_are_taken_in_reading_order_and_a_small_grid_has_fewer():
    same = Neighbours.of(torch.ones(3, 5, 4), torch.zeros(3, 5, dtype=torch.long), (0, 1))
    assert same.nearest.tolist() == [[0, 0], [0, 2], [0, 3], [0, 4], [1, 0], [1, 1], [1, 2], [1, 3], [1, 4], [2, 0]]
    few = Neighbours.of(torch.eye(4).view(2, 2, 4), torch.tensor([[0, 1], [2, 2]]), (0, 1))
    assert len(few.nearest) == 3 < NEAREST and few.means == {"other objects": 0.0, "background": 0.0}
    assert "its 3 nearest tokens: 2 on other objects, 1 on the background; mean cosine 0.00 with other" in few.words("Layer 1", ["a", "b"])


def test_scenes_of_another_size_and_not_square(clip):
    scenes = CaptionedScenes(48, seed=5).batch(range(3))
    scenes["image"], scenes["ids"] = scenes["image"][:, :, 8:40], scenes["ids"][:, 8:40]
    explorer = TokenExplorer(clip, scenes)
    assert explorer.grid == (8, 12) and [len(explorer.controls[name].options) for name in ("scene", "row", "column")] == [3, 8, 12]
    explorer.scene.value, explorer.row.value, explorer.column.value, explorer.layer.value = 3, 7, 11, 3
    tokens = hidden(clip, scenes["image"][2], 3)
    np.testing.assert_allclose(explorer._picture.maps[1].heat.get_array(), by_hand(tokens, scenes["ids"][2].numpy(), (7, 11), False)[0], atol=1e-5)
    assert np.asarray(explorer._picture.maps[0].picture.get_array()).shape == (32, 48, 3)


def test_defaults_are_the_shipped_clip_and_scenes_that_are_only_measured(clip, tmp_path, monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = SmallClip(32, **TINY).eval()
    save_weights(model, tmp_path / "clip", card={"experiment": "clip", "config": {}, "seed": 0, "seconds": 1.0, "metrics": {}})
    monkeypatch.setattr(clip_module, "find_clip", partial(sources.find_clip, weights=tmp_path))
    explorer = TokenExplorer()
    assert all(torch.equal(value, explorer.clip.clip.state_dict()[name]) for name, value in model.clip.state_dict().items())
    assert module.HELD_OUT == recipe_clip.HELD_OUT
    expected = CaptionedScenes(32, seed=recipe_clip.HELD_OUT).batch(range(SCENES))
    assert all(torch.equal(value, expected[name]) for name, value in explorer.scenes.items())
    assert "lies on the " in explorer.words.value and "lies on the background" not in explorer.words.value  # it begins on an object


@pytest.mark.parametrize(("scenes", "words"), [
    ({}, "^there is no scene to explore; give at least one.$"),
    ({name: value[:0] for name, value in CaptionedScenes(32).batch([0]).items()}, "^there is no scene to explore; give at least one.$"),
    ({"image": torch.zeros(1, 3, 32, 32), "kind": torch.zeros(1, 1)},
     "^the scenes lack ids, colour_index, size_index; give a batch of CaptionedScenes.$"),
    (CaptionedScenes(30).batch([0]), "^a picture of 30 × 30 pixels cannot be cut into .* multiples of 4.$"),
    ({name: value[..., :4, :4] if name in ("image", "ids") else value for name, value in CaptionedScenes(32).batch([0]).items()},
     "^a picture of one token has nothing to compare it with; give larger pictures.$")])
def test_scenes_that_cannot_be_explored(clip, scenes, words):
    with pytest.raises(BadInput, match=words):
        TokenExplorer(clip, scenes)


def test_an_error_is_shown_and_raised_and_the_next_move_heals(explorer, monkeypatch):
    before = explorer.picture.value
    with monkeypatch.context() as patch:
        patch.setattr(module, "lies_on", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            explorer.row.value = 0
    assert 'role="alert"' in explorer.words.value and explorer.picture.value == before
    explorer.row.value = 1
    assert "✗" not in explorer.words.value and "token (row 1, " in explorer.words.value


def test_the_still_picture_and_the_png(explorer):
    explorer.scene.value, explorer.layer.value = 2, 1
    figure = explorer.still()
    under = lies_on(explorer.scenes["ids"][1], explorer.grid)
    places = examples(under)
    places = [*places[:-1][:3], places[-1]]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert isinstance(figure, Figure) and [title for title in titles if title][-1] == "background\nrow {}, column {}".format(*places[-1])
    heats = [axes.images[1] for axes in figure.axes if len(axes.images) == 2]
    tokens = hidden(explorer.clip, explorer.scenes["image"][1], 1)
    assert len(heats) == len(places)
    for heat, place in zip(heats, places):
        np.testing.assert_allclose(heat.get_array(), by_hand(tokens, explorer.scenes["ids"][1].numpy(), place, False)[0], atol=1e-5)
    assert len([axes for axes in explorer.still([(0, 0), (7, 7)]).axes if len(axes.images) == 2]) == 2
    for places, words in (([], "^choose at least one token.$"), ([(8, 0)], "^row 8, column 0 is outside the grid of 8 × 8 tokens.$")):
        with pytest.raises(BadInput, match=words):
            explorer.still(places)
    pixels = np.asarray(Image.open(io.BytesIO(explorer.picture.value)))
    assert pixels.shape[1] == 1010 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10
