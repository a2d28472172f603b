"""Plots from records: what reward costs in KL, where it stops being real, whether probabilities hold, who wins.

Each reads without its neighbours: colours of Okabe & Ito 2008, each with a marker of its own, units on the axes,
intervals named where they are drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.loading import RunFrames
from bench.analysis.plots_winrates import win_rate_map
from bench.analysis.statistics import Interval, mean_interval
from bench.analysis.tables import win_rate_interval
from bench.analysis.winrate_tables import tournaments
from bench.measures.calibration import reliability as reliability_bins
from bench.measures.calibration import wilson_interval
from bench.measures.reward import standardise_by

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
LINES = ("-", "--", "-.", ":")
BLUE, VERMILION, GREY, LIGHT = "#0072B2", "#D55E00", "#7F7F7F", "#D0D0D0"
STYLE: Any = {
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#ECECEC",
    "axes.axisbelow": True, "figure.constrained_layout.use": True, "figure.constrained_layout.h_pad": 0.08,
    "savefig.dpi": 160,
}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """What is drawn on one page: a task and a model, their records (status ok) and the run they come from."""

    run: RunFrames
    task: str
    model: str
    records: pd.DataFrame

    @property
    def arms(self) -> list[str]:
        """In the matrix's order."""
        return list(dict.fromkeys(self.records["arm"]))

    @property
    def judge(self) -> tuple[str, str] | None:
        """The column that says what is really wanted, and its name: gold where known, else the judge."""
        for column, name in (("gold", "gold reward"), ("judge", "judge (held-out reward model)")):
            if column in self.records and self.records[column].notna().any():
                return column, name
        return None

    def of(self, arm: str) -> pd.DataFrame:
        """The arm's records."""
        return self.records[self.records["arm"] == arm]

    def rows(self, frame: pd.DataFrame, arm: str) -> pd.DataFrame:
        """The arm's rows of curves, completions or probes."""
        return frame[frame["cell"].isin(self.of(arm)["cell"])]

    def curves(self, arm: str, *columns: str) -> list[pd.DataFrame]:
        """The arm's training curves, one per seed, where they have the columns and at least two points."""
        rows = self.rows(self.run.curves, arm)
        if any(column not in rows for column in columns):
            return []
        curves = [each.dropna(subset=list(columns)).sort_values("step") for _, each in rows.groupby("seed")]
        return [each for each in curves if len(each) > 1]

    def style(self, arm: str) -> dict[str, Any]:
        """The arm's colour, marker and line style, the same in every plot."""
        i = self.arms.index(arm)
        return {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i // len(COLOURS) % len(LINES)],
        }

    def title(self, text: str) -> str:
        """`text`, and what it was measured on."""
        seeds = self.records["seed"].nunique()
        return f"{text}\n{self.task} · {self.model} · {seeds} seed{'s' * (seeds != 1)}"


def draw_all(run: RunFrames, directory: str | Path) -> list[Path]:
    """Draw every plot for every task and model as PNG; what has no data is skipped, with its reason on stderr."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    ok = run.records[run.records["status"] == "ok"]
    panels = [Panel(run, str(t), str(m), rows) for (t, m), rows in ok.groupby(["task", "model"], sort=False)]
    if not panels:
        print(f"no plots: no cell of {run.directory} has ended well", file=sys.stderr)
    plots: dict[str, Callable[[Panel], Figure | str]] = {
        "reward_kl": reward_kl,
        "overoptimisation": overoptimisation,
        "reliability": reliability,
        "win_tie_loss": win_tie_loss,
        "win_rates": win_rates,
    }
    paths = []
    for panel in panels:
        for name, draw in plots.items():
            file = f"{name}.png" if len(panels) == 1 else f"{name}-{panel.task}-{panel.model}.png"
            with matplotlib.rc_context(STYLE):
                figure = draw(panel)
                if isinstance(figure, str):
                    print(f"skipped {file}: {figure}", file=sys.stderr)
                    continue
                figure.savefig(directory / file)
            paths.append(directory / file)
    return paths


def reward_kl(panel: Panel) -> Figure | str:
    """What is really wanted over KL: a path per seed while training, and where each arm ends."""
    if panel.judge is None:
        return "no gold reward and no judge"
    column, label = panel.judge
    figure = Figure(figsize=(6.6, 4.2))
    axes = figure.add_subplot()
    handles: list[Line2D] = []
    furthest, rewards = 0.0, []
    for arm in panel.arms:
        cells, style = panel.of(arm), panel.style(arm)
        for curve in panel.curves(arm, "kl", column):
            axes.plot(curve["kl"], curve[column], color=style["color"], lw=0.9, alpha=0.35, zorder=1)
            furthest = max(furthest, curve["kl"].max())
            rewards += curve[column].tolist()
        bound = not _known(cells, "kl")
        x = mean_interval(cells["kl_bound" if bound else "kl"]) if bound <= _known(cells, "kl_bound") else None
        if x is None or not _known(cells, column):
            continue
        y = mean_interval(cells[column])
        face = "white" if bound else style["color"]
        point = {"color": style["color"], "marker": style["marker"], "markerfacecolor": face, "linestyle": "none"}
        axes.errorbar(x.mean, y.mean, xerr=_bars(x, 0), yerr=_bars(y), ms=6.5, lw=1.1, capsize=2, zorder=3, **point)
        handles.append(Line2D([], [], ms=6, label=arm + (" (KL: upper bound)" if bound else ""), **point))
        furthest = max(furthest, x.mean)
        rewards.append(y.mean)
    if not handles:
        return "no arm has both KL and reward"
    if furthest > 20:
        axes.set_xscale("symlog", linthresh=1, linscale=0.6, subs=(2, 5))
        axes.set_xticks([t for t in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500) if t <= 1.3 * furthest])
        axes.xaxis.set_major_formatter("{x:g}")
    # of two or three seeds intervals can be so wide that nothing else would be seen: the frame cuts them off
    margin = 0.12 * (max(rewards) - min(rewards)) or 1
    axes.set_ylim(min(rewards) - margin, max(rewards) + margin)
    axes.set_xlim(*((-0.03 * furthest, 1.08 * furthest or 1) if furthest <= 20 else (-0.1, 1.4 * furthest)))
    axes.set_xlabel("KL(π ‖ π0), nats per completion" + (" (logarithmic beyond 1)" if furthest > 20 else ""))
    axes.set_ylabel(f"{label}, mean")
    axes.set_title(panel.title("What reward costs in KL"), loc="left")
    if panel.records["seed"].nunique() > 1:
        handles.append(
            Line2D([], [], color=GREY, lw=1.1, marker="|", ms=6, label="95 % over seeds\n(cut off at the frame)")
        )
    handles.append(Line2D([], [], color=GREY, lw=0.9, alpha=0.5, label="path of one seed"))
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def overoptimisation(panel: Panel) -> Figure | str:
    """Gold and proxy reward over √KL while training, in standard deviations of π0's samples above π0's mean."""
    if panel.judge is None:
        return "no gold reward and no judge"
    column, label = panel.judge
    needed = [f"reference_{name}{part}" for name in ("proxy", column) for part in ("", "_sd")]
    if not all(_known(panel.records, name) for name in needed):
        return "π0's own rewards, to standardise on, are not in the records"
    curves = {arm: panel.curves(arm, "kl", "proxy", column) for arm in panel.arms}
    curves = {arm: each for arm, each in curves.items() if each}
    if not curves:
        return "no arm has a training curve with KL, proxy and judge"
    figure, grid = _small_multiples(len(curves), height=2.05)
    kinds = {"proxy": (VERMILION, "--", "s"), column: (BLUE, "-", "o")}
    for axes, (arm, seeds) in zip(grid, curves.items(), strict=False):
        axes.axhline(0, color=GREY, lw=0.8)
        for curve in seeds:
            base = panel.records.set_index("cell").loc[curve["cell"].iloc[0]]
            for name, (colour, line, marker) in kinds.items():
                y = standardise_by(curve[name], base[f"reference_{name}"], base[f"reference_{name}_sd"])
                x = np.sqrt(curve["kl"].clip(lower=0))
                axes.plot(x, y, color=colour, ls=line, marker=marker, ms=2.5, lw=1, alpha=0.75)
        axes.set_title(arm)
    handles = [
        Line2D([], [], color=colour, ls=line, marker=marker, ms=4, label=label if name == column else "proxy reward")
        for name, (colour, line, marker) in kinds.items()
    ]
    figure.suptitle(panel.title("Over-optimisation: one line per seed"), x=0.01, ha="left", fontsize=9)
    figure.supxlabel("√KL(π ‖ π0), √nats", fontsize=9)
    figure.supylabel("reward, sd of π0's samples", fontsize=9)
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def reliability(panel: Panel) -> Figure | str:
    """How often choices are right that are given a certain probability; all choices, ten bins, with counts."""
    probes = panel.run.probes
    arms = [arm for arm in panel.arms if "probability" in probes and len(panel.rows(probes, arm))]
    if not arms:
        return "no cell was asked multiple-choice questions"
    figure, grid = _small_multiples(len(arms), height=2.7)
    bins = {arm: _bins(panel.rows(probes, arm)) for arm in arms}
    reference = next((arm for arm in arms if (panel.of(arm)["method"] == "sft").all()), None)
    for axes, arm in zip(grid, arms, strict=False):
        frame, style = bins[arm], panel.style(arm)
        # counts stand in a strip of their own below the diagram, where they cover nothing
        axes.axhline(0, color="black", lw=0.8)
        heights = 0.15 * frame["count"] / frame["count"].max()
        axes.bar((frame["bin"] + 0.5) / 10, heights, bottom=-0.36, width=0.1, color=LIGHT, edgecolor="white")
        for number, count, height in zip(frame["bin"], frame["count"], heights, strict=True):
            axes.annotate(_short(count), ((number + 0.5) / 10, height - 0.36), (0, 1.5), fontsize=6, ha="center",
                          va="bottom", rotation=90, textcoords="offset points", color="#505050")  # fmt: skip
        axes.plot([0, 1], [0, 1], color=GREY, lw=0.8)
        if reference and arm != reference:
            axes.plot(bins[reference]["confidence"], bins[reference]["accuracy"], color=GREY, lw=1.2, ls=":")
        error = [frame["accuracy"] - frame["low"], frame["high"] - frame["accuracy"]]
        axes.errorbar(frame["confidence"], frame["accuracy"], yerr=np.clip(error, 0, None), ms=4, lw=1, capsize=1.5,
                      color=style["color"], marker=style["marker"])  # fmt: skip
        ece = mean_interval(panel.of(arm)["ece_debiased"]).mean if _known(panel.of(arm), "ece_debiased") else np.nan
        axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        axes.tick_params(labelbottom=True)
        axes.set_title(f"{arm}\nECE {ece:.3f} (debiased)" if np.isfinite(ece) else arm)
        axes.set(xlim=(0, 1), ylim=(-0.36, 1), box_aspect=1.36)
    n = int(panel.rows(probes, arms[0]).groupby("seed")["question"].nunique().max())
    title = f"Reliability on multiple choice: every choice an entry, N = {n:,} questions"
    figure.suptitle(panel.title(title), x=0.01, ha="left", fontsize=9)
    for axes in grid:
        axes.set_xlabel("probability given", fontsize=8)
    figure.supylabel("share right (95 % Wilson interval)", fontsize=9)
    handles = [Line2D([], [], color=GREY, lw=0.8, label="perfectly calibrated")]
    if reference:
        handles.append(Line2D([], [], color=GREY, lw=1.2, ls=":", label=f"{reference}, for comparison"))
    handles.append(Line2D([], [], color=LIGHT, lw=6, label="entries per bin and seed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def win_tie_loss(panel: Panel) -> Figure | str:
    """Shares of wins, ties and losses against π0, and the win rate with its interval."""
    arms = [arm for arm in panel.arms if _known(panel.of(arm), "win_rate")]
    if not arms:
        return "no judge compared the completions with π0's"
    figure = Figure(figsize=(6.6, 1.5 + 0.3 * len(arms)))
    bars, rates = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2], gridspec_kw={"wspace": 0.06})
    places = np.arange(len(arms))
    left = np.zeros(len(arms))
    for name, colour, ink in (("win", BLUE, "white"), ("tie", LIGHT, "black"), ("loss", "#E69F00", "black")):
        share = np.array([panel.of(arm)[name].mean() for arm in arms])
        drawn = bars.barh(places, share, left=left, height=0.72, color=colour, label=name, edgecolor="white")
        texts = [f"{100 * each:.0f}" if each >= 0.06 else "" for each in share]
        bars.bar_label(drawn, texts, label_type="center", color=ink, fontsize=8)
        left += share
    bars.set(yticks=places, yticklabels=arms, xlim=(0, 1), xticks=[0, 0.25, 0.5, 0.75, 1])
    bars.set_xticklabels(["0", "25", "50", "75", "100"])
    bars.set_xlabel("share of completions, %")
    bars.grid(visible=False)
    bars.invert_yaxis()
    for place, arm in zip(places, arms, strict=True):
        rate = win_rate_interval(panel.run, panel.of(arm))
        rates.errorbar(rate.mean, place, xerr=_bars(rate, 0, 1), color="black", marker="D", ms=4, capsize=2.5, lw=1.1)
    rates.axvline(0.5, color=GREY, lw=0.8, ls="--")
    rates.set(xlim=(-0.04, 1.04), xticks=[0, 0.25, 0.5, 0.75, 1])
    rates.set_xticklabels(["0", "¼", "½", "¾", "1"])
    rates.tick_params(axis="y", length=0)
    several = panel.records["seed"].nunique() > 1
    rates.set_xlabel("win rate\n" + ("95 % over seeds and prompts" if several else "one seed: no interval"))
    judges = ", ".join(sorted(set(panel.records["judged_by"].dropna())))
    title = panel.title(f"Against the SFT policy on the same prompts; judge: {judges}")
    figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    figure.legend(*bars.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return figure


def win_rates(panel: Panel) -> Figure | str:
    """Every arm against every other, as a heat map, with ratings."""
    found = [each for each in tournaments(panel.run) if (each.task, each.model) == (panel.task, panel.model)]
    if not found:
        return "nobody judged the completions of two arms on the same prompts"
    return win_rate_map(found[0], panel.title("Win rates on the same prompts, row against column"))


def _small_multiples(count: int, height: float) -> tuple[Figure, list[Axes]]:
    rows = -(-count // 5)
    columns = -(-count // rows)
    figure = Figure(figsize=(max(2.0 * columns + 0.6, 5.2), height * rows + 1.1))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.set_visible(False)
    # the panel above a gap carries the labels of the column
    for each in axes[max(0, count - columns) : count]:
        each.tick_params(labelbottom=True)
    return figure, axes


def _bins(rows: pd.DataFrame) -> pd.DataFrame:
    """All seeds' answers in bins, with intervals as wide as one seed's: the questions are the same in every seed."""
    seeds = rows["seed"].nunique()
    frame = reliability_bins(rows["probability"].to_numpy(), rows["correct"].to_numpy())
    per_seed = frame["count"].to_numpy() / seeds
    frame["low"], frame["high"] = wilson_interval(frame["accuracy"].to_numpy(), per_seed)
    return frame.assign(count=per_seed)


def _known(cells: pd.DataFrame, measure: str) -> bool:
    return measure in cells and bool(cells[measure].notna().any())


def _bars(interval: Interval, least: float = -np.inf, most: float = np.inf) -> list[list[float]] | None:
    """Lengths of an interval's two arms for matplotlib, cut off where values cannot be; None without an interval."""
    if not np.isfinite(interval.half):
        return None
    low, high = max(interval.low, least), min(interval.high, most)
    return [[max(interval.mean - low, 0)], [max(high - interval.mean, 0)]]


def _short(count: float) -> str:
    return f"{count:.0f}" if count < 1000 else f"{count / 1000:.1f}k" if count < 10_000 else f"{count / 1000:.0f}k"
