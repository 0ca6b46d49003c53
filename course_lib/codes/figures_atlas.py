"""Pictures of the atlas: maps and scores as `matplotlib.figure.Figure`, and one page to hover and click in (`atlas_scatter`).

Every value of a factor has a colour and a marker, the same in both: colour is never alone.
"""

import base64
import gzip
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from plotly.offline import get_plotlyjs

from course_lib.codes.atlas import Atlas
from course_lib.core.errors import BadInput
from course_lib.core.paths import atomic
from course_lib.core.style import IMAGE_CMAP, new_figure
from course_lib.slots.figures import SLOT_COLOURS, bare
from course_lib.slots.scenes import COLOURS

PAINT = {name: to_hex(rgb) for name, rgb in COLOURS.items()} | {"magenta": "#ff33cc"}  # colours are drawn in themselves
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")  # of matplotlib, and below the same of plotly
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "triangle-left", "triangle-right")
NOISE = "#BBBBBB"
EDGE = "#444444"  # a line around each marker, that yellow can be seen on white
DRAWN = 1500  # points of a static map; the page shows all
TILE = 64  # pixels of a scene on the page's sheet, at most
Maps = Mapping[str, Float32[np.ndarray, "_ 2"]]


def look(factor: str, value: str, number: int) -> tuple[str, int]:
    """The colour of a factor's value, and the number of its marker in `MARKS` and `SYMBOLS`; number: of the value, from 0. No two of 81 values
    have both alike."""
    colour = PAINT.get(value) if factor == "colour" else NOISE if value == "noise" else None
    return colour or SLOT_COLOURS[number % 9], (number + number // 9) % len(MARKS)  # without the tenth colour, a pale grey


def atlas_figure(atlas: Atlas, maps: Maps, factors: Sequence[str] | None = None) -> Figure:
    """Small multiples: a row for each map, a column for each true factor, whose legend stands below its column.

    maps: as `make_maps` names them; one whose name begins with "PCA" has numbers on its axes. factors: by default all.
    Of a larger atlas the first 1500 objects are drawn. Raises `BadInput` for no map, a factor that the atlas does not have,
    or maps of other objects.
    """
    factors = list(atlas.factors if factors is None else factors)
    _check(atlas, maps, factors)
    many, shown = len(maps), min(len(atlas), DRAWN)
    figure = new_figure(2.9 * len(factors) + 0.4, 2.75 * many + 1.9)
    grid = figure.subplots(many + 1, len(factors), squeeze=False, height_ratios=[2.75] * many + [1.55])
    for column, factor in enumerate(factors):
        for axes, (name, places) in zip(grid[:-1, column], maps.items()):
            handles = _draw(axes, places[:shown], factor, atlas.factors[factor][:shown].numpy(), atlas.values[factor])
            if name.startswith("PCA"):
                axes.set_xlabel("first component", size=9)
            else:  # its numbers mean nothing
                axes.tick_params(labelbottom=False, labelleft=False, length=0)
            if column == 0:
                axes.set_ylabel(name + "\nsecond component" * name.startswith("PCA"))
        grid[0, column].set_title(factor)
        bare(grid[-1, column])
        grid[-1, column].legend(handles=handles, loc="upper center", fontsize=9, ncols=2 if len(handles) > 3 else 1, markerscale=1.6,
                                borderaxespad=0, handletextpad=0.2, columnspacing=0.8)
    return figure


def _draw(axes: Axes, places: Float32[np.ndarray, "objects 2"], factor: str, number: Int[np.ndarray, "objects"],
          values: Sequence[str]) -> list:
    handles = []
    for k, value in enumerate(values):
        colour, mark = look(factor, value, k)
        handles.append(axes.scatter(*places[number == k].T, s=11, color=colour, marker=MARKS[mark], edgecolors=EDGE, linewidths=0.25, label=value))
    axes.set(box_aspect=1)
    axes.tick_params(labelsize=8)
    return handles


def scores_figure(rows: Sequence[Mapping]) -> Figure:
    """The rows of `atlas.score` as two tables of colour, ARI and NMI, on one scale from 0 to 1 with every number printed.

    Raises `BadInput` for no row.
    """
    if not rows:
        raise BadInput("there is no score to show.")
    factors = list(dict.fromkeys(row["factor"] for row in rows))
    names = list(dict.fromkeys((row["vectors"], row["clustering"]) for row in rows))
    noise = {(row["vectors"], row["clustering"]): row["noise"] for row in rows if row["noise"]}
    labels = [f"{vectors}, {method}" + (f" ({noise[vectors, method]:.0%} noise)" if (vectors, method) in noise else "") for vectors, method in names]
    figure = new_figure(4.2 + 1.5 * len(factors), 1.3 + 0.42 * len(names))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, measure, title in zip(panels, ("ari", "nmi"), ("ARI (0: chance)", "NMI")):
        table = np.full((len(names), len(factors)), np.nan)
        for row in rows:
            table[names.index((row["vectors"], row["clustering"])), factors.index(row["factor"])] = row[measure]
        heat = axes.imshow(table, cmap=IMAGE_CMAP, vmin=0, vmax=1, aspect="auto")
        for (y, x), value in np.ndenumerate(table):
            axes.text(x, y, f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−"), ha="center", va="center",
                      color="black" if value > 0.6 else "white")
        axes.set(title=title, xticks=range(len(factors)), xticklabels=factors, yticks=range(len(names)), yticklabels=labels)
        axes.grid(False)
        axes.tick_params(length=0)
    figure.colorbar(heat, ax=panels, label="agreement with the truth")
    return figure


class AtlasPage:
    """A page of HTML, `height` pixels high, that needs no network and no kernel; the last expression of a cell shows it."""

    def __init__(self, page: str, height: int):
        self.html, self.height = page, height

    def save(self, path: str | Path) -> Path:
        """Write the page to `path`, whole or not at all, and return it; raises `BadInput` if the folder cannot be written."""
        with atomic(path) as file:
            file.write_text(self.html, encoding="utf-8")
        return Path(path)

    def _repr_html_(self) -> str:
        """In a frame of its own: no notebook's scripts or styles reach it, and none of its reach the notebook."""
        return (f'<iframe title="atlas of objects" srcdoc="{html.escape(self.html)}" width="100%" height="{self.height + 20}" '
                'style="border: 0"></iframe>')


def atlas_scatter(atlas: Atlas, maps: Maps, colour_by: str = "colour", clusters: Mapping[str, Int[np.ndarray, "_"]] | None = None,
                  height: int = 540) -> AtlasPage:
    """All objects on a map: hovering names one (its factors and codes), a click shows the picture that it is in, framed.

    Two menus choose among `maps` and among what colours the points, `colour_by` at first: the true factors, and `clusters`
    (name → the cluster of each object, −1 for noise). height: in pixels. plotly draws it (scattergl, or SVG in a browser without
    WebGL); plotly.js, the numbers and the pictures lie compressed in the page. Raises `BadInput` as `atlas_figure` does, and for
    clusters of other objects.
    """
    _check(atlas, maps, [colour_by] if colour_by not in (clusters or {}) else [])
    colourings = {name: _colouring(name, number.numpy(), atlas.values[name]) for name, number in atlas.factors.items()}
    for name, number in (clusters or {}).items():
        if len(number) != len(atlas):
            raise BadInput(f"clusters {name!r} are of {len(number)} objects, and the atlas has {len(atlas)}.")
        noise = int(number.min() < 0)
        values = ["noise"] * noise + [f"cluster {k + 1}" for k in range(int(number.max()) + 1)]
        colourings[name] = _colouring(name, number + noise, values)
    used, scene = np.unique(atlas.scene.numpy(), return_inverse=True)
    sheet, tile, columns = _sheet(atlas.pictures.numpy()[used])
    frame = np.concatenate([atlas.position.numpy() + 1, atlas.radius.numpy()[:, None]], 1) / 2  # x, y and radius, picture from 0 to 1
    data = {"maps": {name: np.round(places.astype(float), 3).T.tolist() for name, places in maps.items()},
            "colourings": colourings, "first": colour_by, "words": [atlas.words(row) for row in range(len(atlas))],
            "scene": scene.tolist(), "frame": np.round(frame.astype(float), 3).tolist(), "sheet": sheet, "tile": tile, "columns": columns}
    parts = {"HEIGHT": str(height), "LIBRARY": _library(), "DATA": _packed(json.dumps(data))}
    return AtlasPage(re.sub("HEIGHT|LIBRARY|DATA", lambda found: parts[found[0]], PAGE), height)  # in one go: what is put in may hold these words


def _check(atlas: Atlas, maps: Maps, factors: Sequence[str]) -> None:
    if not maps:
        raise BadInput("there is no map to show; make one with `make_maps`.")
    for name, places in maps.items():
        if places.shape != (len(atlas), 2):
            raise BadInput(f"the map {name!r} must have shape ({len(atlas)}, 2), not {tuple(places.shape)}: is it of another atlas?")
    if unknown := [name for name in factors if name not in atlas.factors]:
        raise BadInput(f"the factors of this atlas are {', '.join(atlas.factors)}, not {unknown[0]!r}.")


def _colouring(name: str, number: Int[np.ndarray, "objects"], values: Sequence[str]) -> dict:
    looks = [look(name, value, k) for k, value in enumerate(values)]
    return {"number": number.tolist(), "values": list(values), "colours": [colour for colour, _ in looks],
            "symbols": [SYMBOLS[mark] for _, mark in looks]}


def _sheet(pictures: np.ndarray) -> tuple[str, int, int]:
    """All scenes on one PNG, as a data URI; the side of a scene in pixels; how many there are in a row."""
    columns, tile = max(int(np.ceil(len(pictures) ** 0.5)), 1), min(TILE, pictures.shape[1])
    sheet = Image.new("RGB", (columns * tile, -(-len(pictures) // columns) * tile))
    for k, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((tile, tile), Image.Resampling.BOX)
        sheet.paste(small, (k % columns * tile, k // columns * tile))
    file = io.BytesIO()
    sheet.save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), tile, columns


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


@cache
def _library() -> str:
    """plotly.js, compressed to about a third, as it comes with plotly: nothing is fetched."""
    return _packed(get_plotlyjs())


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Atlas of objects</title>
<style>
body { margin: 0; font: 14px sans-serif; color: #222; background: white; }
#all { display: flex; height: HEIGHTpx; }
#chart { flex: 1; min-width: 0; }
#side { width: 250px; padding: 6px; }
#side label { display: block; margin-bottom: 8px; }
select, input { font: inherit; max-width: 240px; }
#picture { width: 240px; height: 240px; background: #eee; }
</style></head><body>
<div id="all"><div id="chart"></div><div id="side">
<label>map<br><select id="map"></select></label>
<label>colour by<br><select id="colouring"></select></label>
<label>object <input id="row" type="number" min="1" step="1"></label>
<canvas id="picture" width="480" height="480" role="img" aria-label="no object chosen"></canvas>
<p id="words" aria-live="polite">Hover to name an object, click to see it.</p>
</div></div>
<script type="text/plain" id="library">LIBRARY</script>
<script type="text/plain" id="data">DATA</script>
<script>
const at = id => document.getElementById(id);
const unpack = id => {
  const bytes = Uint8Array.from(atob(at(id).textContent), c => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const start = async () => {
  const script = document.createElement("script"), sheet = new Image();
  script.textContent = await unpack("library");
  document.head.append(script);
  const data = JSON.parse(await unpack("data")), rows = [...data.scene.keys()];
  const webgl = !!document.createElement("canvas").getContext("webgl");
  let chosen = null;
  const draw = () => {
    const [x, y] = data.maps[at("map").value], by = data.colourings[at("colouring").value], pca = at("map").value.startsWith("PCA");
    const trace = (own, more) => ({type: webgl ? "scattergl" : "scatter", mode: "markers", x: own.map(i => x[i]), y: own.map(i => y[i]), ...more});
    const traces = by.values.map((name, k) => {
      const own = rows.filter(i => by.number[i] === k);
      return trace(own, {name, customdata: own, text: own.map(i => data.words[i].replace(", ", "<br>").replace(", codes", "<br>codes")),
        hovertemplate: "%{text}<extra></extra>", hoverlabel: {bgcolor: "white", bordercolor: by.colours[k], font: {color: "#222"}},
        marker: {color: by.colours[k], symbol: by.symbols[k], size: 7, line: {width: 0.5, color: "#444"}}});
    });
    const ring = chosen === null ? [] : [chosen];
    traces.push(trace(ring, {showlegend: false, hoverinfo: "skip", marker: {symbol: "circle-open", size: 18, color: "black", line: {width: 3}}}));
    const axis = name => ({title: {text: pca ? name + " component" : ""}, showticklabels: pca, zeroline: false, gridcolor: "#e6e6e6"});
    const layout = {margin: {l: pca ? 56 : 16, r: 6, t: 30, b: pca ? 44 : 16}, hovermode: "closest", uirevision: at("map").value, plot_bgcolor: "white",
      xaxis: axis("first"), yaxis: axis("second"), legend: {title: {text: at("colouring").value}, itemsizing: "constant"}};
    return Plotly.react(at("chart"), traces, layout, {displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"],
      showSendToCloud: false, plotlyServerURL: ""});
  };
  const show = i => {
    chosen = i;
    const side = 480, tile = data.tile, n = data.scene[i], [x, y, r] = data.frame[i].map(v => v * side), pen = at("picture").getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(sheet, n % data.columns * tile, Math.floor(n / data.columns) * tile, tile, tile, 0, 0, side, side);
    for (const [colour, width] of [["black", 8], ["white", 4]]) {
      pen.strokeStyle = colour; pen.lineWidth = width; pen.strokeRect(x - 1.1 * r, y - 1.1 * r, 2.2 * r, 2.2 * r);
    }
    at("row").value = i + 1;
    at("picture").ariaLabel = at("words").textContent = data.words[i];
    return draw();
  };
  for (const [id, names, first] of [["map", Object.keys(data.maps)], ["colouring", Object.keys(data.colourings), data.first]]) {
    at(id).append(...names.map(name => new Option(name, name)));
    if (first) at(id).value = first;
    at(id).onchange = draw;
  }
  at("row").max = rows.length;
  at("row").onchange = () => { const i = at("row").valueAsNumber - 1; if (rows.includes(i)) show(i); };
  sheet.src = data.sheet;
  await sheet.decode();
  await draw();
  at("chart").on("plotly_click", event => show(event.points[0].customdata));
  document.body.dataset.ready = webgl ? "webgl" : "svg";
};
start().catch(error => { at("words").textContent = "The atlas cannot be shown in this browser: " + error; });
</script></body></html>
"""
