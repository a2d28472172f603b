"""From columns to measures: each is computed by the function that defines it, and by nothing else."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from bench.contracts.errors import BenchError
from bench.contracts.measure import Measure
from bench.measures.registry import MEASURES


def compute(columns: Mapping[str, Any], **settings: float) -> dict[str, float]:
    """Every measure whose columns are all there, by name.

    Args:
        columns: values by column name; what is not known is simply left out.
        settings: keyword arguments of measures (`tie_band`); each goes to those that take it.

    Raises:
        BenchError: a column is empty or holds what is no finite number, by the measure's name.
    """
    measures: dict[str, float] = {}
    for measure in MEASURES.values():
        if all(column in columns for column in measure.columns):
            known = inspect.signature(measure.compute).parameters
            try:
                measures[measure.name] = measure.compute(
                    *(columns[column] for column in measure.columns),
                    **{name: value for name, value in settings.items() if name in known},
                )
            except ValueError as error:
                raise BenchError(f"measure {measure.name}: {error}") from error
    return measures


def compute_plugged(measures: Iterable[type[Measure]], columns: Mapping[str, Any]) -> dict[str, float]:
    """Every one of `measures` whose columns are all there, by name.

    Raises:
        BenchError: a measure raised an error of its own, by its name.
    """
    found: dict[str, float] = {}
    for measure in measures:
        if all(name in columns for name in measure.inputs):
            own = {name: copy.deepcopy(columns[name]) for name in measure.inputs}  # whatever it does to them
            try:
                found[measure.name] = float(measure().compute(**own))
            except Exception as error:
                raise BenchError(f"measure {measure.name}: {type(error).__name__}: {error}") from error
    return found
