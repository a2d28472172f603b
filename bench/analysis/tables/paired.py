"""Every arm against one of them, paired by seed: differences, how often a seed improves, and adjusted p values.

Cells of one seed share their base model, SFT model, preferences and reward model, so what those happen to be like drops
out of a difference.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from bench.analysis.curves.paths import by_method
from bench.analysis.interval import Interval
from bench.analysis.layout import print_sections, write_sections
from bench.analysis.statistics import holm, paired_difference
from bench.analysis.tables.paired_cells import by_seed, held_against, known_measures, other_arms
from bench.analysis.tables.sections import measure_header, one_row_per_arm, p_text, sections_of
from bench.measures.calibration import ECE
from bench.measures.registry import MEASURES
from bench.records.loading import RunFrames

COMPARED = ("proxy", "gold", "judge", "kl", "perplexity_reference", *ECE, "hypervolume")
"""The measures that are compared: one family of tests."""
COLUMNS = ["task", "model", "arm", "measure", "difference", "low", "high", "n"]
COLUMNS += ["improved", "improved_low", "improved_high", "p"]


def paired_differences(run: RunFrames, against: str) -> pd.DataFrame:
    """One row per task, model, arm other than `against`, and measure of `COMPARED`.

    Columns: `task`, `model`, `arm`, `measure`; `difference`, `low`, `high` (95 %, Student's t over seeds), `n` (seeds
    that both arms have, status ok); `improved`, `improved_low`, `improved_high` (share of seeds in which the arm is
    larger, Wilson); `p` (paired t test) and `p_holm`, adjusted for all rows of the same task and model (Holm 1979).

    Raises:
        BenchError: no arm is called `against`, with the nearest name.
    """
    rows = []
    for task, model, cells, baseline in held_against(run, against):
        known = known_measures(COMPARED, cells)
        for arm, own in other_arms(cells, against):
            for measure in known:
                x = paired_difference(by_seed(own, measure), by_seed(baseline, measure))
                if x.difference.n:
                    row = {"task": task, "model": model, "arm": arm, "measure": measure, "p": x.p}
                    row |= x.improvement.columns("improved", "improved_")
                    rows.append(row | x.difference.columns("difference"))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["p_holm"] = frame.groupby(["task", "model"], sort=False)["p"].transform(lambda p: holm(p.to_numpy()))
    return frame


def paired_table(differences: pd.DataFrame) -> pd.DataFrame:
    """The rows of one task and model as people read them: one row per arm; differences, and beneath each its p."""
    seeds = differences.groupby("arm")["n"].max()
    return one_row_per_arm(
        (
            {
                "arm": row["arm"],
                measure_header(MEASURES[row["measure"]]): _difference_and_p(row),
                "seeds": str(seeds[row["arm"]]),
            }
            for row in differences.to_dict("records")
        ),
        last=["seeds"],
    )


def write_paired(run: RunFrames, against: str, directory: str | Path, console: Console | None = None) -> list[Path]:
    """Print the differences; write ``paired.md``, ``.tex``, ``.html``, ``.csv``, and ``frontier.csv`` (by method)."""
    differences = paired_differences(run, against)
    sections = sections_of(differences, f"difference to {against}, paired by seed", paired_table, _notes)
    print_sections(sections, console)
    return write_sections(directory, "paired", sections, {"paired": differences, "frontier": by_method(run)})


def _difference_and_p(row: Mapping[Hashable, Any]) -> str:
    text, p = Interval.from_columns(row, "difference").difference_text(), p_text(row["p_holm"])
    return text if p == "none" else f"{text}\np {p}" if p.startswith("<") else f"{text}\np = {p}"


def _notes(differences: pd.DataFrame) -> list[str]:
    tests = int(differences["p"].notna().sum())
    if not tests:
        return ["No test was possible: that takes two seeds of both arms."]
    return [
        f"Mean over seeds ± half of the 95 % interval (Student's t); p: paired t test, adjusted for the {tests} tests "
        "of this table (Holm). A large p does not say that there is no difference."
    ]
