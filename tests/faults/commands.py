"""Commands of the bench as a user would start them, some hundred times faster.

A command runs in a fork of this process, which has imported everything once: its arguments, working folder, signals,
exit status and output are its own, as those of a process that was started from nothing.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = 240.0


@dataclass(frozen=True)
class Outcome:
    """What came of a command: exit status (minus the signal that ended it) and all that it printed."""

    code: int
    text: str

    @property
    def traceback(self) -> bool:
        """Did it end in a traceback, by a signal of its own, or not at all?"""
        return "Traceback (most recent call last)" in self.text or self.code < 0

    def names(self, *words: str) -> bool:
        """Is there a line with one of these words?"""
        return any(word in self.text for word in words)


def warm_up() -> None:
    """Import all that commands import."""
    import bench

    for module in pkgutil.walk_packages(bench.__path__, "bench."):
        if "__main__" not in module.name and "templates" not in module.name:
            importlib.import_module(module.name)
    for name in (
        "matplotlib.pyplot",
        "datasets",
        "pyarrow.parquet",
        "transformers",
        "safetensors.torch",
        "scipy.stats",
    ):
        importlib.import_module(name)


class Child:
    """A function at work in a fork of this process.

    Args:
        folder: its working folder; its home and its temporary folder lie above it.
        terminal: give it a terminal instead of a pipe.
    """

    def __init__(
        self,
        function: Callable[[], Any],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        terminal: bool = False,
    ) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        read, write = os.openpty() if terminal else os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(write, 1)
                os.dup2(write, 2)
                sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
                sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
                os.chdir(folder)
                os.environ.update(surroundings(folder), **(environment or {}))
                signal.signal(signal.SIGINT, signal.default_int_handler)
                code = _exit_status(function)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(write)
        self._said = bytearray()
        self._reader = threading.Thread(target=self._read, args=(read,), daemon=True)
        self._reader.start()

    def _read(self, handle: int) -> None:
        try:
            while chunk := os.read(handle, 1 << 16):
                self._said += chunk
        except OSError:  # a terminal whose other side is gone
            pass
        os.close(handle)

    def wait(self, timeout: float = TIMEOUT) -> Outcome:
        """Wait for its end; one that takes longer is killed, and counts as one that never ends."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._reader.join(timeout=10)
                return Outcome(os.waitstatus_to_exitcode(status), self._said.decode(errors="replace"))
            time.sleep(0.01)
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return Outcome(-signal.SIGKILL, f"{self._said.decode(errors='replace')}\nno end after {timeout} s")


def surroundings(folder: Path) -> dict[str, str]:
    """Environment of a command in `folder`: a home and a temporary folder of its own, wide lines, one thread."""
    place = next(parent for parent in folder.parents if (parent / "home").is_dir())
    return {
        "HOME": str(place / "home"),
        "MPLCONFIGDIR": str(place / "fonts"),  # the list of a machine's fonts, which matplotlib keeps for all its users
        "TMPDIR": str(place / "tmp"),
        "COLUMNS": "500",
        "OMP_NUM_THREADS": "1",
    }


def bench(folder: Path, *arguments: object, timeout: float = TIMEOUT, **how: Any) -> Outcome:
    """What ``bench ARGUMENTS`` comes to in `folder`; `how` as in `Child`."""
    return start(folder, *arguments, **how).wait(timeout)


def start(folder: Path, *arguments: object, before: Callable[[], None] = lambda: None, **how: Any) -> Child:
    """Start ``bench ARGUMENTS`` in `folder`; `before` is called in the process itself."""

    def command() -> None:
        from bench.cli import main

        before()
        sys.argv = ["bench", *map(str, arguments)]
        main()

    return Child(command, folder, **how)


def ask(function: Callable[[], str], folder: Path) -> tuple[Outcome, str | None]:
    """The text that `function` returns in a fork; None where it raised an error."""
    answer = folder.parent / "answer"
    answer.unlink(missing_ok=True)
    outcome = Child(lambda: answer.write_text(function(), encoding="utf-8"), folder).wait()
    return outcome, answer.read_text(encoding="utf-8") if outcome.code == 0 else None


def _exit_status(function: Callable[[], Any]) -> int:
    """As the interpreter would give it."""
    try:
        function()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
