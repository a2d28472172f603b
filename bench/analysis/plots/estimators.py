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

from bench.analysis.plots.panel import Panel, known
from bench.analysis.plots.style import BLUE, GREY, VERMILION, WIDTH, bars, title
from bench.analysis.statistics import mean_interval

KINDS = {"bias": (BLUE, "o"), "deviation": (VERMILION, "s")}


def estimators(panel: Panel) -> Figure | str:
    """Bias and standard deviation of generalised advantage estimates over λ, and of gradient estimates."""
    pattern = r"(gae|grad)_(bias|deviation)_"
    measured = [
        arm for arm, cells in panel.cells.items() if any(re.match(pattern, str(c)) and known(cells, c) for c in cells)
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
    lambdas = sorted(int(m[1]) for c in cells if (m := re.fullmatch(r"gae_bias_(\d+)", str(c))) and known(cells, c))
    axes.set_visible(bool(lambdas))
    for kind, (colour, marker) in KINDS.items():
        found = [mean_interval(cells[f"gae_{kind}_{each}"]) for each in lambdas]
        error = np.array([[bars(each, 0) or [[0], [0]]] for each in found]).reshape(len(found), 2).T
        means = [each.mean for each in found]
        axes.errorbar(
            np.array(lambdas) / 100, means, yerr=error, color=colour, marker=marker, ms=4.5, lw=1.2, capsize=2
        )
        if found:
            word = "bias (root mean square)" if kind == "bias" else "standard deviation"
            axes.plot([], [], color=colour, marker=marker, ms=4.5, lw=1.2, label=word)
    axes.set(xlabel="λ", ylabel="of GAE(λ), in the reward's unit")
    axes.set_ylim(0)
    axes.legend(loc="best")
    axes.set_title("advantages", loc="left")


def _gradients(axes: Axes, cells: pd.DataFrame) -> None:
    """Points and no bars: on a logarithmic axis a bar's length would depend on where the axis begins."""
    names = [m[1] for c in cells if (m := re.fullmatch(r"grad_bias_(.+)", str(c))) and known(cells, c)]
    axes.set_visible(bool(names))
    for place, name in enumerate(names):
        figures = {kind: mean_interval(cells[f"grad_{kind}_{name}"]) for kind in KINDS}
        axes.plot([each.mean for each in figures.values()], [place] * 2, color="#DDDDDD", lw=1, zorder=1)
        if known(cells, f"grad_noise_{name}"):
            noise = mean_interval(cells[f"grad_noise_{name}"]).mean
            label = "standard error of the bias" if place == 0 else None
            axes.plot(noise, place, color=GREY, marker="|", ms=9, mew=1.6, ls="", label=label)
        for kind, each in figures.items():
            colour, marker = KINDS[kind]
            label = None if place else "bias" if kind == "bias" else "standard deviation"
            axes.errorbar(each.mean, place, xerr=bars(each, 0), color=colour, marker=marker, ms=4.5, ls="", lw=1.2,
                          capsize=2, label=label)  # fmt: skip
    axes.set_yticks(
        range(len(names)), [name.replace("score_function_", "score function,\n").replace("_", " ") for name in names]
    )
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("of one estimate, in units of ‖∇J‖ (log)")
    axes.set_title("gradients", loc="left")
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right", ncols=3)
