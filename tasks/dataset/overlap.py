"""Which prompts are one and the same for the split, and what training and test split share nonetheless."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import ceil

from bench.contracts.task import Prompt

NEAR = 0.8
"""From which Jaccard similarity of their shingles on two prompts are near copies."""
SHINGLE = 3
"""Words of a shingle."""

_HH_TURN = re.compile(r"\n\n(?:Human|Assistant):")
_UNSEEN = re.compile("[\u200b-\u200d\u2060\ufeff\u00ad]")


def normalised(text: str) -> str:
    """The text without what a reader does not see or hear: Unicode form, case, white space, letters of no width."""
    return " ".join(_UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold().split())


def key(prompt: Prompt) -> str:
    """What stays together when data is split: of a text the whole, of a dialogue its first question, normalised.

    A dialogue and its own continuation so are never apart, else the one's answer stood in the other's prompt.
    """
    if isinstance(prompt, str):
        turns = [turn for turn in _HH_TURN.split(prompt) if turn.strip()] if prompt.startswith("\n\nHuman:") else []
        return normalised(turns[0] if turns else prompt)
    questions = [turn["content"] for turn in prompt if turn["role"] == "user"]
    return normalised(questions[0] if questions else " ".join(turn["content"] for turn in prompt))


def near_copies(train: Iterable[str], test: Sequence[str]) -> int:
    """How many of the `test` texts some `train` text copies, but for a word here and there: Jaccard ≥ `NEAR`.

    Exact, and without comparing all with all: of two sets with Jaccard similarity t or more, the first
    |x| − ⌈t |x|⌉ + 1 elements of either, in any one order, have one in common (Chaudhuri, Ganti and Kaushik 2006, ICDE;
    Bayardo, Ma and Srikant 2007, WWW). With the rarest first there are few candidates.
    """
    count = Counter(shingle for text in test for shingle in _shingles(text))
    by_shingle: defaultdict[int, set[str]] = defaultdict(set)
    for text in test:
        for shingle in _first(_shingles(text), count):
            by_shingle[shingle].add(text)
    copied: set[str] = set()
    for text in train:
        own = _shingles(text)
        if sum(shingle in count for shingle in own) < NEAR * len(own):  # most of them are in no test text at all
            continue
        candidates = {each for shingle in _first(own, count) for each in by_shingle.get(shingle, ())}
        copied |= {each for each in candidates - copied if similarity(own, _shingles(each)) >= NEAR}
    return len(copied)


def similarity(first: set[int], second: set[int]) -> float:
    """Jaccard's: the share of the elements of either that both have."""
    return len(first & second) / len(first | second)


def _shingles(text: str) -> set[int]:
    words = normalised(text).split()
    return set(map(hash, zip(*(words[i:] for i in range(SHINGLE)), strict=False))) or {hash(tuple(words))}


def _first(shingles: set[int], count: Counter[int]) -> list[int]:
    rarest = sorted(shingles, key=lambda shingle: (count[shingle], shingle))
    return rarest[: len(rarest) - ceil(NEAR * len(rarest)) + 1]
