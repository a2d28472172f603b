"""Between text and tokens: the one place that knows about chat templates and end-of-sequence tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.contracts import Completion, Prompt

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


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """Token ids of a prompt, ready to be continued."""
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    return list(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)["input_ids"])


def encode(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, completion: Completion) -> tuple[list[int], list[int]]:
    """Token ids of prompt and completion; the completion ends in exactly one EOS.

    The completion starts where the tokens of the prompt alone and of the whole diverge, as in TRL.
    """
    prompt_ids = encode_prompt(tokenizer, prompt)
    if isinstance(prompt, str):
        whole = list(tokenizer(prompt + text_of(completion))["input_ids"])
    else:
        turns = [*prompt, {"role": "assistant", "content": text_of(completion)}]
        whole = list(tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"])
    start = 0
    while start < min(len(prompt_ids), len(whole)) and prompt_ids[start] == whole[start]:
        start += 1
    completion_ids = whole[start:]
    eos = tokenizer.eos_token_id
    if eos in completion_ids:
        completion_ids = completion_ids[: completion_ids.index(eos)]
    return whole[:start], [*completion_ids, eos]


def decode_completions(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
) -> list[Completion]:
    """Completions as text such that, in standard format, ``prompt + completion`` is the whole text.

    Decoding a completion alone loses its leading space with many tokenizers, so the whole is decoded and the
    decoded prompt cut off.
    """
    eos = tokenizer.eos_token_id
    bodies = [[*ids][:-1] if len(ids) and ids[-1] == eos else [*ids] for ids in completion_ids]
    # special tokens stay in the text: a policy that emits <unk> must not look as if it had emitted nothing
    heads = tokenizer.batch_decode([[*ids] for ids in prompt_ids])
    wholes = tokenizer.batch_decode([[*p, *c] for p, c in zip(prompt_ids, bodies, strict=True)])
    texts = [
        whole[len(head) :] if whole.startswith(head) else tokenizer.decode(body)
        for head, whole, body in zip(heads, wholes, bodies, strict=True)
    ]
    return [completion_like(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]


def within_context(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, context: int, new_tokens: int = 0
) -> tuple[Dataset, int]:
    """The rows that a model of `context` tokens can take whole, and the number of rows that it cannot.

    Args:
        rows: `prompt`, and any of `completion`, `chosen`, `rejected`; where there is none of them, `new_tokens` is the
            room that a sampled completion needs.
    """
    answers = [name for name in ("completion", "chosen", "rejected") if name in rows.column_names]

    def fits(row: dict[str, Any]) -> bool:
        if not answers:
            return len(encode_prompt(tokenizer, row["prompt"])) + new_tokens <= context
        return all(sum(map(len, encode(tokenizer, row["prompt"], row[name]))) <= context for name in answers)

    keep = [i for i, row in enumerate(rows) if fits(row)]
    return (rows if len(keep) == len(rows) else rows.select(keep)), len(rows) - len(keep)
