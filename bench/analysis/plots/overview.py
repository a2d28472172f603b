"""The whole of one task on a page: reward over KL, over-optimisation, and every arm's reward, calibration and cost."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.plots.overoptimisation import (
    draw_with_fit,
    legend_handles,
    standardised_curves,
    what_is_missing,
)
from bench.analysis.plots.panel import Panel, furthest_apart, known
from bench.analysis.plots.reward_over_kl import reward_over_kl
from bench.analysis.plots.style import GREY, WIDTH, bars, shortened, title
from bench.analysis.statistics import mean_interval
from bench.measures.calibration import ECE


class Column(NamedTuple):
    """A measure beside the arms' names."""

    measure: str
    label: str
    zero: bool = False


def overview(panel: Panel) -> Figure | str:
    """Above: reward over KL, and gold and proxy over √KL of two arms; below: the arms, best first, by measures."""
    if panel.judge is None:
        return "no gold reward and no judge"
    column, label = panel.judge
    arms = [arm for arm in panel.chosen if known(panel.cells[arm], column)]
    if not arms:
        return f"no arm has {label}"
    arms.sort(key=lambda arm: -panel.cells[arm][column].mean())
    columns = [Column(column, f"{label.split(' (')[0]}, mean")]
    if ece := next((name for name in ECE if known(panel.records, name)), None):
        columns.append(Column(ece, "ECE, debiased", zero=True))
    columns.append(Column("cost_seconds", "seconds, all stages", zero=True))
    figure = Figure(figsize=(WIDTH, 3.5 + 0.21 * len(arms)))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.7, 0.75 + 0.21 * len(arms)])[:, 0]
    pair = [] if what_is_missing(panel) else _two_arms_apart(panel)
    first, *rest = above.subplots(1, 1 + len(pair), width_ratios=[1.35] + [1] * len(pair), squeeze=False)[0]
    drawn = reward_over_kl(panel, first)
    first.set_title("reward over KL", loc="left")
    if "optimum" in drawn.notes:
        first.legend(handles=[drawn.notes["optimum"]], loc="lower right", fontsize=7)
    for axes, arm in zip(rest, pair, strict=True):
        draw_with_fit(axes, standardised_curves(panel, arm), "RL")
        axes.sharey(rest[0]) if axes is not rest[0] else None
        axes.set_title(shortened(arm), loc="left", fontsize=7.5, color=panel.style(arm)["color"])
        axes.set_xlabel("√KL, √nats")
    if rest:
        rest[0].set_ylabel("reward,\nsd of π0's samples")
        proxy, gold, fitted = legend_handles(panel)
        fitted.set_label("d(α − β log d)")
        above.legend(handles=[proxy, gold, fitted], loc="outside upper right", ncols=3, fontsize=7.5)
    grid = below.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, each in zip(grid, columns, strict=True):
        _dots(axes, panel, arms, each)
    grid[0].set_yticks(range(len(arms)), [shortened(arm) for arm in arms])
    seeds = "Bars: 95 % over seeds, cut off at the frame" if panel.seeds > 1 else "One seed: no intervals"
    title(figure, panel.title(f"Which method, at what price? {seeds}"))
    return figure


def _two_arms_apart(panel: Panel) -> list[str]:
    """Two arms of one method, near π0 and far from it; else the two trained arms furthest apart in KL."""
    trained = [arm for arm in panel.chosen if standardised_curves(panel, arm)]
    records = panel.records[panel.records["arm"].isin(trained)]
    pair = furthest_apart(records) or (furthest_apart(records.assign(method="")) if len(trained) > 1 else None)
    return list(pair or trained)


def _dots(axes: Axes, panel: Panel, arms: list[str], column: Column) -> None:
    means = []
    for place, arm in enumerate(arms):
        cells = panel.cells[arm]
        if not known(cells, column.measure):
            axes.text(
                0.03, place, "not known", transform=axes.get_yaxis_transform(), va="center", color=GREY, fontsize=7
            )
            continue
        x = mean_interval(cells[column.measure])
        axes.errorbar(x.mean, place, xerr=bars(x), ms=5, lw=1, capsize=2, **panel.point(arm))
        means.append(x.mean)
    low, high = min([*means, 0.0] if column.zero else means), max(means)
    margin = 0.12 * (high - low) or 1
    axes.set_xlim(low - (0.03 * (high - low) if column.zero and low >= 0 else margin), high + margin)
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.set_xlabel(column.label)
    axes.tick_params(axis="y", length=0)
