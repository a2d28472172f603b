"""What claims compare: one number per cell, from its record, its training curve, its log and its completions.

A measure is named as records name it (`gold`, `cost_seconds_training`, a method's own figure), or as one of `DERIVED`,
or as one of them with an argument, ``tokens_to:0.4``; ``a - b`` is a difference; ``range(a)``, of several arms taken
together, is the largest less the smallest of their values in a seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, cached_property

import pandas as pd

from bench.analysis.claims.cell_data import CellData
from bench.analysis.claims.derived import DERIVED
from bench.analysis.curves.paths import points
from bench.contracts.errors import BenchError, nearest
from bench.measures.hypervolume import hypervolume

RANGE = re.compile(r"range\((.+)\)")


class Quantities(CellData):
    """Numbers of a run's cells, computed when they are asked for."""

    @cached_property
    def of(self) -> Callable[[str], pd.Series[float]]:
        """``of(measure)``: a measure of every cell, by the cell's id; NaN where a cell does not have it.

        Raises:
            BenchError: there is no such measure, with the nearest name.
        """
        return cache(self._compute)

    def hypervolume_of(self, cells: pd.DataFrame) -> pd.Series[float]:
        """The hypervolume of what all the given cells of a seed passed through, by seed."""
        rows = self._points[self._points["cell"].isin(cells["cell"])]
        values = {
            seed: hypervolume(own["kl"], own["reward"], start=own["start"].iloc[0])
            for seed, own in rows.groupby("seed")
        }
        return pd.Series(values, dtype=float)

    @cached_property
    def _points(self) -> pd.DataFrame:
        return points(self.run)

    def _compute(self, measure: str) -> pd.Series[float]:
        if " - " in measure:
            first, _, second = measure.partition(" - ")
            return self.of(first) - self.of(second)
        name, _, argument = measure.partition(":")
        if name in DERIVED:
            return DERIVED[name].compute(self, argument)
        if measure not in self.records:
            known = [str(each) for each in self.records.columns]
            raise BenchError(f"no cell has a measure {measure!r}{nearest(measure, [*known, *DERIVED])}")
        return self.records[measure].astype(float)
