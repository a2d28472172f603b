"""A run's folder as pandas frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import BenchError, nearest
from bench.measures import MEASURES, MeasureInfo

IDENTITY = ("cell", "index", "task", "model", "arm", "method", "seed")
STATUS = ("status", "reason", "step", "judged_by")


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


class RunFrames:
    """What a run recorded, read when it is asked for.

    Attributes:
        directory: the run's folder.
        pending: ids of cells that have no record yet.
        records: one row per cell, in the matrix's order. Columns: `cell` (its id), `index`, `task`, `model`, `arm`,
            `method`, `seed`; `status`, `reason`, `step`, `judged_by`; every measure by its name, and what a method
            reports of itself; `cost_…` (seconds, megabytes, counts); `hyperparameters`, `stages`, `set_aside`,
            `about`, `reward_models` (dictionaries); `commit`.
        curves, training, completions, probes: the rows of all cells' parquet files behind each cell's identity; empty
            where no cell has such a file.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @cached_property
    def records(self) -> pd.DataFrame:
        """See the class."""
        rows = [_flatten(path) for path in sorted(self.directory.glob("cells/*/record.json"))]
        frame = pd.DataFrame(rows, columns=None if rows else [*IDENTITY, *STATUS])
        return frame.sort_values(["index", "cell"], ignore_index=True)

    @cached_property
    def pending(self) -> list[str]:
        """See the class."""
        planned = self.directory / "run.json"
        cells = json.loads(planned.read_text()).get("cells", []) if planned.exists() else []
        names = [*cells, *(path.name for path in sorted(self.directory.glob("cells/*/")))]
        done = set(self.records["cell"])
        return [name for name in dict.fromkeys(names) if name not in done]

    @cached_property
    def measures(self) -> dict[str, MeasureInfo]:
        """Every measure that the run may have, by name: the built-in ones, then those of plug-ins it was run with."""
        planned = self.directory / "run.json"
        plugged = json.loads(planned.read_text()).get("measures", []) if planned.exists() else []
        return MEASURES | {info["name"]: MeasureInfo(**info) for info in plugged}

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
        return self._frames("probes.parquet")

    def groups(self) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """Task, model and their records: what belongs into one table."""
        for (task, model), records in self.records.groupby(["task", "model"], sort=False):
            yield str(task), str(model), records

    def _frames(self, name: str) -> pd.DataFrame:
        frames = []
        for row in self.records[list(IDENTITY)].to_dict("records"):
            path = self.directory / "cells" / row["cell"] / name
            frame = pd.read_parquet(path) if path.exists() else pd.DataFrame()
            if len(frame):
                same = pd.DataFrame({key: [value] * len(frame) for key, value in row.items()})
                frames.append(pd.concat([same, frame.reset_index(drop=True)], axis=1))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(IDENTITY))


def _is_run(directory: Path) -> bool:
    return (directory / "cells").is_dir() or (directory / "run.json").is_file()


def _flatten(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
        if record["schema"] != 1:
            raise BenchError(f"{path}: written in schema {record['schema']}; this release reads 1")
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
            "set_aside": (record.get("data") or {}).get("set_aside") or {},
            "about": (record.get("data") or {}).get("about") or {},
            "reward_models": record.get("reward_models") or {},
            "commit": record.get("commit"),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path}: not a record ({type(error).__name__}: {error})") from None
    return row
