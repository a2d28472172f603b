"""What all plots look like: fonts that can be read at the width of a column, and colours that all eyes tell apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bench.analysis.interval import Interval
from bench.contracts.escaping import in_plot, visible

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#999933", "#332288")
"""Okabe & Ito 2008 without yellow, too pale on white; then wine, olive and indigo of Tol 2021 ("muted")."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
LINES = ("-", "--", "-.", ":")
BLUE, VERMILION, ORANGE, GREY, LIGHT = "#0072B2", "#D55E00", "#E69F00", "#7F7F7F", "#D0D0D0"
WIDTH = 7.0
"""Inches: as wide as the text of a page."""
STYLE: Any = {
    "font.size": 8.5, "axes.titlesize": 8.5, "axes.labelsize": 8.5, "figure.titlesize": 9, "legend.fontsize": 8,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#ECECEC",
    "axes.axisbelow": True, "figure.constrained_layout.use": True, "figure.constrained_layout.h_pad": 0.06,
    "svg.hashsalt": "alignment-bench",
}  # fmt: skip


def title(figure: Figure, text: str) -> None:
    """A title from the figure's left edge."""
    figure.suptitle(in_plot(text), x=0.01, ha="left")


def shortened(label: str, most: int = 26) -> str:
    """A label as plots show it, its end cut off so that it leaves room for the plot."""
    label = visible(label)
    return in_plot(label if len(label) <= most else f"{label[: most - 1].rstrip(' ,(')}…")


def bars(interval: Interval, least: float = -np.inf, most: float = np.inf) -> list[list[float]] | None:
    """Lengths of an interval's two arms for matplotlib, cut off where values cannot be; None without an interval."""
    if not np.isfinite(interval.half):
        return None
    low, high = max(interval.low, least), min(interval.high, most)
    return [[max(interval.mean - low, 0)], [max(high - interval.mean, 0)]]


def frame(axes: Axes, ys: Iterable[float], log: bool = False) -> None:
    """Limits of the vertical axis from the values: of few seeds intervals can be so wide that nothing else is seen."""
    values = np.array([each for each in ys if np.isfinite(each)])
    if not len(values):
        return
    if log:
        low, high = np.log10(values.min()), np.log10(values.max())
        margin = max(0.12 * (high - low), 0.05)
        axes.set_ylim(10 ** (low - margin), 10 ** (high + margin))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < 2 else (1,)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        margin = 0.12 * float(np.ptp(values)) or 1
        axes.set_ylim(values.min() - margin, values.max() + margin)


def kl_scale(axes: Axes, furthest: float, decades: bool = False) -> str:
    """The horizontal axis of KL; beyond 20 nats logarithmic, or what ends near π0 could not be told apart.

    Returns what to write beside it.
    """
    words = "KL(π ‖ π0), nats per completion"
    if furthest > 20:
        long_scale(axes, furthest, decades)
        words += "\n(logarithmic beyond 1)"
    else:
        axes.set_xlim(-0.03 * furthest, 1.08 * furthest or 1)
    return words


def long_scale(axes: Axes, furthest: float, decades: bool = False) -> None:
    """A horizontal axis from 0 that is logarithmic beyond 1; its ticks at decades alone where there is little room."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.6)
    few = decades or furthest > 150
    ticks = (0, 1, 10, 100, 1000, 10_000) if few else (0, 1, 2, 5, 10, 20, 50, 100)
    axes.set_xticks([t for t in ticks if t <= 1.3 * furthest])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(-0.1, 1.4 * furthest)


def small_multiples(
    count: int, aspect: float, columns: int, sharex: bool = True, sharey: bool = True
) -> tuple[Figure, list[list[Axes]]]:
    """At least `count` axes, row by row, of which those beyond it are hidden; a page wide, but two columns at least.

    aspect: height of an axes over its width.
    """
    columns = max(min(columns, -(-count // -(-count // columns))), 2)
    rows = -(-count // columns)
    width = min(WIDTH / columns, 2.3)
    figure = Figure(figsize=(max(width * columns, 5.2), (aspect * (width - 0.3) + 0.75) * rows + 0.9))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey).tolist()
    for spare in grid[-1][count - columns * (rows - 1) :]:
        spare.set_visible(False)
    return figure, grid
