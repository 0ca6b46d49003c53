"""The sliders of Part II."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from course_lib.core.explorer import Explorer, choice, stops
from course_lib.core.threads import one_thread
from course_lib.core.weights import load_pretrained
from course_lib.slots.autoencoder import SlotAutoencoder, SlotOutput
from course_lib.slots.loaders import create_datasets
from course_lib.slots.moving import PLACES, ROWS, IterationPicture, SlotPicture, iterations_figure, slot_counts_figure
from course_lib.slots.tiny import Points, Slots, poor_start, three_clusters

SCENES, STARTS = 12, 8  # stops of the sliders: held-out scenes, and seeds of the slots' start


class SlotExplorer(Explorer):
    """Slide the number of slots and of iterations of a trained model, on scenes it has never seen.

    Controls: `slots` (2 to 10), `iterations` (1 to 7), `scene` (from 1), and `seed` of the slots' start.
    model: by default the shipped one, `slots_shapes` or `slots_multi_dsprites`, for data "shapes" or "multi_dsprites".
    Raises `BadInput` for unknown data.
    """

    def __init__(self, model: SlotAutoencoder | None = None, data: str = "shapes", slots: int = 7, iterations: int = 3):
        _, held_out = create_datasets(data)
        self.model = load_pretrained(f"slots_{data}", expect=SlotAutoencoder) if model is None else model
        self.scenes = held_out.batch(range(SCENES))
        self._picture = SlotPicture(held_out.resolution)
        super().__init__(
            self._picture.figure, self._picture.moving, slots=stops(list(range(2, PLACES + 1)), "slots", slots, width="17em"),
            iterations=stops(list(range(1, ROWS + 1)), "iterations", iterations, width="17em"),
            scene=stops(list(range(1, SCENES + 1)), "scene", width="17em"), seed=stops(list(range(STARTS)), "start", width="15em"))

    def update(self) -> str:
        number = self.scene.index
        self._picture.set(self.scenes["image"][number], self.scenes["ids"][number], self._run(self.slots.value))
        return self._picture.words()

    def still(self, slots: Sequence[int] = (2, 4, 7, 10)) -> Figure:
        """The scene that is shown now with other numbers of slots, one row each."""
        return slot_counts_figure(self.scenes["image"][self.scene.index], [self._run(count) for count in slots])

    @torch.no_grad()
    def _run(self, slots: int) -> SlotOutput:
        """The model on the scene of the slider; same start, same answer."""
        start = torch.Generator().manual_seed(self.seed.value)
        with one_thread():
            return self.model(self.scenes["image"][[self.scene.index]], slots, self.iterations.value, start)


class IterationExplorer(Explorer):
    """Step through slot attention on a few points in the plane. Controls: `iteration` (0 to 10), `temperature`, and
    `normalise`, softmax over "slots" or over "inputs". By default three clusters of points and three slots that start close together.
    """

    def __init__(self, points: Points | None = None, slots: Slots | None = None):
        self._picture = IterationPicture(three_clusters() if points is None else points, poor_start() if slots is None else slots)
        over = choice([("over slots", "slots"), ("over inputs", "inputs")], "softmax")
        super().__init__(self._picture.figure, self._picture.moving, iteration=stops(list(range(11)), "iteration", width="20em"),
                         temperature=stops([0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 5.0], "temperature", 0.5, width="20em"), normalise=over)

    def update(self) -> str:
        self._picture.set(self.iteration.value, self.temperature.value, self.normalise.value)
        return self._picture.words()

    def still(self, iterations: Sequence[int] = (0, 1, 3, 10)) -> Figure:
        """Some iterations side by side, for either softmax, at the temperature of the slider."""
        return iterations_figure(self._picture.points, self._picture.slots, iterations, self.temperature.value)
