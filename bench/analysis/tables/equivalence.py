"""Which arms are as good as one of them, to within margins stated beforehand: two one-sided tests, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console

from bench.analysis.interval import Interval
from bench.analysis.layout import print_sections, write_sections
from bench.analysis.statistics import Equivalence, equivalence_test, holm
from bench.analysis.tables.paired_cells import by_seed, held_against, other_arms
from bench.analysis.tables.sections import p_text, sections_of
from bench.contracts.errors import BenchError, nearest
from bench.contracts.measure import MeasureInfo
from bench.measures.registry import MEASURES
from bench.records.loading import RunFrames

ALPHA = 0.05
EQUIVALENT, DIFFERENT, UNDECIDED = "equivalent", "different", "undecided"
COLUMNS = ["task", "model", "arm", "measure", "margin", "difference", "low", "high", "n", "p", "p_holm", "verdict"]


def parse_margins(texts: Sequence[str]) -> dict[str, float]:
    """``["gold=0.05"]`` → ``{"gold": 0.05}``.

    Raises:
        BenchError: not of this form, or not a positive finite number.
    """
    margins: dict[str, float] = {}
    for text in texts:
        measure, _, number = text.partition("=")
        try:
            margin = float(number)
        except ValueError:
            raise BenchError(f"--margin {text!r}: give MEASURE=NUMBER, such as gold=0.05") from None
        if not 0 < margin < math.inf:
            raise BenchError(f"--margin {text!r}: a margin must be positive and finite")
        if measure in margins:
            raise BenchError(f"--margin {text!r}: {measure} has a margin already, {margins[measure]:g}")
        margins[measure] = margin
    return margins


def equivalences(run: RunFrames, against: str, margins: Mapping[str, float]) -> pd.DataFrame:
    """One row per task, model, arm other than `against`, and measure of `margins` (in the measure's unit).

    Columns: `task`, `model`, `arm`, `measure`, `margin`; `difference` (mean over the seeds that both have), `low`,
    `high` (90 %, Student's t: that of two one-sided tests at 5 %, Schuirmann 1987), `n`; `p` (the larger of the two),
    `p_holm` (adjusted for all rows of the task and model); `verdict`: ``equivalent`` where the interval lies inside
    ±margin, ``different`` where it lies wholly beyond the margin, else ``undecided``, which is also the answer where no
    test can be made (fewer than two seeds, or differences that do not vary).

    Raises:
        BenchError: an unknown arm or measure, with the nearest name; or a measure that no cell of the run has.
    """
    _refuse_unknown(run, margins)
    rows = []
    for task, model, cells, baseline in held_against(run, against):
        for arm, own in other_arms(cells, against):
            for measure, margin in margins.items():
                if measure not in cells:
                    continue
                test = equivalence_test(by_seed(own, measure), by_seed(baseline, measure), margin, ALPHA)
                if test.difference.n:
                    row = {"task": task, "model": model, "arm": arm, "measure": measure, "margin": margin}
                    row |= test.difference.columns("difference")
                    rows.append(row | {"p": test.p, "verdict": equivalence_verdict(test)})
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["p_holm"] = frame.groupby(["task", "model"], sort=False)["p"].transform(lambda p: holm(p.to_numpy()))
    return frame


def equivalence_verdict(test: Equivalence) -> str:
    """What the interval says of the margin: see `equivalences`."""
    if test.equivalent:
        return EQUIVALENT
    beyond = test.difference.low > test.margin or test.difference.high < -test.margin
    return DIFFERENT if beyond and test.equivalent is not None else UNDECIDED


def equivalence_table(found: pd.DataFrame, measures: Mapping[str, MeasureInfo] = MEASURES) -> pd.DataFrame:
    """The rows of one task and model as people read them: one row per arm and measure."""
    labels = {name: info.label for name, info in measures.items()}
    rows = []
    for row in found.to_dict("records"):
        interval = Interval.from_columns(row, "difference")
        known = math.isfinite(interval.low)
        rows.append(
            {
                "arm": row["arm"],
                "measure": labels.get(row["measure"], row["measure"]),
                "difference": interval.text(),
                "90 % interval": f"[{interval.low:.3g}, {interval.high:.3g}]" if known else "none",
                "margin": f"±{row['margin']:g}",
                "p": p_text(row["p"]),
                "p (Holm)": p_text(row["p_holm"]),
                "verdict": row["verdict"],
                "seeds": str(row["n"]),
            }
        )
    return pd.DataFrame(rows)


def write_equivalences(
    run: RunFrames, against: str, margins: Mapping[str, float], directory: str | Path, console: Console | None = None
) -> list[Path]:
    """Print the verdicts, and write ``equivalence.md``, ``.tex``, ``.html`` and ``.csv`` (plain numbers)."""
    found = equivalences(run, against, margins)
    as_texts = partial(equivalence_table, measures=run.measures)
    sections = sections_of(found, f"equivalence to {against}, paired by seed", as_texts, _notes)
    print_sections(sections, console)
    return write_sections(directory, "equivalence", sections, {"equivalence": found})


def _refuse_unknown(run: RunFrames, margins: Mapping[str, float]) -> None:
    parts = {str(name) for name in run.records if str(name).startswith(("gold_", "reference_gold_"))}
    here = {name for name in [*run.measures, *parts] if name in run.records and run.records[name].notna().any()}
    here |= {"hypervolume"}
    for measure in margins:
        if measure not in {*run.measures, *parts}:
            raise BenchError(f"--margin: no measure {measure!r}{nearest(measure, here)}")
        if measure not in here:
            raise BenchError(f"--margin: no cell of {run.directory} has the measure {measure!r}")


def _notes(found: pd.DataFrame) -> list[str]:
    return [
        "Two one-sided tests at 5 % each: equivalent where the 90 % interval (Student's t over seeds) lies inside the "
        "margin, different where it lies wholly beyond it, undecided otherwise. Margins have to be stated before "
        f"looking. Verdicts are not adjusted for their number ({len(found)}); p (Holm) is."
    ]
