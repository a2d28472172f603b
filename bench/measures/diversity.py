"""How varied a policy's text is: among the several completions of each prompt, and per token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


def distinct_n(texts: Sequence[str], prompt_ids: Sequence[Hashable], n: int) -> float:
    """Distinct n-grams / n-grams of words among the completions of one prompt, averaged over prompts.

    Li et al. 2016. In (0, 1]; NaN where no text has n words. `prompt_ids` says which prompt each text
    completes. Traps: falls with length and with the number of completions per prompt, so compare at equal
    numbers; random words score high.
    """
    ratios = []
    for group in _by_prompt(texts, prompt_ids):
        words = [text.split() for text in group]
        grams = [tuple(w[i : i + n]) for w in words for i in range(len(w) - n + 1)]
        if grams:
            ratios.append(len(set(grams)) / len(grams))
    return float(np.mean(ratios)) if ratios else float("nan")


def unique_share(texts: Sequence[str], prompt_ids: Sequence[Hashable]) -> float:
    """Distinct completions / completions of one prompt, averaged over prompts; in (0, 1].

    1 says only that no two are equal: long texts hardly ever are.
    """
    return float(np.mean([len(set(group)) / len(group) for group in _by_prompt(texts, prompt_ids)]))


def token_entropy(entropy: NDArray[np.float64], length: NDArray[np.float64]) -> float:
    """Mean entropy of the next token, nats per token: Σ entropy / Σ length, as `sequence_scores` gives them.

    Token-weighted: a mean of per-completion means would favour short completions.
    """
    return float(np.sum(entropy) / np.sum(length))


def _by_prompt(texts: Sequence[str], prompt_ids: Sequence[Hashable]) -> list[list[str]]:
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for text, prompt in zip(texts, prompt_ids, strict=True):
        groups[prompt].append(text)
    return list(groups.values())
