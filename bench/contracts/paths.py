"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

from bench.contracts.errors import BenchError, shown

_LONGEST_NAME, _LONGEST_PATH = 255, 4000  # bytes; what file systems and the kernel take


def user_path(text: str | Path) -> Path:
    """`text` with ``~`` and ``~NAME`` as the home folders that they stand for.

    Raises:
        BenchError: there is no such user, or no file can have such a name.
    """
    path = Path(text)
    names = [len(os.fsencode(part)) for part in path.parts]
    if max(names, default=0) > _LONGEST_NAME or sum(names) > _LONGEST_PATH or "\0" in str(text):
        raise BenchError(f"{shown(str(text))} can be the name of no file")
    try:
        return path.expanduser()
    except RuntimeError:
        raise BenchError(f"{shown(str(text))}: there is no user {path.parts[0][1:]!r}") from None
