"""What does each part of the machine do? SVQ and its prior trained with one thing changed: a row of a table."""

import json
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from course_lib.codes.figures_ablations import ablation_figure
from course_lib.codes.generation import encode_scenes, generated, judged, shape_of
from course_lib.codes.loaders import create_datasets
from course_lib.codes.prior import Prior
from course_lib.codes.recipe import SCORED, measure, train_codes
from course_lib.codes.recipe_prior import counted, measure_nll, train_prior
from course_lib.codes.svq import SVQ
from course_lib.core.errors import BadInput
from course_lib.core.launch import is_main_process
from course_lib.core.paths import rounded, write_csv, write_json
from course_lib.core.run import Run

CHANGES: dict[str, tuple[str, ...]] = {  # name -> settings that differ from the experiment file
    "as_it_is": (),
    "1_iteration": ("model.num_iterations=1",),
    "2_iterations": ("model.num_iterations=2",),
    "5_iterations": ("model.num_iterations=5",),
    "1_codebook": ("model.codebooks=1",),
    "2_codebooks": ("model.codebooks=2",),
    "8_codebooks": ("model.codebooks=8",),
    "inside": ("model.quantise=inside",),
    "blocks": ("model.update=blocks",),
    "inside_blocks": ("model.quantise=inside", "model.update=blocks"),
    "broadcast_decoder": ("model.decoder=broadcast",),
    "codebook_loss": ("model.learning=loss",),
    "no_restart": ("model.restart=0.0",),
    "no_rate": ("model.rate_weight=0.0",),
    "random_order": ("prior.order=random",),
}
COLUMNS = ("change", "seed", "mse", "fg_ari", "attention_fg_ari", "perplexity", "codes_used", "nll", "nll_independent", "right",
           "low", "high", "unparsable", "wrong_number", "same_colour", "right_independent", "seconds", "failed")


def changed(cfg: DictConfig) -> DictConfig:
    """The settings with cfg.change made. Raises `BadInput` for a change that is not in the list."""
    if cfg.change not in CHANGES:
        raise BadInput(f"change must be one of {', '.join(CHANGES)}, not {cfg.change!r}.")
    return OmegaConf.merge(cfg, OmegaConf.from_dotlist(list(CHANGES[cfg.change])))


def row_of(cfg: DictConfig) -> dict[str, float | str]:
    """Train a model and a prior over its codes; return what they reach on held-out and on generated scenes."""
    torch.manual_seed(cfg.seed)
    data, held_out = create_datasets(seed=cfg.seed, **cfg.dataset)
    model = SVQ(**cfg.model)
    first = train_codes(model, data, epochs=cfg.epochs, lr=cfg.lr, batch_size=cfg.batch_size, seed=cfg.seed, held_out=held_out,
                        run=Run.from_config(cfg, "svq"), progress=cfg.progress, workers=cfg.workers, matrices=cfg.matrices, **cfg.objective)
    torch.manual_seed(cfg.seed)
    prior = Prior(**shape_of(model, cfg.dataset.resolution), **cfg.prior.model)
    shown = cfg.progress and is_main_process()
    codes = encode_scenes(model, data, cfg.prior.samples, cfg.prior.order, cfg.seed, shown)
    fresh = encode_scenes(model, held_out, SCORED, cfg.prior.order, cfg.seed)
    second = train_prior(prior, codes, epochs=cfg.prior.epochs, lr=cfg.prior.lr, batch_size=cfg.prior.batch_size, seed=cfg.seed,
                         held_out=fresh, shuffle=cfg.prior.order == "random", run=Run.from_config(cfg, "prior"), progress=cfg.progress)
    independent = counted(codes, prior)
    pictures = {ending: generated(model, each, cfg.prior.scored, seed=cfg.seed, size=cfg.dataset.resolution)
                for ending, each in (("", prior), ("_independent", independent))}
    found = {f"{name}{ending}": value for ending, images in pictures.items() for name, value in judged(images, data).items()}
    found |= {f"nll{ending}": measure_nll(each, fresh)["nll"] for ending, each in (("", prior), ("_independent", independent))}
    return measure(model, held_out.batch(range(SCORED))) | found | {"seconds": first.seconds + second.seconds}


def run(cfg: DictConfig) -> None:
    """`experiment=svq_ablation change=NAME`, or with -m several of `CHANGES`: every run writes its row.json, and beside all of them
    ablations.csv and ablations.png of the rows there are so far. A run that is refused has a row too, which says why."""
    folder, row = Path(cfg.out), {"change": cfg.change, "seed": cfg.seed}
    try:
        row |= row_of(changed(cfg))
    except BadInput as error:
        row |= {"failed": str(error)}
        raise
    finally:
        if is_main_process() and len(row) > 2:
            write_json(folder / "row.json", row)
            gather(folder.parent if HydraConfig.get().mode == RunMode.MULTIRUN else folder)


def gather(folder: Path) -> list[dict]:
    """Write ablations.csv and ablations.png of all rows in or one below `folder`; return the rows, in the order of `CHANGES`,
    and after them those that are no change."""
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in (*folder.glob("row.json"), *folder.glob("*/row.json"))]
    rows.sort(key=lambda row: ([*CHANGES, row["change"]].index(row["change"]), row["seed"]))
    write_csv(folder / "ablations.csv", [rounded(row) for row in rows], COLUMNS)
    if any("failed" not in row for row in rows):
        ablation_figure(rows, save_path=folder / "ablations.png")
    return rows
