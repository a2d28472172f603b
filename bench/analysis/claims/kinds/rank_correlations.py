"""Tests of an order: Spearman's rank correlation within each seed, then the mean over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bench.analysis.claims.cells_of_arms import Cells, Values, group_name, intervals
from bench.analysis.claims.kinds.kind import Kind, in_braces
from bench.analysis.claims.tested import Tested
from bench.analysis.interval import Interval
from bench.analysis.statistics import mean_interval
from bench.records.claims import ClaimTest


class Trend(Kind):
    """Rank correlation of the measure with `x` over the arms, or over several measures of one arm."""

    name = "trend"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        arms = [in_braces(arm) for arm in test.arms]
        over = arms[0] if isinstance(test.measure, list) else f"{arms[0]} … {arms[-1]}"
        return f"rank correlation over {test.x}, {over}"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        if isinstance(test.measure, list):
            points = {measure: cells.values(test.arms[0], measure) for measure in test.measure}
        else:
            points = {group_name(arm): cells.values(arm, test.measure) for arm in test.arms}
        effect, notes = rank_correlation(points, test.x or [])
        return self.tested(test, cells, effect, intervals(points), notes=notes)


class Correlation(Kind):
    """Rank correlation of the measure with that in `against`, over the arms."""

    name = "correlation"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"rank correlation with {test.against} over {len(test.arms)} arms"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        values = {group_name(arm): cells.values(arm, str(test.measure)) for arm in test.arms}
        against = {group_name(arm): cells.values(arm, str(test.against)) for arm in test.arms}
        one, other = pd.DataFrame(values).dropna(), pd.DataFrame(against).dropna()
        seeds = one.index.intersection(other.index)
        effect = _mean_of_ranks([float(one.loc[seed].corr(other.loc[seed], method="spearman")) for seed in seeds])
        return self.tested(test, cells, effect, intervals(values))


def rank_correlation(points: Mapping[str, Values], x: Sequence[float]) -> tuple[Interval, list[str]]:
    """Of the points' values with `x`, within each seed, then the mean; and a note on seeds that lack a point."""
    table = pd.DataFrame(points)
    complete, against = table.dropna(), pd.Series(list(x), index=table.columns, dtype=float)
    effect = _mean_of_ranks([float(row.corr(against, method="spearman")) for _, row in complete.iterrows()])
    missing = len(table) - len(complete)
    return effect, [f"{missing} seeds lack a point and are left out"] if missing else []


def _mean_of_ranks(correlations: list[float]) -> Interval:
    return mean_interval(np.nan_to_num(correlations))  # all alike: no order
