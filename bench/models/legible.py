"""Rows that a tokenizer can make ids of as they are meant."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from bench.contracts.task import Prompt
from bench.models.encoding import opening, text_of
from bench.models.ends import stop_ids

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

SPECIAL = "with the text of a special token"
REFUSED = "that the chat template refuses"


def legible(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> tuple[Dataset, dict[str, int]]:
    """The rows without those that the tokenizer would read otherwise than they are written; and how many, by reason.

    `SPECIAL`: a text holds the name of a special token, such as ``<eos>``, which would be obeyed; an answer may end in
    one that ends answers. `REFUSED`: the chat template raises an error, as Gemma's does at a system's turn.

    Args:
        rows: `prompt`, and any of `completion`, `chosen`, `rejected`.
    """
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    named = re.compile("|".join(map(re.escape, sorted(special))) or r"(?!)")
    end = re.compile(f"(?:{'|'.join(map(re.escape, tokenizer.convert_ids_to_tokens(stop_ids(tokenizer))))})\\s*$")
    columns = [rows[name] for name in ("completion", "chosen", "rejected") if name in rows.column_names]
    found: Counter[str] = Counter()
    keep = []
    for i, prompt in enumerate(rows["prompt"]):
        texts = [*_texts(prompt), *(end.sub("", text_of(column[i])) for column in columns)]
        if any(map(named.search, texts)):
            found[SPECIAL] += 1
        elif _refused(tokenizer, prompt):
            found[REFUSED] += 1
        else:
            keep.append(i)
    return (rows if len(keep) == len(rows) else rows.select(keep)), dict(found)


def aside(what: str, counts: dict[str, int]) -> dict[str, int]:
    """The counts of `legible` as a stage's `set_aside` has them."""
    return {f"{what} {why}": count for why, count in counts.items()}


def _texts(prompt: Prompt) -> list[str]:
    return [prompt] if isinstance(prompt, str) else [str(turn["content"]) for turn in prompt]


def _refused(tokenizer: PreTrainedTokenizerBase, prompt: Any) -> bool:
    from jinja2 import TemplateError

    if isinstance(prompt, str):
        return False
    try:
        opening(tokenizer, prompt)
    except TemplateError:
        return True
    return False
