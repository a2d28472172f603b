"""Texts and probes of a world that is stated as the probabilities of its next word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from bench.contracts.task import Probe

END = ""  # stands for the end of the text among the possible next words
NextWord = Callable[[str, tuple[str, ...]], Mapping[str, float]]
"""Prompt and the completion's words so far → the probability of each word, or END, that may follow."""

CHOICES = 4


def draw(next_word: NextWord, prompt: str, rng: np.random.Generator) -> str:
    """One completion, with its leading space."""
    words: tuple[str, ...] = ()
    while True:
        following = next_word(prompt, words)
        word = str(rng.choice(list(following), p=list(following.values())))
        if word == END:
            return "".join(f" {word}" for word in words)
        words = (*words, word)


def probes(
    next_word: NextWord,
    prompts: Iterable[str],
    vocabulary: Sequence[str],
    questions_per_query: int,
    rng: np.random.Generator,
) -> list[Probe]:
    """Questions for the next word, one query per prompt: the prompt with the beginning of a completion.

    One to four of the four choices are words that may follow, the others are not (posterior 0); the answer is drawn
    from the posterior. Round by round, so that any first part of the questions covers all queries.
    """
    queries = []
    for prompt in prompts:
        words = tuple(draw(next_word, prompt, rng).split())
        words = words[: rng.integers(len(words))]
        queries.append((" ".join([prompt, *words]), {w: p for w, p in next_word(prompt, words).items() if w != END}))
    return [
        question(query, words, vocabulary, rng) for _ in range(questions_per_query) for query, words in queries if words
    ]


def question(query: str, following: Mapping[str, float], vocabulary: Sequence[str], rng: np.random.Generator) -> Probe:
    """Four words of which one to four may follow `query`."""
    fitting = rng.choice(list(following), min(len(following), int(rng.integers(1, CHOICES + 1))), replace=False)
    unfit = [word for word in vocabulary if word not in following]
    others = rng.choice(unfit, CHOICES - len(fitting), replace=False)
    words = [str(word) for word in rng.permutation([*fitting, *others])]
    return ask(query, words, [following.get(word, 0.0) for word in words], rng)


def ask(query: str, words: Sequence[str], weights: Sequence[float], rng: np.random.Generator) -> Probe:
    """The question whose posterior is proportional to `weights`, with an answer drawn from it."""
    posterior = np.array(weights) / np.sum(weights)
    answer = int(rng.choice(len(words), p=posterior))
    return Probe(query, tuple(f" {word}" for word in words), answer, tuple(posterior.tolist()))
