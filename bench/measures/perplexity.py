"""Perplexity of completions given their prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.contracts import Completion, Prompt
from bench.encoding import encode
from bench.measures.scoring import completion_logits, token_logprobs

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
    encoded = [encode(tokenizer, p, c) for p, c in zip(prompts, completions, strict=True)]
    nll, tokens = np.zeros(len(encoded)), np.zeros(len(encoded))
    for batch in completion_logits(model, [p for p, _ in encoded], [c for _, c in encoded], batch_size):
        logp = token_logprobs(batch.logits, batch.tokens).double().masked_fill(~batch.mask, 0.0)
        nll[batch.rows] = -logp.sum(1).cpu().numpy()
        tokens[batch.rows] = batch.mask.sum(1).cpu().numpy()
    return nll, tokens


def perplexity(nll: Array, tokens: Array) -> float:
    """exp(Σ nll / Σ tokens): token-weighted, never a mean of per-text means.

    Lower is better on reference text. On a policy's own samples, with nll = −`reference_logp` of
    `bench.measures.divergence`, it says how odd they look to π0; there it falls when the policy collapses
    onto one likely text, so it is no measure of quality on its own.
    """
    return float(np.exp(np.sum(nll) / np.sum(tokens)))
