"""The judge is judged: true scenes are read rightly, damaged ones are refused, and numbers are those of other hands."""

import math

import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import norm
from sklearn.metrics import mutual_info_score

from course_lib.codes.metrics import (ERROR, MARGIN, Share, copies, factor_information, judge, over_seeds, parse,
                                      share)
from course_lib.codes.world import BACKGROUND, RuleWorld
from course_lib.core.errors import BadInput
from course_lib.slots.scenes import COLOURS

WORLD = RuleWorld(seed=5)
MANY = 300
SCENES = WORLD.batch(range(MANY))
TRUE = WORLD.states(SCENES)
NAMES = list(COLOURS)


def blur(images: torch.Tensor, pixels: float) -> torch.Tensor:
    return torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, pixels, pixels)))


def noise(images: torch.Tensor, size: float) -> torch.Tensor:
    return images + size * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))


def state(kind: str, colour: str, size: int) -> int:
    return 1 + (list(WORLD.kinds).index(kind) * 8 + NAMES.index(colour)) * 2 + size


def placed(places: torch.Tensor) -> torch.Tensor:
    """Pictures with these contents (batch, 3, 20, 20) in the middle, and two clear objects elsewhere."""
    states = torch.zeros(1, 9, dtype=torch.int64)
    states[0, 0], states[0, 8] = state("circle", "red", 1), state("triangle", "blue", 0)
    images = WORLD.compose(states)["image"].repeat(len(places), 1, 1, 1)
    images[:, :, 22:42, 22:42] = places
    return images


def refused(places: torch.Tensor) -> torch.Tensor:
    return ~parse(placed(places), WORLD)["parsable"]


@pytest.mark.parametrize(("blurred", "noisy"), [(0, 0), (0, 0.05), (0.5, 0), (1, 0), (1.5, 0), (2, 0), (1, 0.05), (2, 0.05)])
def test_true_scenes_are_read_rightly_also_when_blurred_or_noisy(blurred, noisy):
    """At 64 pixels: blur with a standard deviation of up to 2 pixels, noise of up to 0.05 of the range of a colour."""
    found = parse(noise(blur(SCENES["image"], blurred), noisy), WORLD)
    right = (found["states"] == TRUE).all(1) & found["parsable"]
    assert right.double().mean() >= 0.99
    if not blurred and not noisy:
        assert right.all() and (found["margin"] > 0.999).all() and found["error"].max() < 1e-6
        objects = WORLD.objects(TRUE)
        assert all(torch.equal(found[name], objects[name]) for name in ("present", "kind", "colour", "size"))


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_every_state_is_read_at_every_place_and_resolution(resolution):
    world = RuleWorld(resolution)
    states = torch.stack([(torch.arange(world.values + 1) + 11 * place) % (world.values + 1) for place in range(9)], 1)
    images = world.compose(states)["image"]
    for pictures in (images, (images * 255).round() / 255, noise(blur(images, resolution / 64), 0.03)):
        found = parse(pictures, world)
        assert torch.equal(found["states"], states) and found["parsable"].all()


@pytest.mark.parametrize("resolution", [64, 128])
def test_an_object_may_be_one_of_64_pixels_off_its_place_and_no_more(resolution):
    world = RuleWorld(resolution, seed=5)
    images = world.batch(range(30))["image"]
    for way in ((1, 0), (0, -1), (1, 1)):
        moved = [images.roll([steps * resolution // 64 * w for w in way], (2, 3)) for steps in (1, 2)]
        near, far = (parse(each, world) for each in moved)
        assert torch.equal(near["states"], TRUE[:30]) and near["parsable"].all() and not far["parsable"].any()


def test_the_best_template_its_error_and_its_margin_are_those_of_a_loop():
    images, checked = noise(SCENES["image"][:3], 0.1).clamp(0, 1), 0
    found = parse(images, WORLD)
    cells = images[:, :, 2:62, 2:62].unfold(2, 20, 20).unfold(3, 20, 20).permute(0, 2, 3, 1, 4, 5).reshape(3, 9, 3, 20, 20)
    for i in range(3):
        for place in range(9):
            errors = torch.stack([(cells[i, place] - template).square().sum() for template in WORLD.templates])
            best, gaps = int(errors.argmin()), []
            for other, error in enumerate(errors):
                if other != best:
                    gaps.append(float((error - errors[best]) / (WORLD.templates[other] - WORLD.templates[best]).square().sum()))
            assert found["states"][i, place] == best
            if abs(float(found["error"][i, place]) - float(errors[best]) / 1200) < 1e-6:  # the best was sharp and in the middle
                assert float(found["margin"][i, place]) <= min(gaps) + 1e-4  # moved and blurred rivals may be nearer
                checked += 1
    assert checked > 20


def test_margin_falls_along_the_way_to_another_state():
    a, b = (WORLD.templates[state("circle", colour, 1)] for colour in ("red", "green"))
    way = torch.tensor([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    found = parse(placed((1 - way[:, None, None, None]) * a + way[:, None, None, None] * b), WORLD)
    margin = found["margin"][:, 4]
    assert (margin[:5].diff() < 0).all() and (margin <= 1 - 2 * way + 1e-4)[:5].all()  # halfway a third colour is nearer
    assert found["parsable"][0] and not found["parsable"][3:].any()


def test_noise_and_plain_pictures_are_refused():
    images = torch.rand(50, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert not parse(images, WORLD)["parsable"].any()
    for level in (0.2, 0.5, 1.0):
        assert not parse(torch.full((1, 3, 64, 64), level), WORLD)["parsable"].any()
    assert not parse(noise(SCENES["image"][:50], 0.3), WORLD)["parsable"].any()
    empty = parse(torch.full((1, 3, 64, 64), BACKGROUND), WORLD)  # nothing is there, clearly
    assert empty["parsable"].all() and not empty["present"].any() and not judge(torch.zeros(1, 3, 64, 64), WORLD)["right"].any()


def test_half_of_an_object_is_none():
    objects = WORLD.templates[1:]
    for rows, columns in ((slice(0, 10), slice(None)), (slice(10, 20), slice(None)), (slice(None), slice(0, 10)),
                          (slice(None), slice(10, 20))):
        damaged = objects.clone()
        damaged[:, :, rows, columns] = BACKGROUND
        assert refused(damaged).all()
    assert refused(objects.roll(10, 3)).all()  # half of it is at the other side of its place


def test_colours_between_two_listed_ones_are_refused():
    pairs = [(a, b, kind, way) for b in NAMES for a in NAMES[:NAMES.index(b)] for kind in WORLD.kinds for way in (0.35, 0.5, 0.65)]
    places = torch.stack([(1 - way) * WORLD.templates[state(kind, a, 1)] + way * WORLD.templates[state(kind, b, 1)]
                          for a, b, kind, way in pairs])
    kept = {(a, b, way) for (a, b, _, way), no in zip(pairs, refused(places).tolist()) if not no}
    assert kept <= {("red", "yellow", 0.5)}  # halfway between these two there is orange, indeed


def test_two_objects_in_one_place_are_refused():
    first, second = torch.cartesian_prod(torch.arange(1, 49), torch.arange(1, 49)).T
    other_colour = (first - 1) // 2 % 8 != (second - 1) // 2 % 8
    front, behind = WORLD.templates[first[other_colour]], WORLD.templates[second[other_colour]]
    covers, shown = (each.sub(BACKGROUND).abs().amax(1, keepdim=True) > 0 for each in (front, behind))
    visible = (shown & ~covers).flatten(1).sum(1) / shown.flatten(1).sum(1)
    assert refused(torch.where(covers, front, behind)[visible > 0.25]).all()
    assert refused((front + behind) / 2).double().mean() >= 0.98  # what is left may look like one object of a third colour


def test_a_smudge_on_the_rim_or_between_the_objects_is_refused():
    image = SCENES["image"][:1].clone()
    image[:, :, :2] = 0.4
    assert parse(SCENES["image"][:1], WORLD)["parsable"].all() and not parse(image, WORLD)["parsable"].any()
    image = SCENES["image"][:1].clone()
    row, column = (TRUE[0] == 0).nonzero()[0, 0].div(3).int(), (TRUE[0] == 0).nonzero()[0, 0] % 3
    image[:, :, 2 + 20 * row:8 + 20 * row, 2 + 20 * column:8 + 20 * column] = 0.6  # a corner of an empty place
    assert not parse(image, WORLD)["parsable"].any()


def test_limits_are_the_callers_to_set_and_values_outside_are_cut_off():
    images = noise(SCENES["image"][:20], 0.1)
    assert not parse(images, WORLD)["parsable"].all() and parse(images, WORLD, error=0.02)["parsable"].all()
    assert not parse(images, WORLD, margin=0.999, error=0.02)["parsable"].any()
    loud = 3 * SCENES["image"][:5] - 1
    assert torch.equal(parse(loud, WORLD)["margin"], parse(loud.clamp(0, 1), WORLD)["margin"])
    found = parse(images, WORLD)
    assert torch.equal(found["clear"], (found["margin"] >= MARGIN) & (found["error"] <= ERROR))


def test_the_parts_of_a_large_batch_are_read_alike(monkeypatch):
    whole = parse(SCENES["image"][:20], WORLD)
    monkeypatch.setattr("course_lib.codes.metrics.AT_ONCE", 7)
    parts = parse(SCENES["image"][:20], WORLD)
    assert all(torch.allclose(whole[name].double(), parts[name].double(), atol=1e-4) for name in whole)
    assert parse(SCENES["image"][:0], WORLD)["states"].shape == (0, 9)


def test_every_picture_gets_one_of_four_verdicts():
    a, b, c, d = state("circle", "red", 0), state("square", "green", 1), state("triangle", "blue", 1), state("square", "red", 1)
    states = torch.tensor([[a, b, c, 0, 0, 0, 0, 0, 0], [a, b, 0, 0, d, 0, 0, 0, 0], [a, b, 0, 0, 0, 0, 0, 0, 0],
                           [a, b, c, 0, 0, 0, 0, 0, d]])
    images = torch.cat([WORLD.compose(states)["image"], torch.rand(1, 3, 64, 64)])
    verdicts = judge(images, WORLD)
    assert list(verdicts) == ["right", "unparsable", "wrong_number", "same_colour"]
    table = torch.stack(list(verdicts.values()), 1).int()
    assert table.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0], [0, 1, 0, 0]]
    assert share(verdicts["right"])[::3] == (0.2, 5)


def test_accuracy_of_true_scenes_is_one_and_without_the_rule_that_of_chance():
    assert judge(SCENES["image"], WORLD)["right"].all()
    free = RuleWorld(rule=False, seed=5)
    found = share(judge(free.batch(range(MANY))["image"], free)["right"])
    assert found.low < free.lawful_by_chance < found.high and found.of == MANY


def test_copies_are_the_same_set_of_objects():
    training = WORLD.first(50)
    new = RuleWorld(seed=6).first(30)
    assert not torch.isin(WORLD.key(new), WORLD.key(training)).any()
    found = copies(torch.cat([training[40:45], new]), training, WORLD)
    assert found.tolist() == 5 * [True] + 30 * [False]
    almost = training[:1].clone()
    place = int((almost[0] > 0).nonzero()[0])
    almost[0, place] = almost[0, place] % 48 + 1  # one object is another
    assert not copies(almost, training, WORLD).any()


def test_the_interval_over_seeds_is_students_and_never_narrower_than_wilsons():
    found = over_seeds([Share(p, 0, 1, 10_000) for p in (0.5, 0.6, 0.4)])
    assert found == pytest.approx((0.5, 0.5 - 4.30265 * 0.1 / 3**0.5, 0.5 + 4.30265 * 0.1 / 3**0.5, 30_000), abs=1e-4)
    lucky = over_seeds([Share(1.0, 0, 1, 100)] * 3)
    assert lucky == pytest.approx((1, 300 / (300 + norm.ppf(0.975) ** 2), 1, 300))
    wide = over_seeds([Share(p, 0, 1, 100) for p in (1.0, 0.5, 0.0)])
    assert (wide.low, wide.high) == (0, 1)


def test_information_is_that_of_scikit_learn_with_the_correction_added():
    torch.manual_seed(0)
    n = 3000
    factors = {"colour": torch.randint(8, (n,)), "kind": torch.randint(3, (n,))}
    noisy = torch.where(torch.rand(n) < 0.3, torch.randint(8, (n,)), factors["colour"])
    codes = torch.stack([noisy * 4 + torch.randint(4, (n,)), factors["kind"], torch.randint(64, (n,))], 1)
    found = factor_information(codes, factors, least=1000)
    assert found["bits"].shape == found["share"].shape == found["shuffled"].shape == (3, 2)
    for i, (name, factor) in enumerate(factors.items()):
        kinds = len(factor.unique())
        for k in range(3):
            both, many = len(torch.stack([codes[:, k], factor]).unique(dim=1).T), len(codes[:, k].unique())
            plain = mutual_info_score(codes[:, k], factor)
            wanted = (plain + (many + kinds - both - 1) / (2 * n)) / math.log(2)
            assert float(found["bits"][k, i]) == pytest.approx(wanted, abs=1e-9)
    assert float(found["share"][1, 1]) == pytest.approx(1, abs=1e-6)
    assert found["entropy"].tolist() == pytest.approx([3, math.log2(3)], abs=0.01)
    assert float(found["code_entropy"][2]) == pytest.approx(6, abs=0.02)


def test_512_codes_seem_to_know_nothing_that_they_do_not_and_synonyms_cost_nothing():
    n, generator = 20_000, torch.Generator().manual_seed(0)
    factors = {"colour": torch.randint(8, (n,), generator=generator), "constant": torch.zeros(n, dtype=torch.int64)}
    blind = torch.randint(512, (n,), generator=generator)
    synonyms = 64 * factors["colour"] + torch.randint(64, (n,), generator=generator)
    found = factor_information(torch.stack([blind, synonyms], 1), factors)
    plain = mutual_info_score(blind, factors["colour"]) / math.log(2)
    assert plain > 0.12 and abs(float(found["bits"][0, 0])) < 0.01
    assert float(found["share"][1, 0]) == pytest.approx(1, abs=0.005)
    assert found["shuffled"][:, 0].abs().max() < 0.01 and found["share"][:, 1].isnan().all()


def test_information_of_a_known_channel():
    """A code that is the factor but for a share of 0.2, drawn at random from 4 values: I = 2 − H(0.85, 3 × 0.05) bits."""
    n, generator = 40_000, torch.Generator().manual_seed(0)
    factor, other = (torch.randint(4, (n,), generator=generator) for _ in range(2))
    code = torch.where(torch.rand(n, generator=generator) < 0.2, other, factor)
    wanted = 2 + 0.85 * math.log2(0.85) + 0.15 * math.log2(0.05)
    found = factor_information(code[:, None], {"kind": factor})
    assert float(found["bits"]) == pytest.approx(wanted, abs=0.02) and abs(float(found["shuffled"])) < 0.005
    again = factor_information(code[:, None], {"kind": factor})
    assert torch.equal(found["shuffled"], again["shuffled"])


def few(n: int) -> tuple[torch.Tensor, dict]:
    return torch.zeros(n, 2, dtype=torch.int64), {"kind": torch.zeros(n, dtype=torch.int64)}


@pytest.mark.parametrize(("call", "message"), [
    (lambda: parse(torch.zeros(1, 3, 32, 32), WORLD), r"shape \(batch, 3, 64, 64\), not \(1, 3, 32, 32\)"),
    (lambda: parse(torch.zeros(3, 64, 64), WORLD), r"not \(3, 64, 64\)"),
    (lambda: parse(torch.full((1, 3, 64, 64), torch.nan), WORLD), "pictures hold NaN"),
    (lambda: over_seeds([Share(1, 1, 1, 9)] * 2), "at least 3 of them, not 2"),
    (lambda: factor_information(*few(19_999)), "at least 20000 objects, not 19999"),
    (lambda: factor_information(few(9)[0], {}, least=2), "at least one codebook and one factor"),
    (lambda: factor_information(few(9)[0] - 1, few(9)[1], least=2), "numbers from 0 on"),
    (lambda: factor_information(few(9)[0], {"kind": torch.zeros(1, dtype=torch.int64)}, least=2), "for all 9 objects")])
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(BadInput, match=message) as error:
        call()
    assert "\n" not in str(error.value)
