"""What a check is: a promise, and a function that finds out whether it is kept."""

from __future__ import annotations

import traceback
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

S = TypeVar("S")
T = TypeVar("T", bound=Callable[..., str | None])

MARKS = {"kept": "✓", "broken": "✗", "skipped": "–"}


class Broken(AssertionError):
    """A promise that is not kept: what is broken, and how to mend it, in a sentence or two."""


class Unsuited(unittest.SkipTest):
    """Why a check does not apply. (Test runners count the exception as a skipped test.)"""


@dataclass(frozen=True)
class Verdict:
    """What became of one check, with the reason where it is not plainly kept."""

    check: str
    status: Literal["kept", "broken", "skipped"]
    sentence: str

    def __str__(self) -> str:
        return f"{MARKS[self.status]} {self.sentence}"


@dataclass(frozen=True)
class Check(Generic[S]):
    """One promise about one subject; called, it raises `Broken` or `Unsuited`, as a test would.

    Attributes:
        name: an identifier, for `pytest -k`.
        promise: what is kept if nothing is raised.
        subject: the method, task or judge under trial, shared by its checks.
    """

    name: str
    promise: str
    test: Callable[[S], str | None]
    subject: S

    @property
    def __name__(self) -> str:
        """So that pytest names a parametrised test after the check."""
        return self.name

    def __call__(self) -> str | None:
        """Find out; returns a figure to report beside the promise, if there is one."""
        return self.test(self.subject)

    def verdict(self) -> Verdict:
        """The same without an exception; an error that the check did not foresee is a broken promise too."""
        try:
            figure = self()
        except Unsuited as reason:
            return Verdict(self.name, "skipped", f"{self.promise}: {reason}")
        except Broken as problem:
            return Verdict(self.name, "broken", f"{self.promise}: {problem}")
        except Exception as error:
            return Verdict(self.name, "broken", f"{self.promise}: {error_line(error)}")
        return Verdict(self.name, "kept", f"{self.promise} ({figure})" if figure else self.promise)


class Contract(Generic[S]):
    """The promises of one kind of thing, in the order in which they are checked.

    Used as a decorator: the function's name is the check's, its docstring the promise, its argument the subject. It
    raises `Broken` or `Unsuited`, or returns a figure to report, or None.
    """

    def __init__(self) -> None:
        self.tests: list[Callable[[S], str | None]] = []

    def __call__(self, test: T) -> T:
        """Add a promise."""
        self.tests.append(test)
        return test

    def of(self, subject: S) -> list[Check[S]]:
        """All promises, about `subject`."""
        return [Check(test.__name__, (test.__doc__ or "").strip(), test, subject) for test in self.tests]


def error_line(error: BaseException) -> str:
    """An error in one line, with the last place outside of installed libraries that it came from."""
    every = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in every if "site-packages" not in frame.filename] or every
    where = f" (line {frames[-1].lineno} of {frames[-1].filename})" if frames else ""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}{where}"
