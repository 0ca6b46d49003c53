"""The set-up cell, as it stands in every notebook, executed where Colab would: /content, Colab's module, and no course_lib yet.

git clones a copy of this checkout instead of the published repository, pip may ask no index, and the network is cut; all
else is real. The widgets and plotly are those of the environment: `make test-oldest` runs this file with Colab's.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest
from isolation import CLIENT, copy_checkout, prefix, run_isolated

from notebooks.build import SETUP, course

CELL = SETUP.format(**course())
WORKS = """
import course_lib, ipywidgets, plotly, torch
from importlib.metadata import version
from course_lib.core.weights import load_pretrained
from course_lib.latents.explorer import BetaExplorer
explorer = BetaExplorer(load_pretrained("latents_family"), beta=1.0)
before = explorer.words.value
explorer.beta.index = 0
assert explorer.words.value != before and "alert" not in explorer.words.value
print(course_lib.__file__, version("torch") == torch.__version__.split("+")[0], ipywidgets.__version__, plotly.__version__)
"""
# A root with everything that this one has and an empty /content; where that is not allowed, /content is elsewhere.
ROOT_WITH_CONTENT = """
set -e; new=$1; shift
mount -t tmpfs tmpfs "$new"
for each in /*; do
    if [ -L "$each" ]; then cp -P "$each" "$new/"
    elif [ -d "$each" ] && [ "$each" != /content ]; then mkdir "$new$each" && mount --rbind "$each" "$new$each"
    fi
done
mkdir "$new/content"
here=$PWD; exec chroot "$new" /bin/bash -c 'cd "$0" && exec "$@"' "$here" "$@"
"""


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """A Python that has all packages but course_lib, with its pip; git that finds the published repository on this machine."""
    copy_checkout(tmp_path / "published", branch=course()["branch"])
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    programs = tmp_path / "venv" / "bin"
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))  # a path only: the editable course_lib is not found by it
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    (programs / "pip").write_text(f'#!/bin/bash\nexec {programs / "python"} -m pip "$@"\n')
    (programs / "pip").chmod(0o755)
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{tmp_path / 'published'}.insteadOf",
           "GIT_CONFIG_VALUE_0": f"https://github.com/{course()['repo']}"}
    pip = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for key, value in (git | pip | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}).items():
        monkeypatch.setenv(key, value)
    return programs / "python"


def run_cells(python: Path, folder: Path, *cells: str):
    """Run code cells in one kernel in an empty working directory, and in a root with an empty /content; return them."""
    here, content = folder / "here", "/content" if prefix() else str(folder / "content")
    for made in (here, folder / "root", folder / "content"):
        made.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.replace("/content", content)) for cell in cells])
    nbformat.write(notebook, here / "given.ipynb")
    root = ("bash", "-c", ROOT_WITH_CONTENT, "bash", str(folder / "root")) if prefix() else ()
    done = run_isolated(here, *root, str(python), str(CLIENT), "cut off" if prefix() else "watched")
    assert done.returncode == 0, done.stderr[-3000:]
    return nbformat.read(here / "executed.ipynb", as_version=4).cells, content


def printed(cell) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def test_the_cell_fetches_the_course_keeps_torch_and_the_explorers_work(colab, tmp_path):
    cells, content = run_cells(colab, tmp_path, "import google.colab", CELL, WORKS, CELL, "!cat /content/torch.txt")
    assert printed(cells[1]).startswith("course_lib ") and printed(cells[1]).count("\n") == 1  # one line of versions, nothing else
    library, torch_stays, *versions = printed(cells[2]).split()
    assert library == f"{content}/course/course_lib/__init__.py" and torch_stays == "True"
    import ipywidgets
    import plotly
    assert versions == [ipywidgets.__version__, plotly.__version__]
    assert printed(cells[3]) == printed(cells[1])  # a second time it only checks
    assert "torch==" in printed(cells[4]) and "torchvision==" in printed(cells[4])


def test_elsewhere_without_the_course_it_says_what_to_do(colab, tmp_path):
    program = f"from IPython.core.inputtransformer2 import TransformerManager\nexec(TransformerManager().transform_cell({CELL!r}))"
    done = subprocess.run([str(colab), "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("course_lib is not installed: run `make lab`")
    assert done.stderr.count("\n") == 1
