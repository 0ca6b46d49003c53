"""Five steps of the critic on 32 × 576 × 128 tokens: the paired critic, which sees one token of each of 36 fields, against the global
one, which sees two grids of 576.

    python bench/critics.py [ROUNDS]        (part of: make bench)

What both share, the compressor's pass, is done before and not counted. Counted: drawing and putting back, standardising, loss, penalty,
backward and Adam. Time is of the processor, with one thread, medians; memory: what autograd keeps for the backward pass of one step.
"""

import statistics
import sys
import time

import torch
from torch.autograd.graph import saved_tensors_hooks

from course_lib.core.threads import one_thread
from course_lib.tokens.critic import ConvCritic, opponents
from course_lib.tokens.critic_rf import RFCritic, rf_critic_loss, rf_opponents
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.losses import critic_loss, gradient_penalty
from course_lib.tokens.recipe import BATCH, BETAS, LAMBDA, LR, unit_of

GRID, OUTPUT, DIM, STEPS = (24, 24), (6, 6), 128, 5
LIMIT = 0.5


class Steps:
    """The critic's steps of one round, against a compressor that rests."""

    def __init__(self, paired: bool):
        torch.manual_seed(0)
        self.tokens, self.model = torch.randn(BATCH, *GRID, DIM), LearnedCompressor(DIM, GRID, OUTPUT)
        self.model.fit(self.tokens)
        with torch.no_grad():
            self.compressed = self.model(self.tokens)
        self.paired, self.critic = paired, RFCritic(DIM, OUTPUT) if paired else ConvCritic(DIM)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=LR, betas=BETAS, fused=True)

    def loss(self) -> torch.Tensor:
        """As `recipe_rf.RFObjective` and `recipe.Objective` have it in the critic's turns."""
        scale = self.model.scale
        if self.paired:
            return rf_critic_loss(self.critic, rf_opponents(scale(self.tokens), scale(self.compressed.tokens), OUTPUT), LAMBDA, DIM**0.5).loss
        real, fake = (scale(grid) for grid in opponents("put_back", self.model, self.tokens, self.compressed))
        return critic_loss(self.critic(real), self.critic(fake)) + LAMBDA * gradient_penalty(self.critic, real, fake, unit_of(real))

    def __call__(self) -> float:
        """Seconds of the processor."""
        started = time.process_time()
        for _ in range(STEPS):
            self.optimizer.zero_grad()
            self.loss().backward()
            self.optimizer.step()
        return time.process_time() - started

    def megabytes(self) -> float:
        """What the backward pass of one step needs; a tensor that is kept twice counts once."""
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = self.loss()
        del loss
        return sum(kept.values()) / 1e6


def main(rounds: int) -> int:
    with one_thread():
        sides = {"paired": Steps(True), "global": Steps(False)}
        for steps in sides.values():
            steps()  # warm up
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, steps in sides.items():
                times[name].append(1000 * steps())
        spent = {name: statistics.median(values) for name, values in times.items()}
        kept = {name: steps.megabytes() for name, steps in sides.items()}
    time_ratio, memory_ratio = spent["paired"] / spent["global"], kept["paired"] / kept["global"]
    print(f"{STEPS} steps of a critic on {BATCH} × {GRID[0] * GRID[1]} × {DIM} tokens, median of {rounds}, of the processor: paired {spent['paired']:.0f} ms, "
          f"global {spent['global']:.0f} ms, ratio {time_ratio:.2f} (limit {LIMIT}); kept for the backward pass {kept['paired']:.0f} and "
          f"{kept['global']:.0f} MB, ratio {memory_ratio:.2f} (limit 1)")
    return 0 if time_ratio <= LIMIT and memory_ratio < 1 else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
