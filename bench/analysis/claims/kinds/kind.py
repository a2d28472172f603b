"""What every kind of test says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from bench.analysis.claims.cells_of_arms import Cells
from bench.analysis.claims.decision import decide, p_of_outcome, seeds_to_decide
from bench.analysis.claims.tested import Outcome, Tested, Variant
from bench.analysis.interval import Interval
from bench.records.claims import ClaimTest, Group, KindName, arm_labels

LEVEL = 0.05
"""Of every test, two-sided: that of a 95 % interval."""


class Kind(ABC):
    """A kind of test.

    Attributes:
        name: as a file of claims has it.
        interval: how its interval is made, for the notes beneath the table; empty where it is Student's t over seeds.
    """

    name: KindName
    interval: ClassVar[str] = ""

    @abstractmethod
    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """Compute it; every arm has cells that ended."""

    @abstractmethod
    def effect_in_words(self, test: ClaimTest) -> str:
        """What the effect is, as the table writes it behind the measure's name."""

    def expectation(self, test: ClaimTest) -> str:
        """Where the interval has to lie."""
        return f"{'>' if test.expect == 'above' else '<'} {test.margin:g}"

    def outcome(self, test: ClaimTest, effect: Interval) -> Outcome:
        """What the interval says, see `bench.analysis.claims.decision`."""
        return decide(test, effect)

    def p_value(self, test: ClaimTest, effect: Interval, outcome: Outcome) -> float:
        """The chance of so clear an interval where the outcome is wrong."""
        return p_of_outcome(test, effect, outcome)

    def seeds_needed(self, test: ClaimTest, effect: Interval) -> int | None:
        """How many seeds would decide, where these do not."""
        return seeds_to_decide(test, effect)

    def tested(
        self,
        test: ClaimTest,
        cells: Cells,
        effect: Interval,
        arms: dict[str, Interval],
        variants: Sequence[Variant] = (),
        notes: Sequence[str] = (),
        outcome: Outcome | None = None,
        p: float | None = None,
    ) -> Tested:
        """`effect` with the outcome that it means; the notes begin with the cells that did not end well.

        Args:
            outcome: where the kind has found it otherwise than by the interval alone.
            p: two-sided, of an effect at the margin, by an exact test beside the interval: both have to decide.
        """
        found = self.outcome(test, effect) if outcome is None else outcome
        at_margin = found in ("holds", "undecided") or (found == "contradicted" and not test.meaningful)
        if p is not None and at_margin and not p < LEVEL:
            found = "undecided"
        chance = p if p is not None and at_margin else self.p_value(test, effect, found)
        needed = self.seeds_needed(test, effect) if found == "undecided" else None
        notes = [*cells.note_on_endings(arm_labels(test.arms)), *notes]
        return Tested(test, found, effect, arms, list(variants), notes, chance, needed)


def in_braces(group: Group) -> str:
    """An arm's label; of several taken together, all of them in braces."""
    return group if isinstance(group, str) else "{" + ", ".join(group) + "}"
