"""What a judge is: it says which of two completions of a prompt is better."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from bench.contracts.plugin import Plugin
from bench.contracts.task import Completion, Prompt


class Judge(Plugin):
    """Says which of two completions of a prompt is better, once a run is over.

    A subclass writes `compare`. The bench asks it in both orders, as judges tend to favour a place, and counts a win
    only where the two answers agree; answers are kept in the store, so that nothing is asked twice.

    `immaterial` names the settings that change no answer (a time limit, say): answers are found again without them.
    """

    immaterial: ClassVar[set[str]] = set()

    @abstractmethod
    def compare(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion]
    ) -> list[float]:
        """1 where the first completion is better, 0 where the second is, ½ for a tie, NaN for an unparsable answer.

        NaN is kept and counted as what it is. Where no answer is to be had, raise a BenchError.
        """
