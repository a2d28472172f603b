"""Plug-in files, packages and folders that a person names: which they are, and the module in each, imported."""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from bench.contracts.errors import BenchError, nearest
from bench.contracts.paths import user_path

_loaded: dict[Path, tuple[bytes, ModuleType]] = {}


def files_of(plugin: Path) -> list[Path]:
    """What a person means by `plugin`: that file or package itself, or all files and packages of a mere folder.

    Names that start with ``_`` are left out: helpers of the others.

    Raises:
        BenchError: the folder holds neither.
    """
    plugin = user_path(plugin).resolve()
    if not plugin.is_dir() or _is_package(plugin):
        return [plugin]
    inside = [path for path in sorted(plugin.iterdir()) if path.suffix == ".py" or _is_package(path)]
    found = [path for path in inside if not path.name.startswith("_")]
    if not found:
        raise BenchError(
            f"no plug-in in the folder {str(plugin)!r}: no Python file or package there without a leading _"
        )
    return found


def load(file: Path) -> ModuleType:
    """The module in `file`, imported under a name made from its path; imported again if the file has changed.

    A package (a folder with an ``__init__.py``) is imported once, under its own name.

    Raises:
        BenchError: the file does not exist, or its own code raised an error (which is told, with its line).
    """
    file = user_path(file).resolve()
    if _is_package(file):
        return _load_package(file)
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
    _importable(file.parent)
    try:
        # compiled from the bytes just compared: a stale .pyc would run code that the file no longer holds
        exec(compile(source, file, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BenchError(f"plug-in {file} cannot be imported: {import_failure(error, file)}") from error
    _loaded[file] = (source, module)
    return module


def _load_package(folder: Path) -> ModuleType:
    _importable(folder.parent)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(folder.name)
    except (Exception, SystemExit) as error:
        raise BenchError(f"plug-in {folder} cannot be imported: {import_failure(error, folder)}") from error
    if Path(module.__file__ or "").resolve().parent != folder:
        raise BenchError(
            f"plug-in {folder} cannot be imported: {module.__file__} has its name; give the folder another"
        )
    return module


def _importable(folder: Path) -> None:
    """A plug-in may import what lies beside it; at the end of the path, to hide nothing."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _is_package(path: Path) -> bool:
    return path.name.isidentifier() and (path / "__init__.py").is_file()


def import_failure(error: BaseException, file: Path | None = None) -> str:
    """An error in one line, with the last line of `file` that it passed through; without one, of the last module."""
    if isinstance(error, SyntaxError):
        place = "" if file == Path(error.filename or "") else f"{error.filename}, "
        return f"{type(error).__name__}: {error.msg} ({place}line {error.lineno})"
    text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        where = Path(frame.filename)
        if where.is_relative_to(file) if file else frame.name == "<module>":
            return f"{text} ({'' if file == where else f'{where}, '}line {frame.lineno})"
    return text
