"""Runs whose files are of another shape than they should be, and every command that reads a run."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.commands import bench
from tests.faults.trial import Fault, Found
from tests.faults.world import World, examine, is_whole

COMMANDS = {
    "table": ["table", "run"],
    "claims": ["claims", "run"],
    "diff": ["diff", "run", "intact"],
    "pack": ["pack", "--keep", "run"],
    "judge": ["judge", "run", "--judge", "gold"],
    "report": ["report", "run"],
    "plot": ["plot", "run"],
}
SLOW = ("report", "plot")


def faults(world: World, rng: random.Random) -> Iterator[Fault]:
    """Every shape with every command, and with `bench run`, after which all must be as it was."""
    cell = rng.choice(world.cells())
    for command in COMMANDS:
        for name in SHAPES:
            yield Fault(f"misshapen run, {command}", name, partial(_read, world, name, cell, command), command in SLOW)
    for name in SHAPES:
        yield Fault("misshapen run, run", name, partial(_run, world, name, cell))


def _text(text: str | bytes, *place: str) -> Callable[[Path, Path], Path]:
    """A file of the cell's folder, or (behind "..") of the run, has this text."""

    def shape(run: Path, cell: Path) -> Path:
        file = cell.joinpath(*place) if place[0] != ".." else run.joinpath(*place[1:])
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    return shape


def _edit(change: Callable[[Any], None]) -> Callable[[Path, Path], Path]:
    """The cell's record is another, in JSON as sound as before."""

    def shape(run: Path, cell: Path) -> Path:
        file = cell / "record.json"
        record = json.loads(file.read_text(encoding="utf-8"))
        change(record)
        file.write_text(json.dumps(record), encoding="utf-8")
        return file

    return shape


def _folder_for_record(run: Path, cell: Path) -> Path:
    (cell / "record.json").unlink()
    (cell / "record.json").mkdir()
    return cell / "record.json"


def _dangling_record(run: Path, cell: Path) -> Path:
    (cell / "record.json").unlink()
    (cell / "record.json").symlink_to("/nonexistent")
    return cell / "record.json"


def _no_description(run: Path, cell: Path) -> Path:
    (run / "run.json").unlink()
    return run / "run.json"


def _no_frames(run: Path, cell: Path) -> Path:
    for file in cell.glob("*.parquet"):
        file.unlink()
    return cell / "completions.parquet"


def _places_taken(run: Path, cell: Path) -> Path:
    """Files where folders are written, a folder where a file is."""
    shutil.rmtree(run / "tables", ignore_errors=True)
    (run / "tables").write_text("x")
    (run / "plots").write_text("x")
    (run / "report.html").mkdir()
    return run / "tables"


def _other_cells(run: Path, cell: Path) -> Path:
    """Two cells have changed places."""
    other = next(each for each in sorted((run / "cells").iterdir()) if each != cell)
    aside = run / "aside"
    cell.rename(aside)
    other.rename(cell)
    aside.rename(other)
    return cell / "record.json"


SHAPES: dict[str, Callable[[Path, Path], Path]] = {
    "a record that is cut": _text("{", "record.json"),
    "a record of another schema": _edit(lambda record: record.update(schema=0)),
    "measures that are a text": _edit(lambda record: record.update(measures="x")),
    "measures that are no numbers": _edit(
        lambda record: record.update(measures={"gold": "abc", "kl": [1], "proxy": {}})
    ),
    "a figure changed by hand": _edit(lambda record: record["measures"].update(gold=0.99)),
    "a record that is a folder": _folder_for_record,
    "a record that leads nowhere": _dangling_record,
    "completions that are no Parquet": _text("xx", "completions.parquet"),
    "a run with a number of cells": _text('{"cells": 5}', "..", "run.json"),
    "a run that is cut": _text('{"cells": ', "..", "run.json"),
    "a run that is a list": _text("[]", "..", "run.json"),
    "a run without its description": _no_description,
    "a record that is no UTF-8": _text(b"\xff\xfe", "record.json"),
    "an identity that is none": _edit(
        lambda record: (record["cell"].update(seed="zero", index=None), record.update(status=7))
    ),
    "the identity of another cell": _edit(lambda record: record["cell"].update(id="strings-t-base-seed0")),
    "an arm that is a list": _edit(lambda record: (record["cell"].update(arm=["a"]), record.update(cost=3))),
    "a status changed by hand": _edit(lambda record: record.update(status="failed", reason="bad luck")),
    "a cell without its frames": _no_frames,
    "a record nested 100,000 deep": _text("[" * 100_000, "record.json"),
    "claims that are no JSON": _text("xx", "..", "claims.json"),
    "answers of a judge that are no Parquet": _text("xx", "..", "comparisons.parquet"),
    "two cells in each other's place": _other_cells,
    "files in the place of folders": _places_taken,
}

ONLY_JUDGED = ("answers of a judge that are no Parquet",)
NOT_MADE_AGAIN = ("claims that are no JSON", "files in the place of folders")


def _read(world: World, name: str, cell: str, command: str, work: Path) -> Found:
    run = world.copy(work)
    if command == "diff":
        shutil.copytree(run, work / "intact")
    file = SHAPES[name](run, run / "cells" / cell)
    outcome = bench(work, *COMMANDS[command], *(["--store", world.store] if command == "judge" else []))
    names = [file.name, cell]
    if command == "table":
        return examine(world, run, "run", outcome, names)
    return Found(outcome.names(*names), traceback=outcome.traceback, said=outcome.text)


def _run(world: World, name: str, cell: str, work: Path) -> Found:
    run = world.copy(work)
    file = SHAPES[name](run, run / "cells" / cell)
    again = world.run(work)
    found = Found(again.names(file.name, cell), traceback=again.traceback, said=again.text)
    if name in NOT_MADE_AGAIN:
        return found
    if name in ONLY_JUDGED:
        again = bench(work, "judge", "run", "--judge", "gold", "--store", world.store)
    whole = again.code == 0 and is_whole(world, run, "run")
    return replace(found, silent=again.code == 0 and not whole, healed=whole, said=found.said + again.text)
