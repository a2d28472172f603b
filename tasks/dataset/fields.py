"""What stands in one field of a row: a text, messages however they were written, a label; or why it is none."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tasks.dataset.reading import BadRow, is_utf8

ROLES = {
    **{"user": "user", "human": "user", "prompter": "user"},
    **{"assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant"},
    **{"system": "system", "developer": "system"},
}
_TOOLS = ("tool", "function", "observation", "function_call", "tool_call", "tool_response", "ipython")

LONGEST_TEXT = 1_000_000
"""Characters: some 250,000 tokens, more than any model here reads."""
LONGEST_WORD = 10_000
"""Characters of one kind in a row: no text, and the time that a tokenizer's training takes grows with their square."""
_ENDLESS = re.compile("|".join(f"{kind}{{{LONGEST_WORD},}}" for kind in (r"\w", r"\s", r"[^\w\s]")))

_WANTED = {"true", "1", "1.0", "yes", "chosen", "good", "desirable"}
_UNWANTED = {"false", "0", "0.0", "no", "rejected", "bad", "undesirable"}
_MEDIA = re.compile("(image|picture|audio|video)s?", re.IGNORECASE)
_MEDIA_IN_TEXT = re.compile("<(image|audio|video)>")
_MESSAGES_IN_TEXT = re.compile(r"""\s*\[\s*\{\s*['"](role|content|from|value)['"]\s*:""")


def wanted(label: Any) -> bool | None:
    """Is an answer with this label (of TRL's unpaired format) a wanted one? None where the value says neither."""
    word = str(label).strip().lower()
    return True if word in _WANTED else False if word in _UNWANTED else None


def are_labels(values: Iterable[Any]) -> bool:
    """Do the values of a column, where there are any, all say whether an answer is wanted? Else they are classes."""
    given = [value for value in values if not is_empty(value)]
    return bool(given) and all(wanted(value) is not None for value in given)


def require_text_alone(fields: Mapping[str, Any]) -> None:
    """Raises `BadRow` where a row has what its text needs: a picture, a sound, a film, or what was said before.

    fields: the columns that are not read.
    """
    for column, value in fields.items():
        if (kind := _MEDIA.fullmatch(column)) and not is_empty(value):
            raise BadRow(f"has {kind[1].lower()}s, which are not read")
        if column == "history" and not is_empty(value):
            raise BadRow("has a history, which is not read: write dialogues as messages")


def text_or_messages(values: list[Any], name: str) -> Any:
    """A text, or messages in TRL's format, from the fields that are not empty. Several texts are joined by newlines."""
    if not values:
        raise BadRow(f"{name} is missing or empty")
    if len(values) == 1 and isinstance(values[0], str) and _MESSAGES_IN_TEXT.match(values[0]):
        values = [_messages_in(values[0], name)]
    if all(isinstance(value, str) for value in values):
        return _text("\n".join(values))
    turns = values[0] if isinstance(values[0], list) else values
    if len(values) > 1:
        raise BadRow(f"{name} joins columns that are not all texts")
    if not all(isinstance(turn, dict) for turn in turns):
        is_list = isinstance(values[0], list)
        raise BadRow(f"{name} " + ("holds a list that is not one of messages" if is_list else "is no text"))
    return [_message(turn, name) for turn in turns]


def is_empty(value: Any) -> bool:
    """Is nothing in the field?"""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _messages_in(text: str, name: str) -> Any:
    """The messages in a field of a table, written as JSON or as Python writes a list."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise BadRow(f"{name} is a list of messages in words that cannot be read back; save the data as JSON lines")


def _message(turn: Mapping[str, Any], name: str) -> dict[str, str]:
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if isinstance(content, list):
        content = "".join(_part(part, name) for part in content)
    if role in _TOOLS or not is_empty(turn.get("tool_calls")):
        raise BadRow("has a turn of or for a tool, which is not read")
    if not isinstance(content, str):
        raise BadRow(f"{name} has a message without text")
    if not isinstance(role, str) or role not in ROLES:
        raise BadRow("a role other than user, assistant, system")
    return {"role": ROLES[role], "content": _text(content)}


def _part(part: Any, name: str) -> str:
    """The text of one of a message's parts."""
    if isinstance(part, dict) and isinstance(part.get("text"), str) and part.get("type", "text") == "text":
        return str(part["text"])
    kind = part.get("type") if isinstance(part, dict) else None
    raise BadRow(f"{name} has a part that is not text" + (f" but {kind}" if isinstance(kind, str) else ""))


def _text(text: str) -> str:
    if not is_utf8(text):
        raise BadRow("not UTF-8")
    if len(text) > LONGEST_TEXT:
        raise BadRow(f"a text of more than {LONGEST_TEXT:,} characters")
    if len(text) >= LONGEST_WORD and _ENDLESS.search(text):
        raise BadRow(f"a word of {LONGEST_WORD:,} characters or more")
    if found := _MEDIA_IN_TEXT.search(text):
        raise BadRow(f"has {found[1]}s, which are not read")
    return text
