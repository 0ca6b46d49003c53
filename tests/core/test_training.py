"""The training loop: equal to a textbook loop, and one sentence for bad input."""

import numpy
import pytest
import torch
from torch import nn

from course_lib.core.errors import BadInput
from course_lib.core.randomness import EpochOrder, batches, epoch_order, seed_noise
from tests.core.toy import DATA, Game, Samples, cosine, kept, network, numbers, objective, same, short


def test_equals_the_textbook_loop_bit_by_bit():
    ours, textbook = network(), network()
    history = short(ours, seed=3)
    optimizer, losses = torch.optim.Adam(textbook.parameters(), lr=0.01, fused=True), []
    seed_noise(3)
    for epoch in (1, 2, 3):
        torch.empty((), dtype=torch.int64).random_()  # the one number that a DataLoader draws for its workers
        for rows in epoch_order(len(DATA), 3, epoch).split(16):
            optimizer.zero_grad()
            loss = objective(textbook, DATA[rows])["loss"]
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert history["loss"] == losses and same(ours, textbook)
    assert history.step == list(range(1, 13)) and history.updates == 12 and history.epoch == 3
    assert history.epochs["loss"] == pytest.approx([sum(losses[i:i + 4]) / 4 for i in (0, 4, 8)])
    assert not ours.training and history.seconds > 0


def test_a_data_set_gives_what_a_tensor_gives():
    one, other = network(), network()
    assert numbers(short(one)) == numbers(short(other, data=Samples())) and same(one, other)


def test_order_follows_from_seed_and_epoch_alone():
    orders = {(seed, epoch): tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(4) for epoch in range(1, 6)}
    assert len(set(orders.values())) == 20  # in particular, seed 1 is not seed 0 one epoch later
    assert all(sorted(order) == list(range(50)) for order in orders.values())
    torch.randn(7)
    assert tuple(epoch_order(50, 2, 3).tolist()) == orders[2, 3]


def test_the_seed_decides():
    assert short(seed=1)["loss"] == short(seed=1)["loss"] != short(seed=2)["loss"]


def test_watching_and_validating_change_nothing():
    seen, plain, watched = [], network(), network()

    def watch(epoch: int, model: nn.Module) -> None:
        torch.randn(3), numpy.random.rand(3)
        seen.append((epoch, model.training, torch.is_grad_enabled()))

    def validate(model: nn.Module) -> dict[str, float]:
        torch.randn(5)
        return {"held_out": float(((model(DATA) - DATA) ** 2).mean())}

    alone, looked = short(plain), short(watched, watch=watch, validate=validate)
    assert same(plain, watched) and alone["loss"] == looked["loss"]
    assert seen == [(epoch, False, False) for epoch in range(4)]
    assert looked.epochs["held_out"][-1] == pytest.approx(((watched(DATA) - DATA) ** 2).mean().item())


def test_before_step_is_told_how_many_updates_were_made():
    told, drawn = [], []

    def seen(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        drawn.append(told[-1])  # what it changes holds for the step that follows
        return objective(model, x)

    short(objective=seen, before_step=told.append)
    assert told == drawn == list(range(12))


def test_endless_data_never_come_twice_and_other_data_come_in_every_epoch():
    class Numbers(torch.utils.data.Dataset):
        def __init__(self, endless: bool):
            self.endless = endless

        def __len__(self) -> int:
            return 10

        def __getitems__(self, indices: list[int]) -> list[int]:
            return indices  # a batch is what this returns, as it is

    for endless in (True, False):
        order, loader = [], batches(Numbers(endless), 4, seed=2)
        for epoch in (1, 2, 3):
            loader.sampler.set_epoch(epoch)
            order.append([number for batch in loader for number in batch])
            first = 10 * (epoch - 1) if endless else 0
            assert order[-1] == (first + epoch_order(10, 2, epoch)).tolist()
        assert len(set(sum(order, []))) == (30 if endless else 10)
    assert list(EpochOrder(3, seed=0, endless=True)) == epoch_order(3, 0, 0).tolist()  # before any epoch: from 0 as well


def test_log_every_keeps_every_third_step():
    every, third = short(), short(log_every=3)
    assert third.step == [3, 6, 9, 12] and third["loss"] == every["loss"][2::3] and third.epochs == every.epochs


def test_clip_bounds_the_step():
    model = network()
    before = [parameter.clone() for parameter in model.parameters()]
    short(model, lr=1.0, optimizers=lambda model, lr: [torch.optim.SGD(model.parameters(), lr=lr)], clip=0.01, epochs=1, batch_size=50)
    moved = torch.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(model.parameters(), before)))
    assert 0.009 < moved <= 0.01001


def test_without_run_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short()
    assert list(tmp_path.iterdir()) == []


def test_in_turns_it_is_the_textbook_game_bit_by_bit():
    """One player's Adam and schedule step, the other's rest altogether; both players' gradients are cleared."""
    ours, textbook = Game(), Game()
    history = ours.play(scheduler=cosine, clip=0.5)
    optimizers = textbook.optimizers(textbook, 0.01)
    schedules = [cosine(optimizer) for optimizer in optimizers]
    seed_noise(0)
    losses, players = [], [textbook.even, textbook.odd]
    for epoch in (1, 2, 3):
        torch.empty((), dtype=torch.int64).random_()
        for rows in epoch_order(len(DATA), 0, epoch).split(16):
            now = len(losses) % 2
            textbook.take(len(losses))
            textbook.zero_grad()
            loss = textbook.objective(textbook, DATA[rows])["loss"]
            loss.backward()
            nn.utils.clip_grad_norm_(players[now].parameters(), 0.5)
            optimizers[now].step(), schedules[now].step()
            losses.append(loss.item())
    assert history["loss"] == losses and same(ours, textbook)


def test_who_rests_asks_for_no_gradient_and_keeps_its_schedule():
    game, asked, rates = Game(), [], []

    def seen(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        asked.append([all(p.requires_grad for p in player.parameters()) for player in (game.even, game.odd)])
        return game.objective(model, x)

    def remember(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        rates.append(cosine(optimizer))
        return rates[-1]

    game.even[0].bias.requires_grad_(False)  # nobody's turn thaws what its owner froze
    fixed = game.even[0].bias.clone()
    game.play(objective=seen, scheduler=remember, turn=lambda done: int(done % 3 > 0))
    assert asked == [[False, done % 3 > 0] for done in range(12)]
    assert [schedule.last_epoch for schedule in rates] == [4, 8]
    assert torch.equal(game.even[0].bias, fixed) and [p.requires_grad for p in game.parameters()] == [True, False] + [True] * 6


def test_several_may_have_their_turn_together():
    together, all_of_them = Game(), Game()
    history = together.play(turn=lambda done: range(2))
    assert history["loss"] == all_of_them.play(turn=None)["loss"] and same(together, all_of_them)


def test_a_measure_of_some_turns_is_repeated_until_it_is_taken_again():
    history = Game().play(batch_size=10)  # five steps an epoch
    even, odd, loss = history["even"], history["odd"], history["loss"]
    taken = {"even": [0, 0, 2, 2, 4, 6, 6, 6, 8, 8, 10, 10, 12, 12, 14], "odd": [1, 1, 1, 3, 3, 5, 5, 7, 7, 9, 11, 11, 11, 13, 13]}
    assert even == [loss[step] for step in taken["even"]] and odd == [loss[step] for step in taken["odd"]]


def test_a_game_resumes_exactly(tmp_path):
    whole, resumed = Game(), Game()
    history = whole.play(epochs=4, batch_size=10, scheduler=cosine, run=kept(tmp_path))
    source = str(tmp_path / "checkpoints/toy/checkpoint_epoch_2")
    assert numbers(resumed.play(epochs=4, batch_size=10, scheduler=cosine, run=kept(tmp_path, resume=source))) == numbers(history)
    assert same(whole, resumed)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"turn": lambda done: range(1, 3)}, r"turn must name one of the 2 optimisers, 0 to 1, not range\(1, 3\)"),
    ({"turn": lambda done: 2}, "turn must name one of the 2 optimisers, 0 to 1, not 2"),
    ({"batch_size": 50}, "even, odd: not measured in every epoch; make each epoch long enough for every kind of turn"),
])
def test_a_game_that_cannot_be_played(changes, sentence):
    game = Game()
    with pytest.raises(BadInput, match=sentence):
        game.play(**changes)
    assert all(parameter.requires_grad for parameter in game.parameters())


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"data": DATA[:0]}, "the data are empty"),
    ({"data": torch.tensor([[1.0], [float("nan")]])}, "the data contain NaN or infinite values"),
    ({"data": torch.tensor([[1.0], [float("inf")]])}, "the data contain NaN or infinite values"),
    ({"epochs": 0}, "epochs must be a whole number from 1 on, not 0"),
    ({"workers": -1}, "workers must be a whole number from 0 on, not -1"),
    ({"batch_size": -4}, "batch_size must be a whole number from 1 on, not -4"),
    ({"seed": -1}, "seed must be a whole number from 0 on"),
    ({"lr": 0}, "lr must be a positive number, not 0"),
    ({"lr": float("nan")}, "lr must be a positive number, not nan"),
    ({"clip": -1.0}, "clip must be a positive number"),
    ({"best": "accuracy"}, "best='accuracy' is not measured; there are: loss, noise"),
    ({"objective": lambda model, x: {"error": model(x).mean()}}, "must return a 'loss'; it returned error"),
    ({"objective": lambda model, x: {"loss": model(x).mean(), "rows": x}}, "'rows' must be one number"),
    ({"objective": lambda model, x: {"loss": model(x).mean() / 0}}, r"the loss became -?inf at step 1 \(epoch 1\)"),
    ({"validate": lambda model: {"loss": 1.0}}, "both measure 'loss'"),
    ({"objective": lambda model, x: {"loss": model(x).mean() + torch.empty(2 ** 45).sum()}},
     "out of memory with batch_size 16; use a smaller batch or resolution"),
])
def test_bad_input(changes, sentence):
    with pytest.raises(BadInput, match=sentence):
        short(**changes)
