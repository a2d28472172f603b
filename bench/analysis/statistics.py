"""Means with intervals.

Seeds are the unit: what one seed's prompts say about another seed is a matter of chance.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean over `n` seeds and its interval.

    NaN where there are too few seeds for one (1) or for a mean (0).
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2


def mean_interval(values_by_seed: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean over seeds, one value each, with Student's t interval. Values that are not finite are left out of
    `n`.

    Not a percentile bootstrap: over three seeds a nominal 95 % one covers 76 % (measured), as it cannot leave
    the range of the three; the t interval covers 95 % where seeds vary normally.
    """
    values = np.asarray(values_by_seed, dtype=float)
    values = values[np.isfinite(values)]
    n = len(values)
    mean = float(values.mean()) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def two_level_bootstrap(
    values: Mapping[Hashable, ArrayLike], confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Mean over seeds of the mean over prompts, with an interval from resampling seeds and, within them,
    prompts.

    `values` maps a seed to one value per prompt, (prompts,). Deviations from the mean are widened by
    √(n/(n−1)) · t_{n−1}/z, as a bootstrap over few units is too narrow by that much (Hesterberg 2015).
    `seed` is of the bootstrap's own generator, so that a table comes out the same every time.
    """
    groups = [np.asarray(each, dtype=float) for each in values.values()]
    groups = [finite for each in groups if len(finite := each[np.isfinite(each)])]
    n = len(groups)
    mean = float(np.mean([each.mean() for each in groups])) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, n, (resamples, n))
    means = np.empty(chosen.shape)
    for i, prompts in enumerate(groups):
        here = chosen == i
        means[here] = prompts[rng.integers(0, len(prompts), (here.sum(), len(prompts)))].mean(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means.mean(1), [tail, 1 - tail])
    widen = np.sqrt(n / (n - 1)) * stats.t.ppf(1 - tail, n - 1) / stats.norm.ppf(1 - tail)
    return Interval(mean, mean + widen * (float(low) - mean), mean + widen * (float(high) - mean), n)


def interquartile_mean(values_by_seed: ArrayLike) -> float:
    """Mean of the middle half (a quarter of the values, rounded down, cut off on each side).

    Agarwal et al. 2021.
    """
    values = np.asarray(values_by_seed, dtype=float)
    values = values[np.isfinite(values)]
    return float(stats.trim_mean(values, 0.25)) if len(values) else float("nan")
