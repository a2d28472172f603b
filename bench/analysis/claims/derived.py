"""Measures that no record holds: each with its name, what it says, and how it is computed from what cells recorded.

A measure may take an argument, ``tokens_to:0.4``. A new one is one function here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from bench.analysis.claims.cell_data import CellData
from bench.measures.preference import ROUNDING

COLLAPSE = 0.2
"""How far gold must lie below π0's to be called a collapse."""

OfAllCells: TypeAlias = Callable[[CellData, str], "pd.Series[float]"]
OfOneCell: TypeAlias = Callable[[CellData, str, str], float]


@dataclass(frozen=True)
class Derived:
    """A measure computed from what cells recorded.

    Attributes:
        says: its definition, for the notes beneath a table.
        compute: of every cell, by the cell's id, from the measure's argument; NaN where a cell does not have it.
        is_share: is it 0 or 1 in every cell?
        until: does it count until gold reaches its argument, and all of training where gold never does?
    """

    says: str
    compute: OfAllCells
    is_share: bool = False
    until: bool = False


DERIVED: dict[str, Derived] = {}
"""By name, in the order in which the notes beneath a table explain them."""


def derived(name: str, says: str, is_share: bool = False, until: bool = False) -> Callable[[OfAllCells], OfAllCells]:
    """Enter a function into `DERIVED`."""

    def enter(compute: OfAllCells) -> OfAllCells:
        DERIVED[name] = Derived(says, compute, is_share, until)
        return compute

    return enter


def of_each_cell(compute: OfOneCell) -> OfAllCells:
    """A function of one cell and the argument, for all of them."""
    return lambda data, argument: pd.Series(
        {cell: compute(data, cell, argument) for cell in data.records.index}, dtype=float
    )


@derived("gap", "standardised proxy less standardised gold, both on π0's samples")
def _gap(data: CellData, argument: str) -> pd.Series[float]:
    def scaled(name: str) -> pd.Series[float]:
        sd = data.records[f"reference_{name}_sd"].astype(float)
        return (data.records[name] - data.records[f"reference_{name}"]) / sd.where(sd > 0)

    return (scaled("proxy") - scaled("gold")).astype(float)


@derived(
    "collapsed",
    f"1 where the cell diverged or its gold ended more than {COLLAPSE} below π0's, else 0",
    is_share=True,
)
def _collapsed(data: CellData, argument: str) -> pd.Series[float]:
    records = data.records
    fallen = np.where(records["gold"] < records["reference_gold"] - COLLAPSE, 1.0, 0.0)
    known = np.where(records["gold"].notna(), fallen, np.nan)
    share = np.where(records["status"] == "diverged", 1.0, known)
    return pd.Series(dict(zip(records.index, share.tolist(), strict=True)), dtype=float)


@derived("train_test_gap", "the reward model's accuracy on its training pairs less that on held-out ones")
@of_each_cell
def _train_test_gap(data: CellData, cell: str, argument: str) -> float:
    model = data.record(cell)["reward_models"].get("reward_model", {})
    return float(model.get("accuracy_train", np.nan)) - float(model.get("accuracy_heldout", np.nan))


@derived("peak_gold", "the highest gold on the training curve, its end included")
@of_each_cell
def _peak_gold(data: CellData, cell: str, argument: str) -> float:
    values = np.array([*data.curve(cell, "gold"), data.record(cell)["gold"]], dtype=float)
    return float(np.nanmax(values)) if np.isfinite(values).any() else np.nan


@derived("fluctuation", "mean absolute change of gold from one point of the curve to the next")
@of_each_cell
def _fluctuation(data: CellData, cell: str, argument: str) -> float:
    return _mean_change(data.curve(cell, "gold"))


@derived("early_fluctuation", "the same in the first half of training")
@of_each_cell
def _early_fluctuation(data: CellData, cell: str, argument: str) -> float:
    gold = data.curve(cell, "gold")
    return _mean_change(gold[gold.index <= 0.5 * gold.index.max()] if len(gold) else gold)


@derived("updates_to", "updates until gold first reaches the target; all updates if never", until=True)
@of_each_cell
def _updates_to(data: CellData, cell: str, argument: str) -> float:
    return _updates_until(data, cell, float(argument))


@derived("tokens_to", "tokens sampled until then, each counted once however often it is trained on", until=True)
@of_each_cell
def _tokens_to(data: CellData, cell: str, argument: str) -> float:
    read = data.log(cell, "num_tokens").sort_values("step")
    updates = _updates_until(data, cell, float(argument))
    if read.empty or np.isnan(updates):
        return np.nan
    settings = data.record(cell)["hyperparameters"]
    # trainers log tokens trained on; a method that samples batches trains on each as often as it has epochs
    passes = settings.get("epochs", 1) if "rollouts" in settings else 1
    return float(np.interp(updates, [0, *read["step"]], [0, *read["value"]]) / passes)


@derived(
    "labels_to",
    "gold labels asked for until then; all of them where they are asked for beforehand",
    until=True,
)
@of_each_cell
def _labels_to(data: CellData, cell: str, argument: str) -> float:
    record, gold = data.record(cell), data.curve(cell, "gold")
    if gold.empty:
        return np.nan
    settings = record["hyperparameters"]
    if settings.get("reward") != "gold" or "rollouts" not in settings:
        return float(record["cost_gold_labels"])  # all of them before training starts
    labels = settings["steps"] * settings["rollouts"]
    return float(labels * _updates_until(data, cell, float(argument)) / gold.index.max())


@derived("updates_to_collapse", f"share of training until gold first lies {COLLAPSE} below its start; 1 if never")
@of_each_cell
def _updates_to_collapse(data: CellData, cell: str, argument: str) -> float:
    gold = data.curve(cell, "gold")
    if gold.empty:
        return np.nan
    last = float(gold.index.max())
    return min(reached(-gold, COLLAPSE - float(gold.iloc[0])), last) / last


@derived("step_kl", "mean KL(π_old ‖ π) after an update, per token, over training")
@of_each_cell
def _step_kl(data: CellData, cell: str, argument: str) -> float:
    return float(data.log(cell, "approx_kl")["value"].mean())


@derived("largest_ratio", "the largest π / π_old that an update saw")
@of_each_cell
def _largest_ratio(data: CellData, cell: str, argument: str) -> float:
    return float(data.log(cell, "ratio_max")["value"].max())


@derived("early_value_error", "mean value loss in the first quarter of the policy's training")
@of_each_cell
def _early_value_error(data: CellData, cell: str, argument: str) -> float:
    losses = data.log(cell, "value_loss").sort_values("step")
    begun = data.log(cell, "policy_loss")["step"].min()  # the critic alone may be trained first
    losses = losses[losses["step"] >= begun]
    return float(losses["value"].iloc[: max(1, len(losses) // 4)].mean()) if len(losses) else np.nan


@derived("reward_model_updates_to", "updates until the reward model's held-out accuracy reaches the target")
@of_each_cell
def _reward_model_updates_to(data: CellData, cell: str, argument: str) -> float:
    model = data.record(cell)["reward_models"].get("reward_model", {})
    curve = pd.DataFrame(model.get("curve", []))
    if "accuracy" not in curve:
        return np.nan
    accuracy = curve.set_index("step")["accuracy"]
    return min(reached(accuracy, float(argument)), float(accuracy.index.max()))


@derived("loss_to", "share of completions that the judge puts below the rival arm's for the same prompt")
def _loss_to(data: CellData, argument: str) -> pd.Series[float]:
    completions = data.run.completions
    place = ["task", "model", "seed", "prompt_id", "sample"]
    if "judge" not in completions or argument not in set(completions["arm"]):
        return pd.Series(np.nan, index=data.records.index)
    rival = completions.loc[completions["arm"] == argument, [*place, "judge"]]
    both = completions.merge(rival, on=place, suffixes=("", "_rival"))
    lost = (both["judge"] < both["judge_rival"] - ROUNDING).astype(float)
    return lost.groupby(both["cell"]).mean().reindex(data.records.index)


# -- along a curve --------------------------------------------------------------------------------------------


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


def _updates_until(data: CellData, cell: str, target: float) -> float:
    gold = data.curve(cell, "gold")
    return min(reached(gold, target), float(gold.index.max())) if len(gold) else np.nan


def _mean_change(curve: pd.Series[float]) -> float:
    return float(curve.diff().abs().mean()) if len(curve) > 1 else np.nan
