"""The heat map of win rates: every arm against every other, best first, with Bradley–Terry ratings beside it."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from bench.analysis.winrate_tables import Tournament


def win_rate_map(tournament: Tournament, title: str) -> Figure:
    """Win rates of the row against the column, arms by rating; a dot where the interval excludes ½."""
    order = tournament.ratings["arm"].tolist()
    place = {arm: i for i, arm in enumerate(order)}
    rates = np.full((len(order), len(order)), np.nan)
    sure = np.zeros(rates.shape, dtype=bool)
    for first, second, rate, low, high in tournament.rates[["first", "second", "rate", "low", "high"]].to_numpy():
        rates[place[first], place[second]] = rate
        sure[place[first], place[second]] = low > 0.5 or high < 0.5
    size = len(order)
    figure = Figure(figsize=(4.4 + 0.52 * size, 2.0 + 0.36 * size))
    grid, side = figure.subplots(1, 2, sharey=True, width_ratios=[max(size, 3), 3.2], gridspec_kw={"wspace": 0.05})
    image = grid.imshow(rates, cmap=_colours(), vmin=0, vmax=1, aspect="auto")
    for (i, j), rate in np.ndenumerate(rates):
        if i != j:
            text = "–" if math.isnan(rate) else f"{rate:.2f}{'•' if sure[i, j] else ''}"
            ink = "white" if abs(rate - 0.5) > 0.33 else "black"
            grid.text(j, i, text, ha="center", va="center", color=ink, fontsize=8)
    names = [arm if len(arm) <= 28 else f"{arm[:27]}…" for arm in order]
    grid.set_xticks(range(size), names, rotation=35, ha="right", rotation_mode="anchor")
    grid.set_yticks(range(size), names)
    grid.set(xlabel="against", ylabel="win rate of")
    grid.grid(visible=False)
    grid.spines[:].set_visible(False)
    grid.tick_params(length=0)
    rated = tournament.ratings
    error = np.clip([rated["rating"] - rated["low"], rated["high"] - rated["rating"]], 0, None)
    side.errorbar(rated["rating"], range(size), xerr=error, color="black", marker="D", ms=4, capsize=2.5, lw=1.1, ls="")
    side.axvline(0, color="#7F7F7F", lw=0.8, ls="--")
    # an interval from two or three seeds can be so wide that no rating would be told from another
    low, high = np.nanmin(rated["rating"]), np.nanmax(rated["rating"])
    if np.isfinite(low):
        margin = 0.35 * (high - low) or 1
        side.set_xlim(low - margin, high + margin)
    side.tick_params(axis="y", length=0)
    seeds = int(tournament.rates["seeds"].max())
    side.set_xlabel(f"Bradley–Terry rating, logits\n({tournament.anchor} = 0{'; 95 %' if seeds > 1 else ''})")
    bar = figure.colorbar(image, ax=side, shrink=0.8, ticks=[0, 0.25, 0.5, 0.75, 1], pad=0.04)
    bar.ax.set_yticklabels(["0", "¼", "½", "¾", "1"])
    bar.set_label("win rate")
    bar.outline.set_visible(False)
    note = "• the 95 % interval over seeds and prompts excludes ½" if seeds > 1 else "one seed: no intervals"
    figure.suptitle(f"{title}\njudge: {tournament.said.judge} · {note}", x=0.01, ha="left", fontsize=9)
    return figure


def _colours() -> matplotlib.colors.Colormap:
    """Vermilion – white – blue (Okabe & Ito 2008), grey where nothing was compared."""
    ends = ["#D55E00", "#FFFFFF", "#0072B2"]
    return matplotlib.colors.LinearSegmentedColormap.from_list("win_rate", ends).with_extremes(bad="#EDEDED")
