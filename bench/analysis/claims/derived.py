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
        limit: of a measure that counts until something happens (`compute` says infinite where it never does): the whole
            that a cell could have had, for which it then counts.
    """

    says: str
    compute: OfAllCells
    is_share: bool = False
    limit: OfAllCells | None = None


DERIVED: dict[str, Derived] = {}
"""By name, in the order in which the notes beneath a table explain them."""


def derived(
    name: str, says: str, is_share: bool = False, limit: OfAllCells | None = None
) -> Callable[[OfAllCells], OfAllCells]:
    """Enter a function into `DERIVED`."""

    def enter(compute: OfAllCells) -> OfAllCells:
        DERIVED[name] = Derived(says, compute, is_share, limit)
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


@derived(
    "fluctuation",
    "mean fall of gold from one point of the curve to the next, from the policy's first update on; a rise is no fall",
)
@of_each_cell
def _fluctuation(data: CellData, cell: str, argument: str) -> float:
    return _mean_fall(_moving(data, cell))


@derived("early_fluctuation", "the same in the first half of these updates")
@of_each_cell
def _early_fluctuation(data: CellData, cell: str, argument: str) -> float:
    gold = _moving(data, cell)
    return _mean_fall(gold[gold.index <= (gold.index[0] + gold.index[-1]) / 2] if len(gold) else gold)


@of_each_cell
def _all_updates(data: CellData, cell: str, argument: str) -> float:
    gold = data.curve(cell, "gold")
    return float(gold.index.max()) if len(gold) else np.nan


@derived("updates_to", "updates until gold first reaches the target; all updates if never", limit=_all_updates)
@of_each_cell
def _updates_to(data: CellData, cell: str, argument: str) -> float:
    return _updates_to_target(data, cell, float(argument))


@of_each_cell
def _all_tokens(data: CellData, cell: str, argument: str) -> float:
    return _tokens_by(data, cell, np.inf)


@derived("tokens_to", "tokens sampled until then, each counted once however often it is trained on", limit=_all_tokens)
@of_each_cell
def _tokens_to(data: CellData, cell: str, argument: str) -> float:
    updates = _updates_to_target(data, cell, float(argument))
    return _tokens_by(data, cell, updates) if np.isfinite(updates) else updates


def _tokens_by(data: CellData, cell: str, updates: float) -> float:
    read = data.log(cell, "num_tokens").sort_values("step")
    if read.empty:
        return np.nan
    settings = data.record(cell)["hyperparameters"]
    # trainers log tokens trained on; a method that samples batches trains on each as often as it has epochs
    passes = settings.get("epochs", 1) if "rollouts" in settings else 1
    return float(np.interp(updates, [0, *read["step"]], [0, *read["value"]]) / passes)


def _most_labels(data: CellData, argument: str) -> pd.Series[float]:
    """What the costliest cell of the same task and seed was charged."""
    labels = data.records["cost_gold_labels"].astype(float)
    return labels.groupby([data.records["task"], data.records["seed"]]).transform("max")


@derived(
    "labels_to",
    "gold labels asked for until gold first reaches the target (all of them where they are asked for beforehand); "
    "where it never does, as many as the costliest arm of the same seed asked for",
    limit=_most_labels,
)
@of_each_cell
def _labels_to(data: CellData, cell: str, argument: str) -> float:
    record, updates = data.record(cell), _updates_to_target(data, cell, float(argument))
    if not np.isfinite(updates):
        return updates
    settings = record["hyperparameters"]
    if settings.get("reward") != "gold" or "rollouts" not in settings:
        return float(record["cost_gold_labels"])  # all of them before training starts
    labels = settings["steps"] * settings["rollouts"]
    return float(labels * updates / data.curve(cell, "gold").index.max())


@of_each_cell
def _one(data: CellData, cell: str, argument: str) -> float:
    return 1.0


@derived(
    "updates_to_collapse",
    f"share of training until gold first lies {COLLAPSE} below its start; 1 if never",
    limit=_one,
)
@of_each_cell
def _updates_to_collapse(data: CellData, cell: str, argument: str) -> float:
    gold = data.curve(cell, "gold")
    if gold.empty:
        return np.nan
    return reached(-gold, COLLAPSE - float(gold.iloc[0])) / float(gold.index.max())


@derived(
    "kl_to_optimum",
    "KL(π ‖ π0 exp(gold/β) / Z), exact, at the β given",
)
def _kl_to_optimum(data: CellData, argument: str) -> pd.Series[float]:
    """KL(π ‖ π0) − E_π[gold]/β + log Z, in which log Z = max over policies of E[gold]/β − KL(π ‖ π0).

    Every cell names a policy on the frontier: its KL, and the gold of the best policy of that KL. The largest over the
    cells of a task and seed is log Z itself where one of them is the optimum of this β, and less otherwise: have one.
    """
    records, beta = data.records, float(argument)
    if not {"exact_kl", "exact_gold", "optimality_gap"} <= {*records}:
        return pd.Series(np.nan, index=records.index)
    kl, gold = records["exact_kl"].astype(float), records["exact_gold"].astype(float)
    frontier = (gold + records["optimality_gap"].astype(float)) / beta - kl
    log_z = frontier.groupby([records["task"], records["seed"]]).transform("max")
    return kl - gold / beta + log_z


@derived(
    "processor_seconds", "processor time of the policy's training, all threads; earlier releases did not record it"
)
def _processor_seconds(data: CellData, argument: str) -> pd.Series[float]:
    nothing = pd.Series(np.nan, index=data.records.index)
    return data.records.get("cost_processor_seconds_training", nothing).astype(float)


@derived("gold_where", "mean gold of the completions whose prompt the regular expression matches")
def _gold_where(data: CellData, argument: str) -> pd.Series[float]:
    rows = data.run.completions
    if not {"prompt", "gold"} <= {*rows}:
        return pd.Series(np.nan, index=data.records.index)
    prompts = rows["prompt"].drop_duplicates()
    chosen = prompts[prompts.astype(str).str.contains(argument, regex=True)]
    own = rows[rows["prompt"].isin(set(chosen))]
    return own.groupby("cell")["gold"].mean().reindex(data.records.index).astype(float)


@derived("step_kl", "mean KL(π_old ‖ π) per token once all steps on a batch are made, over training")
@of_each_cell
def _step_kl(data: CellData, cell: str, argument: str) -> float:
    return float(data.log(cell, "update_kl")["value"].mean())


@derived(
    "ratio_99", "99th percentile of π / π_old over a batch's tokens once all its steps are made, mean over training"
)
@of_each_cell
def _ratio_99(data: CellData, cell: str, argument: str) -> float:
    return float(data.log(cell, "ratio_99")["value"].mean())


@derived("largest_ratio", "the largest π / π_old that an update saw")
@of_each_cell
def _largest_ratio(data: CellData, cell: str, argument: str) -> float:
    return float(data.log(cell, "ratio_max")["value"].max())


@derived("early_value_error", "mean value loss in the first quarter of the policy's training")
@of_each_cell
def _early_value_error(data: CellData, cell: str, argument: str) -> float:
    losses = data.log(cell, "value_loss").sort_values("step")
    losses = losses[losses["step"] >= _first_update(data, cell)]
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


def _updates_to_target(data: CellData, cell: str, target: float) -> float:
    gold = data.curve(cell, "gold")
    return reached(gold, target) if len(gold) else np.nan


def _first_update(data: CellData, cell: str) -> float:
    """The step of the policy's first: the critic alone may be trained before."""
    return float(data.log(cell, "policy_loss")["step"].min())


def _moving(data: CellData, cell: str) -> pd.Series[float]:
    """The curve of gold from where the policy begins to move."""
    gold, first = data.curve(cell, "gold"), _first_update(data, cell)
    if np.isnan(first):
        return gold
    return gold[gold.index >= gold.index[gold.index < first].max()] if (gold.index < first).any() else gold


def _mean_fall(curve: pd.Series[float]) -> float:
    return float((-curve.diff().dropna()).clip(lower=0).mean()) if len(curve) > 1 else np.nan
