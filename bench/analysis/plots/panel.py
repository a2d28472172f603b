"""What one page of plots shows: a task and a model, and of their arms as many as a reader can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from bench.analysis.plots.style import COLOURS, GREY, LINES, MARKERS, shortened
from bench.records.loading import RunFrames

MOST_ARMS = 10


class Part(RunFrames):
    """A run as if it had only some of its cells: what is not drawn is filtered out once, and not for every plot."""

    def __init__(self, run: RunFrames, records: pd.DataFrame) -> None:
        super().__init__(run.directory)
        self._run, self._records = run, records.reset_index(drop=True)

    @cached_property
    def records(self) -> pd.DataFrame:
        """See `RunFrames`."""
        return self._records

    @cached_property
    def curves(self) -> pd.DataFrame:
        """See `RunFrames`."""
        return self._of(self._run.curves)

    @cached_property
    def completions(self) -> pd.DataFrame:
        """See `RunFrames`."""
        return self._of(self._run.completions)

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """See `RunFrames`."""
        return self._of(self._run.reliability)

    def _of(self, frame: pd.DataFrame) -> pd.DataFrame:
        if len(self._records) == len(self._run.records):
            return frame
        return frame[frame["cell"].isin(self._records["cell"])]


@dataclass(frozen=True)
class Panel:
    """What is drawn on one page.

    Attributes:
        run: what the drawn arms, and π0's, recorded.
        records: of every arm of the task and model, status ok.
        chosen: the arms that are drawn in colour; the others stand behind them in grey where that says something.
    """

    run: Part
    task: str
    model: str
    records: pd.DataFrame
    chosen: tuple[str, ...]

    @classmethod
    def make(cls, run: RunFrames, task: str, model: str, records: pd.DataFrame, chosen: Sequence[str]) -> Panel:
        """`records`: all of the task and model with status ok."""
        needed = records["arm"].isin(chosen) | (records["method"] == "sft")
        return cls(Part(run, records[needed]), task, model, records, tuple(chosen))

    @cached_property
    def cells(self) -> dict[str, pd.DataFrame]:
        """The records of every arm, in the matrix's order."""
        return {str(arm): rows for arm, rows in self.records.groupby("arm", sort=False)}

    @property
    def others(self) -> list[str]:
        """The arms that are not chosen."""
        return [arm for arm in self.cells if arm not in self.chosen]

    @property
    def reference(self) -> str | None:
        """The arm that is π0 itself: the SFT policy."""
        return next((arm for arm, cells in self.cells.items() if (cells["method"] == "sft").all()), None)

    @property
    def judge(self) -> tuple[str, str] | None:
        """The column that says what is really wanted, and its name: gold where known, else the judge."""
        for column, name in (("gold", "gold reward"), ("judge", "judge (held-out reward model)")):
            if known(self.records, column):
                return column, name
        return None

    @property
    def seeds(self) -> int:
        """How many there are."""
        return int(self.records["seed"].nunique())

    def curves(self, arm: str, *columns: str) -> list[pd.DataFrame]:
        """The arm's training curves, one per seed, where they have the columns and at least two points."""
        if columns not in self._curves:
            self._curves[columns] = self._split(columns)
        return self._curves[columns].get(arm, [])

    @cached_property
    def _curves(self) -> dict[tuple[str, ...], dict[str, list[pd.DataFrame]]]:
        """What was asked for before: several plots draw the same columns."""
        return {}

    def _split(self, columns: tuple[str, ...]) -> dict[str, list[pd.DataFrame]]:
        found: dict[str, list[pd.DataFrame]] = {}
        if set(columns) <= set(self.run.curves):
            told = self.run.curves.dropna(subset=list(columns)).sort_values("step")
            for (arm, _), rows in told.groupby(["arm", "seed"], sort=True):
                if len(rows) > 1:
                    found.setdefault(str(arm), []).append(rows)
        return found

    def style(self, arm: str) -> dict[str, Any]:
        """The arm's colour, marker and line style, the same in every plot."""
        i = self.chosen.index(arm)
        return {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i // len(COLOURS) % len(LINES)],
        }

    def point(self, arm: str, hollow: bool = False) -> dict[str, Any]:
        """The arm's style without a line; hollow where the place is only a bound."""
        style = self.style(arm)
        return style | {"linestyle": "none", "markerfacecolor": "white" if hollow else style["color"]}

    def handle(self, arm: str, line: bool = False, hollow: bool = False) -> Line2D:
        """The arm in a legend."""
        style = self.style(arm) if line else self.point(arm, hollow)
        return Line2D([], [], ms=5.5, lw=1.2, label=shortened(arm), **style)

    def interval_handles(self) -> list[Line2D]:
        """What else a legend of points with intervals has to say."""
        if self.seeds < 2:
            return []
        return [Line2D([], [], color=GREY, lw=1.1, marker="|", ms=6, label="95 % over seeds\n(cut off at the frame)")]

    def title(self, text: str) -> str:
        """`text`, what it was measured on, and how to see the arms that are not in it."""
        parts = [self.task, self.model, f"{self.seeds} seed{'s' * (self.seeds != 1)}"]
        if self.others:
            parts.append(f"{len(self.chosen)} of {len(self.cells)} arms (bench plot --arms)")
        return f"{text}\n{' · '.join(parts)}"


def choose(records: pd.DataFrame, most: int = MOST_ARMS) -> list[str]:
    """The arms that are drawn unless somebody names others: all, or `most` of them, in the matrix's order.

    First come the two arms of one method that ended furthest apart in KL, which show what distance does; then one arm
    of every method, that of the method's own name if there is one; then the others, as the matrix has them.
    """
    arms = list(dict.fromkeys(records["arm"]))
    if len(arms) <= most:
        return arms
    methods = records.drop_duplicates("arm").groupby("method", sort=False)["arm"].apply(list)
    first = [name if name in own else own[0] for name, own in methods.items()]
    wanted = list(dict.fromkeys([*(furthest_apart(records) or ()), *first, *arms]))[:most]
    return [arm for arm in arms if arm in wanted]


def furthest_apart(records: pd.DataFrame) -> tuple[str, str] | None:
    """Of the pairs of arms of one method, the one with the greatest difference in KL, the nearer to π0 first.

    An arm of the method's own name is one of the pair.
    """
    if not known(records, "kl"):
        return None
    kl = records.groupby(["method", "arm"], sort=False)["kl"].mean().dropna()
    pairs = []
    for method, rows in kl.groupby(level=0, sort=False):
        own = rows.droplevel(0)
        first = str(method) if method in own else str(own.idxmin())
        second = str((own - own[first]).abs().idxmax())
        pairs.append((abs(own[second] - own[first]), *sorted((first, second), key=lambda arm: own[arm])))
    gap, near, far = max(pairs, default=(0, "", ""))
    return (near, far) if gap > 0 else None


def known(cells: pd.DataFrame, measure: str) -> bool:
    """Has any of these cells the measure?"""
    return measure in cells and bool(cells[measure].notna().any())
