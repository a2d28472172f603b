"""`bench check`: what is promised of methods, tasks, judges and measures, checked on a tiny world, in plain words.

In a test suite of your own, one test per promise:

    @pytest.mark.parametrize("check", method_checks(MyMethod))
    def test_my_method(check):
        check()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bench.authoring.checking.check import Broken, Check, Unsuited, Verdict

if TYPE_CHECKING:
    from bench.authoring.checking.tasks import TaskTrial
    from bench.authoring.checking.trial import MethodTrial
    from bench.contracts.judge import Judge
    from bench.contracts.measure import Measure
    from bench.contracts.plugin import Plugin
    from bench.contracts.task import Task
    from bench.workbench.method import Method

    P = TypeVar("P", bound=Plugin)

__all__ = ["Broken", "Check", "Unsuited", "Verdict", "judge_checks", "measure_checks", "method_checks", "task_checks"]


def method_checks(method: type[Method] | Method) -> list[Check[MethodTrial]]:
    """All that is promised of a method (with settings of yours, or its defaults); the checks share its trainings."""
    from bench.authoring.checking.methods import promised
    from bench.authoring.checking.trial import MethodTrial

    return promised.of(MethodTrial(_made(method)))


def task_checks(task: type[Task] | Task) -> list[Check[TaskTrial]]:
    """All that is promised of a task."""
    from bench.authoring.checking.tasks import TaskTrial, promised

    return promised.of(TaskTrial(_made(task)))


def judge_checks(judge: type[Judge] | Judge) -> list[Check[Judge]]:
    """All that is promised of a judge."""
    from bench.authoring.checking.judges import promised

    return promised.of(_made(judge))


def measure_checks(measure: type[Measure] | Measure) -> list[Check[Measure]]:
    """All that is promised of a measure."""
    from bench.authoring.checking.measures import promised

    return promised.of(_made(measure))


def _made(plugin: type[P] | P) -> P:
    return plugin() if isinstance(plugin, type) else plugin
