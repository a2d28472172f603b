"""What a person sees while a matrix runs: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from bench.contracts.escaping import in_rich, visible


class Reporter:
    """Tells nobody anything. The subclasses tell a person."""

    def start(self, cells: int) -> None:
        """`cells` are to be done."""

    def stage_started(self, label: str) -> None:
        """A stage began."""

    def stage_progress(self, label: str, step: int, total: int) -> None:
        """A stage is at `step` of `total`."""

    def stage_finished(self, label: str, outcome: str) -> None:
        """A stage ended: ``"done"``, ``"diverged"``, ``"failed"`` or ``"skipped"``."""

    def cell_finished(self, cell: str, status: str, reason: str | None) -> None:
        """A record was written."""

    def say(self, message: str) -> None:
        """Anything else worth a line."""

    def stop(self) -> None:
        """The run is over."""


class PlainReporter(Reporter):
    """One line per event, for logs and pipes; steps at most every ten seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.cells = self.finished = 0
        self._started: dict[str, float] = {}
        self._last_line: dict[str, float] = {}

    def start(self, cells: int) -> None:
        self.cells = cells

    def stage_started(self, label: str) -> None:
        self._started[label] = self._last_line[label] = time.monotonic()

    def stage_progress(self, label: str, step: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last_line.get(label, now) >= 10:
            self._last_line[label] = now
            self.say(f"  {label}: step {step}/{total}")

    def stage_finished(self, label: str, outcome: str) -> None:
        seconds = time.monotonic() - self._started.pop(label, time.monotonic())
        self.say(f"  {label}: {outcome} in {seconds:.1f} s")

    def cell_finished(self, cell: str, status: str, reason: str | None) -> None:
        self.finished += 1
        because = f" ({reason})" if reason else ""
        self.say(f"[{self.finished}/{self.cells}] {cell}: {status}{because}")

    def say(self, message: str) -> None:
        print(visible(message), file=self.stream, flush=True)


class TerminalReporter(Reporter):
    """A bar for the cells, and one for the step inside each running stage."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._stages: dict[str, TaskID] = {}
        self._cells: TaskID | None = None

    def start(self, cells: int) -> None:
        self._cells = self._progress.add_task("cells", total=cells)
        self._progress.start()

    def stage_started(self, label: str) -> None:
        self._stages[label] = self._progress.add_task(visible(label), total=None)

    def stage_progress(self, label: str, step: int, total: int) -> None:
        if label in self._stages:
            self._progress.update(self._stages[label], completed=step, total=total)

    def stage_finished(self, label: str, outcome: str) -> None:
        if label in self._stages:
            self._progress.remove_task(self._stages.pop(label))

    def cell_finished(self, cell: str, status: str, reason: str | None) -> None:
        if self._cells is not None:
            self._progress.advance(self._cells)
        if status != "ok":
            because = f": {reason}" if reason else ""
            self._progress.console.print(Text.assemble((status, "yellow"), in_rich(f" {cell}{because}")))

    def say(self, message: str) -> None:
        self._progress.console.print(in_rich(message))

    def stop(self) -> None:
        self._progress.stop()


def reporter_for(stream: Any = None) -> Reporter:
    """Bars where standard error is a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    return TerminalReporter(console) if console.is_terminal else PlainReporter(stream)


def elapsed(since: float) -> str:
    """Seconds since a `time.monotonic` reading, for people."""
    seconds = time.monotonic() - since
    return f"{seconds:.1f} s" if seconds < 90 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
