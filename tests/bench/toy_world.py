"""A plug-in for the tests: a world of six words that trains in a second, and methods that end badly."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench import Completion, Diverged, Field, Method, Policy, Probe, Prompt, Task, Workbench

if TYPE_CHECKING:
    from datasets import Dataset

WORDS = ("red", "blue", "green", "good", "bad", ":")


class Toy(Task):
    """Completions of up to five words; gold is the share of `good`."""

    words: int = Field(3, ge=1, le=4, description="words of a demonstration")

    @property
    def max_completion_tokens(self) -> int:
        """Five words and EOS."""
        return 6

    def vocabulary(self) -> list[str]:
        """Six words."""
        return list(WORDS)

    def _texts(self, seed: int, count: int) -> list[tuple[str, str]]:
        rng = np.random.default_rng(seed)
        words = rng.choice(WORDS[:5], size=(count, self.words))
        return [(f"{w[0]} :", "".join(f" {word}" for word in w)) for w in words]

    def _dataset(self, rows: list[tuple[str, str]]) -> Dataset:
        from datasets import Dataset

        return Dataset.from_dict({"prompt": [p for p, _ in rows], "completion": [c for _, c in rows]})

    def corpus(self, seed: int) -> list[str]:
        """Uniform words."""
        return [prompt + completion for prompt, completion in self._texts(seed, 200)]

    def demonstrations(self, seed: int) -> Dataset:
        """Uniform words, graded by gold."""
        rows = self._dataset(self._texts(seed + 1, 64))
        return rows.add_column("quality", self.gold(rows["prompt"], rows["completion"]))

    def prompts(self, split: str) -> Dataset:
        """Three colours to train on, two words to test on."""
        from datasets import Dataset

        words = WORDS[:3] if split == "train" else WORDS[3:5]
        return Dataset.from_dict({"prompt": [f"{word} :" for word in words]})

    def references(self) -> Dataset:
        """More of the same."""
        return self._dataset(self._texts(99, 16))

    def gold(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """Share of `good` among the words."""
        return [str(c).split().count("good") / max(1, len(str(c).split())) for c in completions]

    def prefers_first(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion], seed: int
    ) -> list[bool]:
        """The one with the larger share of `good`; a coin for ties."""
        coin = np.random.default_rng(seed).normal(0, 1e-3, len(first))
        gaps = np.subtract(self.gold(prompts, first), self.gold(prompts, second)) + coin
        return [bool(gap > 0) for gap in gaps]

    def probes(self) -> list[Probe]:
        """The next word is one of five, each as likely."""
        return [Probe("red :", tuple(f" {w}" for w in WORDS[:5]), i % 5, (0.2,) * 5) for i in range(20)]


class Explode(Method):
    """Diverges at step 3."""

    def train(self, workbench: Workbench) -> Policy:
        """Raise."""
        workbench.measure(workbench.policy(workbench.reference), 0)
        raise Diverged("loss", 3)


class Crash(Method):
    """Has a bug."""

    def train(self, workbench: Workbench) -> Policy:
        """Divide by zero."""
        raise ZeroDivisionError(f"seed {workbench.seed % 1}")


class Die(Method):
    """Is killed, as by the kernel when memory runs out."""

    def train(self, workbench: Workbench) -> Policy:
        """Kill this process."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Hungry(Method):
    """Asks for more memory than there is."""

    def train(self, workbench: Workbench) -> Policy:
        """Allocate a petabyte."""
        import torch

        return workbench.policy(torch.empty(10**15, dtype=torch.uint8))  # type: ignore[arg-type]


class Sneak(Method):
    """Uses the reward model without declaring it."""

    def train(self, workbench: Workbench) -> Policy:
        """Touch what was not declared."""
        assert workbench.reward_model
        raise AssertionError


class Tell(Method):
    """Asks for labels, and tells what it found."""

    def train(self, workbench: Workbench) -> Policy:
        """Spend three gold labels and one comparison."""
        prompts = ["red :"] * 3
        gold = workbench.gold(prompts, [" good", " bad", " good"])
        workbench.prefers_first(prompts[:1], [" good"], [" bad"], seed=0)
        workbench.log(1, loss=0.5)
        workbench.report(goods=sum(gold), texts_read=len(workbench.corpus))
        return workbench.policy(workbench.sft_model())


class ReadRatings(Method):
    """Reads the ratings, and tells how many there are."""

    needs: ClassVar[set[str]] = {"ratings"}

    def train(self, workbench: Workbench) -> Policy:
        """Count."""
        workbench.report(rows_read=len(workbench.ratings))
        return workbench.policy(workbench.sft_model())


class Boast(Method):
    """Reports a measure that is the bench's to make."""

    def train(self, workbench: Workbench) -> Policy:
        """Claim a measure that this world does not even have."""
        workbench.report(ece_exact=1.0)
        return workbench.policy(workbench.sft_model())


class Picky(Method):
    """Runs nowhere."""

    def unfit_for(self, task: Task) -> str | None:
        """Never fits."""
        return "it does not like this world"

    def train(self, workbench: Workbench) -> Policy:
        """Never called."""
        raise AssertionError


class Wait(Method):
    """Takes its time, then returns π0."""

    needs: ClassVar[set[str]] = set()
    seconds: float = Field(0.0, ge=0, description="how long to wait")

    def train(self, workbench: Workbench) -> Policy:
        """Sleep in small steps."""
        for step in range(20):
            workbench.progress(step + 1, 20)
            time.sleep(self.seconds / 20)
        return workbench.policy(workbench.sft_model())
