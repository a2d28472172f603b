"""Scores of sampled completions, summed over their tokens: log-probabilities, KL and entropy under one model or two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from bench.models.logprobs import at_tokens, completion_logits, token_logprobs

Array = NDArray[np.float64]
TokenIds = Sequence[Sequence[int]]


def sequence_scores(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    prompt_ids: TokenIds,
    completion_ids: TokenIds,
    batch_size: int,
) -> dict[str, Array]:
    """Scores of completions that were sampled from `model` at temperature 1 without truncation.

    Sums run over the completion's tokens up to and including EOS (up to the token limit where there is none);
    padding and prompt are left out.

    Returns:
        One number per completion, each of shape (completions,):

        - `logp`, `reference_logp`: Σ_t log π(y_t | y_<t) and the same under π0; nats.
        - `kl`: Σ_t KL(π(·| y_<t) ‖ π0(·| y_<t)) over the full vocabulary; nats, ≥ 0. Its mean is the
          Rao–Blackwellised estimate of KL(π ‖ π0), unbiased and never of larger variance than k1 (Amini,
          Vieira & Cotterell 2025, "Better estimation of the KL divergence between language models").
        - `entropy`: Σ_t H(π(·| y_<t)); nats.
        - `length`: tokens, EOS included.

    Traps: samples from any other policy or temperature bias all of these. The gradient of these estimates is
    not the gradient of KL.
    """
    scores = {name: np.zeros(len(completion_ids)) for name in ("logp", "reference_logp", "kl", "entropy", "length")}
    batches = zip(
        completion_logits(model, prompt_ids, completion_ids, batch_size, beside=reference),
        completion_logits(reference, prompt_ids, completion_ids, batch_size, beside=model),
        strict=True,
    )
    for batch, reference_batch in batches:
        logprobs = batch.logits.log_softmax(-1)
        reference_logprobs = reference_batch.logits.log_softmax(-1).to(logprobs.device)
        per_token = {
            "logp": at_tokens(logprobs, batch.tokens),
            "reference_logp": at_tokens(reference_logprobs, batch.tokens),
            "kl": full_kl(logprobs, reference_logprobs),
            "entropy": full_entropy(logprobs),
            "length": torch.ones_like(batch.tokens),
        }
        for name, values in per_token.items():
            scores[name][batch.rows] = values.double().masked_fill(~batch.mask, 0.0).sum(1).cpu().numpy()
    return scores


def reference_scores(
    reference: PreTrainedModel, prompt_ids: TokenIds, completion_ids: TokenIds, batch_size: int
) -> dict[str, Array]:
    """`reference_logp` and `length` as in `sequence_scores`, for a policy that has no model (best-of-n)."""
    scores = {name: np.zeros(len(completion_ids)) for name in ("reference_logp", "length")}
    for batch in completion_logits(reference, prompt_ids, completion_ids, batch_size):
        logp = token_logprobs(batch.logits, batch.tokens).double().masked_fill(~batch.mask, 0.0)
        scores["reference_logp"][batch.rows] = logp.sum(1).cpu().numpy()
        scores["length"][batch.rows] = batch.mask.sum(1).cpu().numpy()
    return scores


def full_kl(logp: Tensor, reference_logp: Tensor) -> Tensor:
    """KL(π ‖ π0) of next-token distributions from log-probabilities (…, vocabulary) → (…); nats."""
    p = logp.exp()
    return torch.where(p > 0, p * (logp - reference_logp), torch.zeros_like(p)).sum(-1)


def full_entropy(logp: Tensor) -> Tensor:
    """Entropy of next-token distributions from log-probabilities (…, vocabulary) → (…); nats."""
    p = logp.exp()
    return -torch.where(p > 0, p * logp, torch.zeros_like(p)).sum(-1)
