"""A mean with its interval: as a value, as columns of a frame, and as people read it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol


class Row(Protocol):
    """Something that has columns: a mapping, or a pandas Series."""

    def __getitem__(self, column: Any, /) -> Any:
        """The value in a column."""


@dataclass(frozen=True)
class Interval:
    """A mean over `n` seeds and its interval.

    NaN where there are too few seeds for one (1) or for a mean (0).
    """

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def from_columns(cls, row: Row, mean: str = "mean", n: str = "n") -> Interval:
        """The interval in the columns `mean`, `low`, `high` and `n` of a row."""
        return cls(row[mean], row["low"], row["high"], int(row[n]))

    def columns(self, mean: str = "mean", before: str = "") -> dict[str, float]:
        """Columns for a row: the mean under the name `mean`, `low` and `high` with `before` in front, and `n`."""
        return {mean: self.mean, f"{before}low": self.low, f"{before}high": self.high, "n": self.n}

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2

    def of_a_share(self) -> Interval:
        """The same for a mean that lies in [0, 1]: the interval does, too."""
        low, high = (min(max(bound, 0.0), 1.0) if math.isfinite(bound) else bound for bound in (self.low, self.high))
        return Interval(self.mean, low, high, self.n)

    def text(self, seeds: int | None = None) -> str:
        """``0.94 ± 0.05``: the half-width to one digit (two where the first is 1), the mean to the same place.

        Very small numbers as ``(1.86 ± 0.13)e-7``. Without an interval three digits of the mean; ``(n=2)`` behind it
        where not all `seeds` (default: `n`) have the measure.
        """
        few = "" if seeds is None or self.n == seeds else f" (n={self.n})"
        if not math.isfinite(self.half) or self.half <= 1e-9 * abs(self.mean):
            return f"{self.mean:.3g}{few}" if abs(self.mean) < 1000 else f"{self.mean:.0f}{few}"
        exponent = math.floor(math.log10(self.half))
        places = (1 if self.half / 10**exponent < 2 else 0) - exponent
        size = max(abs(self.mean), self.half)
        if size < 1e-5:
            power = math.floor(math.log10(size))
            digits = max(places + power, 0)
            mean, half = (x / 10**power for x in (self.mean, self.half))
            return f"({round(mean, digits) + 0.0:.{digits}f} ± {half:.{digits}f})e{power}{few}"
        digits = max(places, 0)
        # + 0.0 turns a rounded −0.0 into 0.0
        return f"{round(self.mean, places) + 0.0:.{digits}f} ± {round(self.half, places):.{digits}f}{few}"

    def difference_text(self) -> str:
        """`text` with a plus in front of a mean above zero; none where it rounds to zero."""
        text = self.text()
        return f"+{text}" if self.mean > 0 and not text.startswith("0 ") else text


NOTHING = Interval(math.nan, math.nan, math.nan, 0)
"""The interval of no values."""
