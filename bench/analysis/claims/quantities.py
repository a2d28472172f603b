"""What claims compare: one number per cell, from its record, its training curve, its log and its completions.

A measure is named as records name it (`gold`, `cost_seconds_training`, a method's own figure), or as one of `DERIVED`,
or as one of them with an argument, ``tokens_to:0.4``; ``a - b`` is a difference; ``range(a)``, of several arms taken
together, is the largest less the smallest of their values in a seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.curves.paths import points
from bench.contracts.errors import BenchError, nearest
from bench.measures.hypervolume import hypervolume
from bench.measures.means import standardise_by
from bench.measures.preference import ROUNDING
from bench.records.loading import RunFrames

COLLAPSE = 0.2
"""How far gold must lie below π0's to be called a collapse."""
RANGE = re.compile(r"range\((.+)\)")
_NOTHING = pd.DataFrame({"step": [], "value": []}, dtype=float)


class Quantities:
    """Numbers of a run's cells, computed when they are asked for."""

    def __init__(self, run: RunFrames) -> None:
        self.run = run
        self.records = run.records.set_index("cell", drop=False)
        self._known: dict[str, pd.Series[float]] = {}
        self._paths: dict[tuple[str, str], pd.DataFrame] = {}
        self._along: dict[tuple[str, str], pd.Series[float]] = {}

    def of(self, measure: str) -> pd.Series[float]:
        """`measure` of every cell, by the cell's id; NaN where a cell does not have it.

        Raises:
            BenchError: there is no such measure, with the nearest name.
        """
        if measure not in self._known:
            self._known[measure] = self._compute(measure)
        return self._known[measure]

    def cells(self, task: str, arm: str) -> pd.DataFrame:
        """The records of an arm on a task."""
        return self._arms.get((task, arm), self.records.iloc[:0])

    def ended(self, task: str, arm: str) -> pd.DataFrame:
        """Those that ended well or diverged."""
        return self._ended.get((task, arm), self.records.iloc[:0])

    def is_share(self, measure: str) -> bool:
        """Is it 0 or 1 in every cell?"""
        return measure == "collapsed"

    def path(self, cell: str, measure: str) -> pd.DataFrame:
        """What a cell passed through while it trained, its end last: columns `kl`, `proxy`, `compute` and `value`.

        `compute` is the share of its training's seconds. Empty where the cell has no curve.
        """
        if (cell, measure) not in self._paths:
            self._paths[cell, measure] = self._path(cell, measure)
        return self._paths[cell, measure]

    def _path(self, cell: str, measure: str) -> pd.DataFrame:
        curve = self._curves.get(cell)
        if curve is None or measure not in {*curve, "gap"}:
            return pd.DataFrame(columns=["kl", "proxy", "compute", "value"])
        record = self._records[cell]
        end = {name: record.get(name) for name in ("kl", "proxy", "gold", "entropy", "length", "perplexity_samples")}
        whole = pd.concat([curve, pd.DataFrame([{"step": curve["step"].max(), **end}])], ignore_index=True)
        value = _gap(whole, record) if measure == "gap" else whole[measure]
        seconds = float(record.get("cost_seconds_training") or np.nan)
        compute = seconds * whole["step"] / max(whole["step"].max(), 1)
        found = pd.DataFrame({"kl": whole["kl"], "proxy": whole["proxy"], "compute": compute, "value": value})
        return found.astype(float).dropna()

    def hypervolume_of(self, cells: pd.DataFrame) -> pd.Series[float]:
        """The hypervolume of what all the given cells of a seed passed through, by seed."""
        rows = self._points[self._points["cell"].isin(cells["cell"])]
        values = {
            seed: hypervolume(own["kl"], own["reward"], start=own["start"].iloc[0])
            for seed, own in rows.groupby("seed")
        }
        return pd.Series(values, dtype=float)

    def log(self, cell: str, name: str) -> pd.DataFrame:
        """What a cell's training log says under `name`: columns `step`, `value`."""
        return self._logs.get((cell, name), _NOTHING)

    def curve(self, cell: str, measure: str) -> pd.Series[float]:
        """A measure along a cell's training, by step."""
        if (cell, measure) not in self._along:
            curve = self._curves.get(cell, _NOTHING)
            known = curve.set_index("step").get(measure, pd.Series(dtype=float))
            self._along[cell, measure] = known.dropna()
        return self._along[cell, measure]

    def record(self, cell: str) -> Mapping[str, Any]:
        """A cell's row of the run's records."""
        return self._records[cell]

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
    def _logs(self) -> Mapping[tuple[str, str], pd.DataFrame]:
        logs = self.run.training
        wanted = logs[logs["name"].isin(_LOGGED)] if "name" in logs else logs
        return {(str(c), str(n)): rows for (c, n), rows in wanted.groupby(["cell", "name"])} if len(wanted) else {}

    @cached_property
    def _points(self) -> pd.DataFrame:
        return points(self.run)

    def _compute(self, measure: str) -> pd.Series[float]:
        if " - " in measure:
            one, _, two = measure.partition(" - ")
            return self.of(one) - self.of(two)
        name, _, argument = measure.partition(":")
        if name in _FROM_RECORD:
            return _FROM_RECORD[name](self.records).astype(float)
        if name == "loss_to":
            return self._losses_to(argument)
        if name in _FROM_COURSE:
            compute = _FROM_COURSE[name]
            return pd.Series({cell: compute(self, cell, argument) for cell in self.records.index}, dtype=float)
        if measure not in self.records:
            known = [str(each) for each in self.records.columns]
            raise BenchError(f"no cell has a measure {measure!r}{nearest(measure, [*known, *DERIVED])}")
        return self.records[measure].astype(float)

    def _losses_to(self, rival: str) -> pd.Series[float]:
        """Share of a cell's completions that the judge puts below those of the arm `rival`, same seed and prompt."""
        rows = self.run.completions
        place = ["task", "model", "seed", "prompt_id", "sample"]
        theirs = rows.loc[rows["arm"] == rival, [*place, "judge"]] if "judge" in rows else rows
        if theirs.empty:
            return pd.Series(np.nan, index=self.records.index)
        both = rows.merge(theirs, on=place, suffixes=("", "_theirs"))
        lost = (both["judge"] < both["judge_theirs"] - ROUNDING).astype(float)
        return lost.groupby(both["cell"]).mean().reindex(self.records.index)


def _gap(rows: pd.DataFrame, record: Mapping[str, Any]) -> pd.Series[float]:
    proxy, gold = (
        standardise_by(rows[name], record[f"reference_{name}"], record[f"reference_{name}_sd"])
        for name in ("proxy", "gold")
    )
    return pd.Series(proxy - gold, index=rows.index)


def _gaps(records: pd.DataFrame) -> pd.Series[float]:
    def scaled(name: str) -> pd.Series[float]:
        sd = records[f"reference_{name}_sd"].astype(float)
        return (records[name] - records[f"reference_{name}"]) / sd.where(sd > 0)

    return scaled("proxy") - scaled("gold")


def _collapsed(records: pd.DataFrame) -> pd.Series[float]:
    fallen = np.where(records["gold"] < records["reference_gold"] - COLLAPSE, 1.0, 0.0)
    known = np.where(records["gold"].notna(), fallen, np.nan)
    share = np.where(records["status"] == "diverged", 1.0, known)
    return pd.Series(dict(zip(records.index, share.tolist(), strict=True)), dtype=float)


def _train_test_gap(quantities: Quantities, cell: str, argument: str) -> float:
    model = quantities.record(cell)["reward_models"].get("reward_model", {})
    return float(model.get("accuracy_train", np.nan)) - float(model.get("accuracy_heldout", np.nan))


def _peak(quantities: Quantities, cell: str, argument: str) -> float:
    values = np.array([*quantities.curve(cell, "gold"), quantities.record(cell)["gold"]], dtype=float)
    return float(np.nanmax(values)) if np.isfinite(values).any() else np.nan


def _steps(quantities: Quantities, cell: str, argument: str, share: float = 1.0) -> float:
    gold = quantities.curve(cell, "gold")
    gold = gold[gold.index <= share * gold.index.max()] if len(gold) else gold
    return float(gold.diff().abs().mean()) if len(gold) > 1 else np.nan


def _early_steps(quantities: Quantities, cell: str, argument: str) -> float:
    return _steps(quantities, cell, argument, share=0.5)


def reached(curve: pd.Series[float], target: float) -> float:
    """The first step at which a curve reaches `target`, on a straight line between its points; infinite if never."""
    above = np.flatnonzero(curve.to_numpy() >= target)
    if not len(above):
        return np.inf
    i = int(above[0])
    if i == 0:
        return float(curve.index[0])
    (x0, x1), (y0, y1) = curve.index[i - 1 : i + 1], curve.iloc[i - 1 : i + 1]
    return float(x0 + (x1 - x0) * (target - y0) / (y1 - y0))


def _updates_to(quantities: Quantities, cell: str, argument: str) -> float:
    gold = quantities.curve(cell, "gold")
    return min(reached(gold, float(argument)), float(gold.index.max())) if len(gold) else np.nan


def _tokens_to(quantities: Quantities, cell: str, argument: str) -> float:
    read = quantities.log(cell, "num_tokens").sort_values("step")
    updates = _updates_to(quantities, cell, argument)
    if read.empty or np.isnan(updates):
        return np.nan
    settings = quantities.record(cell)["hyperparameters"]
    # trainers log tokens trained on; a method that samples batches trains on each as often as it has epochs
    passes = settings.get("epochs", 1) if "rollouts" in settings else 1
    return float(np.interp(updates, [0, *read["step"]], [0, *read["value"]]) / passes)


def _labels_to(quantities: Quantities, cell: str, argument: str) -> float:
    record, gold = quantities.record(cell), quantities.curve(cell, "gold")
    if gold.empty:
        return np.nan
    settings = record["hyperparameters"]
    if settings.get("reward") != "gold" or "rollouts" not in settings:
        return float(record["cost_gold_labels"])  # all of them before training starts
    asked = settings["steps"] * settings["rollouts"]
    return float(asked * _updates_to(quantities, cell, argument) / gold.index.max())


def _updates_to_collapse(quantities: Quantities, cell: str, argument: str) -> float:
    gold = quantities.curve(cell, "gold")
    if gold.empty:
        return np.nan
    last = float(gold.index.max())
    return min(reached(-gold, COLLAPSE - float(gold.iloc[0])), last) / last


def _logged_mean(name: str) -> Callable[[Quantities, str, str], float]:
    return lambda quantities, cell, argument: float(quantities.log(cell, name)["value"].mean())


def _largest_ratio(quantities: Quantities, cell: str, argument: str) -> float:
    return float(quantities.log(cell, "ratio_max")["value"].max())


def _early_value_error(quantities: Quantities, cell: str, argument: str) -> float:
    losses = quantities.log(cell, "value_loss").sort_values("step")
    begun = quantities.log(cell, "policy_loss")["step"].min()  # the critic alone may be trained first
    losses = losses[losses["step"] >= begun]
    return float(losses["value"].iloc[: max(1, len(losses) // 4)].mean()) if len(losses) else np.nan


def _reward_model_updates_to(quantities: Quantities, cell: str, argument: str) -> float:
    model = quantities.record(cell)["reward_models"].get("reward_model", {})
    curve = pd.DataFrame(model.get("curve", []))
    if "accuracy" not in curve:
        return np.nan
    accuracy = curve.set_index("step")["accuracy"]
    return min(reached(accuracy, float(argument)), float(accuracy.index.max()))


_LOGGED = ("num_tokens", "approx_kl", "ratio_max", "value_loss", "policy_loss")
_FROM_RECORD: dict[str, Callable[[pd.DataFrame], pd.Series[float]]] = {
    "gap": _gaps,
    "collapsed": _collapsed,
}
_FROM_COURSE: dict[str, Callable[[Quantities, str, str], float]] = {
    "train_test_gap": _train_test_gap,
    "peak_gold": _peak,
    "fluctuation": _steps,
    "early_fluctuation": _early_steps,
    "updates_to": _updates_to,
    "tokens_to": _tokens_to,
    "labels_to": _labels_to,
    "updates_to_collapse": _updates_to_collapse,
    "step_kl": _logged_mean("approx_kl"),
    "largest_ratio": _largest_ratio,
    "early_value_error": _early_value_error,
    "reward_model_updates_to": _reward_model_updates_to,
}
DERIVED: dict[str, str] = {
    "gap": "standardised proxy less standardised gold, both on π0's samples",
    "collapsed": f"1 where the cell diverged or its gold ended more than {COLLAPSE} below π0's, else 0",
    "train_test_gap": "the reward model's accuracy on its training pairs less that on held-out ones",
    "peak_gold": "the highest gold on the training curve, its end included",
    "fluctuation": "mean absolute change of gold from one point of the curve to the next",
    "early_fluctuation": "the same in the first half of training",
    "updates_to": "updates until gold first reaches the target; all updates if never",
    "tokens_to": "tokens sampled until then, each counted once however often it is trained on",
    "labels_to": "gold labels asked for until then; all of them where they are asked for beforehand",
    "updates_to_collapse": f"share of training until gold first lies {COLLAPSE} below its start; 1 if never",
    "step_kl": "mean KL(π_old ‖ π) after an update, per token, over training",
    "largest_ratio": "the largest π / π_old that an update saw",
    "early_value_error": "mean value loss in the first quarter of the policy's training",
    "reward_model_updates_to": "updates until the reward model's held-out accuracy reaches the target",
    "loss_to": "share of completions that the judge puts below the rival arm's for the same prompt",
}
