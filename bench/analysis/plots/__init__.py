"""Plots from records: what reward costs, where it stops being real, whether probabilities hold, who wins. Each is a
function of a `Panel` that returns a figure, or the reason why there is none, and is entered in `PLOTS`; units stand on
its axes, intervals are named where they are drawn, and nothing here knows the page that shows it."""

from bench.analysis.plots.drawing import OVERVIEW, PLOTS, draw_all, file_ending

__all__ = ["OVERVIEW", "PLOTS", "draw_all", "file_ending"]
