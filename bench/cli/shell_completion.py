"""What the shell offers where a command wants a name, a matrix, a run or an arm; a mistake offers nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

from bench.contracts.errors import BenchError
from bench.records.files import RUN_FILE

Offer = tuple[str, str]
"""A word, and a line about it (shown where the shell can)."""


def names(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Whatever `bench describe` knows, plug-ins of the command line included."""
    return _entries(ctx, incomplete, None)


def judges(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Judges, plug-ins of the command line included."""
    return _entries(ctx, incomplete, "judge")


def measures(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Measures."""
    return _entries(ctx, incomplete, "measure")


def matrices(incomplete: str) -> list[Offer]:
    """Built-in matrices, and YAML files."""
    from bench.matrix.reading import builtin_matrices

    files = [(str(path), "") for path in _beside(incomplete) if path.suffix in (".yaml", ".yml")]
    return _starting(incomplete, [*builtin_matrices().items(), *files, *_folders(incomplete)])


def runs(incomplete: str) -> list[Offer]:
    """Folders of records: those under ``results``, and those in the folder that is being written."""
    found = [path for path in [*Path("results").glob("*"), *_beside(incomplete)] if (path / RUN_FILE).is_file()]
    return _starting(incomplete, [*((str(path), "") for path in dict.fromkeys(found)), *_folders(incomplete)])


def arms(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """The arms of the run that the command line names."""
    # behind an option that still wants its value, the parser leaves the run among what it could not place
    files = [Path(word) / RUN_FILE for word in (ctx.params.get("run") or "", *ctx.args)]
    try:
        arms = json.loads(next(file for file in files if file.is_file()).read_bytes())["methods"]
    except (StopIteration, KeyError, ValueError, OSError):
        return []
    return _starting(incomplete, ((label, settings["method"]) for label, settings in arms.items()))


def _entries(ctx: typer.Context, incomplete: str, kind: str | None) -> list[Offer]:
    from bench.catalogue.entries import entries

    try:
        known = entries(map(Path, ctx.params.get("plugin") or ()))
    except BenchError:
        return []
    return _starting(incomplete, ((each.name, each.summary) for each in known if kind in (None, each.kind)))


def _starting(incomplete: str, offers: Iterable[Offer]) -> list[Offer]:
    return [(word, line) for word, line in dict(offers).items() if word.startswith(incomplete)]


def _beside(incomplete: str) -> Iterator[Path]:
    """What lies in the folder that `incomplete` begins with."""
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    return (path for path in sorted(folder.glob("*")) if not path.name.startswith("."))


def _folders(incomplete: str) -> Iterator[Offer]:
    return ((f"{path}/", "") for path in _beside(incomplete) if path.is_dir() and not (path / RUN_FILE).is_file())
