"""Damage, signals and hostile inputs against a small finished run: what is noticed, healed, silent, or lost.

Makes a run of four cells, does every fault to a copy of it (or to a command), and counts by kind of fault how many were
noticed (a line names the file, the cell or the field) and healed (the same `bench run` brings every figure back), and:
silent changes (a figure is not what was recorded, or is gone, and no line says so); tracebacks (and hangs); bytes of
others that were lost; files and processes left behind outside the store and the output. These four must be 0, and the
exit status is 1 where they are not. Each broken promise is printed with the words that repeat it, --only "KIND: NAME".
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Parse the arguments, try every fault, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=" ".join(str(__doc__).split()))
    parser.add_argument("--short", action="store_true", help="one fault of every kind, in about a minute")
    parser.add_argument(
        "--only", metavar="TEXT", action="append", help="faults with this text in 'KIND: NAME', and all that they print"
    )
    parser.add_argument("--each", metavar="N", type=int, default=1000, help="of every kind at most so many, by lot")
    parser.add_argument("--seed", type=int, default=0, help="of the places of damage and the moments of signals")
    parser.add_argument(
        "--project", type=Path, default=ROOT, metavar="DIR", help="another checkout to try. Default: this one"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write faults.csv and faults.md there, beside other commits' figures"
    )
    chosen = parser.parse_args()
    # the checkout comes first, this one after it for the tests, and never the working folder
    rest = [path for path in sys.path if path and Path(path).resolve() not in (ROOT, Path.cwd())]
    sys.path[:] = [str(chosen.project.resolve()), str(ROOT), *rest]
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        sys.exit(_try_all(chosen, Path(folder).resolve()))


def _try_all(chosen: argparse.Namespace, folder: Path) -> int:
    from tests.faults import damaged_files, foreign, hostile, interruptions, structure
    from tests.faults.commands import warm_up
    from tests.faults.trial import Row, markdown, read, write
    from tests.faults.world import make_world

    started, commit = time.monotonic(), _commit(chosen.project)
    warm_up()
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    world = make_world(folder / "world", seeds=1 if chosen.short else 2)
    rng = random.Random(chosen.seed)
    rooms = (damaged_files, structure, foreign, hostile, interruptions)
    faults = [fault for room in rooms for fault in room.faults(world, rng)]
    if chosen.only:
        faults = [fault for fault in faults if any(text in f"{fault.kind}: {fault.name}" for text in chosen.only)]
    kinds: dict[str, list] = {}
    for fault in faults:
        if not (chosen.short and fault.long):
            kinds.setdefault(fault.kind, []).append(fault)
    most = 1 if chosen.short else chosen.each
    faults = [fault for of_kind in kinds.values() for fault in rng.sample(of_kind, min(most, len(of_kind)))]
    rows: dict[str, Row] = {}
    commits, broken = {}, 0
    for number, fault in enumerate(faults):
        found = _try(fault, folder / f"fault{number}")
        rows.setdefault(fault.kind, Row(fault.kind)).add(found)
        broken += found.bad
        if found.bad or chosen.only:
            print(f"{'BROKEN' if found.bad else 'kept'}  {fault.kind}: {fault.name}", flush=True)
        if chosen.only:
            print(found.said)
        commits = (read(chosen.out / "faults.csv") if chosen.out else {}) | {commit: list(rows.values())}
        if chosen.out:
            write(chosen.out, commits)
    print(markdown(commits))
    print(f"{len(faults)} faults in {time.monotonic() - started:.0f} s, {broken} broke a promise")
    return 1 if broken else 0


def _try(fault, folder: Path):
    from dataclasses import replace

    for name in ("work", "home", "tmp"):
        (folder / name).mkdir(parents=True)
    found = fault.cause(folder / "work")
    left = [path for name in ("home", "tmp") for path in sorted((folder / name).rglob("*")) if path.is_file()]
    unlike = (folder / "unlike").read_text(encoding="utf-8") if (folder / "unlike").exists() else ""
    shutil.rmtree(folder)
    told = "".join(f"\nleft behind: {path.relative_to(folder)}" for path in left)
    return replace(found, left=found.left + len(left), said=found.said + told + unlike)


def _commit(project: Path) -> str:
    command = ["git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
