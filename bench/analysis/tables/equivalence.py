"""Which arms are as good as one of them, to within margins stated beforehand: two one-sided tests, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from bench.analysis.layout import Section, print_section, wide_console, write_sections
from bench.analysis.statistics import Equivalence, Interval, equivalence_test, holm
from bench.analysis.tables.main import interval_text
from bench.analysis.tables.paired import by_seed, held_against
from bench.contracts.errors import BenchError, nearest
from bench.contracts.measure import MeasureInfo
from bench.measures.registry import MEASURES
from bench.records.loading import RunFrames

ALPHA = 0.05
EQUIVALENT, DIFFERENT, UNDECIDED = "equivalent", "different", "undecided"


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
    _known(run, margins)
    rows = []
    for task, model, cells, theirs in held_against(run, against):
        for arm, own in cells.groupby("arm", sort=False):
            for measure, margin in margins.items() if arm != against else ():
                if measure in cells:
                    x = equivalence_test(by_seed(own, measure), by_seed(theirs, measure), margin, ALPHA)
                    d = x.difference
                    if d.n:
                        rows.append((task, model, arm, measure, margin, d.mean, d.low, d.high, d.n, x.p, verdict(x)))
    names = ["task", "model", "arm", "measure", "margin", "difference", "low", "high", "n", "p", "verdict"]
    frame = pd.DataFrame(rows, columns=names)
    adjusted = frame.groupby(["task", "model"], sort=False)["p"].transform(lambda p: holm(p.to_numpy()))
    frame.insert(10, "p_holm", adjusted)
    return frame


def verdict(test: Equivalence) -> str:
    """What the interval says of the margin: see `equivalences`."""
    if test.equivalent:
        return EQUIVALENT
    beyond = test.difference.low > test.margin or test.difference.high < -test.margin
    return DIFFERENT if beyond and test.equivalent is not None else UNDECIDED


def equivalence_table(
    found: pd.DataFrame, task: str, model: str, measures: Mapping[str, MeasureInfo] = MEASURES
) -> pd.DataFrame:
    """As people read it: one row per arm and measure."""
    labels = {name: info.label for name, info in measures.items()}
    here = found[(found["task"] == task) & (found["model"] == model)]
    rows = []
    for row in here.to_dict("records"):
        low, high = row["low"], row["high"]
        rows.append(
            {
                "arm": row["arm"],
                "measure": labels.get(row["measure"], row["measure"]),
                "difference": interval_text(Interval(row["difference"], low, high, row["n"]), row["n"]),
                "90 % interval": f"[{low:.3g}, {high:.3g}]" if math.isfinite(low) else "none",
                "margin": f"±{row['margin']:g}",
                "p": _p_text(row["p"]),
                "p (Holm)": _p_text(row["p_holm"]),
                "verdict": row["verdict"],
                "seeds": str(row["n"]),
            }
        )
    return pd.DataFrame(rows)


def write_equivalences(
    run: RunFrames, against: str, margins: Mapping[str, float], directory: str | Path, console: Console | None = None
) -> list[Path]:
    """Print the verdicts, and write ``equivalence.md``, ``.tex``, ``.html`` and ``.csv`` (plain numbers)."""
    console = console or wide_console()
    found = equivalences(run, against, margins)
    sections = []
    for task, model, _ in run.groups():
        frame = equivalence_table(found, task, model, run.measures)
        if frame.empty:
            continue
        title, note = f"{task} · {model}: equivalence to {against}, paired by seed", _note(len(frame))
        sections.append(Section(title, frame, [note]))
        print_section(sections[-1], console)
    return write_sections(directory, "equivalence", sections, {"equivalence": found})


def _known(run: RunFrames, margins: Mapping[str, float]) -> None:
    parts = {str(name) for name in run.records if str(name).startswith(("gold_", "reference_gold_"))}
    here = {name for name in [*run.measures, *parts] if name in run.records and run.records[name].notna().any()}
    here |= {"hypervolume"}
    for measure in margins:
        if measure not in {*run.measures, *parts}:
            raise BenchError(f"--margin: no measure {measure!r}{nearest(measure, here)}")
        if measure not in here:
            raise BenchError(f"--margin: no cell of {run.directory} has the measure {measure!r}")


def _note(tests: int) -> str:
    return (
        "Two one-sided tests at 5 % each: equivalent where the 90 % interval (Student's t over seeds) lies inside the "
        "margin, different where it lies wholly beyond it, undecided otherwise. Margins have to be stated before "
        f"looking. Verdicts are not adjusted for their number ({tests}); p (Holm) is."
    )


def _p_text(p: float) -> str:
    return "none" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"
