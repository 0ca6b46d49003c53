"""Pictures of the atlas: every value has its mark, every number is printed, and the page holds all that it shows."""

import base64
import gzip
import html
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from plotly.offline import get_plotlyjs

from course_lib.codes.atlas import Atlas, collect, make_maps
from course_lib.codes.figures_atlas import MARKS, SYMBOLS, atlas_figure, atlas_scatter, look, scores_figure
from course_lib.core.errors import BadInput
from course_lib.core.weights import load_pretrained
from course_lib.slots.scenes import COLOURS, Shapes


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    """Objects of Shapes, with codes that are no model's."""
    found = collect(load_pretrained("slots_shapes"), Shapes(seed=2**40), 12)
    codes = torch.arange(2 * len(found)).view(-1, 2)
    return replace(found, codes=codes, quantized=found.slots.round())


@pytest.fixture(scope="module")
def maps(atlas):
    return make_maps(atlas, ("slots", "codes"), ("pca",)) | {"t-SNE of slots": np.random.default_rng(0).normal(size=(len(atlas), 2)).astype(np.float32)}


def held(page: str, what: str):
    packed = re.search(f'<script type="text/plain" id="{what}">([^<]*)</script>', page)[1]
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_a_row_for_each_map_and_a_legend_for_each_factor(atlas, maps):
    figure = atlas_figure(atlas, maps, ["kind", "colour"])
    figure.canvas.draw()
    axes = np.array(figure.axes).reshape(4, 2)
    assert [each.get_title(loc="left") for each in axes[0]] == ["kind", "colour"]
    assert [each.get_ylabel().split("\n")[0] for each in axes[:3, 0]] == list(maps)
    for column, factor in enumerate(["kind", "colour"]):
        legend = [text.get_text() for text in axes[3, column].get_legend().get_texts()]
        assert legend == list(atlas.values[factor])
        for row, places in enumerate(maps.values()):
            drawn = [np.asarray(points.get_offsets()) for points in axes[row, column].collections]
            assert [len(points) for points in drawn] == torch.bincount(atlas.factors[factor], minlength=len(legend)).tolist()
            first = int(atlas.factors[factor][0])
            assert np.allclose(drawn[first][0], places[0])
    assert atlas_figure(atlas, maps).axes[0].get_title(loc="left") == "place"


def test_every_value_looks_different(atlas):
    assert len(MARKS) == len(SYMBOLS)
    for factor, values in atlas.values.items():
        looks = [look(factor, value, k) for k, value in enumerate(values)]
        assert len({colour for colour, _ in looks}) == len({mark for _, mark in looks}) == len(values)
    assert len({look("clusters", f"cluster {k}", k) for k in range(81)}) == 81
    assert look("colour", "red", 0)[0] == "#e31a1c" and look("kind", "red", 0)[0] != "#e31a1c"


def test_scores_are_printed_on_one_scale():
    rows = [{"vectors": vectors, "clustering": method, "factor": factor, "clusters": 3, "noise": noise, "ari": ari, "nmi": 0.5, "nmi_by_chance": 0.0}
            for vectors, method, noise in (("slots", "k-means", 0.0), ("codes", "dbscan", 0.25))
            for factor, ari in (("kind", 0.91), ("colour", -0.12))]
    figure = scores_figure(rows)
    figure.canvas.draw()
    left, right = figure.axes[:2]
    assert [text.get_text() for text in left.texts] == ["0.91", "−0.12"] * 2 and [text.get_text() for text in right.texts] == ["0.50"] * 4
    assert [label.get_text() for label in left.get_yticklabels()] == ["slots, k-means", "codes, dbscan (25% noise)"]
    assert all(axes.images[0].get_clim() == (0, 1) for axes in (left, right))


def test_the_page_holds_everything(atlas, maps):
    clusters = {"dbscan of slots": np.arange(len(atlas)) % 3 - 1, "k-means": np.arange(len(atlas)) % 2}
    page = atlas_scatter(atlas, maps, "kind", clusters).html
    assert held(page, "library") == get_plotlyjs()
    data = json.loads(held(page, "data"))
    assert list(data["maps"]) == list(maps) and data["first"] == "kind"
    for name, places in maps.items():
        np.testing.assert_allclose(np.array(data["maps"][name]).T, places, atol=6e-4)
    assert data["words"] == [atlas.words(row) for row in range(len(atlas))] and "codes 0 1" in data["words"][0]
    assert list(data["colourings"]) == [*atlas.factors, *clusters]
    assert data["colourings"]["kind"]["number"] == atlas.factors["kind"].tolist()
    noisy = data["colourings"]["dbscan of slots"]
    assert noisy["values"] == ["noise", "cluster 1", "cluster 2"] and noisy["number"][:3] == [0, 1, 2]
    assert data["colourings"]["k-means"]["values"] == ["cluster 1", "cluster 2"]
    sheet, tile = np.array(Image.open(io.BytesIO(base64.b64decode(data["sheet"].split(",")[1])))), data["tile"]
    for row in (0, len(atlas) - 1):
        y, x = (tile * place for place in divmod(data["scene"][row], data["columns"]))
        assert np.array_equal(sheet[y : y + tile, x : x + tile], atlas.pictures[atlas.scene[row]].numpy())
        centre = (torch.tensor(data["frame"][row][:2]) * tile).long()
        colour = torch.tensor(list(COLOURS.values()))[atlas.factors["colour"][row]]
        assert np.array_equal(sheet[y + centre[1], x + centre[0]], (255 * colour).round().byte().numpy())


def test_the_page_asks_nothing_of_the_network_and_is_small(atlas, maps, tmp_path):
    page = atlas_scatter(atlas, maps)
    own = re.sub(r'(<script type="text/plain"[^>]*>)[^<]*', r"\1", page.html)
    assert "http" not in own and "src=" not in own and "@import" not in own
    assert len(page.html) < 2.2e6 and page.html == atlas_scatter(atlas, maps).html
    assert page.save(tmp_path / "new/atlas.html").read_text(encoding="utf-8") == page.html
    shown = page._repr_html_()
    assert shown.startswith("<iframe") and html.unescape(re.search('srcdoc="([^"]*)"', shown)[1]) == page.html


def test_compressed_text_may_look_like_a_place_to_fill(atlas, maps, monkeypatch):
    from course_lib.codes import figures_atlas

    monkeypatch.setattr(figures_atlas, "_library", lambda: "aDATAbHEIGHTc")  # as it once did, by chance
    page = atlas_scatter(atlas, maps).html
    assert '<script type="text/plain" id="library">aDATAbHEIGHTc</script>' in page and held(page, "data")


def test_bad_input_is_one_sentence(atlas, maps):
    other = {"PCA": np.zeros((3, 2), np.float32)}
    for call, words in ((lambda: atlas_figure(atlas, {}), "no map to show"), (lambda: atlas_scatter(atlas, {}), "no map to show"),
                        (lambda: atlas_figure(atlas, maps, ["hue"]), "place, kind, colour, size, not 'hue'"),
                        (lambda: atlas_scatter(atlas, maps, "hue"), "place, kind, colour, size, not 'hue'"),
                        (lambda: atlas_scatter(atlas, other), rf"'PCA' must have shape \({len(atlas)}, 2\), not \(3, 2\)"),
                        (lambda: atlas_scatter(atlas, maps, clusters={"mine": np.zeros(3, int)}), "'mine' are of 3 objects"),
                        (lambda: scores_figure([]), "no score")):
        with pytest.raises(BadInput, match=words):
            call()
