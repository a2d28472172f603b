"""What each arm costs: seconds by stage, memory, tokens, calls of the reward model, labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.analysis.interval import Interval
from bench.analysis.layout import write_sections
from bench.analysis.statistics import mean_intervals
from bench.analysis.tables.sections import one_row_per_arm, sections_of
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
    for (task, model, arm), cells in ok.groupby(["task", "model", "arm"], sort=False):
        for item in items:
            if cells[item].notna().any():
                keys.append({"task": task, "model": model, "arm": arm, "item": item})
                samples.append(cells[item].to_numpy(float))
    rows = [key | x.columns() for key, x in zip(keys, mean_intervals(samples), strict=True)]
    return pd.DataFrame(rows, columns=["task", "model", "arm", "item", "mean", "low", "high", "n"])


def cost_table(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of one task and model as people read them: one row per arm; stages' seconds stand behind their sum."""
    stages = [item for item in found["item"].unique() if item.startswith(STAGE)]
    headers = {"cost_seconds": "seconds", **{item: f"{item.removeprefix(STAGE)} (s)" for item in stages}} | TOTALS
    seeds = found.groupby("arm")["n"].max()
    frame = one_row_per_arm(
        {"arm": row["arm"], headers[row["item"]]: Interval.from_columns(row).text(seeds[row["arm"]])}
        for row in found.to_dict("records")
    )
    return frame[[name for name in ("arm", *headers.values()) if name in frame]]


def write_costs(run: RunFrames, directory: str | Path) -> list[Path]:
    """Write ``cost.md``, ``.tex``, ``.html`` and ``.csv`` (plain numbers)."""
    found = costs(run)
    return write_sections(directory, "cost", sections_of(found, "cost", cost_table, lambda _: NOTES), {"cost": found})
