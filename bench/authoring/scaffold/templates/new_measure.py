"""`new_measure`: how often a completion repeats itself."""

from __future__ import annotations

from typing import ClassVar

from bench import Measure


class NewMeasure(Measure):
    """Share of words that a completion has said before, mean over completions."""

    contract: ClassVar[int] = 1  # the version of the bench's interface that this file is written for

    label = "new measure"  # as tables show it
    unit = ""
    better = "lower"  # or "higher", "zero", or None where neither direction is good in itself

    def compute(self, texts: list[str]) -> float:
        """Between 0 and 1. A parameter is named as a column of `bench.COLUMNS`, here the texts of π."""
        rows = [text.split() for text in texts]
        return sum(1 - len(set(row)) / max(1, len(row)) for row in rows if row) / len(rows)
