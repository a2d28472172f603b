"""The main table: one row per arm, one column per measure, for the terminal, Markdown, CSV and LaTeX."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from bench.analysis.frontier import by_cell
from bench.analysis.loading import RunFrames
from bench.analysis.statistics import Interval, iqm_interval, mean_interval, two_level_bootstrap
from bench.measures import MEASURES

ARROWS = {"higher": " ↑", "lower": " ↓", "zero": " → 0", None: ""}
COLUMNS = ("proxy", "gold", "kl", "perplexity_reference", "perplexity_samples", "ece_debiased", "win_rate")
SHOWN_FAILURES = 8


def summarise(run: RunFrames) -> pd.DataFrame:
    """One row per task, model, arm and measure: `mean`, `low`, `high` (95 %), `iqm`, `iqm_low`, `iqm_high`, `n`.

    Only cells with status ok count; `n` is how many of them have the measure. The interval is Student's t over
    seeds, for `win_rate` the two-level bootstrap over seeds and prompts; NaN for one seed. `iqm` is the interquartile
    mean, its interval a bootstrap's. `cost_seconds` is treated as a measure, too, and so is each part of gold.
    """
    rows = []
    paths = by_cell(run)
    others = [str(name) for name in run.records if name not in run.measures]
    parts = [name for name in others if name.removeprefix("reference_").startswith("gold_")]
    for task, model, arm, cells in _arms(run):
        ok = cells[cells["status"] == "ok"]
        ok = ok.assign(hypervolume=paths.reindex(ok["cell"]).to_numpy())
        for measure in [*run.measures, *parts, "cost_seconds"]:
            if measure in ok and ok[measure].notna().any():
                x = win_rate_interval(run, ok) if measure == "win_rate" else mean_interval(ok[measure])
                iqm = iqm_interval(ok[measure])
                rows.append((task, model, arm, measure, x.mean, x.low, x.high, iqm.mean, iqm.low, iqm.high, x.n))
    names = ["task", "model", "arm", "measure", "mean", "low", "high", "iqm", "iqm_low", "iqm_high", "n"]
    return pd.DataFrame(rows, columns=names)


def win_rate_interval(run: RunFrames, cells: pd.DataFrame) -> Interval:
    """Win rate against π0 over the given cells of one arm, by bootstrap of seeds and prompts.

    Where their completions are not at hand, Student's t over the seeds' win rates.
    """
    if "outcome" not in run.completions:
        return mean_interval(cells["win_rate"])
    rows = run.completions[run.completions["cell"].isin(cells["cell"])]
    score = rows["outcome"].map({"win": 1.0, "tie": 0.5, "loss": 0.0})
    by_prompt = score.groupby([rows["seed"], rows["prompt_id"]]).mean()
    by_seed: dict[Hashable, Any] = {seed: values.to_numpy() for seed, values in by_prompt.groupby(level=0)}
    return two_level_bootstrap(by_seed) if by_seed else mean_interval(cells["win_rate"])


def main_table(run: RunFrames) -> pd.DataFrame:
    """The table as people read it: texts, one row per task, model and arm.

    A column that has no value anywhere is left out; `notes` says why.
    """
    intervals = {
        (task, model, arm, measure): Interval(mean, low, high, n)
        for task, model, arm, measure, mean, low, high, _, _, _, n in summarise(run).to_numpy().tolist()
    }
    with_gold = {task for task, _, _, measure in intervals if measure == "gold"}
    rows = []
    for task, model, arm, cells in _arms(run):
        mine = {key[3]: value for key, value in intervals.items() if key[:3] == (task, model, arm)}
        count = Counter(cells["status"])
        text = {name: interval_text(value, count["ok"]) for name, value in mine.items()}
        row = {"task": task, "model": model, "arm": arm}
        for measure in COLUMNS:
            if measure == "gold" and task not in with_gold:
                row["judge: held-out reward model ↑"] = text.get("judge", "")
            else:
                row[_header(measure)] = text.get(measure, "")
        if "kl" not in text and "kl_bound" in text:
            row[_header("kl")] = f"≤ {text['kl_bound']}"
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

    Without an interval three digits of the mean; ``(n=2)`` behind it where not all `seeds` have the measure.
    """
    few = "" if interval.n == seeds else f" (n={interval.n})"
    if not math.isfinite(interval.half) or interval.half <= 1e-9 * abs(interval.mean):
        return f"{interval.mean:.3g}{few}" if abs(interval.mean) < 1000 else f"{interval.mean:.0f}{few}"
    exponent = math.floor(math.log10(interval.half))
    places = (1 if interval.half / 10**exponent < 2 else 0) - exponent
    digits = max(places, 0)
    # + 0.0 turns a rounded −0.0 into 0.0
    return f"{round(interval.mean, places) + 0.0:.{digits}f} ± {round(interval.half, places):.{digits}f}{few}"


# -- where it is shown ----------------------------------------------------------------------------------


def wide_console() -> Console:
    """The terminal; into a file or a pipe, lines of 200 characters."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def print_frame(title: str, frame: pd.DataFrame, console: Console) -> None:
    """Print a table of texts; columns that do not fit go into a further block, behind the first column again."""
    # as wide as the longest line of a cell or word of the header, an arrow staying with its word
    widths = {
        str(name): max(8, *map(len, [*re.split(r" (?![↑↓→0])", str(name)), *"\n".join(cells).split("\n")]))
        for name, cells in frame.items()
    }
    console.print(title, style="bold", markup=False, highlight=False)
    for block in _blocks(widths, console.width):
        table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
        for name in block:
            table.add_column(name, justify="left" if name == block[0] else "right", width=widths[name])
        for row in frame[block].to_numpy().tolist():
            table.add_row(*row)
        console.print(table, highlight=False)
        console.print()


def render_terminal(run: RunFrames, console: Console | None = None) -> None:
    """Print one table per task and model with its notes; columns that do not fit go into a further block."""
    console = console or wide_console()
    for task, model, frame in _parts(run):
        print_frame(f"{task} · {model}", frame, console)
        for line in notes(run, task, model):
            console.print(line, style="dim", markup=False, highlight=False)
        console.print()
    for line in pending_note(run):
        console.print(line, style="yellow", markup=False, highlight=False)


def write_tables(run: RunFrames, directory: str | Path) -> list[Path]:
    """Write ``table.md``, ``table.tex`` (booktabs) and ``table.csv`` (`summarise`: plain numbers)."""
    sections = [Section(f"{task} · {model}", frame, notes(run, task, model)) for task, model, frame in _parts(run)]
    return write_sections(directory, "table", sections, {"table": summarise(run)}, pending_note(run))


class Section(NamedTuple):
    """One table of a file: its title, the texts in it, and the notes beneath it."""

    title: str
    frame: pd.DataFrame
    notes: list[str]


def write_sections(
    directory: str | Path,
    name: str,
    sections: Sequence[Section],
    plain: Mapping[str, pd.DataFrame],
    remarks: Sequence[str] = (),
) -> list[Path]:
    """Write ``<name>.md``, ``<name>.tex`` (booktabs), and each of `plain` as ``<its name>.csv``; returns the files.

    remarks: said at the end, in LaTeX as comments.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    parts: list[str] = []
    for title, frame, lines in sections:
        parts += [f"## {title}", markdown(frame), "\n".join(f"- {line}" for line in lines)]
    tex = [latex(*section) for section in sections]
    texts = {
        f"{name}.md": "\n\n".join([*parts, *remarks]) + "\n",
        f"{name}.tex": "\n".join([*tex, *(f"% {line}" for line in remarks)]) + "\n",
        **{f"{each}.csv": frame.to_csv(index=False, lineterminator="\n") for each, frame in plain.items()},
    }
    for file, text in texts.items():
        (directory / file).write_text(text, encoding="utf-8")
    return [directory / file for file in texts]


def _parts(run: RunFrames) -> Iterator[tuple[str, str, pd.DataFrame]]:
    whole = main_table(run)
    for task, model, _ in run.groups():
        part = whole[(whole["task"] == task) & (whole["model"] == model)].drop(columns=["task", "model"])
        yield task, model, part.loc[:, (part != "").any()]


def _blocks(widths: dict[str, int], width: int) -> Iterator[list[str]]:
    """Columns in as few blocks as fit into `width`, each with the first one in front."""
    head = next(iter(widths))
    block, used = [head], widths[head]
    for name in list(widths)[1:]:
        if used + widths[name] + 2 > width and len(block) > 1:
            yield block
            block, used = [head], widths[head]
        block.append(name)
        used += widths[name] + 2
    yield block


def markdown(frame: pd.DataFrame) -> str:
    """A table of texts in Markdown; a line break within a cell stays one."""
    rule = [":---", *["---:"] * (len(frame.columns) - 1)]
    rows: list[list[str]] = [frame.columns.tolist(), rule, *frame.to_numpy().tolist()]
    escaped = [[cell.replace("|", "\\|").replace("\n", "<br>") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in escaped)


def latex(caption: str, frame: pd.DataFrame, lines: list[str]) -> str:
    """A table of texts in LaTeX (booktabs), with `lines` beneath it."""
    head, *body = [" & ".join(map(_cell, row)) + r" \\" for row in [list(frame), *frame.to_numpy().tolist()]]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escape(caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(frame.columns) - 1)}}}",
            *(r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
            r"\end{tabular}",
            *(rf"\par\footnotesize {_escape(line)}" for line in lines),
            r"\end{table}",
        ]
    )


_LATEX = {"±": "$\\pm$", "≤": "$\\le$", "↑": "$\\uparrow$", "↓": "$\\downarrow$", "→": "$\\to$", "−": "$-$"}
_LATEX |= {"·": "$\\cdot$", "√": "$\\surd$", "≈": "$\\approx$", "½": "$\\frac12$", "π": "$\\pi$"}
_LATEX |= {"\\": "\\textbackslash{}", "^": "\\^{}", "~": "\\~{}"}


def _cell(text: str) -> str:
    lines = [_escape(line) for line in text.split("\n")]
    return lines[0] if len(lines) == 1 else r"\shortstack[r]{" + r" \\{} ".join(lines) + "}"


def _escape(text: str) -> str:
    return "".join(_LATEX.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)


# -- pieces ---------------------------------------------------------------------------------------------


def _arms(run: RunFrames) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    for task, model, records in run.groups():
        for arm, cells in records.groupby("arm", sort=False):
            yield task, model, str(arm), cells


def _header(measure: str) -> str:
    info = MEASURES[measure]
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
