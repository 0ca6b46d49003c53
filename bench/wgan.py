"""One alternating round of WGAN-GP, 5 steps of the critic and 1 of compressor and decoder, on 32 × 576 × 128 tokens: how long it takes,
and on what.

    python bench/wgan.py [ROUNDS]        (part of: make bench)

The round is that of `train_compressor`: objective, backward, Adam, in turns, without the loading of data. There is no other
implementation to compare with, so the limit is on the profile: of the time inside torch's operators, at most `OTHER` may be spent
outside of matrix work (convolutions, matrix products, and the passes over whole batches between them: activations, sums, copies),
and no operator that touches numbers may be called more than `CALLS` times in a round; a Python loop over 576 tokens, 36 fields or 32 pictures would be. Times
are of the processor, with one thread, medians.
"""

import statistics
import sys
import time

import torch
from torch.profiler import ProfilerActivity, profile

from course_lib.core.threads import one_thread
from course_lib.tokens.critic import CRITICS
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.recipe import BATCH, LR, Objective, Players, make_optimizers

GRID, DIM = (24, 24), 128
CALLS = 36 * 32  # far below one call for each token, field of each picture, or number of a token
OTHER = 0.1
MATRIX = ("conv", "mm", "linear", "attention")
PASSES = ("leaky_relu", "gelu", "add", "sub", "mul", "div", "sum", "mean", "copy", "fill", "lerp", "rand", "norm", "square", "pow", "mse", "index",
          "upsample", "avg_pool", "cat", "stack", "clamp", "cosine", "adam", "zero", "neg", "where", "sqrt")
VIEWS = ("strided", "empty", "resize", "view", "transpose", "reshape", "permute", "detach")  # no number is touched


class Round:
    """The turns of one round on the same tokens; `milliseconds` of each player."""

    def __init__(self, critic: str, game: str):
        torch.manual_seed(0)
        self.objective = Objective(game=game)
        self.players = Players(LearnedCompressor(DIM, GRID), CRITICS[critic](DIM))
        self.optimizers = make_optimizers(self.players, LR, 6, self.objective.n_critic)
        self.tokens = torch.randn(BATCH, *GRID, DIM)
        self.players.compressor.fit(self.tokens)

    def step(self, done: int) -> None:
        """What `core.training.train` does in turn number `done`."""
        self.objective.before_step(done)
        now = self.objective.turn(done)
        for number, optimizer in enumerate(self.optimizers):
            optimizer.zero_grad()
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.requires_grad_(number in now)
        self.objective(self.players, self.tokens)["loss"].backward()
        for number in now:
            self.optimizers[number].step()

    def __call__(self) -> tuple[float, float]:
        """Seconds of the processor: of the critic's five steps, and of the generator's."""
        started = time.process_time()
        for done in range(5):
            self.step(done)
        middle = time.process_time()
        self.step(5)
        return middle - started, time.process_time() - middle


def shares(play: Round) -> tuple[dict[str, float], int, str]:
    """Of one profiled round: the share of the operators' time that is matrix work, passes, and the rest; the most calls of one
    operator, and its name."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        play()
    events = [event for event in found.key_averages() if event.key.startswith(("aten::", "mkldnn"))]
    total = sum(event.self_cpu_time_total for event in events)
    split = {"matrix work": 0.0, "passes over batches": 0.0, "the rest": 0.0}
    for event in events:
        kind = "matrix work" if any(word in event.key for word in MATRIX) else "passes over batches" if any(
            word in event.key for word in PASSES) else "the rest"
        split[kind] += event.self_cpu_time_total / total
    most = max((event for event in events if not any(word in event.key for word in VIEWS)), key=lambda event: event.count)
    return split, most.count, most.key


def main(rounds: int) -> int:
    good = True
    with one_thread():
        for critic, game in (("conv", "put_back"), ("conv", "pick"), ("multi_scale", "put_back")):
            play = Round(critic, game)
            play()  # warm up
            of_critic, of_generator = (1000 * statistics.median(times) for times in zip(*(play() for _ in range(rounds))))
            split, calls, name = shares(play)
            good &= split["the rest"] <= OTHER and calls <= CALLS
            spent = ", ".join(f"{kind} {share:.0%}" for kind, share in split.items())
            print(f"WGAN-GP, a round of 5 + 1 steps on {BATCH} × {GRID[0] * GRID[1]} × {DIM} tokens, {critic} critic, {game}, median of {rounds}, of the "
                  f"processor: {of_critic + of_generator:.0f} ms ({of_critic:.0f} and {of_generator:.0f}); {spent} (limit of the rest {OTHER:.0%}); "
                  f"most calls: {calls} of {name} (limit {CALLS})")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
