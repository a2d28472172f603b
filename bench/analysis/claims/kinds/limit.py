"""A test of what something comes to in the end: is it there, and if not, has it stopped?"""

from __future__ import annotations

from bench.analysis.claims.cells_of_arms import Cells, group_name, intervals
from bench.analysis.claims.decision import beyond, decide
from bench.analysis.claims.kinds.kind import Kind, in_braces
from bench.analysis.claims.kinds.rank_correlations import rank_correlation
from bench.analysis.claims.tested import Outcome, Tested
from bench.analysis.interval import Interval
from bench.analysis.statistics import mean_interval, paired_difference
from bench.records.claims import ClaimTest


class Limit(Kind):
    """The measure at the last of the arms, which are in the order of `x` (training, data, …).

    It holds where the interval lies beyond the margin. A level on the wrong side contradicts only at a standstill:
    where the change from the last arm but one lies within ± `meaningful`. Otherwise it is on its way, and undecided.
    """

    name = "limit"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"at {in_braces(test.arms[-1])}, the last of {len(test.arms)}"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        points = {group_name(arm): cells.values(arm, str(test.measure)) for arm in test.arms}
        *_, before, last = points.values()
        effect, change = mean_interval([*last.values()]), paired_difference(last, before).difference
        still = -test.meaningful < change.low and change.high < test.meaningful
        trend, missing = rank_correlation(points, test.x or [])
        notes = [
            f"rank correlation over {test.x}: {trend.text()}",
            f"change from the last but one: {change.text()}: {'a standstill' if still else 'not at a standstill'}",
            *missing,
        ]
        return self.tested(test, cells, effect, intervals(points), notes=notes, outcome=_outcome(test, effect, still))

    def seeds_needed(self, test: ClaimTest, effect: Interval) -> None:
        """More training tells, not more seeds."""


def _outcome(test: ClaimTest, effect: Interval, still: bool) -> Outcome:
    there = decide(test.model_copy(update={"meaningful": 0.0}), effect)
    if there == "contradicted" and not still:
        return "undecided"
    assert there != "nil", beyond(test, effect)
    return there
