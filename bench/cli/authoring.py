"""Commands for who writes a matrix or a plug-in: what there is, what it takes, whether it keeps its promises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import shell_completion
from bench.cli.app import Plugins, app


@app.command("list")
def list_all(plugin: Plugins = None) -> None:
    """Show methods, tasks, judges, measures and matrices, one line each."""
    from bench.catalogue import plugins
    from bench.catalogue.plugged_measures import plugged_measures
    from bench.matrix.reading import builtin_matrices
    from bench.measures.registry import MEASURES

    files = plugin or []
    sections = {
        "methods": {name: cls.summary() for name, cls in plugins.methods(files).items()},
        "tasks": {name: cls.summary() for name, cls in plugins.tasks(files).items()},
        "judges": {name: cls.summary() for name, cls in plugins.judges(files).items()},
        "measures": {name: measure.description for name, measure in MEASURES.items()}
        | {name: cls.summary() for name, cls in plugged_measures(files).items()},
        "matrices": builtin_matrices(),
    }
    for title, entries in sections.items():
        typer.secho(title, bold=True)
        width = max(map(len, entries), default=0)
        for name, line in entries.items():
            print(f"  {name:<{width}}  {line}")
    for file, error in plugins.broken(files).items():
        typer.secho(f"cannot be imported: {file}: {error}", fg="yellow", err=True)


@app.command()
def describe(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Of a method, task, judge, measure, or section of a matrix file.",
            autocompletion=shell_completion.names,
        ),
    ],
    plugin: Plugins = None,
) -> None:
    """Print what NAME is: settings, needs, search space, source, an example."""
    from rich.console import Console

    from bench.catalogue.describing import describe as text_of
    from bench.catalogue.entries import find

    console = Console()
    width = console.width if console.is_terminal else 120
    print("\n".join(text_of(entry, width) for entry in find(name, plugin or [])), end="")


@app.command()
def schema(plugin: Plugins = None) -> None:
    """Print the JSON schema of matrix files, for editors to complete them.

    Save it beside a matrix, and begin the matrix with: # yaml-language-server: $schema=matrix.schema.json
    """
    import json

    from bench.matrix.schema import matrix_schema

    print(json.dumps(matrix_schema(plugin or []), indent=2, ensure_ascii=False))


@app.command()
def measures(plugin: Plugins = None) -> None:
    """Print the page of all measures, as Markdown: definition, unit, direction and trap of each."""
    from bench.catalogue.plugged_measures import plugged_measures
    from bench.measures.page import page

    print(page(plugged_measures(plugin or []).values()), end="")


@app.command()
def new(
    kind: Annotated[str, typer.Argument(metavar="method|task|measure", help="What it is to be.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="In snake_case.")],
) -> None:
    """Write a working method, task or measure to NAME.py in this folder, and its test, to be changed into your own."""
    from bench.authoring.scaffold.from_template import next_steps, scaffold

    print(next_steps(scaffold(kind, name, Path.cwd())))


@app.command()
def check(
    target: Annotated[
        str,
        typer.Argument(metavar="NAME|FILE", help="A method, task, judge or measure, or a file: all that it defines."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of what is checked, e.g. steps=5; repeatable."),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Check that a method, task, judge or measure keeps its promises, on a tiny world; tell how to mend what is broken.

    A line per promise: ✓ kept, ✗ broken, – does not apply. Exit status: 0 all kept, 1 some broken, 2 a wrong argument.
    """
    from bench.authoring.checking.running import run_checks
    from bench.authoring.checking.subjects import find_subjects

    subjects = find_subjects(target, plugin or (), settings or ())
    if not run_checks(subjects):
        raise typer.Exit(1)
