"""Finds methods, tasks, judges and measures: built-in ones, those of installed packages, and those a person names.

A package adds its own by entry points in the groups ``alignment_bench.methods``, ``.tasks``, ``.judges`` and
``.measures``; each names a class, or a module with classes. A person names Python files, packages, and folders of both.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from bench.catalogue.plugin_files import files_of, import_failure, load
from bench.contracts.errors import BenchError, nearest
from bench.contracts.judge import Judge
from bench.contracts.measure import Measure
from bench.contracts.plugin import Plugin
from bench.contracts.task import Task
from bench.workbench.method import Method

P = TypeVar("P", bound=Plugin)

_BUILT_IN = {"methods": "methods", "tasks": "tasks", "judges": "bench.judging.judges", "measures": None}
"""By kind: the package whose modules have the bench's own. Its own measures are functions, see `bench.measures`."""


def methods(plugins: Iterable[Path] = ()) -> dict[str, type[Method]]:
    """Every method by name, built-in ones first; what cannot be imported is left out (see `broken`).

    Args:
        plugins: Python files, packages or folders to look in besides the package `methods` and installed packages.

    Raises:
        BenchError: two methods have the same name; both origins are named.
    """
    return _collect(Method, "methods", plugins)  # type: ignore[type-abstract]


def tasks(plugins: Iterable[Path] = ()) -> dict[str, type[Task]]:
    """Every task by name, as `methods` does it."""
    return _collect(Task, "tasks", plugins)  # type: ignore[type-abstract]


def judges(plugins: Iterable[Path] = ()) -> dict[str, type[Judge]]:
    """Every judge by name, as `methods` does it."""
    return _collect(Judge, "judges", plugins)  # type: ignore[type-abstract]


def measures(plugins: Iterable[Path] = ()) -> dict[str, type[Measure]]:
    """Every measure by name that is not built in, as `methods` does it (see `bench.measures.registry` for those)."""
    return _collect(Measure, "measures", plugins)  # type: ignore[type-abstract]


def find_method(name: str, plugins: Iterable[Path] = ()) -> type[Method]:
    """The method called `name`; BenchError with the nearest name if there is none."""
    plugins = list(plugins)
    return find(name, "method", methods(plugins), plugins)


def find_task(name: str, plugins: Iterable[Path] = ()) -> type[Task]:
    """The task called `name`; BenchError with the nearest name if there is none."""
    plugins = list(plugins)
    return find(name, "task", tasks(plugins), plugins)


def find_judge(name: str, plugins: Iterable[Path] = ()) -> type[Judge]:
    """The judge called `name`; BenchError with the nearest name if there is none."""
    plugins = list(plugins)
    return find(name, "judge", judges(plugins), plugins)


def find(name: str, kind: str, known: dict[str, type[P]], plugins: Iterable[Path] = ()) -> type[P]:
    """`known[name]`, or a BenchError with the nearest name and the files that could not be searched."""
    if name in known:
        return known[name]
    unread = "".join(f"; {file} could not be searched: {error}" for file, error in broken(plugins).items())
    raise BenchError(f"unknown {kind} {name!r}{nearest(name, known)}{unread}")


def broken(plugins: Iterable[Path] = ()) -> dict[str, str]:
    """The files, built-in or named, and the entry points that cannot be imported, each with its own error."""
    plugins = list(plugins)
    failures: dict[str, str] = {}
    bases: dict[str, type[Plugin]] = {"methods": Method, "tasks": Task, "judges": Judge, "measures": Measure}
    for kind, base in bases.items():
        list(_sources(kind, base, plugins, failures))
    return failures


@functools.lru_cache(maxsize=4)
def _entry_points(path: tuple[str, ...]) -> dict[str, tuple[EntryPoint, ...]]:
    """Those of the packages installed on `path` (that is, `sys.path`), by kind."""
    installed = entry_points()
    return {kind: tuple(installed.select(group=f"alignment_bench.{kind}")) for kind in _BUILT_IN}


def _sources(
    kind: str, base: type[P], plugins: Iterable[Path], failures: dict[str, str]
) -> Iterator[tuple[str, list[type[P]]]]:
    """Built-in modules, entry points and named files: the origin in words, and the classes it adds to `kind`.

    What cannot be imported, and an entry point that adds nothing, goes to `failures`.
    """
    package = _BUILT_IN[kind]
    folder = importlib.import_module(package) if package else None
    for found in pkgutil.iter_modules(folder.__path__, f"{package}.") if folder else ():
        spec = found.module_finder.find_spec(found.name, None)
        origin = (spec.origin if spec else None) or found.name
        try:
            yield origin, _classes(importlib.import_module(found.name), base)
        except (Exception, SystemExit) as error:
            failures[origin] = import_failure(error, Path(origin))
    for entry in _entry_points(tuple(sys.path))[kind]:
        origin = f"{_distribution(entry)} ({entry.group}: {entry.name} = {entry.value})"
        try:
            place = entry.load()
        except (Exception, SystemExit) as error:
            failures[origin] = import_failure(error)
            continue
        classes = _classes(place, base)
        if not classes:
            failures[origin] = f"neither a finished subclass of {base.__name__} nor a module that defines one"
        yield origin, classes
    for file in _files_of_all(plugins, failures):
        try:
            yield str(file), _classes(load(file), base)
        except BenchError as error:
            cause = error.__cause__
            failures[str(file)] = import_failure(cause, file) if cause else str(error)


def _files_of_all(plugins: Iterable[Path], failures: dict[str, str]) -> Iterable[Path]:
    files: dict[Path, None] = {}
    for plugin in plugins:
        try:
            files |= dict.fromkeys(files_of(plugin))
        except BenchError as error:
            failures[str(plugin)] = str(error)
    return files


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an installed package"


def _collect(base: type[P], kind: str, plugins: Iterable[Path]) -> dict[str, type[P]]:
    found: dict[str, type[P]] = {}
    origins: dict[str, str] = {}
    for origin, classes in _sources(kind, base, plugins, {}):
        for plugin in classes:
            other = found.setdefault(plugin.name, plugin)
            where = origins.setdefault(plugin.name, origin)
            if not _same(other, plugin):
                raise BenchError(f"two {kind} are called {plugin.name!r}: in {where} and {origin}")
    return found


def _same(one: type, other: type) -> bool:
    """Are they one class, though perhaps imported twice, as a file and as part of an installed package?"""
    return one is other or (
        one.__qualname__ == other.__qualname__ and Path(inspect.getfile(one)).samefile(inspect.getfile(other))
    )


def _classes(place: object, base: type[P]) -> list[type[P]]:
    """`place` itself if it is a finished class of this kind, or those that it, a module or package, defines."""
    if isinstance(place, ModuleType):
        candidates = [each for each in vars(place).values() if isinstance(each, type)]
        own = [each for each in candidates if f"{each.__module__}.".startswith(f"{place.__name__}.")]
        return [each for each in own if issubclass(each, base) and _is_finished(each)]
    return [place] if isinstance(place, type) and issubclass(place, base) and _is_finished(place) else []


def _is_finished(cls: type) -> bool:
    return not inspect.isabstract(cls) and not cls.__name__.startswith("_")
