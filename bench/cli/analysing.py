"""Commands that read a run's records and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import shell_completion
from bench.cli.app import RunArgument, app, print_table, say_state, short
from bench.contracts.errors import BenchError


@app.command()
def table(
    run: RunArgument,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="ARM",
            help="Arm to hold the others against. Default: sft, if it is there.",
            autocompletion=shell_completion.arms,
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
    from bench.analysis.tables.ablation import DEFAULT, ablations, write_ablations
    from bench.analysis.tables.cost import write_costs
    from bench.analysis.tables.equivalence import equivalences, parse_margins, write_equivalences
    from bench.analysis.tables.paired import write_paired
    from bench.analysis.tables.paired_cells import held_against
    from bench.analysis.winrates.pairs import contestants
    from bench.analysis.winrates.table import render_win_rates, write_win_rates
    from bench.records.loading import load_run

    frames = load_run(run)
    margins = parse_margins(margin or ())
    contestants(frames, between or ())  # a mistake is told before anything is printed
    if against:
        next(held_against(frames, against), None)
    if margins:
        equivalences(frames, against or "sft", margins)
    if ablation and ablations(frames, ablation).empty:
        raise BenchError(f"--ablation: no arm differs from {ablation!r} in one hyper-parameter alone")
    arms = set(frames.records["arm"])
    files = [*print_table(frames), *write_costs(frames, run / "tables")]
    if against or "sft" in arms:
        files += write_paired(frames, against or "sft", run / "tables")
    if margins:
        files += write_equivalences(frames, against or "sft", margins, run / "tables")
    if ablation or DEFAULT in arms:
        files += write_ablations(frames, ablation or DEFAULT, run / "tables")
    render_win_rates(frames, arms=between or ())
    for file in [*files, *write_win_rates(frames, run / "tables", between or ())]:
        print(f"wrote {short(file)}")


@app.command()
def claims(
    run: RunArgument,
    file: Annotated[
        Path | None,
        typer.Option(
            "--claims", metavar="FILE", help="Claims to test, or a built-in name. Default: those that the run has."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Put these claims in the place of the run's own, and say so in its tables.")
    ] = False,
    show: Annotated[
        list[int] | None, typer.Option(metavar="ID", help="Print all that is behind this claim; repeatable.")
    ] = None,
) -> None:
    """Print the verdict on every claim that a run tests, with effect and interval, and write the table.

    A run keeps its claims as they stood when it began: what is changed later is no prediction any more. Records that
    are read again with other tests (--claims FILE --keep) have the later claims, which the table says, and the first.
    """
    from bench.analysis.claims.table import judged, print_details, render_claims, write_claims
    from bench.matrix.cells import CLAIMS
    from bench.records.claims import write_anew
    from bench.records.loading import load_run

    if file is not None and not file.is_file():
        file = {built_in.stem: built_in for built_in in CLAIMS.glob("*.yaml")}.get(str(file), file)
    if keep:
        if file is None:
            raise BenchError("--keep: needs --claims, the file whose claims are to be kept")
        write_anew(file, run)
    frames = load_run(run)
    verdicts = judged(frames, None if keep else file)
    if show:
        print_details(verdicts, show)
        return
    render_claims(verdicts, frames)
    for written in write_claims(verdicts, frames, run / "tables"):
        print(f"wrote {short(written)}")


@app.command()
def plot(
    run: RunArgument,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARM",
            help="Draw these arms; repeatable. Default: all, or ten that differ.",
            autocompletion=shell_completion.arms,
        ),
    ] = None,
) -> None:
    """Draw a run's plots as PNG and SVG files beside the records."""
    from bench.analysis.plots import draw_all
    from bench.records.loading import load_run

    frames = load_run(run)
    say_state(frames)
    for file in draw_all(frames, run / "plots", arms):
        print(f"drew {short(file)}")


@app.command()
def report(run: RunArgument) -> None:
    """Write a run's summary, tables, plots and samples as one HTML page beside the records.

    The page needs no network and no other file: it can be sent or archived as it is.
    """
    from bench.analysis.claims.table import as_frame, judged
    from bench.analysis.report.page import write_report
    from bench.records.loading import load_run

    frames = load_run(run)
    print(f"wrote {short(write_report(frames, run / 'report.html', as_frame(judged(frames))))}")


@app.command()
def diff(
    first: Annotated[
        Path, typer.Argument(metavar="RUN", help="A folder of records: before.", autocompletion=shell_completion.runs)
    ],
    second: Annotated[
        Path, typer.Argument(metavar="RUN", help="Another one: after.", autocompletion=shell_completion.runs)
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the table there, with all that was tested as CSV.")
    ] = None,
) -> None:
    """Say what moved between two runs beyond noise, and which settings, versions and commits were changed.

    Cells are matched by task, model, arm and seed. Exit status 0, whatever has moved.
    """
    from bench.analysis.tables.diff import write_diff
    from bench.records.loading import load_run

    runs = load_run(first), load_run(second)
    for frames in runs:
        say_state(frames)
    for file in write_diff(*runs, out):
        print(f"wrote {short(file)}")


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
    from bench.records.packing import pack as pack_run

    for file in pack_run(run, texts, keep):
        print(f"wrote {short(file)} ({file.stat().st_size / 1e6:.2f} MB)")
