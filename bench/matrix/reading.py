"""Reads matrix files: tasks × models × methods × seeds. Every mistake is refused before anything runs."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from bench.catalogue import plugin_files
from bench.catalogue.plugged_measures import plugged_measures
from bench.contracts.errors import BenchError, nearest
from bench.contracts.paths import user_path
from bench.contracts.stage_settings import Evaluation, Stages
from bench.contracts.validation import Source, mapping_of, quoted
from bench.contracts.yaml import read_yaml
from bench.matrix.cells import CLAIMS, Arm, Matrix, ModelChoice, TaskChoice, slug
from bench.matrix.choices import arms_of, choices, models_of, tasks_of

S = TypeVar("S", bound=BaseModel)
_KEYS = ("name", "tasks", "models", "methods", "seeds", "stages", "evaluation", "plugins", "claims")
_MOST_SEEDS = 1000
_MOST_CELLS = 100_000


def load_matrix(matrix: str | Path, plugins: Iterable[Path] = ()) -> Matrix:
    """Read a matrix file, or the built-in one of that name.

    Args:
        plugins: Python files, packages or folders with methods, tasks or measures, besides those that the matrix names.

    Raises:
        BenchError: the first mistake, with file, line or key, the value, and the nearest valid one.
    """
    builtin = _builtin_files()
    file = builtin.get(str(matrix)) or user_path(matrix)
    name = file.name if str(matrix) in builtin else str(matrix)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        near = nearest(file.name, {*builtin, *_yaml_names(file.parent)})
        raise BenchError(f"no matrix file and no built-in matrix {name!r}{near}") from None
    except IsADirectoryError:
        raise BenchError(f"{name!r} is a folder, not a matrix file{nearest('', _yaml_names(file))}") from None
    except OSError as error:
        raise BenchError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BenchError(f"{name}, line {line}: not UTF-8: byte 0x{error.object[error.start]:02x}") from None
    value, lines = read_yaml(text, name)
    return _parse(value, Source(name, file.parent.absolute(), lines), file.stem, plugins)


def parse_matrix(mapping: dict[str, Any], origin: str = "matrix", plugins: Iterable[Path] = ()) -> Matrix:
    """The same from a Python mapping; relative paths start in the working directory.

    Args:
        origin: how errors call it, and its name where it has none of its own.
    """
    try:
        plain = json.loads(json.dumps(mapping, default=_path_as_text))
    except (TypeError, ValueError, RecursionError) as error:
        raise BenchError(f"{origin}: {error}") from None
    return _parse(plain, Source(origin, Path.cwd()), origin, plugins)


def builtin_matrices() -> dict[str, str]:
    """Name and description (the first line, a comment) of the matrices that come with the bench."""
    files = _builtin_files()
    return {name: file.read_text("utf-8").partition("\n")[0].lstrip("# ") for name, file in files.items()}


def _builtin_files() -> dict[str, Path]:
    folder = Path(str(resources.files("bench.matrix") / "matrices"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def _yaml_names(folder: Path) -> list[str]:
    return [file.name for pattern in ("*.yaml", "*.yml") for file in folder.glob(pattern)]


def _path_as_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} is nothing that a matrix can hold")


def _parse(value: Any, source: Source, default_name: str, more_plugins: Iterable[Path]) -> Matrix:
    _check_keys(source, value)
    files = _plugin_files(source, value.get("plugins", []), more_plugins)
    stages = _section(source, "stages", Stages, value)
    tasks = choices(source, "tasks", "task", value["tasks"], tasks_of(source, files))
    labels = [label for label, _ in tasks]
    arms = choices(source, "methods", "method", value["methods"], arms_of(source, files, stages, labels))
    models = choices(source, "models", "model", value.get("models", "tiny"), models_of(source))
    seeds = _seeds(source, value.get("seeds", 3))
    count = len(tasks) * len(models) * len(arms) * len(seeds)
    if count > _MOST_CELLS:
        sizes = f"{len(tasks)} tasks × {len(models)} models × {len(arms)} arms × {len(seeds)} seeds"
        raise source.error((), f"{count:,} cells, {sizes}; the most is {_MOST_CELLS:,}")
    return Matrix(
        name=_name(source, value.get("name"), default_name),
        tasks=tuple(itertools.starmap(TaskChoice, tasks)),
        models=tuple(itertools.starmap(ModelChoice, models)),
        arms=tuple(Arm(label, *settings) for label, settings in arms),
        seeds=seeds,
        stages=stages,
        evaluation=_section(source, "evaluation", Evaluation, value),
        plugins=files,
        measures=tuple(plugged_measures(files).values()),
        claims=_claims(source, value.get("claims")),
    )


def _check_keys(source: Source, value: Any) -> None:
    if not isinstance(value, dict):
        raise source.error((), f"a matrix is a mapping with the keys {', '.join(_KEYS)}, not {quoted(value)}")
    for key in value:
        if key not in _KEYS:
            raise source.error((key,), f"unknown key{nearest(key, _KEYS)}")
    for key in ("tasks", "methods"):
        if key not in value:
            raise source.error((), f"the key {key!r} is missing")


def _plugin_files(source: Source, written: Any, more: Iterable[Path]) -> tuple[Path, ...]:
    """Those of the command line, then those that the matrix names; each that is a file is imported."""
    named = [user_path(file).resolve() for file in more]
    files = tuple(dict.fromkeys([*named, *_written_plugins(source, written)]))
    for file in files:
        if plugin_files.files_of(file) == [file]:  # what is named has to work; what a folder holds, only if it is used
            plugin_files.load(file)
    return files


def _name(source: Source, name: Any, default: str) -> str:
    if name is None:
        return slug(default)
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w. -]*", name):
        raise source.error(("name",), f"{quoted(name)} must be made of letters, digits, space, '.', '_' and '-'")
    return name


def _seeds(source: Source, seeds: Any) -> tuple[int, ...]:
    def is_whole(number: Any) -> bool:
        return isinstance(number, int) and not isinstance(number, bool)

    if is_whole(seeds):
        if not 1 <= seeds <= _MOST_SEEDS:
            problem = f"{seeds} is not between 1 and {_MOST_SEEDS}; a certain seed is a list, [{seeds}]"
            raise source.error(("seeds",), problem)
        return tuple(range(seeds))
    if not isinstance(seeds, list):
        raise source.error(("seeds",), f"{quoted(seeds)} must be a whole number (how many) or a list of them")
    if not seeds:
        raise source.error(("seeds",), "empty: name at least one seed")
    for i, seed in enumerate(seeds):
        if not is_whole(seed) or seed < 0:
            raise source.error(("seeds", i), f"{quoted(seed)} must be a whole number from 0 upwards")
        if seed in seeds[:i]:
            raise source.error(("seeds", i), f"duplicate: the seed {seed} is there twice")
    return tuple(seeds)


def _section(source: Source, section: str, cls: type[S], value: dict[str, Any]) -> S:
    settings = mapping_of(source, (section,), value.get(section))
    return source.settings((section,), cls, settings, section)


def _claims(source: Source, value: Any) -> Path | None:
    """The file that `value` names, or the built-in one of that name."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise source.error(("claims",), f"{quoted(value)} must be a file of claims, or the name of a built-in one")
    builtin = {file.stem: file for file in CLAIMS.glob("*.yaml")}
    path = builtin.get(value) or source.path(("claims",), value)
    if not path.is_file():
        near = nearest(value, [*builtin, *_yaml_names(path.parent)])
        raise source.error(("claims",), f"no file of claims {value!r}{near}")
    return path.resolve()


def _written_plugins(source: Source, files: Any) -> list[Path]:
    if isinstance(files, str):
        files = [files]
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise source.error(("plugins",), f"{quoted(files)} must be a list of Python files, or folders of them")
    paths = [source.path(("plugins", i), file) for i, file in enumerate(files)]
    for i, path in enumerate(paths):
        if not path.exists():
            near = nearest(path.name, (file.name for file in path.parent.glob("*.py")))
            raise source.error(("plugins", i), f"no file {files[i]!r}{near}")
        try:
            plugin_files.files_of(path)
        except BenchError as error:
            raise source.error(("plugins", i), str(error)) from None
    return [path.resolve() for path in paths]
