"""What a claim comes to: its tests, each of its kind, and the verdict that they make together."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.analysis.claims.cells_of_arms import Cells
from bench.analysis.claims.kinds import KINDS
from bench.analysis.claims.quantities import Quantities
from bench.analysis.claims.tested import Tested
from bench.analysis.interval import Interval
from bench.records.claims import Claim, ClaimTest, Verdict, arm_labels


@dataclass(frozen=True)
class Judged:
    """A claim, its verdict, and the tests behind it.

    Attributes:
        commit, written: of the claim, where the run keeps it. anew: was it written once the run had been read?
        p_adjusted: over all claims tested, see `bench.analysis.claims.adjusting`; NaN where unknown.
    """

    claim: Claim
    verdict: Verdict
    tests: list[Tested]
    commit: str | None = None
    written: str | None = None
    anew: bool = False
    p_adjusted: float = math.nan


def judge(claim: Claim, quantities: Quantities) -> tuple[Verdict, list[Tested]]:
    """The verdict on a claim: reproduced if all tests that decide hold, contradicted if one says that it does not.

    A nil effect where all of them found one. A test with fewer seeds than the claim wants is undecided.
    """
    if claim.needs:
        return "not testable here", []
    tests = [run_test(test, claim, quantities) for test in claim.tests]
    deciding = [each for each in tests if not each.test.also]
    outcomes = {
        "undecided" if each.outcome != "not run" and each.effect.n < claim.seeds else each.outcome for each in deciding
    }
    if "not run" in outcomes:
        return "not run", tests
    if outcomes == {"nil"}:
        return "nil effect", tests
    if outcomes & {"contradicted", "nil"}:
        return "contradicted", tests
    return ("reproduced" if outcomes == {"holds"} else "inconclusive"), tests


def run_test(test: ClaimTest, claim: Claim, quantities: Quantities) -> Tested:
    """Compute one test; ``not run`` where an arm has no cell that ended."""
    cells = Cells(quantities, test.task or claim.task)
    missing = [arm for arm in arm_labels(test.arms) if cells.ended(arm).empty]
    if missing:
        nothing = Interval(math.nan, math.nan, math.nan, 0)
        return Tested(test, "not run", nothing, {}, notes=[f"not run: {', '.join(missing)}"])
    return KINDS[test.test].run(test, cells)
