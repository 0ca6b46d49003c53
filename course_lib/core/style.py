"""Palettes and figure style of the whole course: one meaning, one colour, everywhere.

`PALETTE` has the eight meanings of Part I, `SHADES` the colours of whatever is told apart otherwise: slots, lines, bars. Colour is never
the only carrier of meaning: `MARKER` and `DASH` give every meaning a second one, and `LOOKS` every line.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_lib.core.errors import BadInput
from course_lib.core.paths import atomic

PALETTE = {
    "prior_z": "#1f77b4",  # blue: prior samples z
    "data_x": "#ff7f0e",  # orange: data x
    "latent_z_hat": "#2ca02c",  # green: encoded ẑ
    "output_x_hat": "#d62728",  # red: output x̂
    "coupling_train": "#7f7f7f",  # grey: who is paired with whom in training
    "coupling_infer": "#9467bd",  # purple: z → x̂ when the model is used
    "encode_line": "#8c564b",  # brown: x → ẑ
    "decode_line": "#e377c2",  # pink: ẑ → x̂
}
MARKER = {"prior_z": "o", "data_x": "s", "latent_z_hat": "^", "output_x_hat": "D"}
DASH = {"prior_z": "-", "data_x": "-", "latent_z_hat": (0, (5, 1.5)), "output_x_hat": (0, (2, 1.2)),
        "coupling_train": ":", "coupling_infer": "-", "encode_line": (0, (4, 2)), "decode_line": "-"}
# Paul Tol's "muted" scheme (SRON/EPS/TN/09-002, issue 3.2, 2021), from dark to light in steps of 8 of CIE L*: colour-blind eyes tell
# it apart, and so does grey paper.
SHADES = {"indigo": "#2c1d82", "wine": "#7d164c", "green": "#006326", "purple": "#a54095", "rose": "#c15c6e",
          "olive": "#95952f", "teal": "#35b9a5", "cyan": "#80c4e6", "sand": "#e3d27d", "pale": "#e8e8e8"}
# A line is told by colour, marker and dash together; the three lightest colours are too pale for one.
LOOKS = tuple((SHADES[name], marker, dash) for name, marker, dash in (
    ("indigo", "o", "-"), ("rose", "s", "--"), ("green", "^", ":"), ("olive", "v", "-."), ("wine", "D", (0, (5, 1, 1, 1, 1, 1))),
    ("teal", "P", (0, (8, 2))), ("purple", "X", (0, (1, 1)))))
IMAGE_CMAP = "viridis"  # perceptual, for heat maps on a fixed scale

RC = {
    "axes.prop_cycle": matplotlib.cycler(color=[colour for colour, *_ in LOOKS]),
    "font.family": "DejaVu Sans",  # ships with matplotlib and has β, ẑ and x̂
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "svg.hashsalt": "from-collapse-to-compression",  # the same figure gives the same bytes
}


def signed(value: float, form: str = "+.2f") -> str:
    """A number for a label, with a true minus sign."""
    return format(value, form).replace("-", "−")


def mark(meaning: str) -> dict[str, object]:
    """The marker of a meaning, for `Axes.plot`. Data are hollow: so they are never taken for what a model makes of them."""
    colour = PALETTE[meaning]
    return {"linestyle": "", "marker": MARKER[meaning], "color": colour, "markerfacecolor": "white" if meaning == "data_x" else colour}


def line_look(number: int) -> dict[str, object]:
    """Colour, marker and dash of line `number`, counted from 0, for `Axes.plot`; after seven lines the markers are hollow."""
    colour, marker, dash = LOOKS[number % len(LOOKS)]
    hollow = number // len(LOOKS) % 2
    return {"color": colour, "marker": marker, "linestyle": dash, "markerfacecolor": "white" if hollow else colour}


def dressed(entries: Mapping[str, Any], looks: Sequence) -> Iterator[tuple[tuple[str, Any], Any]]:
    """((name, entry), look) for each entry of a figure. Raises `BadInput` for more entries than looks: the others would be missing."""
    if len(entries) > len(looks):
        raise BadInput(f"this figure tells {len(looks)} apart; these are {len(entries)}: {', '.join(entries)}.")
    return zip(entries.items(), looks)


def new_figure(width: float = 9.0, height: float = 3.6, **layout) -> Figure:
    """Return an empty Figure in the course's style, `width` × `height` inches at 100 dpi.

    The figure is not registered with pyplot: it is freed with its last reference, and in a notebook it is shown
    by being the last expression of a cell. `layout` goes to `matplotlib.figure.Figure` (default: constrained).
    """
    figure = Figure(figsize=(width, height), **{"layout": "constrained", **layout})
    FigureCanvasAgg(figure)
    return figure


def saved(figure: Figure, path: str | Path | None, dpi: int = 150) -> Figure:
    """Return the figure, after writing it to `path` (None: nowhere), whole or not at all; the ending says the format, none is PNG.

    Raises `BadInput` if the folder cannot be written, or for an ending that matplotlib does not know.
    """
    if path is not None:
        ending, known = Path(path).suffix[1:].lower() or "png", figure.canvas.get_supported_filetypes()
        if ending not in known:
            raise BadInput(f"no figure can be written as .{ending}; choose one of {', '.join(sorted(known))}.")
        with atomic(path) as file:
            figure.savefig(file, format=ending, dpi=dpi)
    return figure


def use_style() -> None:
    """Set the course's matplotlib defaults for this process."""
    matplotlib.rcParams.update(RC)


use_style()
