"""SVQ and patch VQ-VAE with their priors, three seeds of each, with the same budget; keeps data/runs/codes_seeds.json.

    python bench/records/codes_seeds.py            # all that is missing: three hours on one core
    python bench/records/codes_seeds.py --seeds 1  # only train; two of these commands may work side by side on different seeds

A seed is a whole way: another start of the model, other scenes, another prior, other random numbers. Seed 0 is what is shipped
(it was trained with bf16 products, on a processor that has them). An interrupted run goes on where it stopped.
"""

import argparse
import json
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from trained import machine, trained

from course_lib.codes.loaders import create_datasets
from course_lib.codes.metrics import Share, over_seeds
from course_lib.codes.svq import SVQ
from course_lib.core.paths import DATA, write_json
from course_lib.core.weights import load_weights, read_card
from course_lib.slots.metrics import scene_metrics
from course_lib.slots.scenes import start_chance

SEEDS, SHIPPED, MODELS = (0, 1, 2), 0, ("svq", "vqvae")
OUT, RECORD = Path("outputs/codes"), DATA / "runs" / "codes_seeds.json"
CODES = ("epochs=60", "batch_size=32", "model.rate_weight=0.2", "objective.settle_from=0.7")
PRIOR = ("epochs=4", "dataset.samples=50000")
KEPT = ("right", "mse", "fg_ari", "attention_fg_ari", "perplexity", "codes_used", "nll", "nll_of_training", "nll_independent", "copied",
        "unparsable", "wrong_number", "same_colour")


def weights(model: str, seed: int) -> Path:
    """Where the weights of a seed lie."""
    return DATA / "weights" / f"{model}_rules" if seed == SHIPPED else OUT / f"{model}_{seed}" / f"{model}_rules"


def way(model: str, seed: int) -> tuple[dict, dict]:
    """The cards of one model and its prior, trained if they are not there yet."""
    if seed == SHIPPED:
        return read_card(DATA / "weights" / f"{model}_rules"), read_card(DATA / "weights" / f"{model}_prior_rules")
    first, second = weights(model, seed), OUT / f"{model}_prior_{seed}"
    card = trained(model, first.parent, *CODES, f"seed={seed}", name=first.name)
    return card, trained("svq_prior", second, *PRIOR, f"seed={seed}", f"weights={first}", f"name={model}_prior_rules", name=f"{model}_prior_rules")


@torch.no_grad()
def asked_by_blocks(model: SVQ, scenes: int = 200) -> list[float]:
    """FG-ARI of whom each block of the decoder asks, in the order of the blocks; the last one's are the masks of the model."""
    data = create_datasets("rules", held_out=scenes)[1].batch(range(scenes))
    asked: list[Tensor] = []
    hooks = [block.register_forward_hook(lambda block, places, out: asked.append(out[1])) for block in model.decoder.blocks]
    model(data["image"], chance=start_chance(data))
    for hook in hooks:
        hook.remove()
    side, stride = data["image"].shape[-1] // model.decoder.stride, model.decoder.stride
    masks = [rearrange(each.mean(1), "b (h w) k -> b k h w", h=side) for each in asked]
    return [float(scene_metrics(data["ids"], mask.repeat_interleave(stride, 2).repeat_interleave(stride, 3))["fg_ari"].nanmean()) for mask in masks]


def summary(model: str, cards: dict[int, tuple[dict, dict]]) -> dict[str, float]:
    """Means over seeds, and the interval of the shares that obey the rule."""
    found, of = {}, cards[SEEDS[0]][1]["config"]["scored"]
    both = {seed: first["metrics"] | second["metrics"] for seed, (first, second) in cards.items()}
    for ending in ("", "_independent"):
        shares = [Share(each[f"right{ending}"], each[f"low{ending}"], each[f"high{ending}"], of) for each in both.values()]
        mean = over_seeds(shares)
        found |= {f"{model}{ending}_right_mean": mean.value, f"{model}{ending}_right_low": mean.low, f"{model}{ending}_right_high": mean.high}
    for name in KEPT:
        found |= {f"{model}_{name}_{seed}": each[name] for seed, each in both.items()}
        found[f"{model}_{name}_mean"] = sum(each[name] for each in both.values()) / len(both)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/records/codes_seeds.py", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, help="only train these; default: train all, and write the record")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL", help="svq or vqvae; default: both")
    asked = parser.parse_args()
    cards = {model: {seed: way(model, seed) for seed in asked.seeds or SEEDS} for model in asked.only}
    if asked.seeds:
        return
    measured = {name: value for model in asked.only for name, value in summary(model, cards[model]).items()}
    blocks = {seed: asked_by_blocks(load_weights(weights("svq", seed), SVQ)) for seed in SEEDS if "svq" in asked.only}
    measured |= {f"svq_block_{block + 1}_fg_ari_{seed}": value for seed, found in blocks.items() for block, value in enumerate(found)}
    record = {"what": "SVQ and patch VQ-VAE with their priors in the rule world: 1000 generated scenes of each seed, judged by the rule",
              "command": "python bench/records/codes_seeds.py", **machine(), "settings": {"codes": " ".join(CODES), "prior": " ".join(PRIOR)},
              "shipped": SHIPPED, "measured": measured,
              "seeds": {model: {str(seed): {"model": first["metrics"], "prior": second["metrics"], "seconds": [first["seconds"], second["seconds"]]}
                                for seed, (first, second) in cards[model].items()} for model in asked.only}}
    write_json(RECORD, record)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
