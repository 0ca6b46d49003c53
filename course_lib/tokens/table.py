"""All compressors at all rates in one table: python -m course_lib.tokens.table [key=value ...]

Measured anew from shipped weights and fresh scenes: what needs fitting only (PCA, the mean) is fitted here on training scenes.
It prints the table and writes table.csv, all of it with its intervals, and table.png into `out`. In Python: `compressor_table`.

  rate          places of the full grid for each token that passes        numbers    that pass for a picture
  unexplained   squared error of the rebuilt grid / variance of the tokens; cosine, centred: of rebuilt and original tokens
  bits          of a picture: the tokens rounded to a step, each number entropy-coded by itself, and side information;
                coded: unexplained, if it is the rounded tokens that are expanded
  W, MMD²       sliced Wasserstein and maximum mean discrepancy between the tokens that pass and real ones, in standard units; behind
                the bar what real tokens have against other real ones, as many of each
  put back      zero-shot answers when the tokens that pass replace all others in CLIP, minus those of CLS alone, in points, ± 95 %;
  rebuilt       the same for the expanded grid
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from course_lib.core.command import key, serve
from course_lib.core.paths import DATA, atomic, write_csv
from course_lib.core.run import check_writable
from course_lib.core.style import new_figure
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.comparison import FITTED, LEVELS, NOTHING, SCENES, Row, Table, compressor_table
from course_lib.tokens.figures_survival import compressor_looks
from course_lib.tokens.metrics import Distance, Share
from course_lib.tokens.zero_shot import QUESTIONS

__all__ = ["Row", "Table", "compressor_table", "flat", "table_figure", "text"]


def flat(row: Row) -> dict[str, str | int | float]:
    """A row of table.csv: every number under a name of its own."""
    found = {}
    for name, value in row._asdict().items():
        if isinstance(value, dict):
            found |= {f"{name}_{question}{end}": number for question, gained in value.items()
                      for end, number in zip(("", "_low", "_high"), gained)}
        elif name in ("wasserstein", "mmd"):
            found |= dict(zip((name, f"{name}_floor"), value or ("", "")))
        else:
            found[name] = "" if value is None else value
    return found


def text(table: Table) -> str:
    """The table as it is printed."""
    columns = {"rate": 6, "cosine": 8, "centred": 9, "unexplained": 13, "numbers": 9, "bits": 8, "coded": 8, "W | floor": 15, "MMD² | floor": 19}
    lines = [" " * 18 + "".join(f"{name:>{width}}" for name, width in columns.items())]
    for row in table.rows:
        found = (_rate(row), f"{row.cosine:.3f}", f"{row.centred_cosine:.3f}", f"{row.variance_unexplained:.4f}", row.numbers, f"{row.bits:.0f}",
                 f"{row.coded_unexplained:.4f}", _apart(row.wasserstein, 3), _apart(row.mmd, 4))
        lines.append(f"{row.name:18}" + "".join(f"{value:>{width}}" for value, width in zip(found, columns.values())))
    for way, title in (("put_back", "put back"), ("rebuilt", "rebuilt")):
        lines += ["", f"{title + ', above ' + NOTHING:24}" + "".join(f"{name:>14}" for name in QUESTIONS)]
        lines += [f"{row.name:18}{_rate(row):>6}" + "".join(f"{_points(gained):>14}" for gained in getattr(row, way).values()) for row in table.rows]
    lines.append("")
    for name, shares in (("all tokens", table.full), (NOTHING, table.cls_only)):
        said = (f"{question} {each.value:.3f} ({each.low:.3f} to {each.high:.3f})" for question, each in shares.items())
        lines.append(f"right with {name}: " + ", ".join(said))
    lines.append("by chance: " + ", ".join(f"{name} {value:.3f}" for name, value in table.chance.items()))
    lines.append(f"{table.full[QUESTIONS[0]].of} scenes; bits at a step of {table.step:.3f}")
    return "\n".join([*lines, *table.missing])


def _apart(found: Distance | None, digits: int) -> str:
    return "-" if found is None else f"{found.value:z.{digits}f} | {found.floor:z.{digits}f}"


def _rate(row: Row) -> str:
    return "-" if row.rate is None else f"{row.rate}x"


def _points(gained: Share) -> str:
    return f"{100 * gained.value:+.1f} ± {50 * (gained.high - gained.low):.1f}"


def table_figure(table: Table) -> Figure:
    """Against the rate, a line for each compressor: what is unexplained, and joint answers put back and rebuilt, above CLS alone."""
    figure = new_figure(14.0, 4.6)
    panels = figure.subplots(1, 3)
    looks = compressor_looks([row.name for row in table.rows if row.rate is not None])
    for number, (name, look) in enumerate(looks.items()):
        rows = [row for row in table.rows if row.name == name]
        rates = [row.rate * 1.015 ** (number - len(looks) / 2) for row in rows]  # a little apart, so that intervals can be read
        panels[0].plot(rates, [row.variance_unexplained for row in rows], label=name, markersize=4.5, **look)
        for panel, way in zip(panels[1:], ("put_back", "rebuilt")):
            joint = [getattr(row, way)["joint"] for row in rows]
            reach = [[each.value - each.low for each in joint], [each.high - each.value for each in joint]]
            panel.errorbar(rates, [each.value for each in joint], reach, elinewidth=0.6, markersize=4.5, **look)
    panels[0].set(yscale="log", ylabel="variance unexplained, rebuilt", title="what is lost")
    ticks = sorted({row.rate for row in table.rows if row.rate is not None})
    for panel, title in zip(panels[1:], ("put back into CLIP", "rebuilt")):
        panel.axhline(0.0, color="0.5", lw=0.8)
        panel.axhline(table.full["joint"].value - table.cls_only["joint"].value, color="0.5", lw=0.8, ls="--")
        panel.set(ylabel="joint answers right, above CLS only", title=f"{title}; dashed: all tokens")
    for panel in panels:
        panel.set(xscale="log", xlabel="places for each token that passes")
        panel.set_xticks(ticks, [f"{rate}" for rate in ticks])
        panel.set_xticks([], minor=True)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


@dataclass
class Settings:
    """Every key of the command line."""

    clip: str = key("shipped weights, a folder, or a name of the hub: whose tokens are compressed", "clip")
    scenes: int = key("fresh scenes that are measured", SCENES)
    fitted: int = key("training scenes for PCA and means", FITTED)
    levels: int = key("steps of the rounding to a token's standard deviation", LEVELS)
    weights: str | None = key("folder of the learned compressors; null: the shipped ones", None)
    out: str = key("folder for table.csv and table.png", "outputs/table")
    progress: bool = key("show a progress bar", True)


def run(settings: Settings) -> str:
    """Measure, write table.csv and table.png, and return the table as it is printed."""
    out, folder = Path(settings.out), Path(settings.weights or DATA / "weights")
    check_writable(out)
    table = compressor_table(ClipTokens.load(settings.clip), settings.scenes, settings.fitted, levels=settings.levels, folder=folder,
                             progress=settings.progress)
    write_csv(out / "table.csv", [flat(row) for row in table.rows])
    with atomic(out / "table.png") as temporary:
        table_figure(table).savefig(temporary, format="png", dpi=120)
    return text(table)


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    return serve(Settings, "course_lib.tokens.table", __doc__, run)


if __name__ == "__main__":
    sys.exit(main())
