"""The names of the files in a run's folder, before and after it is packed."""

from __future__ import annotations

import contextlib
from pathlib import Path

from bench.stages.artifact import COMPLETIONS, CURVE, PROBES, TRAINING

RUN_FILE = "run.json"
"""What `bench run` writes before it begins: the whole matrix, the ids of its cells, the measures of plug-ins."""

CELLS = "cells"
"""The folder that has a folder per cell, named by the cell's id."""

RECORD = "record.json"
"""In a cell's folder: its record."""

FRAMES = (CURVE, TRAINING, COMPLETIONS, PROBES)
"""In a cell's folder, where there are any: what its stages left besides numbers."""

COMPARISONS = "comparisons.parquet"
"""What a judge said (`bench judge`)."""

SEARCH = "search.db"
"""In the folder of a search (`bench tune`), which takes the records of the matrix that it writes as well."""

LOGS = "logs"
"""The folder of everything that stages and their libraries print."""

RECORDS = "records.jsonl.gz"
"""Of a packed run: one record a line."""

PACKED = {
    CURVE: "curves.parquet",
    TRAINING: "training.parquet",
    COMPLETIONS: "completions.parquet",
    PROBES: "reliability.parquet",
}
"""A cell's file, and the one that has all cells' rows of it in a packed run."""


def is_run(directory: Path) -> bool:
    """Does the folder hold a run, begun, ended or packed?"""
    return (directory / CELLS).is_dir() or any((directory / name).is_file() for name in (RUN_FILE, RECORDS))


def clear_cell(folder: Path) -> None:
    """Remove what the bench wrote into a cell's folder, the record first: without one, the rest is nobody's.

    An empty folder in a file's place goes as well. One with something in it is not ours.

    Raises:
        OSError: such a folder, or one that may not be written to.
    """
    for path in (folder / name for name in (RECORD, *FRAMES)):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)


def remove_cell(folder: Path) -> None:
    """`clear_cell`, and the folder goes, too, unless something else lies there. Raises as it does."""
    clear_cell(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()
