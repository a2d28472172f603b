"""Alignment bench: interchangeable alignment methods on shared tasks, measured alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.contracts import CONTRACT, Completion, Field, Judge, Probe, Prompt, Rating, Task
from bench.errors import BenchError, Diverged
from bench.method import Method
from bench.policy import ModelPolicy, Policy, Samples
from bench.search_space import Choice, Range, SearchSpace
from bench.workbench import Workbench

if TYPE_CHECKING:
    from bench.measure import Measure
    from bench.runner import Run, run

__all__ = [
    "CONTRACT",
    "BenchError",
    "Choice",
    "Completion",
    "Diverged",
    "Field",
    "Judge",
    "Measure",
    "Method",
    "ModelPolicy",
    "Policy",
    "Probe",
    "Prompt",
    "Range",
    "Rating",
    "Run",
    "Samples",
    "SearchSpace",
    "Task",
    "Workbench",
    "run",
]


# what stands on a floor above is imported late: or the floors below would rest on it, and every stage's key with them
_LATE = {"Measure": "bench.measure", "Run": "bench.runner", "run": "bench.runner"}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        import importlib

        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
