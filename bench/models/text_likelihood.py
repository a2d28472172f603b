"""Given texts under a model: their likelihood, and what the model says of each next token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.contracts.task import Completion, Prompt
from bench.models.encoding import encode_pairs
from bench.models.logprobs import completion_logits, token_logprobs

Array = NDArray[np.float64]


def token_nll(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    batch_size: int,
) -> tuple[Array, Array]:
    """Negative log-likelihood of completions, EOS included, given their prompts.

    Each text is one window: context is the whole prompt, there is no stride.

    Returns:
        The sum over tokens in nats and the number of tokens, each of shape (texts,).
    """
    encoded = encode_pairs(tokenizer, prompts, completions)
    nll, tokens = np.zeros(len(encoded)), np.zeros(len(encoded))
    for batch in completion_logits(model, [p for p, _ in encoded], [c for _, c in encoded], batch_size):
        logp = token_logprobs(batch.logits, batch.tokens).double().masked_fill(~batch.mask, 0.0)
        nll[batch.rows] = -logp.sum(1).cpu().numpy()
        tokens[batch.rows] = batch.mask.sum(1).cpu().numpy()
    return nll, tokens


class NextTokens(NamedTuple):
    """What a model says of the tokens of given texts.

    nll, tokens: per text, (texts,): Σ_t −log p(y_t) in nats, and its number of tokens, EOS included.
    token_confidence, token_correct: per token, (tokens,): the largest next-token probability, and whether that token
    came. entry_confidence, entry_correct: one entry per place and token whose probability is at least `LIKELY` (at
        most 100 a place), (entries,): that probability, and whether that token came.
    """

    nll: Array
    tokens: Array
    token_confidence: Array
    token_correct: Array
    entry_confidence: Array
    entry_correct: Array


LIKELY = 0.01


def next_tokens(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    batch_size: int,
) -> NextTokens:
    """Run `model` over completions given their prompts, each text one window as in `token_nll`."""
    encoded = encode_pairs(tokenizer, prompts, completions)
    nll, tokens = np.zeros(len(encoded)), np.zeros(len(encoded))
    parts: list[list[Array]] = [[], [], [], []]
    for batch in completion_logits(model, [p for p, _ in encoded], [c for _, c in encoded], batch_size):
        logp = token_logprobs(batch.logits, batch.tokens).double().masked_fill(~batch.mask, 0.0)
        nll[batch.rows] = -logp.sum(1).cpu().numpy()
        tokens[batch.rows] = batch.mask.sum(1).cpu().numpy()
        probabilities = batch.logits[batch.mask].softmax(-1)  # (tokens, vocabulary)
        actual = batch.tokens[batch.mask]
        confidence, top = probabilities.max(-1)
        place, token = torch.nonzero(probabilities >= LIKELY, as_tuple=True)
        columns = (confidence, top == actual, probabilities[place, token], token == actual[place])
        for part, column in zip(parts, columns, strict=True):
            part.append(column.double().cpu().numpy())
    return NextTokens(nll, tokens, *(np.concatenate(part) if part else np.zeros(0) for part in parts))
