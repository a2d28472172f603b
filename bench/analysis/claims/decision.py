"""What an interval says of a test: beyond the margin, nothing that matters, or neither; with what chance of error, and
how many seeds would tell.

An effect is measured from the margin, on the side that the test expects: `beyond` it. With M the test's `meaningful`,
the interval [low, high] of the effect beyond the margin

- **holds** where low > 0, and high reaches M;
- is **contradicted** where high < M: no effect as large as M; and a **nil** effect where −M < low as well;
- is **undecided** where it can exclude neither 0 nor M.

Where M is 0 the margin says all: it holds beyond it, and is contradicted where the interval lies on the other side.
"""

from __future__ import annotations

import math

from scipy import stats

from bench.analysis.claims.tested import Outcome
from bench.analysis.interval import Interval
from bench.records.claims import ClaimTest

POWER = 0.8
FEWEST = 3
MANY_SEEDS = 1000
"""More than anyone runs: the number itself says nothing beyond this."""


def beyond(test: ClaimTest, effect: Interval) -> Interval:
    """The effect less the margin, positive on the side that the test expects."""
    low, high = effect.low - test.margin, effect.high - test.margin
    if test.expect == "below":
        return Interval(test.margin - effect.mean, -high, -low, effect.n)
    return Interval(effect.mean - test.margin, low, high, effect.n)


def decide(test: ClaimTest, effect: Interval) -> Outcome:
    """The outcome of a test whose effect has this interval. NaN bounds decide nothing."""
    own = beyond(test, effect)
    if own.high < test.meaningful:
        return "nil" if own.low > -test.meaningful else "contradicted"
    return "holds" if own.low > 0 else "undecided"


def p_value(effect: Interval, point: float, confidence: float = 0.95) -> float:
    """Two-sided, of an effect that is `point`, from Student's interval of `n` seeds; NaN where there is no interval."""
    if effect.n < 2 or not math.isfinite(effect.half):
        return math.nan
    if effect.half == 0:
        return float(effect.mean == point)
    error = effect.half / stats.t.ppf((1 + confidence) / 2, effect.n - 1)
    return float(2 * stats.t.sf(abs(effect.mean - point) / error, effect.n - 1))


def p_of_outcome(test: ClaimTest, effect: Interval, outcome: Outcome) -> float:
    """The chance of so clear an interval where the outcome is wrong: of an effect at the margin, or one that matters.

    Of a nil effect the larger of two, at M on either side (two one-sided tests, each at half the level).
    """
    own = beyond(test, effect)
    if outcome == "contradicted":
        return p_value(own, test.meaningful)
    if outcome == "nil":
        return max(p_value(own, test.meaningful), p_value(own, -test.meaningful))
    return p_value(own, 0.0)


def seeds_to_decide(test: ClaimTest, effect: Interval) -> int | None:
    """The seeds at which the effect found, spread as it is here, would exclude 0 or M with probability 0.8.

    Of the two the one that is farther from it. None where it cannot be said, or beyond `MANY_SEEDS`.
    """
    own = beyond(test, effect)
    return seeds_to_exclude(max(abs(own.mean), abs(own.mean - test.meaningful)), own)


def seeds_to_exclude(distance: float, effect: Interval, confidence: float = 0.95) -> int | None:
    """The seeds at which a paired t test excludes what lies `distance` from the effect, with probability 0.8."""
    from statsmodels.stats.power import TTestPower

    if effect.n < 2 or not math.isfinite(effect.half) or effect.half == 0:
        return None
    size = distance / _deviation(effect, confidence)
    if not size > 0 or TTestPower().power(size, MANY_SEEDS, 0.05) < POWER:
        return None
    if TTestPower().power(size, FEWEST, 0.05) >= POWER:
        return FEWEST
    return math.ceil(TTestPower().solve_power(size, alpha=0.05, power=POWER))


def _deviation(effect: Interval, confidence: float) -> float:
    """Of one seed."""
    return float(effect.half / stats.t.ppf((1 + confidence) / 2, effect.n - 1) * math.sqrt(effect.n))
