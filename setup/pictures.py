"""Draw the pictures of README.md and of the notebooks' stills into data/pictures/, for readers without a kernel."""

from collections.abc import Callable

from matplotlib.figure import Figure

from course_lib.codes.atlas import cluster, collect, project
from course_lib.codes.explorer import CodeExplorer
from course_lib.codes.explorer_generation import GenerationExplorer
from course_lib.codes.explorer_plane import VoronoiExplorer
from course_lib.codes.figures_reading import Panel, maps_figure
from course_lib.codes.loaders import create_datasets
from course_lib.codes.reading import without
from course_lib.core.map import course_map
from course_lib.core.paths import DATA, atomic
from course_lib.core.projector import projected
from course_lib.core.weights import load_pretrained
from course_lib.curve import curve_figure, measure
from course_lib.latents.figures import rate_distortion_figure
from course_lib.latents.metrics import even_normal
from course_lib.latents.moving import family_figure, film_figure
from course_lib.latents.recipe import Film, train_autoencoder, train_decoder
from course_lib.latents.slides import MIXTURE, curve, view
from course_lib.slots.explorer import IterationExplorer, SlotExplorer
from course_lib.tokens.explorer import TokenExplorer
from course_lib.tokens.explorer_fields import CompressionExplorer
from course_lib.tokens.explorer_rates import RateExplorer


def film(train: Callable) -> Figure:
    """The row of stills of a training run, as in notebooks 01 and 02."""
    taken = Film(even_normal(400), epochs=400)
    train(MIXTURE.sample(), epochs=400, watch=taken, progress=False)
    return film_figure(taken.taken, taken.z, taken.outputs.squeeze(-1).numpy(), MIXTURE)


def edits() -> Figure:
    """The row of stills of notebook 07: one object without the spare slot, a row for each codebook, some of its codes."""
    explorer = CodeExplorer(scene=2)
    explorer.spare.value = "leave out"
    return explorer.still()


def atlas() -> Figure:
    """Maps of notebook 09: the slots of the rule world, and what is left of them without their place."""
    found = collect(load_pretrained("svq_rules"), create_datasets("rules", held_out=300)[1], 300)
    rest = without(found.vectors(), cluster(found.vectors(), "k-means", 9))
    maps = {"place": project(found.vectors(), "t-sne"), **dict.fromkeys(("kind", "colour", "size"), project(rest, "t-sne"))}
    return maps_figure([Panel(f"{'slots' if name == 'place' else 'without the place'}: {name}", places, found.factors[name].numpy(), found.values[name], name)
                        for name, places in maps.items()])


def tokens() -> Figure:
    """The stills of notebook 10: what single tokens of a scene are near to, centred."""
    explorer = TokenExplorer()
    explorer.measure.value = "centred"
    return explorer.still()


def rates() -> Figure:
    """The stills of notebook 11: one scene through six compressors at 16×, the cosine at every place."""
    return RateExplorer().still(["learned", "learned, critic", "average pooling", "strided pick", "k-means", "ToMe"])


def fields() -> Figure:
    """The stills of notebook 12: the same scene, field by field, beside single tokens."""
    return CompressionExplorer().still(["RF", "global", "best single token", "average pooling", "strided pick"])


PICTURES = {
    "course_map": course_map,
    "decoder_film": lambda: film(train_decoder),
    "autoencoder_film": lambda: film(train_autoencoder),
    "beta_row": lambda: family_figure(view(), MIXTURE, [0.1, 1.0, 5.0, 10.0]),
    "rate_distortion": lambda: rate_distortion_figure(curve(), view().betas, view().rate, view().distortion, MIXTURE),
    "iterations_row": lambda: IterationExplorer().still(),
    "slots_row": lambda: SlotExplorer().still(),
    "voronoi_grid": lambda: VoronoiExplorer().still(),
    "codes_grid": edits,
    "generation_row": lambda: GenerationExplorer().still(),
    "atlas_row": atlas,
    "tokens_row": tokens,
    "rates_row": rates,
    "fields_row": fields,
    "one_curve": projected(lambda: curve_figure(measure(progress=False)), 12, 5),  # too slow to draw with the slides
}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        with atomic(DATA / "pictures" / f"{name}.png") as path:
            draw().savefig(path)
        print(DATA / "pictures" / f"{name}.png")
