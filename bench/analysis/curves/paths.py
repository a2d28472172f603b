"""How much reward each arm, and each method with all its settings, gets for its KL: the hypervolume of its frontier."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.statistics import mean_interval
from bench.measures.hypervolume import hypervolume
from bench.records.loading import RunFrames


def points(run: RunFrames) -> pd.DataFrame:
    """What every cell passed through, from its training curve, and where it ended.

    Columns: `cell`, `task`, `model`, `method`, `arm`, `seed`, `kl` (nats), `reward` (gold where it is known, else the
    judge), `start` (π0's own, on the same samples: of the end those of the evaluation, of a curve its step 0). Only
    cells with status ok, and only points whose KL and reward are known.
    """
    names = ["cell", "task", "model", "method", "arm", "seed", "kl", "reward", "start"]
    ok = run.records[run.records["status"] == "ok"]
    if "judge" not in ok or "kl" not in ok or "reference_judge" not in ok:
        return pd.DataFrame(columns=names)
    ends = ok.rename(columns={"judge": "reward", "reference_judge": "start"})[names]
    curves = run.curves
    if "judge" in curves and "kl" in curves:
        paths = curves[["cell", "kl", "judge"]].rename(columns={"judge": "reward"})
        steps = curves["step"] if "step" in curves else pd.Series(np.nan, index=curves.index)
        begins = curves[steps == 0].drop_duplicates("cell").set_index("cell")["judge"]
        paths = paths.assign(start=paths["cell"].map(begins))
        own = paths.merge(ends.drop(columns=["kl", "reward"]), on="cell", suffixes=("", "_of_end"))
        own["start"] = own["start"].fillna(own.pop("start_of_end"))
        ends = pd.concat([ends, own], ignore_index=True)
    return ends.dropna(subset=["kl", "reward", "start"])


def by_cell(run: RunFrames) -> pd.Series[float]:
    """The hypervolume of each cell's path (see `bench.measures.hypervolume`), by the cell's id."""
    return _hypervolumes(points(run), "cell")


def by_method(run: RunFrames) -> pd.DataFrame:
    """The hypervolume of each method's frontier, all its arms of one seed taken together; seeds are the unit.

    Columns: `task`, `model`, `method`, `arms` (how many), `mean`, `low`, `high` (95 %, Student's t), `n` (seeds). Trap:
    a method with more arms has more chances, so compare methods with as many.
    """
    every = points(run)
    rows = []
    for (task, model, method), own in every.groupby(["task", "model", "method"], sort=False):
        volume = mean_interval(_hypervolumes(own, "seed").to_numpy())
        rows.append({"task": task, "model": model, "method": method, "arms": own["arm"].nunique()} | volume.columns())
    return pd.DataFrame(rows, columns=["task", "model", "method", "arms", "mean", "low", "high", "n"])


def _hypervolumes(rows: pd.DataFrame, by: str) -> pd.Series[float]:
    groups, keys = pd.factorize(rows[by])
    places = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    kl, gain = rows["kl"].to_numpy(float), (rows["reward"] - rows["start"]).to_numpy(float)
    values = [hypervolume(kl[own], gain[own]) for own in places if len(own)]
    return pd.Series(values, index=keys, dtype=float, name="hypervolume")
