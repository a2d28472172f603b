"""Every measure as an `evaluate.Metric`, defined here over its pure function: nothing is fetched.

    metric("kl_k1").compute(logp=[-3.0, -2.5], reference_logp=[-3.5, -2.0])   # {"kl_k1": 0.0}

A metric's features are the measure's columns, its settings (`tie_band`, …) go to `compute` by name. Importing
`evaluate` takes seconds, so nothing in the bench does so to compute a measure.
"""

from __future__ import annotations

import inspect
from typing import Any

import evaluate
from datasets import Features, List, Value

from bench.contracts.errors import BenchError, nearest
from bench.measures.registry import MEASURES

_KINDS: dict[str, Any] = {
    "texts": Value("string"),
    "prompt_ids": Value("int64"),
    "exact_prompt": Value("int64"),
    "answers": Value("int64"),
    "probabilities": List(Value("float64")),
    "posteriors": List(Value("float64")),
}
CITATION = "Sources are named, with equation or section, in the description."


class MeasureMetric(evaluate.Metric):
    """One measure; `config_name` is its name."""

    def _info(self) -> evaluate.MetricInfo:
        measure = MEASURES[self.config_name]
        return evaluate.MetricInfo(
            description=f"{measure.label}: {measure.description}.\n\n{inspect.getdoc(measure.compute)}",
            citation=CITATION,
            inputs_description=f"Columns: {', '.join(measure.columns)}. Returns: {{{measure.name!r}: float}}.",
            features=Features({column: _KINDS.get(column, Value("float64")) for column in measure.columns}),
        )

    def _compute(self, **inputs: Any) -> dict[str, float]:
        measure = MEASURES[self.config_name]
        columns = [list(inputs.pop(column)) for column in measure.columns]
        return {measure.name: measure.compute(*columns, **inputs)}


def metric(name: str) -> MeasureMetric:
    """The measure called `name`.

    Raises:
        BenchError: there is none, with the nearest name.
    """
    if name not in MEASURES:
        raise BenchError(f"no measure {name!r}{nearest(name, MEASURES)}")
    return MeasureMetric(config_name=name, keep_in_memory=True)
