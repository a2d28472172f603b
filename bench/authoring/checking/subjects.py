"""What `bench check` is to check: one thing by its name, or all that a file defines."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.authoring.checking import promises
from bench.authoring.checking.check import Check
from bench.catalogue import plugins
from bench.catalogue.plugged_measures import plugged_measures
from bench.contracts.errors import BenchError, nearest
from bench.contracts.paths import user_path
from bench.contracts.plugin import Plugin
from bench.contracts.validation import assigned

Files = Iterable[Path]


@dataclass(frozen=True)
class Kind:
    """One kind of thing that can be checked: how all of it are found, and what is promised of one."""

    name: str
    all: Callable[[Files], Mapping[str, type[Any]]]
    checks: Callable[[Any], list[Check[Any]]]


KINDS = (
    Kind("method", plugins.methods, promises.method_checks),
    Kind("task", plugins.tasks, promises.task_checks),
    Kind("judge", plugins.judges, promises.judge_checks),
    Kind("measure", plugged_measures, promises.measure_checks),
)
ANY = "method, task, judge or measure"


@dataclass(frozen=True)
class Subject:
    """Something to check: its kind, name and settings."""

    kind: Kind
    name: str
    plugin: Plugin

    def checks(self) -> list[Check[Any]]:
        """All that is promised of it."""
        return self.kind.checks(self.plugin)

    def __str__(self) -> str:
        return f"{self.kind.name} {self.name}"


def find_subjects(target: str, files: Files = (), settings: Iterable[str] = ()) -> list[Subject]:
    """What `target` names: one thing by its name, or all that a plug-in file defines.

    Args:
        files: plug-ins to look in for a name.
        settings: ``KEY=VALUE`` texts for the one thing that is found.

    Raises:
        BenchError: nothing is found, the file cannot be imported, or a setting is wrong or missing.
    """
    files, settings = list(files), list(settings)
    found = _defined_in(Path(target), files) if _is_path(target) else _called(target, files)
    if settings and len(found) > 1:
        names = ", ".join(name for _, name, _ in found)
        raise BenchError(f"--set is for one thing, and {target} defines {names}: name one, and the file as --plugin")
    return [Subject(kind, name, assigned(cls, settings, f"{kind.name} {name!r}")) for kind, name, cls in found]


def _is_path(target: str) -> bool:
    return target.endswith(".py") or os.sep in target or Path(target).is_dir()


def _defined_in(file: Path, files: list[Path]) -> list[tuple[Kind, str, type[Any]]]:
    origin = user_path(file).resolve()
    found = [
        (kind, name, cls)
        for kind in KINDS
        for name, cls in kind.all([*files, file]).items()
        if Path(inspect.getfile(cls)).resolve().is_relative_to(origin)
    ]
    broken = plugins.broken([file])
    for name in broken.keys() - plugins.broken().keys():
        raise BenchError(f"{name} cannot be imported: {broken[name]}")
    if not found:
        raise BenchError(f"{file} defines no {ANY}")
    return found


def _called(name: str, files: list[Path]) -> list[tuple[Kind, str, type[Any]]]:
    known = {kind: kind.all(files) for kind in KINDS}
    found = [(kind, name, known[kind][name]) for kind in KINDS if name in known[kind]]
    if not found:
        raise BenchError(f"no {ANY} is called {name!r}{nearest(name, {n for each in known.values() for n in each})}")
    return found
