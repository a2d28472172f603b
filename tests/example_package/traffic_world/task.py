"""A task: vehicles that wait or go."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from bench import Completion, Field, Prompt, Task
from traffic_world.words import GO, VEHICLES, WAIT, share

if TYPE_CHECKING:
    from datasets import Dataset


class Traffic(Task):
    """Vehicles wait or go, three times each; to go is better."""

    contract: ClassVar[int] = 1
    patience: float = Field(0.6, ge=0, le=1, description="probability of `wait` in what the models read")

    @property
    def max_completion_tokens(self) -> int:
        """Three words and the end of sequence."""
        return 4

    def vocabulary(self) -> list[str]:
        """The vehicles, what they do, and a colon."""
        return [*VEHICLES, WAIT, GO, ":"]

    def corpus(self, seed: int) -> list[str]:
        """Two hundred texts."""
        return [prompt + completion for prompt, completion in self._texts(seed, 200)]

    def demonstrations(self, seed: int) -> Dataset:
        """Sixty-four more."""
        return _dataset(self._texts(seed + 1, 64))

    def prompts(self, split: str) -> Dataset:
        """Two vehicles to train on, two to test on."""
        from datasets import Dataset

        vehicles = VEHICLES[:2] if split == "train" else VEHICLES[2:]
        return Dataset.from_dict({"prompt": [f"{vehicle} :" for vehicle in vehicles]})

    def references(self) -> Dataset:
        """Sixteen held-out texts."""
        return _dataset(self._texts(0, 16))

    def gold(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """The share of `go`."""
        return [share(GO, str(completion)) for completion in completions]

    def _texts(self, seed: int, count: int) -> list[tuple[str, str]]:
        rng = random.Random(seed)
        weights = (self.patience, 1 - self.patience)
        return [
            (f"{rng.choice(VEHICLES)} :", "".join(f" {word}" for word in rng.choices((WAIT, GO), weights, k=3)))
            for _ in range(count)
        ]


def _dataset(texts: list[tuple[str, str]]) -> Dataset:
    from datasets import Dataset  # late: `bench list` reads this file

    return Dataset.from_dict({"prompt": [p for p, _ in texts], "completion": [c for _, c in texts]})
