"""PPO's losses, token by token. Pure functions: whoever calls them averages over the valid tokens.

Source: Schulman et al. 2017, "Proximal Policy Optimization Algorithms" (arXiv:1707.06347).
"""

from __future__ import annotations

import torch
from torch import Tensor


def policy_loss(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    """The clipped surrogate, negated: −min(ρ A, clip(ρ, 1 − ε, 1 + ε) A) with ρ = π(a|s) / π_old(a|s).

    Schulman et al. 2017, eq. 7. Where ρ = 1 its gradient is the policy gradient −A ∇log π(a|s).

    Args:
        logprobs: log π(a|s) of the sampled tokens (nats), any shape; gradients flow through it.
        old_logprobs: the same under the policy that sampled them; same shape.
        advantages: A; same shape.
        clip_range: ε.

    Returns:
        One loss per token, same shape.
    """
    ratio = (logprobs - old_logprobs).exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return -torch.minimum(ratio * advantages, clipped * advantages)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip_range: float | None) -> Tensor:
    """Half the squared error of the critic, pessimistic about steps away from its old prediction.

    ½ max((V − R)², (clip(V, V_old − ε, V_old + ε) − R)²): the value clipping of OpenAI's `baselines` ppo2.

    Args:
        values: V, any shape; gradients flow through it.
        old_values: V when the rollout was made; same shape.
        returns: R, what V should predict; same shape, in units of the reward.
        clip_range: ε in units of the reward; None for the plain squared error.

    Returns:
        One loss per token, same shape.
    """
    error = (values - returns).square()
    if clip_range is not None:
        clipped = old_values + (values - old_values).clamp(-clip_range, clip_range)
        error = torch.maximum(error, (clipped - returns).square())
    return 0.5 * error


def update_kl(logprobs: Tensor, old_logprobs: Tensor) -> Tensor:
    """KL(π_old ‖ π) estimated at each token as (ρ − 1) − log ρ: never negative, unbiased under π_old. Nats.

    Schulman 2020, "Approximating KL Divergence" (k3). A gauge of how far an update went; nothing is trained on it.
    """
    log_ratio = logprobs - old_logprobs
    return log_ratio.exp() - 1 - log_ratio


def entropy(logprobs: Tensor) -> Tensor:
    """Entropy of a distribution given by its log-probabilities, nats. Shape (…, vocabulary) → (…)."""
    return -(logprobs.exp() * logprobs).sum(-1)
