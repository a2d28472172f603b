"""What is measured: every measure by the flat name that a record's `measures` uses.

Each is defined by a decorator on its function, in the file of its kind (see `bench.measures.definition`).
`bench.measures.computing` computes them, `bench.measures.metrics` gives each as an `evaluate.Metric`, and
`bench measures` prints the page in README.md from their docstrings. Nothing heavy is imported: `bench list` reads this.
"""

from __future__ import annotations

from bench.measures import (
    calibration,
    divergence,
    diversity,
    hypervolume,
    means,
    optimality,
    perplexity,
    preference,
    reward_accuracy,
)
from bench.measures.definition import BuiltinMeasure

MEASURES: dict[str, BuiltinMeasure] = {
    measure.name: measure
    for definitions in (
        means.rewards,
        divergence.measure,
        perplexity.measure,
        diversity.measure,
        means.lengths,
        calibration.measure,
        preference.measure,
        means.reference_rewards,
        reward_accuracy.measure,
        optimality.measure,
        hypervolume.measure,
    )
    for measure in definitions
}
"""Every measure by its name, in the order in which listings show them."""
