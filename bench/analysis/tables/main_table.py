"""The main table: one row per arm, one column per measure."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from bench.analysis.curves.paths import by_cell
from bench.analysis.interval import Interval
from bench.analysis.layout import Section, print_sections, write_sections
from bench.analysis.statistics import iqm_intervals, mean_intervals
from bench.analysis.tables.best import NOTE as BEST
from bench.analysis.tables.best import best_arms
from bench.analysis.tables.doubts import MARK, doubted
from bench.analysis.tables.main_table_notes import main_table_notes, state_notes
from bench.analysis.tables.sections import measure_header
from bench.analysis.winrates.against_reference import win_rate_interval, win_rates_of_prompts
from bench.contracts.measure import MeasureInfo
from bench.measures.calibration import ECE
from bench.measures.registry import MEASURES
from bench.records.loading import RunFrames

ARROWS = {"higher": " ↑", "lower": " ↓", "zero": " → 0", None: ""}
SHOWN = ("proxy", "gold", "kl", "perplexity_reference", "perplexity_samples", *ECE, "win_rate")
"""The built-in measures that have a column, in the registry's order; one of a plug-in has one always."""
FEW = 6
"""As many arms are named that have a measure in fewer cells."""
JUDGE = "judge: held-out reward model ↑"
"""The column of a task without a gold reward."""


@functools.lru_cache(maxsize=1)  # printed, and written in several formats
def summarise(run: RunFrames) -> pd.DataFrame:
    """One row per task, model, arm and measure: `mean`, `low`, `high` (95 %), `iqm`, `iqm_low`, `iqm_high`, `n`.

    Only cells with status ok count; `n` is how many of them have the measure. The interval is Student's t over
    seeds, for `win_rate` the two-level bootstrap over seeds and prompts; NaN for one seed. `iqm` is the interquartile
    mean, its interval a bootstrap's. `cost_seconds` is treated as a measure, too, and so is each part of gold.
    """
    others = [str(name) for name in run.records if name not in run.measures]
    parts = [name for name in others if name.removeprefix("reference_").startswith("gold_")]
    records = run.records.assign(hypervolume=by_cell(run).reindex(run.records["cell"]).to_numpy())
    measures = [name for name in (*run.measures, *parts, "cost_seconds") if name in records]
    table = records[measures].where(records["status"] == "ok").to_numpy(float)
    keys: list[dict[str, object]] = []
    samples: list[np.ndarray] = []
    win_rates: dict[int, Interval] = {}
    of_cells = records[["cell", "seed", "status", *(["win_rate"] if "win_rate" in records else [])]]
    for task, model, arm, cells in _arms(run):
        own = table[cells.index]
        for column in np.flatnonzero(~np.isnan(own).all(0)):
            keys.append({"task": task, "model": model, "arm": arm, "measure": measures[column]})
            samples.append(own[:, column])
            if measures[column] == "win_rate" and win_rates_of_prompts(run):
                win_rates[len(samples) - 1] = win_rate_interval(run, of_cells.loc[cells.index])
    means = [win_rates.get(i, x) for i, x in enumerate(mean_intervals(samples))]
    rows = [
        key | iqm.columns("iqm", "iqm_") | mean.columns()
        for key, mean, iqm in zip(keys, means, iqm_intervals(samples), strict=True)
    ]
    names = ["task", "model", "arm", "measure", "mean", "low", "high", "iqm", "iqm_low", "iqm_high", "n"]
    return pd.DataFrame(rows, columns=names)


def main_table(run: RunFrames) -> pd.DataFrame:
    """The table as people read it: texts, one row per task, model and arm.

    A column that has no value anywhere is left out; `main_table_notes` says why.
    """
    intervals = {
        (row["task"], row["model"], row["arm"], row["measure"]): Interval.from_columns(row)
        for row in summarise(run).to_dict("records")
    }
    shown = _shown(run)
    in_doubt = {(task, model): doubted(cells) for task, model, cells in run.groups()}
    with_gold = {task for task, _, _, measure in intervals if measure == "gold"}
    rows = []
    for task, model, arm, cells in _arms(run):
        own = {key[3]: value for key, value in intervals.items() if key[:3] == (task, model, arm)}
        count = Counter(cells["status"])
        text = {name: value.text(count["ok"]) for name, value in own.items()}
        row = {"task": task, "model": model, "arm": arm}
        for measure in shown:
            if measure == "gold" and task not in with_gold:
                row[JUDGE] = text.get("judge", "")
            else:
                row[_header(shown[measure])] = text.get(measure, "")
        if "kl" not in text and "kl_bound" in text:
            row[_header(shown["kl"])] = f"≤ {text['kl_bound']}"
        shares = [own[name].mean for name in ("win", "tie", "loss") if name in own]
        row["win / tie / loss, %"] = " / ".join(f"{100 * share:.0f}" for share in shares)
        mark = f" {MARK}" if arm in in_doubt[task, model] else ""
        row["seeds ok"] = f"{count['ok']}/{len(cells)}{mark}"
        row["not ok"] = ", ".join(f"{n} {status}" for status, n in sorted(count.items()) if status != "ok")
        row["seconds"] = text.get("cost_seconds", "")
        rows.append(row)
    frame = pd.DataFrame(rows, columns=None if rows else ["task", "model", "arm"]).fillna("")
    return frame.loc[:, (frame != "").any()] if rows else frame


def print_main_table(run: RunFrames, console: Console | None = None) -> None:
    """Print one table per task and model with its notes; columns that do not fit go into a further block."""
    print_sections(main_sections(run), console, state_notes(run), style="yellow")


def write_main_table(run: RunFrames, directory: str | Path) -> list[Path]:
    """Write ``table.md``, ``.tex`` (booktabs), ``.html``, and ``table.csv`` (`summarise`: plain numbers)."""
    return write_sections(directory, "table", main_sections(run), {"table": summarise(run)}, state_notes(run))


@functools.lru_cache(maxsize=1)  # printed, and written in several formats
def main_sections(run: RunFrames) -> list[Section]:
    """One table per task and model, its best arms marked, with its notes."""
    all_tasks = main_table(run)
    headers = {_header(info): measure for measure, info in _shown(run).items()} | {JUDGE: "judge"}
    sections = []
    for task, model, cells in run.groups():
        frame = all_tasks[(all_tasks["task"] == task) & (all_tasks["model"] == model)].drop(columns=["task", "model"])
        frame = frame.loc[:, (frame != "").any()]
        best = {name: best_arms(cells, headers[name], run.measures) for name in frame if name in headers}
        marks = [(arm, name) for name, arms in best.items() for arm in arms]
        notes = [*main_table_notes(run, task, model), *_fewer(run, task, model), *([BEST] if marks else [])]
        sections.append(Section(f"{task} · {model}", frame, notes, marks))
    return sections


def _fewer(run: RunFrames, task: str, model: str) -> Iterator[str]:
    """Which arms have a shown measure in fewer cells than ended well."""
    table = summarise(run)
    here = table[(table["task"] == task) & (table["model"] == model) & table["measure"].isin(list(_shown(run)))]
    cells = run.records[(run.records["task"] == task) & (run.records["model"] == model)]
    ended = cells[cells["status"] == "ok"]["arm"].value_counts()
    few = here.assign(ended=here["arm"].map(ended))
    few = few[few["n"] < few["ended"]]
    if len(few):
        told = [f"{row.measure} of {row.arm} {row.n} of {row.ended}" for row in few.head(FEW).itertuples()]
        more = f", and {len(few) - FEW} more" if len(few) > FEW else ""
        yield f"(n=…): not every cell has the measure (it is not finite there, or not known): {', '.join(told)}{more}."


def _arms(run: RunFrames) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    for task, model, records in run.groups():
        for arm, cells in records.groupby("arm", sort=False):
            yield task, model, str(arm), cells


def _shown(run: RunFrames) -> dict[str, MeasureInfo]:
    """The measures that have a column, those of plug-ins last; of several ECEs the first that the run has."""
    further = [name for name in ECE if name in run.records and run.records[name].notna().any()][1:]
    shown = {name: info for name, info in run.measures.items() if name in SHOWN or name not in MEASURES}
    return {name: info for name, info in shown.items() if name not in further}


def _header(info: MeasureInfo) -> str:
    return measure_header(info) + ARROWS[info.better]
