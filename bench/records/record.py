"""The record of a cell: its shape, and how it is written and read back. One JSON object, with frames beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, NotRequired, TypeAlias

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from bench.records.files import FRAMES, RECORD
from bench.records.sealing import Damaged, check_seal, parse_object, read_bytes, write_sealed
from bench.store.store import sha256

Status: TypeAlias = Literal["ok", "diverged", "failed", "skipped"]

SCHEMA: Final = 2
"""Of what is written. Of schema 1, which has no checksums, records are read as well."""

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
    any stage. `processor_seconds_training` is the processors' time, all threads (not accelerators'), which other
    programs on the machine do not lengthen. `gold_labels` counts answers asked of the gold reward or of the task's
    annotator.
    """

    stages: dict[str, float]
    seconds: float
    seconds_training: float | None
    processor_seconds_training: float | None
    peak_memory_mb: float | None
    tokens_sampled: int
    tokens_trained: int
    reward_model_calls: int
    gold_labels: int


class Data(TypedDict, total=False):
    """What the task's data came to: rows set aside, counted by reason, and what else the task tells of itself.

    `prompts_asked` held-out prompts were to be measured, as many as the evaluation wants and the task has, and
    `prompts_measured` were.
    """

    set_aside: dict[str, int]
    about: Json
    prompts_asked: int
    prompts_measured: int


class Record(TypedDict):
    """What came of a cell. A run writes every key; a reader does without those that are not required.

    `key` is that of the cell's last stage: whoever has a record of the same key need not run the cell. `files` has the
    SHA-256 of each file beside the record by its name, and `checksum` that of all else. A measure that is not finite is
    None. `reward_models` has, for ``"reward_model"`` and ``"judge"``, what they were fitted on and
    how good they are. `commit` is the bench's, with ``-dirty`` where its source was changed.
    """

    schema: Literal[1, 2]
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
    files: NotRequired[dict[str, str]]
    checksum: NotRequired[str]


_RECORD: Final = TypeAdapter(Record)


def write_record(directory: Path, record: Record) -> None:
    """Write ``record.json`` into a cell's folder, whole or not at all, with checksums of it and of what lies there."""
    write_sealed(directory / RECORD, {**record, "files": frame_digests(directory)})


def frame_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each frame in a cell's folder, by its name."""
    return {name: sha256(folder / name) for name in FRAMES if (folder / name).is_file()}


def read_record(folder: Path) -> Record:
    """The record in a cell's folder, it and the files beside it held to their checksums.

    One of schema 1 has none: its `files` are those that lie there, as they are.

    Raises:
        Damaged: something is missing, is not what was written, or belongs to another cell.
    """
    file = folder / RECORD
    record = parse_record(read_bytes(file), str(file))
    if record["cell"]["id"] != folder.name:
        raise Damaged(f"{file}: is the record of cell {record['cell']['id']!r}")
    if record["schema"] == 1:
        record["files"] = frame_digests(folder)
    for name, digest in record["files"].items():
        if name not in FRAMES:
            raise Damaged(f"{file}: {name!r} is no file of a cell")
        if not (folder / name).is_file():
            raise Damaged(f"{folder / name}: is missing")
        if sha256(folder / name) != digest:
            raise Damaged(f"{folder / name}: does not match its checksum")
    return record


def parse_record(text: bytes | str, where: str) -> Record:
    """The record that `text` is, with all that is in it as it was written.

    Raises:
        Damaged: it is not JSON, of a schema that is not read, not of a record's shape, or not what its checksum says;
            `where` says which.
    """
    value = parse_object(text, where)
    if value.get("schema") not in (1, SCHEMA):
        raise Damaged(f"{where}: written in schema {value.get('schema')!r}; this release reads 1 and {SCHEMA}")
    try:
        _RECORD.validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Damaged(f"{where}: not a record ({f'{place}: ' if place else ''}{first['msg']})") from None
    if value["schema"] != 1:
        check_seal(value, where)
    record: Record = value  # type: ignore[assignment]  # not what pydantic makes of it: that drops what it does not know
    return record
