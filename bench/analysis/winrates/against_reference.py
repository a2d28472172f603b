"""The win rate of one arm against π0's own completions, which every evaluation judges."""

from __future__ import annotations

import functools
from collections.abc import Hashable

import numpy as np
import pandas as pd

from bench.analysis.interval import Interval
from bench.analysis.statistics import mean_interval, share_interval
from bench.records.loading import RunFrames


def win_rate_interval(run: RunFrames, cells: pd.DataFrame) -> Interval:
    """Win rate against π0 over the given cells of one arm, by bootstrap of seeds and prompts.

    Where their completions are not at hand, Student's t over the seeds' win rates, within [0, 1].
    """
    by_cell = win_rates_of_prompts(run)
    ok = cells[cells["status"] == "ok"]
    by_seed = {s: by_cell[cell] for s, cell in zip(ok["seed"], ok["cell"], strict=True) if cell in by_cell}
    return share_interval(by_seed) if by_seed else mean_interval(ok["win_rate"]).of_a_share()


@functools.lru_cache(maxsize=1)
def win_rates_of_prompts(run: RunFrames) -> dict[Hashable, np.ndarray]:
    """Each cell's win rate on each prompt, (prompts,), by the cell's id; empty where no completions are at hand."""
    if "outcome" not in run.completions:
        return {}
    rows = run.completions[["cell", "prompt_id", "outcome"]].dropna(subset=["outcome"])
    score = rows["outcome"].map({"win": 1.0, "tie": 0.5, "loss": 0.0})
    by_prompt = score.groupby([rows["cell"], rows["prompt_id"]]).mean()
    return {cell: values.to_numpy() for cell, values in by_prompt.groupby(level=0)}
