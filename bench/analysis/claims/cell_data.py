"""What the cells of a run recorded: their records by arm, their training curves, logs and paths, each found once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd

from bench.measures.means import standardise_by
from bench.records.loading import RunFrames

_NOTHING = pd.DataFrame({"step": [], "value": []}, dtype=float)


class CellData:
    """A run's records and frames by cell, computed when they are asked for.

    Claims ask for the same curve and path many times: what is a function of its arguments here remembers its answers.
    """

    def __init__(self, run: RunFrames) -> None:
        self.run = run
        self.records = run.records.set_index("cell", drop=False)

    def cells(self, task: str, arm: str) -> pd.DataFrame:
        """The records of an arm on a task."""
        return self._arms.get((task, arm), self.records.iloc[:0])

    def ended(self, task: str, arm: str) -> pd.DataFrame:
        """Those that ended well or diverged."""
        return self._ended.get((task, arm), self.records.iloc[:0])

    def record(self, cell: str) -> Mapping[str, Any]:
        """A cell's row of the run's records."""
        return self._records[cell]

    def log(self, cell: str, name: str) -> pd.DataFrame:
        """What a cell's training log says under `name`: columns `step`, `value`."""
        return self._log(name).get(cell, _NOTHING)

    @cached_property
    def curve(self) -> Callable[[str, str], pd.Series[float]]:
        """``curve(cell, measure)``: a measure along a cell's training, by step."""

        def curve(cell: str, measure: str) -> pd.Series[float]:
            rows = self._curves.get(cell, _NOTHING)
            return rows.set_index("step").get(measure, pd.Series(dtype=float)).dropna()

        return cache(curve)

    @cached_property
    def path(self) -> Callable[[str, str], pd.DataFrame]:
        """``path(cell, measure)``: what a cell passed through while it trained, its end last.

        Columns `kl`, `proxy`, `compute` (the share of its training's seconds) and `value`; empty where the cell has no
        curve.
        """

        def path(cell: str, measure: str) -> pd.DataFrame:
            curve = self._curves.get(cell)
            if curve is None or measure not in {*curve, "gap"}:
                return pd.DataFrame(columns=["kl", "proxy", "compute", "value"])
            record = self.record(cell)
            end = {
                name: record.get(name) for name in ("kl", "proxy", "gold", "entropy", "length", "perplexity_samples")
            }
            points = pd.concat([curve, pd.DataFrame([{"step": curve["step"].max(), **end}])], ignore_index=True)
            value = _gap(points, record) if measure == "gap" else points[measure]
            seconds = float(record.get("cost_seconds_training") or np.nan)
            compute = seconds * points["step"] / max(points["step"].max(), 1)
            columns = {"kl": points["kl"], "proxy": points["proxy"], "compute": compute, "value": value}
            return pd.DataFrame(columns).astype(float).dropna()

        return cache(path)

    # -- behind them --------------------------------------------------------------------------------------

    @cached_property
    def _arms(self) -> Mapping[tuple[str, str], pd.DataFrame]:
        return {(str(t), str(a)): own for (t, a), own in self.records.groupby(["task", "arm"], sort=False)}

    @cached_property
    def _ended(self) -> Mapping[tuple[str, str], pd.DataFrame]:
        return {arm: own[own["status"].isin(["ok", "diverged"])] for arm, own in self._arms.items()}

    @cached_property
    def _records(self) -> Mapping[str, Mapping[str, Any]]:
        rows = self.records.to_dict("records")
        return {str(row["cell"]): {str(name): value for name, value in row.items()} for row in rows}

    @cached_property
    def _curves(self) -> Mapping[str, pd.DataFrame]:
        curves = self.run.curves
        if "step" not in curves:
            return {}
        return {str(cell): rows.sort_values("step") for cell, rows in curves.groupby("cell", sort=False)}

    @cached_property
    def _log(self) -> Callable[[str], Mapping[str, pd.DataFrame]]:
        def log(name: str) -> Mapping[str, pd.DataFrame]:
            logs = self.run.training
            if "name" not in logs:
                return {}
            return {str(cell): rows for cell, rows in logs[logs["name"] == name].groupby("cell")}

        return cache(log)


def _gap(rows: pd.DataFrame, record: Mapping[str, Any]) -> pd.Series[float]:
    proxy, gold = (
        standardise_by(rows[name], record[f"reference_{name}"], record[f"reference_{name}_sd"])
        for name in ("proxy", "gold")
    )
    return pd.Series(proxy - gold, index=rows.index)
