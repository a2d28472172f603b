"""What every measure demands of its input, so that bad input is an error and never a silent number."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def numbers(values: ArrayLike, what: str = "values", infinite: bool = False) -> NDArray[np.float64]:
    """`values` as an array of doubles.

    Raises:
        ValueError: there are none; or some are NaN, or infinite where that is not allowed.
    """
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        raise ValueError(f"no {what}")
    bad = np.isnan(array) if infinite else ~np.isfinite(array)
    if bad.any():
        raise ValueError(f"{int(bad.sum())} of {array.size} {what} are not {'numbers' if infinite else 'finite'}")
    return array
