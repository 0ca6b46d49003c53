"""The plane: its clusters, a history that is what the quantiser did, and the laws that notebook 06 states about it."""

import math

import pytest
import torch

from course_lib.codes import plane
from course_lib.codes.quantizer import ProductQuantizer, entropy_bits
from course_lib.core.errors import BadInput

X = plane.clusters()
AT = lambda place: torch.tensor([[place, 0.0]])


def pair(weight: float, start: float = 2.0, steps: int = 60, moves: bool = True, target: float = 0.0) -> plane.History:
    quantizer = plane.codebook(1, decay=0.95, commitment_weight=weight, restart=0)
    quantizer.start_from(AT(start))
    return plane.train(quantizer.train(moves), AT(target), steps, points=AT(start), rate=0.1)


def test_the_clusters_have_their_shares_places_and_entropy():
    owner = plane.cluster_of()
    sizes = torch.bincount(owner)
    assert sizes.tolist() == [160, 80, 40, 20, 20] and float(entropy_bits(sizes)) == pytest.approx(15 / 8)
    assert sum(plane.SHARES) == 1 and X.shape == (320, 2)
    tight = plane.clusters(spread=0.0)
    assert torch.allclose(tight.norm(dim=1), torch.tensor(2.0)) and torch.unique(tight.round(decimals=4), dim=0).shape == (5, 2)
    assert float((X - tight).std()) == pytest.approx(0.3, rel=0.1)
    assert not torch.equal(X, plane.clusters(seed=1)) and torch.equal(X, plane.clusters())
    assert float(plane.untrained(3200).std()) == pytest.approx(0.5, rel=0.05)


def test_the_history_holds_every_moment_and_its_measures_are_their_definitions():
    run = plane.train(plane.codebook(4), X, 7, points=plane.untrained(), rate=0.1)
    assert run.points.shape == (8, 320, 2) and run.codes.shape == (8, 4, 2) and run.redrawn.shape == (7,)
    assert torch.equal(run.points[0], plane.untrained()) and torch.equal(run.targets, X)
    for t in (0, 5):
        distance = (run.points[t][:, None] - run.codes[t]).square().sum(-1)
        chosen = run.codes[t][distance.argmin(1)]
        assert torch.equal(run.indices[t], distance.argmin(1)) and torch.equal(run.outputs[t], chosen)
        assert float(run.error[t]) == pytest.approx(float((chosen - X).square().sum(1).mean()))
        assert float(run.gap[t]) == pytest.approx(float(distance.amin(1).mean()), rel=1e-4)
        assert run.counts[t].tolist() == torch.bincount(run.indices[t], minlength=4).tolist()
        p = run.counts[t] / 320
        assert float(run.perplexity[t]) == pytest.approx(2 ** float(-torch.xlogy(p, p).sum() / math.log(2)), rel=1e-5)


def test_without_a_rate_the_points_stay_and_a_moving_average_without_memory_is_lloyd():
    run = plane.train(plane.codebook(6, start="kmeans", decay=0, restart=0), X, 5)
    assert torch.equal(run.points, X.expand(6, -1, -1))
    for t in range(5):
        for k in range(6):
            assert torch.allclose(run.codes[t + 1, k], X[run.indices[t] == k].mean(0), atol=1e-3)
    assert (run.error.diff() < 1e-6).all()


def test_one_step_of_free_points_is_the_formula():
    weight, rate = 0.7, 0.3
    run = plane.train(plane.codebook(5, commitment_weight=weight), X, 1, points=plane.untrained(), rate=rate)
    z, q = run.points[0], run.outputs[0]
    assert torch.allclose(run.points[1], z - rate * ((q - X) + weight * (z - q)), atol=1e-5)


def test_one_step_of_codes_by_the_loss_is_the_formula():
    run = plane.train(plane.codebook(5, learning="loss"), X, 1, lr=0.4)
    for k in range(5):
        mine = X[run.indices[0] == k]
        assert torch.allclose(run.codes[1, k], run.codes[0, k] + 0.4 * len(mine) / 320 * (mine.mean(0) - run.codes[0, k]), atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.9, 4.0])
def test_a_pair_moves_as_the_matrix_says(weight):
    run, theory = pair(weight), plane.pair_theory(60, 2.0, 2.0, weight, 0.1, 0.05)
    assert torch.allclose(torch.stack([run.points[:, 0, 0], run.codes[:, 0, 0]], 1), theory, atol=1e-5)


def test_friction_stops_the_swing_at_the_weight_that_theory_gives():
    calm = plane.calm_weight(0.1, 0.05)
    lowest = lambda weight: float(plane.pair_theory(2000, 2.0, 2.0, weight, 0.1, 0.05)[:, 1].min())
    assert calm == pytest.approx(0.914, abs=1e-3) and lowest(calm + 0.01) > -1e-6 and lowest(calm - 0.1) < -1e-5


def test_before_a_fixed_code_the_point_runs_away_or_rests_at_one_over_the_weight():
    away = pair(0.0, 0.0, 100, moves=False, target=1.0)
    assert float(away.points[-1, 0, 0]) == pytest.approx(10) and torch.equal(away.codes, torch.zeros(101, 1, 2))
    assert float(pair(0.5, 0.0, 300, moves=False, target=1.0).points[-1, 0, 0]) == pytest.approx(2, abs=1e-3)


def test_the_share_that_is_drawn_anew_is_what_the_quantiser_draws_anew():
    quantizer = plane.codebook(6, start="normal", restart=0.5)
    quantizer.uses.copy_(torch.tensor([[4.0, 0.1, 4.0, 0.2, 4.0, 4.0]]))
    assert plane.due(quantizer) == pytest.approx(2 / 6)
    run = plane.train(quantizer, X + 50, 1)
    assert float(run.redrawn[0]) == pytest.approx(2 / 6)
    assert (run.codes[1].norm(dim=1) > 20).tolist().count(True) >= 2 and plane.due(plane.codebook(6, restart=0)) == 0


def test_the_trap_draws_everything_anew_for_ever_and_a_share_does_not():
    late = {restart: plane.train(plane.codebook(32, restart=restart), X, 60, batch=8).redrawn[30:].mean() for restart in (0.1, 4.0)}
    assert late[4.0] > 0.95 and late[0.1] < 0.05


def test_a_batch_shows_some_points_and_moves_only_those():
    run = plane.train(plane.codebook(4), X, 1, points=plane.untrained(), rate=0.1, batch=8)
    assert int((run.points[1] != run.points[0]).any(1).sum()) == 8


def test_the_network_learns_and_draws_smaller_for_a_larger_weight():
    small, large = (plane.train_network(X, weight, steps=120) for weight in (4.0, 0.1))
    assert large.error < 1 and large.size > 1.5 * small.size and large.gap > small.gap


def test_same_seed_same_run_nothing_else_is_touched_and_it_learns_where_gradients_are_off():
    torch.manual_seed(5)
    before, points = torch.get_rng_state(), plane.untrained()
    runs = [plane.train(plane.codebook(8, seed=3, restart=0.5), X, 20, points=points, rate=0.1, seed=3) for _ in range(2)]
    assert torch.equal(runs[0].codes, runs[1].codes) and torch.equal(points, plane.untrained())
    assert torch.equal(before, torch.get_rng_state())
    with torch.no_grad():
        assert torch.equal(plane.train(plane.codebook(8, seed=3, restart=0.5), X, 20, points=points, rate=0.1, seed=3).codes, runs[0].codes)
        plane.train_network(X, 0.25, steps=2)
    assert torch.equal(before, torch.get_rng_state())


def test_bad_input():
    with pytest.raises(BadInput, match="a multiple of 16 points, not 100"):
        plane.clusters(100)
    with pytest.raises(BadInput, match="one codebook of 2 numbers, not 4 for 64"):
        plane.train(ProductQuantizer(), X, 1)
    with pytest.raises(BadInput, match="3 points and 320 targets"):
        plane.train(plane.codebook(2), X, 1, points=X[:3])
