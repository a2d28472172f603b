"""Claims: sentences with the cells that test them, written down before the run, and what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from bench.records.loading import RunFrames


def verdicts(run: RunFrames, claims: Path | None = None) -> pd.DataFrame:
    """One row per claim of a run: those that its folder holds, or else those of the file `claims`.

    Columns: `id`, `says`, `source`, `world` (exact or sampled), `planted`, `published` (texts, empty where there is
    nothing to say), `verdict` (reproduced, contradicted, inconclusive, not testable here, not run), `effect` (the tests
    that decide, a line each), `seeds`, `details` (a list of lines).
    """
    from bench.analysis.claims.table import as_frame, judged

    return as_frame(judged(run, claims))
