"""How good estimates are: of advantages over λ, and of gradients, by what a cell measured against exact sums.

Drawn wherever a record has measures of these names: `gae_bias_50` and `gae_deviation_50` (λ in hundredths),
`grad_bias_NAME`, `grad_deviation_NAME` and `grad_noise_NAME`.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.interval import Interval
from bench.analysis.plots.panel import Panel, known
from bench.analysis.plots.style import BLUE, VERMILION, WIDTH, bars, title
from bench.analysis.statistics import mean_interval

KINDS = {"bias": (BLUE, "o"), "deviation": (VERMILION, "s")}
WORDS = {"bias": "bias", "deviation": "standard deviation"}


def estimators(panel: Panel) -> Figure | str:
    """Bias and standard deviation of generalised advantage estimates over λ, and of gradient estimates."""
    pattern = r"(gae|grad)_(bias|deviation)_"
    measured = [
        arm
        for arm, cells in panel.cells.items()
        if any(re.match(pattern, c) and known(cells, c) for c in map(str, cells))
    ]
    if not measured:
        return "no arm measured the bias and deviation of estimators"
    arm = next((each for each in measured if each in panel.chosen), measured[0])
    cells = panel.cells[arm]
    figure = Figure(figsize=(WIDTH, 3.4))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.05])
    _advantages(left, cells)
    _gradients(right, cells)
    more = f", the first of {len(measured)} arms that measure it" if len(measured) > 1 else ""
    title(figure, panel.title(f"Estimators at π0 against exact sums; {arm}{more}"))
    return figure


def _advantages(axes: Axes, cells: pd.DataFrame) -> None:
    lambdas = sorted(
        int(m[1]) for c in map(str, cells) if (m := re.fullmatch(r"gae_bias_(\d+)", c)) and known(cells, c)
    )
    axes.set_visible(bool(lambdas))
    for kind, (colour, marker) in KINDS.items():
        found = [mean_interval(cells[f"gae_{kind}_{each}"]) for each in lambdas]
        axes.errorbar(np.array(lambdas) / 100, [each.mean for each in found], yerr=_errors(found), color=colour,
                      marker=marker, ms=4.5, lw=1.2, capsize=2, label=WORDS[kind])  # fmt: skip
    axes.set(xlabel="λ", ylabel="of GAE(λ), in the reward's unit")
    axes.set_ylim(0)
    axes.legend(loc="best")
    axes.set_title("advantages", loc="left")


def _gradients(axes: Axes, cells: pd.DataFrame) -> None:
    names = [m[1] for c in map(str, cells) if (m := re.fullmatch(r"grad_bias_(.+)", c)) and known(cells, c)]
    axes.set_visible(bool(names))
    places = np.arange(len(names))
    for shift, (kind, (colour, _)) in zip((-0.19, 0.19), KINDS.items(), strict=True):
        found = [mean_interval(cells[f"grad_{kind}_{name}"]) for name in names]
        means = [each.mean for each in found]
        axes.barh(places + shift, means, height=0.36, color=colour, label=WORDS[kind])
        axes.errorbar(means, places + shift, xerr=_errors(found), color="black", ls="", lw=0.9, capsize=1.5)
    noise = [cells[each].mean() if (each := f"grad_noise_{name}") in cells else np.nan for name in names]
    axes.plot(noise, places - 0.19, color="black", marker="|", ms=9, mew=1.4, ls="", label="standard error of the bias")
    words = [name.replace("score_function_", "score function,\n").replace("_", " ") for name in names]
    axes.set_yticks(places, words)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.set_xlabel("of one estimate, in units of ‖∇J‖")
    axes.set_title("gradients", loc="left")
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right", ncols=3)


def _errors(found: list[Interval]) -> np.ndarray:
    """(2, points), 0 where there is no interval."""
    return np.array([np.ravel(bars(each, 0) or np.zeros(2)) for each in found]).reshape(len(found), 2).T
