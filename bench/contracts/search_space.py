"""What `bench tune` may try for a hyper-parameter. A method's author declares it beside the hyper-parameters.

class DPO(Method):
    search_space: ClassVar[SearchSpace] = {
        "beta": Range(0.03, 1, log=True),
        "epochs": Range(1, 6, step=1),
    }
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bench.contracts.errors import BenchError

__all__ = ["Choice", "Range", "SearchSpace"]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where the hyper-parameter is a whole number.

    log: draw evenly on a logarithmic scale (learning rates, penalties); `low` is then above 0.
    step: only `low`, `low` + `step`, …; not together with `log`.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise BenchError(f"{self}: low must be below high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise BenchError(f"{self}: a logarithmic range starts above 0 and has no step")
        if self.high not in self:
            raise BenchError(f"{self}: the last step must end at high")

    @property
    def ends(self) -> tuple[float, ...]:
        """Values that must be valid for all others to be."""
        return (self.low, self.high)

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def __str__(self) -> str:
        more = " log" if self.log else f" in steps of {self.step:g}" if self.step else ""
        return f"{self.low:g} … {self.high:g}{more}"


@dataclass(frozen=True, init=False)
class Choice:
    """One of a few values, of which none is between two others: ``Choice("soft", "gumbel_softmax")``."""

    values: tuple[bool | int | float | str | None, ...]

    def __init__(self, *values: bool | int | float | str | None) -> None:
        object.__setattr__(self, "values", values)

    @property
    def ends(self) -> tuple[bool | int | float | str | None, ...]:
        """Every value, each of which must be valid."""
        return self.values

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return " | ".join(str(value) for value in self.values)


SearchSpace: TypeAlias = Mapping[str, Range | Choice]
"""By hyper-parameter, what may be tried."""
