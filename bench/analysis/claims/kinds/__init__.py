"""Every kind of test that a claim can make: what it computes, what decides it and how its effect is told, a class each.
A kind's name, and which fields of a file of claims go with it, stand in `bench.records.claims`, because a run refuses a
wrong claim before it starts; nothing here reads files or writes tables."""

from __future__ import annotations

from bench.analysis.claims.kinds.differences import Difference, Equivalence
from bench.analysis.claims.kinds.front import Front
from bench.analysis.claims.kinds.kind import Kind
from bench.analysis.claims.kinds.level import Level
from bench.analysis.claims.kinds.limit import Limit
from bench.analysis.claims.kinds.prediction import Hazard, Prediction
from bench.analysis.claims.kinds.rank_correlations import Correlation, Trend
from bench.analysis.claims.kinds.spread import Spread
from bench.analysis.claims.kinds.survival import Survival

_EVERY: tuple[Kind, ...] = (
    *(Difference(), Spread(), Survival(), Front(), Level(), Limit()),
    *(Trend(), Correlation(), Prediction(), Hazard(), Equivalence()),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _EVERY}
"""By name, in the order in which the notes beneath the table tell of their intervals."""

__all__ = ["KINDS", "Kind"]
