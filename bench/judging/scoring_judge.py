"""`ScoringJudge`: the base of judges that give every completion a number of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.contracts.errors import BenchError
from bench.contracts.judge import Judge
from bench.contracts.plugin import Field
from bench.contracts.task import Completion, Prompt
from bench.measures.preference import verdicts

if TYPE_CHECKING:
    import pandas as pd


class ScoringJudge(Judge):
    """A judge that scores each completion by itself; two are compared by the difference of their scores."""

    tie_band: float | None = Field(
        None, ge=0, description="scores no further apart than this are a tie; by default the run's own tie band"
    )

    @abstractmethod
    def scores(self, completions: pd.DataFrame) -> Sequence[float]:
        """One number per row, higher is better, NaN where there is none.

        completions: rows of ``completions.parquet``: `prompt`, `completion`, `length` and the scores stored there.
        """

    def compare(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion]
    ) -> list[float]:
        """See `Judge`; of the texts alone."""
        import pandas as pd

        first_scores, second_scores = (
            self.scores(pd.DataFrame({"prompt": list(prompts), "completion": list(side)})) for side in (first, second)
        )
        return verdicts(first_scores, second_scores, self.tie_band or 0.0).tolist()


def require_texts(completions: pd.DataFrame) -> None:
    """To be called by who reads the texts, not the stored scores.

    Raises:
        BenchError: a text is missing, as in a packed run.
    """
    if completions[["prompt", "completion"]].isna().any(axis=None):
        raise BenchError("the run is packed, without most of the texts that this judge reads: run its matrix again")
