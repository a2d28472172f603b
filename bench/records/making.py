"""From a cell, and what its stages report, to its record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from bench.contracts.plugin import Settings
from bench.matrix.cells import Cell
from bench.records.provenance import commit, versions
from bench.records.record import SCHEMA, CellIdentity, Cost, Data, Record, Status

Infos: TypeAlias = Mapping[str, Mapping[str, Any]]
"""By role, what each stage of a cell reported; of those that ran."""

_OF_REWARD_MODELS = ("accuracy", "pairs", "ratings", "curve")


def cell_identity(cell: Cell) -> CellIdentity:
    """What a cell is, for its record."""
    source = cell.model.source
    return {
        "id": cell.id,
        "index": cell.index,
        "task": cell.task.label,
        "task_name": cell.task.task.name,
        "task_settings": cell.task.task.model_dump(mode="json"),
        "model": cell.model.label,
        "model_settings": source.model_dump(mode="json") if isinstance(source, Settings) else str(source),
        "arm": cell.arm.label,
        "method": cell.arm.method.name,
        "hyperparameters": cell.arm.method.model_dump(mode="json"),
        "stages": cell.arm.stages.model_dump(mode="json"),
        "seed": cell.seed,
    }


def make_record(
    cell: Cell,
    status: Status,
    reason: str | None,
    infos: Infos,
    step: int | None = None,
    device: str = "cpu",
    key: str | None = None,
) -> Record:
    """The record of `cell`; `key` is that of its last stage, `step` where it diverged."""
    evaluation = infos.get("evaluation", {})
    return {
        "schema": SCHEMA,
        "key": key,
        "cell": cell_identity(cell),
        "status": status,
        "reason": reason,
        "step": step,
        "judge": evaluation.get("judge"),
        "measures": _measures(infos),
        "reward_models": {
            role: {name: value for name, value in infos[role].items() if name.startswith(_OF_REWARD_MODELS)}
            for role in ("reward_model", "judge")
            if role in infos
        },
        "cost": _cost(cell, infos),
        "data": {"set_aside": _set_aside(cell, infos), "about": dict(cell.task.task.about()), **_prompts(infos)},
        "device": device,
        "versions": versions(),
        "commit": commit(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _measures(infos: Infos) -> dict[str, float | None]:
    """Those of the evaluation, then what the method reported of itself, then those of the reward model."""
    found = {
        **infos.get("evaluation", {}).get("measures", {}),
        **infos.get("policy", {}).get("figures", {}),
        **infos.get("reward_model", {}).get("measures", {}),
    }
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _cost(cell: Cell, infos: Infos) -> Cost:
    """Labels and tokens count in the stages that the method rests on. What only measures a cell (the reward model of a
    method that takes none) costs it time alone."""

    def total(count: str) -> int:
        charged = {"base", "sft", "policy", *cell.arm.rests_on}
        return sum(int(info.get(count, 0)) for role, info in infos.items() if role in charged)

    return {
        "stages": {role: info["seconds"] for role, info in infos.items() if "seconds" in info},
        "seconds": sum(info.get("seconds", 0.0) for info in infos.values()),
        "seconds_training": infos.get("policy", {}).get("seconds_training"),
        "processor_seconds_training": infos.get("policy", {}).get("processor_seconds_training"),
        "peak_memory_mb": max((info.get("peak_memory_mb", 0.0) for info in infos.values()), default=None),
        "tokens_sampled": total("tokens_sampled"),
        "tokens_trained": total("tokens_trained"),
        "reward_model_calls": total("reward_model_calls"),
        "gold_labels": total("gold_labels"),
    }


def _prompts(infos: Infos) -> Data:
    """How many held-out prompts were asked for, and measured."""
    known = infos.get("reference", {})
    if "prompts_asked" not in known:
        return {}
    return {"prompts_asked": int(known["prompts_asked"]), "prompts_measured": int(known["prompts"])}


def _set_aside(cell: Cell, infos: Infos) -> dict[str, int]:
    """Rows that the task, or a stage, could not use, by the reason."""
    found = dict(cell.task.task.report())
    for info in infos.values():
        found |= {reason: count for reason, count in info.get("set_aside", {}).items() if count}
    return found
