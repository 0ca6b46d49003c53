"""Who uses what is read from the code itself: names, attributes of modules, and what a module only hands on."""

import ast
from pathlib import Path

import pytest
from usage import defined, imported, named_in, notebooks, sections_of, uses

from course_lib.core.paths import ROOT

SOURCE = '''# %% [markdown]
# # 99 · A title
#
# Words before the first section.

# %%
from course_lib.latents import losses
from course_lib.latents.metrics import wasserstein1 as w1

# %% [markdown]
# ## 1 · First
#
# ### Exercise: a part

# %%
distance = w1(a, b)

# %% [markdown]
# ## What you found

# %%
losses.squared_error(x, y); CODES; squared_error = "a word is no use"
'''


@pytest.fixture
def sections(tmp_path: Path):
    path = tmp_path / "99_topic.py"
    path.write_text(SOURCE, encoding="utf-8")
    return sections_of(path)


def test_a_name_belongs_to_the_section_that_says_it_and_not_to_the_one_that_imports_it(sections):
    assert [(section.title, section.functions) for section in sections] == [
        ("1 · First", ["latents.metrics.wasserstein1"]), ("What you found", ["latents.losses.squared_error"])]


def test_a_section_is_called_by_its_own_title_or_by_that_of_a_part(sections):
    first, last = sections
    assert first.holds("99_topic › 1 · First") and first.holds("99_topic › Exercise: a part")
    assert not last.holds("99_topic › Exercise: a part") and not first.holds("98_topic › 1 · First")


def test_what_is_only_handed_on_counts_where_it_is_defined():
    assert defined("tokens.table.compressor_table") == "tokens.comparison.compressor_table"
    assert defined("latents.losses.squared_error") == "latents.losses.squared_error"
    assert defined("slots.attention.GRADIENTS") == "slots.attention.GRADIENTS"  # neither function nor class: stays


@pytest.mark.parametrize("code", [
    "from course_lib.latents.losses import squared_error\nsquared_error(1, 2)",
    "from course_lib.latents.losses import squared_error as s\nrun(s)",
    "from course_lib.latents import losses\nlosses.squared_error",
    "import course_lib.latents.losses as l\nl.squared_error(x)"])
def test_every_way_to_name_a_function(code):
    tree = ast.parse(code)
    assert uses(tree, imported(tree)) == {"latents.losses.squared_error"}


@pytest.mark.parametrize("code", ["from course_lib.latents import losses\nlosses", "from numpy import mean\nmean(x)", "'squared_error'"])
def test_a_module_a_stranger_and_a_word_are_no_functions_of_the_course(code):
    tree = ast.parse(code)
    assert uses(tree, imported(tree)) == set()


def test_a_test_that_imports_a_function_touches_it():
    found = named_in([ROOT / "tests/latents/test_losses.py"])
    assert found["latents.losses.kl_to_prior"] == ["latents/test_losses.py"]


def test_all_notebooks_are_read():
    assert [path.name[:2] for path in notebooks()] == [f"{number:02d}" for number in range(14)]
