"""A run's folder as pandas frames: one folder per cell, packed (see `bench.records.packing`), or some of each."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.contracts.errors import BenchError, nearest
from bench.contracts.measure import MeasureInfo
from bench.measures.binned_calibration import reliability
from bench.measures.registry import MEASURES
from bench.records.chance import Accuracy, accuracy_of
from bench.records.files import CELLS, COMPARISONS, PACKED, RUN_FILE, is_run
from bench.records.manifest import whole_file
from bench.records.reading import Cells, described, planned, read_cells, read_comparisons
from bench.records.record import Record
from bench.records.sealing import Damaged
from bench.stages.artifact import COMPLETIONS, CURVE, HELDOUT, PROBES, TRAINING

if TYPE_CHECKING:
    import pyarrow as pa

IDENTITY = ("cell", "index", "task", "model", "arm", "method", "seed")
STATUS = ("status", "reason", "step", "judged_by")
JUDGED = ("win", "tie", "loss", "win_rate")
"""What a judge decides. None of it is known where the judge is a reward model no better than a coin."""
TEXTS = ("prompt", "completion", "reference_completion")
"""Columns of completions; each text is JSON in a packed run, so that conversations fit in beside strings."""


def load_run(directory: str | Path) -> RunFrames:
    """The run in `directory`.

    Raises:
        BenchError: there is no such folder, or it holds no run.
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


class RunFrames:
    """What a run recorded, read when it is asked for, and held to its checksums.

    A damaged cell is left out of everything; `Damaged` is raised where nothing whole is left, or where what the run
    said of itself before it began is damaged.

    Attributes:
        directory: the run's folder.
        cells: which cells are whole, and which are damaged.
        damaged: what is wrong with each of the latter, and with what a judge said, by its name.
        pending: ids of cells that have no record yet.
        records: one row per cell, in the matrix's order. Columns: `cell` (its id), `index`, `task`, `model`, `arm`,
            `method`, `seed`; `status`, `reason`, `step`, `judged_by`; every measure by its name, and what a method
            reports of itself; `cost_…` (seconds, megabytes, counts); `hyperparameters`, `stages`, `task_settings`,
            `model_settings` (a model's name where it is from the hub), `set_aside`, `about`, `reward_models`,
            `versions` (dictionaries); `prompts_asked`, `prompts_measured`; `commit`. What a judge decided
            is NaN where the judge is useless.
        useless_judges: by task and model, the accuracy of the judging reward models that are not told from a coin.
        curves, training, completions, probes: the rows of all cells' parquet files behind each cell's identity; empty
            where no cell has such a file. Of a packed cell there are no probes, and the texts of completions are None
            but for some.
        reliability: the probes in bins: per cell and `bin` (0 … 9, equal width) the `count` of choices whose
            probability falls there, their mean `probability`, and the share `correct`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @cached_property
    def cells(self) -> Cells:
        """See the class."""
        found = read_cells(self.directory)
        if found.damaged and not found.records:
            raise Damaged(
                f"{next(iter(found.damaged.values()))}, and no other cell is whole (the same `bench run` heals it)"
            )
        if len(found.records) > found.unverified and not (self.directory / RUN_FILE).exists():
            raise Damaged(f"{self.directory / RUN_FILE}: is missing (the same `bench run` writes it again)")
        return found

    @cached_property
    def damaged(self) -> dict[str, str]:
        """See the class."""
        try:
            read_comparisons(self.directory, self.cells)
        except Damaged as error:
            return self.cells.damaged | {COMPARISONS: str(error)}
        return self.cells.damaged

    @cached_property
    def records(self) -> pd.DataFrame:
        """See the class."""
        rows = [_row(record) for record in self.cells.records.values()]
        frame = pd.DataFrame(rows, columns=None if rows else [*IDENTITY, *STATUS])
        frame = frame.sort_values(["index", "cell"], ignore_index=True)
        if self.useless_judges:
            useless = pd.MultiIndex.from_frame(frame[["task", "model"]]).isin(list(self.useless_judges))
            frame.loc[useless, [name for name in JUDGED if name in frame]] = np.nan
        return frame

    @cached_property
    def useless_judges(self) -> dict[tuple[str, str], Accuracy]:
        """See the class."""
        models: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for record in self.cells.records.values():
            if record.get("judge") == HELDOUT and "judge" in (fitted := record.get("reward_models", {})):
                models[record["cell"]["task"], record["cell"]["model"]].append(fitted["judge"])
        accuracies = {of: accuracy_of(each) for of, each in models.items()}
        return {of: found for of, found in accuracies.items() if found is not None and found.at_chance}

    @cached_property
    def pending(self) -> list[str]:
        """See the class."""
        names = planned(self.directory)
        if names is None:
            names = sorted(path.name for path in self.directory.glob(f"{CELLS}/*/"))
        known = {*self.cells.records, *self.cells.damaged}
        return [name for name in dict.fromkeys(names) if name not in known]

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

    def own_files(self, name: str) -> dict[str, Path]:
        """The file `name` in cells' own folders, by the cell's id."""
        folder, records = self.directory / CELLS, self.cells.records
        return {cell: folder / cell / name for cell in sorted(self.cells.own) if name in records[cell]["files"]}

    @cached_property
    def comparisons(self) -> Path | None:
        """The file of what a judge said; None where none was asked, or the file is damaged."""
        return None if COMPARISONS in self.damaged else read_comparisons(self.directory, self.cells)

    def _frames(
        self,
        name: str,
        columns: list[str] | None = None,
        then: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows,
        packed: bool = True,
    ) -> pd.DataFrame:
        """All cells' rows of the file `name`, made by `then` of each cell's, behind the identity of their cell."""
        import pyarrow as pa

        cells = self.records["cell"].tolist()
        # files of one schema become pandas together: one by one that takes most of the time
        by_schema: dict[str, list[tuple[int, pa.Table]]] = {}
        files = self.own_files(name)
        for number, cell in enumerate(cells):
            if path := files.get(cell):
                table = _read_table(path, columns)
                if columns and len(table):
                    table = pa.Table.from_pandas(then(table.to_pandas()), preserve_index=False)
                if len(table):
                    by_schema.setdefault(str(table.schema.remove_metadata()), []).append((number, table))
        frames = [pa.concat_tables([table for _, table in group]).to_pandas() for group in by_schema.values()]
        numbers = [np.repeat(number, len(table)) for group in by_schema.values() for number, table in group]
        packed_cells = {cell: number for number, cell in enumerate(cells) if cell not in self.cells.own}
        if packed and packed_cells and (file := whole_file(self.directory, PACKED[name])):
            rows = _unpack(_read_table(file).to_pandas(), packed_cells)
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


def _read_table(file: Path, columns: list[str] | None = None) -> pa.Table:
    """The rows of a Parquet file.

    Raises:
        Damaged: it is none; a file with a checksum never gets so far.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(file, columns=columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Damaged(f"{file}: cannot be read ({' '.join(str(error).split())[:200]})") from None


def completion_digests(run: RunFrames) -> dict[str, str]:
    """SHA-256 of each cell's ``completions.parquet`` as its evaluation wrote it, by the cell's id; "" without one."""
    return {cell: run.cells.records[cell]["files"].get(COMPLETIONS, "") for cell in run.records["cell"]}


def plain(value: Any) -> Any:
    """A text or a conversation as it was before it went through Parquet."""
    return value if isinstance(value, str) else [dict(message) for message in value]


def _bins(probes: pd.DataFrame) -> pd.DataFrame:
    bins = reliability(probes["probability"].to_numpy(), probes["correct"].to_numpy())
    names = {"confidence": "probability", "accuracy": "correct"}
    return bins.rename(columns=names)[["bin", "count", "probability", "correct"]]


def _row(record: Record) -> dict[str, Any]:
    """The record as one row of `RunFrames.records`."""
    cell, cost, data = record["cell"], record.get("cost", {}), record.get("data", {})
    reason = record.get("reason")
    return {
        "cell": cell["id"],
        "index": cell.get("index", 0),
        "task": cell["task"],
        "model": cell["model"],
        "arm": cell["arm"],
        "method": cell["method"],
        "seed": cell["seed"],
        "status": record["status"],
        # it may quote the name of a file that is not UTF-8, which no column of texts takes
        "reason": reason and reason.encode(errors="backslashreplace").decode(),
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
        "prompts_measured": data.get("prompts_measured", np.nan),
        "prompts_asked": data.get("prompts_asked", np.nan),
        "reward_models": record.get("reward_models", {}),
        "versions": record.get("versions", {}),
        "commit": record.get("commit"),
    }
