"""The exercises of notebook 07: what each answer must satisfy, and the figure it should lead to."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from course_lib.codes.editing import exchange
from course_lib.codes.quantizer import entropy_bits
from course_lib.core.exercises import Checks, number_of
from course_lib.slots.figures_scenes import table_figure

check = Checks()
NEAR = 1e-3  # bits


@check.exercise("priced", hint="add −weight · ln(share) to the distance of each code, then look for the smallest; a share of 0 needs a floor before its logarithm.")
def check_priced(answer) -> None:
    distances = torch.tensor([[1.0, 0.9, 3.0], [0.5, 0.8, 0.0], [2.0, 0.2, 0.3]])
    shares = torch.tensor([0.75, 0.25, 0.0])

    def chosen(weight: float, distances: Tensor = distances, shares: Tensor = shares) -> list[int]:
        found = answer(distances, shares, weight)
        assert isinstance(found, Tensor), "Return a tensor."
        assert found.shape == (len(distances),), f"Shape: one code for each of {len(distances)} vectors, ({len(distances)},); got {tuple(found.shape)}."
        assert not found.is_floating_point(), "Shape: a code is a whole number."
        return found.tolist()

    assert chosen(0.0) == [1, 2, 1], (
        "Law: at weight 0 nothing is charged and the nearest code wins, used or not (mind 0 · ln 0, which is not a number).")
    assert chosen(1.0)[0] == 0, "Law: of two codes that are about as near the more frequent one is cheaper to name, and wins."
    assert chosen(1.0)[1] != 2, "Law: a code that was never used has no short name: −ln 0 is endless, so weight it with a very small share instead."
    assert chosen(1e3) == [0, 0, 0], "Law: if only the price counts, all choose the most frequent code."
    two = torch.tensor([0.5, 0.25])
    pairs = torch.tensor([[0.6, 0.0], [0.8, 0.0]])  # the second code costs ln 2 = 0.693 nats more than the first
    assert chosen(1.0, pairs, two) == [0, 1], (
        "Law: to name a code of share p costs −ln p nats, so half the share costs 0.693 more; it wins only if it is nearer by more than that.")
    assert chosen(2.0, 2 * pairs, two) == [0, 1], "Law: distance + weight · price: twice the weight and twice the distances change no choice."


@check.exercise("information", hint="torch.bincount counts; codes * n_values + values is one number for each pair. H = −Σ p log2 p over what occurs.")
def check_information(answer) -> None:
    a = torch.arange(8).repeat_interleave(6)  # 48 objects: 8 codes, each with 6 objects
    b = torch.arange(6).repeat(8)
    found = answer(a, b)
    assert isinstance(found, (int, float, Tensor)) and torch.as_tensor(found).numel() == 1, "Shape: return one number, in bits."
    assert abs(number_of(found)) < NEAR, f"Law: where every value comes with every code equally often, the code tells nothing: 0 bits, not {number_of(found):.3f}."
    same = number_of(answer(a, a))
    assert not abs(same - math.log(8)) < NEAR, "Law: bits, not nats: the logarithm has base 2."
    assert abs(same - 3) < NEAR, f"Law: a code that is the value tells all of it, H = log2 8 = 3 bits; you return {same:.3f}."
    half = number_of(answer(a, a // 4))
    assert abs(half - 1) < NEAR, f"Law: of a value that has one bit no code can tell more than one; you return {half:.3f}."
    synonyms = number_of(answer(a, a % 4))
    assert abs(synonyms - 2) < NEAR, f"Law: two codes for one value are synonyms: they add nothing to what is told, 2 bits; you return {synonyms:.3f}."
    codes, values = _draws()
    assert abs(number_of(answer(codes, values)) - number_of(answer(values, codes))) < NEAR, "Law: I(C; F) = I(F; C): the two may change places."
    found, truth = number_of(answer(codes, values)), _information(codes, values)
    assert abs(found - truth) < NEAR, f"Law: H(C) + H(F) − H(C, F) is {truth:.3f} bits here; you return {found:.3f}."


@check.exercise("exchange", hint="share.argsort(descending=True)[:many] are the best informed codebooks; clone the codes, then write codes[slot, books].")
def check_exchange(answer) -> None:
    codes, donor = torch.arange(20).view(4, 5), torch.arange(100, 105)
    share = torch.tensor([0.1, 0.9, 0.3, 0.0, 0.6])  # best first: codebooks 1, 4, 2, 0, 3
    kept = codes.clone(), donor.clone(), share.clone()
    for many in range(6):
        new = answer(codes, 2, donor, share, many)
        assert isinstance(new, Tensor), "Return a tensor."
        assert new.shape == codes.shape, f"Shape: the codes of the whole scene, {tuple(codes.shape)}; got {tuple(new.shape)}."
        assert not new.is_floating_point(), "Shape: codes are whole numbers."
        assert torch.equal(codes, kept[0]) and torch.equal(donor, kept[1]) and torch.equal(share, kept[2]), (
            "Law: what you were given must not change; work on a copy.")
        others = [0, 1, 3]
        assert torch.equal(new[others], codes[others]), "Law: the other slots keep all their codes."
        changed = (new[2] != codes[2]).nonzero().flatten().tolist()
        assert len(changed) == many, f"Law: with many={many} exactly {many} codes of the slot change, not {len(changed)}."
        assert all(int(new[2, book]) == int(donor[book]) for book in changed), "Law: a codebook takes the donor's code of the same codebook."
        books = share.argsort(descending=True)[:many].tolist()
        truth = exchange(codes[None], torch.tensor([2]), donor[None], books)[0]
        assert torch.equal(new, truth), f"Law: with many={many} the codebooks with the largest shares change, {sorted(books)} counted from 0; you changed {changed}."


def information_target() -> Figure:
    """Mutual information as a share of the factor's entropy, 3 bits, of four invented codebooks."""
    values = torch.arange(8).repeat_interleave(32)
    books = {"1 code\na value": values, "4 codes\na value": 4 * values + torch.arange(256) % 4,
             "1 code\na pair": values // 2, "knows\nnothing": torch.arange(256) % 32}
    shares = torch.tensor([[_information(codes, values) / 3 for codes in books.values()]])
    return table_figure(shares, ["share of 3 bits"], list(books), "target", "share")


def _information(codes: Tensor, values: Tensor) -> float:
    """H(C) + H(F) − H(C, F) in bits, from counts, without a correction."""
    table = F.one_hot(codes).T @ F.one_hot(values)
    return float(entropy_bits(table.sum(1)) + entropy_bits(table.sum(0)) - entropy_bits(table.flatten()))


def _draws() -> tuple[Tensor, Tensor]:
    """Codes that tell something about the values, and not all, with codes that never occur in between."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(5, (400,), generator=generator)
    return 3 * values + 2 * torch.randint(3, (400,), generator=generator), values
