"""Which arms a table may call the best: the leader, and those that no seed-paired interval tells from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.analysis.statistics import mean_intervals
from bench.contracts.measure import MeasureInfo
from bench.measures.registry import MEASURES

FEWEST_SEEDS = 3
NOTE = (
    "Bold (* on the terminal): the best of its column, with all arms that no 95 % interval (of differences paired by "
    "seed, not adjusted) tells from it, and that one tells from an arm it beats; none where that is more than half of "
    "the arms."
)


def best_arms(cells: pd.DataFrame, measure: str, measures: Mapping[str, MeasureInfo] = MEASURES) -> list[str]:
    """The arm with the best mean of `measure`, and those that cannot be told from it: [] if more than half of them.

    What is so noisy that it cannot be told from an arm that the leader beats either, is left out.

    `cells`: of one task and model; `measures`: a run's, which say where the best is. Only cells with status ok, and
    only arms with at least three seeds, count. Where values are to be near zero, their sizes are compared. [] also for
    a measure without a direction, or one arm.
    """
    better = measures[measure].better
    if better is None or measure not in cells:
        return []
    ok = cells[(cells["status"] == "ok") & cells[measure].notna()]
    values = ok.pivot_table(index="arm", columns="seed", values=measure, sort=False)
    values = values[values.notna().sum(axis=1) >= FEWEST_SEEDS]
    if len(values) < 2:
        return []
    good = values if better == "higher" else -values if better == "lower" else -values.abs()
    table = good.to_numpy(float)
    leader = table[np.nanmean(table, axis=1).argmax()]
    # written so that an interval that does not exist separates nothing
    level = np.array([not gap.high < 0 for gap in mean_intervals(list(table - leader))])
    beaten = table[~level]
    marked = [
        str(arm)
        for arm, own in zip(good.index[level], table[level], strict=True)
        if any(gap.low > 0 for gap in mean_intervals(list(own - beaten)))
    ]
    return marked if len(marked) <= len(good) / 2 else []
