"""A test of how far seeds lie apart."""

from __future__ import annotations

import math

from bench.analysis.claims.cells_of_arms import Cells
from bench.analysis.claims.kinds.differences import minus
from bench.analysis.claims.kinds.kind import Kind
from bench.analysis.claims.tested import Tested
from bench.analysis.interval import Interval
from bench.analysis.statistics import spread_ratio
from bench.records.claims import ClaimTest


class Spread(Kind):
    """Log of the ratio of the standard deviations over seeds, the first arm's by the second's (Pitman & Morgan)."""

    name = "spread"
    interval = "spreads: Pitman and Morgan"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"log ratio of seeds' standard deviations, {minus(test)}"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        first, second = (cells.values(arm, str(test.measure)) for arm in test.arms)
        effect, p = spread_ratio(first, second)
        by_arm, notes = {}, []
        for arm, values in zip(test.arms, (first, second), strict=True):
            spread = _standard_deviation([*values.values()])
            by_arm[f"{arm}, standard deviation"] = Interval(spread, math.nan, math.nan, len(values))
            if spread == 0:
                notes.append(f"{arm}: the same in every seed, so that no ratio is known")
        at_zero = test.margin == 0 and math.isfinite(p)
        return self.tested(test, cells, effect, by_arm, notes=notes, p=p if at_zero else None)


def _standard_deviation(values: list[float]) -> float:
    mean = sum(values) / len(values) if values else math.nan
    return math.sqrt(sum((x - mean) ** 2 for x in values) / (len(values) - 1)) if len(values) > 1 else math.nan
