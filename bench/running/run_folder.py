"""A run's folder as a run writes it: what it was asked for, then the record of every cell, with frames beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from bench.matrix.cells import Matrix
from bench.records.claims import check_claims, freeze, load_claims
from bench.records.files import CELLS, FRAMES, LOGS, RUN_FILE
from bench.records.record import Record, write_record
from bench.store.store import write_atomically


class RunFolder:
    """A folder to be filled; may hold an earlier run of the same matrix, or of another.

    Attributes:
        directory: the folder, absolute.
        logs: the folder for what stages and their libraries print.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.logs = self.directory / LOGS

    def prepare(self, matrix: Matrix) -> None:
        """Write down what `matrix` is, freeze its claims, and remove the records of cells that it does not have.

        Raises:
            BenchError: a claim that the matrix cannot test.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        cells = {cell.id: cell for cell in matrix.cells()}
        description = matrix.description() | {"cells": list(cells)}
        if matrix.measures:  # so that whoever reads the run needs no plug-in
            description["measures"] = [asdict(measure.info()) for measure in matrix.measures]
        if matrix.claims is not None:
            arms: dict[str, set[str]] = {}
            for cell in cells.values():
                arms.setdefault(cell.task.label, set()).add(cell.arm.label)
            check_claims(load_claims(matrix.claims), arms, matrix.claims.name)
            freeze(matrix.claims, self.directory)
        write_atomically(self.directory / RUN_FILE, json.dumps(description, indent=1))
        for folder in self.directory.glob(f"{CELLS}/*"):
            if folder.name not in cells:
                shutil.rmtree(folder)

    def write(self, record: Record, artifacts: Iterable[Path] = ()) -> None:
        """Write a cell's record, with the frames that its `artifacts` have in place of those of an earlier record."""
        folder = self.directory / CELLS / record["cell"]["id"]
        folder.mkdir(parents=True, exist_ok=True)
        for name in FRAMES:
            (folder / name).unlink(missing_ok=True)
        for artifact in artifacts:
            for frame in artifact.glob("*.parquet"):
                shutil.copyfile(frame, folder / frame.name)
        write_record(folder, record)
