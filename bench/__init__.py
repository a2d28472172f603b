"""Alignment bench: interchangeable alignment methods on shared tasks, measured alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.contracts import Completion, Field, Judge, Probe, Prompt, Task
from bench.errors import BenchError, Diverged
from bench.method import Method
from bench.policy import ModelPolicy, Policy, Samples
from bench.search_space import Choice, Range, SearchSpace
from bench.workbench import Workbench

if TYPE_CHECKING:
    from bench.runner import Run, run

__all__ = [
    "BenchError",
    "Choice",
    "Completion",
    "Diverged",
    "Field",
    "Judge",
    "Method",
    "ModelPolicy",
    "Policy",
    "Probe",
    "Prompt",
    "Range",
    "Run",
    "Samples",
    "SearchSpace",
    "Task",
    "Workbench",
    "run",
]


def __getattr__(name: str) -> Any:
    # `runner` sits on the top floor; importing it late keeps the floors below free of it
    if name in ("run", "Run"):
        import importlib

        return getattr(importlib.import_module("bench.runner"), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
