"""The generator: what it makes of a source, and that it refuses what would give a learner a broken notebook."""

import json

import nbformat
import pytest

from course_lib.core.errors import BadInput
from notebooks.build import (build, derived, learner_code, main, refresh, relink, rewrite_links, solution_code, stale,
                             write)

COURSE = {"repo": "someone/somewhere", "branch": "trunk"}
SOURCE = '''\
# %% [markdown]
# # A title
# The KL is {{toy.kl:.2f}} nats; see [the data](../data/README.md).

# %%
def double(x):
    """Return 2x."""
    ### BEGIN SOLUTION
    # stub: y = 0
    # stub: return y
    return 2 * x
    ### END SOLUTION

# %% tags=["solution-only"]
assert double(2) == 4

# %%
double(3)

# %%
double(3)
'''


@pytest.fixture
def root(tmp_path):
    """A course of one notebook, in an empty folder."""
    files = {
        "pyproject.toml": f'[tool.course]\nrepo = "{COURSE["repo"]}"\nbranch = "{COURSE["branch"]}"\n',
        "README.md": "KL <!--=toy.kl:.1f-->?<!--/--> nats\n",
        "data/claims.json": json.dumps({"toy.kl": {"value": 0.918}}),
        "notebooks/source/01_toy.py": SOURCE,
        "slides/1_toy.md": "https://colab.research.google.com/github/old/name/blob/main/notebooks/01_toy.ipynb\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def made(source: str = SOURCE, solution: bool = False):
    text = build(source, "01_toy", solution=solution, tool_course=COURSE, numbers={"toy.kl": 0.918})
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_a_learner_gets_the_stub_and_a_solutions_copy_the_solution():
    learner, solution = (made(solution=which).cells[2].source for which in (False, True))
    assert learner.endswith("a placeholder.\n    y = 0\n    return y") and "2 * x\n" not in learner
    assert solution == 'def double(x):\n    """Return 2x."""\n    return 2 * x'
    for code, answer in ((learner, 0), (solution, 6)):
        scope = {}
        exec(code, scope)
        assert scope["double"](3) == answer


def test_solution_only_cells_are_dropped_for_the_learner():
    assert "assert" not in "".join(cell.source for cell in made().cells[2:])
    assert "assert double(2) == 4" in [cell.source for cell in made(solution=True).cells]


def test_badge_first_then_title_then_setup_and_links_from_one_folder_deeper():
    for solution, path, link in ((False, "01_toy", "../data"), (True, "solutions/01_toy", "../../data")):
        first, setup = made(solution=solution).cells[:2]
        address = f"https://colab.research.google.com/github/someone/somewhere/blob/trunk/notebooks/{path}.ipynb"
        assert first.source.splitlines()[0].endswith(f"({address})")
        assert first.source.splitlines()[2:] == ["# A title", f"The KL is 0.92 nats; see [the data]({link}/README.md)."]
        assert "--branch trunk https://github.com/someone/somewhere /content/course" in setup.source
        assert 6 <= len(setup.source.splitlines()) <= 10


def test_the_same_source_gives_the_same_bytes_with_unique_ids_and_no_outputs():
    one, two = (build(SOURCE, "01_toy", solution=True, tool_course=COURSE, numbers={"toy.kl": 1.0}) for _ in range(2))
    assert one == two
    cells = nbformat.reads(one, as_version=4).cells
    assert len({cell.id for cell in cells}) == len(cells)
    assert all(not cell.outputs and cell.execution_count is None for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize("old, new, word", [
    ("# # A title", "# A title", "title"),
    ("    # stub: y = 0\n    # stub: return y\n", "", "stub"),
    ("    ### END SOLUTION\n", "", "marker"),
    ("    ### BEGIN SOLUTION\n", "", "marker"),
    ("toy.kl", "toy.missing", "toy.missing"),
])
def test_a_wrong_source_is_refused_in_one_sentence_that_names_it(old, new, word):
    assert old in SOURCE
    with pytest.raises(BadInput, match=word) as error:
        made(SOURCE.replace(old, new))
    assert str(error.value).startswith("notebooks/source/01_toy.py: ") and "\n" not in str(error.value)


def test_code_without_solutions_is_left_alone():
    code = "x = 1  # a comment\n\nprint(x)"
    assert learner_code(code) == solution_code(code) == code


def test_stale_files_are_found_by_content_and_written_once(root):
    files = {path.relative_to(root).as_posix() for path in stale(root)}
    assert files == {"README.md", "notebooks/01_toy.ipynb", "notebooks/solutions/01_toy.ipynb"}
    assert len(write(root)) == 3 and stale(root) == write(root) == []
    assert (root / "README.md").read_text() == "KL <!--=toy.kl:.1f-->0.9<!--/--> nats\n"
    notebook = root / "notebooks" / "01_toy.ipynb"
    notebook.write_text(notebook.read_text().replace("double", "triple"))
    orphan = root / "notebooks" / "02_gone.ipynb"
    orphan.write_text("{}")
    assert stale(root) == [notebook, orphan]


def test_one_wrong_source_leaves_every_notebook_as_it_was(root):
    write(root)
    before = {path: path.read_text() for path in derived(root)}
    (root / "notebooks" / "source" / "01_toy.py").write_text(SOURCE.replace("A title", "Another"))
    (root / "notebooks" / "source" / "02_bad.py").write_text("x = 1\n")
    with pytest.raises(BadInput, match="02_bad"):
        write(root)
    assert {path: path.read_text() for path in before} == before


def test_a_missing_number_is_tolerated_only_when_asked(root):
    (root / "data" / "claims.json").unlink()
    with pytest.raises(BadInput, match="toy.kl"):
        write(root)
    write(root, unfilled=True)
    assert "The KL is ? nats" in (root / "notebooks" / "01_toy.ipynb").read_text()
    assert "-->?<!--" in (root / "README.md").read_text()


def test_links_name_the_repository_of_pyproject(root):
    assert len(rewrite_links(root)) == 4 and rewrite_links(root) == []
    assert "/github/someone/somewhere/blob/trunk/notebooks/" in (root / "slides" / "1_toy.md").read_text()


def test_relink_changes_our_addresses_and_no_others():
    text = ("git clone https://github.com/old/name && cd name; https://github.com/old/name/blob/main/README.md; "
            "https://github.com/old/name-2; https://github.com/other/project/tree/main/x; "
            "(https://mybinder.org/v2/gh/old/name/main?urlpath=lab)")
    assert relink(text, COURSE) == (
        "git clone https://github.com/someone/somewhere && cd name; "
        "https://github.com/someone/somewhere/blob/trunk/README.md; "
        "https://github.com/old/name-2; https://github.com/other/project/tree/main/x; "
        "(https://mybinder.org/v2/gh/someone/somewhere/trunk?urlpath=lab)")


def test_refresh_is_stable():
    once = refresh("<!--=a:.2f-->old<!--/--> and <!--=a:.0f--><!--/-->", {"a": 3.14159})
    assert once == "<!--=a:.2f-->3.14<!--/--> and <!--=a:.0f-->3<!--/-->" == refresh(once, {"a": 3.14159})


def test_command_line_says_what_it_can_do(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    said = capsys.readouterr().out
    assert done.value.code == 0 and all(command in said for command in ("write", "check", "links"))
