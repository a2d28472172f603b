"""The JSON schema (draft 2020-12) of matrix files, for editors that complete and check YAML.

Settings come from pydantic's own schema of each class; what is written here is how a matrix arranges them. It checks
what a schema can: rules between settings, files and duplicates are `load_matrix`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from bench.catalogue.entries import Entry, entries
from bench.contracts.stage_settings import Evaluation, Stages, TinyModel

Schema: TypeAlias = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def matrix_schema(files: Iterable[Path] = ()) -> Schema:
    """The schema of a matrix file with all methods and tasks that are built in or in these plug-ins.

    Under `methods`, `tasks` and `models`, and in the `stages` of an arm, a setting also takes a list, which is a grid,
    unless a list is what it wants.
    """
    known = entries(files)
    tasks, methods = ([entry for entry in known if entry.kind == kind] for kind in ("task", "method"))
    classes = [entry.settings for entry in (*tasks, *methods) if entry.settings]
    grids, refs = _definitions([*classes, TinyModel, Stages], "grid", _GridSchema)
    single, plain = _definitions([Stages, Evaluation], "settings", _PlainSchema)
    of_arms: Schema = {
        "tasks": {"description": "those of this matrix that the arm runs on; all by default", **_texts(1)},
        "stages": _or_nothing(refs[Stages]),
    }
    _allow(grids, refs[TinyModel], {"model": {"const": "tiny"}})
    settings: dict[str, dict[str, Schema]] = {"task": {}, "method": {}}
    for entry in (*tasks, *methods):
        if entry.settings:
            settings[entry.kind][entry.name] = ref = refs[entry.settings]
            _allow(grids, ref, {entry.kind: {"const": entry.name}} | (of_arms if entry.kind == "method" else {}))
    return {
        "$schema": _DIALECT,
        "title": "A matrix of the alignment bench: tasks × models × methods × seeds",
        "type": "object",
        "required": ["tasks", "methods"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "description": "of the run; the file's own by default"},
            "tasks": _choices("task", tasks, settings["task"]),
            "models": _models(refs[TinyModel]),
            "methods": _choices("method", methods, settings["method"]),
            "seeds": _seeds(),
            "stages": _or_nothing(plain[Stages]),
            "evaluation": _or_nothing(plain[Evaluation]),
            "plugins": {"description": "Python files with methods, tasks or judges", **_texts(0)},
            "claims": {"type": "string", "description": "a file of claims to test, or the name of a built-in one"},
        },
        "$defs": grids | single | {f"any-{kind}": _named(kind, each) for kind, each in settings.items()},
    }


class _PlainSchema(GenerateJsonSchema):
    """Pydantic's schema without a title for every field, which only repeats its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _GridSchema(_PlainSchema):
    """Every setting that is no list also takes a list of its values."""

    def model_field_schema(self, schema: core_schema.ModelField) -> Schema:
        one = super().model_field_schema(schema)
        branches = [self.resolve_ref_schema(branch) for branch in one.get("anyOf", [one])]
        if any(branch.get("type") == "array" or not branch for branch in branches):  # a list, or anything at all
            return one
        default = {"default": one.pop("default")} if "default" in one else {}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}], **default}


def _definitions(
    classes: Sequence[type[BaseModel]], prefix: str, generator: type[GenerateJsonSchema]
) -> tuple[Schema, dict[type[BaseModel], Schema]]:
    """Definitions of classes and all within them, and for each class the reference to its own."""
    template = f"#/$defs/{prefix}-{{model}}"
    refs, schema = models_json_schema(
        [(cls, "validation") for cls in classes], ref_template=template, schema_generator=generator
    )
    definitions = {f"{prefix}-{name}": each for name, each in schema["$defs"].items()}
    return definitions, {cls: refs[cls, "validation"] for cls in classes}


def _allow(definitions: Schema, ref: Schema, properties: Schema) -> None:
    """Let the mapping that `ref` refers to have these keys as well."""
    definition = definitions[ref["$ref"].removeprefix("#/$defs/")]
    definition["properties"] = properties | definition.get("properties", {})


def _choices(kind: str, known: Sequence[Entry], settings: dict[str, Schema]) -> Schema:
    """A name, a list of names, or labels with settings; a label that is no name says whose settings they are."""
    named = {"$ref": f"#/$defs/any-{kind}"}
    said = {"if": {"type": "object", "required": [kind]}, "then": named}
    labels = {e.name: {"description": e.summary, **said, "else": _or_nothing(settings[e.name])} for e in known}
    return _listed({"enum": list(labels)}, {"properties": labels, "additionalProperties": named})


def _named(kind: str, settings: dict[str, Schema]) -> Schema:
    """Settings beside the name of the task or method whose they are."""
    branches = [
        {"if": {"properties": {kind: {"const": name}}, "required": [kind]}, "then": ref}
        for name, ref in settings.items()
    ]
    return {"type": "object", "required": [kind], "properties": {kind: {"enum": list(settings)}}, "allOf": branches}


def _models(tiny: Schema) -> Schema:
    """A name, a list of names, or labels; only a `tiny` model has settings."""
    name = {"type": "string", "description": "tiny, a folder in transformers' format, or a name on the hub"}
    of_tiny = {"properties": {"model": {"const": "tiny"}}, "required": ["model"]}
    taken: Schema = {"type": ["object", "null"], "properties": {"model": name}, "additionalProperties": False}
    here: Schema = {
        "if": {"type": "object", "required": ["model"]},
        "then": {"if": of_tiny, "then": tiny, "else": taken},
    }
    return _listed(
        name,
        {
            "properties": {"tiny": here | {"else": _or_nothing(tiny)}},
            "additionalProperties": here | {"else": taken},
        },
    )


def _listed(one: Schema, mapping: Schema) -> Schema:
    many: Schema = {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}
    return {"anyOf": [{"type": "string", **one}, many, {"type": "object", "minProperties": 1, **mapping}]}


def _seeds() -> Schema:
    count: Schema = {"type": "integer", "minimum": 1, "maximum": 1000}
    seeds: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True}
    return {"description": "how many, or which; 3 by default", "anyOf": [count, seeds]}


def _texts(least: int) -> Schema:
    return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": least}]}


def _or_nothing(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
