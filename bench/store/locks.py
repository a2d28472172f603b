"""Locks between processes that leave no file behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(file: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock that `file` stands for, which is made for it and removed with it.

    Raises:
        filelock.Timeout: another process holds it, and we were not to wait.
        OSError: the file cannot be made.
    """
    from filelock import FileLock

    lock = FileLock(file, timeout=-1 if wait else 0)
    lock.acquire()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is held: whoever waits for the lock of a removed file starts over
        lock.release()


def sweep(folder: Path) -> None:
    """Remove the files of locks that nobody holds: those of processes that were killed."""
    from filelock import Timeout

    for file in folder.glob("*.lock"):
        with contextlib.suppress(Timeout, OSError), held(file, wait=False):
            pass
