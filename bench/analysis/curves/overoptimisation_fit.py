"""How reward grows and falls with the distance from π0: the two forms of Gao, Schulman & Hilton 2022, fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Form = Literal["best-of-n", "RL"]
LEAST_POINTS = 4
"""Two parameters, and as many points again: fewer would be met by any curve."""


@dataclass(frozen=True)
class Fit:
    """R(d) fitted to points (d, R), d = √KL(π ‖ π0) and R the reward above π0's own mean.

    Attributes:
        form: best-of-n: R(d) = d (α − β d); RL: R(d) = d (α − β log d) (Gao, Schulman & Hilton 2022, eqs. 1 and 2).
        alpha, beta: least squares; in the reward's unit per √nat (β of best-of-n: per nat).
        r_squared: share of the variance of R about its mean that the curve takes away; NaN where R does not vary.
        points: how many were fitted.
    """

    form: Form
    alpha: float
    beta: float
    r_squared: float
    points: int

    def __call__(self, d: ArrayLike) -> NDArray[np.float64]:
        """R at each d; 0 at d = 0."""
        return _terms(d, self.form) @ np.array([self.alpha, self.beta])


def fit(d: ArrayLike, reward: ArrayLike, form: Form) -> Fit | None:
    """Fit one of the forms; points at d = 0, where both are 0, and points that are not finite say nothing.

    None where fewer than `LEAST_POINTS` different distances are left.
    """
    x, y = np.asarray(d, dtype=float), np.asarray(reward, dtype=float)
    usable = np.isfinite(x) & np.isfinite(y) & (x > 0)
    x, y = x[usable], y[usable]
    if len(np.unique(x)) < LEAST_POINTS:
        return None
    terms = _terms(x, form)  # both forms are linear in α and β
    (alpha, beta), *_ = np.linalg.lstsq(terms, y)
    residual, total = np.sum((y - terms @ [alpha, beta]) ** 2), np.sum((y - y.mean()) ** 2)
    r_squared = float(1 - residual / total) if total > 0 else float("nan")
    return Fit(form, float(alpha), float(beta), r_squared, len(x))


def _terms(d: ArrayLike, form: Form) -> NDArray[np.float64]:
    """What α and β are multiplied by: (points, 2)."""
    x = np.asarray(d, dtype=float)
    fall = x**2 if form == "best-of-n" else x * np.log(np.where(x > 0, x, 1))
    return np.stack([x, -fall], axis=-1)
