"""The store of artifacts: knows bytes and keys, nothing else.

An artifact is a folder ``<root>/<kind>/<key>`` with a manifest of checksums. It is written to a temporary folder and
renamed, so it is there whole or not at all. A lock per key keeps two runs on one store from building the same thing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from bench.store import locks

MANIFEST = "manifest.json"
_KEY = re.compile("[0-9a-f]{32}")


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:64]}.{uuid4().hex}")  # made so that the umask decides who may read it
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Store:
    """A folder of artifacts, safe for several runs at once.

    Args:
        root: made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._building = self.root / ".building"
        self._locks = self.root / ".locks"

    def path(self, kind: str, key: str) -> Path:
        """Where the artifact is, or would be."""
        return self.root / kind / key

    def has(self, kind: str, key: str) -> bool:
        """Was the artifact written? (`damage` says whether it is still whole.)"""
        return (self.path(kind, key) / MANIFEST).exists()

    def artifacts(self) -> Iterator[tuple[str, str]]:
        """Kind and key of every artifact that was written, also where its manifest is gone; not of others' folders."""
        for folder in sorted(self.root.glob("[!.]*/*/")):
            if (folder / MANIFEST).is_file() or _KEY.fullmatch(folder.name):
                yield folder.parent.name, folder.name

    def damage(self, kind: str, key: str) -> str | None:
        """What is wrong with an artifact that was written: a missing or altered file; None if it is whole."""
        folder = self.path(kind, key)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            expected: dict[str, str] = manifest["files"]
        except (OSError, ValueError, KeyError, TypeError):
            return f"{MANIFEST} cannot be read"
        for name, digest in expected.items():
            file = folder / name
            if not file.is_file():
                return f"{name} is missing"
            if sha256(file) != digest:
                return f"{name} does not match its checksum"
        return None

    def discard(self, kind: str, key: str) -> None:
        """Remove an artifact, whole or damaged."""
        shutil.rmtree(self.path(kind, key), ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, kind: str, key: str) -> Iterator[None]:
        """Hold the right to build this artifact; waits for another run that holds it."""
        self._locks.mkdir(parents=True, exist_ok=True)
        with locks.held(self._locks / f"{kind}-{key}.lock"):
            yield

    def unwritable(self) -> str | None:
        """Why nothing can be written into the store; None if something can."""
        try:
            with self.scratch():
                return None
        except OSError as error:
            return error.strerror or str(error)

    @contextlib.contextmanager
    def build(self, kind: str, key: str) -> Iterator[Path]:
        """Give an empty folder to fill; on leaving without an exception it becomes the artifact."""
        with self.scratch() as temporary:
            yield temporary
            files = {
                str(file.relative_to(temporary)): sha256(file)
                for file in sorted(temporary.rglob("*"))
                if file.is_file()
            }
            (temporary / MANIFEST).write_text(json.dumps({"files": files}, indent=1), encoding="utf-8")
            final = self.path(kind, key)
            final.parent.mkdir(parents=True, exist_ok=True)
            self.discard(kind, key)
            temporary.rename(final)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the store's disk, removed afterwards; `sweep` removes it if this process is killed."""
        temporary = self._building / f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        temporary.mkdir(parents=True)
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what processes of this machine that are gone left half-built, and the locks that they held."""
        locks.sweep(self._locks)
        for folder in self._building.glob(f"{socket.gethostname()}-*"):
            pid = folder.name.rsplit("-", 2)[-2]
            if pid.isdigit() and not _alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
