"""A test of foresight: does a measure in the middle of training tell how training ends?"""

from __future__ import annotations

import math

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


class Prediction(Kind):
    """How well the measure in the middle of training tells whether gold falls from there to the end.

    Over all seeds and arms: area under the ROC curve, less that of the measure `against`; bootstrap over seeds.
    """

    name = "prediction"
    interval = "areas under ROC curves: bootstrap of seeds"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return f"area under ROC less that of {test.against}"

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        signals = _signals(test, cells)
        falls, signal, against = (signals[name].to_numpy(float) for name in ("falls", "signal", "against"))
        areas = area_under_roc(signal, falls), area_under_roc(against, falls)
        seeds = signals["seed"].unique()
        rows = {seed: np.flatnonzero(signals["seed"] == seed) for seed in seeds}
        rng = np.random.default_rng(0)
        resampled = []
        for _ in range(RESAMPLES if len(seeds) > 1 else 0):
            sample = np.concatenate([rows[seed] for seed in rng.choice(seeds, len(seeds))])
            area, other = (area_under_roc(each[sample], falls[sample]) for each in (signal, against))
            resampled.append(area - other)
        known = np.isfinite(resampled).any()
        low, high = np.nanquantile(resampled, [0.025, 0.975]) if known else (math.nan, math.nan)
        effect = Interval(areas[0] - areas[1], float(low), float(high), len(seeds))
        by_measure = {
            f"AUC of {measure}": Interval(area, math.nan, math.nan, len(seeds))
            for measure, area in zip((test.measure, test.against), areas, strict=True)
        }
        notes = [
            f"gold falls by more than {COLLAPSE} in {int(signals['falls'].sum())} of {len(signals)} cells",
            "signal: how far the measure has moved from its start by the middle of training",
        ]
        return Tested(test, self.outcome(test, effect), effect, by_measure, notes=notes)


def _signals(test: ClaimTest, cells: Cells) -> pd.DataFrame:
    """One row per cell with curves: `seed`, `falls` (1 or 0), and how far `signal` and `against` moved by half time."""
    rows = []
    for arm in arm_labels(test.arms):
        for seed, cell in cells.ended(arm)[["seed", "cell"]].itertuples(index=False):
            signal, against, gold = (
                cells.quantities.curve(cell, name) for name in (str(test.measure), str(test.against), "gold")
            )
            if any(len(curve) < 3 for curve in (signal, against, gold)):
                continue
            middle = gold.index[np.searchsorted(gold.index, gold.index.max() / 2)]
            falls = float(gold.iloc[-1] < gold[middle] - COLLAPSE)
            rows.append((seed, falls, *(abs(curve[middle] - curve.iloc[0]) for curve in (signal, against))))
    return pd.DataFrame(rows, columns=["seed", "falls", "signal", "against"])


def area_under_roc(signal: NDArray[np.float64], event: NDArray[np.float64]) -> float:
    """P(the signal is larger where the event is 1 than where it is 0), ties half (Mann & Whitney 1947)."""
    with_event, without = signal[event == 1, None], signal[event == 0]
    if not (with_event.size and without.size):
        return math.nan
    return float(((with_event > without) + 0.5 * (with_event == without)).mean())
