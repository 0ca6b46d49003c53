"""One executed notebook -> one HTML page for a browser without a kernel and without a network.

Pictures lie inside the page; formulas are drawn by MathJax, one file beside all pages, which the slides' tool brings; an
explorer becomes its picture, its words and where its controls stand.
"""

import html
import re
import shutil
from pathlib import Path

from nbconvert import HTMLExporter

from course_lib.core.paths import ROOT

MATHJAX = "mathjax.js"
BROUGHT = ROOT / "slides" / "node_modules" / "mathjax-full" / "es5" / "tex-svg.js"  # fonts inside, nothing is fetched
WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
FLOW = {"HBox": "row wrap; gap: 0 2em", "VBox": "column"}
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}
<script>MathJax = {tex: {inlineMath: [['$', '$'], ['\\\\(', '\\\\)']], tags: 'ams'}, options: {enableMenu: false}};</script>
<script src="MATHJAX" defer></script>
{%- endblock -%}
""".replace("MATHJAX", MATHJAX)


def page(notebook, name: str) -> str:
    """Return the page of an executed solutions copy."""
    widgets = notebook.metadata.pop("widgets", {}).get(STATE, {}).get("state", {})
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source.split("\n\n", 1)[1] if number == 0 else cell.source)  # without the Colab badge
        for output in cell.get("outputs", []):
            if view := output.get("data", {}).get(WIDGET):
                output.data = {"text/html": still(view["model_id"], widgets)}
    exporter = HTMLExporter(raw_template=TEMPLATE, embed_images=True)  # pictures are put in if they lie below `path`
    return exporter.from_notebook_node(notebook, resources={"metadata": {"path": str(ROOT), "name": name}})[0]


def linked(text: str) -> str:
    """Markdown of a solutions copy as html/ needs it: pictures from the root, pages instead of notebooks, one folder less up."""
    text = re.sub(r"(!\[[^\]]*\]\()\.\./\.\./", r"\1", text)
    return re.sub(r"\]\((\d\d_\w+)\.ipynb", r"](\1.html", text).replace("](../../", "](../")


def still(model: str, widgets: dict[str, dict]) -> str:
    """Return what a widget shows, as HTML that stands still: pictures, words, and each control with its value."""
    widget = widgets[model.removeprefix("IPY_MODEL_")]
    kind, state = widget["model_name"].removesuffix("Model"), widget["state"]
    if "children" in state:
        inside = "".join(still(child, widgets) for child in state["children"])
        return f'<div style="display: flex; flex-flow: {FLOW[kind]}">{inside}</div>'
    if kind == "Image":
        (buffer,) = widget["buffers"]
        return f'<img src="data:image/{state["format"]};base64,{buffer["data"]}" alt="The explorer: the words below say what it shows">'
    if kind == "HTML":
        return f"<div>{state['value']}</div>"
    if "_options_labels" in state and state.get("index") is not None:
        return _control(state, state["_options_labels"][state["index"]])
    if "value" in state and state.get("description") and "interval" not in state:  # a play button has no value of its own
        return _control(state, state["value"])
    return ""


def _control(state: dict, value: object) -> str:
    return f"<span>{html.escape(state['description'])}: <b>{html.escape(str(value))}</b></span>"


def put_mathjax(folder: Path) -> None:
    """Copy what draws the formulas into the folder of the pages."""
    shutil.copy(BROUGHT, folder / MATHJAX)
