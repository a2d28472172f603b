"""From files to raw rows: every row is a dict of its columns, or the reason why it could not be read."""

from __future__ import annotations

import csv
import difflib
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from bench.contracts.errors import BenchError, nearest

PLAIN = (".json", ".jsonl", ".csv", ".tsv")
ENDINGS = (*PLAIN, *(f"{ending}.gz" for ending in PLAIN), ".parquet")

LARGEST_RATIO = 100
"""Of a compressed file's content to the file. Texts come to 3 to 10; a few megabytes can be made to hold gigabytes."""
SMALL = 64 * 2**20
"""Bytes of content that any compressed file may hold."""


class BadRow(Exception):
    """A row to set aside; the message is the reason, the same words for the same reason."""


NumberedRow: TypeAlias = tuple[int, dict[str, Any] | BadRow]
"""Where a row stands, and what it holds. Numbers count from 1: lines of the file in JSONL, CSV and TSV (the
header of a table is line 1), rows in all else."""


def read(path: Path, split: str | None) -> list[NumberedRow]:
    """All rows of a file (its ending says how it is written) or of a folder saved by `datasets`.

    split: which one, where a folder holds several; ``train`` by default.

    Raises:
        BenchError: no such file; unreadable; an ending that is not known, or is not what the file holds.
    """
    _must_exist(path)
    if path.is_dir():
        return _readable(path, _folder(path, split))
    if split is not None:
        raise BenchError(f"{path}: `split` is for hub data sets and saved folders; a file has no splits")
    ending = next((e for e in reversed(ENDINGS) if path.name.lower().endswith(e)), None)
    if ending is None:
        raise BenchError(f"{path}: cannot read *{path.suffix}{nearest(path.suffix, ENDINGS)}")
    if ending == ".parquet":
        return _readable(path, _parquet(path))
    content = _content(path, ending)
    _must_be_text(path, content)
    match ending.removesuffix(".gz"):
        case ".json":
            return _readable(path, _json(path, content))
        case ".jsonl":
            return _readable(path, _jsonl(path, content))
        case ".csv":
            return _readable(path, _table(path, content, ","))
        case _:
            return _readable(path, _table(path, content, "\t"))


def read_lines(path: Path) -> list[tuple[int, list[str] | BadRow]]:
    """The fields of every line of a CSV file (or .gz of it) that may have no header. Raises as `read` does."""
    _must_exist(path)
    return list(_lines(path, _content(path, path.name.lower()), ","))


def read_hub(name: str, config: str | None, split: str | None) -> list[NumberedRow]:
    """All rows of one split (``train`` by default) of a hub data set, from the network or its cache."""
    import datasets

    try:
        data = datasets.load_dataset(name, config, split=split or "train")
    except Exception as error:  # the hub's client raises a dozen unrelated types; all mean the same to a person
        raise BenchError(f"hub data set {name!r} cannot be loaded: {error}") from error
    return _readable(name, enumerate(data, start=1))


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, over the names and digests of all its files."""
    _must_exist(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = "".join(f"{file.relative_to(path).as_posix()} {digest(file)}\n" for file in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error


def digest_of_rows(rows: Iterable[NumberedRow]) -> str:
    """SHA-256 of the rows themselves, for data that does not come from a file of ours."""
    hasher = hashlib.sha256()
    for _, row in rows:
        hasher.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\n")
    return hasher.hexdigest()


def _must_exist(path: Path) -> None:
    if path.is_file() or path.is_dir():
        return
    if path.exists():  # a device or a pipe may never end
        raise BenchError(f"{path}: is neither a file nor a folder")
    missing = path.absolute()
    while not missing.parent.exists():
        missing = missing.parent
    names = [entry.name for entry in missing.parent.iterdir()] if missing.parent.is_dir() else []
    # of a folder with hundreds of files only the similar names are of use
    near = nearest(missing.name, difflib.get_close_matches(missing.name, names, n=5, cutoff=0.3))
    raise BenchError(f"no such file or folder: {path}{near}")


def _readable(source: Path | str, rows: Iterable[NumberedRow]) -> list[NumberedRow]:
    """The rows, if there is at least one that can be read at all."""
    numbered = list(rows)
    if not numbered:
        raise BenchError(f"{source}: holds no rows")
    if all(isinstance(row, BadRow) for _, row in numbered):
        number, reason = numbered[0]
        raise BenchError(
            f"{source}: is not what its ending says: not one row can be read (line or row {number}: {reason})"
        )
    return numbered


def _content(path: Path, ending: str) -> bytes:
    try:
        if ending.endswith(".gz"):
            with gzip.open(path) as file:
                content = file.read(_most_content(path) + 1)
            _must_fit(path, len(content))
            return content
        return path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BenchError(f"{path}: is not what its ending says, or is damaged: {error}") from error
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error


_FOREIGN = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: run `git lfs pull`",
    b"<!doctype html": "a web page, not the file that it shows",
    b"<html": "a web page, not the file that it shows",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x1f\x8b": "packed by gzip: name it .gz, behind its own ending",
    b"PAR1": "a Parquet file: name it .parquet",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
}
"""What files of text are mistaken for, by how they begin (in lower case)."""


def _must_be_text(path: Path, content: bytes) -> None:
    start = content[:200].lstrip()
    for beginning, what in _FOREIGN.items():
        if start.startswith(beginning) or start.lower().startswith(beginning):
            raise BenchError(f"{path}: is {what}")


def _most_content(path: Path) -> int:
    return max(SMALL, LARGEST_RATIO * path.stat().st_size)


def _must_fit(path: Path, size: int) -> None:
    if size > (most := _most_content(path)):
        mega = f"{path.stat().st_size / 1e6:,.1f} MB hold more than {most / 1e6:,.0f} MB"
        raise BenchError(f"{path}: {mega}: no texts are compressed so far; if they are yours, give the file unpacked")


def _json(path: Path, content: bytes) -> Iterator[NumberedRow]:
    try:
        rows = json.loads(content.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise BenchError(f"{path}: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        hint = " — one object per line? then name it .jsonl" if error.msg == "Extra data" else ""
        where = f"line {error.lineno} column {error.colno}"
        raise BenchError(f"{path}: not JSON: {error.msg} at {where}{hint}") from error
    except (ValueError, RecursionError) as error:  # absurdly long numbers, absurdly deep nesting
        raise BenchError(f"{path}: not JSON that can be read: {error}") from error
    if not isinstance(rows, list):
        raise BenchError(f"{path}: expected a list of objects, found one {type(rows).__name__}")
    for number, row in enumerate(rows, start=1):
        yield (
            number,
            row if isinstance(row, dict) else _no_object(row),
        )


def _no_object(row: Any) -> BadRow:
    return BadRow(f"a {type(row).__name__}, not an object with named columns")


def _jsonl(path: Path, content: bytes) -> Iterator[NumberedRow]:
    if content.lstrip().startswith(b"["):
        raise BenchError(f"{path}: is not what its ending says: a list, not one object per line; name it .json")
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
        except UnicodeDecodeError:
            yield number, BadRow("not UTF-8")
        except (ValueError, RecursionError):
            yield number, BadRow("unparsable")
        else:
            yield (
                number,
                row if isinstance(row, dict) else _no_object(row),
            )


def _table(path: Path, content: bytes, delimiter: str) -> Iterator[NumberedRow]:
    header: list[str] | None = None
    for line, fields in _lines(path, content, delimiter):
        if header is None:
            if isinstance(fields, BadRow):
                raise BenchError(f"{path}: line {line}, the header, is {fields}")
            header = fields
        elif isinstance(fields, BadRow):
            yield line, fields
        elif len(fields) != len(header):
            yield line, BadRow("unparsable")
        else:
            yield line, dict(zip(header, fields, strict=True))


def _lines(path: Path, content: bytes, delimiter: str) -> Iterator[tuple[int, list[str] | BadRow]]:
    csv.field_size_limit(sys.maxsize)  # by default a field of 128 KiB is an error
    # bytes that are not UTF-8 pass through as surrogates, so that one bad line does not spoil the file
    text = content.decode(errors="surrogateescape").removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first = True
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if first or "unexpected end of data" in str(error):  # it would swallow the rest of the file
                raise BenchError(f"{path}: line {line}: {error} (a quote that is never closed?)") from error
            yield line, BadRow("unparsable")
            continue
        if not fields:
            continue
        first = False
        yield line, fields if is_utf8("".join(fields)) else BadRow("not UTF-8")


def is_utf8(text: str) -> bool:
    """Can `text` be written as UTF-8? Not with lone surrogates: undecodable bytes, half an escape in JSON."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet(path: Path) -> Iterator[NumberedRow]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    batches, size = [], 0
    try:
        with ParquetFile(path) as file:
            groups = file.metadata
            _must_fit(path, sum(groups.row_group(i).total_byte_size for i in range(groups.num_row_groups)))
            for batch in file.iter_batches(batch_size=1024):  # what is written once may stand in every row
                _must_fit(path, size := size + batch.nbytes)
                batches.append(batch)
    except (pyarrow.ArrowException, OSError) as error:
        raise BenchError(f"{path}: is not what its ending says, or is damaged: {error}") from error
    for number, row in enumerate((batch.slice(i, 1) for batch in batches for i in range(batch.num_rows)), start=1):
        try:
            yield number, row.to_pylist()[0]
        except UnicodeDecodeError:
            yield number, BadRow("not UTF-8")


def _folder(path: Path, split: str | None) -> Iterator[NumberedRow]:
    import datasets

    try:
        data = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(f"{path}: is not a folder saved by `datasets`: {error}") from error
    if isinstance(data, datasets.DatasetDict):
        name = split or "train"
        if name not in data:
            raise BenchError(f"{path}: no split {name!r}{nearest(name, map(str, data))}")
        data = data[name]
    elif split is not None:
        raise BenchError(f"{path}: holds one data set without splits, so `split` must be left out")
    yield from enumerate(data, start=1)
