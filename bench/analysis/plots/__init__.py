"""Plots from records: what reward costs, where it stops being real, whether probabilities hold, who wins.

Each reads without its neighbours: units on the axes, intervals named where they are drawn. A plot is a function of a
`Panel` that returns a figure, or the reason why there is none.
"""

from bench.analysis.plots.drawing import PLOTS, draw_all

__all__ = ["PLOTS", "draw_all"]
