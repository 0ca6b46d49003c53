"""The sliders of generation: temperature, top-k and seed of scenes that nobody drew, each with its verdict."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.codes.figures_generation import gallery_figure
from course_lib.codes.generation import check_pair, encode_scenes, paint_codes
from course_lib.codes.metrics import judge, share
from course_lib.codes.moving_generation import COLUMNS, COUNT, GenerationPicture
from course_lib.codes.prior import CodePrior, Independent, Prior
from course_lib.codes.svq import SVQ
from course_lib.codes.vqvae import PatchVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.explorer import Explorer, choice, stops
from course_lib.core.threads import one_thread
from course_lib.core.weights import load_pretrained

TEMPERATURES = [0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 4.0]
FEW = (1, 2, 5, 10, 20, 50, 100, 200)  # stops of top-k, and then all codes
SEEDS, COUNTED = 20, 1000  # seeds of the slider; scenes from which the independent prior is counted if none is given
NAMES = {"transformer": "the transformer", "independent": "independent codes"}


class GenerationExplorer(Explorer):
    """Twelve generated scenes with their verdicts. Controls: `temperature` (0 to 4), `top_k` (1 to all codes), `seed` (0 to 19),
    and `prior`, "transformer" or "independent".

    model, prior: by default the shipped ones, `svq_rules` and `svq_prior_rules`; independent: by default counted from the codes
    of 1000 scenes. Raises `BadInput` if a prior speaks other codes than the model.
    """

    def __init__(self, model: SVQ | PatchVQ | None = None, prior: CodePrior | None = None, independent: CodePrior | None = None,
                 world: RuleWorld | None = None):
        self.model = load_pretrained("svq_rules", expect=(SVQ, PatchVQ)) if model is None else model
        prior = load_pretrained("svq_prior_rules", expect=Prior) if prior is None else prior
        self.world = RuleWorld() if world is None else world
        if independent is None:
            check_pair(self.model, prior, self.world.resolution)
            independent = Independent(prior.slots, prior.codebooks, prior.codes)
            with one_thread():
                independent.count(encode_scenes(self.model, self.world, COUNTED))
        self.priors = {"transformer": prior, "independent": independent}
        for each in self.priors.values():
            check_pair(self.model, each, self.world.resolution)
        self._picture = GenerationPicture(self.world.entropy, self.world.lawful_by_chance)
        by = choice([(name, key) for key, name in NAMES.items()], "prior")
        few = [k for k in FEW if k < prior.codes] + [prior.codes]
        super().__init__(
            self._picture.figure, self._picture.moving, temperature=stops(TEMPERATURES, "temperature", 1.0, width="20em"),
            top_k=stops(few, "top-k", prior.codes, width="17em"), seed=stops(list(range(SEEDS)), "seed", width="15em"), prior=by)

    def update(self) -> str:
        with one_thread():
            images, nll = self._made(self.temperature.value, COUNT)
            found = judge(images, self.world)
        k = self.top_k.value
        limit = "all codes" if k == self._chosen().codes else f"the {k} likeliest codes" if k > 1 else "the likeliest code"
        how = f"{NAMES[self.prior.value]} at temperature {self.temperature.value:g}, from {limit}"
        self._picture.set(images, found, share(found["right"]), nll, how)
        return self._picture.words()

    def still(self, temperatures: Sequence[float] = (0, 0.6, 1.0, 2.0)) -> Figure:
        """Small multiples: six scenes at each of these temperatures, with the other controls as they stand."""
        rows = []
        with one_thread():
            for temperature in temperatures:
                images, _ = self._made(temperature, COLUMNS)
                found = judge(images, self.world)
                rows.append((f"temperature {temperature:g}", f"{int(found['right'].sum())} of {COLUMNS} are right.", images, found))
        return gallery_figure(rows)

    def _chosen(self) -> CodePrior:
        return self.priors[self.prior.value]

    @torch.no_grad()
    def _made(self, temperature: float, count: int) -> tuple[Tensor, float]:
        """Scenes from the seed of the slider, and the mean NLL of their codes."""
        chance = torch.Generator().manual_seed(self.seed.value)
        codes = self._chosen().generate(count, temperature, self.top_k.value, chance)
        return paint_codes(self.model, codes, self.world.resolution), float(self._chosen().nll(codes).mean())
