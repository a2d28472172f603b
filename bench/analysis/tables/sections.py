"""From a frame of plain numbers to the sections of a file: what every table of this room does alike.

A table is a function that computes its numbers (they are its CSV file as well), one that words the rows of one task and
model, and notes; nothing here knows a table's own columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from bench.analysis.layout import Section
from bench.contracts.measure import MeasureInfo


def sections_of(
    numbers: pd.DataFrame,
    title: str,
    as_texts: Callable[[pd.DataFrame], pd.DataFrame],
    notes: Callable[[pd.DataFrame], list[str]],
    by: Sequence[str] = ("task", "model"),
) -> list[Section]:
    """One section for each value of `by` in `numbers`, from its rows: their texts, and the notes beneath."""
    return [
        Section(f"{' · '.join(map(str, key))}: {title}", as_texts(rows), notes(rows))
        for key, rows in numbers.groupby(list(by), sort=False)
    ]


def one_row_per_arm(texts: Iterable[Mapping[str, str]], last: Sequence[str] = ()) -> pd.DataFrame:
    """Texts by column, those of an arm in one row; "" where it has none. `last` names the last columns."""
    rows: dict[str, dict[str, str]] = {}
    for each in texts:
        rows.setdefault(each["arm"], {}).update(each)
    frame = pd.DataFrame(list(rows.values())).fillna("")
    return frame[[*(name for name in frame if name not in last), *last]] if rows else frame


def measure_header(info: MeasureInfo) -> str:
    """A measure's column: its label, and its unit in brackets."""
    return info.label + (f" ({info.unit})" if info.unit else "")


def p_text(p: float) -> str:
    """A p value with two digits; ``none`` where no test could be made."""
    return "none" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"
