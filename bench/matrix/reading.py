"""Reads matrix files: tasks × models × methods × seeds. Every mistake is refused before anything runs."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel

from bench.catalogue import plugin_files, plugins
from bench.catalogue.plugged_measures import plugged_measures
from bench.contracts.errors import BenchError, nearest
from bench.contracts.plugin import Plugin
from bench.contracts.stage_settings import METHOD_NEEDS, Evaluation, Stages, TinyModel
from bench.contracts.task import Task
from bench.contracts.validation import Source, mapping_of, quoted
from bench.contracts.yaml import Keys, read_yaml
from bench.matrix.cells import CLAIMS, Arm, Cell, Matrix, ModelChoice, TaskChoice, slug
from bench.workbench.method import Method

__all__ = [
    "Arm",
    "Cell",
    "Matrix",
    "ModelChoice",
    "TaskChoice",
    "builtin_matrices",
    "load_matrix",
    "parse_matrix",
]

S = TypeVar("S", bound=BaseModel)
Maker: TypeAlias = Callable[[Keys, str, str, dict[str, Any]], Iterable[tuple[str, Any]]]
"""From keys, label, name (of a task, model or method) and settings: labels with what they stand for."""

_KEYS = ("name", "tasks", "models", "methods", "seeds", "stages", "evaluation", "plugins", "claims")
_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")
_MOST_SEEDS = 1000


def load_matrix(matrix: str | Path, plugins: Iterable[Path] = ()) -> Matrix:
    """Read a matrix file, or the built-in one of that name.

    Args:
        plugins: Python files, packages or folders with methods, tasks or measures, besides those that the matrix names.

    Raises:
        BenchError: the first mistake, with file, line or key, the value, and the nearest valid one.
    """
    builtin = _builtin_files()
    file = builtin.get(str(matrix), Path(matrix))
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
    except (TypeError, ValueError) as error:
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
    if not isinstance(value, dict):
        raise source.error((), f"a matrix is a mapping with the keys {', '.join(_KEYS)}, not {quoted(value)}")
    for key in value:
        if key not in _KEYS:
            raise source.error((key,), f"unknown key{nearest(key, _KEYS)}")
    for key in ("tasks", "methods"):
        if key not in value:
            raise source.error((), f"the key {key!r} is missing")
    named = [Path(file).expanduser().resolve() for file in more_plugins]
    files = tuple(dict.fromkeys([*named, *_plugins(source, value.get("plugins", []))]))
    for file in files:
        if plugin_files.files_of(file) == [file]:  # what is named has to work; what a folder holds, only if it is used
            plugin_files.load(file)
    stages = _section(source, "stages", Stages, value)
    tasks = _choices(source, "tasks", "task", value["tasks"], _plugin_maker(source, files, Task))
    labels = [label for label, _ in tasks]
    methods = _choices(source, "methods", "method", value["methods"], _arm_maker(source, files, stages, labels))
    models = _choices(source, "models", "model", value.get("models", "tiny"), _model_maker(source))
    return Matrix(
        name=_name(source, value.get("name"), default_name),
        tasks=tuple(itertools.starmap(TaskChoice, tasks)),
        models=tuple(itertools.starmap(ModelChoice, models)),
        arms=tuple(Arm(label, *choice) for label, choice in methods),
        seeds=_seeds(source, value.get("seeds", 3)),
        stages=stages,
        evaluation=_section(source, "evaluation", Evaluation, value),
        plugins=files,
        measures=tuple(plugged_measures(files).values()),
        claims=_claims(source, value.get("claims")),
    )


def _choices(source: Source, section: str, kind: str, entries: Any, make: Maker) -> list[tuple[str, Any]]:
    """Labels with what they stand for: tasks, models or methods.

    Args:
        entries: a name, a list of names, or a mapping from labels to settings. A label that is not a name has
            the key `kind` in its settings.
    """
    listed: list[tuple[Keys, Any, dict[str, Any]]]
    if isinstance(entries, str):
        listed = [((section,), entries, {})]
    elif isinstance(entries, list):
        listed = [((section, i), entry, {}) for i, entry in enumerate(entries)]
    else:
        mapping = mapping_of(source, (section,), entries)
        listed = [((section, k), k, mapping_of(source, (section, k), v)) for k, v in mapping.items()]
    if not listed:
        raise source.error((section,), f"empty: name at least one {kind}")
    found: dict[str, Any] = {}
    for keys, label, settings in listed:
        if not isinstance(label, str) or not label.strip():
            raise source.error(keys, f"{quoted(label)} is not the name of a {kind}")
        name = settings.get(kind, label)
        if not isinstance(name, str):
            raise source.error((*keys, kind), f"{quoted(name)} is not the name of a {kind}")
        own = {key: value for key, value in settings.items() if key != kind}
        for full_label, choice in make(keys, label, name, own):
            for other, earlier in found.items():
                if full_label == other:
                    raise source.error(keys, f"duplicate: there are two {section} labelled {other!r}")
                if choice == earlier:
                    raise source.error(keys, f"duplicate: {full_label!r} is the same {kind} as {other!r}")
            found[full_label] = choice
    return list(found.items())


def _plugin_maker(source: Source, files: Sequence[Path], base: type[Plugin]) -> Maker:
    kind = base.__name__.lower()
    known: dict[str, type[Plugin]] = {**(plugins.methods(files) if base is Method else plugins.tasks(files))}

    def make(keys: Keys, label: str, name: str, settings: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        try:
            cls = plugins.find(name, kind, known, files)
        except BenchError as error:
            hint = "" if name.isidentifier() else f" (beside a label of your own, say `{kind}: NAME`)"
            raise source.error(keys, f"{error}{hint}") from None
        for need in getattr(cls, "needs", set()) - set(METHOD_NEEDS):
            raise source.error(keys, f"method {name!r} needs an unknown stage {need!r}{nearest(need, METHOD_NEEDS)}")
        return source.grid(keys, label, cls, settings, f"{kind} {name!r}")

    return make


def _arm_maker(source: Source, files: Sequence[Path], stages: Stages, tasks: Sequence[str]) -> Maker:
    """Methods, each with the matrix's `stages` as the key of that name in its settings changes them.

    The key `tasks` there says on which of the matrix's `tasks` alone the method is to run.
    """
    make_method = _plugin_maker(source, files, Method)
    shared = stages.model_dump(mode="json", exclude_unset=True)

    def make(keys: Keys, label: str, name: str, settings: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        own = mapping_of(source, (*keys, "stages"), settings.get("stages"))
        only = _arm_tasks(source, (*keys, "tasks"), settings.get("tasks"), tasks)
        plain = {key: value for key, value in settings.items() if key not in ("stages", "tasks")}
        for with_method, method in make_method(keys, label, name, plain):
            points = source.grid((*keys, "stages"), with_method, Stages, own, "stages", over=shared)
            yield from ((with_stages, (method, each, only)) for with_stages, each in points)

    return make


def _arm_tasks(source: Source, keys: Keys, value: Any, known: Sequence[str]) -> tuple[str, ...] | None:
    if value is None:
        return None
    labels = [value] if isinstance(value, str) else value
    if not isinstance(labels, list) or not labels:
        raise source.error(keys, f"{quoted(value)} must be the label of a task of this matrix, or a list of them")
    for label in labels:
        if label not in known:
            raise source.error(keys, f"no task {quoted(label)} in this matrix{nearest(str(label), known)}")
    return tuple(labels)


def _model_maker(source: Source) -> Maker:
    def make(keys: Keys, label: str, name: str, settings: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        if name == "tiny":
            return source.grid(keys, label, TinyModel, settings, "model 'tiny'")
        choice = _model_source(source, keys, name)
        for key in settings:
            raise source.error((*keys, key), f"only a tiny model has settings; {name!r} is taken as it is")
        return [(label, choice)]

    return make


def _model_source(source: Source, keys: Keys, name: str) -> Path | str:
    folder = source.path(name)
    if (folder / "config.json").is_file():
        return folder.resolve()
    if folder.is_dir():
        raise source.error(keys, f"the folder {name!r} holds no model: it has no config.json")
    # `models/gtp2` is a misspelt folder where there is a folder `models`, and a name on the hub elsewhere
    if _HUB_NAME.fullmatch(name) and not source.path(name.partition("/")[0]).exists():
        return name
    beside = [str(Path(name).parent / file.parent.name) for file in folder.parent.glob("*/config.json")]
    raise source.error(keys, f"no model {name!r}{nearest(name, ['tiny', *beside])}")


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
    path = builtin.get(value, source.path(value))
    if not path.is_file():
        near = nearest(value, [*builtin, *_yaml_names(path.parent)])
        raise source.error(("claims",), f"no file of claims {value!r}{near}")
    return path.resolve()


def _plugins(source: Source, files: Any) -> list[Path]:
    if isinstance(files, str):
        files = [files]
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise source.error(("plugins",), f"{quoted(files)} must be a list of Python files, or folders of them")
    paths = [source.path(file) for file in files]
    for i, path in enumerate(paths):
        if not path.exists():
            near = nearest(path.name, (file.name for file in path.parent.glob("*.py")))
            raise source.error(("plugins", i), f"no file {files[i]!r}{near}")
        try:
            plugin_files.files_of(path)
        except BenchError as error:
            raise source.error(("plugins", i), str(error)) from None
    return [path.resolve() for path in paths]
