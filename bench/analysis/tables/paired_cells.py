"""Which cells a paired table holds against each other, and by which measures."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import pandas as pd

from bench.analysis.curves.paths import by_cell
from bench.contracts.errors import BenchError, nearest
from bench.measures.calibration import ECE
from bench.records.loading import RunFrames


def held_against(run: RunFrames, against: str) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    """Task, model, their cells that ended well (with `hypervolume`), and those of the arm `against` among them.

    Raises:
        BenchError: no arm is called `against`, with the nearest name.
    """
    arms = list(dict.fromkeys(run.records["arm"]))
    if against not in arms:
        raise BenchError(f"no arm {against!r} in {run.directory}{nearest(against, arms)}")
    records = run.records.set_index("cell", drop=False)
    records = records.assign(hypervolume=by_cell(run).reindex(records.index))
    for (task, model), cells in records[records["status"] == "ok"].groupby(["task", "model"], sort=False):
        yield str(task), str(model), cells, cells[cells["arm"] == against]


def other_arms(cells: pd.DataFrame, against: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each arm but `against`, and its cells."""
    for arm, own in cells.groupby("arm", sort=False):
        if arm != against:
            yield str(arm), own


def by_seed(cells: pd.DataFrame, measure: str) -> dict[Hashable, float]:
    """A measure of one arm's cells by their seed."""
    return dict(zip(cells["seed"], cells[measure].astype(float), strict=True))


def known_measures(measures: Iterable[str], *sides: pd.DataFrame) -> list[str]:
    """Those of `measures` that every side has: of several ECEs the first; the judge only where gold is not known."""
    known = [name for name in measures if all(name in cells and cells[name].notna().any() for cells in sides)]
    further = [name for name in known if name in ECE][1:]
    return [name for name in known if name not in further and (name != "judge" or "gold" not in known)]
