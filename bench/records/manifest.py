"""The checksums of a run's files that are not JSON: its packed records and what a judge said.

New files take the old ones' place all at once, at the moment when the manifest does: until each is renamed, it lies
beside its place, and is read from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.records.files import COMPARISONS, PACKED, RECORDS
from bench.records.sealing import Damaged, check_seal, parse_object, read_bytes, write_sealed
from bench.store.store import MANIFEST, sha256


def beside(file: Path) -> Path:
    """Where a new file is written before it takes its place."""
    return file.with_name(f".{file.name}")


def replace_files(directory: Path, written: Mapping[str, bool]) -> None:
    """Have files take their place: by name, whether a new one lies beside it (see `beside`) or the old one goes.

    Files that are there and not named stay as they are; where the manifest is damaged, they have no checksum any more,
    and count as damaged until they are made again.
    """
    digests: dict[str, str] | None
    try:
        digests = manifest(directory)
    except Damaged:
        digests = {}
    if digests is None:  # what an earlier release wrote is taken as it is
        there = [directory / name for name in (COMPARISONS, RECORDS, *PACKED.values())]
        digests = {file.name: sha256(file) for file in there if file.is_file()}
    digests = {name: digest for name, digest in digests.items() if name not in written}
    digests |= {name: sha256(beside(directory / name)) for name, is_new in written.items() if is_new}
    write_sealed(directory / MANIFEST, {"files": digests})
    for name, is_new in written.items():
        if is_new:
            beside(directory / name).replace(directory / name)
        else:
            (directory / name).unlink(missing_ok=True)


def manifest(directory: Path) -> dict[str, str] | None:
    """The digest of each file, by its name; None where the run has no manifest.

    Raises:
        Damaged: it is not what was written.
    """
    file = directory / MANIFEST
    if not file.exists():
        return None
    value = parse_object(read_bytes(file), file)
    check_seal(value, file)
    digests = value.get("files")
    if not isinstance(digests, dict) or not all(isinstance(digest, str) for digest in digests.values()):
        raise Damaged(f"{file}: names no files")
    return digests


def whole_file(directory: Path, name: str, earlier: bool = True) -> Path | None:
    """The file `name` of the run in `directory`, held to its checksum; None where the run has none.

    A run of an earlier release has no manifest: its files are taken as they are, if it can be one (`earlier`).

    Raises:
        Damaged: it is missing, or is not what was written.
    """
    file = directory / name
    digests = manifest(directory)
    if digests is None and file.exists() and not earlier:
        raise Damaged(f"{file}: has no checksum")
    if digests is None:
        return file if file.exists() else None
    if name not in digests:
        if file.exists():
            raise Damaged(f"{file}: not in {MANIFEST}")
        return None
    for place in (file, beside(file)):
        if place.is_file() and sha256(place) == digests[name]:
            return place
    raise Damaged(f"{file}: {'does not match its checksum' if file.exists() else 'is missing'}")
