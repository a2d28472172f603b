"""Gold and proxy reward over the distance from π0, with the forms of Gao, Schulman & Hilton 2022 fitted to gold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.curves.overoptimisation_fit import LEAST_POINTS, Fit, Form, fit
from bench.analysis.plots.panel import Panel, known
from bench.analysis.plots.style import BLUE, GREY, VERMILION, frame, shortened, small_multiples, title
from bench.measures.means import standardise_by


def overoptimisation(panel: Panel) -> Figure | str:
    """Gold and proxy reward over √KL while training, in standard deviations of π0's samples above π0's mean.

    One axes per arm with a training curve, and one per method at decoding time, whose arms are its points.
    """
    if (missing := what_is_missing(panel)) is not None:
        return missing
    trained = {arm: each for arm in panel.chosen if (each := standardised_curves(panel, arm))}
    at_decoding = _by_method(panel)
    if not trained and not at_decoding:
        return "no arm has a training curve with KL, proxy and judge"
    figure, grid = small_multiples(len(trained) + len(at_decoding), aspect=0.8, columns=4, sharex=False)
    shown: list[tuple[str, list[pd.DataFrame], Form]] = [(shortened(arm), each, "RL") for arm, each in trained.items()]
    shown += [(f"{shortened(method, 12)}, by n", [every], "best-of-n") for method, every in at_decoding.items()]
    for axes, (name, seeds, form) in zip([each for row in grid for each in row], shown, strict=False):
        axes.set_title(f"{name}\n{fit_text(draw_with_fit(axes, seeds, form))}", fontsize=7.5)
        axes.set_xlabel("d, √nats", fontsize=7.5)
    rewards = np.concatenate([each[["proxy", "gold"]].to_numpy() for _, seeds, _ in shown for each in seeds])
    frame(axes, rewards.ravel())
    for row in grid:
        row[0].set_ylabel("reward,\nsd of π0's samples")
    words = "one line per seed, each arm on its own scale of d = √KL(π ‖ π0)"
    title(figure, panel.title(f"Over-optimisation: {words}"))
    figure.legend(handles=legend_handles(panel), loc="outside lower center", ncols=3)
    return figure


def what_is_missing(panel: Panel) -> str | None:
    """What is missing to draw gold and proxy over KL; None where nothing is."""
    if panel.judge is None:
        return "no gold reward and no judge"
    needed = [f"reference_{name}{part}" for name in ("proxy", panel.judge[0]) for part in ("", "_sd")]
    if not all(known(panel.records, name) for name in needed):
        return "π0's own rewards, to standardise on, are not in the records"
    return None


def standardised_curves(panel: Panel, arm: str) -> list[pd.DataFrame]:
    """Columns `d` (√nats), `proxy` and `gold` (sd of π0's samples above π0's mean), one frame per seed."""
    column = panel.judge[0] if panel.judge else "gold"
    curves = panel.curves(arm, "kl", "proxy", column)
    own = panel.cells[arm].set_index("cell")
    return [_standardised(curve, own.loc[curve["cell"].iloc[0]], column) for curve in curves]


def draw_with_fit(axes: Axes, seeds: Iterable[pd.DataFrame], form: Form) -> Fit | None:
    """Proxy and gold, a line per seed, and the form fitted to the gold of all seeds."""
    seeds = list(seeds)
    axes.axhline(0, color=GREY, lw=0.8)
    for each in seeds:
        axes.plot(each["d"], each["proxy"], color=VERMILION, ls="--", marker="s", ms=2, lw=0.9, alpha=0.7)
        axes.plot(each["d"], each["gold"], color=BLUE, ls="-", marker="o", ms=2, lw=0.9, alpha=0.7)
    every = pd.concat(seeds)
    found = fit(every["d"], every["gold"], form)
    if found:
        d = np.linspace(0, every["d"].max(), 100)
        axes.plot(d, found(d), color="black", lw=1.2, ls=(0, (1, 1)))
    return found


def fit_text(found: Fit | None) -> str:
    """α, β and R², or that there are too few points."""
    if found is None:
        return f"no fit: < {LEAST_POINTS} points"
    return f"α {found.alpha:.2f}, β {found.beta:.2f}, R² {found.r_squared:.2f}".replace("-", "−")


def legend_handles(panel: Panel) -> list[Line2D]:
    """For the legend."""
    label = panel.judge[1] if panel.judge else "gold reward"
    return [
        Line2D([], [], color=VERMILION, ls="--", marker="s", ms=3, label="proxy reward"),
        Line2D([], [], color=BLUE, marker="o", ms=3, label=label),
        Line2D([], [], color="black", lw=1.2, ls=(0, (1, 1)), label="fitted to gold: d(α − β log d); by n: d(α − βd)"),
    ]


def _by_method(panel: Panel) -> dict[str, pd.DataFrame]:
    """Of each method whose KL has only a bound, and that was run with several: where its arms end, π0 first."""
    column = panel.judge[0] if panel.judge else "gold"
    if not known(panel.records, "kl_bound"):
        return {}
    found = {}
    for method, cells in panel.records.dropna(subset=["kl_bound"]).groupby("method", sort=False):
        if cells["kl_bound"].nunique() < 2 or not set(cells["arm"]) & set(panel.chosen):
            continue
        ends = cells.groupby("kl_bound")[["proxy", column]].mean()
        base = cells[[name for name in cells if str(name).startswith("reference_")]].mean(numeric_only=True)
        start = pd.DataFrame({"kl": [0.0], "proxy": [base["reference_proxy"]], column: [base[f"reference_{column}"]]})
        rows = pd.concat([start, ends.rename_axis("kl").reset_index()], ignore_index=True)
        found[str(method)] = _standardised(rows, base, column)
    return found


def _standardised(rows: pd.DataFrame, base: pd.Series, column: str) -> pd.DataFrame:
    scaled = {
        name: standardise_by(rows[each], base[f"reference_{each}"], base[f"reference_{each}_sd"])
        for name, each in (("proxy", "proxy"), ("gold", column))
    }
    return pd.DataFrame({"d": np.sqrt(rows["kl"].clip(lower=0).to_numpy()), **scaled})
