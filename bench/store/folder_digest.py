"""Tells one state of a folder from another by the bytes of its files."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from bench.store.store import sha256


def folder_digest(directory: Path) -> str:
    """Hex digest over the names and bytes of all files; hidden files and folders, such as ``.git``, do not count."""
    lines = []
    for file in sorted(directory.rglob("*")):
        inside = file.relative_to(directory)
        if file.is_file() and not any(part.startswith(".") for part in inside.parts):
            state = file.stat()
            stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
            lines.append(f"{inside.as_posix()} {_digest(file, stamp)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@functools.lru_cache(maxsize=4096)
def _digest(file: Path, stamp: tuple[int, ...]) -> str:
    """Of a file as it is at `stamp`: every cell of a matrix asks for it again."""
    return sha256(file)
