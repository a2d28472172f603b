"""What is promised of a measure, as `bench.authoring.checking.methods` has it for methods."""

from __future__ import annotations

import copy
import math
from typing import Any

from bench.authoring.checking.artifacts import columns
from bench.authoring.checking.check import Broken, Contract, Unsuited, error_line
from bench.authoring.checking.settings import check_settings
from bench.contracts.measure import Measure

promised: Contract[Measure] = Contract()


@promised
def documented(measure: Measure) -> None:
    """has a docstring, which tables show"""
    check_settings(measure)


@promised
def a_number(measure: Measure) -> str:
    """is a number of a real evaluation"""
    value = _computed(measure)
    if isinstance(value, bool) or not hasattr(value, "__float__") or math.isinf(float(value)):
        raise Broken(f"`compute` returned {value!r}: return a number, NaN where it is not defined")
    return f"{float(value):.4g} for the base model of the checks' world"


@promised
def pure(measure: Measure) -> None:
    """same columns, same number, and leaves the columns as they were"""
    columns_given = _inputs(measure)
    as_they_were = copy.deepcopy(columns_given)
    first, second = measure.compute(**columns_given), _computed(measure)
    if not (first == second or (math.isnan(first) and math.isnan(second))):
        raise Broken(f"the same columns gave {first} and then {second}: draw nothing at random, or from a fixed seed")
    for name, column in as_they_were.items():
        if not _equal(column, columns_given[name]):
            raise Broken(f"it changed the column `{name}` in place: change a copy")


def _inputs(measure: Measure) -> dict[str, Any]:
    known = columns()
    if missing := [name for name in measure.inputs if name not in known]:
        raise Unsuited(f"the world of these checks has no column {missing[0]}")
    return {name: copy.deepcopy(known[name]) for name in measure.inputs}


def _computed(measure: Measure) -> Any:
    try:
        return measure.compute(**_inputs(measure))
    except Exception as error:
        raise Broken(f"`compute` raised {error_line(error)}") from error


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, list):
        return len(first) == len(second) and all(map(_equal, first, second))
    equal = first == second
    return bool(equal.all()) if hasattr(equal, "all") else bool(equal)
