"""Running a matrix: from cells to a folder of records."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError
from bench.matrix.reading import Cell, Matrix, load_matrix, parse_matrix
from bench.records.record import DIVERGED, FRAMES, OK, SKIPPED, identity, make_record, write_record
from bench.running.progress import Reporter
from bench.store.store import Store, write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from bench.running.schedule import Outcome
    from bench.stages.graph import Stage

RESULTS = Path("results")
RUN_FILE = "run.json"


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
    directory = Path(out) if out is not None else RESULTS / matrix.name
    return _Running(matrix, directory.absolute(), store_at(store), jobs, reporter or Reporter()).run(only)


def read_matrix(matrix: str | Path | Mapping[str, Any] | Matrix, plugins: Iterable[str | Path] = ()) -> Matrix:
    """A matrix from a file, the name of a built-in one, or its content; as it is, if it is one."""
    files = [Path(file) for file in plugins]
    if isinstance(matrix, Matrix):
        return matrix
    return parse_matrix(dict(matrix), plugins=files) if isinstance(matrix, Mapping) else load_matrix(matrix, files)


def store_at(folder: str | Path | None = None) -> Store:
    """The store in `folder`; in ``$BENCH_STORE``, or else ``results/.store``, by default."""
    return Store(Path(folder or os.environ.get("BENCH_STORE") or RESULTS / ".store"))


class _Running:
    """One call of `run`."""

    def __init__(self, matrix: Matrix, directory: Path, store: Store, jobs: int | None, reporter: Reporter) -> None:
        self.matrix, self.directory, self.store, self.reporter = matrix, directory, store, reporter
        self.jobs = jobs or _cores()
        self.device = device_of_runs()
        self.counts: dict[str, int] = {}
        self.cells: dict[str, Cell] = {}
        self.stages: dict[str, Mapping[str, Stage]] = {}

    def run(self, only: Iterable[str]) -> Run:
        from bench.records.loading import recorded
        from bench.running.pool import Pool
        from bench.running.schedule import Schedule
        from bench.stages.graph import stages_of

        chosen = sorted(self.matrix.select(only), key=lambda cell: (cell.seed, cell.index))
        self._prepare_folders()
        self.cells = {cell.id: cell for cell in chosen}
        known = recorded(self.directory)
        self.reporter.start(len(chosen))
        schedule = Schedule(
            self.store,
            self.jobs,
            lambda: Pool(self._offline(), self.directory / "logs" / "worker.log"),
            self.reporter,
            self.directory / "logs",
            self._finish,
        )
        try:
            for cell in chosen:
                if reason := _unfit(cell):
                    self._record(cell, SKIPPED, reason, {}, None)
                    continue
                stages = stages_of(cell, self.matrix, self.device)
                if status := _recorded(known.get(cell.id), cell, stages["evaluation"].key):
                    self.counts[status] = self.counts.get(status, 0) + 1
                    self.reporter.cell_finished(cell.id, status, None)
                else:
                    self.stages[cell.id] = stages
            built = schedule.run(self.stages)
        finally:
            self.reporter.stop()
            self.store.sweep()  # again: a killed run's last process may have outlived the first sweep
        return Run(self.directory, dict(self.counts), built)

    def _prepare_folders(self) -> None:
        """The run's description; records of cells that the matrix no longer has are removed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        cells = self.matrix.cells()
        description = self.matrix.description() | {"cells": [cell.id for cell in cells]}
        if self.matrix.measures:  # so that whoever reads the run needs no plug-in
            description["measures"] = [asdict(measure.info()) for measure in self.matrix.measures]
        if self.matrix.claims is not None:
            self._freeze_claims(self.matrix.claims, cells)
        write_atomically(self.directory / RUN_FILE, json.dumps(description, indent=1))
        names = {cell.id for cell in cells}
        for folder in self.directory.glob("cells/*"):
            if folder.name not in names:
                shutil.rmtree(folder)
        self.store.sweep()

    def _freeze_claims(self, file: Path, cells: Iterable[Cell]) -> None:
        from bench.records.claims import check_claims, freeze, load_claims

        arms: dict[str, set[str]] = {}
        for cell in cells:
            arms.setdefault(cell.task.label, set()).add(cell.arm.label)
        check_claims(load_claims(file), arms, file.name)
        freeze(file, self.directory)

    def _offline(self) -> bool:
        from_hub = any(isinstance(model.source, str) for model in self.matrix.models)
        return not (from_hub or any(getattr(each.task, "hub", None) for each in self.matrix.tasks))

    def _finish(self, name: str, verdict: Outcome, outcomes: Mapping[str, Outcome]) -> None:
        infos = {role: dict(outcome.info) for role, outcome in outcomes.items() if outcome.info}
        infos |= infos.get("evaluation", {}).get("before", {})
        self._record(self.cells[name], verdict.status, verdict.reason, infos, verdict.step)

    def _record(self, cell: Cell, status: str, reason: str | None, infos: Mapping[str, Any], step: int | None) -> None:
        folder = self.directory / "cells" / cell.id
        folder.mkdir(parents=True, exist_ok=True)
        for name in FRAMES:
            (folder / name).unlink(missing_ok=True)
        stages = self.stages.get(cell.id, {})
        for role in ("policy", "evaluation"):
            if role in stages:
                for file in self.store.path(stages[role].kind, stages[role].key).glob("*.parquet"):
                    shutil.copyfile(file, folder / file.name)
        key = stages["evaluation"].key if stages else None
        write_record(folder, make_record(cell, status, reason, infos, step, self.device, key))
        self.counts[status] = self.counts.get(status, 0) + 1
        self.reporter.cell_finished(cell.id, status, reason)


def _recorded(record: Mapping[str, Any] | None, cell: Cell, key: str) -> str | None:
    """The status of a cell that has its record already, for all that it depends on (`key`)."""
    if record is None or record.get("key") != key or record.get("cell") != identity(cell):
        return None
    return record["status"] if record["status"] in (OK, DIVERGED) else None


def _unfit(cell: Cell) -> str | None:
    """Why the cell's method cannot run on its task, or None."""
    task, method = cell.task.task, cell.arm.method
    there = {"preferences": task.has_preferences, "ratings": task.has_ratings}
    for labels in sorted(cell.arm.rests_on & there.keys()):
        if not there[labels]:
            needs = ", ".join(sorted(type(method).needs))
            return f"method {method.name!r} needs {needs}, and task {cell.task.label!r} has no {labels}"
    return method.unfit_for(task)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_of_runs() -> str:
    """A GPU if there is one that works; asking costs nothing where there is no NVIDIA driver."""
    if not (shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists()):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


__all__ = ["RESULTS", "RUN_FILE", "Run", "device_of_runs", "read_matrix", "run", "store_at"]
