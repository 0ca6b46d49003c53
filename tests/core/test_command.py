"""Command lines of the form key=value: values as they stand, wrong ones in one sentence."""

from dataclasses import dataclass

import pytest

from course_lib.core.command import key, keys_text, parse
from course_lib.core.errors import BadInput


@dataclass
class Settings:
    picture: str = key("one picture")
    model: str = key("a name")
    out: str = key("a folder", "outputs/x")
    layer: int | None = key("null: the last", None)
    note: str | None = key("words", None)
    size: int = key("pictures at a time", 8)
    drawn: bool = key("false: no picture", True)


def read(*words: str) -> Settings:
    return parse(Settings, words, "course_lib.draw")


def test_values_stand_as_they_are(monkeypatch):
    monkeypatch.setenv("HOME", "/home/of")
    found = read("picture=a = b, [1].png", "model=2026", "out=007", "note=~/note", "layer=-1", "size=4", "drawn=false")
    assert found == Settings("a = b, [1].png", "2026", "007", -1, "/home/of/note", 4, False)
    assert read("picture=a", "model=b", "note=null", "layer=null") == Settings("a", "b")


@pytest.mark.parametrize(("words", "sentence"), [
    ([], "picture=… and model=… must be given; see python -m course_lib.draw --help."), (["picture=a"], "model=… must be given"),
    (["picure=a"], "unknown key 'picure'; there are: picture, model, out, "),
    (["--picture", "a"], "unknown option --picture; settings are written key=value"),
    (["picture=a.png", "b.png"], "cannot read 'b.png'; settings are written key=value"),
    (["picture=a", "picture=b"], "picture is given twice"), (["picture="], "picture has no value"),
    (["size=many"], "size=many is not a whole number; the default is 8"), (["layer=-1.5"], "layer=-1.5 is not a whole number"),
    (["drawn=no"], "drawn=no is not true or false; the default is true"), (["size=null"], "size=null is not a whole number"),
])
def test_a_wrong_command_line(words, sentence):
    with pytest.raises(BadInput) as found:
        read(*words)
    assert sentence in str(found.value) and str(found.value).endswith(".")


def test_help_names_every_key_its_default_and_what_it_is():
    lines = keys_text(Settings).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["picture", "model", "out=outputs/x", "layer=null", "note=null", "size=8", "drawn=true"]
    assert all(words in line for line, words in zip(lines[1:], ("one picture", "a name", "a folder", "the last", "words", "at a time", "no picture")))
