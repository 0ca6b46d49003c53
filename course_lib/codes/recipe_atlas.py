"""`experiment=atlas`: what the slots and codes of trained weights hold, as a page, pictures, a table and words. Trains nothing."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from course_lib.codes.atlas import CLUSTERINGS, MAPS, VECTORS, Atlas, cluster, collect, make_maps, score
from course_lib.codes.figures_atlas import atlas_figure, atlas_scatter, scores_figure
from course_lib.codes.loaders import create_datasets
from course_lib.codes.svq import SVQ
from course_lib.core.errors import BadInput
from course_lib.core.launch import is_main_process
from course_lib.core.paths import atomic, rounded, write_csv
from course_lib.core.weights import find_weights
from course_lib.slots.autoencoder import SlotAutoencoder


def summary(atlas: Atlas, rows: Sequence[dict]) -> str:
    """The atlas in plain words: who is in it, and with what the clusters agree."""
    merged, pieces = (f"{atlas.lost[name]:.1%}" for name in ("merged", "pieces"))
    lines = [f"{len(atlas)} objects of {len(atlas.pictures)} scenes; left out: {merged} of the objects, which share a slot with another, "
             f"and {pieces}, which lie in pieces."]
    if atlas.codes is not None:
        different = len(atlas.codes.unique(dim=0))
        lines.append(f"They have {different} different codes." if different > 1 else "All have the same codes: the codes have collapsed.")
    for name in dict.fromkeys(row["vectors"] for row in rows):
        own = [row for row in rows if row["vectors"] == name]
        best = max(own, key=lambda row: row["ari"])
        others = {factor: max(row["ari"] for row in own if row["factor"] == factor) for factor in atlas.factors if factor != best["factor"]}
        rest = ", ".join(f"{factor} {max(value, 0):.2f}" for factor, value in others.items())  # below 0 is chance, too
        lines.append(f"Clusters of {name} agree best with {best['factor']}: {best['clustering']}, {best['clusters']} clusters, ARI {best['ari']:.2f}, "
                     f"NMI {best['nmi']:.2f} ({best['nmi_by_chance']:.2f} by chance); at most, in ARI, {rest}.")
    if noise := {f"{row['vectors']} {row['noise']:.1%}": None for row in rows if row["clustering"] == "dbscan"}:
        lines.append(f"DBSCAN calls noise: {', '.join(noise)} of the objects; they count as one more cluster.")
    return "\n".join(lines) + "\n"


def clusters_to_show(atlas: Atlas, rows: Sequence[dict], seed: int = 0) -> dict:
    """For each vectors and clustering the clusters that agree best with some factor, by name: what the page may colour by."""
    best: dict[tuple[str, str], dict] = {}
    for row in sorted(rows, key=lambda row: row["ari"]):
        best[row["vectors"], row["clustering"]] = row
    return {f"{method} of {name}": cluster(atlas.vectors(name), method, max(row["clusters"], 1), seed) for (name, method), row in sorted(best.items())}


def run(cfg: DictConfig) -> None:
    """Writes atlas.html, atlas.png, atlas_scores.png, atlas_scores.csv and atlas.txt into cfg.out, and says what is in the last."""
    for key, known in (("maps", MAPS), ("clusterings", CLUSTERINGS), ("vectors", VECTORS)):
        asked = cfg[key] if cfg[key] is not None else known
        if not isinstance(asked, Sequence) or isinstance(asked, str) or not asked or not set(asked) <= set(known):
            raise BadInput(f"{key} must be a list of some of {', '.join(known)}, not {asked}.")
    if cfg.samples < 1:
        raise BadInput(f"samples must be at least 1 scene, not {cfg.samples}.")
    if not is_main_process():
        return
    model = find_weights(cfg.weights, (SVQ, SlotAutoencoder))
    _, data = create_datasets(seed=cfg.seed, held_out=cfg.samples, **cfg.dataset)
    atlas = collect(model, data, cfg.samples, cfg.seed, cfg.progress)
    of = list(cfg.vectors or ["slots"] + ["codes"] * (atlas.codes is not None and len(atlas.codes.unique(dim=0)) > 1))
    maps = make_maps(atlas, of, list(cfg.maps), cfg.seed, cfg.progress)
    rows = score(atlas, of, list(cfg.clusterings), cfg.seed)
    words, out = summary(atlas, rows), Path(cfg.out)
    for name, figure in (("atlas", atlas_figure(atlas, maps)), ("atlas_scores", scores_figure(rows))):
        with atomic(out / f"{name}.png") as file:
            figure.savefig(file)
    write_csv(out / "atlas_scores.csv", [rounded(row) for row in rows])
    with atomic(out / "atlas.txt") as file:
        file.write_text(words, encoding="utf-8")
    atlas_scatter(atlas, maps, clusters=clusters_to_show(atlas, rows, cfg.seed)).save(out / "atlas.html")
    print(words, end="")
