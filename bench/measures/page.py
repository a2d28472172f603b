"""The page that lists every measure, made from the registry and the docstrings so that it cannot go stale."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from bench.contracts.measure import COLUMNS, Measure, MeasureInfo
from bench.measures.computing import MODULES, function_of
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
    order = list(MODULES)
    infos = sorted(MEASURES.values(), key=lambda info: order.index(info.function.partition(".")[0]))
    for module, members in groupby(infos, lambda info: info.function.partition(".")[0]):
        title = (inspect.getdoc(MODULES[module]) or "").partition("\n")[0].rstrip(".")
        yield f"\n## {title}\n"
        by_function: dict[str, list[MeasureInfo]] = {}
        for info in members:
            by_function.setdefault(info.function, []).append(info)
        for same in by_function.values():
            yield _entry(same)


def _entry(same: list[MeasureInfo]) -> str:
    definition, trap = _definition(inspect.getdoc(function_of(same[0])) or "")
    return "\n" + "\n".join(map(_line, same)) + f"\n\n  {definition}\n\n  *Trap:* {trap}\n"


def _line(info: MeasureInfo) -> str:
    return f"- **`{info.name}`** ({info.unit or 'no unit'}; {DIRECTION[info.better]}): {info.description}"


def _definition(docstring: str) -> tuple[str, str]:
    """A docstring's paragraphs as one text, and its trap."""
    definition, _, trap = re.sub(r"\s+", " ", docstring).partition("Trap: ")
    return definition.strip(), trap.strip()
