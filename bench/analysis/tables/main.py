"""The main table: one row per arm, one column per measure."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from bench.analysis.curves.paths import by_cell
from bench.analysis.layout import Section, print_section, wide_console, write_sections
from bench.analysis.statistics import Interval, iqm_intervals, mean_interval, mean_intervals, two_level_bootstrap
from bench.analysis.tables.best import NOTE as BEST
from bench.analysis.tables.best import best_arms
from bench.contracts.measure import MeasureInfo
from bench.measures.registry import MEASURES
from bench.records.loading import RunFrames

ARROWS = {"higher": " ↑", "lower": " ↓", "zero": " → 0", None: ""}
COLUMNS = ("proxy", "gold", "kl", "perplexity_reference", "perplexity_samples", "ece_debiased", "win_rate")
JUDGE = "judge: held-out reward model ↑"
"""The column of a task without a gold reward."""
SHOWN_FAILURES = 8


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
    keys: list[tuple[str, str, str, str]] = []
    samples: list[np.ndarray] = []
    win_rates: dict[int, Interval] = {}
    of_cells = records[["cell", "seed", "status", *(["win_rate"] if "win_rate" in records else [])]]
    for task, model, arm, cells in _arms(run):
        own = table[cells.index]
        for column in np.flatnonzero(~np.isnan(own).all(0)):
            keys.append((task, model, arm, measures[column]))
            samples.append(own[:, column])
            if measures[column] == "win_rate" and _win_rates_of_prompts(run):
                win_rates[len(samples) - 1] = win_rate_interval(run, of_cells.loc[cells.index])
    means = [win_rates.get(i, x) for i, x in enumerate(mean_intervals(samples))]
    rows = [
        (*key, x.mean, x.low, x.high, iqm.mean, iqm.low, iqm.high, x.n)
        for key, x, iqm in zip(keys, means, iqm_intervals(samples), strict=True)
    ]
    names = ["task", "model", "arm", "measure", "mean", "low", "high", "iqm", "iqm_low", "iqm_high", "n"]
    return pd.DataFrame(rows, columns=names)


def win_rate_interval(run: RunFrames, cells: pd.DataFrame) -> Interval:
    """Win rate against π0 over the given cells of one arm, by bootstrap of seeds and prompts.

    Where their completions are not at hand, Student's t over the seeds' win rates.
    """
    by_cell = _win_rates_of_prompts(run)
    ok = cells[cells["status"] == "ok"]
    by_seed = {s: by_cell[cell] for s, cell in zip(ok["seed"], ok["cell"], strict=True) if cell in by_cell}
    return two_level_bootstrap(by_seed) if by_seed else mean_interval(ok["win_rate"])


@functools.lru_cache(maxsize=1)
def _win_rates_of_prompts(run: RunFrames) -> dict[Hashable, np.ndarray]:
    """Each cell's win rate on each prompt."""
    if "outcome" not in run.completions:
        return {}
    rows = run.completions[["cell", "prompt_id", "outcome"]].dropna(subset=["outcome"])
    score = rows["outcome"].map({"win": 1.0, "tie": 0.5, "loss": 0.0})
    by_prompt = score.groupby([rows["cell"], rows["prompt_id"]]).mean()
    return {cell: values.to_numpy() for cell, values in by_prompt.groupby(level=0)}


def main_table(run: RunFrames) -> pd.DataFrame:
    """The table as people read it: texts, one row per task, model and arm.

    A column that has no value anywhere is left out; `notes` says why.
    """
    intervals = {
        (task, model, arm, measure): Interval(mean, low, high, n)
        for task, model, arm, measure, mean, low, high, _, _, _, n in summarise(run).to_numpy().tolist()
    }
    shown = _shown(run)
    with_gold = {task for task, _, _, measure in intervals if measure == "gold"}
    rows = []
    for task, model, arm, cells in _arms(run):
        mine = {key[3]: value for key, value in intervals.items() if key[:3] == (task, model, arm)}
        count = Counter(cells["status"])
        text = {name: interval_text(value, count["ok"]) for name, value in mine.items()}
        row = {"task": task, "model": model, "arm": arm}
        for measure in shown:
            if measure == "gold" and task not in with_gold:
                row[JUDGE] = text.get("judge", "")
            else:
                row[_header(shown[measure])] = text.get(measure, "")
        if "kl" not in text and "kl_bound" in text:
            row[_header(shown["kl"])] = f"≤ {text['kl_bound']}"
        shares = [mine[name].mean for name in ("win", "tie", "loss") if name in mine]
        row["win / tie / loss, %"] = " / ".join(f"{100 * share:.0f}" for share in shares)
        row["seeds ok"] = f"{count['ok']}/{len(cells)}"
        row["not ok"] = ", ".join(f"{n} {status}" for status, n in sorted(count.items()) if status != "ok")
        row["seconds"] = text.get("cost_seconds", "")
        rows.append(row)
    frame = pd.DataFrame(rows, columns=None if rows else ["task", "model", "arm"]).fillna("")
    return frame.loc[:, (frame != "").any()] if rows else frame


def notes(run: RunFrames, task: str, model: str) -> list[str]:
    """What the reader of the table for `task` and `model` has to know, one line each."""
    cells = run.records[(run.records["task"] == task) & (run.records["model"] == model)]
    ok = cells[cells["status"] == "ok"]
    lines = list(_how_to_read(ok)) if len(ok) else ["No cell has ended well yet."]
    aside: dict[str, int] = {}
    for each in cells["set_aside"]:
        aside |= {reason: max(count, aside.get(reason, 0)) for reason, count in each.items() if count}
    if aside:
        lines.append(f"Rows set aside: {', '.join(f'{n:,} {why}' for why, n in sorted(aside.items()))}.")
    about = {name: value for each in cells["about"] for name, value in each.items()}
    if about:
        lines.append(f"About the task: {', '.join(f'{name} {_number(value)}' for name, value in about.items())}.")
    return [*lines, *_failures(cells[cells["status"] != "ok"])]


def pending_note(run: RunFrames) -> list[str]:
    """One line if cells have no record yet."""
    if not run.pending:
        return []
    total = len(run.pending) + len(run.records)
    return [f"Unfinished: {len(run.pending)} of {total} cells have no record yet, e.g. {run.pending[0]}."]


def interval_text(interval: Interval, seeds: int) -> str:
    """``0.94 ± 0.05``: the half-width to one digit (two where the first is 1), the mean to the same place.

    Very small numbers as ``(1.86 ± 0.13)e-7``. Without an interval three digits of the mean; ``(n=2)`` behind it where
    not all `seeds` have the measure.
    """
    few = "" if interval.n == seeds else f" (n={interval.n})"
    if not math.isfinite(interval.half) or interval.half <= 1e-9 * abs(interval.mean):
        return f"{interval.mean:.3g}{few}" if abs(interval.mean) < 1000 else f"{interval.mean:.0f}{few}"
    exponent = math.floor(math.log10(interval.half))
    places = (1 if interval.half / 10**exponent < 2 else 0) - exponent
    size = max(abs(interval.mean), interval.half)
    if size < 1e-5:
        power = math.floor(math.log10(size))
        digits = max(places + power, 0)
        mean, half = (x / 10**power for x in (interval.mean, interval.half))
        return f"({round(mean, digits) + 0.0:.{digits}f} ± {half:.{digits}f})e{power}{few}"
    digits = max(places, 0)
    # + 0.0 turns a rounded −0.0 into 0.0
    return f"{round(interval.mean, places) + 0.0:.{digits}f} ± {round(interval.half, places):.{digits}f}{few}"


# -- where it is shown ----------------------------------------------------------------------------------


def render_terminal(run: RunFrames, console: Console | None = None) -> None:
    """Print one table per task and model with its notes; columns that do not fit go into a further block."""
    console = console or wide_console()
    for section in sections(run):
        print_section(section, console)
    for line in pending_note(run):
        console.print(line, style="yellow", markup=False, highlight=False)


def write_tables(run: RunFrames, directory: str | Path) -> list[Path]:
    """Write ``table.md``, ``.tex`` (booktabs), ``.html``, and ``table.csv`` (`summarise`: plain numbers)."""
    return write_sections(directory, "table", sections(run), {"table": summarise(run)}, pending_note(run))


@functools.lru_cache(maxsize=1)  # printed, and written in several formats
def sections(run: RunFrames) -> list[Section]:
    """One table per task and model, its best arms marked, with its notes."""
    whole = main_table(run)
    found = []
    for task, model, cells in run.groups():
        part = whole[(whole["task"] == task) & (whole["model"] == model)].drop(columns=["task", "model"])
        part = part.loc[:, (part != "").any()]
        headers = {_header(info): measure for measure, info in _shown(run).items()} | {JUDGE: "judge"}
        found_best = {name: best_arms(cells, headers[name], run.measures) for name in part if name in headers}
        marks = [(arm, name) for name, arms in found_best.items() for arm in arms]
        found.append(Section(f"{task} · {model}", part, [*notes(run, task, model), *([BEST] if marks else [])], marks))
    return found


# -- pieces ---------------------------------------------------------------------------------------------


def _arms(run: RunFrames) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    for task, model, records in run.groups():
        for arm, cells in records.groupby("arm", sort=False):
            yield task, model, str(arm), cells


def _shown(run: RunFrames) -> dict[str, MeasureInfo]:
    """The measures that have a column, those of plug-ins last."""
    return {name: info for name, info in run.measures.items() if name in COLUMNS or name not in MEASURES}


def _header(info: MeasureInfo) -> str:
    return info.label + (f" ({info.unit})" if info.unit else "") + ARROWS[info.better]


def _how_to_read(ok: pd.DataFrame) -> Iterator[str]:
    if ok["seed"].nunique() == 1:
        yield "One seed: no intervals, and no conclusions."
    else:
        yield "Mean ± half of the 95 % interval over seeds (Student's t; win rate: seeds and prompts resampled)."
    judges = ", ".join(sorted(set(ok["judged_by"].dropna())))
    if judges == "gold":
        yield "Judge: the gold reward."
    else:
        yield f"No gold reward is known for this task; judge: {judges or 'none'}."
    if len(counts := _values(ok, "probe_count")):
        yield f"ECE: debiased, every choice an entry, N = {_range(counts)} questions; 0 is best."
    else:
        yield "No calibration: no multiple-choice questions were asked."
    if len(_values(ok, "kl_bound")):
        yield "KL ≤: the upper bound log n − (n − 1)/n; best-of-n has no model whose KL could be measured."
    yield "Seconds: of a cell with all the stages it rests on, as if it had run alone."
    for role, name in (("reward_model", "Reward model"), ("judge", "Judging reward model")):
        yield from _reward_model(role, name, ok)


def _reward_model(role: str, name: str, ok: pd.DataFrame) -> Iterator[str]:
    # cells of a seed share their reward model: one accuracy per seed
    pairs = zip(ok["seed"], ok["reward_models"], strict=True)
    models: dict[int, dict[str, Any]] = {seed: each[role] for seed, each in pairs if role in each}
    accuracy = mean_interval([each.get("accuracy_heldout", math.nan) for each in models.values()])
    if accuracy.n:
        counts = np.array([each["pairs_heldout"] for each in models.values() if "pairs_heldout" in each])
        on = f"{_range(counts)} held-out pairs" if len(counts) else "held-out pairs"
        yield f"{name}: accuracy {interval_text(accuracy, accuracy.n)} on {on}."


def _failures(cells: pd.DataFrame) -> Iterator[str]:
    for row in cells.head(SHOWN_FAILURES).to_dict("records"):
        where = "" if pd.isna(row["step"]) else f" at step {int(row['step'])}"
        reason = str(row["reason"] or "no reason recorded").strip().split("\n")[0][:160]
        yield f"{row['arm']}, seed {row['seed']}: {row['status']}{where}: {reason}"
    if len(cells) > SHOWN_FAILURES:
        yield f"… and {len(cells) - SHOWN_FAILURES} further cells that are not ok."


def _values(cells: pd.DataFrame, measure: str) -> np.ndarray:
    return cells[measure].dropna().unique() if measure in cells else np.array([])


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() and abs(value) > 1 else f"{value:.3g}"


def _range(values: np.ndarray) -> str:
    low, high = int(min(values)), int(max(values))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
