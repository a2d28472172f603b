"""Turns what a person wrote into settings, and mistakes into one line: where, what, the nearest valid."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bench.contracts.errors import BenchError, nearest, shown
from bench.contracts.paths import user_path
from bench.contracts.yaml import Keys, read_yaml

S = TypeVar("S", bound=BaseModel)

MOST_POINTS = 10_000
"""Of one grid."""

_MUST_BE = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping of settings",
}


@dataclass(frozen=True)
class Source:
    """Where settings were written.

    Attributes:
        name: how errors call it: the file as the person named it.
        folder: relative paths start here.
        lines: the line of every value, where there is a file.
    """

    name: str
    folder: Path
    lines: dict[Keys, int] = field(default_factory=dict)

    def error(self, keys: Keys, problem: str) -> BenchError:
        """A BenchError that names the file, the line and the dotted key, then the problem."""
        known = keys
        while known and known not in self.lines:
            known = known[:-1]
        line = f", line {self.lines[known]}" if known else ""
        key = ".".join(shown(str(each)) for each in keys)
        return BenchError(f"{self.name}{line}: {key}{': ' if key else ''}{problem}")

    def settings(self, keys: Keys, cls: type[S], values: dict[str, Any], what: str) -> S:
        """The settings `values`, checked without conversions: neither ``true`` nor ``"3"`` is a number.

        Args:
            keys: where the values stand.
            what: how an error calls their owner, e.g. ``"method 'ppo'"``.

        Raises:
            BenchError: the first mistake, and how many more there are.
        """
        absolute = self._absolute(keys, cls, values)
        try:
            # JSON, because there pydantic's strict mode still takes a list as a tuple and a text as a path
            return cls.model_validate_json(json.dumps(absolute), strict=True)
        except ValidationError as error:
            problems: dict[Keys, str] = {}
            # an unknown key first: it is often why another one is missing
            for each in sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden"):
                place, problem = _explain(cls, values, dict(each), what)
                if place in problems and problem != problems[place]:  # the branches of a union
                    problem = f"{problems[place]} or {problem.partition('must be ')[2] or problem}"
                problems[place] = problem
            (place, problem), more = next(iter(problems.items())), len(problems) - 1
            more_text = f" (and {more} more)" if more else ""
            raise self.error((*keys, *place), problem + more_text) from None
        except BenchError as error:
            raise self.error(keys, str(error)) from None
        except Exception as error:  # a validator of the plug-in's own went wrong
            raise self.error(keys, f"{what} refused: {type(error).__name__}: {error}") from error

    def grid(
        self,
        keys: Keys,
        label: str,
        cls: type[S],
        values: dict[str, Any],
        what: str,
        over: Mapping[str, Any] | None = None,
    ) -> Iterator[tuple[str, S]]:
        """Label and settings of every point of the grid that the lists in `values` span.

        A list is an axis where the setting itself is not one, in settings within settings as well; the label then
        tells the value.

        Args:
            over: settings known to be good, which `values` override one by one.
        """
        axes = dict(self._axes(keys, cls, values))
        if (count := math.prod(map(len, axes.values()))) > MOST_POINTS:
            sizes = " × ".join(f"{'.'.join(path)} ({len(items)})" for path, items in axes.items())
            raise self.error(keys, f"{count:,} points of a grid, {sizes}; the most is {MOST_POINTS:,}")
        for point in itertools.product(*axes.values()):
            chosen, parts = values, [label]
            for path, value in zip(axes, point, strict=True):
                chosen = merged(chosen, _nested(path, value))
                parts.append(f"{'.'.join(path)}={value if isinstance(value, str) else json.dumps(value)}")
            yield " ".join(parts), self.settings(keys, cls, merged(over or {}, chosen), what)

    def _axes(
        self, keys: Keys, cls: type[BaseModel], values: Mapping[str, Any]
    ) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
        """The lists in `values` that stand where `cls` wants no list: path and items of each."""
        for key, value in values.items():
            types = _types(cls.model_fields[key].annotation) if key in cls.model_fields else []
            if isinstance(value, list) and types and not any(map(_is_list, types)):
                if not value:
                    raise self.error((*keys, key), "an empty grid: [] names no value")
                yield (key,), value
            if isinstance(value, dict) and (inner := _settings_in(types)):
                for path, items in self._axes((*keys, key), inner, value):
                    yield (key, *path), items

    def path(self, keys: Keys, text: str) -> Path:
        """The path `text`, which stands at `keys`; relative ones start in this source's folder.

        Raises:
            BenchError: it can be none.
        """
        try:
            return self.folder / user_path(text)
        except BenchError as error:
            raise self.error(keys, str(error)) from None

    def _absolute(self, keys: Keys, cls: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
        """`values` with the paths in path-typed settings made absolute; they name what is to be read."""

        def absolute(name: str, value: Any) -> Any:
            if isinstance(value, list):
                return [absolute(name, item) for item in value]
            if not isinstance(value, str):
                return value
            path = self.path((*keys, name), value)
            if not path.exists():
                siblings = path.parent.iterdir() if path.parent.is_dir() else ()
                near = nearest(path.name, (sibling.name for sibling in siblings))
                raise self.error((*keys, name), f"no file or folder {value!r}{near}")
            return str(path)

        def is_path(name: str) -> bool:
            types = _types(cls.model_fields[name].annotation) if name in cls.model_fields else []
            return str not in types and any(isinstance(t, type) and issubclass(t, Path) for t in types)

        return {name: absolute(name, value) if is_path(name) else value for name, value in values.items()}


def assigned(cls: type[S], assignments: Iterable[str], what: str) -> S:
    """A `cls` with settings from ``--set KEY=VALUE`` texts, their values written as in YAML.

    Raises:
        BenchError: no such setting, or a value it does not take, with the nearest valid name.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or key in values:
            problem = "is there twice" if equals else "is not KEY=VALUE"
            near = nearest(key, cls.model_fields)
            raise BenchError(f"--set {shown(repr(assignment))}: {shown(repr(key))} {problem}{near}")
        try:
            values[key], _ = read_yaml(text, "--set")
        except BenchError:
            values[key] = text
    return Source("--set", Path.cwd()).settings((), cls, values, what)


def mapping_of(source: Source, keys: Keys, value: Any) -> dict[str, Any]:
    """`value` as a mapping, nothing (a bare ``ppo:``) as an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise source.error(keys, f"{quoted(value)} must be a mapping of settings")
    return value


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`under` with the values of `over` in their place; two mappings under one key are merged likewise."""
    both = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], dict) and isinstance(over[key], dict):
            both[key] = merged(under[key], over[key])
    return both


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """``{"a": {"b": value}}`` for the path a, b."""
    for key in reversed(path):
        value = {key: value}
    return value


def _types(annotation: Any) -> list[Any]:
    """The types in an annotation, also those inside a list: list, Path, NoneType of ``list[Path] | None``."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _types(parts[0])
    inner = [t for part in parts for t in _types(part)]
    if origin in (Union, UnionType):
        return inner
    return [origin, *inner] if _is_list(origin) else [origin or annotation]


def _settings_in(types: Sequence[Any]) -> type[BaseModel] | None:
    """The first of `types` that is a class of settings."""
    return next((t for t in types if isinstance(t, type) and issubclass(t, BaseModel)), None)


def _is_list(kind: Any) -> bool:
    """Does this type take a list? Sequences and sets do (a text is none here), and what takes anything."""
    if kind in (Any, object):
        return True
    return isinstance(kind, type) and issubclass(kind, Sequence | Set) and not issubclass(kind, str | bytes)


def quoted(value: Any) -> str:
    """A value as errors show it: a text in quotes, anything else as in JSON, cut where it is long."""
    return shown(repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _explain(cls: type[BaseModel], values: Any, error: dict[str, Any], what: str) -> tuple[Keys, str]:
    """Where pydantic's error is (keys within `values`), and the value with what is wrong about it."""
    place: list[str | int] = []
    value: Any = values
    for key in error["loc"]:
        # locations also name the branches of unions, which are no keys
        if (isinstance(value, dict) and key in value) or (isinstance(value, list) and isinstance(key, int)):
            place.append(key)
            value = value[key]
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _fields(cls, place[:-1])
        near = nearest(place[-1], known) if known else " — it has none"
        return tuple(place), f"unknown setting of {what}{near}"
    if kind == "missing":
        return tuple(place), f"{what} needs the setting {error['loc'][-1]!r}"
    if kind == "literal_error":
        choices = re.findall("'([^']*)'", error["ctx"]["expected"])
        problem = f"is none of its choices{nearest(value, choices)}"
    elif kind in _MUST_BE:
        problem = f"must be {_MUST_BE[kind]}"
    else:
        problem = re.sub(r"^\w+ should", "must", str(error["msg"])).removeprefix("Value error, ")
    return tuple(place), f"{quoted(value)} {problem}" if place else problem


def _fields(cls: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The settings that are valid at `place`, which may be inside nested settings."""
    for key in place:
        if key in cls.model_fields:
            cls = _settings_in(_types(cls.model_fields[str(key)].annotation)) or cls
    return list(cls.model_fields)
