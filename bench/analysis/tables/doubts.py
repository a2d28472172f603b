"""Arms whose completions say nothing: empty, all alike, or never ended. Their figures are those of no text."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

MARK = "†"
NEARLY = 0.95
"""Of a cell's completions. With fewer than one in twenty left, every mean is that of the others."""
SHOWN = 6

_DOUBTS = {
    "empty": "wrote nothing: completions are empty",
    "alike": "gave one answer to every prompt",
    "endless": "never ended: completions stop at the limit",
}


def doubts(cells: pd.DataFrame) -> dict[str, dict[str, int]]:
    """For each doubt, the arms that it is about and in how many of their cells; only cells that ended well count.

    `cells` has rows of `RunFrames.records`. What a record does not say (one of an earlier release) raises no doubt,
    but a completion of one token that ended is an empty one.
    """
    ok = cells[cells["status"] == "ok"]
    known = {name: ok[name] if name in ok else pd.Series(float("nan"), ok.index) for name in _COLUMNS}
    ended = known["finished"] >= NEARLY
    found = {
        "empty": (known["empty"] >= NEARLY) | (known["empty"].isna() & ended & (known["length"] <= 1)),
        "alike": (known["commonest"] >= NEARLY) & ~(known["empty"] >= NEARLY) & ~(known["prompts_measured"] <= 1),
        "endless": known["finished"] <= 1 - NEARLY,
    }
    counts = {name: ok.loc[rows, "arm"].value_counts(sort=False) for name, rows in found.items()}
    return {name: {str(arm): int(n) for arm, n in each.items()} for name, each in counts.items() if len(each)}


_COLUMNS = ("empty", "commonest", "finished", "length", "prompts_measured")


def doubt_notes(cells: pd.DataFrame) -> Iterator[str]:
    """A line for each doubt, with the arms that it is about."""
    sizes = cells[cells["status"] == "ok"]["arm"].value_counts()
    for name, arms in doubts(cells).items():
        told = [f"{arm} ({count} of {sizes[arm]} cells)" for arm, count in list(arms.items())[:SHOWN]]
        more = f", and {len(arms) - SHOWN} more arms" if len(arms) > SHOWN else ""
        yield f"{MARK} {_DOUBTS[name]} (at least {NEARLY:.0%} of them): {', '.join(told)}{more}."


def doubted(cells: pd.DataFrame) -> set[str]:
    """The arms that a doubt is about."""
    return {arm for arms in doubts(cells).values() for arm in arms}
