"""The exercises of notebook 08: what each answer must satisfy."""

import itertools

import torch
from torch import Tensor

from course_lib.codes.metrics import copies
from course_lib.codes.world import RuleWorld
from course_lib.core.exercises import Checks

check = Checks()


@check.exercise("count", hint="which places (math.comb), which colours in which order (math.perm), and the looks of each object.")
def check_count(answer) -> None:
    value = answer(places=3, objects=2, colours=3, looks=2)
    assert isinstance(value, (int, float)), "Shape: return one number."
    assert answer(places=1, objects=1, colours=1, looks=1) == 1, "Law: one place, one colour, one look: there is exactly one scene."
    assert answer(places=4, objects=1, colours=3, looks=5) == 60, "Law: one object has places · colours · looks possibilities, here 4 · 3 · 5 = 60."
    assert answer(places=2, objects=2, colours=2, looks=1) == 2, (
        "Law: two objects on two places in two colours: red left and green right, or the other way round. That is 2 scenes; "
        "a scene is a set of objects, none of them is the first.")
    assert answer(places=3, objects=3, colours=2, looks=1) == 0, "Law: three objects cannot differ in colour if there are only two colours."
    for places, n, colours, looks in ((3, 2, 3, 2), (4, 3, 3, 2)):
        truth = _counted(places, n, colours, looks)
        found = answer(places=places, objects=n, colours=colours, looks=looks)
        assert found == truth, f"Law: {n} objects on {places} places, {colours} colours, {looks} looks: listing them gives {truth} scenes; you return {found}."


@check.exercise("probabilities", hint="logits / temperature; −inf for all codes below the k-th largest (topk); then softmax. Temperature 0 is a case of its own.")
def check_probabilities(answer) -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0, -1.0, 0.5], [0.0, 3.0, 1.0, 2.0, -2.0]])
    kept = logits.clone()
    p = answer(logits, 1.0, None)
    assert isinstance(p, Tensor), "Return a tensor."
    assert p.shape == logits.shape, f"Shape: a probability for each code, {tuple(logits.shape)}; got {tuple(p.shape)}."
    assert torch.equal(logits, kept), "Law: the logits you were given must not change; work on a copy."
    assert torch.allclose(p.sum(1), torch.ones(2), atol=1e-5) and (p >= 0).all(), "Law: the probabilities of a row are at least 0 and sum to 1."
    assert torch.allclose(p, logits.softmax(1), atol=1e-5), "Law: at temperature 1, with all codes, the answer is the softmax of the logits."
    assert torch.allclose(answer(logits, 0.5, None), (2 * logits).softmax(1), atol=1e-5), "Law: temperature divides the logits: at 0.5 they count twice."
    assert torch.allclose(answer(logits, 2.0, None), (logits / 2).softmax(1), atol=1e-5), "Law: temperature divides the logits: at 2 they count half."
    two = answer(logits, 1.0, 2)
    assert ((two > 0).sum(1) == 2).all() and torch.allclose(two.sum(1), torch.ones(2), atol=1e-5), (
        "Law: with top_k = 2 exactly the two likeliest codes of each row have a probability, and these sum to 1.")
    expected = torch.tensor([[2.0, 1.0], [3.0, 2.0]]).softmax(1)
    assert torch.allclose(torch.stack([two[0, [0, 2]], two[1, [1, 3]]]), expected, atol=1e-5), (
        "Law: among the codes that stay, the ratios are those of the softmax.")
    sharp = answer(logits, 0.0, None)
    assert not sharp.isnan().any(), "Law: temperature 0 is not a division by 0; the likeliest code has probability 1."
    assert torch.allclose(sharp, torch.eye(5)[[0, 1]], atol=1e-5), "Law: at temperature 0 the likeliest code of each row has probability 1."
    assert torch.allclose(answer(logits, 0.5, 2).amax(1), (2 * expected.log()).softmax(1).amax(1), atol=1e-5), (
        "Law: temperature and top_k together: first divide, then keep k, then softmax.")


@check.exercise("copies", hint="put the training scenes into a set of tuples, {tuple(row) for row in training.tolist()}, and look each generated scene up in it.")
def check_copies(answer) -> None:
    world = RuleWorld(32)
    training = world.first(40)
    value = answer(training[:4], training)
    assert isinstance(value, (float, Tensor)) and torch.as_tensor(value).numel() == 1, "Shape: return one number, a share."
    assert abs(float(value) - 1) < 1e-6, f"Law: scenes taken from the training are all copies; you return {float(value):.2f}."
    other = RuleWorld(32, seed=1).first(30)
    mixed = torch.cat([other, training[10:20]])
    truth = float(copies(mixed, training, world).float().mean())
    assert abs(float(answer(mixed, training)) - truth) < 1e-6, (
        f"Law: of 40 scenes, 10 of them copies, the share is {truth:.2f}; you return {float(answer(mixed, training)):.2f}.")
    assert abs(float(answer(training[[3, 3]], training)) - 1) < 1e-6, "Law: the same copy twice counts twice: the share is one of generated scenes."
    almost = training[:5].clone()
    almost[:, 0] = torch.where(almost[:, 0] > 0, 0, 1)
    assert float(answer(almost, training)) < 1e-6, "Law: a scene that differs in a single place is no copy."


def _counted(places: int, objects: int, colours: int, looks: int) -> int:
    """All scenes of a small world, listed one by one as sets of (place, colour, look)."""
    each = list(itertools.product(range(places), range(colours), range(looks)))
    sets = itertools.combinations(each, objects)
    return sum(len({place for place, _, _ in scene}) == objects == len({colour for _, colour, _ in scene}) for scene in sets)
