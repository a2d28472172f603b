"""The cells of one task as a test reads them: a measure of an arm, one value per seed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from bench.analysis.claims.quantities import RANGE, Quantities
from bench.analysis.interval import Interval
from bench.analysis.statistics import mean_interval
from bench.records.claims import Group

Values: TypeAlias = dict[Hashable, float]
"""By seed."""


class Cells:
    """The cells of one task, and their quantities by seed."""

    def __init__(self, quantities: Quantities, task: str) -> None:
        self.quantities = quantities
        self.task = task

    def ended(self, arm: str) -> pd.DataFrame:
        """The records of an arm's cells that ended well or diverged."""
        return self.quantities.ended(self.task, arm)

    def values(self, group: Group, measure: str) -> Values:
        """A measure by seed; of several arms taken together, a range over them or the hypervolume of all."""
        labels = [group] if isinstance(group, str) else group
        if measure == "hypervolume":
            cells = pd.concat([self.ended(label) for label in labels])
            return dict(self.quantities.hypervolume_of(cells).items())
        if ranged := RANGE.fullmatch(measure):
            by_arm = pd.DataFrame({label: self.values(label, ranged[1]) for label in labels}).dropna()
            return dict((by_arm.max(axis=1) - by_arm.min(axis=1)).items())
        own = self.ended(labels[0])
        values = self.quantities.of(measure).reindex(own["cell"]).to_numpy()
        pairs = zip(own["seed"], values, strict=True)
        return {seed: float(value) for seed, value in pairs if np.isfinite(value)}

    def at_equal(self, first: str, second: str, measure: str, axis: str) -> tuple[Values, Values]:
        """A measure of two arms where both have spent as much of `axis` as the one that spent less, by seed."""
        by_arm: tuple[Values, Values] = {}, {}
        for seed in sorted({*self.ended(first)["seed"]} & {*self.ended(second)["seed"]}):
            paths = []
            for arm in (first, second):
                own = self.ended(arm)
                path = self.quantities.path(own.loc[own["seed"] == seed, "cell"].iloc[0], measure)
                paths.append(path.sort_values(axis, kind="stable"))
            if any(len(path) < 2 for path in paths):
                continue
            least = min(path[axis].max() for path in paths)
            for values, path in zip(by_arm, paths, strict=True):
                values[seed] = float(np.interp(least, path[axis], path["value"]))
        return by_arm

    def note_on_endings(self, arms: Sequence[str]) -> list[str]:
        """Arms whose cells did not all end well."""
        notes = []
        for arm in arms:
            bad = self.quantities.cells(self.task, arm)["status"].value_counts().drop("ok", errors="ignore")
            notes += [f"{arm}: {count} {status}" for status, count in bad.items()]
        return notes


def group_name(group: Group) -> str:
    """An arm's label; of several taken together, all of them."""
    return group if isinstance(group, str) else " / ".join(group)


def intervals(values: Mapping[str, Values]) -> dict[str, Interval]:
    """The mean over seeds of each, with its 95 % interval."""
    return {name: mean_interval([*by_seed.values()]) for name, by_seed in values.items()}
