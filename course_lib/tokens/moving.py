"""The picture of one token and its neighbours that moves: one Figure whose artists follow the sliders of `explorer`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from torch.nn.functional import one_hot

from course_lib.core.errors import BadInput
from course_lib.core.style import IMAGE_CMAP, new_figure, signed
from course_lib.tokens.figures_clip import similarity
from course_lib.tokens.metrics import centred_cosine

NEAREST = 10  # tokens that are ringed
GROUPS = ("same object", "other objects", "background")  # what the other tokens lie on
WIDE, HIGH, SIDE, LEFT = 1010, 392, 288, 58  # pixels: of the figure, of a map in it, and before the first map
SPREAD = 0.24  # dots are moved up and down by so much at most, so that they do not hide one another
GOLDEN = 0.5 * (5**0.5 - 1)


def lies_on(ids: UInt8[Tensor, "*lead rows columns"], grid: Sequence[int]) -> Int64[Tensor, "*lead height width"]:
    """What lies under each token of `grid` (height, width): of the numbers in its patch of `ids` the one with most pixels,
    and of two with equally many the smaller. Of one picture, or of many. Raises `BadInput` if the picture cannot be cut into such a grid."""
    rows, columns = ids.shape[-2:]
    if rows % grid[0] or columns % grid[1]:
        raise BadInput(f"a picture of {rows} × {columns} pixels cannot be cut into {grid[0]} × {grid[1]} equal patches.")
    patches = rearrange(ids.long(), "... (h p) (w q) -> ... h w (p q)", h=grid[0], w=grid[1])
    return one_hot(patches).sum(-2).argmax(-1)


def examples(under: Int64[Tensor, "height width"]) -> list[tuple[int, int]]:
    """(row, column) of one token on each object, in the order of their numbers, and of one on the background, as far as there are such:
    of its tokens the one that is farthest from all others, the first of several."""
    found = []
    for number in sorted(under.unique().tolist(), key=lambda number: (number == 0, number)):
        own, others = ((under == number).nonzero().double(), (under != number).nonzero().double())
        away = torch.cdist(own, others).amin(1) if len(others) else torch.zeros(len(own))
        found.append(tuple(own[away.argmax()].long().tolist()))
    return found


@dataclass(frozen=True)
class Neighbours:
    """One token compared with all of its picture.

    place: its (row, column); cosine: with every token, 1 with itself; nearest: (row, column) of the `NEAREST` others with the highest
    cosine, the nearest first; under: what each token lies on, 0 the background; length: its norm over the median norm; centred:
    whether the mean token of the picture was subtracted from all before.
    """

    place: tuple[int, int]
    cosine: Float[Tensor, "height width"]
    nearest: Int64[Tensor, "n 2"]
    under: Int64[Tensor, "height width"]
    length: float
    centred: bool

    @classmethod
    def of(cls, tokens: Float[Tensor, "height width dim"], under: Int64[Tensor, "height width"], place: tuple[int, int],
           centred: bool = False) -> "Neighbours":
        """Compare the token at `place`; raises `BadInput` for a place outside the grid."""
        norms = tokens.norm(dim=-1)
        cosine = similarity(tokens, place)  # refuses a place that is not there
        if centred:
            cosine = centred_cosine(tokens, tokens[place].expand_as(tokens), tokens.mean((0, 1)))
        others = cosine.clone()
        others[place] = -torch.inf
        order = others.flatten().sort(descending=True, stable=True).indices[: min(NEAREST, others.numel() - 1)]
        nearest = torch.stack([order // tokens.shape[1], order % tokens.shape[1]], -1)
        return cls(place, cosine, nearest, under, float(norms[place] / norms.median()), centred)

    @property
    def measure(self) -> str:
        """The name of what `cosine` holds."""
        return "centred cosine" if self.centred else "cosine"

    @property
    def groups(self) -> dict[str, Bool[Tensor, "height width"]]:
        """Which of the other tokens lie on what of `GROUPS`. Of a token on the background nothing is on the same object."""
        own = self.under[self.place]
        others = torch.ones_like(self.under, dtype=torch.bool)
        others[self.place] = False
        same = (self.under == own) & (own > 0)
        return dict(zip(GROUPS, (part & others for part in (same, (self.under > 0) & ~same, self.under == 0))))

    @property
    def means(self) -> dict[str, float]:
        """The mean cosine with each group that has a token."""
        return {name: float(self.cosine[part].mean()) for name, part in self.groups.items() if part.any()}

    @property
    def counts(self) -> dict[str, int]:
        """How many of the nearest tokens lie on what."""
        return {name: int(part[tuple(self.nearest.T)].sum()) for name, part in self.groups.items()}

    def words(self, layer: str, names: Sequence[str]) -> str:
        """One sentence. layer: whose tokens they are, for example "layer 3 of 4"; names: of the objects, number 1 first."""
        own, many, counts, means = int(self.under[self.place]), len(self.nearest), self.counts, self.means
        said = dict(zip(GROUPS, ("the same object", "other objects" if own else "objects", "the background")))
        order = GROUPS if own else GROUPS[::-1]
        near = ", ".join(f"{counts[name]} on {said[name]}" for name in order if counts[name])
        mean = ", ".join(f"{signed(means[name], '.2f')} with {said[name]}" for name in order if name in means)
        return (f"<b>{layer}, token (row {self.place[0]}, column {self.place[1]})</b> lies on the {names[own - 1] if own else 'background'}; "
                f"its {'ten' if many == 10 else many} nearest tokens: {near}; mean {self.measure} {mean}; "
                f"it is {self.length:.2f} times as long as the median token.")


class MapPanel:
    """A picture, and over its grey the cosines if `heat`; the chosen token is framed and the nearest are ringed. Both axes count tokens."""

    def __init__(self, axes: Axes, grid: Sequence[int], heat: bool, ring: float = 5):
        height, width = grid
        everything = (-0.5, width - 0.5, height - 0.5, -0.5)
        blank = np.ones((1, 1)) if heat else np.ones((1, 1, 3))
        self.picture = axes.imshow(blank, cmap="gray", vmin=-1, vmax=1, extent=everything, interpolation="nearest")
        self.heat = axes.imshow(np.zeros(grid), cmap=IMAGE_CMAP, vmin=-1, vmax=1, alpha=0.8, extent=everything,
                                interpolation="nearest") if heat else None
        looks = (("black", ring + 1.5, 1.2), ("white", ring, 1.6))  # white seen on dark, black on bright
        self.rings = [axes.plot([], [], "o", color="none", markeredgecolor=colour, markersize=size, markeredgewidth=line)[0]
                      for colour, size, line in looks]
        self.frames = [axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=colour, linewidth=line, zorder=4))
                       for colour, line in (("white", 4.5), ("black", 2))]
        axes.set(xlim=everything[:2], ylim=everything[2:])
        axes.grid(False)
        axes.spines[:].set_visible(False)
        self.artists = [self.picture, *([self.heat] if heat else []), *self.rings, *self.frames]

    def set(self, image: Float[Tensor, "3 rows columns"], found: Neighbours) -> None:
        """Show the token `found` and its nearest in `image`, RGB in [0, 1]."""
        picture = image.clamp(0, 1)
        self.picture.set_data(picture.mean(0).numpy() if self.heat else (255 * picture.permute(1, 2, 0)).round().byte().numpy())
        if self.heat:
            self.heat.set_data(found.cosine.numpy())
        for ring in self.rings:
            ring.set_data(*found.nearest.flip(1).T.numpy())
        for frame in self.frames:
            frame.set_xy((found.place[1] - 0.5, found.place[0] - 0.5))


class GroupPanel:
    """Every other token as a dot at its cosine, in a row by what it lies on, in the colour of the map; the nearest have a thick edge
    and the mean of a row is a line."""

    def __init__(self, axes: Axes, grid: Sequence[int], size: float = 16, font: float = 9):
        many = grid[0] * grid[1]
        self.spread = SPREAD * (2 * (GOLDEN * np.arange(many) % 1) - 1)
        rows = np.arange(len(GROUPS))
        self.dots = axes.scatter(np.zeros(many), np.zeros(many), s=size, c=np.zeros(many), cmap=IMAGE_CMAP, vmin=-1, vmax=1, zorder=3)
        self.means = [axes.plot([], [], color="black", linewidth=2, zorder=4)[0] for _ in GROUPS]
        self.told = [axes.text(-0.97, row - 0.4, "", size=font, va="center") for row in rows]
        axes.set(xlim=(-1.05, 1.05), ylim=(len(GROUPS) - 0.6, -0.6), xticks=(-1, -0.5, 0, 0.5, 1))
        axes.set_xticklabels(["−1", "−0.5", "0", "0.5", "1"])
        axes.set_yticks(rows, [name.replace(" ", "\n") for name in GROUPS])
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        self.artists = [self.dots, *self.means, *self.told]

    def set(self, found: Neighbours) -> None:
        """Show the other tokens of `found`."""
        nearest = torch.zeros_like(found.under, dtype=torch.bool)
        nearest[tuple(found.nearest.T)] = True
        groups, means = found.groups, found.means
        row = torch.stack([k * part for k, part in enumerate(groups.values())]).sum(0).float()
        row[found.place] = torch.nan  # itself is no dot
        row, cosine, near = row.flatten().numpy(), found.cosine.flatten().numpy(), nearest.flatten().numpy()
        self.dots.set_offsets(np.stack([cosine, row + self.spread], 1))
        self.dots.set_array(cosine)
        self.dots.set(edgecolor="black", linewidth=np.where(near, 1.2, 0.0))
        for k, (name, part) in enumerate(groups.items()):
            many = int(part.sum())
            self.means[k].set_data([means[name]] * 2 if many else [], [k - 0.3, k + 0.3] if many else [])
            self.told[k].set_text(f"mean {signed(means[name], '.2f')}" if many else "no token")


class TokenPicture:
    """The picture, the cosines of one token with all on a scale from −1 to 1, and how these depend on what the tokens lie on; `set`
    shows another token."""

    def __init__(self, grid: Sequence[int]):
        self.figure = new_figure(WIDE / 100, HIGH / 100, layout="none")
        left, right, beside = (self.figure.add_axes([x / WIDE, 76 / HIGH, wide / WIDE, SIDE / HIGH])
                               for x, wide in ((LEFT, SIDE), (LEFT + SIDE + 16, SIDE), (WIDE - 244, 230)))
        self.maps = [MapPanel(left, grid, heat=False), MapPanel(right, grid, heat=True)]
        self.groups = GroupPanel(beside, grid)
        left.set(title="A token and its nearest", xlabel="column", ylabel="row")
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_locator(MaxNLocator(12, integer=True))
        right.set(xticks=[], yticks=[])
        self.title = right.set_title("")
        beside.set(title="By what they lie on", xlabel="cosine with the framed token")
        bar = self.figure.add_axes([(LEFT + SIDE + 16) / WIDE, 56 / HIGH, SIDE / WIDE, 12 / HIGH])
        self.figure.colorbar(self.maps[1].heat, cax=bar, orientation="horizontal", ticks=(-1, -0.5, 0, 0.5, 1))
        self.moving = [*self.maps[0].artists, *self.maps[1].artists, *self.groups.artists, self.title]

    def set(self, image: Float[Tensor, "3 rows columns"], found: Neighbours) -> None:
        """Show the neighbours `found` in `image`."""
        self.found = found
        for panel in self.maps:
            panel.set(image, found)
        self.groups.set(found)
        self.title.set_text(f"Its {found.measure} with every token")


def tokens_figure(image: Float[Tensor, "3 rows columns"], tokens: Sequence[Neighbours], titles: Sequence[str]) -> Figure:
    """Small multiples of the token explorer: a column for each of some tokens of one picture.

    titles: of the columns. Raises `BadInput` for no token.
    """
    if not tokens:
        raise BadInput("choose at least one token.")
    figure = new_figure(1.3 + 2.55 * len(tokens), 7.5)
    panels = figure.subplots(3, len(tokens) + 1, squeeze=False, width_ratios=[1] * len(tokens) + [0.05])
    for column, found, title in zip(panels.T, tokens, titles):
        maps = [MapPanel(axes, found.cosine.shape, heat, ring=3.5) for axes, heat in zip(column, (False, True))]
        for axes, panel in zip(column, maps):
            panel.set(image, found)
            axes.set(xticks=[], yticks=[])
        GroupPanel(column[2], found.cosine.shape, size=7, font=8).set(found)
        column[0].set_title(title, size=10)
        column[2].set_xlabel(found.measure, size=10)
        if column[2] is not panels[2, 0]:
            column[2].set_yticklabels([])
    figure.colorbar(maps[1].heat, cax=panels[1, -1], label=f"{found.measure} with the framed token",
                    ticks=(-1, -0.5, 0, 0.5, 1))
    for axes in panels[::2, -1]:
        axes.remove()
    return figure
