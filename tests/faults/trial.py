"""A fault, what came of it, and the table of figures by kind of fault."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """What came of one fault.

    Attributes:
        noticed: a line names the file, the cell or the field.
        silent: a figure that is shown is not what was recorded, or some are not shown, and no line says so.
        traceback: a command ended in a traceback, by a signal of its own, or not at all.
        healed: the same `bench run` (or `bench judge`) brought all back; None where nothing can.
        lost: bytes that were somebody else's and are gone or altered.
        left: files and processes that stay behind outside the store and the output.
        said: all that the commands printed, and what was wrong with it.
    """

    noticed: bool = False
    silent: bool = False
    traceback: bool = False
    healed: bool | None = None
    lost: int = 0
    left: int = 0
    said: str = ""

    @property
    def bad(self) -> bool:
        """Is a promise broken?"""
        return self.silent or self.traceback or self.healed is False or self.lost > 0 or self.left > 0


@dataclass(frozen=True)
class Fault:
    """Something that is done to a copy of a finished run, or to a command.

    Attributes:
        kind: its row in the table.
        name: tells it from the others of its kind; the same with every seed.
        cause: does it, in an empty folder.
        long: left out of the short form.
    """

    kind: str
    name: str
    cause: Callable[[Path], Found]
    long: bool = False


@dataclass
class Row:
    """The figures of one kind of fault."""

    kind: str
    tried: int = 0
    noticed: int = 0
    to_heal: int = 0
    healed: int = 0
    silent: int = 0
    tracebacks: int = 0
    lost: int = 0
    left: int = 0

    def add(self, found: Found) -> None:
        """Count one fault."""
        self.tried += 1
        self.noticed += found.noticed
        self.to_heal += found.healed is not None
        self.healed += bool(found.healed)
        self.silent += found.silent
        self.tracebacks += found.traceback
        self.lost += found.lost
        self.left += found.left


FIGURES = tuple(field.name for field in fields(Row) if field.name != "kind")
_HEADER = (
    "| kind of fault | tried | noticed | healed | silent changes | tracebacks | bytes of others lost | left behind |"
)


def total(rows: Iterable[Row]) -> Row:
    """The sum of all kinds."""
    found = Row("all")
    for row in rows:
        for name in FIGURES:
            setattr(found, name, getattr(found, name) + getattr(row, name))
    return found


def read(file: Path) -> dict[str, list[Row]]:
    """The rows of each commit in a table that was written before."""
    found: dict[str, list[Row]] = {}
    if file.exists():
        with file.open(encoding="utf-8", newline="") as lines:
            for line in csv.DictReader(lines):
                row = Row(line["kind"], *(int(line[name]) for name in FIGURES))
                found.setdefault(line["commit"], []).append(row)
    return found


def write(folder: Path, commits: dict[str, list[Row]]) -> None:
    """``faults.csv`` and ``faults.md`` of several commits, the earliest first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "faults.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["commit", "kind", *FIGURES])
        lines.writerows([commit, *astuple(row)] for commit, rows in commits.items() for row in rows)
    (folder / "faults.md").write_text(markdown(commits), encoding="utf-8")


def markdown(commits: dict[str, list[Row]]) -> str:
    """One row per kind; in each cell the figures of the commits in their order, — where one has not tried it.

    The last row is the sum of the kinds that all of them have tried.
    """
    by_commit = [{row.kind: row for row in rows} for rows in commits.values()]
    kinds = list(dict.fromkeys(kind for rows in by_commit for kind in rows))
    shared = [kind for kind in kinds if all(kind in rows for rows in by_commit)]
    by_commit = [rows | {"all": total(rows[kind] for kind in shared)} for rows in by_commit]
    lines = [f"Commits: {' → '.join(commits)}.", "", _HEADER, "|:---|" + "---:|" * 7]
    for kind in [*kinds, "all"]:
        rows = [rows.get(kind) for rows in by_commit]
        shown = [
            ["—" if row is None else f"{row.tried}" for row in rows],
            ["—" if row is None else f"{row.noticed}" for row in rows],
            ["—" if row is None else f"{row.healed} of {row.to_heal}" if row.to_heal else "" for row in rows],
            *(
                ["—" if row is None else f"{getattr(row, name):,}" for row in rows]
                for name in ("silent", "tracebacks", "lost", "left")
            ),
        ]
        cells = [
            "" if set(each) <= {"", "—"} else each[0] if len(set(each)) == 1 else " → ".join(each) for each in shown
        ]
        lines.append(f"| {'**all**' if kind == 'all' else kind} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
