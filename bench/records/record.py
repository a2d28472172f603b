"""The record of a cell: its shape, and how it is written and read back. One JSON object, with frames beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal, NotRequired, TypeAlias

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from bench.contracts.errors import BenchError
from bench.records.files import RECORD
from bench.store.store import write_atomically

Status: TypeAlias = Literal["ok", "diverged", "failed", "skipped"]

SCHEMA: Final = 1
OK: Final = "ok"
DIVERGED: Final = "diverged"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"

Json: TypeAlias = dict[str, Any]
"""An object whose keys are its owner's affair: settings, figures."""


class CellIdentity(TypedDict):
    """What a cell is: task, model, method and shared stages with all their settings, and the seed.

    `task`, `model` and `arm` are the labels that tables show; `task_name` and `method` are names of plug-ins;
    `model_settings` is a folder or a name where the bench did not make the model.
    """

    id: str
    index: NotRequired[int]
    task: str
    task_name: NotRequired[str]
    task_settings: NotRequired[Json]
    model: str
    model_settings: NotRequired[Json | str]
    arm: str
    method: str
    hyperparameters: NotRequired[Json]
    stages: NotRequired[Json]
    seed: int


class Cost(TypedDict, total=False):
    """What the cell would cost alone: shared stages are charged to every cell that rests on them.

    `stages` has the seconds of each stage by its role, and `seconds` is their sum; `peak_memory_mb` is the largest of
    any stage. `gold_labels` counts answers asked of the gold reward or of the task's annotator.
    """

    stages: dict[str, float]
    seconds: float
    seconds_training: float | None
    peak_memory_mb: float | None
    tokens_sampled: int
    tokens_trained: int
    reward_model_calls: int
    gold_labels: int


class Data(TypedDict, total=False):
    """What the task's data came to: rows set aside, counted by reason, and what else the task tells of itself."""

    set_aside: dict[str, int]
    about: Json


class Record(TypedDict):
    """What came of a cell. A run writes every key; a reader does without those that are not required.

    `key` is that of the cell's last stage: whoever has a record of the same key need not run the cell. A measure that
    is not finite is None. `reward_models` has, for ``"reward_model"`` and ``"judge"``, what they were fitted on and
    how good they are. `commit` is the bench's, with ``-dirty`` where its source was changed.
    """

    schema: Literal[1]
    key: NotRequired[str | None]
    cell: CellIdentity
    status: Status
    reason: NotRequired[str | None]
    step: NotRequired[int | None]
    judge: NotRequired[str | None]
    measures: NotRequired[dict[str, float | None]]
    reward_models: NotRequired[dict[str, Json]]
    cost: NotRequired[Cost]
    data: NotRequired[Data]
    device: NotRequired[str]
    versions: NotRequired[dict[str, str]]
    commit: NotRequired[str | None]
    written: NotRequired[str]


_RECORD: Final = TypeAdapter(Record)


def write_record(directory: Path, record: Record) -> None:
    """Write ``record.json`` into a cell's folder, whole or not at all."""
    write_atomically(directory / RECORD, json.dumps(record, indent=1))


def parse_record(text: str, where: str) -> Record:
    """The record that `text` is, with all that is in it as it was written.

    Raises:
        BenchError: it is not JSON, of another schema, or not of a record's shape; `where` says which.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BenchError(f"{where}: not a record ({error})") from None
    if isinstance(value, dict) and value.get("schema", SCHEMA) != SCHEMA:
        raise BenchError(f"{where}: written in schema {value['schema']}; this release reads {SCHEMA}")
    try:
        _RECORD.validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BenchError(f"{where}: not a record ({f'{place}: ' if place else ''}{first['msg']})") from None
    record: Record = value  # not what pydantic makes of it: that would drop what it does not know
    return record
