"""A run's folder as pandas frames: one folder per cell, packed (see `bench.records.packing`), or some of each."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.contracts.errors import BenchError, nearest
from bench.contracts.measure import MeasureInfo
from bench.measures.binned_calibration import reliability
from bench.measures.registry import MEASURES
from bench.records.files import CELLS, PACKED, RECORD, RECORDS, RUN_FILE, cell_files, is_run
from bench.records.record import Record, parse_record
from bench.stages.artifact import COMPLETIONS, CURVE, PROBES, TRAINING

IDENTITY = ("cell", "index", "task", "model", "arm", "method", "seed")
STATUS = ("status", "reason", "step", "judged_by")
TEXTS = ("prompt", "completion", "reference_completion")
"""Columns of completions; each text is JSON in a packed run, so that conversations fit in beside strings."""

DIGESTS = b"digests"
"""Key of packed completions' metadata: what `completion_digests` gives."""


def load_run(directory: str | Path) -> RunFrames:
    """The run in `directory`.

    Raises:
        BenchError: there is no such folder, or it holds no run; a record that cannot be read, by its path.
    """
    directory = Path(directory)
    if not directory.is_dir():
        beside = [path.name for path in directory.absolute().parent.glob("*/") if is_run(path)]
        raise BenchError(f"no run at {directory}{nearest(directory.name, beside)}")
    if not is_run(directory):
        inside = [path.name for path in directory.glob("*/") if is_run(path)]
        hint = f" — it holds the runs {', '.join(sorted(inside))}" if inside else ""
        raise BenchError(f"{directory} is not a run: it has no folder `{CELLS}`{hint}")
    return RunFrames(directory)


def recorded(directory: str | Path) -> dict[str, Record]:
    """Every record of the run in `directory` as it was written, by the cell's id; its own folder's before a packed one.

    What cannot be read is left out: a run makes it again, while `RunFrames.records` tells of it.
    """
    return {record["cell"]["id"]: record for record in _records(Path(directory), skip_broken=True)}


class RunFrames:
    """What a run recorded, read when it is asked for.

    Attributes:
        directory: the run's folder.
        pending: ids of cells that have no record yet.
        records: one row per cell, in the matrix's order. Columns: `cell` (its id), `index`, `task`, `model`, `arm`,
            `method`, `seed`; `status`, `reason`, `step`, `judged_by`; every measure by its name, and what a method
            reports of itself; `cost_…` (seconds, megabytes, counts); `hyperparameters`, `stages`, `task_settings`,
            `model_settings` (a model's name where it is from the hub), `set_aside`, `about`, `reward_models`,
            `versions` (dictionaries); `commit`.
        curves, training, completions, probes: the rows of all cells' parquet files behind each cell's identity; empty
            where no cell has such a file. Of a packed cell there are no probes, and the texts of completions are None
            but for some.
        reliability: the probes in bins: per cell and `bin` (0 … 9, equal width) the `count` of choices whose
            probability falls there, their mean `probability`, and the share `correct`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @cached_property
    def records(self) -> pd.DataFrame:
        """See the class."""
        rows = [_row(record) for record in _records(self.directory)]
        frame = pd.DataFrame(rows, columns=None if rows else [*IDENTITY, *STATUS])
        return frame.sort_values(["index", "cell"], ignore_index=True)

    @cached_property
    def pending(self) -> list[str]:
        """See the class."""
        folders = sorted(path.name for path in self.directory.glob(f"{CELLS}/*/"))
        names = [*(planned(self.directory) or ()), *folders]
        done = set(self.records["cell"])
        return [name for name in dict.fromkeys(names) if name not in done]

    @cached_property
    def measures(self) -> dict[str, MeasureInfo]:
        """Every measure that the run may have, by name: the built-in ones, then those of plug-ins it was run with."""
        return MEASURES | {info["name"]: MeasureInfo(**info) for info in described(self.directory).get("measures", [])}

    @cached_property
    def curves(self) -> pd.DataFrame:
        """See the class."""
        return self._frames(CURVE)

    @cached_property
    def training(self) -> pd.DataFrame:
        """See the class."""
        return self._frames(TRAINING)

    @cached_property
    def completions(self) -> pd.DataFrame:
        """See the class."""
        return self._frames(COMPLETIONS)

    @cached_property
    def probes(self) -> pd.DataFrame:
        """See the class."""
        return self._frames(PROBES, packed=False)

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """See the class."""
        return self._frames(PROBES, ["probability", "correct"], _bins)

    def groups(self) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """Task, model and their records: what belongs into one table."""
        for (task, model), records in self.records.groupby(["task", "model"], sort=False):
            yield str(task), str(model), records

    @cached_property
    def unpacked(self) -> frozenset[str]:
        """Ids of the cells whose record lies in a folder of its own."""
        return frozenset(cell_files(self.directory, RECORD))

    def own_files(self, name: str) -> dict[str, Path]:
        """The file `name` in cells' own folders, by the cell's id."""
        return {cell: path for cell, path in cell_files(self.directory, name).items() if cell in self.unpacked}

    def _frames(
        self,
        name: str,
        columns: list[str] | None = None,
        then: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows,
        packed: bool = True,
    ) -> pd.DataFrame:
        """All cells' rows of the file `name`, made by `then` of each cell's, behind the identity of their cell."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        cells = self.records["cell"].tolist()
        # files of one schema become pandas together: one by one that takes most of the time
        by_schema: dict[str, list[tuple[int, pa.Table]]] = {}
        files = self.own_files(name)
        for number, cell in enumerate(cells):
            if path := files.get(cell):
                table = pq.read_table(path, columns=columns)
                if columns and len(table):
                    table = pa.Table.from_pandas(then(table.to_pandas()), preserve_index=False)
                if len(table):
                    by_schema.setdefault(str(table.schema.remove_metadata()), []).append((number, table))
        frames = [pa.concat_tables([table for _, table in group]).to_pandas() for group in by_schema.values()]
        numbers = [np.repeat(number, len(table)) for group in by_schema.values() for number, table in group]
        if packed and (file := self.directory / PACKED[name]).exists():
            packed_cells = {cell: number for number, cell in enumerate(cells) if cell not in self.unpacked}
            rows = _unpack(pd.read_parquet(file), packed_cells)
            frames.append(rows.drop(columns="cell"))
            numbers.append(rows["cell"].map(packed_cells).to_numpy(int))
        if not any(map(len, frames)):
            return pd.DataFrame(columns=list(IDENTITY))
        cell_of_row = np.concatenate(numbers)
        order = np.argsort(cell_of_row, kind="stable")
        rows = pd.concat(frames, ignore_index=True).take(order).reset_index(drop=True)
        identity = self.records[list(IDENTITY)].take(cell_of_row[order]).reset_index(drop=True)
        return pd.concat([identity, rows], axis=1)


def _unpack(rows: pd.DataFrame, cells: Collection[str]) -> pd.DataFrame:
    """The rows of `cells` in a packed file, their texts as they were."""
    rows = rows[rows["cell"].isin(cells)]
    texts = {name: rows[name].map(json.loads, na_action="ignore").astype(object) for name in TEXTS if name in rows}
    return rows.assign(**{name: values.where(values.notna(), None) for name, values in texts.items()})


def completion_digests(run: RunFrames) -> dict[str, str]:
    """SHA-256 of each cell's ``completions.parquet`` as its evaluation wrote it, by the cell's id; "" without one."""
    import pyarrow.parquet as pq

    file = run.directory / PACKED[COMPLETIONS]
    packed = (pq.read_schema(file).metadata or {}).get(DIGESTS, b"{}") if file.exists() else b"{}"
    digests: dict[str, str] = json.loads(packed) | dict.fromkeys(run.unpacked, "")
    for cell, path in run.own_files(COMPLETIONS).items():
        digests[cell] = hashlib.sha256(path.read_bytes()).hexdigest()
    return {cell: digests.get(cell, "") for cell in run.records["cell"]}


def planned(directory: Path) -> list[str] | None:
    """Ids of the cells that the run's matrix has; None where the run does not say."""
    cells: list[str] | None = described(directory).get("cells")
    return cells


def described(directory: Path) -> dict[str, Any]:
    """What `bench run` wrote down before it began, see `RUN_FILE`; nothing where a run does not say."""
    file = directory / RUN_FILE
    description: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return description


def plain(value: Any) -> Any:
    """A text or a conversation as it was before it went through Parquet."""
    return value if isinstance(value, str) else [dict(message) for message in value]


def _records(directory: Path, skip_broken: bool = False) -> Iterator[Record]:
    """The records of cells that have a folder of their own, then those of others that are packed.

    A packed record of a cell that the matrix no longer has does not count.
    """
    own, cells = cell_files(directory, RECORD), planned(directory)
    wanted = None if cells is None else set(cells)
    yield from _parsed(((str(path), path.read_text(encoding="utf-8")) for path in own.values()), skip_broken)
    for record in _parsed(_packed_lines(directory), skip_broken):
        name = record["cell"]["id"]
        if name not in own and (wanted is None or name in wanted):
            yield record


def _parsed(texts: Iterable[tuple[str, str]], skip_broken: bool) -> Iterator[Record]:
    for where, text in texts:
        try:
            yield parse_record(text, where)
        except BenchError:
            if not skip_broken:
                raise


def _packed_lines(directory: Path) -> Iterator[tuple[str, str]]:
    """Where each packed record stands, and its text."""
    file = directory / RECORDS
    if file.exists():
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                yield f"{file}, line {number}", line


def _bins(probes: pd.DataFrame) -> pd.DataFrame:
    bins = reliability(probes["probability"].to_numpy(), probes["correct"].to_numpy())
    names = {"confidence": "probability", "accuracy": "correct"}
    return bins.rename(columns=names)[["bin", "count", "probability", "correct"]]


def _row(record: Record) -> dict[str, Any]:
    """The record as one row of `RunFrames.records`."""
    cell, cost, data = record["cell"], record.get("cost", {}), record.get("data", {})
    return {
        "cell": cell["id"],
        "index": cell.get("index", 0),
        "task": cell["task"],
        "model": cell["model"],
        "arm": cell["arm"],
        "method": cell["method"],
        "seed": cell["seed"],
        "status": record["status"],
        "reason": record.get("reason"),
        "step": record.get("step"),
        "judged_by": record.get("judge"),
        # None is a value that is not finite
        **{name: float("nan") if v is None else v for name, v in record.get("measures", {}).items()},
        **{f"cost_stage_{stage}": seconds for stage, seconds in cost.get("stages", {}).items()},
        **{f"cost_{name}": value for name, value in cost.items() if name != "stages"},
        "hyperparameters": cell.get("hyperparameters", {}),
        "stages": cell.get("stages", {}),
        "task_settings": cell.get("task_settings", {}),
        "model_settings": cell.get("model_settings", {}),
        "set_aside": data.get("set_aside", {}),
        "about": data.get("about", {}),
        "reward_models": record.get("reward_models", {}),
        "versions": record.get("versions", {}),
        "commit": record.get("commit"),
    }
