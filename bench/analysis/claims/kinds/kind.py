"""What every kind of test says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from bench.analysis.claims.cells_of_arms import Cells
from bench.analysis.claims.tested import Outcome, Tested, Variant
from bench.analysis.interval import Interval
from bench.records.claims import ClaimTest, Group, KindName, arm_labels


class Kind(ABC):
    """A kind of test.

    Attributes:
        name: as a file of claims has it.
        interval: how its interval is made, for the notes beneath the table; empty where it is Student's t over seeds.
    """

    name: ClassVar[KindName]
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
        """Does the interval lie beyond the margin, on the side that is expected? NaN bounds decide nothing."""
        above, below = effect.low > test.margin, effect.high < test.margin
        if not (above or below):
            return "undecided"
        return "holds" if above == (test.expect == "above") else "contradicted"

    def tested(
        self,
        test: ClaimTest,
        cells: Cells,
        effect: Interval,
        arms: dict[str, Interval],
        variants: Sequence[Variant] = (),
        notes: Sequence[str] = (),
    ) -> Tested:
        """`effect` with the outcome that it means; the notes begin with the cells that did not end well."""
        notes = [*cells.note_on_endings(arm_labels(test.arms)), *notes]
        return Tested(test, self.outcome(test, effect), effect, arms, list(variants), notes)


def in_braces(group: Group) -> str:
    """An arm's label; of several taken together, all of them in braces."""
    return group if isinstance(group, str) else "{" + ", ".join(group) + "}"
