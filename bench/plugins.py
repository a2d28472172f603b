"""Finds methods, tasks and judges: in `methods`, `tasks` and `bench.judges`, and in files that a person names."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from bench.contracts import Judge, Plugin, Task
from bench.errors import BenchError, nearest
from bench.method import Method

P = TypeVar("P", bound=Plugin)

_loaded: dict[Path, tuple[bytes, ModuleType]] = {}


def methods(plugins: Iterable[Path] = ()) -> dict[str, type[Method]]:
    """Every method by name, built-in ones first; what cannot be imported is left out (see `broken`).

    Args:
        plugins: Python files to look in besides the package `methods`.

    Raises:
        BenchError: two methods have the same name; both files are named.
    """
    return _collect(Method, "methods", plugins)  # type: ignore[type-abstract]


def tasks(plugins: Iterable[Path] = ()) -> dict[str, type[Task]]:
    """Every task by name, as `methods` does it."""
    return _collect(Task, "tasks", plugins)  # type: ignore[type-abstract]


def judges(plugins: Iterable[Path] = ()) -> dict[str, type[Judge]]:
    """Every judge by name, as `methods` does it."""
    return _collect(Judge, "bench.judges", plugins)  # type: ignore[type-abstract]


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
    """The files, built-in or named, that cannot be imported, each with its own error."""
    failures: dict[str, str] = {}
    for package in ("methods", "tasks", "bench.judges"):
        list(_modules(package, plugins, failures))
    return failures


def load(file: Path) -> ModuleType:
    """The module in `file`, imported under a name made from its path; imported again if the file has changed.

    Raises:
        BenchError: the file does not exist, or its own code raised an error (which is told, with its line).
    """
    file = Path(file).expanduser().resolve()
    try:
        source = file.read_bytes()
    except FileNotFoundError:
        near = nearest(file.name, (each.name for each in file.parent.glob("*.py")))
        raise BenchError(f"no plug-in file {str(file)!r}{near}") from None
    except OSError as error:
        raise BenchError(f"plug-in {file} cannot be read: {error.strerror}") from None
    if file in _loaded and _loaded[file][0] == source:
        return _loaded[file][1]
    name = f"bench_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, file)
    if spec is None:
        raise BenchError(f"plug-in {file} is not a Python file: its name must end in .py")
    module = sys.modules[name] = module_from_spec(spec)
    if str(file.parent) not in sys.path:  # a plug-in may import what lies beside it; at the end, to hide nothing
        sys.path.append(str(file.parent))
    try:
        # compiled from the bytes just compared: a stale .pyc would run code that the file no longer holds
        exec(compile(source, file, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BenchError(f"plug-in {file} cannot be imported: {_reason(error, file)}") from error
    _loaded[file] = (source, module)
    return module


def _modules(package: str, plugins: Iterable[Path], failures: dict[str, str]) -> Iterator[ModuleType]:
    """The package's modules, then the plug-in files; those that cannot be imported go to `failures`."""
    folder = importlib.import_module(package)
    for found in pkgutil.iter_modules(folder.__path__, f"{package}."):
        try:
            yield importlib.import_module(found.name)
        except (Exception, SystemExit) as error:
            spec = found.module_finder.find_spec(found.name, None)
            file = (spec.origin if spec else None) or found.name
            failures[file] = _reason(error, Path(file))
    for plugin in dict.fromkeys(Path(each).expanduser().resolve() for each in plugins):
        try:
            yield load(plugin)
        except BenchError as error:
            cause = error.__cause__
            failures[str(plugin)] = _reason(cause, plugin) if cause else str(error)


def _collect(kind: type[P], package: str, plugins: Iterable[Path]) -> dict[str, type[P]]:
    found: dict[str, type[P]] = {}
    for module in _modules(package, plugins, {}):
        for plugin in vars(module).values():
            if not _is_concrete(plugin, kind, module.__name__):
                continue
            other = found.setdefault(plugin.name, plugin)
            if other is not plugin:
                origins = f"{inspect.getfile(other)} and {inspect.getfile(plugin)}"
                raise BenchError(f"two {package.removeprefix('bench.')} are called {plugin.name!r}: in {origins}")
    return found


def _is_concrete(candidate: object, kind: type[Plugin], module: str) -> bool:
    """Is it a finished class of this kind, defined in this module or package and not just imported there?"""
    return (
        isinstance(candidate, type)
        and issubclass(candidate, kind)
        and f"{candidate.__module__}.".startswith(f"{module}.")
        and not inspect.isabstract(candidate)
        and not candidate.__name__.startswith("_")
    )


def _reason(error: BaseException, file: Path) -> str:
    """An error in one line, with the last line of `file` that it passed through."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} (line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    where = f" (line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}{where}"
