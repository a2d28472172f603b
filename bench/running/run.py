"""Running a matrix: from cells to a folder of records."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError
from bench.matrix.cells import Cell, Matrix
from bench.matrix.reading import load_matrix, parse_matrix
from bench.records.lock import writing_into
from bench.records.making import cell_identity, make_record
from bench.records.record import DIVERGED, OK, SKIPPED, Record, Status
from bench.running.progress import Reporter
from bench.running.run_folder import RunFolder
from bench.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from bench.running.schedule import Outcome
    from bench.stages.graph import Stage

RESULTS = Path("results")

_WITH_FRAMES = ("policy", "evaluation")
"""The stages whose artifacts have frames that go beside a record."""


@dataclass(frozen=True)
class Run:
    """A folder of records.

    Attributes:
        directory: where they are.
        counts: cells by status: ok, diverged, failed, skipped.
        built: stages that had to run; 0 where the store had everything.
    """

    directory: Path
    counts: Mapping[str, int]
    built: int

    @cached_property
    def records(self) -> pd.DataFrame:
        """One row per cell: identity, status, measures and cost."""
        from bench.records.loading import load_run

        return load_run(self.directory).records


def run(
    matrix: str | Path | Mapping[str, Any] | Matrix,
    out: str | Path | None = None,
    jobs: int | None = None,
    only: Iterable[str] = (),
    store: str | Path | None = None,
    plugins: Iterable[str | Path] = (),
    reporter: Reporter | None = None,
) -> Run:
    """Run a matrix; what has its record in `out` already, or the store, is not run again.

    Args:
        matrix: a file, the name of a built-in matrix, or its content as a mapping.
        out: folder for the records; ``results/<name of the matrix>`` by default.
        jobs: processes; by default one per core. The results do not depend on it.
        only: conditions ``KEY=VALUE`` that choose some of the cells.
        store: folder for artifacts; ``$BENCH_STORE`` or ``results/.store`` by default.
        plugins: Python files, packages or folders with further methods, tasks or measures.

    Raises:
        BenchError: a mistake in the matrix or in an argument, before anything runs.
    """
    matrix = read_matrix(matrix, plugins)
    if jobs is not None and jobs < 1:
        raise BenchError(f"jobs: {jobs} is not a number of processes — the least is 1")
    cells = sorted(matrix.select(only), key=lambda cell: (cell.seed, cell.index))
    folder = RunFolder(Path(out) if out is not None else RESULTS / matrix.name)
    with writing_into(folder.directory):
        return _run_cells(matrix, cells, folder, store_at(store), jobs or _cores(), reporter or Reporter())


def read_matrix(matrix: str | Path | Mapping[str, Any] | Matrix, plugins: Iterable[str | Path] = ()) -> Matrix:
    """A matrix from a file, the name of a built-in one, or its content; as it is, if it is one."""
    files = [Path(file) for file in plugins]
    if isinstance(matrix, Matrix):
        return matrix
    return parse_matrix(dict(matrix), plugins=files) if isinstance(matrix, Mapping) else load_matrix(matrix, files)


def store_at(folder: str | Path | None = None) -> Store:
    """The store in `folder`; in ``$BENCH_STORE``, or else ``results/.store``, by default."""
    return Store(Path(folder or os.environ.get("BENCH_STORE") or RESULTS / ".store"))


def device_of_runs() -> str:
    """A GPU if there is one that works; asking costs nothing where there is no NVIDIA driver."""
    if not (shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists()):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _run_cells(
    matrix: Matrix, cells: list[Cell], folder: RunFolder, store: Store, jobs: int, reporter: Reporter
) -> Run:
    """Skip the cells that cannot run, leave those whose record still holds, and schedule the stages of the others."""
    from bench.records.reading import read_cells
    from bench.running.pool import Pool
    from bench.running.schedule import Schedule
    from bench.stages.graph import stages_of

    folder.prepare(matrix)
    store.sweep()
    found = read_cells(folder.directory)
    for damage in dict.fromkeys(found.damaged.values()):
        reporter.say(f"damaged record, making it again: {damage}")
    results = _Results(folder, store, reporter, device_of_runs())
    to_run: dict[str, tuple[Cell, Mapping[str, Stage]]] = {}
    for_pool = contextlib.ExitStack()
    schedule = Schedule(
        store,
        jobs,
        lambda: Pool(_offline(matrix), folder.logs / "worker.log", for_pool.enter_context(store.scratch())),
        reporter,
        folder.logs,
        lambda name, verdict, outcomes: results.write(*to_run[name], verdict, outcomes),
    )
    reporter.start(len(cells))
    try:
        for cell in cells:
            if reason := _unfit(cell):
                results.write_skipped(cell, reason)
                continue
            stages = stages_of(cell, matrix, results.device)
            if status := _recorded(found.records.get(cell.id), cell, stages["evaluation"].key):
                results.count(cell, status)
            else:
                to_run[cell.id] = cell, stages
        built = schedule.run({name: stages for name, (_, stages) in to_run.items()})
    finally:
        reporter.stop()
        for_pool.close()
        store.sweep()  # again: a killed run's last process may have outlived the first sweep
    return Run(folder.directory, dict(results.counts), built)


@dataclass
class _Results:
    """Writes and counts what comes of cells."""

    folder: RunFolder
    store: Store
    reporter: Reporter
    device: str
    counts: Counter[str] = field(default_factory=Counter)

    def write(self, cell: Cell, stages: Mapping[str, Stage], verdict: Outcome, outcomes: Mapping[str, Outcome]) -> None:
        """The record of a cell whose stages came to `outcomes`, by role."""
        infos = {role: outcome.info for role, outcome in outcomes.items() if outcome.info}
        infos |= infos.get("evaluation", {}).get("before", {})  # its artifact may be all that the store still has
        infos = {role: infos[role] for role in stages if role in infos}  # in one order, whatever the store had
        key = stages["evaluation"].key
        record = make_record(cell, verdict.status, verdict.reason, infos, verdict.step, self.device, key)
        self.folder.write(record, [self.store.path(stages[role].kind, stages[role].key) for role in _WITH_FRAMES])
        self.count(cell, verdict.status, verdict.reason)

    def write_skipped(self, cell: Cell, reason: str) -> None:
        """The record of a cell that cannot run."""
        self.folder.write(make_record(cell, SKIPPED, reason, {}, device=self.device))
        self.count(cell, SKIPPED, reason)

    def count(self, cell: Cell, status: Status, reason: str | None = None) -> None:
        """A cell that has its record."""
        self.counts[status] += 1
        self.reporter.cell_finished(cell.id, status, reason)


def _recorded(record: Record | None, cell: Cell, key: str) -> Status | None:
    """The status of a cell that has its record already, for all that it depends on (`key`)."""
    if record is None or record.get("key") != key or record["cell"] != cell_identity(cell):
        return None
    return record["status"] if record["status"] in (OK, DIVERGED) else None


def _unfit(cell: Cell) -> str | None:
    """Why the cell's method cannot run on its task, or None."""
    task, method = cell.task.task, cell.arm.method
    takes_labelled = method.unpaired or "preferences" not in type(method).needs  # what only its reward model is made of
    has_preferences = task.has_preferences or (task.has_labelled and takes_labelled)
    has_labels = {"preferences": has_preferences, "ratings": task.has_ratings}
    for labels in sorted(cell.arm.rests_on & has_labels.keys()):
        if not has_labels[labels]:
            needs = ", ".join(sorted(type(method).needs))
            but = " but answers labelled one by one" if task.has_labelled and labels == "preferences" else ""
            return f"method {method.name!r} needs {needs}, and task {cell.task.label!r} has no {labels}{but}"
    return method.unfit_for(task)


def _offline(matrix: Matrix) -> bool:
    """Does the matrix name nothing that is on the hub?"""
    from_hub = any(isinstance(model.source, str) for model in matrix.models)
    return not (from_hub or any(getattr(each.task, "hub", None) for each in matrix.tasks))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
