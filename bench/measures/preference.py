"""Win, tie and loss of one policy against another on the same prompts, by a numeric judge."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def outcomes(mine: ArrayLike, theirs: ArrayLike, tie_band: float) -> NDArray[np.str_]:
    """``"win"``, ``"tie"`` (|mine − theirs| ≤ tie_band) or ``"loss"`` for each pair of scores: (pairs,).

    Raises:
        ValueError: a score is not a finite number, which would otherwise count as a loss.
    """
    difference = np.asarray(mine, dtype=float) - np.asarray(theirs, dtype=float)
    if not np.isfinite(difference).all():
        raise ValueError("a judge's score is not finite")
    return np.select([np.abs(difference) <= tie_band, difference > 0], ["tie", "win"], "loss")


def win_tie_loss(mine: ArrayLike, theirs: ArrayLike, tie_band: float) -> tuple[int, int, int]:
    """Numbers of wins, ties and losses. `tie_band`, in the judge's unit, must be fixed before looking."""
    result = outcomes(mine, theirs, tie_band)
    return int((result == "win").sum()), int((result == "tie").sum()), int((result == "loss").sum())


def win_rate(win: float, tie: float, loss: float) -> float:
    """(wins + ½ ties) / N, from counts or shares; higher is better, ½ is no difference.

    Trap: an odd judge, or longer texts, can win: read it with the judge's name and the lengths beside it.
    """
    return (win + tie / 2) / (win + tie + loss)
