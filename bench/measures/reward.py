"""Rewards on a scale that can be compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def standardise(values: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """(values − mean) / sd with mean and sd (ddof = 1) of `reference`, the rewards of π0's own samples.

    So expressed, proxy and gold reward share an axis: standard deviations of π0's samples above π0's mean.
    NaN where π0's samples all have the same reward. Trap: a reward model is identified only up to a shift per
    prompt, so the same prompts must stand behind both.
    """
    base = np.asarray(reference, dtype=float)
    return standardise_by(values, float(base.mean()), float(base.std(ddof=1)))


def standardise_by(values: ArrayLike, mean: float, sd: float) -> NDArray[np.float64]:
    """As `standardise`, from π0's mean and standard deviation as records keep them."""
    return (np.asarray(values, dtype=float) - mean) / (sd if sd > 0 else np.nan)
