"""Many claims are tested at once: which verdicts outlast that.

Within a claim the p values of its deciding tests are adjusted by Holm 1979. A claim that is reproduced has the largest
of them, as all have to hold; one that is contradicted, or a nil effect, the smallest of the tests that say so. Over
claims, those p values are adjusted by Benjamini & Hochberg 1995: of the verdicts that survive at 0.05, one in twenty is
expected to be wrong. An inconclusive claim was tested, too, and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import false_discovery_control

from bench.analysis.claims.verdict import Judged
from bench.analysis.statistics import holm

LEVEL = 0.05


def p_of_claim(each: Judged) -> float:
    """The claim's p value, its own tests adjusted by Holm; NaN where nothing was tested."""
    deciding = [tested for tested in each.tests if not tested.test.also]
    adjusted = holm([tested.p for tested in deciding])
    against = [p for p, tested in zip(adjusted, deciding, strict=True) if tested.outcome in ("contradicted", "nil")]
    if each.verdict in ("contradicted", "nil effect") and against:
        return float(np.nanmin(against)) if np.isfinite(against).any() else np.nan
    return float(np.nanmax(adjusted)) if np.isfinite(adjusted).any() else np.nan


def adjusted(found: Sequence[Judged]) -> list[Judged]:
    """The same claims, each with its p value over all of them; NaN where none could be computed."""
    p = np.array([p_of_claim(each) for each in found])
    q = np.full(p.shape, np.nan)
    known = np.isfinite(p)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return [replace(each, p_adjusted=float(value)) for each, value in zip(found, q, strict=True)]
