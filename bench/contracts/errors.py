"""Errors a person can act on: they name the place, the value and the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """A mistake in what the user asked for. The command line prints it without a traceback, exit status 2."""


def shown(text: str, longest: int = 60) -> str:
    """A text as errors show it: cut where it is long."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class Diverged(Exception):
    """Training produced a NaN or an infinity.

    Args:
        what: the quantity, e.g. ``"loss"`` or ``"parameter transformer.wte.weight"``.
        step: the optimiser step at which it was seen.
    """

    def __init__(self, what: str, step: int) -> None:
        super().__init__(f"{what} is not finite at step {step}")
        self.what, self.step = what, step

    def __reduce__(self) -> tuple[type[Diverged], tuple[str, int]]:
        return Diverged, (self.what, self.step)


class Skipped(Exception):
    """A method cannot run in this world (it needs, say, preferences that the task does not have)."""


def nearest(word: object, options: Iterable[str]) -> str:
    """`` — did you mean 'x'?`` where something is close, else the list of what is valid."""
    known = sorted(options)
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    if close:
        return f" — did you mean {close[0]!r}?"
    more = f", … ({len(known)} in all)" if len(known) > 12 else ""
    return f" — valid: {', '.join(known[:12])}{more}" if known else ""
