"""Runs that are killed at any moment, and runs that race: the same command then has equal records, and no litter."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil

from tests.faults.commands import Child, start
from tests.faults.trial import Fault, Found
from tests.faults.world import World, is_whole

MOMENTS = 2
"""How often each signal is sent, at moments by lot."""


def faults(world: World, rng: random.Random) -> Iterator[Fault]:
    """Each signal at random moments; two and three runs at once."""
    for victim in VICTIMS:
        for number in range(MOMENTS):
            end = partial(_end, world, victim, rng.random())
            yield Fault(f"a run ended: {victim}", f"moment {number}", end, True)
    for count in (2, 3):
        for shared in ("store", "output"):
            yield Fault(f"{count} runs at once: one {shared}", "all", partial(_race, world, count, shared), True)


def _worker(parent: psutil.Process) -> list[psutil.Process]:
    return [child for child in parent.children() if "bench.running.worker" in " ".join(child.cmdline())]


def _stages(parent: psutil.Process) -> list[psutil.Process]:
    return [stage for worker in _worker(parent) for stage in worker.children()]


def _all(parent: psutil.Process) -> list[psutil.Process]:
    return [parent, *parent.children(recursive=True)]


VICTIMS: dict[str, tuple[Callable[[psutil.Process], list[psutil.Process]], int]] = {
    "all processes by SIGKILL": (_all, signal.SIGKILL),
    "the command by SIGKILL": (lambda parent: [parent], signal.SIGKILL),
    "the command by SIGTERM": (lambda parent: [parent], signal.SIGTERM),
    "the command by SIGINT": (lambda parent: [parent], signal.SIGINT),
    "its worker by SIGKILL": (_worker, signal.SIGKILL),
    "its worker by SIGTERM": (_worker, signal.SIGTERM),
    "a stage by SIGKILL": (_stages, signal.SIGKILL),
    "a stage by SIGTERM": (_stages, signal.SIGTERM),
}


def _command(world: World, work: Path, out: str = "run") -> Child:
    matrix = world.folder / "small.yaml"
    return start(work, "run", matrix, "--out", out, "--store", "store", "--jobs", 2, "--only", "seed=0")


def _end(world: World, victim: str, moment: float, work: Path) -> Found:
    """Ends at a moment in [0, 1) of the time from the worker's start to the first cell, or a little later."""
    command = _command(world, work)
    parent = psutil.Process(command.pid)
    choose, number = VICTIMS[victim]
    everyone: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        _wait_for(lambda: _stages(parent) or not parent.is_running())
        time.sleep(moment * 6)
        everyone = _all(parent)
        victims = _wait_for(lambda: choose(parent))
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    first = command.wait()
    alive = [process for process in psutil.wait_procs(everyone, timeout=10)[1] if _runs(process)]
    again = _command(world, work).wait()
    # a process that was ended from outside says nothing; what it leaves to the other processes to say is no traceback
    traceback = again.traceback or "Traceback (most recent call last)" in first.text
    whole = again.code == 0 and _seed_0_is_whole(world, work / "run")
    litter = _litter(work)
    said = f"{first.text}{again.text}\nleft behind: {[*map(str, litter), *map(str, alive)]}"
    noticed = first.code > 0 and bool(first.text.strip())
    return Found(noticed, again.code == 0 and not whole, traceback, whole, left=len(litter) + len(alive), said=said)


def _race(world: World, count: int, shared: str, work: Path) -> Found:
    names = ["run"] * count if shared == "output" else [f"run{i}" for i in range(count)]
    commands = [_command(world, work, name) for name in names]
    outcomes = [command.wait() for command in commands]
    done = [name for name, outcome in zip(names, outcomes, strict=True) if outcome.code == 0]
    refused = [outcome for outcome in outcomes if outcome.code != 0]
    whole = bool(done) and all(_seed_0_is_whole(world, work / name) for name in set(done))
    litter = _litter(work)
    said = "".join(outcome.text for outcome in outcomes) + f"\nleft behind: {[*map(str, litter)]}"
    one_line = all(outcome.names("run") for outcome in refused)
    as_promised = whole and (len(done) == count if shared == "store" else one_line)
    traceback = any(outcome.traceback for outcome in outcomes)
    return Found(bool(refused), not whole, traceback, as_promised, left=len(litter), said=said)


def _wait_for(condition: Callable[[], object], timeout: float = 60.0) -> list[psutil.Process]:
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if found := condition():
            return found if isinstance(found, list) else []
        time.sleep(0.02)
    return []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _seed_0_is_whole(world: World, run: Path) -> bool:
    return is_whole(world, run, costs=False, judged=False, only="seed0")


def _litter(work: Path) -> list[Path]:
    """Files that are neither in an output nor of an artifact."""

    def belongs(path: Path) -> bool:
        place = path.relative_to(work).parts
        if place[0] == "store":
            return len(place) > 3 and not place[1].startswith(".")
        return place[0].startswith("run") and not any(part.startswith(".") for part in place)

    return [path for path in sorted(work.rglob("*")) if path.is_file() and not belongs(path)]
