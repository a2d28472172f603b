"""The world that methods are checked in: six words, completions of up to three, all of which can be written down."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pydantic import PrivateAttr

from bench.contracts.annotator import Annotated
from bench.contracts.task import Completion, Probe, Prompt, Rating
from bench.models.encoding import text_of

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

COLOURS = ("red", "blue", "green")
WORTH = {"good": 1, "bad": -1}
WORDS = (*COLOURS, *WORTH)
CORPUS, DEMONSTRATIONS, REFERENCES = 1, 2, 3  # streams of random numbers

T = TypeVar("T")


class CheckingWorld(Annotated):
    """Three words follow one or two colours: gold is (times `good` − times `bad`) / 3. Trains in a second.

    It has all that a world can have, so that any method runs in it; and it counts the labels that it gives.
    """

    _rows: int | None = PrivateAttr(None)
    _labels: dict[object, int] = PrivateAttr(default_factory=dict)
    _answering: bool = PrivateAttr(False)

    @property
    def max_completion_tokens(self) -> int:
        """Three words and EOS."""
        return 4

    def limited_to(self, rows: int | None) -> CheckingWorld:
        """This world with at most so many training prompts and demonstrations, and with an account of its own."""
        world = type(self)(**self.model_dump())
        world._rows = rows
        return world

    @property
    def labels_given(self) -> int:
        """Gold rewards, comparisons and ratings that this world was asked for; the same question twice counts once."""
        return sum(self._labels.values())

    def vocabulary(self) -> list[str]:
        """Six words."""
        return [*WORDS, ":"]

    def corpus(self, seed: int) -> list[str]:
        """Uniform words after training prompts."""
        prompts, completions = _draw(256, np.random.default_rng([seed, CORPUS]))
        return [p + c for p, c in zip(prompts, completions, strict=True)][: self._rows]

    def demonstrations(self, seed: int) -> Dataset:
        """More of the same, graded by gold."""
        from datasets import Dataset

        prompts, completions = _draw(64, np.random.default_rng([seed, DEMONSTRATIONS]))
        quality = [_gold(completion) for completion in completions]
        rows = Dataset.from_dict({"prompt": prompts, "completion": completions, "quality": quality})
        return rows if self._rows is None else rows.select(range(self._rows))

    def prompts(self, split: str) -> Dataset:
        """Colours and a colon, of two lengths; those that begin with `green` are the test split."""
        from datasets import Dataset

        prompts = _prompts(split)
        return Dataset.from_dict({"prompt": prompts[: self._rows] if split == "train" else prompts})

    def references(self) -> Dataset:
        """Uniform words after test prompts."""
        from datasets import Dataset

        prompts, completions = _draw(16, np.random.default_rng(REFERENCES), "test")
        return Dataset.from_dict({"prompt": prompts, "completion": completions})

    def probes(self) -> list[Probe]:
        """The next word is one of five, each as likely."""
        choices = tuple(f" {word}" for word in WORDS)
        return [Probe(prompt, choices, i % 5, (0.2,) * 5) for i, prompt in enumerate(_prompts("test") * 5)]

    def gold(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """In [−1, 1], see the class."""
        key = ("gold", *map(str, [*prompts, *completions]))
        return self._label(key, len(completions), lambda: [_gold(c) for c in completions])

    def gold_parts(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> dict[str, list[float]]:
        """`praise` and `blame`: what each of the two words adds, in [−1, 1]."""

        def parts() -> dict[str, list[float]]:
            words = [_words(c) for c in completions]
            return {
                "praise": [min(1.0, row.count("good") / 3) for row in words],
                "blame": [max(-1.0, -row.count("bad") / 3) for row in words],
            }

        return self._label(("parts", *map(str, [*prompts, *completions])), len(completions), parts)

    def grades(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion], seed: int
    ) -> list[int]:
        """See `Annotated`."""
        key = ("comparisons", seed, *map(str, [*prompts, *first, *second]))
        return self._label(key, len(first), lambda: super(CheckingWorld, self).grades(prompts, first, second, seed))

    def ratings(self, prompts: Sequence[Prompt], completions: Sequence[Completion], seed: int) -> list[Rating]:
        """See `Annotated`."""
        key = ("ratings", seed, *map(str, [*prompts, *completions]))
        return self._label(
            key, len(completions), lambda: super(CheckingWorld, self).ratings(prompts, completions, seed)
        )

    def enumerated_gold(self, tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> NDArray[np.float64] | None:
        """All 4,681 completions, as `gold` scores their texts."""
        from bench.models.enumeration import all_completions

        tokens, lengths = all_completions(len(tokenizer), tokenizer.eos_token_id, self.max_completion_tokens)
        worth = np.zeros(len(tokenizer))
        for word, value in WORTH.items():
            worth[tokenizer.convert_tokens_to_ids(f"▁{word}")] = value
        values = (worth[tokens.numpy()].sum(1) / 3).clip(-1, 1)
        return self._label(("all", str(prompt)), len(lengths), lambda: values)

    def _label(self, question: object, count: int, answer: Callable[[], T]) -> T:
        if self._answering:  # gold, asked by the annotator
            return answer()
        self._labels[question] = count
        self._answering = True
        try:
            return answer()
        finally:
            self._answering = False


def _words(completion: Completion) -> list[str]:
    return re.findall("[a-z]+", text_of(completion))  # a special token may follow a word without a blank


def _gold(completion: Completion) -> float:
    return max(-1.0, min(1.0, sum(WORTH.get(word, 0) for word in _words(completion)) / 3))


def _prompts(split: str) -> list[str]:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    colours = [*COLOURS, *(" ".join(pair) for pair in product(COLOURS, COLOURS))]
    return [f"{words} :" for words in colours if words.startswith("green") == (split == "test")]


def _draw(count: int, rng: np.random.Generator, split: str = "train") -> tuple[list[str], list[str]]:
    distinct = _prompts(split)
    prompts = [distinct[i] for i in rng.integers(len(distinct), size=count)]
    return prompts, ["".join(f" {word}" for word in row) for row in rng.choice(WORDS, size=(count, 3))]
