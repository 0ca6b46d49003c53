"""What lies where against the scene's own pixels; a probe finds what is there, and nothing where nothing is."""

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch.nn.functional import one_hot

from course_lib.core.errors import BadInput
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.dense import ANSWERS, DenseProbe, balanced, labels

GRID = (12, 24)
SCENES = CaptionedScenes(96, seed=3).batch(range(40))


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("question", "column"), [("kind", "kind"), ("colour", "colour_index")])
def test_a_place_has_the_answer_of_the_object_that_covers_most_of_it(question, column):
    found = labels(SCENES, GRID, question)
    assert found.shape == (40, *GRID) and found.min() == 0 and found.max() == len(ANSWERS[question]) - 1
    for row, i, j in ((0, 3, 5), (7, 6, 12), (11, 2, 20), (25, 10, 4), *((k, 6, 12) for k in range(30))):
        patch = SCENES["ids"][row, 8 * i : 8 * i + 8, 4 * j : 4 * j + 4].flatten().tolist()
        owner = max(range(5), key=lambda number: (patch.count(number), -number))
        assert found[row, i, j] == (0 if owner == 0 else int(SCENES[column][row, owner - 1]) + 1)


def test_equally_many_places_of_each_answer():
    found = labels(SCENES, GRID, "colour")
    places = balanced(found, each=50)
    many = found.flatten()[places].bincount()
    assert many.tolist() == [50] * 9 and len(places.unique()) == len(places)
    assert torch.equal(places, balanced(found, each=50)) and not torch.equal(places, balanced(found, each=50, seed=1))
    rare = torch.zeros(2, 4, 4, dtype=torch.int64)
    rare[0, 1, 2], rare[1, :2, :2] = 1, 2
    assert rare.flatten()[balanced(rare)].tolist() == [0, 1, 2]


def test_a_probe_reads_what_is_written_and_nothing_else():
    answers = labels(SCENES, GRID, "kind")
    probe = DenseProbe(answers[:20], answers[20:], each=100)
    written = 50 * (one_hot(answers, 4).float() @ normal(0, 4, 8) + 0.1 * normal(1, *answers.shape, 8)) + 7
    fitted = probe.fit(written[:20])
    right = probe.right(fitted, written[20:])
    assert right.float().mean() > 0.97 and probe.on_objects(right) > 0.97 and probe.chance == 0.25
    noise = normal(2, *answers.shape, 8)
    blind = probe.right(probe.fit(noise[:20]), noise[20:]).float().mean()
    assert abs(float(blind) - 0.25) < 0.1
    assert probe.right(fitted, torch.zeros(20, *GRID, 8)).float().mean() == 0.25  # the same token everywhere: one answer


def test_the_share_is_the_balanced_accuracy_of_scikit_learn():
    answers = labels(SCENES, GRID, "colour")
    probe = DenseProbe(answers[:20], answers[20:], each=60)
    tokens = one_hot(answers, 9).float() @ normal(0, 9, 3) + 0.8 * normal(1, *answers.shape, 3)
    fitted = probe.fit(tokens[:20])
    right = probe.right(fitted, tokens[20:])
    x, y = tokens[20:].flatten(0, 2)[probe.test_at].numpy(), answers[20:].flatten()[probe.test_at].numpy()
    assert float(right.double().mean()) == pytest.approx(balanced_accuracy_score(y, fitted.predict(x)))
    assert 0.3 < right.double().mean() < 0.95
    assert probe.on_objects(right) == pytest.approx((fitted.predict(x) == y)[y > 0].mean())


def test_a_probe_of_tokens_does_not_read_a_code_and_one_of_the_code_does():
    answers = labels(SCENES, GRID, "kind")
    probe = DenseProbe(answers[:20], answers[20:], each=100)
    tokens = one_hot(answers, 4).float() @ normal(0, 4, 8) + 0.1 * normal(1, *answers.shape, 8)
    code = -tokens.flip(3)
    assert probe.right(probe.fit(tokens[:20]), code[20:]).float().mean() < 0.6
    assert probe.right(probe.fit(code[:20]), code[20:]).float().mean() > 0.97


def test_bad_input():
    answers = labels(SCENES, GRID, "kind")
    with pytest.raises(BadInput, match="^question must be kind or colour, not 'size'.$"):
        labels(SCENES, GRID, "size")
    with pytest.raises(BadInput, match="^all places have the same answer"):
        balanced(torch.zeros(2, 3, 3, dtype=torch.int64))
    with pytest.raises(BadInput, match="^an answer occurs in the test"):
        DenseProbe(answers.clamp(max=1), answers)
    with pytest.raises(BadInput, match="^the probe knows what lies in grids of shape"):
        DenseProbe(answers, answers).fit(torch.zeros(40, 24, 12, 3))
