"""Reward models that are told from a coin, and those that are not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple


class Accuracy(NamedTuple):
    """The accuracy of some reward models together: the share of pairs, and its exact 95 % interval."""

    share: float
    low: float
    high: float
    pairs: int

    @property
    def at_chance(self) -> bool:
        """Is it no better than a coin, as far as these pairs tell?"""
        return self.low <= 0.5

    def text(self) -> str:
        """As people read it."""
        return f"{self.share:.2f} [{self.low:.2f}, {self.high:.2f}] on {self.pairs:,} held-out pairs"


def accuracy_of(models: Iterable[dict[str, Any]]) -> Accuracy | None:
    """The accuracy of the different ones among `models` (entries of a record's `reward_models`), their pairs together.

    Clopper & Pearson 1934, which holds its level however few the pairs. None where nothing was held out.
    """
    known = {(each.get("accuracy_heldout"), each.get("pairs_heldout")) for each in models}
    counts = [(float(a), int(n)) for a, n in known if a is not None and n and math.isfinite(a)]
    if not counts:
        return None
    from scipy.stats import binomtest

    pairs = sum(n for _, n in counts)
    right = round(sum(share * n for share, n in counts))
    interval = binomtest(right, pairs).proportion_ci(method="exact")
    return Accuracy(right / pairs, float(interval.low), float(interval.high), pairs)
