"""Which ingredient matters: the arms that differ from one of them in a single hyper-parameter, paired by seed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console

from bench.analysis.layout import Section, print_section, wide_console, write_sections
from bench.analysis.statistics import Interval, paired_difference
from bench.analysis.tables.main import interval_text
from bench.analysis.tables.paired import by_seed, held_against
from bench.measures.registry import MEASURES
from bench.records.loading import RunFrames

DEFAULT = "ppo_max"
SHOWN = ("gold", "judge", "proxy", "kl", "perplexity_reference", "ece_debiased")
"""Judge only where gold is not known: elsewhere it is the same."""


def ablations(run: RunFrames, against: str) -> pd.DataFrame:
    """One row per task, model, arm and measure of `SHOWN`, of arms that differ from `against` in one hyper-parameter.

    Their method and the settings of all their stages are the same. Columns: `task`, `model`, `arm`, `setting`,
    `default`, `value` (its name, what it is in `against`, and in the arm); `measure`, `difference`, `low`, `high`
    (95 %, Student's t over the `n` seeds in which both ended well); `seeds` (of the arm), `diverged` (how many of
    them), and `below`, in how many the reward that is wanted ended below π0's. An arm that never ended well has one
    row, without a measure.

    Raises:
        BenchError: no arm is called `against`, with the nearest name.
    """
    rows: list[dict[str, object]] = []
    well = {(task, model): (cells, theirs) for task, model, cells, theirs in held_against(run, against)}
    for task, model, records in run.groups():
        ok, theirs = well.get((task, model), (records[:0], records[:0]))
        wanted = "gold" if "gold" in ok and ok["gold"].notna().any() else "judge"
        base = records[records["arm"] == against]
        for arm, cells in records.groupby("arm", sort=False):
            changed = one_change(base.iloc[0], cells.iloc[0]) if len(base) else None
            if changed is None:
                continue
            own = ok[ok["arm"] == arm]
            known = f"reference_{wanted}" in own and wanted in own
            below = int((own[wanted] < own[f"reference_{wanted}"]).sum()) if known else 0
            shared: dict[str, object] = {"task": task, "model": model, "arm": arm, "setting": changed[0]}
            shared |= {"default": _text(changed[1]), "value": _text(changed[2]), "seeds": len(cells)}
            shared |= {"diverged": int((cells["status"] == "diverged").sum()), "below": below}
            found = []
            for measure in SHOWN:
                if measure in ok and (measure not in ("gold", "judge") or measure == wanted):
                    d = paired_difference(by_seed(own, measure), by_seed(theirs, measure)).difference
                    if d.n:
                        figures = {"difference": d.mean, "low": d.low, "high": d.high, "n": d.n}
                        found.append(shared | {"measure": measure} | figures)
            rows += found or [shared]
    names = ["task", "model", "arm", "setting", "default", "value", "measure", "difference", "low", "high", "n"]
    return pd.DataFrame(rows, columns=[*names, "seeds", "diverged", "below"])


def one_change(one: pd.Series, other: pd.Series) -> tuple[str, object, object] | None:
    """The only hyper-parameter in which two records' arms differ, and its two values; None if they differ otherwise."""
    if one["method"] != other["method"] or one["stages"] != other["stages"]:
        return None
    mine, theirs = one["hyperparameters"], other["hyperparameters"]
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    return (names[0], mine.get(names[0]), theirs.get(names[0])) if len(names) == 1 else None


def ablation_table(found: pd.DataFrame, task: str, model: str) -> pd.DataFrame:
    """As people read it: one row per arm."""
    here = found[(found["task"] == task) & (found["model"] == model)]
    rows: dict[str, dict[str, str]] = {}
    for row in here.to_dict("records"):
        change = f"{row['setting']}: {row['default']} → {row['value']}"
        mine = rows.setdefault(row["arm"], {"change": change, "arm": row["arm"]})
        if isinstance(row["measure"], str):
            info = MEASURES[row["measure"]]
            interval = Interval(row["difference"], row["low"], row["high"], int(row["n"]))
            text = interval_text(interval, int(row["n"]))
            header = info.label + (f" ({info.unit})" if info.unit else "")
            mine[header] = f"+{text}" if row["difference"] > 0 and not text.startswith("0 ") else text
        mine["seeds"] = str(row["seeds"])
        mine["crashed"] = ", ".join(
            f"{count} {name}" for count, name in ((row["diverged"], "diverged"), (row["below"], "below π0")) if count
        )
    frame = pd.DataFrame(list(rows.values())).fillna("")
    last = ["crashed", "seeds"]
    return frame[[*(name for name in frame if name not in last), *last]] if rows else frame


def write_ablations(run: RunFrames, against: str, directory: str | Path, console: Console | None = None) -> list[Path]:
    """Print the differences; write ``ablation.md``, ``.tex``, ``.html`` and ``.csv``. [] where there are none."""
    console = console or wide_console()
    found = ablations(run, against)
    sections = []
    for task, model, _ in run.groups():
        frame = ablation_table(found, task, model)
        if not frame.empty:
            sections.append(Section(f"{task} · {model}: {against} with one setting changed", frame, _notes(found)))
            print_section(sections[-1], console)
    return write_sections(directory, "ablation", sections, {"ablation": found}) if sections else []


def _notes(found: pd.DataFrame) -> list[str]:
    return [
        "Difference to the arm without the change, mean over common seeds ± half of the 95 % interval (Student's t, "
        f"paired by seed); the intervals are not adjusted for their number ({int(found['difference'].notna().sum())}).",
        "Crashed: seeds that diverged, and seeds whose gold reward (or judge) ended below π0's own.",
    ]


def _text(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
