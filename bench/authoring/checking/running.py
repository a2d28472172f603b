"""Runs checks one after another, and prints a line per promise."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TextIO

from bench.authoring.checking.subjects import Subject


def run_checks(subjects: Iterable[Subject], say: Callable[[str], None] = print) -> bool:
    """Check them one after another, a line per promise; whether none was broken. What libraries print is kept away."""
    broken = 0
    for subject in subjects:
        say(str(subject))
        with silenced() as speak:
            for check in subject.checks():
                verdict = check.verdict()
                broken += verdict.status == "broken"
                speak(partial(say, f"  {verdict}"))
    return not broken


@contextmanager
def silenced() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Keep standard output and error away; what is given to the yielded function may speak."""
    streams, real = (sys.stdout, sys.stderr), (os.dup(1), os.dup(2))
    with open(os.devnull, "w") as nowhere:

        def switch(new: tuple[TextIO, TextIO], handles: tuple[int, int]) -> None:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            sys.stdout, sys.stderr = new
            os.dup2(handles[0], 1)
            os.dup2(handles[1], 2)

        def hush() -> None:
            switch((nowhere, nowhere), (nowhere.fileno(), nowhere.fileno()))

        def speak(speech: Callable[[], None]) -> None:
            switch(streams, real)
            speech()
            hush()

        hush()
        try:
            yield speak
        finally:
            switch(streams, real)
            for handle in real:
                os.close(handle)
