"""The record of a cell: one JSON file, with the curve, the completions and the probe answers beside it."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.contracts.plugin import Settings
from bench.matrix.reading import Cell
from bench.store.store import write_atomically

SCHEMA = 1
OK, DIVERGED, FAILED, SKIPPED = "ok", "diverged", "failed", "skipped"
_OF_REWARD_MODELS = ("accuracy", "pairs", "ratings", "curve")
FRAMES = ("curve.parquet", "training.parquet", "completions.parquet", "probes.parquet")


@cache
def versions() -> dict[str, str]:
    """Releases of the bench and of the libraries that results depend on."""
    import platform

    from bench.stages.graph import library_versions

    return {
        "alignment-bench": version("alignment-bench"),
        "python": platform.python_version(),
        **library_versions(),
    }


@cache
def commit() -> str | None:
    """The git commit of the bench's source, with ``-dirty`` appended where it was changed; None outside a checkout."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(here)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("-dirty" if changed.strip() else "")


def identity(cell: Cell) -> dict[str, Any]:
    """What a cell is: task, model, method with all hyper-parameters, shared stages with all settings, seed."""
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
    status: str,
    reason: str | None,
    infos: Mapping[str, Mapping[str, Any]],
    step: int | None = None,
    device: str = "cpu",
    key: str | None = None,
) -> dict[str, Any]:
    """Assemble a record from what the cell's stages reported (`infos`, by role; those that ran).

    `key` is that of the cell's last stage: whoever has a record of the same key need not run the cell.

    Shared stages are charged to every cell that rests on them: a cell's cost is what it would cost alone. What
    only measures a cell (the reward model of a method that takes none) costs it time, but no labels and no tokens.
    """
    evaluation = infos.get("evaluation", {})
    set_aside = dict(cell.task.task.report())
    for info in infos.values():
        for reason_aside, count in info.get("set_aside", {}).items():
            if count:
                set_aside[reason_aside] = count
    measures = dict(evaluation.get("measures", {})) | infos.get("policy", {}).get("figures", {})
    reward_model = {
        role: {name: value for name, value in infos[role].items() if name.startswith(_OF_REWARD_MODELS)}
        for role in ("reward_model", "judge")
        if role in infos
    }
    if "reward_model" in reward_model:
        measures |= infos["reward_model"].get("measures", {})
    charged = {"base", "sft", "policy", *cell.arm.rests_on}
    counted = {
        name: sum(int(info.get(name, 0)) for role, info in infos.items() if role in charged)
        for name in ("tokens_sampled", "tokens_trained", "reward_model_calls", "gold_labels")
    }
    return {
        "schema": SCHEMA,
        "key": key,
        "cell": identity(cell),
        "status": status,
        "reason": reason,
        "step": step,
        "judge": evaluation.get("judge"),
        "measures": {name: _finite(value) for name, value in measures.items()},
        "reward_models": reward_model,
        "cost": {
            "stages": {role: info["seconds"] for role, info in infos.items() if "seconds" in info},
            "seconds": sum(info.get("seconds", 0.0) for info in infos.values()),
            "seconds_training": infos.get("policy", {}).get("seconds_training"),
            "peak_memory_mb": max((info.get("peak_memory_mb", 0.0) for info in infos.values()), default=None),
            **counted,
        },
        "data": {"set_aside": set_aside, "about": cell.task.task.about()},
        "device": device,
        "versions": versions(),
        "commit": commit(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_record(directory: Path, record: Mapping[str, Any]) -> None:
    """Write ``record.json`` into a cell's folder, whole or not at all."""
    write_atomically(directory / "record.json", json.dumps(record, indent=1))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
