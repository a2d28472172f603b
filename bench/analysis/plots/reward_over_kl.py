"""Where each arm ends: reward, perplexity and diversity over KL, and reward over what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.plots.panel import Panel, known
from bench.analysis.plots.style import GREY, WIDTH, bars, frame, kl_scale, long_scale, title
from bench.analysis.statistics import mean_interval


@dataclass
class Drawn:
    """What was drawn: the means and paths, for the frame, and the arms with their handles, for the legend."""

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    arms: dict[str, Line2D] = field(default_factory=dict)
    notes: dict[str, Line2D] = field(default_factory=dict)


def reward_kl(panel: Panel) -> Figure | str:
    """What is really wanted over KL: a path per seed while training, where each arm ends, and the exact optimum."""
    if panel.judge is None:
        return "no gold reward and no judge"
    figure = Figure(figsize=(WIDTH, 4.2))
    drawn = reward_over_kl(panel, figure.add_subplot())
    if not drawn.arms:
        return "no arm has both KL and reward"
    title(figure, panel.title("What reward costs in KL"))
    _legend(figure, panel, [drawn])
    return figure


def reward_over_kl(panel: Panel, axes: Axes) -> Drawn:
    """The axes of `reward_kl`; where completions can be listed, with the best reward that each KL can have."""
    column, label = panel.judge or ("gold", "gold reward")
    drawn = Drawn()
    paths(panel, axes, column, drawn)
    ends(panel, axes, "kl", column, drawn)
    for kl, best in optima(panel) if column == "gold" else ():
        axes.plot(kl, best, color="black", lw=1, marker=".", ms=4, zorder=2)
        drawn.y += best.tolist()
        drawn.notes["optimum"] = Line2D([], [], color="black", lw=1, marker=".", label="exact optimum\n(at the dots)")
    frame(axes, drawn.y)
    axes.set_xlabel(kl_scale(axes, max(drawn.x, default=0)))
    axes.set_ylabel(f"{label}, mean")
    return drawn


def optima(panel: Panel) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The frontier that no policy can pass, exact, for every π0: KL (nats) and the reward of the best policy.

    Every cell tells one point of it: its own exact KL, and its own exact gold with what it lacks of the best.
    """
    names = ["exact_kl", "exact_gold", "optimality_gap"]
    if not all(known(panel.records, name) for name in [*names, "reference_gold"]):
        return
    rows = panel.records.dropna(subset=names)
    # another π0 has another frontier: another seed's, or one that was trained on something else
    for _, own in rows.groupby(["seed", "reference_gold"], sort=False):
        points = own.sort_values("exact_kl")
        yield points["exact_kl"].to_numpy(), (points["exact_gold"] + points["optimality_gap"]).to_numpy()


def perplexity(panel: Panel) -> Figure | str:
    """Both perplexities over KL: what alignment costs in modelling text, and how odd the policy's own text is."""
    columns = {
        "perplexity_reference": "perplexity of π on\nheld-out reference text",
        "perplexity_samples": "perplexity of π0 on\nπ's samples",
    }
    return _over_kl(panel, columns, "Perplexity: of π on others' text, and of π0 on π's", log=True)


def diversity(panel: Panel) -> Figure | str:
    """Entropy and the variety of samples over KL: does the policy collapse onto a few texts?"""
    columns = {
        "entropy": "entropy, nats per token",
        "unique": "share of samples\nthat are unique",
        "distinct_2": "distinct-2",
        "self_bleu": "self-BLEU\n(high: samples alike)",
    }
    return _over_kl(panel, columns, "Entropy and diversity of samples", log=False)


def cost(panel: Panel) -> Figure | str:
    """What is really wanted over seconds of training; what a method pays when it samples is not among them."""
    if panel.judge is None:
        return "no gold reward and no judge"
    column, label = panel.judge
    figure = Figure(figsize=(WIDTH, 4.0))
    axes = figure.add_subplot()
    drawn = Drawn()
    ends(panel, axes, "cost_seconds_training", column, drawn)
    if not drawn.arms:
        return "no arm has both seconds of training and reward"
    long_scale(axes, max(drawn.x))
    frame(axes, drawn.y)
    words = "seconds of training (logarithmic beyond 1);\nsampling, and stages that arms share, are not counted"
    axes.set(xlabel=words, ylabel=f"{label}, mean")
    title(figure, panel.title("What reward costs in time"))
    _legend(figure, panel, [drawn])
    return figure


def paths(panel: Panel, axes: Axes, column: str, drawn: Drawn) -> None:
    """A thin line per seed over KL, where training curves have the column."""
    for arm in panel.chosen:
        lines = [curve[["kl", column]].to_numpy(float) for curve in panel.curves(arm, "kl", column)]
        if not lines:
            continue
        axes.add_collection(LineCollection(lines, colors=panel.style(arm)["color"], lw=0.9, alpha=0.35, zorder=1))
        drawn.x.append(max(float(line[:, 0].max()) for line in lines))
        drawn.y += [y for line in lines for y in line[:, 1].tolist()]
        drawn.notes["path"] = Line2D([], [], color=GREY, lw=0.9, alpha=0.5, label="path of one seed")


def ends(panel: Panel, axes: Axes, x: str, y: str, drawn: Drawn) -> None:
    """Each arm's mean, with intervals both ways; the arms that are not chosen are grey dots behind."""
    for arm in panel.chosen:
        cells = panel.cells[arm]
        bound = x == "kl" and not known(cells, "kl")
        column = "kl_bound" if bound else x
        if not (known(cells, column) and known(cells, y)):
            continue
        across, up = mean_interval(cells[column]), mean_interval(cells[y])
        style: dict[str, Any] = panel.point(arm, bound) | {"xerr": bars(across, 0), "yerr": bars(up)}
        ink = (style["color"], 0.5)
        axes.errorbar(across.mean, up.mean, ms=6, lw=0.9, capsize=2, zorder=3, ecolor=ink, **style)
        drawn.arms[arm] = panel.handle(arm, hollow=bound)
        if bound:
            label = "hollow: upper\nbound of KL"
            drawn.notes["bound"] = Line2D([], [], marker="o", color=GREY, mfc="white", ls="", label=label)
        drawn.x.append(across.mean)
        drawn.y.append(up.mean)
    if not (known(panel.records, x) and known(panel.records, y)):
        return
    means = panel.records.groupby("arm")[[x, y]].mean().reindex(panel.others).dropna()
    if len(means):
        style = {"color": "#BDBDBD", "marker": "o", "ms": 3, "ls": ""}
        axes.plot(means[x], means[y], zorder=0.5, **style)
        drawn.notes["others"] = Line2D([], [], label="other arms", **style)
        drawn.x += means[x].tolist()
        drawn.y += means[y].tolist()


def _over_kl(panel: Panel, columns: dict[str, str], text: str, log: bool) -> Figure | str:
    """One axes for each column that is known, over KL."""
    shown = [column for column in columns if known(panel.records, column)]
    if not shown or not known(panel.records, "kl"):
        return f"no arm has KL and any of {', '.join(columns)}"
    rows = -(-len(shown) // 2)
    figure = Figure(figsize=(WIDTH, 2.35 * rows + 1.1))
    grid = figure.subplots(rows, 2, squeeze=False, sharex=True).ravel().tolist()
    everything = []
    for axes, column in zip(grid, shown, strict=False):
        drawn = Drawn()
        paths(panel, axes, column, drawn)
        ends(panel, axes, "kl", column, drawn)
        if log:
            axes.set_yscale("log")
        frame(axes, drawn.y, log)
        axes.set_ylabel(columns[column])
        everything.append(drawn)
    for spare in grid[len(shown) :]:
        spare.set_visible(False)
    furthest = max((x for drawn in everything for x in drawn.x), default=0)
    words = kl_scale(grid[0], furthest, decades=True)  # of all, as they share it
    for axes in grid[max(len(shown) - 2, 0) : len(shown)]:
        axes.set_xlabel(words)
        axes.tick_params(labelbottom=True)
    title(figure, panel.title(text))
    _legend(figure, panel, everything)
    return figure


def _legend(figure: Figure, panel: Panel, everything: Sequence[Drawn]) -> None:
    """One for the whole figure: arms in the matrix's order, then what lines and hollow points mean."""
    arms = {arm: handle for drawn in everything for arm, handle in drawn.arms.items()}
    notes = {name: handle for drawn in everything for name, handle in drawn.notes.items()}
    handles = [arms[arm] for arm in panel.chosen if arm in arms] + panel.interval_handles() + list(notes.values())
    figure.legend(handles=handles, loc="outside right upper")
