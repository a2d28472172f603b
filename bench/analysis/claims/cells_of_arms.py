"""The cells of one task as a test reads them: a measure of an arm, one value per seed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from bench.analysis.claims.quantities import OVER_ARMS, Quantities
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
        """A measure by seed; of several arms taken together, one of those that `Quantities` has for them."""
        labels = [group] if isinstance(group, str) else group
        if measure in ("frontier", "hypervolume", "variance"):
            cells = pd.concat([self.ended(label) for label in labels])
            of = self.quantities.variance_of if measure == "variance" else self.quantities.frontier_of
            return dict(of(cells).items())
        if over := OVER_ARMS.fullmatch(measure):
            by_arm = pd.DataFrame({label: self.values(label, over[2]) for label in labels}).dropna()
            least = by_arm.min(axis=1)
            return dict((least if over[1] == "least" else by_arm.max(axis=1) - least).items())
        own = self.ended(labels[0])
        values = self.quantities.of(measure).reindex(own["cell"]).to_numpy()
        pairs = zip(own["seed"], values, strict=True)
        return {seed: float(value) for seed, value in pairs if np.isfinite(value)}

    def happened(self, arm: Group, measure: str) -> dict[Hashable, bool]:
        """Of a measure that counts until something happens: does it, by seed? Of several arms: does it in one?"""
        labels = [arm] if isinstance(arm, str) else arm
        inner = over[2] if (over := OVER_ARMS.fullmatch(measure)) else measure
        found: dict[Hashable, bool] = {}
        for label in labels:
            own = self.ended(label)
            known = self.quantities.happened(inner).reindex(own["cell"])
            for seed, value in zip(own["seed"], known, strict=True):
                if pd.notna(value):
                    found[seed] = found.get(seed, False) or bool(value)
        return found

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
