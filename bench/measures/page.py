"""The page that lists every measure, made from the registry and the docstrings so that it cannot go stale."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import groupby

from bench.measures import MEASURES, MeasureInfo
from bench.measures.computing import MODULES, function_of

DIRECTION = {"higher": "higher is better", "lower": "lower is better", "zero": "0 is best", None: "no direction"}
HEAD = """# Measures

Every number that a record holds: definition, unit, direction, and the trap in it. Made by `bench measures` from the
docstrings of the functions that compute them; edit those. From Python, each is an `evaluate.Metric`:
`bench.measures.metrics.metric("kl").compute(kl=…)`. A column that is empty, or holds what is no finite number, is an
error.
"""


def page() -> str:
    """Markdown: one section per module of `bench.measures`, one entry per function, with the measures it gives."""
    return HEAD + "".join(_sections())


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
    lines = [f"- **`{i.name}`** ({i.unit or 'no unit'}; {DIRECTION[i.better]}): {i.description}" for i in same]
    definition, trap = _definition(inspect.getdoc(function_of(same[0])) or "")
    return "\n" + "\n".join(lines) + f"\n\n  {definition}\n\n  *Trap:* {trap}\n"


def _definition(docstring: str) -> tuple[str, str]:
    """A docstring's paragraphs as one text, and its trap."""
    definition, _, trap = re.sub(r"\s+", " ", docstring).partition("Trap: ")
    return definition.strip(), trap.strip()
