"""Alignment bench: interchangeable alignment methods on shared tasks, measured alike.

The face of the package: all that a plug-in builds on. A name is imported when it is first asked for, so that a stage's
key rests on what the stage really uses, and `bench --help` on next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # read by type checkers, and by `bench.store.source`, which follows these names to their modules
    from bench.authoring.checking.method_trial import MethodTrial
    from bench.authoring.checking.promises import judge_checks, measure_checks, method_checks, task_checks
    from bench.contracts.annotator import Annotated
    from bench.contracts.errors import BenchError, Diverged
    from bench.contracts.judge import Judge
    from bench.contracts.measure import COLUMNS, Measure
    from bench.contracts.plugin import CONTRACT, Field
    from bench.contracts.search_space import Choice, Range, SearchSpace
    from bench.contracts.task import Completion, Probe, Prompt, Rating, Task
    from bench.models.encoding import text_of
    from bench.running.run import Run, run
    from bench.workbench.method import Method
    from bench.workbench.policy import ModelPolicy, Policy, Samples
    from bench.workbench.workbench import Workbench

__all__ = [
    "COLUMNS",
    "CONTRACT",
    "Annotated",
    "BenchError",
    "Choice",
    "Completion",
    "Diverged",
    "Field",
    "Judge",
    "Measure",
    "Method",
    "MethodTrial",
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
    "judge_checks",
    "measure_checks",
    "method_checks",
    "run",
    "task_checks",
    "text_of",
]

_MODULES = {
    "bench.authoring.checking.promises": ("judge_checks", "measure_checks", "method_checks", "task_checks"),
    "bench.authoring.checking.method_trial": ("MethodTrial",),
    "bench.contracts.annotator": ("Annotated",),
    "bench.contracts.errors": ("BenchError", "Diverged"),
    "bench.contracts.judge": ("Judge",),
    "bench.contracts.measure": ("COLUMNS", "Measure"),
    "bench.contracts.plugin": ("CONTRACT", "Field"),
    "bench.contracts.search_space": ("Choice", "Range", "SearchSpace"),
    "bench.contracts.task": ("Completion", "Probe", "Prompt", "Rating", "Task"),
    "bench.models.encoding": ("text_of",),
    "bench.running.run": ("Run", "run"),
    "bench.workbench.method": ("Method",),
    "bench.workbench.policy": ("ModelPolicy", "Policy", "Samples"),
    "bench.workbench.workbench": ("Workbench",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
