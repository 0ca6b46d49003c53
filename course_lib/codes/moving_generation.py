"""The picture of generated scenes that moves: one Figure whose artists follow the sliders of `explorer_generation`."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from course_lib.codes.figures_generation import STEP, VERDICTS, names_of, sheet, word_place
from course_lib.core.style import new_figure

COUNT, COLUMNS = 12, 6  # scenes at a time, and in a row
WIDE, HIGH = 1200, 324  # pixels


class GenerationPicture:
    """Twelve generated scenes, each with its verdict, and beside them how many got which; `set` shows others.

    world_entropy and chance: what a scene of the world is worth in nats, and what obeys its rule by luck.
    """

    def __init__(self, world_entropy: float, chance: float):
        self.entropy, self.chance = world_entropy, chance
        self.figure = new_figure(WIDE / 100, HIGH / 100, layout="none")
        blank = torch.ones(COUNT // COLUMNS * STEP[1] - 8, COLUMNS * STEP[0] - 8, 3)
        high, wide = blank.shape[:2]
        axes = self.figure.add_axes([6 / WIDE, (HIGH - high - 6) / HIGH, wide / WIDE, high / HIGH])
        axes.set_axis_off()
        self.sheet = axes.imshow(blank.numpy(), interpolation="nearest")
        self.tags = [axes.text(*word_place(number, COLUMNS), "", size=8.5, color="white", weight="bold", ha="center", va="center")
                     for number in range(COUNT)]
        left = wide + 134
        bars = self.figure.add_axes([left / WIDE, 122 / HIGH, (WIDE - left - 16) / WIDE, 172 / HIGH])
        self.bars = bars.barh(range(len(VERDICTS)), np.zeros(len(VERDICTS)), 0.62, color=[look.colour for look in VERDICTS.values()])
        for bar, look in zip(self.bars, VERDICTS.values()):
            bar.set(hatch=look.hatch, edgecolor="white", linewidth=0)
        bars.set(xlim=(0, COUNT), ylim=(len(VERDICTS) - 0.5, -0.5), title=f"of {COUNT} scenes", xticks=range(0, COUNT + 1, 3))
        bars.set_yticks(range(len(VERDICTS)), [look.words for look in VERDICTS.values()], size=9)
        bars.tick_params(axis="y", length=0)
        bars.grid(False, axis="y")
        self.told = self.figure.text((left - 104) / WIDE, 82 / HIGH, "", size=10, va="top", linespacing=1.5)
        self.moving = [self.sheet, *self.tags, *self.bars, self.told]

    def set(self, images: Float[Tensor, "many 3 size size"], found: Mapping[str, Bool[Tensor, "many"]], right: tuple, nll: float,
            how: str) -> None:
        """Show `COUNT` pictures. found: what `metrics.judge` says; right: the `metrics.Share` that is right; nll: the mean NLL of their
        codes in nats; how: a few words on how they came about."""
        self.right, self.nll, self.how = right, nll, how
        names = names_of(found)
        self.counts = {name: names.count(name) for name in VERDICTS}
        self.sheet.set_data((255 * sheet(images, names, COLUMNS)).round().byte().numpy())
        for tag, name in zip(self.tags, names):
            tag.set_text(VERDICTS[name].words)
        for bar, count in zip(self.bars, self.counts.values()):
            bar.set_width(count)
        self.told.set_text(f"right: {right[0]:.0%}, interval {right[1]:.0%} to {right[2]:.0%}\n"
                           f"lawful by chance: {self.chance:.0%}\nNLL {nll:.1f} nats (the world: {self.entropy:.1f})")

    def words(self) -> str:
        """One line that says what the picture shows."""
        counts = ", ".join(f"{count} {VERDICTS[name].words[2:]}" for name, count in self.counts.items() if count)
        return (f"<b>{self.how}</b>: of {COUNT} scenes {counts}. Right {self.right[0]:.0%}, interval {self.right[1]:.0%} to {self.right[2]:.0%}; "
                f"mean NLL {self.nll:.1f} nats.")
