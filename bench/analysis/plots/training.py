"""Curves while training: rewards, KL, entropy and length over steps, with a band over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.plots.panel import Panel, known
from bench.analysis.plots.style import WIDTH, long_scale, title
from bench.analysis.statistics import mean_interval

ENOUGH_SEEDS = 5
"""From here on the band is Student's t interval; with fewer it would be wider than anything that was seen."""


def training(panel: Panel) -> Figure | str:
    """Mean over seeds, with a band; an arm's curve ends where its training does."""
    curves = panel.run.curves
    judge = panel.judge or ("gold", "gold reward")
    columns = {
        "proxy": "proxy reward",
        judge[0]: judge[1].replace(" (", "\n("),
        "kl": "KL(π ‖ π0), nats",
        "entropy": "entropy, nats per token",
        "length": "length, tokens",
    }
    shown = [column for column in columns if known(curves, column)]
    if not shown:
        return "no arm has a training curve"
    figure = Figure(figsize=(WIDTH, 4.6))
    grid = figure.subplots(2, 3, sharex=True).ravel().tolist()
    # measured after 2, 4, 8, … steps; all share the scale
    long_scale(grid[0], float(curves["step"].max()), decades=True)
    drawn = []
    few = panel.seeds < ENOUGH_SEEDS
    for axes, column in zip(grid, shown, strict=False):
        for arm in panel.chosen:
            found = panel.curves(arm, column)
            if not found:
                continue
            line, style = _band(found, column, few), panel.style(arm)
            axes.fill_between(line.index, line["low"], line["high"], color=style["color"], alpha=0.13, lw=0)
            axes.plot(line.index, line["mean"], ms=2.5, lw=1.1, **style)
            drawn.append(arm)
        axes.set_title(columns[column], loc="left")
        if column == "kl":
            axes.set_yscale("symlog", linthresh=1, linscale=0.6)
            axes.set_ylim(0)
            axes.yaxis.set_major_formatter("{x:g}")
    for place, axes in enumerate(grid):
        axes.set_visible(place < len(shown))
        last = place + 3 >= len(shown)
        axes.tick_params(labelbottom=last)
        axes.set_xlabel("optimiser step (log)" if last else "")
    band = "" if panel.seeds < 2 else "; band: least to greatest seed" if few else "; band: 95 % (Student's t)"
    title(figure, panel.title(f"While training: mean over seeds{band}" if panel.seeds > 1 else "While training"))
    handles = [panel.handle(arm, line=True) for arm in panel.chosen if arm in drawn]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _band(curves: list[pd.DataFrame], column: str, few: bool) -> pd.DataFrame:
    """Per step that every seed has: `mean`, `low` and `high`."""
    table = pd.concat(curves).pivot(index="step", columns="seed", values=column).dropna()
    values = table.to_numpy(float)
    if few:
        low, high = values.min(1), values.max(1)
    else:
        intervals = [mean_interval(row) for row in values]
        low, high = np.array([[each.low, each.high] for each in intervals]).reshape(-1, 2).T
    return pd.DataFrame({"mean": values.mean(1), "low": low, "high": high}, index=table.index)
