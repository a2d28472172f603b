"""A judge who likes those that wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench import Completion, Judge, Prompt
from traffic_world.words import WAIT, share


class Patient(Judge):
    """The completion with more waiting in it is better; equal shares are a tie."""

    contract: ClassVar[int] = 1

    def compare(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion]
    ) -> list[float]:
        """1, 0 or ½ per prompt."""
        gaps = [share(WAIT, str(one)) - share(WAIT, str(two)) for one, two in zip(first, second, strict=True)]
        return [0.5 if gap == 0 else float(gap > 0) for gap in gaps]
