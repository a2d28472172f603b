"""The page's tables: texts, the column to choose rows by, and notes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from bench.analysis.report.summary import VERDICTS
from bench.analysis.report.words import labels
from bench.analysis.tables.cost import NOTES as COST_NOTES
from bench.analysis.tables.cost import cost_table, costs
from bench.analysis.tables.main_table import main_sections, main_table
from bench.analysis.winrates.table import notes_on, table_of, tournaments
from bench.records.loading import RunFrames

_NUMBER = re.compile(r"[≤≥+−-]? ?\d")


@dataclass(frozen=True)
class Sheet:
    """A table that can be sorted and filtered.

    Attributes:
        name: its id on the page.
        frame: texts; the first column heads the rows.
        choice: what the reader can choose rows by, one value per row; empty where there is nothing to choose.
        label: what a value of `choice` is called.
        notes: what the reader has to know, by heading.
        best: choice, row's head and column of the numbers to be marked.
    """

    name: str
    title: str
    frame: pd.DataFrame
    choice: list[str] = field(default_factory=list)
    label: str = "task"
    notes: dict[str, list[str]] = field(default_factory=dict)
    best: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def choices(self) -> list[str]:
        """The values to choose from; none where there would be one."""
        values = list(dict.fromkeys(self.choice))
        return values if len(values) > 1 else []

    @property
    def heads(self) -> list[str]:
        """The columns' names, an arrow staying with its word."""
        return [re.sub(r" (?=[↑↓→0])", "\N{NO-BREAK SPACE}", str(name)) for name in self.frame]

    @cached_property
    def numeric(self) -> list[bool]:
        """For each column: is it of numbers, to be sorted as such?"""
        return [_is_numeric(self.frame[name]) for name in self.frame]

    @property
    def rows(self) -> list[list[str]]:
        """The texts by row."""
        rows: list[list[str]] = self.frame.to_numpy().tolist()
        return rows


def main_sheet(run: RunFrames) -> Sheet:
    """The main table of all tasks, arms first."""
    by_task = dict(zip(labels(run).values(), main_sections(run), strict=True))
    lines = {f"Reading the rows of {name}": section.notes for name, section in by_task.items()}
    best = frozenset((name, *mark) for name, section in by_task.items() for mark in section.marks)
    return _by_task(run, "results", "One row per arm, one column per measure", main_table(run), lines, best)


def cost_sheet(run: RunFrames) -> Sheet:
    """What a cell of each arm cost, with all the stages that it rests on."""
    found = costs(run)
    groups = found.groupby(["task", "model"], sort=False)
    parts = [cost_table(rows).assign(task=str(task), model=str(model)) for (task, model), rows in groups]
    frame = pd.concat(parts or [pd.DataFrame(columns=["arm", "task", "model"])])
    return _by_task(run, "cost", "What a cell of each arm costs", frame.fillna(""), {"Reading this table": COST_NOTES})


def win_rate_sheets(run: RunFrames) -> list[tuple[str, Sheet]]:
    """Every arm against every other, a sheet for each task and model, with what that is called."""
    names, sheets = labels(run), []
    for number, each in enumerate(tournaments(run)):
        name = names[each.task, each.model]
        title, lines = f"{name}: every arm against every other", {"Reading this table": list(notes_on(each))}
        sheets.append((name, Sheet(f"win-rates-{number}", title, table_of(each), notes=lines)))
    return sheets


def claim_sheet(verdicts: pd.DataFrame | None) -> list[dict[str, Any]]:
    """The claims, contradicted ones first; each with its `rank` among the verdicts and the `lines` to fold away."""
    if verdicts is None or verdicts.empty:
        return []
    claims: list[dict[str, Any]] = []
    for row in verdicts.to_dict("records"):
        lines = [
            f"{name}: {row[key]}" for key, name in (("planted", "Planted"), ("published", "Published")) if row[key]
        ]
        if row["world"]:
            lines.append(f"World: {row['world']}")
        rank = VERDICTS.index(row["verdict"]) if row["verdict"] in VERDICTS else len(VERDICTS)
        claims.append(
            {**{str(key): value for key, value in row.items()}, "rank": rank, "lines": [*lines, *row["details"]]}
        )
    return sorted(claims, key=lambda claim: (claim["rank"], claim["id"]))


def _by_task(
    run: RunFrames,
    name: str,
    title: str,
    frame: pd.DataFrame,
    notes: dict[str, list[str]],
    best: frozenset[tuple[str, str, str]] = frozenset(),
) -> Sheet:
    """Arms in front; task and model only where there are several."""
    names = labels(run)
    choice = [names[task, model] for task, model in frame[["task", "model"]].to_numpy().tolist()]
    shown = [column for column in ("task", "model") if frame[column].nunique() > 1]
    rest = [column for column in frame if column not in ("arm", "task", "model")]
    return Sheet(name, title, frame[["arm", *shown, *rest]], choice, notes=notes, best=best)


def _is_numeric(texts: pd.Series) -> bool:
    known = [text for text in texts if text not in ("", "·", "unparsable")]
    return bool(known) and all(_NUMBER.match(text) for text in known)
