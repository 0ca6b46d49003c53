"""A share of right answers, with the interval that belongs to it."""

from typing import NamedTuple

from jaxtyping import Bool
from scipy.stats import binomtest
from torch import Tensor

from course_lib.core.errors import BadInput


class Share(NamedTuple):
    """A share of `of` pictures and its 95 % interval from `low` to `high`, or a difference of two such shares."""

    value: float
    low: float
    high: float
    of: int


def share(right: Bool[Tensor, "pictures"]) -> Share:
    """The share p of n pictures that are right, with Wilson's interval for one set of pictures:

    (p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n), z = 1.96 (Wilson 1927). Raises `BadInput` for no picture.
    """
    if not len(right):
        raise BadInput("a share needs at least one picture.")
    found = binomtest(int(right.sum()), len(right))
    low, high = found.proportion_ci(0.95, method="wilson")
    return Share(found.statistic, float(low), float(high), len(right))
