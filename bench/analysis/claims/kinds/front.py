"""A test of two golds at once: whose policies dominate?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.claims.cells_of_arms import Cells, Values, intervals
from bench.analysis.claims.kinds.differences import by_arm, minus
from bench.analysis.claims.kinds.kind import Kind
from bench.analysis.claims.tested import Tested
from bench.analysis.statistics import paired_difference
from bench.measures.hypervolume import dominated_area
from bench.records.claims import ClaimTest, Group


class Front(Kind):
    """The area that a group's policies dominate above π0 in the plane of two measures, the first group's less the
    second's (the hypervolume of their Pareto front, Zitzler & Thiele 1999)."""

    name = "front"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"area dominated, {minus(test)}"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        first, second = (_areas(cells, arm, list(test.measure)) for arm in test.arms)
        effect = paired_difference(first, second).difference
        return self.tested(test, cells, effect, intervals(by_arm(test, first, second)))


def _areas(cells: Cells, group: Group, measures: list[str]) -> Values:
    gains = []
    for arm in [group] if isinstance(group, str) else group:
        gains.append(pd.DataFrame({m: cells.values(arm, f"{m} - reference_{m}") for m in measures}))
    rows = pd.concat(gains)
    return {seed: dominated_area(np.asarray(own, dtype=float)) for seed, own in rows.groupby(level=0)}
