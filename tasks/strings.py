"""Strings of sixteen symbols: a world so small that every expectation is a sum (see `bench.models.enumeration`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.contracts.annotator import Annotated
from bench.contracts.plugin import Field
from bench.contracts.task import Completion, Probe, Prompt
from bench.models.encoding import text_of

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

SYMBOLS = tuple("abcdefghijklmnop")
LENGTH = 3  # symbols of the longest completion
LEAPS = (3, 6, 11)  # how far round the circle of symbols each step should go
STOPS = (0.1, 0.2, 1.0)  # probability that a string of the corpus ends after its first, second, third symbol

# Streams of random numbers, one per use.
CHAIN, CORPUS, DEMONSTRATIONS, REFERENCES, PROBES = 0, 1, 2, 4, 5

CHOICES, QUESTIONS = 4, 10_240


class Strings(Annotated):
    """Strings of 16 symbols from a Markov chain: every expectation is an exact sum.

    A prompt is two symbols (``c k``), a completion up to three more and the end of sequence, so at most four tokens
    (``n d o``). Corpus, demonstrations and references come from one fixed random Markov chain, which depends on the
    last symbol alone, so that test prompts (pairs that no training prompt has) are no harder than training prompts.

    Gold reward, in [−1, 1]: with the symbols on a circle, the mean over the three places of the completion of
    cos(2π (leap − wanted) / 16), where `leap` is the step from the symbol before and 3, 6, 11 are wanted; an empty
    place counts −1. What each symbol is worth so depends on its place and its neighbour. Anything that is not one to
    three single-spaced symbols is worth −1, the worst. The parts of gold are its three places, `first`, `second` and
    `third`, each in [−1, 1]; gold is their mean.

    Annotator: Bradley–Terry on gold, see `bench.contracts.annotator.Annotated`.

    Probes ask for the next symbol; their posterior is the chain's.

    Planted, with the switch that takes it away: the annotator's noise (`noise` 0), flips (`flips` 0), scales
    (`rater_spread` 0), and a partial reward (`sees: first`; control: `sees` left out). Not planted: any preference of
    the chain for what gold wants, or against it.
    """

    demonstration_count: int = Field(2000, ge=1, description="demonstrations")
    corpus_size: int = Field(4000, ge=1, description="texts of the corpus")

    @property
    def max_completion_tokens(self) -> int:
        """Three symbols and the end of sequence."""
        return LENGTH + 1

    def vocabulary(self) -> list[str]:
        """The sixteen symbols."""
        return list(SYMBOLS)

    def corpus(self, seed: int) -> list[str]:
        """Strings that begin with training prompts."""
        rng = np.random.default_rng([seed, CORPUS])
        return [p + c for p, c in zip(*_draw("train", self.corpus_size, rng), strict=True)]

    def demonstrations(self, seed: int) -> Dataset:
        """Columns `prompt`, `completion`, and `quality`: the gold reward."""
        from datasets import Dataset

        rng = np.random.default_rng([seed, DEMONSTRATIONS])
        prompts, completions = _draw("train", self.demonstration_count, rng)
        quality = self.gold(prompts, completions)
        return Dataset.from_dict({"prompt": prompts, "completion": completions, "quality": quality})

    def prompts(self, split: str) -> Dataset:
        """Column `prompt`: 192 pairs of symbols for training, 64 for testing; each symbol is in both, in each place."""
        from datasets import Dataset

        return Dataset.from_dict({"prompt": _prompts(split)})

    def references(self) -> Dataset:
        """Strings of the chain that begin with test prompts."""
        from datasets import Dataset

        prompts, completions = _draw("test", 512, np.random.default_rng([0, REFERENCES]))
        return Dataset.from_dict({"prompt": prompts, "completion": completions})

    def gold(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """In [−1, 1], see the class."""
        return [sum(steps) / LENGTH for steps in _scores(prompts, completions)]

    def gold_parts(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> dict[str, list[float]]:
        """`first`, `second` and `third`: what each place is worth, in [−1, 1]."""
        rows = _scores(prompts, completions)
        return {name: [row[i] for row in rows] for i, name in enumerate(("first", "second", "third"))}

    def enumerated_gold(self, tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> NDArray[np.float64] | None:
        """All 111,151 completions, as `gold` scores their texts; None where a symbol is not one token."""
        from bench.models.enumeration import MOST, all_completions, completion_count

        limit, eos = self.max_completion_tokens, tokenizer.eos_token_id
        symbols = tokenizer.convert_tokens_to_ids([f"▁{symbol}" for symbol in SYMBOLS])
        if None in symbols or tokenizer.unk_token_id in symbols or completion_count(len(tokenizer), limit) > MOST:
            return None
        tokens, lengths = (each.numpy() for each in all_completions(len(tokenizer), eos, limit))
        places = np.full(len(tokenizer), -1)
        places[symbols] = range(len(SYMBOLS))
        path = np.column_stack([np.full(len(tokens), SYMBOLS.index(text_of(prompt)[-1])), places[tokens]])
        count = lengths - (tokens[:, -1] == eos)  # tokens before EOS; EOS fills up what is short
        is_token = np.arange(limit) < count[:, None]
        valid = (count >= 1) & (count <= LENGTH) & ((places[tokens] >= 0) | ~is_token).all(1)
        steps = worth()[path[:, :LENGTH], path[:, 1 : LENGTH + 1], np.arange(LENGTH)]
        return np.where(valid[:, None] & is_token[:, :LENGTH], steps, -1.0).sum(1) / LENGTH

    def probes(self) -> list[Probe]:
        """10,240 questions on the 64 test prompts: which of four symbols comes next?"""
        rng = np.random.default_rng([0, PROBES])
        prompts = _prompts("test")
        return [_question(prompts[i % len(prompts)], rng) for i in range(QUESTIONS)]


def score(prompt: str, completion: str) -> list[float]:
    """What each of the three places of a completion is worth, in [−1, 1]."""
    words = completion.split(" ")
    if words[0] or not 1 <= len(words) - 1 <= LENGTH or not set(words[1:]) <= set(SYMBOLS):
        return [-1.0] * LENGTH
    symbols = [SYMBOLS.index(word) for word in (prompt[-1], *words[1:])]
    steps = [worth()[before, after, place] for place, (before, after) in enumerate(pairwise(symbols))]
    return [float(step) for step in steps] + [-1.0] * (LENGTH - len(steps))


@cache
def worth() -> NDArray[np.float64]:
    """What a step from one symbol to another is worth at each place, shape (16, 16, 3), in [−1, 1]."""
    circle = np.arange(len(SYMBOLS))
    leaps = circle[None, :, None] - circle[:, None, None]
    return np.asarray(np.cos(2 * math.pi * (leaps - np.array(LEAPS)) / len(SYMBOLS)))


def _scores(prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[list[float]]:
    return [
        score(text_of(prompt), text_of(completion)) for prompt, completion in zip(prompts, completions, strict=True)
    ]


@cache
def chain() -> NDArray[np.float64]:
    """The transition probabilities, shape (16, 16): row = the symbol before."""
    rng = np.random.default_rng(CHAIN)
    transitions: NDArray[np.float64] = rng.dirichlet(np.full(len(SYMBOLS), 0.5), size=len(SYMBOLS))
    return transitions


def _prompts(split: str) -> list[str]:
    """All pairs of symbols whose places sum to a multiple of four are the test split, the others the training split."""
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    pairs = [(i, j) for i in range(len(SYMBOLS)) for j in range(len(SYMBOLS))]
    return [f"{SYMBOLS[i]} {SYMBOLS[j]}" for i, j in pairs if ((i + j) % 4 == 0) == (split == "test")]


def _draw(split: str, count: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Prompts and completions."""
    known = _prompts(split)
    prompts = [known[i] for i in rng.integers(len(known), size=count)]
    completions = []
    for prompt in prompts:
        place, completion = SYMBOLS.index(prompt[-1]), ""
        for stop in STOPS:
            place = int(rng.choice(len(SYMBOLS), p=chain()[place]))
            completion += f" {SYMBOLS[place]}"
            if rng.random() < stop:
                break
        completions.append(completion)
    return prompts, completions


def _question(prompt: str, rng: np.random.Generator) -> Probe:
    places = rng.choice(len(SYMBOLS), CHOICES, replace=False)
    posterior = chain()[SYMBOLS.index(prompt[-1])][places]
    posterior /= posterior.sum()
    answer = int(rng.choice(CHOICES, p=posterior))
    return Probe(prompt, tuple(f" {SYMBOLS[i]}" for i in places), answer, tuple(posterior.tolist()))
