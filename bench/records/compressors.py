"""Compression as one grid against compression field by field, with the same budget; keeps data/runs/compressors.json.

    python bench/records/compressors.py                      # all that the record lacks: two hours on one core
    python bench/records/compressors.py --seeds 0 --only global_16x rf_16x

Both systems at four rates, three seeds; then, with one seed, the hints of the studies that Part IV grew from, one thing changed at a time.
Settings are those studies' own: five steps of the critic for one of the generator, λ = 10, both weights 1. The record is written after
each training, and a second call goes on where the first stopped.
"""

import argparse
import json
import math
import time
from functools import partial
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from trained import machine

from course_lib.core.errors import BadInput
from course_lib.core.paths import DATA, write_json
from course_lib.core.threads import one_thread
from course_lib.tokens.captions import CaptionedScenes
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.comparison import FRESH, RATES, Judge, encoded, output_grid, step_of
from course_lib.tokens.compressor import Standard
from course_lib.tokens.critic import CRITICS, opponents
from course_lib.tokens.critic_rf import RFCritic, rf_opponents
from course_lib.tokens.decoder import LearnedCompressor
from course_lib.tokens.decoder_rf import RFCompressor
from course_lib.tokens.losses_rf import compute_rf_statistics
from course_lib.tokens.metrics import BANDS
from course_lib.tokens.recipe import train_compressor
from course_lib.tokens.recipe_rf import train_rf_compressor
from course_lib.tokens.zero_shot import ZeroShot

SEEDS, SYSTEMS = (0, 1, 2), ("global", "rf")
GRIDS, HELD_OUT, JUDGED = 1600, 160, 200  # scenes that train, that are measured after every epoch, and that the last measures are of
EPOCHS, BATCH, LR = 9, 16, 1e-3  # 900 turns, 150 of them the generator's
LAST = 1 / 3  # share of the training in which steps should be calm
RECORD = DATA / "runs" / "compressors.json"


class Way(NamedTuple):
    """One way to train; the defaults are the studies'. critic: of `CRITICS`, or what an `RFCritic` sees; None without one."""

    system: str
    rate: int = 16
    critic: str | None = ""
    game: str = "put_back"
    model: dict = {}
    objective: dict = {}
    dropout: float = 0.0
    batch: int = BATCH


WAYS = {f"{system}_{rate}x": Way(system, rate) for rate in RATES for system in SYSTEMS}
HINTS = {  # of 002: a stronger critic, a better decoder, less memory; of 003: better fields, a critic that does not learn by heart
    "global_no_critic": Way("global", critic=None), "rf_no_critic": Way("rf", critic=None),
    "global_pick": Way("global", game="pick"), "global_rebuilt": Way("global", game="rebuilt"), "global_multi_scale": Way("global", critic="multi_scale"),
    "global_n_critic_10": Way("global", objective={"n_critic": 10}), "global_lambda_20": Way("global", objective={"lambda_gp": 20.0}),
    "global_ae_2": Way("global", objective={"ae": 2.0}), "global_attention": Way("global", model={"use_attention": True}),
    "global_batch_8": Way("global", batch=8),
    "rf_position": Way("rf", critic="position"), "rf_mean": Way("rf", critic="mean"), "rf_ae_3": Way("rf", objective={"ae": 3.0}),
    "rf_layers_5": Way("rf", model={"decoder_layers": 5}), "rf_attention": Way("rf", model={"use_attention": True}),
    "rf_n_critic_3": Way("rf", objective={"n_critic": 3}), "rf_n_critic_3_dropout": Way("rf", objective={"n_critic": 3}, dropout=0.2),
}


class World:
    """What all trainings share: tokens to train on, held-out ones, and the judge of the last measures."""

    def __init__(self):
        self.clip = ClipTokens.load("clip")
        self.training, self.held_out = (encoded(self.clip, CaptionedScenes(self.clip.resolution, samples=many, seed=seed), True).tokens
                                        for many, seed in ((GRIDS, 0), (HELD_OUT, 2**40)))
        scenes = CaptionedScenes(self.clip.resolution, samples=JUDGED, seed=FRESH)
        scale = Standard(self.clip.dim)
        scale.fit(self.training[:320])
        questions = ZeroShot.about(scenes.batch(range(JUDGED)), self.clip).candidates
        self.judge = Judge(self.clip, encoded(self.clip, scenes), scale, questions, step_of(scale))


def players(way: Way, clip: ClipTokens, seed: int) -> tuple[LearnedCompressor, nn.Module | None]:
    """The compressor of a way before it learns, and its critic, if it has one."""
    torch.manual_seed(seed)
    grid = output_grid(clip.grid, way.rate)
    model = (RFCompressor if way.system == "rf" else LearnedCompressor)(clip.dim, clip.grid, grid, hidden=64, **way.model)
    if way.critic is None:
        return model, None
    if way.system == "rf":
        return model, RFCritic(clip.dim, grid, dropout=way.dropout, sees=way.critic or "token")
    return model, CRITICS[way.critic or "conv"](clip.dim)


@torch.no_grad()
def told_apart(way: Way, model: LearnedCompressor, critic: nn.Module, tokens: Tensor) -> dict[str, float]:
    """What the critic says of held-out grids: critic, its estimate of W in standard deviations; critic_floor, the same of two halves of
    the real ones; told_apart, how often a real one has the higher value of a pair: ½ by chance."""
    compressed = model(tokens)
    if way.system == "rf":
        pair = rf_opponents(model.scale(tokens), model.scale(compressed.tokens), model.output_grid, critic.sees, torch.Generator().manual_seed(0))
        real, fake = (critic(each, pair.seen) for each in (pair.real, pair.fake))
    else:
        real, fake = (critic(model.scale(grid)) for grid in opponents(way.game, model, tokens, compressed))
    half = len(real) // 2
    return {"critic": float(real.mean() - fake.mean()), "critic_floor": float((real[:half].mean() - real[half:].mean()).abs()),
            "told_apart": float((real.flatten()[:, None] > fake.flatten()).float().mean())}


def swing(values: list[float]) -> float:
    """The spread around a straight line of the last third, divided by its mean size."""
    last = np.array(values[-max(4, round(LAST * len(values))) :])
    time = np.arange(len(last))
    return float((last - np.polyval(np.polyfit(time, last, 1), time)).std() / max(abs(last).mean(), 1e-12))


def row(name: str, seed: int, world: World) -> dict[str, float | str]:
    """One training and what became of it. A training whose loss is no longer finite has a row that says so."""
    way = (WAYS | HINTS)[name]
    model, critic = players(way, world.clip, seed)
    train = train_rf_compressor if way.system == "rf" else partial(train_compressor, game=way.game)
    started = time.process_time()
    try:
        history = train(model, world.training, critic=critic, held_out=world.held_out, epochs=EPOCHS, batch_size=way.batch, lr=LR, seed=seed, **way.objective)
    except BadInput as error:
        return {"way": name, "seed": seed, "failed": str(error)}
    spent = time.process_time() - started
    turns = way.objective.get("n_critic", 5) + 1 if critic is not None else 1
    found = world.judge.row(name, way.rate, model)
    rebuilt = torch.cat([model.expand(model(part)) for part in world.judge.seen.tokens.split(32)]).detach()
    fields = compute_rf_statistics(rebuilt, world.judge.seen.tokens, model.output_grid, model.scale.mean)
    measured = {"cosine": found.cosine, "centred_cosine": found.centred_cosine, "unexplained": found.variance_unexplained,
                "wasserstein": found.wasserstein.value, "floor": found.wasserstein.floor, "mmd": found.mmd.value,
                "put_back": found.put_back["joint"].value, "rebuilt": found.rebuilt["joint"].value,
                **dict(zip(BANDS, fields.bands.double().mean(0).tolist())), "worst_field": float(fields.cosine.amin((1, 2)).mean()),
                "field_spread": float(fields.cosine.std((1, 2)).mean()), "error_swing": swing(history["reconstruction"][turns - 1 :: turns]),
                "rises": sum(b > a for a, b in zip(history.epochs["held_out_unexplained"], history.epochs["held_out_unexplained"][1:])),
                "cpu_seconds": spent}
    if critic is not None:
        measured |= told_apart(way, model, critic, world.held_out) | {"critic_swing": swing(history["wasserstein"])}
    return {"way": name, "seed": seed, **measured}


def keep(rows: list[dict]) -> None:
    """The numbers that may be quoted are means over the seeds, MEASURE_WAY, and where there are several seeds their spread."""
    order = list(WAYS | HINTS)
    rows.sort(key=lambda each: (order.index(each["way"]), each["seed"]))
    measured = {"trainings": len(rows), "failed": sum("failed" in each for each in rows)}
    for way in order:
        good = [each for each in rows if each["way"] == way and "failed" not in each]
        for name in (good[0] if good else {}):
            if name not in ("way", "seed"):
                values = [each[name] for each in good]
                measured[f"{name}_{way}"] = mean(values)
                measured |= {f"{name}_{way}_spread": stdev(values)} if len(values) > 1 else {}
    record = {"what": f"compressors after {EPOCHS * math.ceil(GRIDS / BATCH)} turns; measures of {JUDGED} fresh scenes; put_back and rebuilt: joint "
                      "answers minus those of CLS alone",
              "command": "python bench/records/compressors.py", **machine(),
              "settings": {"epochs": EPOCHS, "batch_size": BATCH, "lr": LR, "n_critic": 5, "lambda_gp": 10.0, "wgan": 1.0, "ae": 1.0, "grids": GRIDS},
              "measured": measured, "rows": rows}
    write_json(RECORD, record)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/records/compressors.py", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, choices=SEEDS, help="of the comparison; default: 0 1 2")
    parser.add_argument("--only", nargs="+", choices=[*WAYS, *HINTS], default=[*WAYS, *HINTS], metavar="WAY", help="some of: " + ", ".join(WAYS | HINTS))
    chosen = parser.parse_args()
    rows = json.loads(RECORD.read_text(encoding="utf-8"))["rows"] if RECORD.exists() else []
    with one_thread():
        world = World()
        wanted = [(name, seed) for seed in chosen.seeds for name in chosen.only if name in WAYS or seed == SEEDS[0]]
        for name, seed in wanted:
            if not any((each["way"], each["seed"]) == (name, seed) for each in rows):
                rows.append(row(name, seed, world))
                print(rows[-1], flush=True)
                keep(rows)
        keep(rows)


if __name__ == "__main__":
    main()
