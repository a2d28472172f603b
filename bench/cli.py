"""The command line, `bench …`: every command loads what it needs when it is called, so that help is quick."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import completing
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.analysis.loading import RunFrames

app = typer.Typer(
    help="Alignment methods side by side: which method, at what price?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

RunArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A folder of records, e.g. results/quickstart.", autocompletion=completing.runs),
]
MatrixArgument = Annotated[
    str,
    typer.Argument(
        metavar="MATRIX",
        help="A matrix file (YAML) or a built-in one, e.g. quickstart.",
        autocompletion=completing.matrices,
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


@app.command()
def run(
    matrix: MatrixArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the records. Default: results/<matrix>.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes; the results do not depend on it. Default: cores."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Run only cells whose task, model, arm, method or seed is VALUE; repeatable.",
        ),
    ] = None,
    plugin: Plugins = None,
    store: StoreFolder = None,
) -> None:
    """Run a matrix and print its table.

    What the store already has is not run again: after an interruption, or with one method changed, the same command
    carries on. Exit status: 0 all cells are in, 1 some failed, 2 the matrix or an argument is wrong.
    """
    from bench.analysis.loading import load_run
    from bench.progress import reporter_for
    from bench.runner import run as run_matrix
    from bench.runner.schedule import elapsed

    started = time.monotonic()
    reporter = reporter_for()
    try:
        done = run_matrix(matrix, out, jobs, only or (), store, plugin or (), reporter)
    except KeyboardInterrupt:
        print("\nbench: stopped; the same command carries on where this one ended", file=sys.stderr)
        raise typer.Exit(130) from None
    cells = ", ".join(f"{count} {status}" for status, count in sorted(done.counts.items()))
    complete = not done.built and not done.counts.get("failed")
    trained = "nothing to run: the store had everything" if complete else f"{done.built} stages run"
    print(f"\n{sum(done.counts.values())} cells ({cells}) in {elapsed(started)}; {trained}.\n")
    _print_table(load_run(done.directory))
    print(f"\nRecords: {_short(done.directory)}   Plots: bench plot {_short(done.directory)}")
    if done.counts.get("failed"):
        print(f"Failed cells: see their reasons above and the logs in {_short(done.directory / 'logs')}")
        raise typer.Exit(1)


@app.command("list")
def list_all(plugin: Plugins = None) -> None:
    """Show methods, tasks, judges, measures and matrices, one line each."""
    from bench import plugins
    from bench.matrix import builtin_matrices
    from bench.measures import MEASURES

    files = plugin or []
    sections = {
        "methods": {name: cls.summary() for name, cls in plugins.methods(files).items()},
        "tasks": {name: cls.summary() for name, cls in plugins.tasks(files).items()},
        "judges": {name: cls.summary() for name, cls in plugins.judges(files).items()},
        "measures": {name: measure.description for name, measure in MEASURES.items()}
        | {name: cls.summary() for name, cls in plugins.measures(files).items()},
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
            autocompletion=completing.names,
        ),
    ],
    plugin: Plugins = None,
) -> None:
    """Print what NAME is: settings, needs, search space, source, an example."""
    from rich.console import Console

    from bench.describing import describe as text_of
    from bench.describing import find

    console = Console()
    width = console.width if console.is_terminal else 120
    print("\n".join(text_of(entry, width) for entry in find(name, plugin or [])), end="")


@app.command()
def schema(plugin: Plugins = None) -> None:
    """Print the JSON schema of matrix files, for editors to complete them.

    Save it beside a matrix, and begin the matrix with: # yaml-language-server: $schema=matrix.schema.json
    """
    import json

    from bench.schema import matrix_schema

    print(json.dumps(matrix_schema(plugin or []), indent=2, ensure_ascii=False))


@app.command()
def report(run: RunArgument) -> None:
    """Write a run's summary, tables, plots and samples as one HTML page beside the records.

    The page needs no network and no other file: it can be sent or archived as it is.
    """
    from bench.analysis.claims import verdicts
    from bench.analysis.loading import load_run
    from bench.analysis.report import write_report

    frames = load_run(run)
    print(f"wrote {_short(write_report(frames, run / 'report.html', verdicts(frames)))}")


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
    from bench.checking.running import find_subjects, run_checks

    found = find_subjects(target, plugin or (), settings or ())
    if not run_checks(found):
        raise typer.Exit(1)


@app.command()
def new(
    kind: Annotated[str, typer.Argument(metavar="method|task|measure", help="What it is to be.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="In snake_case.")],
) -> None:
    """Write a working method, task or measure to NAME.py in this folder, and its test, to be changed into your own."""
    from bench.scaffold import next_steps, scaffold

    print(next_steps(scaffold(kind, name, Path.cwd())))


@app.command()
def measures(plugin: Plugins = None) -> None:
    """Print the page of all measures, as Markdown: definition, unit, direction and trap of each."""
    from bench import plugins
    from bench.measures.page import page

    print(page(plugins.measures(plugin or []).values()), end="")


@app.command()
def table(
    run: RunArgument,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="ARM",
            help="Arm to hold the others against. Default: sft, if it is there.",
            autocompletion=completing.arms,
        ),
    ] = None,
    margin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MEASURE=NUMBER",
            help="Also test which arms are equivalent to that arm, to within NUMBER in the measure's unit; repeatable.",
        ),
    ] = None,
    between: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM", help="Win rates between these arms; repeatable. Default: all, or 12 at most."),
    ] = None,
    ablation: Annotated[
        str | None,
        typer.Option(metavar="ARM", help="Arm that others change one setting of. Default: ppo_max, if it is there."),
    ] = None,
) -> None:
    """Print a run's table, paired differences, ablations and win rates; write them, and costs, beside the records."""
    from bench.analysis.ablation import DEFAULT, ablations, write_ablations
    from bench.analysis.comparisons import contestants
    from bench.analysis.cost import write_costs
    from bench.analysis.equivalence import equivalences, parse_margins, write_equivalences
    from bench.analysis.loading import load_run
    from bench.analysis.paired import write_paired
    from bench.analysis.winrate_tables import render_win_rates, write_win_rates

    frames = load_run(run)
    margins = parse_margins(margin or ())
    contestants(frames, between or ())  # a mistake is told before anything is printed
    if margins:
        equivalences(frames, against or "sft", margins)
    if ablation and ablations(frames, ablation).empty:
        raise BenchError(f"--ablation: no arm differs from {ablation!r} in one hyper-parameter alone")
    arms = set(frames.records["arm"])
    files = [*_print_table(frames), *write_costs(frames, run / "tables")]
    if against or "sft" in arms:
        files += write_paired(frames, against or "sft", run / "tables")
    if margins:
        files += write_equivalences(frames, against or "sft", margins, run / "tables")
    if ablation or DEFAULT in arms:
        files += write_ablations(frames, ablation or DEFAULT, run / "tables")
    render_win_rates(frames, arms=between or ())
    for file in [*files, *write_win_rates(frames, run / "tables", between or ())]:
        print(f"wrote {_short(file)}")


@app.command()
def claims(
    run: RunArgument,
    file: Annotated[
        Path | None,
        typer.Option("--claims", metavar="FILE", help="Claims to test. Default: those that the run began with."),
    ] = None,
    show: Annotated[
        list[int] | None, typer.Option(metavar="ID", help="Print all that is behind this claim; repeatable.")
    ] = None,
) -> None:
    """Print the verdict on every claim that a run tests, with effect and interval, and write the table.

    A run keeps its claims as they stood when it began: what is changed later is no prediction any more.
    """
    from bench.analysis.claims.table import judged, print_details, render_claims, write_claims
    from bench.analysis.loading import load_run

    frames = load_run(run)
    found = judged(frames, file)
    if show:
        print_details(found, show)
        return
    render_claims(found, frames)
    for written in write_claims(found, frames, run / "tables"):
        print(f"wrote {_short(written)}")


@app.command()
def judge(
    run: RunArgument,
    judge: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="gold, reward_model, chat, or a plug-in's own.", autocompletion=completing.judges
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the judge, e.g. url=http://localhost:8000/v1."),
    ] = None,
    plugin: Plugins = None,
    store: StoreFolder = None,
) -> None:
    """Have a judge compare every two arms of a run, and each with π0, on the same prompts; print the win rates.

    What a judge answered is kept in the store and not asked again.
    """
    from bench.analysis.loading import load_run
    from bench.analysis.winrate_tables import render_win_rates
    from bench.judging import describe, judge_run, make_judge
    from bench.progress import PlainReporter
    from bench.runner import store_at

    chosen = make_judge(judge, settings or (), plugin or ())
    reporter, label = PlainReporter(), f"judge {describe(chosen)}"
    reporter.stage_started(label)
    try:
        judge_run(run, chosen, store_at(store), lambda done, total: reporter.stage_progress(label, done, total))
    except KeyboardInterrupt:
        print("\nbench: stopped; the same command carries on where this one ended", file=sys.stderr)
        raise typer.Exit(130) from None
    render_win_rates(load_run(run))
    print(f"wrote {_short(run / 'comparisons.parquet')}")


@app.command()
def plot(
    run: RunArgument,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARM",
            help="Draw these arms; repeatable. Default: all, or ten that differ.",
            autocompletion=completing.arms,
        ),
    ] = None,
) -> None:
    """Draw a run's plots as PNG and SVG files beside the records."""
    from bench.analysis.loading import load_run
    from bench.analysis.plots import draw_all

    for file in draw_all(load_run(run), run / "plots", arms):
        print(f"drew {_short(file)}")


@app.command()
def pack(
    run: RunArgument,
    texts: Annotated[
        int, typer.Option(metavar="N", min=0, help="Keep the texts of the first 16 prompts, of so many seeds.")
    ] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder `cells` where it is.")] = False,
) -> None:
    """Turn a run's folder of cells into a few small files that can be committed.

    Tables, plots and `bench run` take a packed run as it is; new cells lie beside it until it is packed again. Dropped
    are most texts, the probes (their reliability diagram stays), and digits beyond single precision.
    """
    from bench.analysis.packing import pack as pack_run

    for file in pack_run(run, texts, keep):
        print(f"wrote {_short(file)} ({file.stat().st_size / 1e6:.2f} MB)")


@app.command()
def diff(
    first: Annotated[
        Path, typer.Argument(metavar="RUN", help="A folder of records: before.", autocompletion=completing.runs)
    ],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another one: after.", autocompletion=completing.runs)],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the table there, with all that was tested as CSV.")
    ] = None,
) -> None:
    """Say what moved between two runs beyond noise, and which settings, versions and commits were changed.

    Cells are matched by task, model, arm and seed. Exit status 0, whatever has moved.
    """
    from bench.analysis.diff import write_diff
    from bench.analysis.loading import load_run

    for file in write_diff(load_run(first), load_run(second), out):
        print(f"wrote {_short(file)}")


@app.command()
def tune(
    matrix: MatrixArgument,
    trials: Annotated[int, typer.Option(metavar="N", help="For every arm alike; the first has its defaults.")] = 12,
    seeds: Annotated[
        int, typer.Option(metavar="N", help="How many tuning seeds: 1000, 1001, … without the matrix's own.")
    ] = 2,
    measure: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What to improve, see `bench measures`. Default: gold, or judge without it.",
            autocompletion=completing.measures,
        ),
    ] = None,
    max_kl: Annotated[
        float | None, typer.Option(metavar="NATS", help="Choose among trials with at most so much KL to π0.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the proposals: same seed, same trials.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the search. Default: results/<matrix>-tuned.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", help="Processes; the choice does not depend on it. Default: cores.")
    ] = None,
    plugin: Plugins = None,
    store: StoreFolder = None,
) -> None:
    """Tune every arm of a matrix with the same number of trials, on seeds that its results do not use.

    What the matrix sets stays as it is set; the rest of each method's search space is tuned, by Optuna's TPE. A trial
    that diverges or fails counts as the worst. Writes <matrix>-tuned.yaml, which `bench run` takes, and all trials as
    search.csv. After an interruption the same command carries on; with more --trials it goes on searching.
    """
    from bench.progress import reporter_for
    from bench.runner import read_matrix
    from bench.runner.schedule import elapsed
    from bench.tuning import tune as tune_matrix
    from bench.tuning import tuned_directory
    from bench.tuning.writing import print_search, write_search

    started = time.monotonic()
    read = read_matrix(matrix, plugin or ())
    folder = out or tuned_directory(read)
    try:
        tuned = tune_matrix(read, folder, trials, seeds, measure, max_kl, seed, jobs, store, (), reporter_for)
    except KeyboardInterrupt:
        print("\nbench: stopped; the same command carries on where this one ended", file=sys.stderr)
        raise typer.Exit(130) from None
    print(f"\n{trials} trials per arm in {elapsed(started)}.\n")
    print_search(tuned)
    chosen, *records = write_search(tuned, folder)
    print(f"\nAll trials: {', '.join(str(_short(file)) for file in records)}   Results: bench run {_short(chosen)}")


def _print_table(frames: RunFrames) -> list[Path]:
    from bench.analysis.tables import render_terminal, write_tables

    render_terminal(frames)
    return write_tables(frames, frames.directory / "tables")


def _short(path: Path) -> Path:
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def main() -> None:
    """Entry point: mistakes become one message and exit status 2."""
    try:
        app()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
