"""A run's folder as pandas frames: one folder per cell, packed (see `bench.records.packing`), or some of each."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.contracts.errors import BenchError, nearest
from bench.contracts.measure import MeasureInfo
from bench.measures.calibration import reliability
from bench.measures.registry import MEASURES

IDENTITY = ("cell", "index", "task", "model", "arm", "method", "seed")
STATUS = ("status", "reason", "step", "judged_by")
RECORDS = "records.jsonl.gz"
"""Of a packed run: one record a line."""
PACKED = {
    "curve.parquet": "curves.parquet",
    "training.parquet": "training.parquet",
    "completions.parquet": "completions.parquet",
    "probes.parquet": "reliability.parquet",
}
"""A cell's file, and the one that has all cells' rows of it in a packed run."""
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
        beside = [path.name for path in directory.absolute().parent.glob("*/") if _is_run(path)]
        raise BenchError(f"no run at {directory}{nearest(directory.name, beside)}")
    if not _is_run(directory):
        inside = [path.name for path in directory.glob("*/") if _is_run(path)]
        hint = f" — it holds the runs {', '.join(sorted(inside))}" if inside else ""
        raise BenchError(f"{directory} is not a run: it has no folder `cells`{hint}")
    return RunFrames(directory)


def recorded(directory: str | Path) -> dict[str, dict[str, Any]]:
    """Every record of the run in `directory` as it was written, by the cell's id; its own folder's before a packed one.

    What cannot be read is left out: a run makes it again, while `RunFrames.records` tells of it.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, text, where in _texts(Path(directory)):
        with suppress(BenchError):
            found[name] = _parse(text, where)
    return found


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
        rows = [_flatten(record, where) for record, where in _records(self.directory)]
        frame = pd.DataFrame(rows, columns=None if rows else [*IDENTITY, *STATUS])
        return frame.sort_values(["index", "cell"], ignore_index=True)

    @cached_property
    def pending(self) -> list[str]:
        """See the class."""
        names = [*(planned(self.directory) or ()), *(path.name for path in sorted(self.directory.glob("cells/*/")))]
        done = set(self.records["cell"])
        return [name for name in dict.fromkeys(names) if name not in done]

    @cached_property
    def measures(self) -> dict[str, MeasureInfo]:
        """Every measure that the run may have, by name: the built-in ones, then those of plug-ins it was run with."""
        return MEASURES | {info["name"]: MeasureInfo(**info) for info in _planned(self.directory).get("measures", [])}

    @cached_property
    def curves(self) -> pd.DataFrame:
        """See the class."""
        return self._frames("curve.parquet")

    @cached_property
    def training(self) -> pd.DataFrame:
        """See the class."""
        return self._frames("training.parquet")

    @cached_property
    def completions(self) -> pd.DataFrame:
        """See the class."""
        return self._frames("completions.parquet")

    @cached_property
    def probes(self) -> pd.DataFrame:
        """See the class."""
        return self._frames("probes.parquet", packed=False)

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """See the class."""
        return self._frames("probes.parquet", ["probability", "correct"], _bins)

    def groups(self) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """Task, model and their records: what belongs into one table."""
        for (task, model), records in self.records.groupby(["task", "model"], sort=False):
            yield str(task), str(model), records

    @cached_property
    def unpacked(self) -> frozenset[str]:
        """Ids of the cells whose record lies in a folder of its own."""
        return frozenset(path.parent.name for path in self.directory.glob("cells/*/record.json"))

    def own_files(self, name: str) -> dict[str, Path]:
        """The file `name` in cells' own folders, by the cell's id."""
        files = {path.parent.name: path for path in self.directory.glob(f"cells/*/{name}")}
        return {cell: path for cell, path in files.items() if cell in self.unpacked}

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
        alike: dict[str, list[tuple[int, pa.Table]]] = {}
        own = self.own_files(name)
        for place, cell in enumerate(cells):
            if path := own.get(cell):
                table = pq.read_table(path, columns=columns)
                if columns and len(table):
                    table = pa.Table.from_pandas(then(table.to_pandas()), preserve_index=False)
                if len(table):
                    alike.setdefault(str(table.schema.remove_metadata()), []).append((place, table))
        frames = [pa.concat_tables([table for _, table in group]).to_pandas() for group in alike.values()]
        places = [np.repeat(place, len(table)) for group in alike.values() for place, table in group]
        if packed and (file := self.directory / PACKED[name]).exists():
            lying = {cell: place for place, cell in enumerate(cells) if cell not in self.unpacked}
            rows = _unpack(pd.read_parquet(file), lying)
            frames.append(rows.drop(columns="cell"))
            places.append(rows["cell"].map(lying).to_numpy(int))
        if not any(map(len, frames)):
            return pd.DataFrame(columns=list(IDENTITY))
        owner = np.concatenate(places)
        order = np.argsort(owner, kind="stable")
        rows = pd.concat(frames, ignore_index=True).take(order).reset_index(drop=True)
        same = self.records[list(IDENTITY)].take(owner[order]).reset_index(drop=True)
        return pd.concat([same, rows], axis=1)


def _unpack(rows: pd.DataFrame, cells: Collection[str]) -> pd.DataFrame:
    """The rows of `cells` in a packed file, their texts as they were."""
    rows = rows[rows["cell"].isin(cells)]
    texts = {name: rows[name].map(json.loads, na_action="ignore").astype(object) for name in TEXTS if name in rows}
    return rows.assign(**{name: values.where(values.notna(), None) for name, values in texts.items()})


def completion_digests(run: RunFrames) -> dict[str, str]:
    """SHA-256 of each cell's ``completions.parquet`` as its evaluation wrote it, by the cell's id; "" without one."""
    import pyarrow.parquet as pq

    file = run.directory / PACKED["completions.parquet"]
    noted = (pq.read_schema(file).metadata or {}).get(DIGESTS, b"{}") if file.exists() else b"{}"
    digests: dict[str, str] = json.loads(noted) | dict.fromkeys(run.unpacked, "")
    for cell, path in run.own_files("completions.parquet").items():
        digests[cell] = hashlib.sha256(path.read_bytes()).hexdigest()
    return {cell: digests.get(cell, "") for cell in run.records["cell"]}


def planned(directory: Path) -> list[str] | None:
    """Ids of the cells that the run's matrix has; None where the run does not say."""
    cells: list[str] | None = _planned(directory).get("cells")
    return cells


def _planned(directory: Path) -> dict[str, Any]:
    """What `bench run` wrote down before it began; nothing where a run does not say."""
    file = directory / "run.json"
    described: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return described


def plain(value: Any) -> Any:
    """A text or a conversation as it was before it went through Parquet."""
    return value if isinstance(value, str) else [dict(message) for message in value]


def _is_run(directory: Path) -> bool:
    return (directory / "cells").is_dir() or any((directory / name).is_file() for name in ("run.json", RECORDS))


def _records(directory: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Each record, and where it stands."""
    for _, text, where in _texts(directory):
        yield _parse(text, where), where


def _texts(directory: Path) -> Iterator[tuple[str, str, str]]:
    """Each cell's id, its record as it is written, and where that stands."""
    own = {path.parent.name: path for path in sorted(directory.glob("cells/*/record.json"))}
    for name, path in own.items():
        yield name, path.read_text(encoding="utf-8"), str(path)
    if (file := directory / RECORDS).exists():
        cells = planned(directory)
        wanted = None if cells is None else set(cells)
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{file}, line {number}"
                name = _parse(line, where)["cell"]["id"]
                if name not in own and (wanted is None or name in wanted):
                    yield name, line, where


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(text)
        if record["schema"] != 1:
            raise BenchError(f"{where}: written in schema {record['schema']}; this release reads 1")
        _ = record["cell"]["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{where}: not a record ({type(error).__name__}: {error})") from None
    return record


def _bins(probes: pd.DataFrame) -> pd.DataFrame:
    bins = reliability(probes["probability"].to_numpy(), probes["correct"].to_numpy())
    names = {"confidence": "probability", "accuracy": "correct"}
    return bins.rename(columns=names)[["bin", "count", "probability", "correct"]]


def _flatten(record: dict[str, Any], where: str) -> dict[str, Any]:
    try:
        cell, cost = record["cell"], record.get("cost") or {}
        row = {
            "cell": cell["id"],
            "index": cell.get("index", 0),
            **{key: cell[key] for key in ("task", "model", "arm", "method", "seed")},
            "status": record["status"],
            "reason": record.get("reason"),
            "step": record.get("step"),
            "judged_by": record.get("judge"),
            # None is a value that is not finite
            **{name: float("nan") if v is None else v for name, v in (record.get("measures") or {}).items()},
            **{f"cost_stage_{stage}": seconds for stage, seconds in (cost.get("stages") or {}).items()},
            **{f"cost_{name}": value for name, value in cost.items() if name != "stages"},
            "hyperparameters": cell.get("hyperparameters") or {},
            "stages": cell.get("stages") or {},
            "task_settings": cell.get("task_settings") or {},
            "model_settings": cell.get("model_settings") or {},
            "set_aside": (record.get("data") or {}).get("set_aside") or {},
            "about": (record.get("data") or {}).get("about") or {},
            "reward_models": record.get("reward_models") or {},
            "versions": record.get("versions") or {},
            "commit": record.get("commit"),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{where}: not a record ({type(error).__name__}: {error})") from None
    return row
