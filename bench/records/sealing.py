"""JSON that carries its own checksum, so that whoever reads a file knows that it is what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contracts.errors import BenchError
from bench.store.store import write_atomically

CHECKSUM = "checksum"


class Damaged(BenchError):
    """A file is not what was written: cut, altered, or not readable. The text says which, and how."""


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` with the checksum of all else in it."""
    return {**value, CHECKSUM: _checksum(value)}


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` with its checksum, whole or not at all."""
    write_atomically(path, json.dumps(sealed(value), indent=1))


def read_bytes(path: Path) -> bytes:
    """The bytes of a file that must be there.

    Raises:
        Damaged: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path}: {error.strerror or error}") from None


def parse_object(text: bytes | str, where: object) -> dict[str, Any]:
    """The JSON object that `text` is.

    Raises:
        Damaged: it is none; `where` says which.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # no UTF-8 is a ValueError as well
        raise Damaged(f"{where}: not JSON ({str(error)[:200]})") from None
    if not isinstance(value, dict):
        raise Damaged(f"{where}: not a JSON object")
    return value


def check_seal(value: Mapping[str, Any], where: object) -> None:
    """Hold a value to the checksum in it.

    Raises:
        Damaged: it has none, or another's.
    """
    if CHECKSUM not in value:
        raise Damaged(f"{where}: has no checksum")
    if value[CHECKSUM] != _checksum(value):
        raise Damaged(f"{where}: does not match its checksum")


def _checksum(value: Mapping[str, Any]) -> str:
    rest = {name: each for name, each in value.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
