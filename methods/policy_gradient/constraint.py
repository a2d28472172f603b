"""What keeps the policy near another one: penalties on KL, and the rules that adapt their weights. Pure functions.

Two policies are meant, and kept apart: the reference π0, over all of training, and π_old, over one update.
"""

from __future__ import annotations

import torch
from torch import Tensor


def token_kl(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """KL(π(·|s) ‖ π0(·|s)) of the next token over the whole vocabulary, nats: (…, vocabulary) → (…).

    As a loss it holds every state's distribution but takes the states as given: its gradient is not that of
    KL(π ‖ π0) of completions, which also counts that other tokens lead to other states.
    """
    return (logprobs.exp() * (logprobs - reference_logprobs)).sum(-1)


def sequence_kl_loss(logprobs: Tensor, reference_logprobs: Tensor, mask: Tensor) -> Tensor:
    """½ (Σ_t log π/π0)², whose expected gradient on the policy's own samples is that of KL(π ‖ π0) of completions.

    Tang and Munos 2025 (arXiv:2506.09477): differentiate k2 rather than k1 (gradient 0 in expectation) or k3.

    Args:
        logprobs, reference_logprobs, mask: (batch, tokens), of the sampled tokens.

    Returns:
        (batch,).
    """
    return 0.5 * ((logprobs - reference_logprobs) * mask).sum(1).square()


def step_kl(logprobs: Tensor, old_logprobs: Tensor) -> Tensor:
    """KL(π_old ‖ π) estimated at each token as (ρ − 1) − log ρ: never negative, unbiased under π_old. Nats.

    Schulman 2020, "Approximating KL Divergence" (k3). On samples of π_old its gradient, too, has the right mean:
    E_old[(ρ − 1) ∇log π] = −E_old[∇log π] = ∇KL(π_old ‖ π).
    """
    log_ratio = logprobs - old_logprobs
    return log_ratio.exp() - 1 - log_ratio


def adapted_kl_weight(weight: float, kl: float, target: float, gain: float) -> float:
    """β for the next batch: β (1 + K_β e), e = clip(KL / target − 1, −0.2, 0.2).

    Ziegler et al. 2019 (arXiv:1909.08593), section 2.2.
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return weight * (1 + gain * error)


def adapted_step_kl_weight(weight: float, kl: float, target: float) -> float:
    """β for the next batch: halved where KL(π_old ‖ π) fell below target / 1.5, doubled where it rose above 1.5 target.

    Schulman et al. 2017 (arXiv:1707.06347), section 4.
    """
    if kl < target / 1.5:
        return weight / 2
    return weight * 2 if kl > target * 1.5 else weight


def entropy(logprobs: Tensor) -> Tensor:
    """Entropy of a distribution given by its log-probabilities, nats. Shape (…, vocabulary) → (…)."""
    return -(logprobs.exp() * logprobs).sum(-1)


def distribution_kl(old_logprobs: Tensor, logprobs: Tensor) -> Tensor:
    """KL(π_old(·|s) ‖ π(·|s)) over the whole vocabulary, nats: (…, vocabulary) → (…). What TRPO bounds."""
    return torch.nn.functional.kl_div(logprobs, old_logprobs, reduction="none", log_target=True).sum(-1)
