"""The exercises of notebook 05: what each answer must satisfy, and the figure it should lead to."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.core.exercises import Checks
from course_lib.slots.autoencoder import SlotAutoencoder
from course_lib.slots.failures import from_labels, objects_in_halves, objects_in_pairs, paper_scene
from course_lib.slots.figures_scenes import table_figure
from course_lib.slots.metrics import contingency, mean_best_overlap, scene_metrics

check = Checks()
CASES = {"objects in halves": objects_in_halves, "objects in pairs": objects_in_pairs}
NEAR = 0.03  # how close a prediction on paper must come


@check.exercise("iou", hint="(ids == i) & (owner == j) is where both agree, | where at least one of them is; .sum() counts pixels.")
def check_iou(answer) -> None:
    ids, owner = _labels()
    table = answer(ids, owner)
    assert isinstance(table, Tensor), "Return a tensor."
    objects, slots = int(ids.max()), int(owner.max()) + 1
    assert table.shape == (objects, slots), f"Shape: a row for each object and a column for each slot, {(objects, slots)}; got {tuple(table.shape)}."
    table = table.double()
    assert ((table >= 0) & (table <= 1)).all(), "Law: an IoU lies between 0 and 1."
    assert torch.allclose(answer(ids, ids.long())[:, 1:].double(), torch.eye(objects, dtype=torch.double), atol=1e-6), (
        "Law: an object compared with itself has IoU 1, two objects without a common pixel have 0.")
    assert torch.allclose(table, _iou(ids, owner), atol=1e-6), "Law: the values differ from pixels in both / pixels in at least one."


@check.exercise("mbo", hint="the best of each row, then the mean over the rows.")
def check_mbo(answer) -> None:
    ids, owner = _labels()
    value = answer(_iou(ids, owner))
    assert isinstance(value, (float, Tensor)) and torch.as_tensor(value).numel() == 1, "Shape: return one number."
    perfect = float(answer(torch.eye(3, 5, dtype=torch.double)))
    assert abs(perfect - 1) < 1e-6, f"Law: if every object has a slot that fits exactly, mBO is 1; you return {perfect:.3f}."
    truth = float(mean_best_overlap(ids[None], from_labels(owner[None])))
    assert abs(float(value) - truth) < 1e-4, f"Law: the mean over objects of the best IoU is {truth:.3f} here; you return {float(value):.3f}."


@check.exercise("prediction", hint="with shares of all pixels: A = Σ (true share)², B = Σ (slot share)², J = Σ (common share)².")
def check_prediction(answer) -> None:
    assert isinstance(answer, dict) and answer.keys() == CASES.keys(), f"Shape: a dict with the keys {', '.join(CASES)}."
    for case, labels in CASES.items():
        pair = answer[case]
        assert isinstance(pair, (tuple, list)) and len(pair) == 2, f"Shape: give (FG-ARI, full ARI) for {case!r}."
        assert pair[0] < 0.9, f"Law: an ARI is 1 only if the two partitions are the same; FG-ARI asks about objects, and these are not whole and apart in {case!r}."
        assert pair[0] < pair[1], f"Law: most pixels are background, and all of it is right, so in {case!r} full ARI is the larger of the two."
        found = scene_metrics(paper_scene(), from_labels(labels(paper_scene())))
        for name, key, guess in zip(("FG-ARI", "full ARI"), ("fg_ari", "full_ari"), pair):
            assert abs(float(guess) - float(found[key])) <= NEAR, (
                f"Law: (J − A·B) / (½(A + B) − A·B) of {case!r} is not {float(guess):.2f} (within {NEAR}) for {name}.")


@check.exercise("removal", hint="choose all slots but number k, and let model.decode share the pixels among those.")
def check_removal(answer) -> None:
    model, slots = _tiny()
    with torch.no_grad():
        for k in (0, 3):
            picture = answer(model, slots, k)
            assert isinstance(picture, Tensor), "Return a tensor."
            assert picture.shape == (2, 3, 64, 64), f"Shape: a batch of pictures, (2, 3, 64, 64); got {tuple(picture.shape)}."
            rest = [j for j in range(4) if j != k]
            pictures, masks, _ = model.decode(slots, 64, 64)
            assert not torch.allclose(picture, (masks[:, rest].unsqueeze(2) * pictures[:, rest]).sum(1), atol=1e-5), (
                "Law: the masks of the slots that stay must sum to 1 again: leave the slot out before the softmax, not after it.")
            other = slots.clone()
            other[:, k] += 1
            assert torch.allclose(picture, answer(model, other, k), atol=1e-5), f"Law: slot {k} is to be left out, yet the picture changes when it does."
            assert torch.allclose(picture, model.decode(slots[:, rest], 64, 64)[2], atol=1e-5), (
                "Law: the result is what the other slots paint alone; a slot that is emptied and not left out still claims pixels.")


@check.exercise("exchange", hint="copy both tensors first (clone), then put slot j of the second into place i of the first, and the other way round.")
def check_exchange(answer) -> None:
    first, second = torch.arange(8.0).view(1, 4, 2), -torch.arange(6.0).view(1, 3, 2) - 1
    kept = first.clone(), second.clone()
    result = answer(first, second, 1, 2)
    assert isinstance(result, (tuple, list)) and len(result) == 2, "Return two tensors: the slots of the first and of the second picture."
    a, b = result
    assert a.shape == first.shape and b.shape == second.shape, "Shape: both keep their number of slots."
    assert torch.equal(first, kept[0]) and torch.equal(second, kept[1]), "Law: the slots you were given must not change; work on copies."
    assert torch.equal(a[:, 1], second[:, 2]) and torch.equal(b[:, 2], first[:, 1]), "Law: slot 1 of the first and slot 2 of the second must change places."
    assert torch.equal(a[:, [0, 2, 3]], first[:, [0, 2, 3]]) and torch.equal(b[:, :2], second[:, :2]), "Law: all other slots stay where they are."


def iou_target() -> Figure:
    """The table of IoUs of a small scene: four objects against the slots of a segmentation with a merge and a split."""
    ids, owner = _labels()
    rows, columns = [f"object {i + 1}" for i in range(int(ids.max()))], [f"slot {j + 1}" for j in range(int(owner.max()) + 1)]
    return table_figure(_iou(ids, owner), rows, columns, "target: IoU of each object with each slot", "IoU")


def _labels() -> tuple[Tensor, Tensor]:
    """The paper scene; object 1 whole but with a rim, objects 2 and 3 in one slot, object 4 split 3 : 1."""
    ids = paper_scene()[0]
    owner = torch.tensor([0, 1, 2, 2, 3])[ids.long()]
    owner[2:14, 2:16] = 1
    owner[32:34][ids[32:34] == 4] = 4
    return ids, owner


def _iou(ids: Tensor, owner: Tensor) -> Tensor:
    counts = contingency(ids[None], owner[None])[0].double()
    return (counts / (counts.sum(1, keepdim=True) + counts.sum(0) - counts))[1:]


def _tiny() -> tuple[SlotAutoencoder, Tensor]:
    """A small untrained model and four slots for each of two pictures."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SlotAutoencoder(num_slots=4, slot_dim=8, hidden_dim=8, channels=4), torch.randn(2, 4, 8)
