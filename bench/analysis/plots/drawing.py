"""Every plot that there is, by name, and how those of a run become files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bench.analysis.plots.estimators import estimators
from bench.analysis.plots.overoptimisation import overoptimisation
from bench.analysis.plots.overview import overview
from bench.analysis.plots.panel import Panel, choose
from bench.analysis.plots.reliability import reliability
from bench.analysis.plots.reward_over_kl import cost, diversity, perplexity, reward_kl
from bench.analysis.plots.style import STYLE
from bench.analysis.plots.training import training
from bench.analysis.plots.wins import win_rates, win_tie_loss
from bench.contracts.errors import BenchError, nearest
from bench.contracts.escaping import visible
from bench.records.loading import RunFrames

PIXELS_PER_INCH = 160


class Plot(NamedTuple):
    """A plot: the function that draws it, or returns the reason why there is none; and what is to be seen."""

    draw: Callable[[Panel], Figure | str]
    description: str


PLOTS: dict[str, Plot] = {
    "reward_kl": Plot(
        reward_kl,
        "What reward costs in KL: for every arm where it ends, what is really wanted over the KL to π0, with "
        "intervals over seeds and the path of each seed while training",
    ),
    "overoptimisation": Plot(
        overoptimisation,
        "Over-optimisation: for every arm the proxy reward and what is really wanted over the square "
        "root of KL while training",
    ),
    "training": Plot(training, "Training curves: every arm's measures over its training steps"),
    "reliability": Plot(
        reliability,
        "Reliability on multiple choice: for every arm the share of right answers over the probability "
        "given, against the diagonal of perfect calibration",
    ),
    "win_tie_loss": Plot(
        win_tie_loss,
        "Shares of wins, ties and losses against the SFT policy, and every arm's win rate with its interval",
    ),
    "win_rates": Plot(
        win_rates,
        "Heat map of win rates, every arm against every other; the numbers are in the table of win rates",
    ),
    "perplexity": Plot(perplexity, "What alignment costs in modelling text: perplexities over the KL to π0"),
    "diversity": Plot(diversity, "Entropy and the variety of samples over the KL to π0"),
    "estimators": Plot(estimators, "Bias and standard deviation of advantage and gradient estimates"),
    "cost": Plot(cost, "What is really wanted over the seconds of training that it took"),
}
"""By the name of its file; one of each for every task and model. All that is known of a plot stands here."""
OVERVIEW = Plot(
    overview, "The run at a glance: reward over the KL to π0, over-optimisation, and the arms by their measures"
)
"""Drawn once, as `overview`."""


def draw_all(run: RunFrames, directory: str | Path, arms: Sequence[str] | None = None) -> list[Path]:
    """Draw every plot for every task and model as PNG and SVG, and `overview` for the one with the most arms.

    What has no data is skipped, with its reason on stderr. arms: which to draw; by default see `panel.choose`.

    Raises:
        BenchError: the run has no such arm.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    panels = list(_panels(run, arms))
    if not panels:
        print(visible(f"no plots: no cell of {run.directory} has ended well"), file=sys.stderr)
        return []
    paths = []
    for panel in panels:
        ending = "" if len(panels) == 1 else file_ending(panel.task, panel.model)
        for name, plot in PLOTS.items():
            paths += _save(plot, panel, directory / f"{name}{ending}")
    return paths + _save(OVERVIEW, max(panels, key=lambda each: len(each.cells)), directory / "overview")


def file_ending(task: str, model: str) -> str:
    """What a plot's name ends in where a run has several tasks or models."""
    return re.sub(r"[^\w.-]+", "_", f"-{task}-{model}")


def _panels(run: RunFrames, arms: Sequence[str] | None) -> Iterator[Panel]:
    every = list(dict.fromkeys(run.records["arm"]))
    for arm in arms or ():
        if arm not in every:
            raise BenchError(f"--arms: {run.directory} has no arm {arm!r}{nearest(arm, every)}")
    ok = run.records[run.records["status"] == "ok"]
    for (task, model), rows in ok.groupby(["task", "model"], sort=False):
        here = set(rows["arm"])
        chosen = [arm for arm in arms if arm in here] if arms else choose(rows)
        if chosen:
            yield Panel.make(run, str(task), str(model), rows, chosen)


def _save(plot: Plot, panel: Panel, stem: Path) -> list[Path]:
    files = [stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg")]
    with matplotlib.rc_context(STYLE):
        figure = plot.draw(panel)
        if isinstance(figure, str):
            print(visible(f"skipped {files[0].name}: {figure}"), file=sys.stderr)
            return []
        # `savefig` would draw each twice and lay it out again: all plots of a large run have to be there in seconds
        figure.set_dpi(PIXELS_PER_INCH)
        FigureCanvasAgg(figure).print_png(files[0])
        figure.set_layout_engine("none")
        figure.set_dpi(72)  # what SVG counts in
        FigureCanvasSVG(figure).print_svg(files[1], metadata={"Date": None})
    return files
