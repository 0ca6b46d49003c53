"""Self-checks of the exercises: shape first, law second, success last; a wrong answer never stops Run All."""

import html
from collections.abc import Callable

import torch
from IPython.display import HTML, display
from torch import Tensor


class Checks:
    """A set of checks, each called by its name: `check.rank_pairing(my_function)`.

    A check is a function that takes the answer and raises AssertionError with a sentence for the learner.
    """

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Callable, str]] = {}

    def exercise(self, name: str, hint: str = "") -> Callable[[Callable], Callable]:
        """Decorator: register a check under `name`; `hint` lies folded below every "not yet", for whoever asks."""

        def register(function: Callable) -> Callable:
            self._checks[name] = (function, hint)
            return function

        return register

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._checks]

    def __getattr__(self, name: str) -> Callable[[object], None]:
        if name.startswith("_") or name not in self._checks:
            raise AttributeError(f"there is no exercise {name!r}; there are {', '.join(self._checks)}")
        return lambda answer: self._run(name, answer)

    def _run(self, name: str, answer: object) -> None:
        function, hint = self._checks[name]
        if answer is None or answer is ...:
            return _say("todo", f"{name}: nothing to check yet. Replace the placeholder and run the cell again.")
        try:
            function(answer)
        except AssertionError as law:
            return _say("no", f"{name}: not yet. {law}", hint)
        except Exception as error:  # the learner's own code may raise anything; it is shown, and Run All goes on
            return _say("no", f"{name}: your code raised {type(error).__name__}: {error}")
        return _say("ok", f"{name}: correct.")


def normal(seed: int, *shape: int) -> Tensor:
    """Numbers from N(0, 1) to try an answer with, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def number_of(answer: object) -> float:
    """An answer that is one number, a tensor perhaps, as a float."""
    return float(torch.as_tensor(answer).detach())


def shape_of(answer: object) -> object:
    """The shape of a tensor, of anything else its kind: what a sentence on a wrong shape quotes."""
    return tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__


def _say(state: str, message: str, hint: str = "") -> None:
    sign = {"ok": "✓", "no": "✗", "todo": "…"}[state]  # sign and words, never colour alone
    colour = {"ok": "#1f77b4", "no": "#d62728", "todo": "#7f7f7f"}[state]
    folded = f"<details><summary>Hint</summary>{html.escape(hint)}</details>" if hint else ""
    display(HTML(f'<div role="status" data-check="{state}" style="border-left:4px solid {colour};padding:.3em .6em;margin:1em 0">'
                 f"{sign} {html.escape(message)}{folded}</div>"))
