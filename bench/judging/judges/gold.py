"""`gold`: what is really wanted, where the task knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.contracts.errors import BenchError
from bench.judging.scoring_judge import ScoringJudge

if TYPE_CHECKING:
    import pandas as pd


class Gold(ScoringJudge):
    """The task's gold reward, as the run stored it for every completion."""

    def scores(self, completions: pd.DataFrame) -> Sequence[float]:
        """The column `gold`."""
        if "gold" not in completions or completions["gold"].isna().all():
            raise BenchError("judge 'gold': no gold reward was stored with these completions; try 'reward_model'")
        return completions["gold"].tolist()
