"""One process at a time writes into a run's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.contracts.errors import BenchError
from bench.store.locks import held

LOCK = ".lock"


@contextlib.contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Hold the right to write into `directory`, which is made if need be.

    Raises:
        BenchError: another process holds it, or nothing can be written there.
    """
    from filelock import Timeout

    if directory.exists() and not directory.is_dir():
        raise BenchError(f"{directory} is a file: name a folder")
    with contextlib.ExitStack() as stack:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(directory / LOCK, wait=False))
        except Timeout:
            raise BenchError(
                f"{directory}: another command is writing into it; wait until it has ended, or name another folder"
            ) from None
        except OSError as error:
            raise BenchError(f"{directory}: nothing can be written there ({error.strerror or error})") from None
        yield
