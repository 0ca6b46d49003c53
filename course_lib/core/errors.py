"""One kind of error for everything a user can get wrong, and what its sentence quotes."""

import errno

QUOTED = 160  # characters of another library's sentence within one of ours


class BadInput(ValueError):
    """Bad input: one sentence that names the thing, what is wrong with it and what would be right.

    The command line prints that sentence alone and exits with status 2; in a notebook it is an ordinary ValueError.
    """


def one_line(error: BaseException | str) -> str:
    """What another library's error says, to be quoted within a sentence: on one line, without its full stop, at most `QUOTED` characters."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= QUOTED else text[: QUOTED - 1] + "…"


def refusal(error: Exception) -> str:
    """Why a disk did not take a file: "the disk is full", or what the error says; safetensors tells it by the message alone."""
    full = getattr(error, "errno", None) == errno.ENOSPC or "os error 28" in str(error)
    return "the disk is full" if full else one_line(error)


def at_least_one(**numbers: int) -> None:
    """Raise `BadInput` naming the first of the numbers that is below 1."""
    for name, value in numbers.items():
        if value < 1:
            raise BadInput(f"{name} must be at least 1, not {value}.")
