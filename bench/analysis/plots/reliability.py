"""Reliability diagrams: how often choices are right that a model gives a certain probability."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.plots.panel import Panel, Part, known
from bench.analysis.plots.style import GREY, LIGHT, shortened, small_multiples, title
from bench.analysis.statistics import mean_interval
from bench.measures.binned_calibration import wilson_interval
from bench.measures.calibration import ECE


def reliability(panel: Panel) -> Figure | str:
    """After training, and dotted before it (π0): all choices, ten bins, with counts."""
    found = bins(panel.run)
    arms = [arm for arm in panel.chosen if arm in found]
    if not arms:
        return "no cell was asked multiple-choice questions"
    figure, grid = small_multiples(len(arms), aspect=1.3, columns=5)
    reference = panel.reference or ""
    before = found.get(reference)
    for axes, arm in zip([each for row in grid for each in row], arms, strict=False):
        _counts(axes, found[arm])
        if before is not None and arm != reference:
            axes.plot(before["confidence"], before["accuracy"], color=GREY, lw=1.2, ls=":")
        draw(axes, panel, arm, found[arm])
        cells = panel.cells[arm]
        measured = next((name for name in ECE if known(cells, name)), None)
        ece = f"\nECE {mean_interval(cells[measured]).mean:.3f}" if measured else ""
        axes.set_title(shortened(arm, 18) + ece)
        axes.set(xlim=(0, 1), ylim=(-0.36, 1))
        axes.set_xlabel("probability given", fontsize=7.5)
        axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        axes.tick_params(labelbottom=True)
    asked = int(panel.records["probe_count"].max()) if known(panel.records, "probe_count") else 0
    questions = f", N = {asked:,} questions" if asked else ""
    title(figure, panel.title(f"Reliability on multiple choice: every choice an entry{questions}; ECE debiased"))
    for row in grid:
        row[0].set_ylabel("share right (95 % Wilson)")
    handles = [Line2D([], [], color=GREY, lw=0.8, label="perfectly calibrated")]
    if before is not None:
        handles.append(Line2D([], [], color=GREY, lw=1.2, ls=":", label=f"before: {shortened(reference)}"))
    handles.append(Line2D([], [], color=LIGHT, lw=6, label="entries per bin and seed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def draw(axes: Axes, panel: Panel, arm: str, rows: pd.DataFrame) -> None:
    """One arm's diagram, with the diagonal."""
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8)
    error = [rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]]
    style = panel.style(arm) | {"linestyle": "-"}
    axes.errorbar(
        rows["confidence"], rows["accuracy"], yerr=np.clip(error, 0, None), ms=3.5, lw=1, capsize=1.5, **style
    )


def bins(run: Part) -> dict[str, pd.DataFrame]:
    """By arm: the answers of all seeds in bins, with intervals as wide as one seed's: all are asked the same questions.

    Columns: `bin`, `count` (per seed), `confidence`, `accuracy`, `low`, `high` (95 %, Wilson).
    """
    kept = run.reliability
    return {str(arm): _pooled(rows) for arm, rows in kept.groupby("arm", sort=False)} if len(kept) else {}


def _pooled(rows: pd.DataFrame) -> pd.DataFrame:
    count = rows["count"]
    weighted = rows.assign(confidence=rows["probability"] * count, accuracy=rows["correct"] * count)
    frame = weighted.groupby("bin", as_index=False)[["count", "confidence", "accuracy"]].sum()
    confidence, accuracy = frame["confidence"] / frame["count"], frame["accuracy"] / frame["count"]
    per_seed = frame["count"] / rows["seed"].nunique()
    low, high = wilson_interval(accuracy.to_numpy(), per_seed.to_numpy())
    return frame.assign(count=per_seed, confidence=confidence, accuracy=accuracy, low=low, high=high)


def _counts(axes: Axes, rows: pd.DataFrame) -> None:
    """Counts stand in a strip of their own below the diagram, where they cover nothing."""
    axes.axhline(0, color="black", lw=0.8)
    heights = 0.15 * rows["count"] / rows["count"].max()
    axes.bar((rows["bin"] + 0.5) / 10, heights, bottom=-0.36, width=0.1, color=LIGHT, edgecolor="white")
    for number, count, height in zip(rows["bin"], rows["count"], heights, strict=True):
        place = (number + 0.5) / 10, height - 0.36
        axes.annotate(_short(count), place, (0, 1.5), fontsize=6, ha="center", va="bottom", rotation=90,
                      textcoords="offset points", color="#404040").set_in_layout(False)  # fmt: skip


def _short(count: float) -> str:
    return f"{count:.0f}" if count < 1000 else f"{count / 1000:.1f}k" if count < 10_000 else f"{count / 1000:.0f}k"
