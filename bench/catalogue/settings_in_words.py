"""The settings of a class, each in words: type, default, bounds and meaning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_TYPES = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path", NoneType: "null"}
_BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "min_length": "length ≥ {}", "pattern": "like {}"}


@dataclass(frozen=True)
class Setting:
    """One setting, in words.

    Attributes:
        name: dotted where it stands in a section of its own, e.g. ``sft.epochs``.
        default: as a matrix file writes it; None where there is none and the setting must be given.
    """

    name: str
    type: str
    default: str | None
    bounds: str
    meaning: str


def settings_of(cls: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    """Every setting of a class, those of sections within it one by one."""
    for name, info in cls.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from settings_of(info.annotation, f"{prefix}{name}.")
            continue
        yield Setting(
            prefix + name, _type(info.annotation), _default(info), _bounds(info), one_line(info.description or "")
        )


def one_line(text: str) -> str:
    """`text` with every run of blanks and line ends as one blank."""
    return re.sub(r"\s+", " ", text).strip()


def _type(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, parts))
    if origin in (Union, UnionType):
        return " or ".join(map(_type, parts))
    if origin in (list, tuple, set, frozenset, Sequence):
        return f"list of {_type(parts[0])}" if parts else "list"
    return "mapping" if origin is dict else _TYPES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(info: FieldInfo) -> str | None:
    if info.is_required():
        return None
    return json.dumps(info.get_default(call_default_factory=True), default=str, ensure_ascii=False)


def _bounds(info: FieldInfo) -> str:
    limits = [(name, getattr(each, name, None)) for each in info.metadata for name in _BOUNDS]
    return ", ".join(_BOUNDS[name].format(limit) for name, limit in limits if limit is not None)
