"""Between text and tokens: the one place that turns prompts, conversations and completions into ids, and ids into text.

A whole is always its prompt's ids, then its completion's, then one end (`tokenizer.eos_token_id`, see `bench.models.
ends`). So a policy is trained, scored and measured behind the very ids that it is sampled from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.contracts.task import Completion, Prompt
from bench.models.ends import ANSWER, PLAIN_CHAT_TEMPLATE, stop_ids

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "PLAIN_CHAT_TEMPLATE",
    "Sampled",
    "completion_like",
    "decode_completions",
    "encode",
    "encode_for_classifier",
    "encode_pairs",
    "encode_prompt",
    "encode_prompts",
    "encode_sequences",
    "encode_texts",
    "opening",
    "text_of",
    "windows",
    "within_context",
]


class Sampled(str):
    """The text of a completion that a policy sampled, which remembers its tokens.

    Tokens decoded and encoded again may be others, and more. Wherever this very text is encoded with the tokenizer
    that it was sampled with, it gives its own tokens back; a changed text, or one read from a file, is plain text.

    Attributes:
        ids: the tokens, without the one that ended them.
        tokenizer: whose they are.
    """

    ids: list[int]
    tokenizer: PreTrainedTokenizerBase

    @classmethod
    def of(cls, text: str, ids: list[int], tokenizer: PreTrainedTokenizerBase) -> Sampled:
        """`text`, which `tokenizer` made of `ids`."""
        sampled = cls(text)
        sampled.ids, sampled.tokenizer = ids, tokenizer
        return sampled

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # another process has another tokenizer


def text_of(completion: Completion) -> str:
    """The plain text of a completion in either format."""
    if isinstance(completion, str):
        return completion
    return completion[0]["content"] if len(completion) == 1 else "".join(m["content"] for m in completion)


def completion_like(prompt: Prompt, text: str) -> Completion:
    """`text` as a completion of `prompt`: a string after a string, an assistant message after a conversation."""
    return text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Token ids of prompts, ready to be continued: no EOS behind them, also where the tokenizer ends texts in one.

    A conversation is what its template makes of it, up to where the assistant's text begins.
    """
    first = _set_before(tokenizer)
    rows = _ids(tokenizer, [opening(tokenizer, prompt) for prompt in prompts])
    # a template writes its own BOS
    return [[*first, *ids] if isinstance(prompt, str) else ids for prompt, ids in zip(prompts, rows, strict=True)]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """Token ids of one prompt, ready to be continued."""
    return encode_prompts(tokenizer, [prompt])[0]


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of plain texts that are nobody's turn: as prompts', for text is text."""
    return encode_prompts(tokenizer, texts)


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], completions: Sequence[Completion]
) -> list[tuple[list[int], list[int]]]:
    """Token ids of prompts, as `encode_prompts` gives them, and of completions; each of these ends in one EOS.

    A completion's tokens are those that the tokenizer makes of its text behind the prompt, where it leaves the prompt's
    tokens as they are; else those of its text alone. What stands behind an EOS in it is no part of it.
    """
    keys = [prompt if isinstance(prompt, str) else repr(prompt) for prompt in prompts]
    distinct = dict(zip(keys, prompts, strict=True))
    encoded = dict(zip(distinct, encode_prompts(tokenizer, list(distinct.values())), strict=True))
    prompt_ids = [encoded[key] for key in keys]
    texts = [text_of(completion) for completion in completions]
    new = [i for i, text in enumerate(texts) if _known(tokenizer, text) is None]
    first = _set_before(tokenizer)
    openings = {key: opening(tokenizer, distinct[key]) for key in {keys[i] for i in new}}
    rows = _ids(tokenizer, [openings[keys[i]] + texts[i] for i in new])
    wholes = {i: [*first, *ids] if isinstance(prompts[i], str) else ids for i, ids in zip(new, rows, strict=True)}
    stops, eos = stop_ids(tokenizer), tokenizer.eos_token_id
    pairs = []
    for i, (before, text) in enumerate(zip(prompt_ids, texts, strict=True)):
        ids = _known(tokenizer, text)
        if ids is None:
            ids = wholes[i][len(before) :] if wholes[i][: len(before)] == before else _alone(tokenizer, before, text)
        end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
        pairs.append((before, [*ids[:end], eos]))
    return pairs


def encode_sequences(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], completions: Sequence[Completion]
) -> list[list[int]]:
    """The pairs of `encode_pairs`, each as one row."""
    return [[*before, *ids] for before, ids in encode_pairs(tokenizer, prompts, completions)]


def encode_for_classifier(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], completions: Sequence[Completion]
) -> list[list[int]]:
    """Rows for a classifier that was trained elsewhere: as reward models here read them, EOS last; where its tokenizer
    has no EOS, as it frames texts itself."""
    if tokenizer.eos_token_id is not None:
        return encode_sequences(tokenizer, prompts, completions)
    befores = [p if isinstance(p, str) else "\n".join(turn["content"] for turn in p) + "\n" for p in prompts]
    texts = [before + text_of(completion) for before, completion in zip(befores, completions, strict=True)]
    return [list(ids) for ids in tokenizer(texts)["input_ids"]] if texts else []


def encode(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, completion: Completion) -> tuple[list[int], list[int]]:
    """Token ids of one prompt and its completion: see `encode_pairs`."""
    return encode_pairs(tokenizer, [prompt], [completion])[0]


def decode_completions(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
) -> list[Completion]:
    """Completions as text such that, in standard format, ``prompt + completion`` is the whole text.

    Decoding a completion alone loses its leading space with many tokenizers, so prompt and completion are decoded
    together and the decoded prompt cut off. What ended a completion is no part of its text, which is `Sampled`.
    """
    stops = stop_ids(tokenizer)
    ids = [[*row][:-1] if len(row) and row[-1] in stops else [*row] for row in completion_ids]
    # special tokens stay in the text: a policy that emits <unk> must not look as if it had emitted nothing
    prompt_texts = tokenizer.batch_decode([[*row] for row in prompt_ids])
    full_texts = tokenizer.batch_decode([[*p, *c] for p, c in zip(prompt_ids, ids, strict=True)])
    texts = [
        full[len(prompt) :] if full.startswith(prompt) else tokenizer.decode(row)
        for prompt, full, row in zip(prompt_texts, full_texts, ids, strict=True)
    ]
    rows = zip(prompts, texts, ids, strict=True)
    return [completion_like(prompt, Sampled.of(text, row, tokenizer)) for prompt, text, row in rows]


def windows(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], context: int) -> list[list[int]]:
    """Token ids of each text and its EOS, cut into windows of at most `context` tokens."""
    rows = []
    for ids in encode_texts(tokenizer, texts):
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


def opening(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> str:
    """The text that a completion is put behind: where the template of a conversation lets the assistant begin."""
    if isinstance(prompt, str):
        return prompt
    if "add_generation_prompt" in tokenizer.chat_template:
        text: str = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        return text
    # a template that opens no turn of its own accord: what it puts before an answer, but for a space, which is
    # what an answer begins with
    whole: str = tokenizer.apply_chat_template([*prompt, ANSWER], tokenize=False)
    return whole[: whole.rindex(ANSWER["content"])].rstrip(" ")


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    # one call for many texts: a call costs more than the tokens of a short text
    return [list(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []


def _set_before(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the tokenizer puts before every text: BOS, or nothing. What it puts behind, an EOS, would end a prompt."""
    alone, framed = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    places = range(len(framed) - len(alone) + 1)
    return list(framed[: next((i for i in places if framed[i : i + len(alone)] == alone), 0)])


def _known(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int] | None:
    return text.ids if isinstance(text, Sampled) and text.tokenizer is tokenizer else None


def _alone(tokenizer: PreTrainedTokenizerBase, prompt_ids: list[int], text: str) -> list[int]:
    """Tokens of `text` behind a prompt whose own last tokens it would change.

    Many tokenizers put a space before a text of its own. So it is also tried behind another text, and the first tokens
    are taken that read as `text` behind this prompt.
    """
    before = tokenizer.decode(prompt_ids)
    alone = _ids(tokenizer, [text])[0]
    for other in ("", tokenizer.eos_token, "\n", "."):
        start, ids = _ids(tokenizer, [other, other + text])
        if ids[: len(start)] == start and tokenizer.decode([*prompt_ids, *ids[len(start) :]]) == before + text:
            return ids[len(start) :]
    return alone
