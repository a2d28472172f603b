"""Commands that compute: `run`, `tune` and `judge`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import shell_completion
from bench.cli.app import MatrixArgument, Plugins, RunArgument, StoreFolder, app, print_table, resumable, short


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
    from bench.records.loading import load_run
    from bench.running.progress import elapsed, reporter_for
    from bench.running.run import run as run_matrix

    started = time.monotonic()
    reporter = reporter_for()
    with resumable():
        finished = run_matrix(matrix, out, jobs, only or (), store, plugin or (), reporter)
    counts, folder = finished.counts, finished.directory
    cells = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    complete = not finished.built and not counts.get("failed")
    trained = "nothing to run: the store had everything" if complete else f"{finished.built} stages run"
    print(f"\n{sum(counts.values())} cells ({cells}) in {elapsed(started)}; {trained}.\n")
    print_table(load_run(folder))
    print(f"\nRecords: {short(folder)}   Plots: bench plot {short(folder)}")
    if counts.get("failed"):
        print(f"Failed cells: see their reasons above and the logs in {short(folder / 'logs')}")
        raise typer.Exit(1)


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
            autocompletion=shell_completion.measures,
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
    from bench.running.progress import elapsed, reporter_for
    from bench.running.run import read_matrix
    from bench.tuning.tune import tune as tune_matrix
    from bench.tuning.tune import tuned_directory
    from bench.tuning.writing import print_search, write_search

    started = time.monotonic()
    untuned = read_matrix(matrix, plugin or ())
    folder = out or tuned_directory(untuned)
    with resumable():
        tuned = tune_matrix(untuned, folder, trials, seeds, measure, max_kl, seed, jobs, store, (), reporter_for)
    print(f"\n{trials} trials per arm in {elapsed(started)}.\n")
    print_search(tuned)
    tuned_matrix, *trial_files = write_search(tuned, folder)
    files = ", ".join(short(file) for file in trial_files)
    print(f"\nAll trials: {files}   Results: bench run {short(tuned_matrix)}")


@app.command()
def judge(
    run: RunArgument,
    judge: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="gold, reward_model, chat, or a plug-in's own.", autocompletion=shell_completion.judges
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
    from bench.analysis.winrates.table import render_win_rates
    from bench.judging.asking import describe, judge_run, make_judge
    from bench.records.loading import load_run
    from bench.running.progress import PlainReporter
    from bench.running.run import store_at

    chosen = make_judge(judge, settings or (), plugin or ())
    reporter, label = PlainReporter(), f"judge {describe(chosen)}"
    reporter.stage_started(label)
    with resumable():
        judge_run(run, chosen, store_at(store), lambda done, total: reporter.stage_progress(label, done, total))
    render_win_rates(load_run(run))
    print(f"wrote {short(run / 'comparisons.parquet')}")
