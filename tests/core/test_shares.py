"""A share and its interval."""

import math

import pytest
import torch
from scipy.stats import norm

from course_lib.core.errors import BadInput
from course_lib.core.shares import share


@pytest.mark.parametrize(("k", "n"), [(8, 10), (0, 20), (20, 20), (803, 1000)])
def test_wilsons_interval_is_its_formula(k, n):
    z, p = norm.ppf(0.975), k / n
    reach = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = ((p + z**2 / (2 * n) + sign * reach) / (1 + z**2 / n) for sign in (-1, 1))
    assert share(torch.arange(n) < k) == pytest.approx((p, low, high, n), abs=1e-9)
    if (k, n) == (8, 10):
        assert (round(low, 3), round(high, 3)) == (0.490, 0.943)  # as tables have it


def test_of_no_picture_there_is_no_share():
    with pytest.raises(BadInput, match="^a share needs at least one picture.$"):
        share(torch.ones(0, dtype=torch.bool))
