"""What stands under `tasks`, `models` and `methods` in a matrix file: labels, and every point of their grids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from bench.catalogue import plugins
from bench.contracts.errors import BenchError, nearest
from bench.contracts.escaping import command_in
from bench.contracts.plugin import Plugin, Settings
from bench.contracts.stage_settings import METHOD_NEEDS, Stages, TinyModel
from bench.contracts.validation import Source, mapping_of, quoted
from bench.contracts.yaml import Keys
from bench.models.weights_on_disk import fault_of, fault_of_kind

Expand: TypeAlias = Callable[[Keys, str, str, dict[str, Any]], Iterable[tuple[str, Any]]]
"""From keys, label, name (of a task, model or method) and settings: labels with what they stand for."""

_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")


def choices(source: Source, section: str, kind: str, entries: Any, expand: Expand) -> list[tuple[str, Any]]:
    """Labels with what they stand for: tasks, models or methods.

    Args:
        entries: a name, a list of names, or a mapping from labels to settings. A label that is not a name has
            the key `kind` in its settings.
        expand: one entry into all that its grid spans.

    Raises:
        BenchError: no entry, one that names nothing, or two that are the same.
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
    chosen: dict[str, Any] = {}
    labels: dict[object, str] = {}
    for keys, label, settings in listed:
        if not isinstance(label, str) or not label.strip():
            raise source.error(keys, f"{quoted(label)} is not the name of a {kind}")
        if command := command_in(label):
            raise source.error(keys[:-1], f"{quoted(label)}: no table can show {command} in a label")
        name = settings.get(kind, label)
        if not isinstance(name, str):
            raise source.error((*keys, kind), f"{quoted(name)} is not the name of a {kind}")
        own = {key: value for key, value in settings.items() if key != kind}
        for full_label, choice in expand(keys, label, name, own):
            if command := command_in(full_label):
                raise source.error(keys, f"no table can show {command}, which is in the label {quoted(full_label)}")
            if full_label in chosen:
                raise source.error(keys, f"duplicate: there are two {section} labelled {full_label!r}")
            other = labels.setdefault(_identity(choice), full_label)
            if other != full_label:
                raise source.error(keys, f"duplicate: {full_label!r} is the same {kind} as {other!r}")
            chosen[full_label] = choice
    return list(chosen.items())


def _identity(choice: Any) -> object:
    """Equal for choices that are equal, and quick to look up."""
    if isinstance(choice, tuple):
        return tuple(map(_identity, choice))
    return (type(choice), choice.model_dump_json()) if isinstance(choice, Settings) else choice


def tasks_of(source: Source, files: Sequence[Path]) -> Expand:
    """Tasks with their settings."""
    return _plugins_of(source, files, "task", {**plugins.tasks(files)})


def _plugins_of(source: Source, files: Sequence[Path], kind: str, known: dict[str, type[Plugin]]) -> Expand:
    def expand(keys: Keys, label: str, name: str, settings: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        try:
            cls = plugins.find(name, kind, known, files)
        except BenchError as error:
            hint = "" if name.isidentifier() else f" (beside a label of your own, say `{kind}: NAME`)"
            raise source.error(keys, f"{error}{hint}") from None
        for need in getattr(cls, "needs", set()) - set(METHOD_NEEDS):
            raise source.error(keys, f"method {name!r} needs an unknown stage {need!r}{nearest(need, METHOD_NEEDS)}")
        return source.grid(keys, label, cls, settings, f"{kind} {name!r}")

    return expand


def arms_of(source: Source, files: Sequence[Path], stages: Stages, tasks: Sequence[str]) -> Expand:
    """Methods, each with the matrix's `stages` as the key of that name in its settings changes them.

    The key `tasks` there says on which of the matrix's `tasks` alone the method is to run.
    """
    expand_method = _plugins_of(source, files, "method", {**plugins.methods(files)})
    shared = stages.model_dump(mode="json", exclude_unset=True)

    def expand(keys: Keys, label: str, name: str, settings: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        own_stages = mapping_of(source, (*keys, "stages"), settings.get("stages"))
        own_tasks = _arm_tasks(source, (*keys, "tasks"), settings.get("tasks"), tasks)
        hyperparameters = {key: value for key, value in settings.items() if key not in ("stages", "tasks")}
        for method_label, method in expand_method(keys, label, name, hyperparameters):
            grid = source.grid((*keys, "stages"), method_label, Stages, own_stages, "stages", over=shared)
            yield from ((arm_label, (method, arm_stages, own_tasks)) for arm_label, arm_stages in grid)

    return expand


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


def models_of(source: Source) -> Expand:
    """Models: `tiny` with its settings, a folder, or a name on the hub."""

    def expand(keys: Keys, label: str, name: str, settings: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        if name == "tiny":
            return source.grid(keys, label, TinyModel, settings, "model 'tiny'")
        choice = _model_source(source, keys, name)
        for key in settings:
            raise source.error((*keys, key), f"only a tiny model has settings; {name!r} is taken as it is")
        return [(label, choice)]

    return expand


def _model_source(source: Source, keys: Keys, name: str) -> Path | str:
    folder = source.path(keys, name)
    if (folder / "config.json").is_file():
        if other := fault_of_kind(folder):
            raise source.error(keys, other)
        if fault := fault_of(folder):
            raise source.error(keys, f"the model in {name!r} is not whole: {fault}")
        return folder.resolve()
    if folder.is_dir():
        raise source.error(keys, f"the folder {name!r} holds no model: it has no config.json")
    # `models/gtp2` is a misspelt folder where there is a folder `models`, and a name on the hub elsewhere
    if _HUB_NAME.fullmatch(name) and not source.path(keys, name.partition("/")[0]).exists():
        return name
    neighbours = [str(Path(name).parent / file.parent.name) for file in folder.parent.glob("*/config.json")]
    raise source.error(keys, f"no model {quoted(name)}{nearest(name, ['tiny', *neighbours])}")
