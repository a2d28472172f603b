"""A run's folder as a run writes it: what it was asked for, then the record of every cell, with frames beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from bench.contracts.errors import BenchError
from bench.matrix.cells import Matrix
from bench.records.claims import check_claims, freeze, load_claims
from bench.records.files import CELLS, LOGS, RECORD, RECORDS, RUN_FILE, SEARCH, clear_cell, remove_cell
from bench.records.reading import planned
from bench.records.record import Record, write_record
from bench.records.sealing import Damaged, write_sealed


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

        Only what an earlier run of this folder names is removed, and of that only what a run writes.

        Raises:
            BenchError: the folder holds something else than a run, or a claim that the matrix cannot test.
        """
        earlier = self._earlier_cells()
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
        write_sealed(self.directory / RUN_FILE, description)
        for name in earlier:
            if name not in cells and _is_name(name) and (self.directory / CELLS / name).is_dir():
                remove_cell(self.directory / CELLS / name)

    def _earlier_cells(self) -> list[str]:
        """What an earlier run in this folder was to have; nothing in a new one, or where that cannot be read."""
        if not self.directory.exists():
            return []
        inside = sorted(entry.name for entry in self.directory.iterdir() if not entry.name.startswith("."))
        records = [*self.directory.glob(f"{CELLS}/*/{RECORD}"), *self.directory.glob(RECORDS)]
        try:
            cells = planned(self.directory)
        except Damaged:
            cells = [] if records else None
        if inside and cells is None and not records and SEARCH not in inside:
            shown = ", ".join(inside[:3]) + ", …" * (len(inside) > 3)
            raise BenchError(f"{self.directory} is not a run and not empty (it holds {shown}): name another folder")
        return cells or []

    def write(self, record: Record, artifacts: Iterable[Path] = ()) -> None:
        """Write a cell's record, with the frames that its `artifacts` have in place of those of an earlier record."""
        folder = self.directory / CELLS / record["cell"]["id"]
        folder.mkdir(parents=True, exist_ok=True)
        clear_cell(folder)
        for artifact in artifacts:
            for frame in artifact.glob("*.parquet"):
                shutil.copyfile(frame, folder / frame.name)
        write_record(folder, record)


def _is_name(cell: str) -> bool:
    """Is the id the name of a folder, and no way out of ours?"""
    return cell == Path(cell).name and cell not in ("", "..")
