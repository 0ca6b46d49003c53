"""Moving every control of a notebook through Python, because nbmake stays green when a callback raises."""

import re
from pathlib import Path

import nbformat
from isolation import execute_isolated

MOVE = (Path(__file__).parent / "move_controls.py").read_text(encoding="utf-8")  # prints how many it moved


def moved(printed: str) -> int:
    """Return the number of controls that MOVE says it moved."""
    return int(re.search(r"moved (\d+) controls", printed)[1])


def move_everything(notebook, folder: Path) -> tuple[int, list[str]]:
    """Run a notebook cut off and then move its controls; return how many there were, and every error that shows anywhere."""
    notebook.cells.append(nbformat.v4.new_code_cell(MOVE))
    try:
        notebook = execute_isolated(notebook, folder)
    except AssertionError as error:
        return 0, [str(error)]
    widgets = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    outputs = [output for widget in widgets.get("state", {}).values() for output in widget["state"].get("outputs", [])]
    outputs += [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    errors = [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]
    return moved("".join(output.get("text", "") for output in notebook.cells[-1].outputs)), errors
