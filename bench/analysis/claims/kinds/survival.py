"""A test of how long it takes until something happens, which in some seeds never does."""

from __future__ import annotations

import math

from bench.analysis.claims.cells_of_arms import Cells, intervals
from bench.analysis.claims.kinds.differences import by_arm, minus, never_happened
from bench.analysis.claims.kinds.kind import Kind
from bench.analysis.claims.tested import Tested
from bench.analysis.statistics import paired_difference
from bench.records.claims import ClaimTest


class Survival(Kind):
    """The time until the event, at most the whole that a cell could have had, the first arm's less the second's.

    The difference of two restricted mean times (Irwin 1949), paired by seed; what never happened is censored there.
    Beside it the log-rank test stratified by seed (Mantel 1966), in its exact form: which of the two is first, over the
    seeds in which one is. Where it happens in neither arm in most seeds, no effect can be excluded: what is alike are
    the ends of training.
    """

    name = "survival"
    interval = "times to an event: restricted means, with the exact log-rank test within seeds beside it"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"restricted mean, {minus(test)}"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        measure, arms = str(test.measure), test.arms
        first, second = (cells.values(arm, measure) for arm in arms)
        events = [cells.happened(arm, measure) for arm in arms]
        effect, notes = paired_difference(first, second).difference, never_happened(test, cells)
        earlier = sum(first[seed] < second[seed] and events[0][seed] for seed in first if seed in second)
        later = sum(second[seed] < first[seed] and events[1][seed] for seed in first if seed in second)
        notes.append(f"first in {earlier} seeds, the other in {later}")
        p, outcome = log_rank_within_pairs(earlier, later), self.outcome(test, effect)
        censored = sum(not (events[0][seed] or events[1][seed]) for seed in first if seed in second)
        if censored > effect.n / 2 and outcome in ("nil", "contradicted"):
            notes.append(f"in {censored} seeds it happens in neither arm: only longer training would tell them apart")
            outcome = "undecided"
        by = intervals(by_arm(test, first, second))
        return self.tested(test, cells, effect, by, notes=notes, outcome=outcome, p=p)


def log_rank_within_pairs(earlier: int, later: int) -> float:
    """p of the log-rank test stratified by pair, exact: of the pairs in which one is first, half are expected to be.

    Its χ² of one degree of freedom, (earlier − later)² / (earlier + later), is the large-sample form.
    """
    from scipy.stats import binomtest

    return float(binomtest(earlier, earlier + later).pvalue) if earlier + later else math.nan
