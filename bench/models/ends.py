"""What ends a completion: the token that policies learn and write, and all those at which sampling stops.

After text that is EOS. A chat template may end an assistant's turn in another token (Gemma's ``<end_of_turn>``), and a
model may declare several EOS ids. The bench has one rule: a tokenizer's `eos_token` is what ends a completion here, and
`stop_ids` are all that do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Used where a tokenizer brings no chat template. An assistant's turn ends in EOS and nothing follows it, so a
# completion ends exactly there.
PLAIN_CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '' if loop.first else '\n' }}{{ m['role'] }}:\n{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\nassistant:\n' }}{% endif %}"
)

STOPS = "stop_tokens"
"""The entry of ``tokenizer_config.json`` that holds the tokens, beside EOS, at which sampling stops."""

ANSWER = {"role": "assistant", "content": "An answer of no meaning"}
"""Rendered to see what a chat template puts around an answer."""


def stop_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that end a completion when they are sampled, EOS first."""
    others = tokenizer.convert_tokens_to_ids(list(tokenizer.init_kwargs.get(STOPS, ())))
    return list(dict.fromkeys([tokenizer.eos_token_id, *others]))


def turn_end(tokenizer: PreTrainedTokenizerBase) -> str:
    """The token that ends an assistant's turn, found by rendering one.

    Raises:
        BenchError: none does.
    """
    text: str = tokenizer.apply_chat_template([{"role": "user", "content": "A question"}, ANSWER], tokenize=False)
    _, found, behind = text.rpartition(ANSWER["content"])
    ids = tokenizer(behind.lstrip(), add_special_tokens=False)["input_ids"] if found else []
    if not ids or ids[0] not in {tokenizer.eos_token_id, *tokenizer.added_tokens_decoder}:
        raise BenchError(
            f"the chat template of {tokenizer.name_or_path or 'this tokenizer'} does not end an assistant's turn: let "
            f"{tokenizer.eos_token!r} follow its content, or give prompts as text"
        )
    return str(tokenizer.convert_ids_to_tokens(ids[0]))


def end_turns(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The same tokenizer, for conversations: its EOS is the token that ends an assistant's turn; the old one stops.

    Raises:
        BenchError: no token ends a turn.
    """
    if tokenizer.chat_template != PLAIN_CHAT_TEMPLATE and (end := turn_end(tokenizer)) != tokenizer.eos_token:
        add_stops(tokenizer, [tokenizer.eos_token])
        tokenizer.eos_token = end
    return tokenizer


def add_stops(tokenizer: PreTrainedTokenizerBase, tokens: list[str]) -> None:
    """Let sampling stop at `tokens` as well; saved and loaded with the tokenizer."""
    known = tokenizer.init_kwargs.get(STOPS, [])
    tokenizer.init_kwargs[STOPS] = list(dict.fromkeys([*known, *tokens]))


def declared_stops(tokenizer: PreTrainedTokenizerBase, source: str | Path) -> list[str]:
    """The tokens that the model `source`, a folder or a hub's, declares as EOS, of those special to the tokenizer.

    A configuration's default may name any token: where ``generation_config.json`` says something, that counts.
    """
    from transformers.utils import cached_file

    for name in ("generation_config.json", "config.json"):
        file = cached_file(
            str(source),
            name,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        declared: Any = json.loads(Path(file).read_text(encoding="utf-8")).get("eos_token_id") if file else None
        if declared is not None:
            ids = declared if isinstance(declared, list) else [declared]
            special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
            kept = [i for i in ids if i in special and i not in (tokenizer.unk_token_id, tokenizer.eos_token_id)]
            return list(tokenizer.convert_ids_to_tokens(kept))
    return []
