"""Tests of one arm against another, paired by seed."""

from __future__ import annotations

import math

import numpy as np

from bench.analysis.claims.cells_of_arms import Cells, Values, group_name, intervals
from bench.analysis.claims.derived import DERIVED
from bench.analysis.claims.kinds.kind import Kind, in_braces
from bench.analysis.claims.tested import Outcome, Tested, Variant
from bench.analysis.interval import Interval
from bench.analysis.statistics import equivalence_test, paired_difference
from bench.records.claims import ClaimTest, arm_labels

PLACES = ("end", "equal kl", "equal compute")
"""Where a difference is shown beside the place where it decides."""
AXES = {"equal kl": "kl", "equal compute": "compute", "equal proxy": "proxy"}
ALONG_TRAINING = {"gold", "proxy", "gap", "entropy", "length", "perplexity_samples"}


class Difference(Kind):
    """The measure of the first arm less that of the second."""

    name = "difference"
    interval = "shares: Newcombe"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return _minus(test)

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        first, second = _two_arms(test, cells)
        measure = str(test.measure)
        effect = paired_difference(first, second).difference
        derived = DERIVED.get(measure.partition(":")[0])
        if derived is not None and derived.is_share and effect.n:
            effect = _difference_of_shares(first, second)
        notes = []
        if derived is not None and derived.until:
            notes += _never_reached(test, cells)
        if effect.n < 2 and test.at != "end":
            notes.append(f"no curve to read {measure} from at {test.at}")
        has_path = measure in ALONG_TRAINING and all(isinstance(arm, str) for arm in test.arms)
        variants = _variants(test, cells, effect) if has_path else []
        return self.tested(test, cells, effect, intervals(_by_arm(test, first, second)), variants, notes)


class Equivalence(Kind):
    """The same, to be within ±margin (two one-sided tests at 5 %, so the interval is that of 90 %)."""

    name = "equivalence"
    interval = "an equivalence: the 90 % of two one-sided tests"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return _minus(test)

    def expectation(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"within ±{test.margin:g}"

    def outcome(self, test: ClaimTest, effect: Interval) -> Outcome:
        """Does the whole interval lie within the margin, or all of it outside?"""
        if -test.margin < effect.low and effect.high < test.margin:
            return "holds"
        return "contradicted" if effect.low > test.margin or effect.high < -test.margin else "undecided"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        first, second = _two_arms(test, cells)
        effect = equivalence_test(first, second, test.margin).difference
        return self.tested(test, cells, effect, intervals(_by_arm(test, first, second)))


class Spread(Kind):
    """How far seeds lie from their median, the first arm's less the second's (Brown & Forsythe 1974, paired)."""

    name = "spread"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"seeds' distance from the median, {_minus(test)}"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        first, second = (_distances_from_median(cells.values(arm, str(test.measure))) for arm in test.arms)
        effect = paired_difference(first, second).difference
        by_arm = {f"{name}, distance from the median": each for name, each in _by_arm(test, first, second).items()}
        return self.tested(test, cells, effect, intervals(by_arm))


def _minus(test: ClaimTest) -> str:
    return " − ".join(map(in_braces, test.arms))


def _two_arms(test: ClaimTest, cells: Cells) -> tuple[Values, Values]:
    measure, (first, second) = str(test.measure), test.arms
    if test.at == "end":
        return cells.values(first, measure), cells.values(second, measure)
    return cells.at_equal(str(first), str(second), measure, AXES[test.at])


def _by_arm(test: ClaimTest, first: Values, second: Values) -> dict[str, Values]:
    return dict(zip(map(group_name, test.arms), (first, second), strict=True))


def _variants(test: ClaimTest, cells: Cells, effect: Interval) -> list[Variant]:
    variants = []
    for place in PLACES:
        if place == test.at:
            continue
        elsewhere = paired_difference(*_two_arms(test.model_copy(update={"at": place}), cells)).difference
        if elsewhere.n > 1:
            both_exclude_0 = elsewhere.low * elsewhere.high > 0 and effect.low * effect.high > 0
            variants.append(Variant(place, elsewhere, both_exclude_0 and elsewhere.mean * effect.mean < 0))
    return variants


def _difference_of_shares(first: Values, second: Values) -> Interval:
    """Of two shares of seeds: Newcombe's interval, which does not vanish where all seeds agree."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    seeds = [seed for seed in first if seed in second]
    n = len(seeds)
    count_first, count_second = (sum(values[seed] for seed in seeds) for values in (first, second))
    low, high = confint_proportions_2indep(count_first, n, count_second, n, method="newcomb", compare="diff")
    return Interval((count_first - count_second) / n, float(low), float(high), n)


def _never_reached(test: ClaimTest, cells: Cells) -> list[str]:
    target = float(str(test.measure).partition(":")[2])
    notes = []
    for arm in arm_labels(test.arms):
        own = cells.ended(arm)
        short = sum(bool(cells.quantities.curve(cell, "gold").max() < target) for cell in own["cell"])
        if short:
            never = f"{short} of {len(own)} seeds never reach {target:g}"
            notes.append(f"{arm}: {never}, and count as the whole of training")
    return notes


def _distances_from_median(values: Values) -> Values:
    median = float(np.median([*values.values()])) if values else math.nan
    return {seed: abs(value - median) for seed, value in values.items()}
