"""From raw rows to prompts and answers: which columns hold what, and where a dialogue is cut."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.contracts.errors import BenchError, nearest
from bench.contracts.task import Completion, Prompt
from bench.models.encoding import text_of
from tasks.dataset.fields import are_labels, is_empty, require_text_alone, text_or_messages, wanted
from tasks.dataset.reading import BadRow, NumberedRow

COLUMNS = ("prompt", "chosen", "rejected", "completion", "label", "quality", "messages", "text")
EXPECTED = (
    "prompt, chosen, rejected (or chosen and rejected as whole dialogues); prompt, completion; messages; "
    "conversations, chosen, rejected; instruction, input, output; text"
)
BEFORE_THE_ANSWER = ("system", "instruction", "question", "query", "input", "user")
"""Columns that make a prompt in data sets of other names, in the order in which they are read."""
HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"


@dataclass(frozen=True)
class Row:
    """One good row: a prompt with a preference pair, a demonstration, or both; or an answer labelled wanted or not."""

    prompt: Prompt
    chosen: Completion | None = None
    rejected: Completion | None = None
    completion: Completion | None = None
    quality: float | None = None
    label: bool | None = None


@dataclass(frozen=True)
class Limits:
    """The longest texts that are kept, in characters, and the most rows; None for no limit.

    Where plain texts are cut: how many words make the prompt, and at most how many of the rest the completion.
    """

    prompt: int | None = None
    completion: int | None = None
    rows: int | None = None
    prompt_words: int = 8
    completion_words: int | None = None


def parse(
    source: object, raw: Iterable[NumberedRow], columns: Mapping[str, Sequence[str]], limits: Limits
) -> tuple[list[Row], dict[str, list[int]]]:
    """The good rows in order, up to `limits.rows`, and the numbers of the bad ones met till then, by reason.

    columns: TRL's name → the data's own columns, beyond what `find_columns` recognises.

    Raises:
        BenchError: a shape that is not known, or no good row left.
    """
    raw = list(raw)
    found = list(dict.fromkeys(column for _, row in raw if isinstance(row, dict) for column in row))
    names = find_columns(source, found, columns)
    label = names.pop("label", [""])[0]
    labelled = bool(label) and are_labels(row.get(label) for _, row in raw if isinstance(row, dict))
    if "label" in columns and not labelled:
        raise BenchError(f"{source}: `columns.label`: not every value of {label!r} says whether an answer is wanted")
    mapped = {column for own in names.values() for column in own}
    rows: list[Row] = []
    bad: dict[str, list[int]] = {}
    for number, fields in raw:
        if limits.rows is not None and len(rows) == limits.rows:
            break
        try:
            if isinstance(fields, BadRow):
                raise fields
            require_text_alone({name: value for name, value in fields.items() if name not in mapped})
            row = parse_row(fields, names, limits)
            if labelled:
                row = _with_label(row, wanted(fields.get(label)))
            if rows and isinstance(row.prompt, str) != isinstance(rows[0].prompt, str):
                raise BadRow("text among conversations or the reverse")
            rows.append(row)
        except BadRow as reason:
            bad.setdefault(str(reason), []).append(number)
    if not rows:
        counts = ", ".join(f"{reason}: {len(numbers)}" for reason, numbers in bad.items())
        raise BenchError(f"{source}: no good row left of {len(raw)} ({counts}){_hint(found, names)}")
    if all(row.label is False for row in rows):
        raise BenchError(f"{source}: {label!r} says of no answer that it is wanted: there is nothing to demonstrate")
    return rows, bad


def _with_label(row: Row, label: bool | None) -> Row:
    """TRL's unpaired format: an answer by itself, wanted or not."""
    if row.chosen is None:
        if label is None:
            raise BadRow("label is missing")
        return replace(row, label=label)
    if label is False:
        raise BadRow("label is false")
    return row


def _hint(found: Sequence[str], names: Mapping[str, Sequence[str]]) -> str:
    """The columns that were read and those that were not; and the line that maps a prompt, if there may be one."""
    read = "; ".join(f"{name} from {', '.join(columns)}" for name, columns in names.items())
    hint = f"; read: {read}; of the columns {', '.join(found)}"
    before = [column for column in BEFORE_THE_ANSWER if column in found]
    if before and not names.keys() & {"prompt", "messages", "text"}:
        hint += f" — is the prompt in {' and '.join(before)}? then say `columns: {{prompt: [{', '.join(before)}]}}`"
    return hint


def find_columns(source: object, found: Sequence[str], given: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """TRL's name → the columns that hold it: those `given`, or of that name, or ShareGPT's, or Alpaca's."""
    for name, columns in given.items():
        for column in columns:
            if column not in found:
                raise BenchError(f"{source}: `columns.{name}`: no column {column!r}{nearest(column, found)}")
    names = dict(given)
    for name in COLUMNS:
        # who maps prompt or completion does not want a column that happens to be called messages
        if name in found and not (name == "messages" and given.keys() & {"prompt", "completion"}):
            names.setdefault(name, [name])
    if "conversations" in found:
        names.setdefault("prompt" if "chosen" in names else "messages", ["conversations"])
    if "instruction" in found:
        names.setdefault("prompt", [c for c in ("instruction", "input") if c in found])
        if "output" in found:
            names.setdefault("completion", ["output"])
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
            for name in COLUMNS
            if name not in names and (close := difflib.get_close_matches(name, free, n=1))
        ]
        raise BenchError(
            f"{source}: found the columns {', '.join(found)}{''.join(guesses)} — expected one of: {EXPECTED}"
            " — or map them with `columns`"
        )
    return names


def parse_row(fields: Mapping[str, Any], names: Mapping[str, Sequence[str]], limits: Limits) -> Row:
    """One raw row as a `Row`; raises `BadRow` with the reason where it is not a good one."""
    if "text" in names:
        return _parse_text(plain(str(_value(fields, names, "text"))), _quality(fields, names), limits)
    if "messages" in names and "chosen" not in names:
        given, texts = None, {"completion": _value(fields, names, "messages")}
    else:
        given = _value(fields, names, "prompt") if "prompt" in names else None
        present = [name for name in ("chosen", "rejected", "completion") if name in names]
        texts = {name: _value(fields, names, name) for name in present}
    cut = {name: _cut(given, text) for name, text in texts.items()}
    prompts = [before for before, _ in cut.values()]
    answers = {name: answer for name, (_, answer) in cut.items()}
    if not all(text_of(prompt).strip() for prompt in prompts):
        raise BadRow("prompt is missing or empty")
    for name, answer in answers.items():
        if not text_of(answer).strip():
            raise BadRow(f"{name} is missing or empty")
    prompt = prompts[0]
    if any(other != prompt for other in prompts):
        raise BadRow("prompts differ")
    if isinstance(prompt, str) and given is not None:
        prompt = _with_seam(prompt, map(text_of, answers.values()))
    if "chosen" in answers and text_of(answers["chosen"]).strip() == text_of(answers["rejected"]).strip():
        raise BadRow("chosen = rejected")
    if limits.prompt is not None and len(text_of(prompt)) > limits.prompt:
        raise BadRow(f"prompt longer than {limits.prompt} characters")
    if limits.completion is not None and max(len(text_of(a)) for a in answers.values()) > limits.completion:
        raise BadRow(f"completion longer than {limits.completion} characters")
    chosen, rejected, completion = (answers.get(name) for name in ("chosen", "rejected", "completion"))
    return Row(prompt, chosen, rejected, completion, _quality(fields, names))


def plain(text: str) -> str:
    """A text from the web without its line breaks in HTML (``<br />``)."""
    return re.sub(r"\s*(<br\s*/?>\s*)+", " ", text).strip()


def _parse_text(text: str, quality: float | None, limits: Limits) -> Row:
    """The first words of a text as the prompt and what follows, with its leading space, as the completion."""
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    n = limits.prompt_words
    if len(ends) <= n:
        raise BadRow(f"text of no more than {n} words")
    last = len(text) if limits.completion_words is None else ends[min(n + limits.completion_words, len(ends)) - 1]
    return Row(text[: ends[n - 1]], completion=text[ends[n - 1] : last], quality=quality)


def _value(fields: Mapping[str, Any], names: Mapping[str, Sequence[str]], name: str) -> Any:
    """What stands in the columns of `name`; see `text_or_messages`."""
    return text_or_messages([fields[each] for each in names[name] if not is_empty(fields.get(each))], name)


def _cut(prompt: Any, answer: Any) -> tuple[Prompt, Completion]:
    """Prompt and completion. An answer without a prompt, or whose first turn is not the assistant's, is a
    whole dialogue: cut before its last turn, which must be the assistant's."""
    if isinstance(answer, str) and isinstance(prompt, str):
        return prompt, answer
    if isinstance(answer, str) and prompt is None:
        dialogue, assistant, last_turn = answer.rpartition(ASSISTANT)
        if not assistant:
            raise BadRow("no assistant's turn")
        if HUMAN in last_turn:
            raise BadRow("the last turn is not the assistant's")
        return dialogue + assistant, last_turn
    turns = [{"role": "assistant", "content": answer}] if isinstance(answer, str) else answer
    if turns[0]["role"] == "assistant":
        opening = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt or []
        turns = [*opening, *turns]
    if turns[-1]["role"] != "assistant":
        raise BadRow("the last turn is not the assistant's")
    return turns[:-1], turns[-1:]


def _with_seam(prompt: str, answers: Iterable[str]) -> str:
    """The prompt, ending in a newline where no white space would stand between it and an answer."""
    apart = prompt[-1].isspace() or all(answer[0].isspace() for answer in answers)
    return prompt if apart else prompt + "\n"


def _quality(fields: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> float | None:
    if "quality" not in names:
        return None
    try:
        value = float(fields.get(names["quality"][0], math.nan))
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise BadRow("quality is missing or not a number")
    return value
