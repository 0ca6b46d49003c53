"""The lecture on Part II: colours that follow the tokens and not their axes, and scores that say what the metrics say."""

import re

import numpy as np
import torch
from matplotlib.text import Text

from course_lib.slots import failures, slides
from course_lib.slots.figures_lecture import principal_colours
from course_lib.slots.metrics import foreground_ari, full_ari


def test_principal_colours_do_not_depend_on_the_axes_and_fill_the_range():
    torch.manual_seed(0)
    tokens = torch.randn(12, 10, 6) * torch.tensor([9.0, 5, 3, 1, 0.5, 0.1]) + 2
    turned = tokens @ torch.linalg.qr(torch.randn(6, 6))[0] - 7
    first, second = (principal_colours(some).reshape(-1, 3) for some in (tokens, turned))
    for a, b in zip(first.T, second.T):  # the sign of a component is nobody's
        assert min(np.abs(a - b).max(), np.abs(a - (1 - b)).max()) < 1e-3
        assert a.min() == 0 and a.max() == 1 and ((a > 0) & (a < 1)).mean() > 0.9
    assert abs(np.corrcoef(first[:, 0], tokens.flatten(0, 1)[:, 0])[0, 1]) > 0.98  # the first follows what varies most


def test_two_scores_are_those_of_the_metrics():
    words = " ".join(text.get_text() for text in slides.two_scores().findobj(Text))
    printed = list(zip(*(re.findall(rf"{name} (−?[\d.]+)", words) for name in ("FG-ARI", "full ARI"))))
    ids = failures.paper_scene()
    ways = (ids, failures.background_in_pieces(ids), failures.objects_in_halves(ids), failures.objects_in_pairs(ids), failures.objects_in_one(ids))
    want = [tuple(f"{float(score(ids, failures.from_labels(labels))):z.2f}".replace("-", "−") for score in (foreground_ari, full_ari)) for labels in ways]
    assert printed == want and want[0] == ("1.00", "1.00")
