"""Which prompts are for training and which for testing: decided by their hash, whatever else changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def by_hash(texts: Iterable[str], split: str, share: float = 0.2) -> list[str]:
    """The distinct `texts` of a split, in an order without pattern; `share` of them are the test split.

    Raises:
        ValueError: `split` is neither ``"train"`` nor ``"test"``.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    ordered = sorted(set(texts), key=lambda text: hashlib.sha256(text.encode()).digest())
    count = round(len(ordered) * share)
    return ordered[:count] if split == "test" else ordered[count:]
