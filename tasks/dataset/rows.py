"""From raw rows to prompts and answers: where a dialogue is cut, and which rows are set aside."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from bench.contracts.errors import BenchError
from bench.contracts.task import Completion, Prompt
from bench.models.encoding import text_of
from tasks.dataset.columns import find_columns, hint, not_read, reach
from tasks.dataset.comparing import compared
from tasks.dataset.fields import are_labels, is_empty, require_text_alone, text_or_messages, wanted
from tasks.dataset.reading import BadRow, NumberedRow

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


class Parsed(NamedTuple):
    """What became of raw rows.

    Attributes:
        rows: the good ones in order, up to `Limits.rows`.
        bad: the numbers of the bad ones met till then, by reason.
        not_read: the columns that hold something and are not read.
    """

    rows: list[Row]
    bad: dict[str, list[int]]
    not_read: list[str]


def parse(source: object, raw: Iterable[NumberedRow], columns: Mapping[str, Sequence[str]], limits: Limits) -> Parsed:
    """The good rows, and what was left out.

    columns: TRL's name → the data's own columns, beyond what `find_columns` recognises.

    Raises:
        BenchError: a shape that is not known, or no good row left.
    """
    raw = list(raw)
    found = list(dict.fromkeys(column for _, row in raw if isinstance(row, dict) for column in row))
    names = find_columns(source, found, columns)
    unread = not_read((row for _, row in raw if isinstance(row, dict)), names)
    label = names.get("label", [""])[0]
    labelled = bool(label) and are_labels(reach(row, label) for _, row in raw if isinstance(row, dict))
    if "label" in columns and not labelled:
        raise BenchError(f"{source}: `columns.label`: not every value of {label!r} says whether an answer is wanted")
    if "answers" in names:
        raw = list(compared(raw, names))
        names = {name: names[name] for name in ("prompt", "system") if name in names}
        names |= {"chosen": ["chosen"], "rejected": ["rejected"]}
    rows: list[Row] = []
    bad: dict[str, list[int]] = {}
    for number, fields in raw:
        if limits.rows is not None and len(rows) == limits.rows:
            break
        try:
            if isinstance(fields, BadRow):
                raise fields
            require_text_alone({name: fields.get(name) for name in unread})
            row = parse_row(fields, names, limits)
            if labelled:
                row = _with_label(row, wanted(reach(fields, label)))
            if rows and isinstance(row.prompt, str) != isinstance(rows[0].prompt, str):
                raise BadRow("text among conversations or the reverse")
            rows.append(row)
        except BadRow as reason:
            bad.setdefault(str(reason), []).append(number)
    if not rows:
        counts = ", ".join(f"{reason}: {len(numbers)}" for reason, numbers in bad.items())
        raise BenchError(f"{source}: no good row left of {len(raw)} ({counts}){hint(found, names)}")
    if all(row.label is False for row in rows):
        raise BenchError(f"{source}: {label!r} says of no answer that it is wanted: there is nothing to demonstrate")
    return Parsed(rows, bad, unread)


def _with_label(row: Row, label: bool | None) -> Row:
    """TRL's unpaired format: an answer by itself, wanted or not."""
    if row.chosen is None:
        if label is None:
            raise BadRow("label is missing")
        return replace(row, label=label)
    if label is False:
        raise BadRow("label is false")
    return row


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
    if any(other != prompts[0] for other in prompts):
        raise BadRow("prompts differ")
    prompt = _behind_system(fields, names, prompts[0])
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
    return text_or_messages([value for each in names[name] if not is_empty(value := reach(fields, each))], name)


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


def _behind_system(fields: Mapping[str, Any], names: Mapping[str, Sequence[str]], prompt: Prompt) -> Prompt:
    """The prompt behind the row's system prompt, if there is one and the dialogue does not have its own."""
    if "system" not in names or all(is_empty(reach(fields, column)) for column in names["system"]):
        return prompt
    system = _value(fields, names, "system")
    if not isinstance(system, str):
        raise BadRow("system is no text")
    if isinstance(prompt, str):
        return f"{system}\n{prompt}"
    return prompt if prompt[0]["role"] == "system" else [{"role": "system", "content": system}, *prompt]


def _with_seam(prompt: str, answers: Iterable[str]) -> str:
    """The prompt, ending in a newline where no white space would stand between it and an answer."""
    apart = prompt[-1].isspace() or all(answer[0].isspace() for answer in answers)
    return prompt if apart else prompt + "\n"


def _quality(fields: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> float | None:
    if "quality" not in names:
        return None
    try:
        value = float(reach(fields, names["quality"][0]))
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise BadRow("quality is missing or not a number")
    return value
