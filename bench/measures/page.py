"""The page that lists every measure, made from the registry and the docstrings so that it cannot go stale."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType

from bench.contracts.measure import COLUMNS, Measure, MeasureInfo
from bench.measures.definition import BuiltinMeasure
from bench.measures.registry import MEASURES

DIRECTION = {"higher": "higher is better", "lower": "lower is better", "zero": "0 is best", None: "no direction"}
HEAD = """# Measures

Every number that a record holds: definition, unit, direction, and the trap in it. Made by `bench measures` from the
docstrings of the functions that compute them; edit those. From Python, each is an `evaluate.Metric`:
`bench.measures.metrics.metric("kl").compute(kl=…)`. A column that is empty, or holds what is no finite number, is an
error.
"""
COLUMNS_HEAD = """
## Columns

What a measure of your own may ask for by the names of its `compute`'s parameters. A column that is not known for a
policy is not there, nor is then the measure.

| column | one value per | what it holds |
|---|---|---|
"""


def page(plugged: Iterable[type[Measure]] = ()) -> str:
    """Markdown: one section per module of `bench.measures`, one entry per function, with the measures it gives.

    Behind them the measures of plug-ins, and the columns that measures are computed from.
    """
    rows = [f"| `{name}` | {column.per} | {column.meaning} |\n" for name, column in COLUMNS.items()]
    own = [_plugged_entry(measure) for measure in plugged]
    title = ["\n## Measures of plug-ins\n"] if own else []
    return "".join([HEAD, *_sections(), *title, *own, COLUMNS_HEAD, *rows])


def _plugged_entry(measure: type[Measure]) -> str:
    _, _, more = (inspect.getdoc(measure) or "").partition("\n")
    text = re.sub(r"\s+", " ", f"{more} From {', '.join(f'`{name}`' for name in measure.inputs)}.").strip()
    return f"\n{_line(measure.info())}\n\n  {text}\n"


def _sections() -> Iterator[str]:
    by_module: dict[ModuleType, dict[str, list[BuiltinMeasure]]] = {}
    for measure in MEASURES.values():
        by_function = by_module.setdefault(sys.modules[measure.compute.__module__], {})
        by_function.setdefault(measure.function, []).append(measure)
    for module, by_function in by_module.items():
        title = (inspect.getdoc(module) or "").partition("\n")[0].rstrip(".")
        yield f"\n## {title}\n"
        yield from map(_entry, by_function.values())


def _entry(measures: list[BuiltinMeasure]) -> str:
    """The measures that one function defines."""
    definition, trap = _definition(inspect.getdoc(measures[0].compute) or "")
    return "\n" + "\n".join(map(_line, measures)) + f"\n\n  {definition}\n\n  *Trap:* {trap}\n"


def _line(info: MeasureInfo) -> str:
    return f"- **`{info.name}`** ({info.unit or 'no unit'}; {DIRECTION[info.better]}): {info.description}"


def _definition(docstring: str) -> tuple[str, str]:
    """A docstring's paragraphs as one text, and its trap."""
    definition, _, trap = re.sub(r"\s+", " ", docstring).partition("Trap: ")
    return definition.strip(), trap.strip()
