"""All that is promised of a method, task, judge or measure, as a list of checks.

In a test suite of your own, one test per promise:

    @pytest.mark.parametrize("check", method_checks(MyMethod))
    def test_my_method(check):
        check()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bench.authoring.checking.check import Check

if TYPE_CHECKING:
    from bench.authoring.checking.method_trial import MethodTrial
    from bench.authoring.checking.task_trial import TaskTrial
    from bench.contracts.judge import Judge
    from bench.contracts.measure import Measure
    from bench.contracts.plugin import Plugin
    from bench.contracts.task import Task
    from bench.workbench.method import Method

    P = TypeVar("P", bound=Plugin)


def method_checks(method: type[Method] | Method) -> list[Check[MethodTrial]]:
    """All that is promised of a method (with settings of yours, or its defaults); the checks share its trainings."""
    from bench.authoring.checking.method_trial import MethodTrial
    from bench.authoring.checking.methods import promised

    return promised.of(MethodTrial(_instance(method)))


def task_checks(task: type[Task] | Task) -> list[Check[TaskTrial]]:
    """All that is promised of a task."""
    from bench.authoring.checking.task_trial import TaskTrial
    from bench.authoring.checking.tasks import promised

    return promised.of(TaskTrial(_instance(task)))


def judge_checks(judge: type[Judge] | Judge) -> list[Check[Judge]]:
    """All that is promised of a judge."""
    from bench.authoring.checking.judges import promised

    return promised.of(_instance(judge))


def measure_checks(measure: type[Measure] | Measure) -> list[Check[Measure]]:
    """All that is promised of a measure."""
    from bench.authoring.checking.measures import promised

    return promised.of(_instance(measure))


def _instance(plugin: type[P] | P) -> P:
    return plugin() if isinstance(plugin, type) else plugin
