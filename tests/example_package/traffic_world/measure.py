"""A measure: how patient the vehicles are."""

from __future__ import annotations

from typing import ClassVar

from bench import Measure
from traffic_world.words import WAIT, share


class Waiting(Measure):
    """Mean share of `wait` among the words of a completion."""

    contract: ClassVar[int] = 1
    label = "waiting"
    better = "lower"

    def compute(self, texts: list[str]) -> float:
        """See the class."""
        return sum(share(WAIT, text) for text in texts) / len(texts)
