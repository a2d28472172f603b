"""Given texts under a model: their likelihood and perplexity, and how well its next-token probabilities hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.measures.definition import Definitions
from bench.measures.valid_numbers import numbers

measure = Definitions(of="a policy")

Array = NDArray[np.float64]


@measure("perplexity_reference", "perplexity (reference)", "", "lower", "of π on held-out reference text")
def perplexity(reference_nll: ArrayLike, reference_tokens: ArrayLike) -> float:
    """exp(Σ NLL / Σ tokens) of π on held-out reference completions given their prompts, EOS included.

    `reference_nll` (nats, summed over a text's tokens) and `reference_tokens`: (texts,) each. Token-weighted, never a
    mean of per-text means; each text is one window with its whole prompt as context, no stride. Trap: compares only
    models of one tokenizer.
    """
    tokens = numbers(reference_tokens, "token counts").sum()
    if tokens <= 0:
        raise ValueError("no tokens")
    with np.errstate(over="ignore"):
        return float(np.exp(numbers(reference_nll, "NLLs", infinite=True).sum() / tokens))


@measure("perplexity_samples", "perplexity (samples)", "", None, "of π0 on π's samples: how odd they look")
def perplexity_of_samples(reference_logp: ArrayLike, length: ArrayLike) -> float:
    """exp(−Σ log π0 / Σ length) of π0 on π's own samples: how odd they look to π0; token-weighted.

    `reference_logp` (nats, summed over a completion's tokens, EOS included) and `length`: (completions,) each. Trap:
    falls when π collapses onto one likely text, so it is no measure of quality on its own.
    """
    return perplexity(-np.asarray(reference_logp, dtype=float), length)


@measure("surprising", "surprising", "", "lower", "share of completions odder to π0 than 99 % of its own")
def surprising_share(
    reference_logp: ArrayLike, length: ArrayLike, reference_sample_logp: ArrayLike, reference_sample_length: ArrayLike
) -> float:
    """Share of π's completions that π0 finds odder than 99 % of its own: NLL per token beyond that percentile.

    −`reference_logp`/`length` of π's samples against the 99th percentile of the same for π0's samples on the same
    prompts; (completions,) each. About 0.01 for π0 itself. Trap: a policy that repeats one likely text has none; and
    a percentile from a few hundred samples is itself rough.
    """
    reference = numbers(reference_sample_logp, "log-probabilities of π0's samples") / numbers(
        reference_sample_length, "lengths"
    )
    policy = numbers(reference_logp, "log-probabilities under π0") / numbers(length, "lengths")
    return float(np.mean(-policy > np.quantile(-reference, 0.99)))
