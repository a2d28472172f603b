"""Several answers to one prompt, with a number each or one of them named: the best and the worst make a pair.

| mapped | what it holds |
|---|---|
| answers | one column per answer; or one that holds a list of them, or a single one in rows that share prompts |
| ratings | a number per answer, higher is better |
| ranks | a number per answer, 1 is best |
| best | which answer is: its place from 0, or a word that ends as its column does (``model_a``, ``conversation_a``) |
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tasks.dataset.columns import reach
from tasks.dataset.fields import is_empty
from tasks.dataset.reading import BadRow, NumberedRow


def compared(raw: Sequence[NumberedRow], names: Mapping[str, Sequence[str]]) -> Iterator[NumberedRow]:
    """The rows with the best answer as `chosen` and the worst as `rejected`, or why there is none.

    Of rows that belong together the first one's number and columns are kept. Answers without a number are left out.
    """
    for number, fields in raw if _side_by_side(raw, names["answers"]) else _together(raw, names):
        if isinstance(fields, BadRow):
            yield number, fields
            continue
        try:
            chosen, rejected = _best_and_worst(fields, names)
        except BadRow as reason:
            yield number, reason
        else:
            yield number, fields | {"chosen": chosen, "rejected": rejected}


def _side_by_side(raw: Iterable[NumberedRow], columns: Sequence[str]) -> bool:
    """Has each row several answers?"""
    if len(columns) > 1:
        return True
    values = [reach(fields, columns[0]) for _, fields in raw if isinstance(fields, dict)]
    return any(isinstance(value, list) and not _is_messages(value) for value in values)


def _together(raw: Iterable[NumberedRow], names: Mapping[str, Sequence[str]]) -> Iterator[NumberedRow]:
    """The rows of each prompt as one that holds lists."""
    judged = [names[name][0] for name in ("answers", "ratings", "ranks") if name in names]
    by_prompt: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, fields in raw:
        if isinstance(fields, BadRow):
            yield number, fields
            continue
        prompt = [reach(fields, column) for column in names.get("prompt", ())]
        if all(map(is_empty, prompt)):
            yield number, BadRow("prompt is missing or empty")
            continue
        several = fields | {column: [] for column in judged}
        _, whole = by_prompt.setdefault(json.dumps(prompt, default=str), (number, several))
        for column in judged:
            whole[column].append(reach(fields, column))
    yield from by_prompt.values()


def _best_and_worst(fields: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> tuple[Any, Any]:
    answers = _several(fields, names["answers"])
    if "best" in names:
        if len(answers) != 2:
            raise BadRow("`best` tells the best of two answers, and these are more or fewer")
        place = _named(reach(fields, names["best"][0]), names["answers"])
        return answers[place], answers[1 - place]
    kind, sign = ("ratings", 1) if "ratings" in names else ("ranks", -1)
    numbers = _several(fields, names[kind])
    if len(numbers) != len(answers):
        raise BadRow(f"answers and {kind} are not as many")
    judged = [(sign * value, answer) for value, answer in zip(map(_number, numbers), answers, strict=True)]
    known = [each for each in judged if math.isfinite(each[0])]
    if len(known) < 2:
        raise BadRow(f"fewer than two answers with {kind}")
    best, worst = (choose(known, key=lambda each: each[0]) for choose in (max, min))
    if best[0] == worst[0]:
        raise BadRow("answers are judged alike")
    return best[1], worst[1]


def _several(fields: Mapping[str, Any], columns: Sequence[str]) -> list[Any]:
    """What stands in several columns, or in the one that holds a list."""
    values = [reach(fields, column) for column in columns]
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values


def _named(value: Any, columns: Sequence[str]) -> int:
    """The place of the answer, of two, that `value` names."""
    if (number := _number(value)) in (0, 1):
        return int(number)
    ends = [column.rpartition("_")[2] for column in columns]
    if isinstance(value, str) and ends.count(end := value.strip().rpartition("_")[2]) == 1:
        return ends.index(end)
    raise BadRow("`best` names none of the answers")


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _is_messages(value: list[Any]) -> bool:
    return all(isinstance(each, Mapping) and each.keys() & {"role", "from"} for each in value)
