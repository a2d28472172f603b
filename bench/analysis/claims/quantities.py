"""What claims compare: one number per cell, from its record, its training curve, its log and its completions.

A measure is named as records name it (`gold`, `cost_seconds_training`, a method's own figure), or as one of `DERIVED`,
or as one of them with an argument, ``tokens_to:0.4``; ``a - b`` is a difference. Of several arms taken together:
``range(a)`` is the largest less the smallest of their values in a seed, ``least(a)`` the smallest, ``frontier`` and
``variance`` see `Quantities`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, cached_property

import numpy as np
import pandas as pd

from bench.analysis.claims.cell_data import CellData
from bench.analysis.claims.derived import DERIVED
from bench.contracts.errors import BenchError, nearest
from bench.measures.hypervolume import held_out_hypervolume

OF_ARMS = {
    "frontier": "gold of the final policies above π0's within a KL budget, mean over budgets of 0 to 10 nats; the best "
    "policy chosen on every other prompt and read on the rest",
    "variance": "variance of gold among the final policies, what the choice of samples adds taken off",
}
"""Measures of several arms taken together: what each says, for the notes beneath the table."""
OVER_ARMS = re.compile(r"(range|least)\((.+)\)")


class Quantities(CellData):
    """Numbers of a run's cells, computed when they are asked for."""

    @cached_property
    def of(self) -> Callable[[str], pd.Series[float]]:
        """``of(measure)``: a measure of every cell, by the cell's id; NaN where a cell does not have it.

        Raises:
            BenchError: there is no such measure, with the nearest name.
        """
        return cache(self._compute)

    @cached_property
    def happened(self) -> Callable[[str], pd.Series[bool]]:
        """``happened(measure)``: does it happen, in each cell, what a measure counts until?"""

        def happened(measure: str) -> pd.Series[bool]:
            return self._uncapped(measure).dropna() < np.inf

        return cache(happened)

    def frontier_of(self, cells: pd.DataFrame) -> pd.Series[float]:
        """How far the given cells' final policies reach above π0 within KL budgets of 0 to 10 nats, by seed.

        The best within a budget is chosen on every other prompt and read on the rest, and the other way round; the mean
        of both (`bench.measures.hypervolume.held_out_hypervolume`).
        """
        rows = self._by_prompt[self._by_prompt["cell"].isin(cells["cell"])]
        halves = rows.assign(odd=rows["prompt_id"] % 2 == 1).groupby(["seed", "cell", "odd"])[["kl", "gain"]].mean()
        found = {}
        for seed, own in halves.groupby(level="seed"):
            even, odd = (own.xs(half, level="odd").droplevel("seed") for half in (False, True))
            found[seed] = np.mean(
                [
                    held_out_hypervolume(here["kl"], here["gain"], there["gain"].reindex(here.index))
                    for here, there in ((even, odd), (odd, even))
                ]
            )
        return pd.Series(found, dtype=float)

    def variance_of(self, cells: pd.DataFrame) -> pd.Series[float]:
        """The variance of gold among the given cells' final policies, less what the choice of samples adds, by seed.

        A two-way analysis of variance, policies by prompts: (mean square of policies − that of the residual) / prompts
        (Searle et al. 1992). May be negative, and is right on average.
        """
        rows = self._by_prompt[self._by_prompt["cell"].isin(cells["cell"])]
        found = {}
        for seed, own in rows.groupby("seed"):
            table = own.pivot(index="prompt_id", columns="cell", values="gain").dropna().to_numpy()
            prompts, policies = table.shape
            if min(prompts, policies) < 2:
                continue
            residual = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
            noise = (residual**2).sum() / ((prompts - 1) * (policies - 1))
            found[seed] = table.mean(0).var(ddof=1) - noise / prompts
        return pd.Series(found, dtype=float)

    @cached_property
    def _by_prompt(self) -> pd.DataFrame:
        """Of each final policy, by prompt: columns `cell`, `seed`, `prompt_id`, `kl`, `gain` (judged, over π0)."""
        rows = self.run.completions
        if not {"kl", "judge", "reference_judge"} <= {*rows}:
            return pd.DataFrame(columns=["cell", "seed", "prompt_id", "kl", "gain"])
        rows = rows.assign(gain=rows["judge"] - rows["reference_judge"])
        means = rows.groupby(["cell", "prompt_id"], as_index=False)[["kl", "gain"]].mean()
        return means.assign(seed=means["cell"].map(self.records["seed"]))

    def _compute(self, measure: str) -> pd.Series[float]:
        if " - " in measure:
            first, _, second = measure.partition(" - ")
            return self.of(first) - self.of(second)
        name, _, argument = measure.partition(":")
        if name in DERIVED:
            limit, values = DERIVED[name].limit, self._uncapped(measure)
            return values if limit is None else values.clip(upper=limit(self, argument))
        if measure not in self.records:
            known = [str(each) for each in self.records.columns]
            raise BenchError(f"no cell has a measure {measure!r}{nearest(measure, [*known, *DERIVED])}")
        return self.records[measure].astype(float)

    @cached_property
    def _uncapped(self) -> Callable[[str], pd.Series[float]]:
        """A derived measure as it is computed: infinite where what it counts until never happens."""

        def uncapped(measure: str) -> pd.Series[float]:
            name, _, argument = measure.partition(":")
            try:
                return DERIVED[name].compute(self, argument)
            except (ValueError, re.error) as error:
                raise BenchError(f"measure {measure!r}: {argument!r} is not what {name!r} can use: {error}") from None

        return cache(uncapped)
