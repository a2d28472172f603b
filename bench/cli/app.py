"""The application that commands are added to, and the arguments that several of them take."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import shell_completion
from bench.cli.last_net import in_one_line
from bench.contracts.escaping import visible

if TYPE_CHECKING:
    from bench.records.loading import RunFrames

app = typer.Typer(
    help="Alignment methods side by side: which method, at what price?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="A folder of records, e.g. results/quickstart.", autocompletion=shell_completion.runs
    ),
]
MatrixArgument = Annotated[
    str,
    typer.Argument(
        metavar="MATRIX",
        help="A matrix file (YAML) or a built-in one, e.g. quickstart.",
        autocompletion=shell_completion.matrices,
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="A Python file, or a folder of them, with methods, tasks, judges or measures; repeatable.",
    ),
]
StoreFolder = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Folder for artifacts. Default: $BENCH_STORE or results/.store."),
]


@contextmanager
def resumable() -> Iterator[None]:
    """A command that carries on where it was stopped: Ctrl-C says so, and ends it with exit status 130.

    So does a disk that is full (1).
    """
    try:
        yield
    except KeyboardInterrupt:
        print("\nbench: stopped; the same command carries on where this one ended", file=sys.stderr)
        raise typer.Exit(130) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        print(f"bench: {in_one_line(error)[0]}; the same command carries on where this one ended", file=sys.stderr)
        raise typer.Exit(1) from None


def print_table(frames: RunFrames) -> list[Path]:
    """Print a run's table and write it beside the records; the files."""
    from bench.analysis.tables.main_table import print_main_table, write_main_table

    print_main_table(frames)
    return write_main_table(frames, frames.directory / "tables")


def say_state(frames: RunFrames) -> None:
    """Tell on standard error what a run lacks, where no table says it."""
    from bench.analysis.tables.main_table_notes import state_notes

    for line in state_notes(frames):
        print(visible(f"{frames.directory}: {line}"), file=sys.stderr)


def short(path: Path) -> str:
    """A path as people read it: from the working folder where it lies in it."""
    path = path.absolute()
    return visible(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path), one_line=True)
