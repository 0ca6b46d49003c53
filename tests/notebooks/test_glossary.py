"""The glossary: what is taken of a notebook as the definition of a term."""

import re

import pytest

from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT
from notebooks.glossary import glossary

SOURCE = """# %% [markdown]
# # Toy
#
# ## 1 · Nouns
#
# A first one (as in Yu et al. 2020) is dull. A **noun** names {{n:.0f}} things, see [a card](../data/card.json). More of it.
#
# For two of them,
#
# $$a + b,$$
#
# we say a **pair**. A **list** has
#
# - one thing;
# - or many, as **verbs** do.
#
# ### Exercise: not a section
#
# **Predict first:** a **guess** comes before:

# %%
print("**code**")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "01_toy.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def entries(folder, terms: str) -> dict[str, str]:
    """What the glossary says of each entry of [01_toy]."""
    (folder / "glossary.toml").write_text(f"[01_toy]\n{terms}", encoding="utf-8")
    text = glossary(folder, {"n": 2.0}).split("\n\n", 2)[2]
    return dict(re.findall(r"^\*\*(.+?)\*\* \(\[01, 1 · Nouns\]\(notebooks/01_toy\.ipynb\)\): (.+?)(?=\n\n\*\*[^*]+\*\* \(\[|\n\Z)", text, re.M | re.S))


def test_a_term_stands_with_its_sentence_its_number_and_a_link_from_the_root(folder):
    assert entries(folder, "noun = {}") == {"noun": "A **noun** names 2 things, see [a card](data/card.json)."}


def test_sentences_around_it_belong_to_it_if_the_list_says_so(folder):
    found = entries(folder, "noun = {before = 1, after = 1}\npair = {before = 2}")
    assert found["noun"].startswith("A first one (as in Yu et al. 2020) is dull. A **noun**") and found["noun"].endswith(" More of it.")
    assert found["pair"] == "For two of them,\n\n$$a + b,$$\n\nwe say a **pair**."


def test_what_has_no_end_goes_on_into_its_list_and_is_closed(folder):
    found = entries(folder, "list = {}\nguess = {}\nverbs = {as = 'verb'}")
    assert found == {"guess": "A **guess** comes before.", "list": "A **list** has one thing.", "verb": "Or many, as **verbs** do."}


def test_entries_are_in_alphabetical_order_whatever_their_case(folder):
    assert list(entries(folder, "verbs = {}\npair = {}\nnoun = {as = 'Noun'}")) == ["Noun", "pair", "verbs"]


@pytest.mark.parametrize(("terms", "message"), [
    ("code = {}", "'code' is nowhere bold in 01_toy"), ("noun = {}\npair = {as = 'noun'}", "'noun' is defined twice"),
    ("noun = {}\n[02_gone]\nx = {}", "there is no notebook '02_gone'")])
def test_what_is_wrong_in_the_list_is_one_sentence(folder, terms, message):
    with pytest.raises(BadInput, match=message):
        entries(folder, terms)


def test_every_definition_of_the_course_is_one():
    """Whole sentences, none longer than a paragraph, each with its term in bold."""
    page = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    found = re.split(r"\n\n(?=\*\*[^*\n]+\*\* \(\[\d\d, )", page)[1:]
    assert len(found) == int(re.search(r"^(\d+) terms", page, re.M)[1]) > 120
    for entry in found:
        name, text = re.match(r"\*\*(.+?)\*\* \(\[\d\d, .+?\]\(.+?\.ipynb\)\): (.+)", entry, re.S).groups()
        assert "**" in text and 25 < len(text) < 1200, name
        assert text[0].isupper() or not text[0].isalpha(), name
        assert text.rstrip()[-1] in ".?!)$", name
