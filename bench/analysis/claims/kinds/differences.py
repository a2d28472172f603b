"""One arm against another, paired by seed: by how much do they differ, and are they the same?"""

from __future__ import annotations

from bench.analysis.claims.cells_of_arms import Cells, Values, group_name, intervals
from bench.analysis.claims.decision import p_value, seeds_to_exclude
from bench.analysis.claims.derived import DERIVED
from bench.analysis.claims.kinds.kind import Kind, in_braces
from bench.analysis.claims.tested import Outcome, Tested, Variant
from bench.analysis.interval import Interval
from bench.analysis.statistics import equivalence_test, paired_difference, paired_shares
from bench.records.claims import ClaimTest, arm_labels

PLACES = ("end", "equal kl", "equal compute")
"""Where a difference is shown beside the place where it decides."""
AXES = {"equal kl": "kl", "equal compute": "compute", "equal proxy": "proxy"}
ALONG_TRAINING = {"gold", "proxy", "gap", "entropy", "length", "perplexity_samples"}


class Difference(Kind):
    """The measure of the first arm less that of the second."""

    name = "difference"
    interval = "shares of seeds: Bonett and Price, with McNemar's exact test beside it"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return minus(test)

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        first, second = _two_arms(test, cells)
        measure = str(test.measure)
        effect, p = paired_difference(first, second).difference, None
        derived = DERIVED.get(measure.partition(":")[0])
        if derived is not None and derived.is_share and effect.n:
            effect, p = paired_shares(first, second)
        notes = []
        if derived is not None and derived.limit is not None:
            notes += never_happened(test, cells)
        if effect.n < 2 and test.at != "end":
            notes.append(f"no curve to read {measure} from at {test.at}")
        has_path = measure in ALONG_TRAINING and all(isinstance(arm, str) for arm in test.arms)
        variants = _variants(test, cells, effect) if has_path else []
        return self.tested(test, cells, effect, intervals(by_arm(test, first, second)), variants, notes, p=p)


class Equivalence(Kind):
    """The same, to be within ±margin (two one-sided tests at 5 %, so the interval is that of 90 %)."""

    name = "equivalence"
    interval = "an equivalence: the 90 % of two one-sided tests"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return minus(test)

    def expectation(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"within ±{test.margin:g}"

    def outcome(self, test: ClaimTest, effect: Interval) -> Outcome:
        """Does the whole interval lie within the margin, or all of it outside?"""
        if -test.margin < effect.low and effect.high < test.margin:
            return "holds"
        return "contradicted" if effect.low > test.margin or effect.high < -test.margin else "undecided"

    def p_value(self, test: ClaimTest, effect: Interval, outcome: Outcome) -> float:
        """The larger of the two one-sided p values; of a contradiction, that of an effect at the nearer margin."""
        ends = [p_value(effect, end, confidence=0.9) for end in (-test.margin, test.margin)]
        return max(ends) / (1 if outcome == "contradicted" else 2)

    def seeds_needed(self, test: ClaimTest, effect: Interval) -> int | None:
        """Those at which the effect found would exclude the nearer margin."""
        return seeds_to_exclude(abs(test.margin - abs(effect.mean)), effect, confidence=0.9)

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        first, second = _two_arms(test, cells)
        effect = equivalence_test(first, second, test.margin).difference
        return self.tested(test, cells, effect, intervals(by_arm(test, first, second)))


def minus(test: ClaimTest) -> str:
    return " − ".join(map(in_braces, test.arms))


def _two_arms(test: ClaimTest, cells: Cells) -> tuple[Values, Values]:
    measure, (first, second) = str(test.measure), test.arms
    if test.at == "end":
        return cells.values(first, measure), cells.values(second, measure)
    return cells.at_equal(str(first), str(second), measure, AXES[test.at])


def by_arm(test: ClaimTest, first: Values, second: Values) -> dict[str, Values]:
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


def never_happened(test: ClaimTest, cells: Cells) -> list[str]:
    """Of a measure that counts until something happens: the arms where it does not happen in every seed."""
    notes = []
    for arm in arm_labels(test.arms):
        happened = cells.happened(arm, str(test.measure))
        if short := len(happened) - sum(happened.values()):
            notes.append(f"{arm}: never in {short} of {len(happened)} seeds, which count as the whole")
    return notes
