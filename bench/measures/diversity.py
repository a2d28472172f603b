"""How varied a policy's text is: among the several completions of each prompt, and per token."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from bench.measures.definition import Definitions
from bench.measures.valid_numbers import numbers

measure = Definitions(of="a policy")

COMPARED = 8  # completions per prompt that self-BLEU looks at: its cost grows with their square


@measure("entropy", "entropy", "nats/token", None, "mean entropy of π's next-token distribution")
def token_entropy(entropy: ArrayLike, length: ArrayLike) -> float:
    """Mean entropy of π's next-token distribution at the prefixes it samples: Σ entropy / Σ length.

    Nats per token; both (completions,), as `sequence_scores` gives them: entropies summed over a completion's tokens,
    and its number of tokens. Token-weighted: a mean of per-completion means would favour short completions. Trap:
    neither direction is good in itself; a policy can keep its entropy and lose its sense.
    """
    return float(numbers(entropy, "entropies").sum() / numbers(length, "lengths").sum())


@measure("distinct_1", "distinct-1", "", None, "distinct words / words among one prompt's completions")
def distinct_1(texts: Sequence[str], prompt_ids: Sequence[Hashable]) -> float:
    """Distinct words / words among the completions of one prompt, averaged over prompts (Li et al. 2016).

    In (0, 1]; NaN where every text is empty. `prompt_ids` says which prompt each text completes. Trap: falls with
    length and with the number of completions per prompt, so compare at equal numbers; random words score high.
    """
    return distinct_n(texts, prompt_ids, 1)


@measure("distinct_2", "distinct-2", "", None, "distinct word pairs / pairs, likewise")
def distinct_2(texts: Sequence[str], prompt_ids: Sequence[Hashable]) -> float:
    """Distinct pairs of neighbouring words / such pairs among the completions of one prompt, averaged over prompts.

    In (0, 1]; NaN where no text has two words (Li et al. 2016). Trap: as `distinct_1`.
    """
    return distinct_n(texts, prompt_ids, 2)


def distinct_n(texts: Sequence[str], prompt_ids: Sequence[Hashable], n: int) -> float:
    """Distinct n-grams / n-grams of words among the completions of one prompt; prompts without any are left out."""
    ratios = []
    for group in _by_prompt(texts, prompt_ids):
        grams = [gram for text in group for gram in _grams(text.split(), n)]
        if grams:
            ratios.append(len(set(grams)) / len(grams))
    return float(np.mean(ratios)) if ratios else float("nan")


@measure("unique", "unique", "", None, "share of distinct completions among one prompt's")
def unique_share(texts: Sequence[str], prompt_ids: Sequence[Hashable]) -> float:
    """Distinct completions / completions of one prompt, averaged over prompts; in (0, 1].

    Trap: 1 says only that no two are equal: long texts hardly ever are.
    """
    return float(np.mean([len(set(group)) / len(group) for group in _by_prompt(texts, prompt_ids)]))


@measure("self_bleu", "self-BLEU", "", None, "how alike one prompt's completions are")
def self_bleu(texts: Sequence[str], prompt_ids: Sequence[Hashable]) -> float:
    """Mean BLEU-4 of each completion against the others of its prompt (Zhu et al. 2018, there over one pool).

    In [0, 1]; 1: all alike; lower is more varied. Of words; precisions of order 2 to 4 get +1 above and below (Lin &
    Och 2004), orders longer than the text are left out, the brevity penalty is to the others' closest length. Two
    empty texts are alike. Only the first 8 completions of a prompt; NaN where every prompt has just one. Trap: rises
    with length and with the number of completions per prompt, so compare at equal numbers.
    """
    scores = []
    for group in _by_prompt(texts, prompt_ids):
        words = [text.split() for text in group[:COMPARED]]
        counts = [[Counter(_grams(each, n)) for n in range(1, 5)] for each in words]
        for i, own in enumerate(words):
            others = [j for j in range(len(words)) if j != i]
            if others:
                closest = min((len(words[j]) for j in others), key=lambda length: (abs(length - len(own)), length))
                scores.append(_bleu(len(own), closest, counts[i], [counts[j] for j in others]))
    return float(np.mean(scores)) if scores else float("nan")


@measure("empty", "empty", "", None, "share of completions without any text")
def empty_share(texts: Sequence[str]) -> float:
    """Completions that hold nothing but white space / completions; in [0, 1].

    Trap: where nearly all are empty, KL, perplexity and win rate are those of a policy that says nothing.
    """
    if not texts:
        raise ValueError("no texts")
    return float(np.mean([not text.strip() for text in texts]))


@measure("commonest", "commonest", "", None, "share of the commonest completion among all prompts'")
def commonest_share(texts: Sequence[str]) -> float:
    """How often the commonest completion stands among those of all prompts; in (0, 1], 1: one answer to everything.

    Trap: short answers to alike prompts repeat without any fault of the policy.
    """
    if not texts:
        raise ValueError("no texts")
    return max(Counter(texts).values()) / len(texts)


def _bleu(
    length: int, closest: int, own: list[Counter[tuple[str, ...]]], others: list[list[Counter[tuple[str, ...]]]]
) -> float:
    if length == 0:
        return float(closest == 0)
    logs = []
    for n, grams in enumerate(own[: min(4, length)]):
        most = [other[n] for other in others]
        matched = sum(min(count, max(each[gram] for each in most)) for gram, count in grams.items())
        smooth = 1 if n else 0
        if matched + smooth == 0:
            return 0.0
        logs.append(math.log((matched + smooth) / (sum(grams.values()) + smooth)))
    return math.exp(min(0.0, 1 - closest / length) + sum(logs) / len(logs))


def _grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _by_prompt(texts: Sequence[str], prompt_ids: Sequence[Hashable]) -> list[list[str]]:
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for text, prompt in zip(texts, prompt_ids, strict=True):
        groups[prompt].append(text)
    if not groups:
        raise ValueError("no texts")
    return list(groups.values())
