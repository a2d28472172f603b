"""`bench diff`: what moved between two runs by more than noise, and what was changed between them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from scipy import stats

from bench.analysis.interval import Interval
from bench.analysis.layout import print_sections, write_sections
from bench.analysis.statistics import holm, paired_difference, unpaired_difference
from bench.analysis.tables.paired_cells import by_seed, known_measures
from bench.analysis.tables.sections import p_text, sections_of
from bench.measures.calibration import ECE
from bench.measures.registry import MEASURES
from bench.records.loading import RunFrames

ALPHA = 0.05
COMPARED = (
    "proxy",
    "gold",
    "kl",
    "perplexity_reference",
    "perplexity_samples",
    *ECE,
    "win_rate",
    "judge",
)
"""The measures that are tested: one family for each task. The judge counts only where gold is not known."""
SETTINGS = ("hyperparameters", "stages", "task_settings", "model_settings", "versions", "commit")
SHOWN_CELLS = 8
ARM = ["task", "model", "arm"]
COLUMNS = [*ARM, "measure", "before", "after", "difference", "low", "high", "n", "paired", "errors", "p"]


def differences(one: RunFrames, two: RunFrames) -> pd.DataFrame:
    """One row per task, model and arm that both runs have, and measure of `COMPARED`; the largest first.

    Columns: `task`, `model`, `arm`, `measure`; `before`, `after` (means over the seeds that are compared); `difference`
    (after − before), `low`, `high` (95 %), `n`; `paired`: by seed, where the runs have two seeds in common (Student's
    t), else all seeds of the one against all of the other (Welch 1947; `n` is then the smaller number); `errors`, the
    difference in standard errors; `p`, and `p_holm`, adjusted for all tests of the task (Holm 1979). NaN where no test
    can be made: with one seed, or with differences that do not vary. Only cells with status ok.
    """
    first, second = (_arms(run.records[run.records["status"] == "ok"]) for run in (one, two))
    rows = [
        dict(zip(ARM, arm, strict=True)) | {"measure": measure} | _test(before, second[arm], measure)
        for arm, before in first.items()
        if arm in second
        for measure in known_measures(COMPARED, before, second[arm])
    ]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["p_holm"] = frame.groupby("task", sort=False)["p"].transform(lambda p: holm(p.to_numpy()))
    order = frame["errors"].abs().sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def moved(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of `differences` that noise does not explain."""
    return found[found["p_holm"] < ALPHA]


def changes(one: RunFrames, two: RunFrames) -> Iterator[str]:
    """What else differs, one line each: arms of one run alone, settings, versions, commits, and how cells ended."""
    first, second = _arms(one.records), _arms(two.records)
    for here, there, which in ((first, second, "first"), (second, first, "second")):
        if alone := [arm for arm in here if arm not in there]:
            yield f"Only in the {which} run: {'; '.join(' · '.join(arm) for arm in alone)}."
    both = [arm for arm in first if arm in second]
    arms_of: dict[str, list[str]] = defaultdict(list)
    for arm in both:
        before, after = _settings(first[arm]), _settings(second[arm])
        for name in {**before, **after}:
            if before.get(name) != after.get(name):
                change = f"{name}: {before.get(name, 'not there')} → {after.get(name, 'not there')}"
                arms_of[change].append(" · ".join(arm))
    for change, arms in arms_of.items():
        yield f"{change} ({'all arms' if len(arms) == len(both) else '; '.join(arms)})"
    ended = _cells(one).join(_cells(two), how="inner", lsuffix="_before", rsuffix="_after")
    other = ended[ended["status_before"] != ended["status_after"]]
    for row in other.head(SHOWN_CELLS).reset_index().to_dict("records"):
        where = " · ".join(row[name] for name in ARM)
        yield f"{where}, seed {row['seed']}: {row['status_before']} → {row['status_after']}"
    if len(other) > SHOWN_CELLS:
        yield f"… and {len(other) - SHOWN_CELLS} further cells that ended otherwise."


def same_values(one: RunFrames, two: RunFrames) -> tuple[int, int]:
    """How many cells both runs have, and how many of them with exactly the same measures."""
    measures = [name for name in one.measures | two.measures if name in one.records or name in two.records]
    first, second = (_cells(run).reindex(columns=measures).astype(float) for run in (one, two))
    both = first.index.intersection(second.index)
    a, b = first.loc[both].to_numpy(), second.loc[both].to_numpy()
    return len(both), int(((a == b) | (np.isnan(a) & np.isnan(b))).all(1).sum())


def diff_table(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of one task as people read them."""
    return pd.DataFrame(
        [
            {
                "arm": row["arm"],
                "model": row["model"],
                "measure": MEASURES[row["measure"]].label,
                "before": f"{row['before']:.3g}",
                "after": f"{row['after']:.3g}",
                "difference": Interval.from_columns(row, "difference").difference_text(),
                "standard errors": f"{row['errors']:+.1f}",
                "p (Holm)": p_text(row["p_holm"]),
                "seeds": f"{row['n']} {'paired' if row['paired'] else 'unpaired'}",
            }
            for row in found.to_dict("records")
        ]
    )


def write_diff(
    one: RunFrames, two: RunFrames, directory: str | Path | None = None, console: Console | None = None
) -> list[Path]:
    """Print what moved and what was changed; with `directory`, write ``diff.md``, ``.tex``, ``.html`` and ``.csv``."""
    found = differences(one, two)
    common, same = same_values(one, two)
    if common == same == len(one.records) == len(two.records):
        sections, outcome = [], f"Identical: all {common} cells have the same measures."
    else:
        beyond, tests = moved(found), int(found["p"].notna().sum())
        tests_of_task = found.groupby("task")["p"].count()
        sections = sections_of(
            beyond,
            "moved beyond noise",
            diff_table,
            lambda rows: [_note(tests_of_task[rows["task"].iloc[0]])],
            by=["task"],
        )
        outcome = (
            f"{len(beyond)} of {tests} tested differences are beyond noise; "
            f"of {common} common cells {same} have exactly the same measures."
        )
    remarks = [outcome, *changes(one, two)]
    print_sections(sections, console, remarks)
    return write_sections(directory, "diff", sections, {"diff": found}, remarks) if directory else []


def _test(before: pd.DataFrame, after: pd.DataFrame, measure: str) -> dict[str, Any]:
    """The columns of `differences` from `before` on."""
    old, new = (
        {seed: value for seed, value in by_seed(cells, measure).items() if math.isfinite(value)}
        for cells in (before, after)
    )
    common = [seed for seed in old if seed in new]
    paired = len(common) >= 2
    if paired:
        old, new = ({seed: values[seed] for seed in common} for values in (old, new))
        test = paired_difference(new, old)
        difference, p, degrees = test.difference, test.p, float(test.difference.n - 1)
    else:
        difference, p, degrees = unpaired_difference(list(new.values()), list(old.values()))
    error = difference.half / stats.t.ppf(1 - ALPHA / 2, degrees) if math.isfinite(p) else math.nan
    means = {"before": float(np.mean(list(old.values()))), "after": float(np.mean(list(new.values())))}
    in_errors = difference.mean / error if error else 0.0
    return means | difference.columns("difference") | {"paired": paired, "errors": in_errors, "p": p}


def _arms(records: pd.DataFrame) -> dict[tuple[str, ...], pd.DataFrame]:
    return {tuple(map(str, key)): cells for key, cells in records.groupby(ARM, sort=False)}


def _cells(run: RunFrames) -> pd.DataFrame:
    return run.records.set_index([*ARM, "seed"])


def _settings(cells: pd.DataFrame) -> dict[str, str]:
    """An arm's settings by their dotted names, as text; several values where its cells do not agree."""
    values: dict[str, list[str]] = defaultdict(list)
    for row in cells[[name for name in SETTINGS if name in cells]].to_dict("records"):
        for name, value in _flat({str(key): each for key, each in row.items()}):
            values[name].append(value if isinstance(value, str) else json.dumps(value))
    return {name: ", ".join(dict.fromkeys(texts)) for name, texts in values.items()}


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _note(tests: int) -> str:
    return (
        "After less before, ± half of the 95 % interval: paired by seed where both runs have two seeds in common "
        f"(Student's t), else unpaired (Welch). Beyond noise: p < {ALPHA} after adjustment for the {tests} tests of "
        "the task (Holm)."
    )
