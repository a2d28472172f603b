"""A test of one arm against a number."""

from __future__ import annotations

from bench.analysis.claims.cells_of_arms import Cells
from bench.analysis.claims.kinds.kind import Kind, in_braces
from bench.analysis.claims.tested import Tested
from bench.analysis.statistics import mean_interval
from bench.records.claims import ClaimTest


class Level(Kind):
    """The measure itself, of one arm."""

    name = "level"

    def effect_in_words(self, test: ClaimTest) -> str:
        """See `Kind`."""
        return in_braces(test.arms[0])

    def run(self, test: ClaimTest, cells: Cells) -> Tested:
        """See `Kind`."""
        values = cells.values(test.arms[0], str(test.measure))
        return self.tested(test, cells, mean_interval([*values.values()]), {})
