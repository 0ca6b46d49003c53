"""For `make test-oldest` only, which has no JupyterLab: every learner's copy runs cut off, and its controls are moved.

`make test` does the same, and moves them by hand too, in tests/browser/test_lab.py.
"""

import nbformat
import pytest
from moving import move_everything

from course_lib.core.paths import ROOT

LEARNERS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("path", LEARNERS, ids=[path.stem for path in LEARNERS])
def test_learners_copy_runs_cut_off_and_no_control_raises(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    has_explorer = any("Explorer(" in cell.source for cell in notebook.cells if cell.cell_type == "code")
    count, errors = move_everything(notebook, tmp_path)
    assert errors == []
    assert count > 0 or not has_explorer
