"""Which cells of a run are whole and which are damaged, and what the run said of itself before it began."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from bench.contracts.measure import MeasureInfo
from bench.records.files import CELLS, COMPARISONS, PACKED, RECORD, RECORDS, RUN_FILE
from bench.records.manifest import manifest, whole_file
from bench.records.record import Record, parse_record, read_record
from bench.records.sealing import CHECKSUM, Damaged, check_seal, parse_object, read_bytes
from bench.stages.artifact import COMPLETIONS
from bench.store.store import MANIFEST

DIGESTS = b"digests"
"""Key of the metadata of completions that an earlier release packed: the SHA-256 of each cell's, by the cell's id."""

_MOST_UNZIPPED = 1 << 30
"""Bytes; the records of 100,000 cells. A file of a few megabytes can hold a thousand times as much."""


@dataclass
class Cells:
    """What a run's folder holds.

    Attributes:
        records: of the cells that are whole, by the cell's id: those in a folder of their own, then those packed.
        own: ids of the whole cells that have a folder of their own.
        damaged: what is wrong with each of the others, by the cell's id. A cell without a record is not among them.
        strangers: names of folders that hold a record and are not of this run's matrix.
    """

    records: dict[str, Record] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    damaged: dict[str, str] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)

    @property
    def unverified(self) -> int:
        """How many cells have no checksums: those that an earlier release recorded."""
        return sum(record["schema"] == 1 for record in self.records.values())


def read_comparisons(directory: Path, cells: Cells) -> Path | None:
    """The file of what a judge said of the run's completions; None where no judge was asked.

    Raises:
        Damaged: it is not what was written.
    """
    return whole_file(directory, COMPARISONS, earlier=cells.unverified == len(cells.records))


def read_cells(directory: Path) -> Cells:
    """Every cell of the run in `directory`; a cell's own folder counts before a packed record.

    Raises:
        Damaged: what the run said of itself cannot be read.
    """
    found = Cells()
    cells = planned(directory)
    for folder in sorted(directory.glob(f"{CELLS}/*/")):
        if not os.path.lexists(folder / RECORD):
            continue
        if cells is not None and folder.name not in cells:
            found.strangers.append(folder.name)
            continue
        try:
            found.records[folder.name] = read_record(folder)
            found.own.add(folder.name)
        except Damaged as error:
            found.damaged[folder.name] = str(error)
    known = {*found.records, *found.damaged}
    try:
        for record in _packed(directory):
            name = record["cell"]["id"]
            if name not in known and (cells is None or name in cells):
                found.records[name] = record
    except Damaged as error:
        found.damaged |= {name: str(error) for name in cells or ["packed"] if name not in known}
    return found


def planned(directory: Path) -> list[str] | None:
    """Ids of the cells that the run's matrix has; None where the run does not say."""
    cells: list[str] | None = described(directory).get("cells")
    return cells


class _Description(TypedDict, total=False):
    """What readers take from `RUN_FILE`."""

    name: str
    cells: list[str]
    measures: list[MeasureInfo]
    evaluation: dict[str, Any]


_DESCRIPTION = TypeAdapter(_Description)


def described(directory: Path) -> dict[str, Any]:
    """What `bench run` wrote down before it began, see `RUN_FILE`; nothing where a run does not say.

    Raises:
        Damaged: it is not what was written. What an earlier release wrote has no checksum.
    """
    file = directory / RUN_FILE
    if not os.path.lexists(file):
        return {}
    try:
        value = parse_object(read_bytes(file), file)
        if CHECKSUM in value:
            check_seal(value, file)
        _DESCRIPTION.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Damaged(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']} ({_AGAIN})") from None
    except Damaged as error:
        raise Damaged(f"{error} ({_AGAIN})") from None
    return value


_AGAIN = "the same `bench run` writes it again"


def _packed(directory: Path) -> Iterator[Record]:
    """The packed records, and the frames beside them, held to their checksums."""
    file, digests = whole_file(directory, RECORDS), manifest(directory)
    if file is None:
        return
    for name in PACKED.values():
        whole_file(directory, name)
    records = [parse_record(line, f"{file}, line {i}") for i, line in enumerate(_unzipped(file).splitlines(), 1)]
    if digests is None and any(record["schema"] != 1 for record in records):
        raise Damaged(f"{directory / MANIFEST}: is missing")
    earlier = _earlier_digests(directory / PACKED[COMPLETIONS])
    for record in records:
        if record["schema"] == 1:
            name = record["cell"]["id"]
            record["files"] = {COMPLETIONS: earlier[name]} if earlier.get(name) else {}
        yield record


def _unzipped(file: Path) -> bytes:
    try:
        with gzip.open(file) as lines:
            text = lines.read(_MOST_UNZIPPED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Damaged(f"{file}: cannot be read ({error})") from None
    if len(text) > _MOST_UNZIPPED:
        raise Damaged(f"{file}: more than {_MOST_UNZIPPED >> 20:,} MB of records")
    return text


def _earlier_digests(file: Path) -> dict[str, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.exists():
        return {}
    try:
        digests: dict[str, str] = json.loads((pq.read_schema(file).metadata or {}).get(DIGESTS, b"{}"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Damaged(f"{file}: cannot be read ({' '.join(str(error).split())[:200]})") from None
    return digests
