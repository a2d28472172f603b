"""`bench verify`: every file of a run held to its checksum."""

from __future__ import annotations

from pathlib import Path

from bench.contracts.errors import BenchError
from bench.records.claims import frozen
from bench.records.files import RUN_FILE, is_run
from bench.records.reading import Cells, read_cells, read_comparisons
from bench.records.sealing import Damaged


def verify(directory: Path) -> tuple[Cells, list[str]]:
    """The cells of the run in `directory`, and what is wrong with its files, one line each.

    Raises:
        BenchError: it is no run.
    """
    if not is_run(directory):
        raise BenchError(f"{directory} is not a run: it has no {RUN_FILE}")
    cells = Cells()
    faults: list[str] = []
    try:
        cells = read_cells(directory)
        faults += dict.fromkeys(cells.damaged.values())
    except Damaged as error:
        faults.append(str(error))
    for read in (frozen, lambda folder: read_comparisons(folder, cells)):
        try:
            read(directory)
        except Damaged as error:
            faults.append(str(error))
    return cells, faults
