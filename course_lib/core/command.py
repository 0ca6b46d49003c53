"""Command lines of the form key=value: `python -m course_lib.infer checkpoint=… image=…`.

The keys of a command are the fields of a dataclass, each made by `key`, so that its name, kind, default and what `--help` says
of it stand in one place. `experiment=` commands are Hydra's and not these.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, field, fields
from pathlib import Path
from typing import TypeVar

from course_lib.core.errors import BadInput

Settings = TypeVar("Settings")


def key(about: str, default: object = MISSING):
    """A field of a command's settings: what it is, and its default (none: it must be given; None is written null)."""
    return field(default=default, metadata={"about": about})


def serve(kind: type[Settings], module: str, about: str, do: Callable[[Settings], str], more: str = "",
          interrupted: str = "interrupted; nothing was written.") -> int:
    """Do what the command line of `module` asks for and print what `do` returns; or, for --help, about, the keys, and more.

    Returns the exit status: 0; 2 after one sentence about a wrong input; 130 if it was interrupted.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print("\n".join(part for part in (about, keys_text(kind), more) if part))
        return 0
    try:
        print(do(parse(kind, sys.argv[1:], module)))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    return 0


def parse(kind: type[Settings], arguments: Sequence[str], module: str) -> Settings:
    """The settings of a command line. All behind the first "=" is the value, as it stands: names of files may hold spaces, commas, brackets.

    kind: a dataclass of `key` fields of type str, bool, int, or one of these or None. module: whose --help is named.
    Raises `BadInput`, one sentence each: an unknown option or key, one given twice or without a value, a value of another kind, a key missing.
    """
    known, given = {each.name: each for each in fields(kind)}, {}
    for word in arguments:
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            raise BadInput(f"unknown option {name}; settings are written key=value, for example {next(iter(known))}=….")
        if not equals:
            raise BadInput(f"cannot read {word!r}; settings are written key=value, and every key has one value.")
        if name not in known:
            raise BadInput(f"unknown key {name!r}; there are: {', '.join(known)}.")
        if name in given:
            raise BadInput(f"{name} is given twice; give every key once.")
        if not value:
            raise BadInput(f"{name} has no value; write {name}=… with something behind it, or leave it out.")
        given[name] = _value(known[name], value)
    if lacking := [f"{name}=…" for name, each in known.items() if each.default is MISSING and name not in given]:
        raise BadInput(f"{' and '.join(lacking)} must be given; see python -m {module} --help.")
    return kind(**given)


def keys_text(kind: type) -> str:
    """All keys with their defaults and what they are, for --help."""
    names = [each.name if each.default is MISSING else f"{each.name}={_written(each.default)}" for each in fields(kind)]
    return "\n".join(["Keys and their defaults:", *(f"  {name:<20} {each.metadata['about']}" for name, each in zip(names, fields(kind)))])


def _value(key: Field, text: str) -> str | int | bool | None:
    if text == "null" and key.default is None:
        return None
    if key.type is bool:
        if text not in ("true", "false"):
            raise BadInput(f"{key.name}={text} is not true or false; the default is {_written(key.default)}.")
        return text == "true"
    if key.type in (int, int | None):
        try:
            return int(text)
        except ValueError:
            raise BadInput(f"{key.name}={text} is not a whole number; the default is {_written(key.default)}.") from None
    return str(Path(text).expanduser()) if text.startswith("~") else text


def _written(default: object) -> str:
    return {True: "true", False: "false", None: "null"}[default] if default is None or isinstance(default, bool) else str(default)
