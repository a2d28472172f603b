"""One process at a time writes into a run's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.contracts.errors import BenchError

LOCK = ".lock"


@contextlib.contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Hold the right to write into `directory`, which is made if need be.

    Raises:
        BenchError: another process holds it, or nothing can be written there.
    """
    from filelock import FileLock, Timeout

    if directory.exists() and not directory.is_dir():
        raise BenchError(f"{directory} is a file: name a folder")
    file = directory / LOCK
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file, timeout=0)
        lock.acquire()
    except Timeout:
        raise BenchError(
            f"{directory}: another command is writing into it; wait until it has ended, or name another folder"
        ) from None
    except OSError as error:
        raise BenchError(f"{directory}: nothing can be written there ({error.strerror or error})") from None
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is held: whoever waits for the lock of a removed file starts over
        lock.release()
