"""Draws every plot of a run into files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

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
from bench.records.loading import RunFrames

PIXELS_PER_INCH = 160

PLOTS: dict[str, Callable[[Panel], Figure | str]] = {
    "reward_kl": reward_kl,
    "overoptimisation": overoptimisation,
    "training": training,
    "reliability": reliability,
    "win_tie_loss": win_tie_loss,
    "win_rates": win_rates,
    "perplexity": perplexity,
    "diversity": diversity,
    "estimators": estimators,
    "cost": cost,
}
"""By the name of its file; one of each for every task and model. `overview` is drawn once."""


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
        print(f"no plots: no cell of {run.directory} has ended well", file=sys.stderr)
        return []
    paths = []
    for panel in panels:
        place = "" if len(panels) == 1 else re.sub(r"[^\w.-]+", "_", f"-{panel.task}-{panel.model}")
        for name, draw in PLOTS.items():
            paths += _save(draw, panel, directory / f"{name}{place}")
    return paths + _save(overview, max(panels, key=lambda each: len(each.cells)), directory / "overview")


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


def _save(draw: Callable[[Panel], Figure | str], panel: Panel, stem: Path) -> list[Path]:
    files = [stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg")]
    with matplotlib.rc_context(STYLE):
        figure = draw(panel)
        if isinstance(figure, str):
            print(f"skipped {files[0].name}: {figure}", file=sys.stderr)
            return []
        # `savefig` would draw each twice and lay it out again: all plots of a large run have to be there in seconds
        figure.set_dpi(PIXELS_PER_INCH)
        FigureCanvasAgg(figure).print_png(files[0])
        figure.set_layout_engine("none")
        figure.set_dpi(72)  # what SVG counts in
        FigureCanvasSVG(figure).print_svg(files[1], metadata={"Date": None})
    return files
