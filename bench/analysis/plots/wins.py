"""Who wins: shares of wins, ties and losses against π0, and the heat map of every arm against every other."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from bench.analysis.plots.panel import Panel, known
from bench.analysis.plots.style import BLUE, GREY, LIGHT, ORANGE, WIDTH, bars, shortened, title
from bench.analysis.winrates.against_reference import win_rate_interval
from bench.analysis.winrates.table import tournaments


def win_tie_loss(panel: Panel) -> Figure | str:
    """Shares of wins, ties and losses against π0, and the win rate with its interval."""
    arms = [arm for arm in panel.chosen if known(panel.cells[arm], "win_rate")]
    if not arms:
        return "no judge compared the completions with π0's"
    figure = Figure(figsize=(6.6, 1.5 + 0.28 * len(arms)))
    shares, rates = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2], gridspec_kw={"wspace": 0.06})
    places = np.arange(len(arms))
    left = np.zeros(len(arms))
    for name, colour, ink in (("win", BLUE, "white"), ("tie", LIGHT, "black"), ("loss", ORANGE, "black")):
        share = np.array([panel.cells[arm][name].mean() for arm in arms])
        drawn = shares.barh(places, share, left=left, height=0.72, color=colour, label=name, edgecolor="white")
        texts = [f"{100 * each:.0f}" if each >= 0.06 else "" for each in share]
        shares.bar_label(drawn, texts, label_type="center", color=ink, fontsize=8)
        left += share
    shares.set(yticks=places, yticklabels=[shortened(arm) for arm in arms], xlim=(0, 1))
    shares.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    shares.set_xlabel("share of completions, %")
    shares.grid(visible=False)
    shares.invert_yaxis()
    for place, arm in zip(places, arms, strict=True):
        rate = win_rate_interval(panel.run, panel.cells[arm])
        rates.errorbar(rate.mean, place, xerr=bars(rate, 0, 1), color="black", marker="D", ms=4, capsize=2.5, lw=1.1)
    rates.axvline(0.5, color=GREY, lw=0.8, ls="--")
    rates.set_xlim(-0.04, 1.04)
    rates.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    rates.tick_params(axis="y", length=0)
    rates.set_xlabel("win rate\n" + ("95 % over seeds and prompts" if panel.seeds > 1 else "one seed: no interval"))
    judges = ", ".join(sorted(set(panel.records["judged_by"].dropna())))
    title(figure, panel.title(f"Against the SFT policy on the same prompts; judge: {judges}"))
    figure.legend(*shares.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return figure


def win_rates(panel: Panel) -> Figure | str:
    """Win rates of the row against the column, arms by rating; a dot where the interval excludes ½."""
    found = next(
        (each for each in tournaments(panel.run) if (each.task, each.model) == (panel.task, panel.model)), None
    )
    if found is None:
        return "nobody judged the completions of two arms on the same prompts"
    order = found.ratings["arm"].tolist()
    place = {arm: i for i, arm in enumerate(order)}
    rates = np.full((len(order), len(order)), np.nan)
    sure = np.zeros(rates.shape, dtype=bool)
    for first, second, rate, low, high in found.rates[["first", "second", "rate", "low", "high"]].to_numpy():
        rates[place[first], place[second]] = rate
        sure[place[first], place[second]] = low > 0.5 or high < 0.5
    size = len(order)
    figure = Figure(figsize=(WIDTH, 2.2 + 0.3 * size))
    grid, side = figure.subplots(
        1, 2, sharey=True, width_ratios=[max(0.36 * size, 1.5), 1], gridspec_kw={"wspace": 0.04}
    )
    image = grid.imshow(rates, cmap=_colours(), vmin=0, vmax=1, aspect="auto")
    for (i, j), rate in np.ndenumerate(rates):
        if i != j:
            text = "–" if math.isnan(rate) else f"{rate:.2f}{'•' if sure[i, j] else ''}".removeprefix("0")
            ink = "white" if abs(rate - 0.5) > 0.33 else "black"
            grid.text(j, i, text, ha="center", va="center", color=ink, fontsize=7.5)
    names = [shortened(arm) for arm in order]
    grid.set_xticks(range(size), [shortened(arm, 20) for arm in order], rotation=40, ha="right", rotation_mode="anchor")
    grid.set_yticks(range(size), names)
    grid.set(xlabel="against", ylabel="win rate of")
    grid.grid(visible=False)
    grid.spines[:].set_visible(False)
    grid.tick_params(length=0)
    rated = found.ratings
    error = np.clip([rated["rating"] - rated["low"], rated["high"] - rated["rating"]], 0, 1e6)  # to ∞: out of sight
    side.errorbar(rated["rating"], range(size), xerr=error, color="black", marker="D", ms=4, capsize=2.5, lw=1.1, ls="")
    side.axvline(0, color=GREY, lw=0.8, ls="--")
    # an interval from two or three seeds can be so wide that no rating would be told from another
    low, high = np.nanmin(rated["rating"]), np.nanmax(rated["rating"])
    if np.isfinite(low):
        margin = 0.35 * (high - low) or 1
        side.set_xlim(low - margin, high + margin)
    side.tick_params(axis="y", length=0)
    seeds = int(found.rates["seeds"].max())
    side.set_xlabel(f"rating, logits\n({shortened(found.anchor, 12)} = 0{'; 95 %' if seeds > 1 else ''})")
    side.set_title("Bradley–Terry", fontsize=8)
    bar = figure.colorbar(image, ax=side, shrink=0.8, ticks=[0, 0.25, 0.5, 0.75, 1], pad=0.04, aspect=30)
    bar.ax.set_yticklabels(["0", "¼", "½", "¾", "1"])
    bar.outline.set_visible(False)
    note = "• the 95 % interval over seeds and prompts excludes ½" if seeds > 1 else "one seed: no intervals"
    text = panel.title("Win rates on the same prompts, row against column")
    title(figure, f"{text}\njudge: {found.judged.judge} · {note}")
    return figure


def _colours() -> matplotlib.colors.Colormap:
    """Vermilion – white – blue (Okabe & Ito 2008), grey where nothing was compared."""
    ends = ["#D55E00", "#FFFFFF", "#0072B2"]
    return matplotlib.colors.LinearSegmentedColormap.from_list("win_rate", ends).with_extremes(bad="#EDEDED")
