"""A model that somebody else trained, held against its tokenizer, against a task's texts and against itself.

Made when it is first used, in seconds, before anything is trained: whatever does not fit is one line.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.contracts.errors import BenchError
from bench.contracts.task import Prompt
from bench.models.encoding import encode_prompts, encode_texts
from bench.models.ends import PLAIN_CHAT_TEMPLATE, end_turns, stop_ids
from bench.models.loading import context_length
from bench.models.logprobs import completion_logits, token_logprobs
from bench.models.memory import vocabulary
from bench.models.padding import pad_left
from bench.models.sampling import WITHOUT_CACHE, cached, generate

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TEXTS = 1000
"""Of the task's texts, so many are encoded."""

READ, WRITTEN = 48, 8
"""Tokens of a prompt that are read, and sampled behind it."""

TOLERANCE = 0.01
"""Of the standard deviation of a next token's logits, by which a log-probability may differ. Rounding makes about 1e-6
of it in single precision, and a model that is read with a state that is not its own 1 or more."""

UNKNOWN = 0.5
"""The share of unknown tokens from which on a tokenizer is not made for a text."""


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, source: str | Path) -> None:
    """Raise a BenchError if no token ends a completion, before anything is encoded."""
    if tokenizer.eos_token_id is not None:
        return
    file = Path(source) / "config.json"
    declared = json.loads(file.read_text()).get("eos_token_id") if file.is_file() else None
    known = isinstance(declared, int) and 0 <= declared < len(tokenizer)
    hint = f", such as {tokenizer.convert_ids_to_tokens(declared)!r}, id {declared} in config.json" if known else ""
    raise BenchError(f"the tokenizer in {source} has no EOS token: give its tokenizer_config.json an `eos_token`{hint}")


def check_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: str | Path,
    prompts: Sequence[Prompt],
    texts: Sequence[str],
    new_tokens: int,
) -> None:
    """Hold tokenizer, embedding, chat template and context against each other and against a task's texts.

    Args:
        prompts: those that are sampled from; texts: others, such as demonstrations.
        new_tokens: the room that a completion needs.

    Raises:
        BenchError: a token without a row in the embedding, texts of unknown tokens, a template that ends no turn, or
            prompts of which none leaves room for a completion.
    """
    rows = vocabulary(model)
    if any(not isinstance(prompt, str) for prompt in prompts) and tokenizer.chat_template != PLAIN_CHAT_TEMPLATE:
        tokenizer = end_turns(copy.deepcopy(tokenizer))
    named = [("EOS", tokenizer.eos_token_id), ("padding", tokenizer.pad_token_id), ("BOS", tokenizer.bos_token_id)]
    for what, token in [*named, *(("a stop", stop) for stop in stop_ids(tokenizer))]:
        if token is not None and not 0 <= token < rows:
            raise BenchError(_beyond(tokenizer, source, token, rows, f"{what} token"))
    encoded = encode_prompts(tokenizer, prompts)
    unknown, count = 0, 0
    for ids in [*encoded, *encode_texts(tokenizer, texts)]:
        if ids and max(ids) >= rows:
            raise BenchError(_beyond(tokenizer, source, max(ids), rows, "token of the task's texts"))
        unknown, count = unknown + ids.count(tokenizer.unk_token_id), count + len(ids)
    if not count:
        raise BenchError(
            f"the tokenizer in {source} makes no tokens of the task's texts: is its tokenizer.json missing?"
        )
    if unknown / count >= UNKNOWN:
        raise BenchError(
            f"the tokenizer in {source} knows little of the task's texts: {unknown / count:.0%} of their tokens are "
            f"{tokenizer.unk_token!r}; take a model whose tokenizer was made for such text"
        )
    context, shortest = context_length(model), min(map(len, encoded), default=0) + new_tokens
    if shortest > context:
        raise BenchError(
            f"the model in {source} reads {context} tokens, and the shortest prompt with its completion needs "
            f"{shortest}: set the task's max_completion_tokens to {max(1, new_tokens - shortest + context)} or less, "
            "or shorten prompts"
        )


def check_sampling(model: PreTrainedModel, source: str | Path, prompt_ids: Sequence[Sequence[int]]) -> dict[str, float]:
    """Hold what sampling and scoring say of a few samples against plain forward passes, of one row without padding.

    A model that samples otherwise with its cache is marked in its configuration, and sampled without: see
    `bench.models.sampling.cached`.

    Returns:
        `sampling_gap`, `scoring_gap`: the largest difference of a token's log-probability, in standard deviations of
        its logits; `without_cache`: 1 where the cache is not used.

    Raises:
        BenchError: they differ, and without a cache too.
    """
    longest = max(1, min(READ, context_length(model) - WRITTEN))
    by_length = sorted(prompt_ids, key=len)
    heads = [list(by_length[place][:longest]) for place in (0, len(by_length) // 2, -1) if by_length[place]]
    if not heads:
        raise BenchError(f"every prompt is empty to the tokenizer in {source}: nothing predicts a first token")
    sampling, scoring = gaps(model, heads)
    if not sampling <= TOLERANCE and cached(model):
        setattr(model.config, WITHOUT_CACHE, True)
        sampling, scoring = gaps(model, heads)
    for what, gap in (("scoring several rows", scoring), ("sampling", sampling)):
        if not gap <= TOLERANCE:  # NaN too
            raise BenchError(
                f"the model in {source} ({type(model).__name__}) says something else when {what} than in a plain "
                f"forward pass ({gap:.2g} standard deviations of its logits): it is not causal, or transformers "
                "cannot sample it"
            )
    return {"sampling_gap": sampling, "scoring_gap": scoring, "without_cache": float(not cached(model))}


@torch.no_grad()
def gaps(model: PreTrainedModel, prompt_ids: Sequence[list[int]]) -> tuple[float, float]:
    """The largest difference to a plain forward pass of what sampling says, and of what scoring says."""
    model.eval()
    ids, mask = pad_left(prompt_ids, model.config.pad_token_id)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokens, kept, said = generate(model, ids.to(model.device), mask.to(model.device), WRITTEN)
    lengths = kept.sum(1).tolist()
    completions = [row[:length] for row, length in zip(tokens.tolist(), lengths, strict=True)]
    plain = list(_plain(model, prompt_ids, completions))
    sampled = [_gap(row[:length], *truth) for row, length, truth in zip(said, lengths, plain, strict=True)]
    scored = []
    for batch in completion_logits(model, prompt_ids, completions, len(completions)):
        logprobs = token_logprobs(batch.logits, batch.tokens)
        scored += [_gap(logprobs[i, : lengths[row]], *plain[row]) for i, row in enumerate(batch.rows)]
    return float(torch.tensor(sampled).max()), float(torch.tensor(scored).max())  # NaN stays NaN


def _plain(
    model: PreTrainedModel, prompt_ids: Sequence[list[int]], completions: Sequence[list[int]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Per row the log-probabilities of its completion's tokens, and the standard deviation of each one's logits.

    Each token is predicted by a pass that ends before it: a model that looks ahead has nothing to see.
    """
    for head, completion in zip(prompt_ids, completions, strict=True):
        wholes = [[*head, *completion[:place]] for place in range(len(completion))]
        ends = [model(input_ids=torch.tensor([ids], device=model.device)).logits[0, -1].float() for ids in wholes]
        logits = torch.stack(ends)
        yield token_logprobs(logits, torch.tensor(completion, device=model.device)), logits.std(-1)


def _gap(said: Tensor, truth: Tensor, spread: Tensor) -> float:
    return float(((said - truth).abs() / spread.clamp(min=1e-6)).max())


def _beyond(tokenizer: PreTrainedTokenizerBase, source: str | Path, token: int, rows: int, what: str) -> str:
    name = tokenizer.convert_ids_to_tokens(token)
    return (
        f"the model in {source} has {rows} rows in its embedding, and the {what} {name!r} has id {token}: take the "
        f"tokenizer that belongs to it, or resize_token_embeddings({len(tokenizer)})"
    )
