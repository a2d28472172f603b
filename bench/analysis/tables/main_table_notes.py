"""What the reader of the main table has to know: how to read it, what it rests on, and what did not end well."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.statistics import mean_interval
from bench.analysis.tables.doubts import MARK, doubt_notes
from bench.measures.calibration import ECE
from bench.records.chance import accuracy_of
from bench.records.files import COMPARISONS
from bench.records.loading import RunFrames

SHOWN_FAILURES = 8


def main_table_notes(run: RunFrames, task: str, model: str) -> list[str]:
    """What the reader of the table for `task` and `model` has to know, one line each."""
    cells = run.records[(run.records["task"] == task) & (run.records["model"] == model)]
    ok = cells[cells["status"] == "ok"]
    lines = list(_how_to_read(ok)) if len(ok) else ["No cell has ended well yet."]
    if (task, model) in run.useless_judges:
        lines.append(
            f"No win rates: the judging reward model's accuracy, {run.useless_judges[task, model].text()}, is no "
            "better than a coin's as far as these tell; more held-out pairs (stages.preferences.heldout) may do."
        )
    lines += doubt_notes(cells)
    aside: dict[str, int] = {}
    for each in cells["set_aside"]:
        aside |= {reason: max(count, aside.get(reason, 0)) for reason, count in each.items() if count}
    if aside:
        lines.append(f"Rows set aside: {', '.join(f'{n:,} {why}' for why, n in sorted(aside.items()))}.")
    short = cells[cells["prompts_measured"] < cells["prompts_asked"]]
    short = short.drop_duplicates(["prompts_measured", "prompts_asked"])
    for measured, asked in zip(short["prompts_measured"], short["prompts_asked"], strict=True):
        lines.append(f"{MARK} Measured on {measured:.0f} of {asked:.0f} held-out prompts: the others are set aside.")
    about = {name: value for each in cells["about"] for name, value in each.items()}
    if about:
        lines.append(f"About the task: {', '.join(f'{name} {_number(value)}' for name, value in about.items())}.")
    return [*lines, *_failures(cells[cells["status"] != "ok"])]


def state_notes(run: RunFrames) -> list[str]:
    """What the tables lack, a line each: cells without a record, damaged ones, others' records, missing checksums."""
    lines = []
    if run.pending:
        total = len(run.pending) + len(run.records) + len(run.cells.damaged)
        lines.append(f"Unfinished: {len(run.pending)} of {total} cells have no record yet, e.g. {run.pending[0]}.")
    # one damaged file of a packed run stands for many cells
    reasons = Counter(reason.removeprefix(f"{run.directory}/") for reason in run.damaged.values())
    for reason, count in list(reasons.items())[:SHOWN_FAILURES]:
        command = "judge" if COMPARISONS in reason else "run"
        cells = f" ({count} cells)" if count > 1 else ""
        lines.append(f"Damaged and left out: {reason}{cells}; `bench {command}` makes it again.")
    if more := sum(list(reasons.values())[SHOWN_FAILURES:]):
        lines.append(f"… and {more} further cells that are damaged and left out.")
    if strangers := run.cells.strangers:
        lines.append(f"Not read: {len(strangers)} records that are not of this run's matrix, e.g. {strangers[0]}.")
    if unverified := run.cells.unverified:
        lines.append(f"Not verified: {unverified} cells were recorded by an earlier release, without checksums.")
    return lines


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
        yield f"ECE: debiased, every choice an entry, N = {_range(counts)} questions; 0 is best{_at_zero(ok, counts)}."
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
        yield f"{name}: accuracy {accuracy.text()} on {on}."
    known = accuracy_of(models.values())
    if role == "reward_model" and known is not None and known.at_chance:
        yield (
            f"{MARK} {name}: its accuracy, {known.text()}, is no better than a coin's as far as these tell: whatever "
            "follows it follows noise."
        )


def _failures(cells: pd.DataFrame) -> Iterator[str]:
    for row in cells.head(SHOWN_FAILURES).to_dict("records"):
        where = "" if pd.isna(row["step"]) else f" at step {int(row['step'])}"
        reason = str(row["reason"] or "no reason recorded").strip().split("\n")[0][:160]
        yield f"{row['arm']}, seed {row['seed']}: {row['status']}{where}: {reason}"
    if len(cells) > SHOWN_FAILURES:
        yield f"… and {len(cells) - SHOWN_FAILURES} further cells that are not ok."


def _at_zero(ok: pd.DataFrame, counts: np.ndarray) -> str:
    """What the primary ECE shows of a calibrated model, at most, see `l1_debiased_ece`: entries outnumber questions."""
    if not len(_values(ok, ECE[0])):
        return ""
    return f", and a calibrated model shows up to {0.74 / math.sqrt(min(counts)):.3f}"


def _values(cells: pd.DataFrame, measure: str) -> np.ndarray:
    return cells[measure].dropna().unique() if measure in cells else np.array([])


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() and abs(value) > 1 else f"{value:.3g}"


def _range(values: np.ndarray) -> str:
    low, high = int(min(values)), int(max(values))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
