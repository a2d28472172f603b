"""Which columns hold what: TRL's names, those that other data sets use for the same, and those that a person maps."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.contracts.errors import BenchError, nearest
from tasks.dataset.fields import is_empty

READ = ("prompt", "chosen", "rejected", "completion", "system", "label", "quality", "messages", "text")
JUDGED = ("answers", "ratings", "ranks", "best")
"""For answers of which a pair is made, see `tasks.dataset.comparing`: read only where they are mapped."""
COLUMNS = READ + JUDGED
TEXTS = ("prompt", "chosen", "rejected", "completion", "system")
"""What may be joined from several columns."""

EXPECTED = (
    "prompt, chosen, rejected (or chosen and rejected as whole dialogues); prompt, completion; messages; "
    "conversations, chosen, rejected; instruction, input, output; text"
)
BEFORE_THE_ANSWER = ("system", "instruction", "question", "query", "input", "user")
"""Columns that make a prompt in data sets of other names, in the order in which they are read."""


def reach(fields: Mapping[str, Any], column: str) -> Any:
    """What a row has in a column; with dots, in a column's key, or for a list in that key of each of its elements."""
    if column in fields:
        return fields[column]
    value: Any = fields
    for name in column.split("."):
        if isinstance(value, list):
            value = [each.get(name) if isinstance(each, Mapping) else None for each in value]
        else:
            value = value.get(name) if isinstance(value, Mapping) else None
    return value


def find_columns(source: object, found: Sequence[str], given: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """TRL's name → the columns that hold it: those `given`, or of that name, or ShareGPT's, or Alpaca's."""
    for name, columns in given.items():
        for column in columns:
            if column not in found and column.split(".")[0] not in found:
                raise BenchError(f"{source}: `columns.{name}`: no column {column!r}{nearest(column, found)}")
    names = dict(given)
    used = {column for columns in given.values() for column in columns}
    for name in READ:
        # who maps prompt or completion does not want a column that happens to be called messages
        if name in set(found) - used and not (name == "messages" and given.keys() & {"prompt", "completion"}):
            names.setdefault(name, [name])
    if "conversations" in found:
        names.setdefault("prompt" if "chosen" in names else "messages", ["conversations"])
    if "instruction" in found:
        names.setdefault("prompt", [c for c in ("instruction", "input") if c in found])
        if "output" in found:
            names.setdefault("completion", ["output"])
    if "answers" in given:
        return {name: names[name] for name in ("prompt", "system", *JUDGED) if name in names}
    pair = names.keys() & {"chosen", "rejected"}
    known_shape = pair or "messages" in names or names.keys() >= {"prompt", "completion"}
    text = [column for column in found if column.lower() == "text"][:1]
    # many data sets in another shape have a text beside it: it counts if mapped, or if there is nothing else
    if "text" in given or (text and not known_shape):
        return {"text": given.get("text", text)} | {name: names[name] for name in ("quality",) if name in names}
    names.pop("text", None)
    if len(pair) == 1 or not known_shape:
        free = [column for column in found if not any(column in columns for columns in names.values())]
        guesses = [
            f" — is {close[0]!r} meant as {name!r}?"
            for name in READ
            if name not in names and (close := difflib.get_close_matches(name, free, n=1))
        ]
        raise BenchError(
            f"{source}: found the columns {', '.join(found)}{''.join(guesses)} — expected one of: {EXPECTED}"
            " — or map them with `columns`"
        )
    return names


def not_read(rows: Iterable[Mapping[str, Any]], names: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns in which some row has something and that nobody reads; of messages, the keys."""
    used = {column.split(".")[0] for columns in names.values() for column in columns}
    found: dict[str, None] = {}
    for row in rows:
        for column, value in row.items():
            if column not in used and not is_empty(value):
                found.setdefault(column)
            elif isinstance(value, list) and column in used:
                turns = (turn for turn in value if isinstance(turn, Mapping) and turn.keys() & {"role", "from"})
                more = (name for turn in turns for name, said in turn.items() if not is_empty(said))
                found |= dict.fromkeys(f"{column}.{name}" for name in more if name not in _OF_A_MESSAGE)
    return list(found)


_OF_A_MESSAGE = ("role", "from", "content", "value")


def hint(found: Sequence[str], names: Mapping[str, Sequence[str]]) -> str:
    """The columns that were read and those that were not; and the line that maps a prompt, if there may be one."""
    read = "; ".join(f"{name} from {', '.join(columns)}" for name, columns in names.items())
    said = f"; read: {read}; of the columns {', '.join(found)}"
    before = [column for column in BEFORE_THE_ANSWER if column in found]
    if before and not names.keys() & {"prompt", "messages", "text"}:
        said += f" — is the prompt in {' and '.join(before)}? then say `columns: {{prompt: [{', '.join(before)}]}}`"
    return said
