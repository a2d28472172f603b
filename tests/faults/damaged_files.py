"""Files that are flipped in a bit, cut, emptied, removed or replaced: in a run, in a packed run, in a store."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.faults.commands import bench
from tests.faults.trial import Fault, Found
from tests.faults.world import World, examine, is_whole

HARMS = ("bit flipped", "cut", "emptied", "removed", "replaced")


def faults(world: World, rng: random.Random) -> Iterator[Fault]:
    """Every harm to every file."""
    for original, place in (("run", "a run's file"), ("packed", "a packed run's file")):
        root = world.folder / original
        files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
        for harm in HARMS:
            for file in files:
                at = rng.random()
                other = rng.choice(_like(file, files))
                cause = partial(_in_run, world, original, harm, file, other, at)
                yield Fault(f"{place}: {harm}", str(file), cause)
    for harm in HARMS:
        yield Fault(
            f"a file of every artifact: {harm}", "all", partial(_in_store, world, harm, rng.random(), "*"), True
        )
    yield Fault("a file of an artifact: cut", "evaluation", partial(_in_store, world, "cut", 0.5, "evaluation"))


def _like(file: Path, files: list[Path]) -> list[Path]:
    """Files that could be taken for this one: of its name, else of its kind."""
    others = [each for each in files if each != file]
    same = [each for each in others if each.name == file.name]
    return same or [each for each in others if each.suffix == file.suffix] or others


def harm(file: Path, how: str, at: float, other: Path) -> None:
    """Damage a file; `at` in [0, 1) is the place, `other` what takes its place."""
    data = bytearray(file.read_bytes())
    place = int(at * len(data))
    if how == "removed":
        file.unlink()
    elif how == "replaced":
        shutil.copyfile(other, file)
    elif how == "bit flipped" and data:
        data[place] ^= 1 << int(at * 1e6) % 8
        file.write_bytes(data)
    else:
        file.write_bytes(data[:place] if how == "cut" else b"")


def _in_run(world: World, original: str, how: str, file: Path, other: Path, at: float, work: Path) -> Found:
    run = world.copy(work, original)
    harm(run / file, how, at, world.folder / original / other)
    names = [file.name, *([file.parent.name] if "cells" in file.parts else [])]
    found = examine(world, run, original, bench(work, "table", "run"), names)
    if file.name == "claims.json":  # what was predicted before the run cannot be made again
        return found
    again = world.run(work)
    said, bad = found.said + again.text, found.traceback or again.traceback
    if file.name in ("comparisons.parquet", "manifest.json"):
        judged = bench(work, "judge", "run", "--judge", "gold", "--store", world.store)
        said, bad = said + judged.text, bad or judged.traceback
    healed = again.code == 0 and is_whole(world, run, original)
    return replace(found, traceback=bad, healed=healed, said=said)


def _in_store(world: World, how: str, at: float, kind: str, work: Path) -> Found:
    """One file of every artifact (or of one of a kind) is damaged; then a new folder is filled from the store."""
    store = Path(shutil.copytree(world.store, work / "store"))
    rng = random.Random(at)
    harmed = []
    for manifest in sorted(store.glob(f"{kind}/*/manifest.json")):
        files = sorted(path for path in manifest.parent.rglob("*") if path.is_file())
        file = rng.choice(files)
        harm(file, how, at, rng.choice(_like(file, files)))
        harmed.append(manifest.parent.name)
    verified = bench(work, "store", "--store", store, "--verify")
    unseen = [key for key in harmed if key not in verified.text]
    first = world.run(work, store=store)
    whole = bench(work, "store", "--store", store, "--verify")
    bench(work, "judge", "run", "--judge", "gold", "--store", store)
    healed = first.code == 0 and is_whole(world, work / "run", "run", costs=False)
    traceback = verified.traceback or first.traceback
    said = f"{verified.text}{first.text}{whole.text}\nnot noticed: {unseen}"
    return Found(not unseen, first.code == 0 and not healed, traceback, healed, said=said)
