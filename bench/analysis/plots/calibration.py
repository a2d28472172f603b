"""Reliability diagrams: how often choices are right that a model gives a certain probability."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.plots.panel import Panel, known
from bench.analysis.plots.style import GREY, LIGHT, shortened, small_multiples, title
from bench.analysis.statistics import mean_interval
from bench.measures.calibration import reliability as reliability_bins
from bench.measures.calibration import wilson_interval


def reliability(panel: Panel) -> Figure | str:
    """After training, and dotted before it (π0): all choices, ten bins, with counts."""
    found = {arm: rows for arm in (*panel.cells,) if len(rows := bins(panel, arm))}
    arms = [arm for arm in panel.chosen if arm in found]
    if not arms:
        return "no cell was asked multiple-choice questions"
    figure, grid = small_multiples(len(arms), height=2.35, columns=5)
    before = found.get(panel.reference or "")
    for axes, arm in zip(grid, arms, strict=False):
        _counts(axes, found[arm])
        if before is not None and arm != panel.reference:
            axes.plot(before["confidence"], before["accuracy"], color=GREY, lw=1.2, ls=":")
        draw(axes, panel, arm, found[arm])
        cells = panel.cells[arm]
        ece = f"\nECE {mean_interval(cells['ece_debiased']).mean:.3f}" if known(cells, "ece_debiased") else ""
        axes.set_title(shortened(arm, 20) + ece)
        axes.set(xlim=(0, 1), ylim=(-0.36, 1), box_aspect=1.36)
        axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        axes.tick_params(labelbottom=True)
    asked = panel.records["probe_count"].dropna() if known(panel.records, "probe_count") else []
    questions = f", N = {int(max(asked)):,} questions" if len(asked) else ""
    title(figure, panel.title(f"Reliability on multiple choice: every choice an entry{questions}; ECE debiased"))
    figure.supxlabel("probability given", fontsize=8.5)
    figure.supylabel("share right (95 % Wilson interval)", fontsize=8.5)
    handles = [Line2D([], [], color=GREY, lw=0.8, label="perfectly calibrated")]
    if before is not None:
        handles.append(Line2D([], [], color=GREY, lw=1.2, ls=":", label=f"before: {panel.reference}"))
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


def bins(panel: Panel, arm: str) -> pd.DataFrame:
    """All seeds' answers in bins, with intervals as wide as one seed's: the questions are the same in every seed.

    Columns as in `bench.measures.calibration.reliability`, `count` per seed. From what was kept of each cell's bins
    where the answers themselves were not kept; empty where nothing was asked.
    """
    probes, kept = panel.run.probes, getattr(panel.run, "reliability", pd.DataFrame(columns=["cell"]))
    rows = panel.rows(probes, arm) if "probability" in probes else probes.iloc[:0]
    if len(rows):
        frame = reliability_bins(rows["probability"].to_numpy(), rows["correct"].to_numpy())
    else:
        rows = panel.rows(kept, arm)
        if not len(rows):
            return rows
        weighted = rows.assign(confidence=rows["probability"] * rows["count"], accuracy=rows["correct"] * rows["count"])
        frame = weighted.groupby("bin", as_index=False)[["count", "confidence", "accuracy"]].sum()
        frame[["confidence", "accuracy"]] = frame[["confidence", "accuracy"]].div(frame["count"], axis=0)
    per_seed = frame["count"].to_numpy() / rows["seed"].nunique()
    low, high = wilson_interval(frame["accuracy"].to_numpy(), per_seed)
    return frame.assign(count=per_seed, low=low, high=high)


def _counts(axes: Axes, rows: pd.DataFrame) -> None:
    """Counts stand in a strip of their own below the diagram, where they cover nothing."""
    axes.axhline(0, color="black", lw=0.8)
    heights = 0.15 * rows["count"] / rows["count"].max()
    axes.bar((rows["bin"] + 0.5) / 10, heights, bottom=-0.36, width=0.1, color=LIGHT, edgecolor="white")
    for number, count, height in zip(rows["bin"], rows["count"], heights, strict=True):
        place = (number + 0.5) / 10, height - 0.36
        axes.annotate(_short(count), place, (0, 1.5), fontsize=6, ha="center", va="bottom", rotation=90,
                      textcoords="offset points", color="#404040")  # fmt: skip


def _short(count: float) -> str:
    return f"{count:.0f}" if count < 1000 else f"{count / 1000:.1f}k" if count < 10_000 else f"{count / 1000:.0f}k"
