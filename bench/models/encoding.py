"""Between text and tokens: the one place that knows about chat templates and end-of-sequence tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.contracts.task import Completion, Prompt

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# Used where a tokenizer brings no chat template. An assistant's turn ends in EOS and nothing follows it, so a
# completion ends exactly there.
PLAIN_CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '' if loop.first else '\n' }}{{ m['role'] }}:\n{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\nassistant:\n' }}{% endif %}"
)


def text_of(completion: Completion) -> str:
    """The plain text of a completion in either format."""
    return completion if isinstance(completion, str) else "".join(m["content"] for m in completion)


def completion_like(prompt: Prompt, text: str) -> Completion:
    """`text` as a completion of `prompt`: a string after a string, an assistant message after a conversation."""
    return text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Token ids of prompts, ready to be continued."""
    return _tokens(tokenizer, list(prompts), add_generation_prompt=True)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """Token ids of one prompt, ready to be continued."""
    return encode_prompts(tokenizer, [prompt])[0]


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], completions: Sequence[Completion]
) -> list[tuple[list[int], list[int]]]:
    """Token ids of prompts and completions; each completion ends in exactly one EOS.

    A completion starts where the tokens of the prompt alone and of prompt and completion diverge, as in TRL.
    """
    sequences = _tokens(tokenizer, _joined(prompts, completions))
    rows = zip(encode_prompts(tokenizer, prompts), sequences, strict=True)
    return [_split(prompt_ids, input_ids, tokenizer.eos_token_id) for prompt_ids, input_ids in rows]


def encode_sequences(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], completions: Sequence[Completion]
) -> list[list[int]]:
    """The pairs of `encode_pairs`, each as one row: quicker, as most prompts need no tokens of their own."""
    eos = tokenizer.eos_token_id
    sequences = _tokens(tokenizer, _joined(prompts, completions))
    ended = [row for row, input_ids in enumerate(sequences) if eos in input_ids]  # in the prompt or behind it
    for row, alone in zip(ended, encode_prompts(tokenizer, [prompts[row] for row in ended]), strict=True):
        prompt_ids, completion_ids = _split(alone, sequences[row], eos)
        sequences[row] = [*prompt_ids, *completion_ids[:-1]]
    return [[*input_ids, eos] for input_ids in sequences]


def encode(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, completion: Completion) -> tuple[list[int], list[int]]:
    """Token ids of one prompt and its completion: see `encode_pairs`."""
    return encode_pairs(tokenizer, [prompt], [completion])[0]


def _tokens(tokenizer: PreTrainedTokenizerBase, prompts: list[Prompt], **template: Any) -> list[list[int]]:
    # one call for many texts: a call costs more than the tokens of a short text
    if all(isinstance(prompt, str) for prompt in prompts):
        return [list(ids) for ids in tokenizer(prompts)["input_ids"]] if prompts else []
    return [
        list(
            tokenizer(prompt)["input_ids"]
            if isinstance(prompt, str)
            else tokenizer.apply_chat_template(prompt, return_dict=True, **template)["input_ids"]
        )
        for prompt in prompts
    ]


def _joined(prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Prompt]:
    return [
        prompt + text_of(completion)
        if isinstance(prompt, str)
        else [*prompt, {"role": "assistant", "content": text_of(completion)}]
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def _split(prompt_ids: list[int], input_ids: list[int], eos: int) -> tuple[list[int], list[int]]:
    start = 0
    while start < min(len(prompt_ids), len(input_ids)) and prompt_ids[start] == input_ids[start]:
        start += 1
    completion_ids = input_ids[start:]
    if eos in completion_ids:
        completion_ids = completion_ids[: completion_ids.index(eos)]
    return input_ids[:start], [*completion_ids, eos]


def decode_completions(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
) -> list[Completion]:
    """Completions as text such that, in standard format, ``prompt + completion`` is the whole text.

    Decoding a completion alone loses its leading space with many tokenizers, so prompt and completion are decoded
    together and the decoded prompt cut off.
    """
    eos = tokenizer.eos_token_id
    without_eos = [[*ids][:-1] if len(ids) and ids[-1] == eos else [*ids] for ids in completion_ids]
    # special tokens stay in the text: a policy that emits <unk> must not look as if it had emitted nothing
    prompt_texts = tokenizer.batch_decode([[*ids] for ids in prompt_ids])
    full_texts = tokenizer.batch_decode([[*p, *c] for p, c in zip(prompt_ids, without_eos, strict=True)])
    texts = [
        full[len(prompt) :] if full.startswith(prompt) else tokenizer.decode(ids)
        for prompt, full, ids in zip(prompt_texts, full_texts, without_eos, strict=True)
    ]
    return [completion_like(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]


def windows(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], context: int) -> list[list[int]]:
    """Token ids of each text and its EOS, cut into windows of at most `context` tokens."""
    rows = []
    for ids in tokenizer(list(texts))["input_ids"]:
        text_ids = [*ids, tokenizer.eos_token_id]
        rows += [text_ids[start : start + context] for start in range(0, len(text_ids), context)]
    return [row for row in rows if len(row) > 1]


def within_context(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, context: int, new_tokens: int = 0
) -> tuple[Dataset, int]:
    """The rows that a model of `context` tokens can take whole, and the number of rows that it cannot.

    Args:
        rows: `prompt`, and any of `completion`, `chosen`, `rejected`; where there is none of them, `new_tokens` is the
            room that a sampled completion needs.
    """
    answers = [name for name in ("completion", "chosen", "rejected") if name in rows.column_names]
    prompts = list(rows["prompt"])
    if answers:
        by_column = [map(len, encode_sequences(tokenizer, prompts, rows[name])) for name in answers]
        lengths = [max(each) for each in zip(*by_column, strict=True)]
    else:
        lengths = [len(ids) + new_tokens for ids in encode_prompts(tokenizer, prompts)]
    keep = [i for i, length in enumerate(lengths) if length <= context]
    return (rows if len(keep) == len(rows) else rows.select(keep)), len(rows) - len(keep)
