"""Relaxed tokens: points of the simplex over the vocabulary instead of its corners. Pure functions.

A completion of T relaxed tokens ends at step t with weight w_t, where e_t is the weight that step t puts on EOS.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Estimator = Literal["soft", "gumbel_softmax", "straight_through"]
Anneal = Literal["exponential", "linear"]


def annealed(start: float, end: float | None, progress: float, anneal: Anneal) -> float:
    """The temperature τ at `progress`, from 0 (gives `start`) to 1 (gives `end`; None: `start` all the way).

    exponential: start · (end / start)^progress, the exp(−rt) of Jang et al. 2017, section 4.
    linear: start + (end − start) · progress.
    """
    if end is None:
        return start
    if anneal == "linear":
        return start + (end - start) * progress
    return float(start * (end / start) ** progress)


def relax(logits: Tensor, estimator: Estimator, temperature: float, generator: torch.Generator | None = None) -> Tensor:
    """Next-token logits → a vector on the simplex, differentiable in the logits. Shape (…, vocabulary).

    soft: softmax(logits / τ), no noise: the mean of the next token at τ = 1.
    gumbel_softmax: softmax((logits + g) / τ), g ~ Gumbel(0, 1) (Jang et al. 2017, arXiv:1611.01144, eq. 2).
    straight_through: the corner argmax(logits + g), an exact sample, with the gradient of `gumbel_softmax` (their
        section 2.2).
    """
    if estimator == "soft":
        return (logits / temperature).softmax(-1)
    exponential = torch.empty_like(logits, requires_grad=False).exponential_(generator=generator)
    gumbel = -exponential.clamp(min=torch.finfo(logits.dtype).tiny).log()
    soft = ((logits + gumbel) / temperature).softmax(-1)
    if estimator == "gumbel_softmax":
        return soft
    hard = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
    return hard + (soft - soft.detach())


def survival(eos: Tensor) -> Tensor:
    """∏_{s<t} (1 − e_s): how much of a completion is still going before step t, and, last, after all of them.

    Shape (batch, T) → (batch, T + 1); the first column is 1.
    """
    return torch.cat([torch.ones_like(eos[:, :1]), (1 - eos).cumprod(1)], dim=1)


def end_weights(eos: Tensor) -> Tensor:
    """w_t = e_t ∏_{s<t} (1 − e_s), and, last, the weight of never ending. Rows sum to 1.

    Shape (batch, T) → (batch, T + 1). One-hot tokens give one-hot weights.
    """
    going = survival(eos)
    return torch.cat([eos * going[:, :-1], going[:, -1:]], dim=1)


def relaxed_kl(logits: Tensor, reference_logits: Tensor, going: Tensor) -> Tensor:
    """Σ_t ∏_{s<t} (1 − e_s) KL(π(·|x_<t) ‖ π0(·|x_<t)) along a relaxed prefix x, over the full vocabulary.

    With exact samples (`straight_through`) an unbiased estimate of KL(π ‖ π0) of completions.

    Args:
        logits, reference_logits: (batch, T, vocabulary), both differentiable.
        going: (batch, T), the weight of each step.

    Returns:
        (batch,), nats per completion.
    """
    logprobs, reference = logits.log_softmax(-1), reference_logits.log_softmax(-1)
    return ((logprobs.exp() * (logprobs - reference)).sum(-1) * going).sum(1)
