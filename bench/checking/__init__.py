"""`bench check`: what is promised of methods, tasks, judges and measures, checked on a tiny world, in plain words.

In a test suite of your own, one test per promise:

    @pytest.mark.parametrize("check", method_checks(MyMethod))
    def test_my_method(check):
        check()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bench.checking.check import Broken, Check, Unsuited, Verdict

if TYPE_CHECKING:
    from bench.checking.tasks import TaskTrial
    from bench.checking.trial import Trial
    from bench.contracts import Judge, Plugin, Task
    from bench.measure import Measure
    from bench.method import Method

    P = TypeVar("P", bound=Plugin)

__all__ = ["Broken", "Check", "Unsuited", "Verdict", "judge_checks", "measure_checks", "method_checks", "task_checks"]


def method_checks(method: type[Method] | Method) -> list[Check[Trial]]:
    """All that is promised of a method (with settings of yours, or its defaults); the checks share its trainings."""
    from bench.checking.methods import promised
    from bench.checking.trial import Trial

    return promised.of(Trial(_made(method)))


def task_checks(task: type[Task] | Task) -> list[Check[TaskTrial]]:
    """All that is promised of a task."""
    from bench.checking.tasks import TaskTrial, promised

    return promised.of(TaskTrial(_made(task)))


def judge_checks(judge: type[Judge] | Judge) -> list[Check[Judge]]:
    """All that is promised of a judge."""
    from bench.checking.judges import promised

    return promised.of(_made(judge))


def measure_checks(measure: type[Measure] | Measure) -> list[Check[Measure]]:
    """All that is promised of a measure."""
    from bench.checking.measures import promised

    return promised.of(_made(measure))


def _made(plugin: type[P] | P) -> P:
    return plugin() if isinstance(plugin, type) else plugin
