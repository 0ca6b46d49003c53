"""SVQ and patch VQ-VAE with their priors, three seeds of each, with the same budget; keeps data/runs/codes_seeds.json.

    python bench/records/codes_seeds.py            # all that is missing: three hours on one core
    python bench/records/codes_seeds.py --seeds 1  # only train; two of these commands may work side by side on different seeds

A seed is a whole way: another start of the model, other scenes, another prior, other random numbers. Seed 0 is what is shipped
(it was trained with bf16 products, on a processor that has them). An interrupted run goes on where it stopped.
"""

import argparse
import json
from pathlib import Path

from trained import machine, trained

from course_lib.codes.metrics import Share, over_seeds
from course_lib.core.paths import DATA, write_json
from course_lib.core.weights import read_card

SEEDS, SHIPPED, MODELS = (0, 1, 2), 0, ("svq", "vqvae")
OUT, RECORD = Path("outputs/codes"), DATA / "runs" / "codes_seeds.json"
CODES = ("epochs=60", "batch_size=32", "model.rate_weight=0.2", "objective.settle_from=0.7")
PRIOR = ("epochs=4", "dataset.samples=50000")
KEPT = ("mse", "fg_ari", "attention_fg_ari", "perplexity", "codes_used", "nll", "nll_of_training", "nll_independent", "copied",
        "unparsable", "wrong_number", "same_colour")


def way(model: str, seed: int) -> tuple[dict, dict]:
    """The cards of one model and its prior, trained if they are not there yet."""
    if seed == SHIPPED:
        return read_card(DATA / "weights" / f"{model}_rules"), read_card(DATA / "weights" / f"{model}_prior_rules")
    first, second = OUT / f"{model}_{seed}", OUT / f"{model}_prior_{seed}"
    card = trained(model, first, *CODES, f"seed={seed}", name=f"{model}_rules")
    return card, trained("svq_prior", second, *PRIOR, f"seed={seed}", f"weights={first}/{model}_rules", f"name={model}_prior_rules",
                         name=f"{model}_prior_rules")


def summary(model: str, cards: dict[int, tuple[dict, dict]]) -> dict[str, float]:
    """Means over seeds, and the interval of the shares that obey the rule."""
    found, of = {}, cards[SEEDS[0]][1]["config"]["scored"]
    both = {seed: first["metrics"] | second["metrics"] for seed, (first, second) in cards.items()}
    for ending in ("", "_independent"):
        shares = [Share(each[f"right{ending}"], each[f"low{ending}"], each[f"high{ending}"], of) for each in both.values()]
        mean = over_seeds(shares)
        found |= {f"{model}{ending}_right_mean": mean.value, f"{model}{ending}_right_low": mean.low, f"{model}{ending}_right_high": mean.high}
    return found | {f"{model}_{name}_mean": sum(each[name] for each in both.values()) / len(both) for name in KEPT}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/records/codes_seeds.py", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, help="only train these; default: train all, and write the record")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL", help="svq or vqvae; only with --seeds")
    asked = parser.parse_args()
    cards = {model: {seed: way(model, seed) for seed in asked.seeds or SEEDS} for model in (asked.only if asked.seeds else MODELS)}
    if asked.seeds:
        return
    measured = {name: value for model in MODELS for name, value in summary(model, cards[model]).items()}
    record = {"what": "SVQ and patch VQ-VAE with their priors in the rule world: 1000 generated scenes of each seed, judged by the rule",
              "command": "python bench/records/codes_seeds.py", **machine(), "settings": {"codes": " ".join(CODES), "prior": " ".join(PRIOR)},
              "shipped": SHIPPED, "measured": measured,
              "seeds": {model: {str(seed): {"model": first["metrics"], "prior": second["metrics"], "seconds": [first["seconds"], second["seconds"]]}
                                for seed, (first, second) in cards[model].items()} for model in MODELS}}
    write_json(RECORD, record)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
