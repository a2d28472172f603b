"""Every built-in method, task and judge keeps what is promised, with settings that take a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.authoring.checking import promises
from bench.authoring.checking.check import Verdict
from bench.catalogue import plugins
from bench.contracts.plugin import Plugin

QUICK: dict[str, Any] = {
    "steps": 2,
    "rollouts": 16,
    "labels": 16,
    "refreshes": 2,
    "rounds": 2,
    "prompts": 4,
    "samples": 64,
    "repetitions": 2,
    "critic_rollouts": 4,
}
"""Of whichever method has them."""


def broken(checks: list[Any]) -> list[Verdict]:
    return [verdict for check in checks if (verdict := check.verdict()).status == "broken"]


def quick(cls: type[Plugin]) -> Any:
    return cls(**{name: value for name, value in QUICK.items() if name in cls.model_fields})


@pytest.mark.parametrize("name", plugins.methods())
def test_methods(name: str) -> None:
    assert broken(promises.method_checks(quick(plugins.methods()[name]))) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", plugins.methods())
def test_methods_as_they_are_set(name: str) -> None:
    assert broken(promises.method_checks(plugins.methods()[name])) == []


@pytest.mark.parametrize("name", sorted(plugins.tasks().keys() - {"dataset"}))
def test_tasks(name: str) -> None:
    assert broken(promises.task_checks(plugins.tasks()[name])) == []


def test_a_data_set(tmp_path: Path) -> None:
    rows = [{"prompt": f"Question {i}?", "chosen": f" yes {i}", "rejected": f" no {i}"} for i in range(80)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert broken(promises.task_checks(plugins.tasks()["dataset"](path=tmp_path / "rows.json"))) == []


@pytest.mark.parametrize("name", plugins.judges())
def test_judges(name: str) -> None:
    try:
        judge = plugins.judges()[name]()
    except ValueError:
        pytest.skip("it has settings without a default")
    assert broken(promises.judge_checks(judge)) == []
