"""Which ingredient matters: the arms that differ from one of them in a single hyper-parameter, paired by seed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from bench.analysis.interval import Interval
from bench.analysis.layout import print_sections, write_sections
from bench.analysis.statistics import paired_difference
from bench.analysis.tables.paired_cells import by_seed, held_against, known_measures
from bench.analysis.tables.sections import measure_header, one_row_per_arm, sections_of
from bench.measures.calibration import ECE
from bench.measures.registry import MEASURES
from bench.records.loading import RunFrames

DEFAULT = "ppo_max"
"""The arm whose ablations are shown unless another one is named."""
COMPARED = ("gold", "judge", "proxy", "kl", "perplexity_reference", *ECE)
COLUMNS = ["task", "model", "arm", "setting", "default", "value", "measure", "difference", "low", "high", "n"]
COLUMNS += ["seeds", "diverged", "below"]


def ablations(run: RunFrames, against: str) -> pd.DataFrame:
    """One row per task, model, arm and measure of `COMPARED`, of arms with one hyper-parameter other than `against`'s.

    Their method and the settings of all their stages are the same. Columns: `task`, `model`, `arm`, `setting`,
    `default`, `value` (its name, what it is in `against`, and in the arm); `measure`, `difference`, `low`, `high`
    (95 %, Student's t over the `n` seeds in which both ended well); `seeds` (of the arm), `diverged` (how many of
    them), and `below`, in how many the reward that is wanted ended below π0's. An arm that never ended well has one
    row, without a measure.

    Raises:
        BenchError: no arm is called `against`, with the nearest name.
    """
    rows: list[dict[str, object]] = []
    ended_well = {(task, model): (cells, baseline) for task, model, cells, baseline in held_against(run, against)}
    for task, model, records in run.groups():
        ok, baseline = ended_well.get((task, model), (records[:0], records[:0]))
        known = known_measures(COMPARED, ok)
        default = records[records["arm"] == against]
        for arm, cells in records.groupby("arm", sort=False):
            changed = one_change(default.iloc[0], cells.iloc[0]) if len(default) else None
            if changed is None:
                continue
            setting, before, after = changed
            own = ok[ok["arm"] == arm]
            shared: dict[str, object] = {"task": task, "model": model, "arm": arm, "setting": setting}
            shared |= {"default": _text(before), "value": _text(after), "seeds": len(cells)}
            shared |= {"diverged": int((cells["status"] == "diverged").sum()), "below": _below_reference(own, known)}
            differences = (
                (measure, paired_difference(by_seed(own, measure), by_seed(baseline, measure)).difference)
                for measure in known
            )
            rows += [
                shared | {"measure": measure} | difference.columns("difference")
                for measure, difference in differences
                if difference.n
            ] or [shared]
    return pd.DataFrame(rows, columns=COLUMNS)


def one_change(one: pd.Series, other: pd.Series) -> tuple[str, object, object] | None:
    """The only hyper-parameter in which two records' arms differ, and its two values; None if they differ otherwise."""
    if one["method"] != other["method"] or one["stages"] != other["stages"]:
        return None
    before, after = one["hyperparameters"], other["hyperparameters"]
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (names[0], before.get(names[0]), after.get(names[0])) if len(names) == 1 else None


def ablation_table(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of one task and model as people read them: one row per arm."""
    return one_row_per_arm(map(_texts, found.to_dict("records")), last=["crashed", "seeds"])


def write_ablations(run: RunFrames, against: str, directory: str | Path, console: Console | None = None) -> list[Path]:
    """Print the differences; write ``ablation.md``, ``.tex``, ``.html`` and ``.csv``. [] where there are none."""
    found = ablations(run, against)
    title = f"{against} with one setting changed"
    sections = sections_of(found, title, ablation_table, lambda _: _notes(found))
    print_sections(sections, console)
    return write_sections(directory, "ablation", sections, {"ablation": found}) if sections else []


def _below_reference(cells: pd.DataFrame, known: list[str]) -> int:
    """In how many cells the reward that is wanted, gold or else the judge's, ended below π0's own."""
    wanted = "gold" if "gold" in known else "judge"
    if wanted not in cells or f"reference_{wanted}" not in cells:
        return 0
    return int((cells[wanted] < cells[f"reference_{wanted}"]).sum())


def _texts(row: Mapping[Hashable, Any]) -> dict[str, str]:
    """A row of `ablations` by the columns of the table."""
    texts = {"change": f"{row['setting']}: {row['default']} → {row['value']}", "arm": row["arm"]}
    if isinstance(row["measure"], str):
        interval = Interval.from_columns(row, "difference")
        texts[measure_header(MEASURES[row["measure"]])] = interval.difference_text()
    crashed = ((row["diverged"], "diverged"), (row["below"], "below π0"))
    return texts | {
        "crashed": ", ".join(f"{count} {name}" for count, name in crashed if count),
        "seeds": str(row["seeds"]),
    }


def _notes(found: pd.DataFrame) -> list[str]:
    return [
        "Difference to the arm without the change, mean over common seeds ± half of the 95 % interval (Student's t, "
        f"paired by seed); the intervals are not adjusted for their number ({int(found['difference'].notna().sum())}).",
        "Crashed: seeds that diverged, and seeds whose gold reward (or judge) ended below π0's own.",
    ]


def _text(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
