"""The names of the files in a run's folder, before and after it is packed."""

from __future__ import annotations

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


def cell_files(directory: Path, name: str) -> dict[str, Path]:
    """The file `name` in the cells' own folders, by the cell's id."""
    return {path.parent.name: path for path in sorted(directory.glob(f"{CELLS}/*/{name}"))}
