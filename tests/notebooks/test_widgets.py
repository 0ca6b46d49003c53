"""The code that moves all controls of a notebook reaches every kind of control, and finds a callback that raises.

It is what tests/browser/test_lab.py runs at the end of every learner's notebook.
"""

import nbformat
import pytest
from isolation import execute_isolated
from moving import move_everything
EVERY_KIND = """
import ipywidgets as w
kinds = [w.IntSlider(), w.FloatSlider(), w.FloatLogSlider(), w.IntRangeSlider(), w.Play(), w.BoundedFloatText(),
         w.Text(), w.Dropdown(options="ab"), w.SelectionSlider(options="ab"), w.SelectionRangeSlider(options="abc"),
         w.Checkbox(), w.SelectMultiple(options="ab"), w.ToggleButtons(options="ab"), w.RadioButtons(options="ab"),
         w.ToggleButton()]
touched = set()
for kind in kinds:
    kind.observe(lambda change: touched.add(type(change.owner)), "value")
button = w.Button()
button.on_click(lambda button: touched.add(type(button)))
"""
BROKEN = {
    "observe": "s = w.IntSlider()\ns.observe(lambda change: 1 / 0, 'value')",
    "interact": "w.interact(lambda x: 1 / max(0, 90 - x), x=w.IntSlider(max=100))",
    "button": "b = w.Button()\nb.on_click(lambda button: 1 / 0)",
    "shown, not raised": "s, h = w.IntSlider(), w.HTML()\nalert = '<p role=\"alert\">ZeroDivisionError</p>'\n"
                         "s.observe(lambda change: setattr(h, 'value', alert), 'value')",
}


def made_of(*cells: str):
    """Return a notebook of these code cells."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def test_every_kind_of_control_is_moved(tmp_path):
    notebook = made_of(EVERY_KIND)
    moved, errors = move_everything(notebook, tmp_path)
    assert (moved, errors) == (16, [])
    check = "assert touched == {type(k) for k in [*kinds, button]}, {type(k) for k in [*kinds, button]} - touched"
    notebook.cells.append(nbformat.v4.new_code_cell(check))
    execute_isolated(notebook, tmp_path)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_callback_that_raises_is_found(kind, tmp_path):
    _, errors = move_everything(made_of("import ipywidgets as w", BROKEN[kind]), tmp_path)
    assert "ZeroDivisionError" in " ".join(errors)
