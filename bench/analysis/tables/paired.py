"""Every arm against one of them, paired by seed: differences, how often a seed improves, and adjusted p values.

Cells of one seed share their base model, SFT model, preferences and reward model, so what those happen to be like drops
out of a difference.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from pathlib import Path

import pandas as pd
from rich.console import Console

from bench.analysis.curves.paths import by_cell, by_method
from bench.analysis.layout import Section, print_section, wide_console, write_sections
from bench.analysis.statistics import Interval, holm, paired_difference
from bench.analysis.tables.main import interval_text
from bench.contracts.errors import BenchError, nearest
from bench.measures.registry import MEASURES
from bench.records.loading import RunFrames

FAMILY = ("proxy", "gold", "judge", "kl", "perplexity_reference", "ece_debiased", "hypervolume")
"""The measures that are compared. Judge only where gold is not known: elsewhere it is the same."""


def paired_differences(run: RunFrames, against: str) -> pd.DataFrame:
    """One row per task, model, arm other than `against`, and measure of `FAMILY`.

    Columns: `task`, `model`, `arm`, `measure`; `difference`, `low`, `high` (95 %, Student's t over seeds), `n` (seeds
    that both arms have, status ok); `improved`, `improved_low`, `improved_high` (share of seeds in which the arm is
    larger, Wilson); `p` (paired t test) and `p_holm`, adjusted for all rows of the same task and model (Holm 1979).

    Raises:
        BenchError: no arm is called `against`, with the nearest name.
    """
    rows = []
    for task, model, cells, theirs in held_against(run, against):
        known = [measure for measure in FAMILY if measure in cells and cells[measure].notna().any()]
        known = [measure for measure in known if measure != "judge" or "gold" not in known]
        for arm, own in cells.groupby("arm", sort=False):
            for measure in known if arm != against else ():
                x = paired_difference(by_seed(own, measure), by_seed(theirs, measure))
                if x.difference.n:
                    d, i = x.difference, x.improvement
                    rows.append((task, model, arm, measure, d.mean, d.low, d.high, d.n, i.mean, i.low, i.high, x.p))
    names = [
        "task",
        "model",
        "arm",
        "measure",
        "difference",
        "low",
        "high",
        "n",
        "improved",
        "improved_low",
        "improved_high",
        "p",
    ]
    frame = pd.DataFrame(rows, columns=names)
    frame["p_holm"] = frame.groupby(["task", "model"], sort=False)["p"].transform(lambda p: holm(p.to_numpy()))
    return frame


def held_against(run: RunFrames, against: str) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    """Task, model, their cells that ended well (with `hypervolume`), and those of the arm `against` among them.

    Raises:
        BenchError: no arm is called `against`, with the nearest name.
    """
    arms = list(dict.fromkeys(run.records["arm"]))
    if against not in arms:
        raise BenchError(f"no arm {against!r} in {run.directory}{nearest(against, arms)}")
    records = run.records.set_index("cell", drop=False)
    records = records.assign(hypervolume=by_cell(run).reindex(records.index))
    for (task, model), cells in records[records["status"] == "ok"].groupby(["task", "model"], sort=False):
        yield str(task), str(model), cells, cells[cells["arm"] == against]


def by_seed(cells: pd.DataFrame, measure: str) -> dict[Hashable, float]:
    """A measure of one arm's cells by their seed."""
    return dict(zip(cells["seed"], cells[measure].astype(float), strict=True))


def paired_table(differences: pd.DataFrame, task: str, model: str) -> pd.DataFrame:
    """As people read it: one row per arm, in each cell the difference, and beneath it p."""
    here = differences[(differences["task"] == task) & (differences["model"] == model)]
    table: dict[str, dict[str, str]] = {}
    for row in here.to_dict("records"):
        info = MEASURES[row["measure"]]
        header = info.label + (f" ({info.unit})" if info.unit else "")
        interval = Interval(row["difference"], row["low"], row["high"], row["n"])
        text = interval_text(interval, row["n"])
        sign = "+" if row["difference"] > 0 and not text.startswith("0 ") else ""
        table.setdefault(row["arm"], {"arm": row["arm"]})[header] = f"{sign}{text}{_p_text(row['p_holm'])}"
        table[row["arm"]]["seeds"] = f"{max(int(row['n']), int(table[row['arm']].get('seeds', 0)))}"
    frame = pd.DataFrame(list(table.values())).fillna("")
    return frame[[*(name for name in frame if name != "seeds"), "seeds"]] if len(frame) else frame


def write_paired(run: RunFrames, against: str, directory: str | Path, console: Console | None = None) -> list[Path]:
    """Print the differences; write ``paired.md``, ``.tex``, ``.html``, ``.csv``, and ``frontier.csv`` (by method)."""
    console = console or wide_console()
    differences = paired_differences(run, against)
    sections = []
    for task, model, _ in run.groups():
        frame = paired_table(differences, task, model)
        if frame.empty:
            continue
        tests = int(((differences["task"] == task) & (differences["model"] == model) & differences["p"].notna()).sum())
        title, note = f"{task} · {model}: difference to {against}, paired by seed", _note(tests)
        sections.append(Section(title, frame, [note]))
        print_section(sections[-1], console)
    return write_sections(directory, "paired", sections, {"paired": differences, "frontier": by_method(run)})


def _note(tests: int) -> str:
    if not tests:
        return "No test was possible: that takes two seeds of both arms."
    return (
        f"Mean over seeds ± half of the 95 % interval (Student's t); p: paired t test, adjusted for the {tests} tests "
        "of this table (Holm). A large p does not say that there is no difference."
    )


def _p_text(p: float) -> str:
    if math.isnan(p):
        return ""
    return "\np < 0.001" if p < 0.001 else f"\np = {p:.2g}"
