"""What each kind of test computes, seeds paired, and what a claim comes to.

- ``difference``: measure of the first arm less that of the second.
- ``equivalence``: the same, to be within ±margin (two one-sided tests at 5 %, so the interval is that of 90 %).
- ``spread``: how far seeds lie from their median, the first arm's less the second's (Brown & Forsythe 1974, paired).
- ``level``: the measure itself, of one arm.
- ``trend``: rank correlation (Spearman) of the measure with `x` over the arms, or over several measures of one arm; the
  mean of the seeds' own.
- ``correlation``: the same with another measure in the place of `x`.
- ``prediction``: how well the measure in the middle of training tells whether gold falls from there to the end, over
  all seeds and arms: area under the ROC curve, less that of the measure `against`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.claims.quantities import COLLAPSE, RANGE, Quantities
from bench.analysis.statistics import Interval, equivalence_test, mean_interval, paired_difference
from bench.records.claims import Claim, ClaimTest, Group

Outcome: TypeAlias = Literal["holds", "contradicted", "undecided", "not run"]
Verdict: TypeAlias = Literal["reproduced", "contradicted", "inconclusive", "not testable here", "not run"]
Values: TypeAlias = dict[Hashable, float]

_PLACES = ("equal kl", "equal compute")
_ALONG = {"gold", "proxy", "gap", "entropy", "length", "perplexity_samples"}
_AXES = {"equal kl": "kl", "equal compute": "compute", "equal proxy": "proxy"}
RESAMPLES = 1000


@dataclass(frozen=True)
class Variant:
    """The same difference taken at another `place` (end, equal kl, equal compute).

    flips: both intervals exclude 0, on different sides.
    """

    place: str
    effect: Interval
    flips: bool


@dataclass(frozen=True)
class Tested:
    """What one test came to.

    Attributes:
        effect: with the interval that decides; `n` is the number of seeds.
        arms: what stands behind it, by arm (or by measure), over all seeds that each has.
        variants: the difference at equal KL and equal compute, where the arms have curves.
        notes: what the reader has to know.
    """

    test: ClaimTest
    outcome: Outcome
    effect: Interval
    arms: dict[str, Interval]
    variants: list[Variant] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Judged:
    """A claim, its verdict, and the tests behind it."""

    claim: Claim
    verdict: Verdict
    tests: list[Tested]
    commit: str | None = None
    written: str | None = None


def judge(claim: Claim, quantities: Quantities) -> tuple[Verdict, list[Tested]]:
    """The verdict on a claim: contradicted if a test that decides is, reproduced if all of them hold.

    Inconclusive as well where fewer seeds than the claim wants are behind a test that would decide.
    """
    if claim.needs:
        return "not testable here", []
    tests = [run_test(test, claim, quantities) for test in claim.tests]
    deciding = [each for each in tests if not each.test.also]
    outcomes = {each.outcome for each in deciding}
    if "not run" in outcomes:
        return "not run", tests
    if any(each.effect.n < claim.seeds for each in deciding):
        return "inconclusive", tests
    if "contradicted" in outcomes:
        return "contradicted", tests
    return ("reproduced" if outcomes == {"holds"} else "inconclusive"), tests


def run_test(test: ClaimTest, claim: Claim, quantities: Quantities) -> Tested:
    """Compute one test; ``not run`` where an arm has no cell that ended."""
    cells = _Cells(quantities, test.task or claim.task)
    missing = [arm for arm in _flat(test.arms) if cells.ended(arm).empty]
    if missing:
        nothing = Interval(math.nan, math.nan, math.nan, 0)
        return Tested(test, "not run", nothing, {}, notes=[f"not run: {', '.join(missing)}"])
    compute = {
        "difference": _difference,
        "equivalence": _equivalence,
        "spread": _spread,
        "level": _level,
        "trend": _trend,
        "correlation": _correlation,
        "prediction": _prediction,
    }[test.test]
    return compute(test, cells)


def outcome(test: ClaimTest, effect: Interval) -> Outcome:
    """Does the interval lie beyond the margin, on the side that is expected? NaN bounds decide nothing."""
    above, below = effect.low > test.margin, effect.high < test.margin
    if test.test == "equivalence":
        if -test.margin < effect.low and effect.high < test.margin:
            return "holds"
        return "contradicted" if above or effect.high < -test.margin else "undecided"
    if not (above or below):
        return "undecided"
    return "holds" if above == (test.expect == "above") else "contradicted"


# -- values ---------------------------------------------------------------------------------------------------


class _Cells:
    """The cells of one task, and their quantities by seed."""

    def __init__(self, quantities: Quantities, task: str) -> None:
        self.quantities = quantities
        self.task = task

    def ended(self, arm: str) -> pd.DataFrame:
        return self.quantities.ended(self.task, arm)

    def values(self, group: Group, measure: str) -> Values:
        """A measure by seed; of several arms taken together, a range over them or the hypervolume of all."""
        labels = [group] if isinstance(group, str) else group
        spread = RANGE.fullmatch(measure)
        if measure == "hypervolume":
            cells = pd.concat([self.ended(label) for label in labels])
            return dict(self.quantities.hypervolume_of(cells).items())
        if spread:
            each = pd.DataFrame({label: self.values(label, spread[1]) for label in labels}).dropna()
            return dict((each.max(axis=1) - each.min(axis=1)).items())
        own = self.ended(labels[0])
        found = self.quantities.of(measure).reindex(own["cell"]).to_numpy()
        pairs = zip(own["seed"], found, strict=True)
        return {seed: float(value) for seed, value in pairs if np.isfinite(value)}

    def at_equal(self, mine: str, theirs: str, measure: str, axis: str) -> tuple[Values, Values]:
        """A measure of two arms where both have spent as much of `axis` as the one that spent less, by seed."""
        found: tuple[Values, Values] = {}, {}
        for seed in sorted({*self.ended(mine)["seed"]} & {*self.ended(theirs)["seed"]}):
            paths = []
            for arm in (mine, theirs):
                own = self.ended(arm)
                path = self.quantities.path(own.loc[own["seed"] == seed, "cell"].iloc[0], measure)
                paths.append(path.sort_values(axis, kind="stable"))
            if any(len(path) < 2 for path in paths):
                continue
            least = min(path[axis].max() for path in paths)
            for values, path in zip(found, paths, strict=True):
                values[seed] = float(np.interp(least, path[axis], path["value"]))
        return found

    def note_on_endings(self, arms: Sequence[str]) -> list[str]:
        """Arms whose cells did not all end well."""
        notes = []
        for arm in arms:
            bad = self.quantities.cells(self.task, arm)["status"].value_counts().drop("ok", errors="ignore")
            notes += [f"{arm}: {count} {status}" for status, count in bad.items()]
        return notes


def _flat(arms: Sequence[Group]) -> list[str]:
    return [label for group in arms for label in ([group] if isinstance(group, str) else group)]


def _name(group: Group) -> str:
    return group if isinstance(group, str) else " / ".join(group)


def _summaries(values: Mapping[str, Values]) -> dict[str, Interval]:
    return {name: mean_interval([*each.values()]) for name, each in values.items()}


# -- kinds ----------------------------------------------------------------------------------------------------


def _two(test: ClaimTest, cells: _Cells) -> tuple[Values, Values]:
    measure, (mine, theirs) = str(test.measure), test.arms
    if test.at == "end":
        return cells.values(mine, measure), cells.values(theirs, measure)
    return cells.at_equal(str(mine), str(theirs), measure, _AXES[test.at])


def _difference(test: ClaimTest, cells: _Cells) -> Tested:
    mine, theirs = _two(test, cells)
    measure, names = str(test.measure), [_name(arm) for arm in test.arms]
    effect = paired_difference(mine, theirs).difference
    if cells.quantities.is_share(measure) and effect.n:
        effect = _difference_of_shares(mine, theirs)
    notes = cells.note_on_endings(_flat(test.arms))
    if measure.partition(":")[0] in ("updates_to", "tokens_to", "labels_to"):
        notes += _censored(test, cells)
    if effect.n < 2 and test.at != "end":
        notes.append(f"no curve to read {measure} from at {test.at}")
    found = _summaries(dict(zip(names, (mine, theirs), strict=True)))
    variants = (
        _variants(test, cells, effect) if measure in _ALONG and all(isinstance(a, str) for a in test.arms) else []
    )
    return Tested(test, outcome(test, effect), effect, found, variants, notes)


def _variants(test: ClaimTest, cells: _Cells, effect: Interval) -> list[Variant]:
    found = []
    for place in ("end", *_PLACES):
        if place == test.at:
            continue
        other = _difference_at(test, cells, place)
        if other.n > 1:
            sure = other.low * other.high > 0 and effect.low * effect.high > 0
            found.append(Variant(place, other, sure and other.mean * effect.mean < 0))
    return found


def _difference_at(test: ClaimTest, cells: _Cells, place: str) -> Interval:
    mine, theirs = _two(test.model_copy(update={"at": place}), cells)
    return paired_difference(mine, theirs).difference


def _difference_of_shares(mine: Values, theirs: Values) -> Interval:
    """Of two shares of seeds: Newcombe's interval, which does not vanish where all seeds agree."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    seeds = [seed for seed in mine if seed in theirs]
    one, two = (sum(values[seed] for seed in seeds) for values in (mine, theirs))
    low, high = confint_proportions_2indep(one, len(seeds), two, len(seeds), method="newcomb", compare="diff")
    return Interval((one - two) / len(seeds), float(low), float(high), len(seeds))


def _censored(test: ClaimTest, cells: _Cells) -> list[str]:
    """Who never reached the target."""
    target = float(str(test.measure).partition(":")[2])
    notes = []
    for arm in _flat(test.arms):
        own = cells.ended(arm)
        short = sum(bool(cells.quantities.curve(cell, "gold").max() < target) for cell in own["cell"])
        if short:
            never = f"{short} of {len(own)} seeds never reach {target:g}"
            notes.append(f"{arm}: {never}, and count as the whole of training")
    return notes


def _equivalence(test: ClaimTest, cells: _Cells) -> Tested:
    mine, theirs = _two(test, cells)
    effect = equivalence_test(mine, theirs, test.margin).difference
    names = [_name(arm) for arm in test.arms]
    notes = cells.note_on_endings(_flat(test.arms))
    found = _summaries(dict(zip(names, (mine, theirs), strict=True)))
    return Tested(test, outcome(test, effect), effect, found, notes=notes)


def _spread(test: ClaimTest, cells: _Cells) -> Tested:
    values = [cells.values(arm, str(test.measure)) for arm in test.arms]
    apart: list[Values] = []
    for each in values:
        middle = float(np.median([*each.values()])) if each else math.nan
        apart.append({seed: abs(value - middle) for seed, value in each.items()})
    effect = paired_difference(apart[0], apart[1]).difference
    names = [f"{_name(arm)}, distance from the median" for arm in test.arms]
    notes = cells.note_on_endings(_flat(test.arms))
    return Tested(test, outcome(test, effect), effect, _summaries(dict(zip(names, apart, strict=True))), notes=notes)


def _level(test: ClaimTest, cells: _Cells) -> Tested:
    values = cells.values(test.arms[0], str(test.measure))
    effect = mean_interval([*values.values()])
    return Tested(test, outcome(test, effect), effect, {}, notes=cells.note_on_endings(_flat(test.arms)))


def _trend(test: ClaimTest, cells: _Cells) -> Tested:
    if isinstance(test.measure, list):
        points = {measure: cells.values(test.arms[0], measure) for measure in test.measure}
    else:
        points = {_name(arm): cells.values(arm, test.measure) for arm in test.arms}
    table = pd.DataFrame(points)
    complete = table.dropna()
    ranks = [float(row.corr(pd.Series(test.x, index=row.index), method="spearman")) for _, row in complete.iterrows()]
    effect = mean_interval(np.nan_to_num(ranks))  # all alike: no trend
    notes = cells.note_on_endings(_flat(test.arms))
    if len(complete) < len(table):
        notes.append(f"{len(table) - len(complete)} seeds lack a point and are left out")
    return Tested(test, outcome(test, effect), effect, _summaries(points), notes=notes)


def _correlation(test: ClaimTest, cells: _Cells) -> Tested:
    mine = {_name(arm): cells.values(arm, str(test.measure)) for arm in test.arms}
    theirs = {_name(arm): cells.values(arm, str(test.against)) for arm in test.arms}
    one, two = pd.DataFrame(mine).dropna(), pd.DataFrame(theirs).dropna()
    seeds = one.index.intersection(two.index)
    ranks = [float(one.loc[seed].corr(two.loc[seed], method="spearman")) for seed in seeds]
    effect = mean_interval(np.nan_to_num(ranks))
    notes = cells.note_on_endings(_flat(test.arms))
    return Tested(test, outcome(test, effect), effect, _summaries(mine), notes=notes)


def _prediction(test: ClaimTest, cells: _Cells) -> Tested:
    rows = []
    for arm in _flat(test.arms):
        for seed, cell in cells.ended(arm)[["seed", "cell"]].itertuples(index=False):
            course = {
                name: cells.quantities.curve(cell, name) for name in (str(test.measure), str(test.against), "gold")
            }
            if any(len(each) < 3 for each in course.values()):
                continue
            middle = course["gold"].index[np.searchsorted(course["gold"].index, course["gold"].index.max() / 2)]
            fell = float(course["gold"].iloc[-1] < course["gold"][middle] - COLLAPSE)
            signals = [abs(each[middle] - each.iloc[0]) for each in [*course.values()][:2]]
            rows.append((seed, fell, *signals))
    frame = pd.DataFrame(rows, columns=["seed", "falls", "mine", "theirs"])
    seeds = frame["seed"].unique()
    notes = [f"gold falls by more than {COLLAPSE} in {int(frame['falls'].sum())} of {len(frame)} cells"]
    notes.append("signal: how far the measure has moved from its start by the middle of training")
    mine, theirs, falls = (frame[name].to_numpy(float) for name in ("mine", "theirs", "falls"))
    auc = {"mine": area_under_roc(mine, falls), "theirs": area_under_roc(theirs, falls)}
    rng = np.random.default_rng(0)
    places = {seed: np.flatnonzero(frame["seed"] == seed) for seed in seeds}
    drawn = []
    for _ in range(RESAMPLES if len(seeds) > 1 else 0):
        sample = np.concatenate([places[seed] for seed in rng.choice(seeds, len(seeds))])
        drawn.append(area_under_roc(mine[sample], falls[sample]) - area_under_roc(theirs[sample], falls[sample]))
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if np.isfinite(drawn).any() else (math.nan, math.nan)
    effect = Interval(auc["mine"] - auc["theirs"], float(low), float(high), len(seeds))
    areas = {f"AUC of {test.measure}": auc["mine"], f"AUC of {test.against}": auc["theirs"]}
    found = {name: Interval(value, math.nan, math.nan, len(seeds)) for name, value in areas.items()}
    return Tested(test, outcome(test, effect), effect, found, notes=notes)


def area_under_roc(signal: NDArray[np.float64], event: NDArray[np.float64]) -> float:
    """P(the signal is larger where the event is 1 than where it is 0), ties half (Mann & Whitney 1947)."""
    raised, other = signal[event == 1, None], signal[event == 0]
    if not (raised.size and other.size):
        return math.nan
    return float(((raised > other) + 0.5 * (raised == other)).mean())
