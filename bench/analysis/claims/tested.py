"""What a test of a claim comes to: its outcome, its effect, and what a reader wants to see behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bench.analysis.interval import Interval
from bench.records.claims import ClaimTest

Outcome: TypeAlias = Literal["holds", "contradicted", "nil", "undecided", "not run"]


@dataclass(frozen=True)
class Variant:
    """The same difference taken at another `place` (end, equal kl, equal compute).

    flips: both intervals exclude 0, on different sides.
    """

    place: str
    effect: Interval
    flips: bool


@dataclass(frozen=True)
class Tested:
    """What one test came to.

    Attributes:
        effect: with the interval that decides; `n` is the number of seeds.
        arms: what stands behind it, by arm (or by measure), over all seeds that each has.
        variants: the difference at equal KL and equal compute, where the arms have curves.
        notes: what the reader has to know.
        p: the chance of so clear a result where the outcome is wrong, see `decision.p_of_outcome`; NaN where unknown.
        seeds_needed: of an undecided test: how many would tell, see `decision.seeds_to_decide`.
    """

    test: ClaimTest
    outcome: Outcome
    effect: Interval
    arms: dict[str, Interval]
    variants: list[Variant] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    p: float = math.nan
    seeds_needed: int | None = None
