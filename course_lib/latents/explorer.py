"""The sliders of Part I."""

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure

from course_lib.core.explorer import Explorer, stops
from course_lib.latents.metrics import view_family
from course_lib.latents.mixture import Mixture
from course_lib.latents.models import VAEFamily
from course_lib.latents.moving import BetaPicture, TrainingPicture, family_figure, film_figure
from course_lib.latents.rate_distortion import Curve, rate_distortion_curve

CURVE_BETAS = tuple(np.geomspace(0.005, 9, 30))  # enough points of R(D) for a smooth line


class BetaExplorer(Explorer):
    """Slide β over a trained family; the slider stops at trained β's only. Control: `beta`.

    curve: R(D) of the mixture, by default computed; beta: the first shown, by default the family's first.
    """

    def __init__(self, family: VAEFamily, mixture: Mixture = Mixture(), curve: Curve | None = None, beta: float | None = None):
        self.mixture = mixture
        self.view = view_family(family, mixture)
        self._picture = BetaPicture(self.view, mixture, curve or rate_distortion_curve(mixture, np.array(CURVE_BETAS), points=301))
        super().__init__(self._picture.figure, self._picture.moving, beta=stops(self.view.betas, "β", beta))

    def update(self) -> str:
        self._picture.set(self.beta.index)
        return self._picture.words(self.beta.index)

    def still(self, betas: Sequence[float] = (0.1, 1, 5, 10)) -> Figure:
        """One coupling picture per β, side by side; each is a trained β."""
        return family_figure(self.view, self.mixture, list(betas))


class TrainingExplorer(Explorer):
    """Slide through the epochs of a decoder's training. Control: `epoch`; a play button runs through them.

    epochs: (frames,); z: (n, 1); outputs: (frames, n, 1), what the decoder made of z at each epoch.
    """

    def __init__(self, epochs: Sequence[int], z, outputs, mixture: Mixture = Mixture()):
        self.mixture = mixture
        self._picture = TrainingPicture(epochs, z, np.asarray(outputs).reshape(len(epochs), -1), mixture)
        epoch = stops(list(epochs), "epoch")
        play = widgets.Play(min=0, max=len(epochs) - 1, interval=150, description="play the training")
        self._link = widgets.jslink((play, "value"), (epoch, "index"))
        super().__init__(self._picture.figure, self._picture.moving, play, epoch=epoch)

    def update(self) -> str:
        self._picture.set(self.epoch.index)
        return self._picture.words(self.epoch.index)

    def still(self, frames: int = 5) -> Figure:
        """Some epochs side by side."""
        return film_figure(self._picture.epochs, self._picture.z, self._picture.outputs, self.mixture, frames)
