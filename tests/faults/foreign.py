"""Files and folders of others in a run, in a store, and where a run is told to write: all stay as they are."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.faults.commands import Outcome, bench
from tests.faults.trial import Fault, Found
from tests.faults.world import World, is_whole

WORK = "ten years of work\n" * 10


def faults(world: World, rng: random.Random) -> Iterator[Fault]:
    """Each thing of somebody else's, then each command that writes."""
    for name in GUESTS:
        for command in COMMANDS:
            yield Fault(f"others' files in a run, {command}", name, partial(_in_run, world, name, command))
    for name in HOSTS:
        yield Fault("a run into others' folder", name, partial(_into, world, name))
    yield Fault("others' files in a store", "all", partial(_in_store, world))


def _write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(WORK, encoding="utf-8")


def _link(run: Path) -> None:
    _write(run.parent / "outside" / "record.json")
    (run / "cells" / "link").symlink_to(run.parent / "outside")


def _linked_cell(run: Path) -> None:
    """A cell lies elsewhere, and a link leads there."""
    cell = next(path for path in sorted((run / "cells").iterdir()) if "dpo" in path.name)
    _write(run.parent / "outside" / "thesis.tex")
    shutil.move(cell, run.parent / "outside" / cell.name)
    cell.symlink_to(run.parent / "outside" / cell.name)


def _beside_a_record(run: Path) -> None:
    for cell in (run / "cells").iterdir():
        _write(cell / "notes.txt")


GUESTS: dict[str, Callable[[Path], None]] = {
    "a folder among cells": lambda run: _write(run / "cells" / "mouse-042" / "measurements.csv"),
    "another's record among cells": lambda run: _write(run / "cells" / "mouse-042" / "record.json"),
    "a file among cells": lambda run: _write(run / "cells" / "cells.csv"),
    "a link among cells": _link,
    "a cell that is a link": _linked_cell,
    "notes beside a record": _beside_a_record,
    "a file in the run": lambda run: _write(run / "thesis.tex"),
    "a hidden file in the run": lambda run: _write(run / ".history"),
    "a file among tables": lambda run: _write(run / "tables" / "mine.csv"),
    "a file among logs": lambda run: _write(run / "logs" / "mine.log"),
}

COMMANDS: dict[str, Callable[[World, Path], Outcome]] = {
    "run": lambda world, work: world.run(work),
    "run of fewer cells": lambda world, work: bench(
        work, "run", world.folder / "fewer.yaml", "--out", "run", "--store", world.store, *world.only()
    ),
    "pack": lambda world, work: bench(work, "pack", "run"),
}

HOSTS: dict[str, Callable[[Path], None]] = {
    "a folder of cells": lambda out: _write(out / "cells" / "mouse-042" / "measurements.csv"),
    "a file named cells": lambda out: _write(out / "cells"),
    "a folder of texts": lambda out: _write(out / "thesis.tex"),
    "another's run.json": lambda out: _write(out / "run.json"),
    "a file in its place": _write,
    "a file above it": lambda out: _write(out.parent),
}


def _theirs(folder: Path) -> dict[str, str]:
    """Path and digest of every file of others; a link is where it leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = str(path.readlink())
        elif path.is_file() and path.read_bytes() == WORK.encode():
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _lost(before: dict[str, str], folder: Path) -> tuple[int, str]:
    """Bytes that are gone or altered, and in which files."""
    after = _theirs(folder)
    gone = [path for path, digest in before.items() if after.get(path) != digest]
    return len(WORK) * len(gone), f"\nlost: {gone}" if gone else ""


def _in_run(world: World, name: str, command: str, work: Path) -> Found:
    run = world.copy(work)
    GUESTS[name](run)
    before = {
        path: value
        for path, value in _theirs(work).items()
        if command == "run" or name != "a cell that is a link" or "thesis" in path
    }
    outcome = COMMANDS[command](world, work)
    lost, told = _lost(before, work)
    silent = command == "run" and outcome.code == 0 and not is_whole(world, run, "run")
    return Found(outcome.code != 0, silent, outcome.traceback, lost=lost, said=outcome.text + told)


def _into(world: World, name: str, work: Path) -> Found:
    HOSTS[name](work / "deep" / "mine")
    before = _theirs(work)
    outcome = world.run(work, "deep/mine")
    lost, told = _lost(before, work)
    accepted = outcome.code == 0 and not is_whole(world, work / "deep" / "mine", "run", judged=False)
    return Found(outcome.names("mine", "deep"), accepted, outcome.traceback, lost=lost, said=outcome.text + told)


def _in_store(world: World, work: Path) -> Found:
    store = Path(shutil.copytree(world.store, work / "store"))
    for place in ("README", "policy/mine.txt", "mine/mine/data.bin", ".mine/data.bin"):
        _write(store / place)
    before = _theirs(store)
    outcome = world.run(work, store=store)
    verified = bench(work, "store", "--store", store, "--verify")
    lost, told = _lost(before, store)
    wrong = not is_whole(world, work / "run", "run", judged=False)
    traceback = outcome.traceback or verified.traceback
    return Found(False, wrong, traceback, lost=lost, said=outcome.text + verified.text + told)
