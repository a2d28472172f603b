"""Tests of foresight: does a measure along training tell which policies are about to fall?

Only policies that have not fallen yet can fall: a policy has where its gold lies more than `COLLAPSE` below the highest
that it has had so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.claims.cells_of_arms import Cells
from bench.analysis.claims.derived import COLLAPSE
from bench.analysis.claims.kinds.kind import Kind
from bench.analysis.claims.tested import Tested
from bench.analysis.interval import Interval
from bench.records.claims import ClaimTest, arm_labels

RESAMPLES = 1000


class _Foresight(Kind):
    """What both tests do with events and signals."""

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"area under ROC less that of {test.against}"

    def by_areas(self, test: ClaimTest, cells: Cells, rows: list[tuple[object, ...]], notes: list[str]) -> Tested:
        """The test on rows of seed, risk set, event and the two signals: events against others of the same risk set."""
        table = pd.DataFrame(rows, columns=["seed", "set", "falls", "signal", "against"])
        sets, falls, signal, against = (table[name].to_numpy(float) for name in ("set", "falls", "signal", "against"))
        areas = area_under_roc(signal, falls, sets), area_under_roc(against, falls, sets)
        low, high, p = _bootstrap(
            table["seed"].to_numpy(),
            lambda i: area_under_roc(signal[i], falls[i], sets[i]) - area_under_roc(against[i], falls[i], sets[i]),
        )
        seeds = table["seed"].nunique()
        effect = Interval(areas[0] - areas[1], low, high, seeds)
        by_measure = {
            f"AUC of {measure}": Interval(area, math.nan, math.nan, seeds)
            for measure, area in zip((test.measure, test.against), areas, strict=True)
        }
        notes = [f"gold falls by more than {COLLAPSE} in {int(falls.sum())} of {len(table)} at risk", *notes]
        return self.tested(test, cells, effect, by_measure, notes=notes, p=p if test.margin == 0 else None)


class Prediction(_Foresight):
    """How well the measure in the middle of training tells whether gold falls from there to the end.

    Over all seeds and arms at risk: area under the ROC curve, less that of the measure `against`; bootstrap over seeds.
    """

    name = "prediction"
    interval = "areas under ROC curves: bootstrap of seeds"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        at_middle, fallen = [], 0
        for seed, curves in _courses(test, cells):
            gold = curves["gold"]
            middle = int(np.searchsorted(gold.index, gold.index.max() / 2))
            if _has_fallen(gold)[middle]:
                fallen += 1
                continue
            falls = float(gold.iloc[-1] < gold.iloc[middle] - COLLAPSE)
            at_middle.append((seed, 0, falls, *_moved(curves.iloc[middle], curves.iloc[0])))
        notes = [
            f"{fallen} cells had fallen before the middle and are not at risk",
            "signal: how far the measure has moved from its start by the middle of training",
        ]
        return self.by_areas(test, cells, at_middle, notes)


class Hazard(_Foresight):
    """How well the measure at any point of training tells who falls by the next, among those at risk there.

    Areas under ROC curves within each point's risk set, weighted by their pairs (incident and dynamic, Heagerty & Zheng
    2005), less that of the measure `against`; bootstrap over seeds.
    """

    name = "hazard"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        rows: list[tuple[object, ...]] = []
        for seed, curves in _courses(test, cells):
            fallen = _has_fallen(curves["gold"])
            for i in range(1, len(curves) - 1):
                if fallen[i]:
                    break
                rows.append((seed, i, float(fallen[i + 1]), *_moved(curves.iloc[i], curves.iloc[0])))
        return self.by_areas(test, cells, rows, ["signal: how far the measure has moved from its start"])


def _courses(test: ClaimTest, cells: Cells) -> list[tuple[object, pd.DataFrame]]:
    """The seed and the curves of each cell: columns `gold`, `signal`, `against`, by step; three points at least."""
    found = []
    for arm in arm_labels(test.arms):
        for seed, cell in cells.ended(arm)[["seed", "cell"]].itertuples(index=False):
            names = {"gold": "gold", "signal": str(test.measure), "against": str(test.against)}
            curves = pd.DataFrame({name: cells.quantities.curve(cell, own) for name, own in names.items()}).dropna()
            if len(curves) > 2:
                found.append((seed, curves))
    return found


def _has_fallen(gold: pd.Series[float]) -> NDArray[np.bool_]:
    return np.asarray(gold.cummax() - gold > COLLAPSE)


def _moved(point: pd.Series[float], start: pd.Series[float]) -> list[float]:
    return [abs(float(point[name]) - float(start[name])) for name in ("signal", "against")]


def _bootstrap(
    seeds: NDArray[np.object_], statistic: Callable[[NDArray[np.intp]], float]
) -> tuple[float, float, float]:
    """95 % interval of a statistic of rows, seeds resampled, and the two-sided p value of 0."""
    each = pd.unique(pd.Series(seeds))
    rows = [np.flatnonzero(seeds == seed) for seed in each]
    rng = np.random.default_rng(0)
    drawn = [
        statistic(np.concatenate([rows[i] for i in rng.integers(0, len(each), len(each))]))
        for _ in range(RESAMPLES if len(each) > 1 else 0)
    ]
    values = np.array(drawn)[np.isfinite(drawn)]
    if not len(values):
        return math.nan, math.nan, math.nan
    low, high = np.quantile(values, [0.025, 0.975])
    tail = min((values <= 0).mean(), (values >= 0).mean())
    return float(low), float(high), float(min(1.0, 2 * max(tail, 1 / len(values))))


def area_under_roc(
    signal: NDArray[np.float64], event: NDArray[np.float64], sets: NDArray[np.float64] | None = None
) -> float:
    """P(the signal is larger where the event is 1 than where it is 0), ties half (Mann & Whitney 1947).

    Pairs are made within `sets`, where they are given.
    """
    sets = np.zeros(len(event)) if sets is None else sets
    wins = pairs = 0.0
    for each in np.unique(sets):
        own = sets == each
        with_event, without = signal[own & (event == 1), None], signal[own & (event == 0)]
        wins += float(((with_event > without) + 0.5 * (with_event == without)).sum())
        pairs += with_event.size * without.size
    return wins / pairs if pairs else math.nan
