"""What a task is: a world to align in, with its text, its annotator and what is really wanted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from bench.contracts.errors import BenchError
from bench.contracts.plugin import Plugin

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

Message: TypeAlias = dict[str, str]
Prompt: TypeAlias = str | list[Message]
"""A text, or a conversation in TRL's format: ``[{"role": "user", "content": …}, …]``."""
Completion: TypeAlias = str | list[Message]
"""What follows a prompt: a text, or one assistant message in a list where the prompt is a conversation."""


@dataclass(frozen=True)
class Probe:
    """One multiple-choice question. `query` + `choices[i]` is the text whose probability is asked of the model.

    posterior: the true probability of each choice, where the world knows it (sums to 1), else None.
    """

    query: str
    choices: tuple[str, ...]
    answer: int
    posterior: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Rating:
    """One absolute judgement.

    rater: who gave it, from 0. score: 1 (worst) to 5 (best), on that rater's own scale.
    """

    rater: int
    score: int


class Task(Plugin):
    """A world to align in. A capability is there if its method is overridden: see the `has_…` properties.

    Data sets use TRL's columns (`prompt`, `completion`, `chosen`, `rejected`), standard or conversational. In standard
    format ``prompt + completion`` is the whole text, so completions carry their own leading space.
    """

    # a property or a setting of the subclass; at run time a property here would hide such a setting
    if TYPE_CHECKING:

        @property
        @abstractmethod
        def max_completion_tokens(self) -> int:
            """The most tokens a policy may sample after a prompt, the end-of-sequence token included."""

    @abstractmethod
    def corpus(self, seed: int) -> list[str]:
        """Texts that the `tiny` model is pre-trained on."""

    @abstractmethod
    def demonstrations(self, seed: int) -> Dataset:
        """Columns `prompt`, `completion` and, where a curator graded them, `quality` (float, higher is better)."""

    @abstractmethod
    def prompts(self, split: str) -> Dataset:
        """Column `prompt`; `split` is ``"train"`` or ``"test"``. No prompt is in both. Independent of any seed."""

    @abstractmethod
    def references(self) -> Dataset:
        """Held-out `prompt`, `completion` pairs: the text that a good language model of this world predicts."""

    def vocabulary(self) -> list[str] | None:
        """The words of a word-level tokenizer, or None for a byte-level BPE trained on the corpus."""
        return None

    def gold(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """What is really wanted, where that is known: one number per completion, higher is better."""
        raise BenchError(f"task {self.name} has no gold reward")

    def gold_parts(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> dict[str, list[float]]:
        """What gold is made of, one list like `gold` per named part; reported apart as ``gold_<part>``.

        Always the same names, without any completion as well. Empty where gold is one thing.
        """
        return {}

    def prefers_first(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion], seed: int
    ) -> list[bool]:
        """The annotator: is the first completion preferred? Its noise model is stated in the task's docstring."""
        raise BenchError(f"task {self.name} has no annotator")

    def ratings(self, prompts: Sequence[Prompt], completions: Sequence[Completion], seed: int) -> list[Rating]:
        """The annotator's judgement of each completion by itself, 1 to 5."""
        raise BenchError(f"task {self.name} has no annotator who rates")

    def pairs(self, split: str) -> Dataset:
        """A data set's own preference pairs (`prompt`, `chosen`, `rejected`); `split` is ``"train"`` or ``"test"``."""
        raise BenchError(f"task {self.name} has no preference pairs of its own")

    def labelled(self, split: str) -> Dataset:
        """A data set's own answers, labelled one by one: `prompt`, `completion`, `label` (true: wanted).

        For data without pairs. There are wanted and unwanted ones in the whole, if not in each split.
        """
        raise BenchError(f"task {self.name} has no labelled answers of its own")

    def probes(self) -> list[Probe]:
        """Multiple-choice questions, for calibration. Independent of any seed."""
        raise BenchError(f"task {self.name} has no probes")

    def enumerated_gold(self, tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> NDArray[np.float64] | None:
        """The gold reward of every completion of `prompt`, where a world is so small: makes exact measures possible.

        In the order of `bench.models.enumeration.all_completions` for the tokenizer's vocabulary, its EOS and
        `max_completion_tokens`; None where that vocabulary makes too many of them.
        """
        return None

    def report(self) -> dict[str, int]:
        """Rows set aside while reading, by reason. Empty for worlds that are generated."""
        return {}

    def about(self) -> dict[str, float]:
        """What a reader has to know about the world, in numbers (how accurate a learned gold reward is)."""
        return {}

    def content_digest(self) -> str:
        """Identifies data that the settings only point at (files); part of every stage's key."""
        return ""

    def _has(self, capability: str) -> bool:
        return getattr(type(self), capability) is not getattr(Task, capability)

    @property
    def has_gold(self) -> bool:
        """Is a gold reward known?"""
        return self._has("gold")

    @property
    def has_pairs(self) -> bool:
        """Does the task bring its own preference pairs?"""
        return self._has("pairs")

    @property
    def has_preferences(self) -> bool:
        """Can preference pairs be had, from the data or from an annotator?"""
        return self.has_pairs or self.has_annotator

    @property
    def has_labelled(self) -> bool:
        """Does the task bring answers that are labelled wanted or unwanted one by one?"""
        return self._has("labelled")

    @property
    def has_annotator(self) -> bool:
        """Is there an annotator who says which of two completions is better?"""
        return self._has("prefers_first")

    @property
    def has_enumeration(self) -> bool:
        """Can every completion be written down?"""
        return self._has("enumerated_gold")

    @property
    def has_ratings(self) -> bool:
        """Is there an annotator who rates completions one by one?"""
        return self._has("ratings")

    @property
    def has_probes(self) -> bool:
        """Are there multiple-choice questions?"""
        return self._has("probes")
