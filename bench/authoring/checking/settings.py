"""What is promised of the settings of anything: documented, bounded, and the same when read back from JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

from bench.authoring.checking.check import Broken

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from bench.contracts.plugin import Plugin

BOUNDS = ("ge", "gt", "le", "lt")


def check_settings(plugin: Plugin) -> None:
    """A summary; a description for each setting; a bound for each number; JSON and back.

    Raises:
        Broken: one of them is missing.
    """
    cls = type(plugin)
    if not cls.summary() or cls.__doc__ in {base.__doc__ for base in cls.__bases__}:
        raise Broken("its class has no docstring: write one, whose first line `bench list` shows")
    for name, info in cls.model_fields.items():
        if not (info.description or "").strip():
            raise Broken(f'`{name}` has no description: write {name}: … = Field(…, description="what it does")')
        if _is_number(info.annotation) and not _is_bounded(info):
            raise Broken(
                f"`{name}` is a number without a bound: write Field(…, ge=0) or the like, so that a value that makes "
                "no sense is refused before anything runs"
            )
    from_json = json.loads(json.dumps(plugin.model_dump(mode="json")))
    try:
        again = cls(**from_json)
    except ValueError as error:
        raise Broken(f"its settings cannot be read back from JSON: {error}") from None
    if again != plugin:
        raise Broken("its settings are not the same when read back from JSON: use numbers, texts, lists of them")


def _is_number(annotation: Any) -> bool:
    parts = get_args(annotation) or (annotation,)
    return any(part in (int, float) for part in parts)


def _is_bounded(info: FieldInfo) -> bool:
    return any(getattr(each, bound, None) is not None for each in info.metadata for bound in BOUNDS)
