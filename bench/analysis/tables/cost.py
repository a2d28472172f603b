"""What each arm costs: seconds by stage, memory, tokens, calls of the reward model, labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.analysis.layout import Section, write_sections
from bench.analysis.statistics import Interval, mean_intervals
from bench.analysis.tables.main import interval_text
from bench.records.loading import RunFrames

STAGE = "cost_stage_"
TOTALS = {
    "cost_seconds": "seconds",
    "cost_peak_memory_mb": "peak memory (MB)",
    "cost_tokens_sampled": "tokens sampled",
    "cost_tokens_trained": "tokens trained",
    "cost_reward_model_calls": "reward-model calls",
    "cost_gold_labels": "gold labels",
}
NOTES = [
    "Mean over seeds ± half of the 95 % interval (Student's t); cells that ended well.",
    "Every arm pays for all stages that it rests on, as if it had run alone; arms of one seed share them in fact.",
    "Seconds depend on the machine, and on what else it did; tokens, calls and labels do not.",
]


def costs(run: RunFrames) -> pd.DataFrame:
    """One row per task, model, arm and item: `mean`, `low`, `high` (95 %, Student's t over seeds), `n`.

    Items are columns of the records: `cost_stage_…` (seconds of each stage) and those of `TOTALS`.
    """
    ok = run.records[run.records["status"] == "ok"]
    items = [name for name in (*TOTALS, *(str(each) for each in ok if str(each).startswith(STAGE))) if name in ok]
    keys, samples = [], []
    for arm, cells in ok.groupby(["task", "model", "arm"], sort=False):
        for item in items:
            if cells[item].notna().any():
                keys.append((*arm, item))
                samples.append(cells[item].to_numpy(float))
    rows = [(*key, x.mean, x.low, x.high, x.n) for key, x in zip(keys, mean_intervals(samples), strict=True)]
    return pd.DataFrame(rows, columns=["task", "model", "arm", "item", "mean", "low", "high", "n"])


def cost_table(found: pd.DataFrame, task: str, model: str) -> pd.DataFrame:
    """As people read it: one row per arm; the stages' seconds stand behind their sum."""
    here = found[(found["task"] == task) & (found["model"] == model)]
    stages = [item for item in here["item"].unique() if item.startswith(STAGE)]
    names = {"cost_seconds": "seconds", **{item: f"{item.removeprefix(STAGE)} (s)" for item in stages}} | TOTALS
    seeds = here.groupby("arm")["n"].max()
    rows: dict[str, dict[str, str]] = {}
    for row in here.to_dict("records"):
        text = interval_text(Interval(row["mean"], row["low"], row["high"], row["n"]), seeds[row["arm"]])
        rows.setdefault(row["arm"], {"arm": row["arm"]})[names[row["item"]]] = text
    frame = pd.DataFrame(list(rows.values())).fillna("")
    return frame[["arm", *(name for name in names.values() if name in frame)]] if rows else frame


def write_costs(run: RunFrames, directory: str | Path) -> list[Path]:
    """Write ``cost.md``, ``.tex``, ``.html`` and ``.csv`` (plain numbers)."""
    found = costs(run)
    sections = [
        Section(f"{task} · {model}: cost", frame, NOTES)
        for task, model, _ in run.groups()
        if not (frame := cost_table(found, task, model)).empty
    ]
    return write_sections(directory, "cost", sections, {"cost": found})
