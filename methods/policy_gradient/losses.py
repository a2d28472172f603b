"""Losses of policy and critic, token by token. Pure functions: whoever calls them averages over the valid tokens.

Equations are those of Schulman et al. 2017, "Proximal Policy Optimization Algorithms" (arXiv:1707.06347).
"""

from __future__ import annotations

import torch
from torch import Tensor


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    clip_range: float | None = None,
    importance_sampling: bool = True,
) -> Tensor:
    """The surrogate objective of one token, negated, with ρ = π(a|s) / π_old(a|s).

    −min(ρ A, clip(ρ, 1 − ε, 1 + ε) A): the clipped surrogate, eq. 7.
    −ρ A: without clipping, eq. 6.
    −A log π(a|s): without importance sampling either, REINFORCE's. With clipping, tokens whose ratio has left the
        range in the direction of their advantage count no more, as in eq. 7.
    At ρ = 1 the gradient of all of them is the policy gradient −A ∇log π(a|s).

    Args:
        logprobs: log π(a|s) of the sampled tokens (nats), any shape; gradients flow through it.
        old_logprobs: the same under the policy that sampled them; same shape.
        advantages: A; same shape.
        clip_range: ε; None for no clipping.
        importance_sampling: weigh by ρ.

    Returns:
        One loss per token, same shape.
    """
    if not importance_sampling and clip_range is None:
        return -advantages * logprobs
    ratio = (logprobs - old_logprobs).exp()
    if clip_range is None:
        return -ratio * advantages
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    if importance_sampling:
        return -torch.minimum(ratio * advantages, clipped * advantages)
    counts = ratio * advantages <= clipped * advantages
    return -advantages * torch.where(counts, logprobs, logprobs.detach())


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
