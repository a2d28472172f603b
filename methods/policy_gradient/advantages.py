"""From rewards of tokens to advantages of tokens. Pure functions on (batch, tokens) tensors.

`mask` is 1 on a completion's tokens up to and including EOS and 0 on the padding to their right.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """Generalised advantage estimation: A_t = δ_t + γλ A_{t+1} with δ_t = r_t + γ V_{t+1} − V_t.

    Schulman et al. 2016 (arXiv:1506.02438), eq. 16, in its recursive form. The episode ends with the last valid
    token, at EOS and at the token limit alike, so V and A are 0 after it.

    Args:
        rewards, values, mask: (batch, tokens); values[:, t] is V of the state before token t.

    Returns:
        (batch, tokens), 0 on padding. The critic's targets are `advantages + values` (its λ-returns).
    """
    valid = mask.to(values.dtype)
    values = values * valid
    advantages = torch.zeros_like(values)
    later_value = later_advantage = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * later_value - values[:, t]
        later_advantage = (delta + gamma * gae_lambda * later_advantage) * valid[:, t]
        later_value = values[:, t]
        advantages[:, t] = later_advantage
    return advantages


def baseline(returns: Tensor, kind: str, group: int, reduce: Callable[[Tensor], Tensor] = lambda sums: sums) -> Tensor:
    """What REINFORCE takes off the return of each completion. Williams 1992.

    none: 0. batch: the mean return of the batch, the completion's own included (which shrinks the gradient by
    1 / batch). leave_one_out: the mean return of the other completions of the same prompt, unbiased (Kool et al. 2019;
    Ahmadian et al. 2024, arXiv:2402.14740, eq. 8).

    Args:
        returns: (batch,), of whole completions; those of one prompt side by side.
        group: completions per prompt.
        reduce: adds a tensor up over processes, where there are several.

    Returns:
        (batch,), in units of reward.
    """
    if kind == "none":
        return torch.zeros_like(returns)
    if kind == "batch":
        total, count = reduce(torch.stack([returns.sum(), torch.ones_like(returns).sum()]))
        return (total / count).expand_as(returns)
    groups = returns.view(-1, group)
    return ((groups.sum(1, keepdim=True) - groups) / (group - 1)).flatten()


def whiten(values: Tensor, mask: Tensor, reduce: Callable[[Tensor], Tensor] = lambda sums: sums) -> Tensor:
    """Shift and scale to mean 0 and (population) variance 1 over the valid tokens.

    Args:
        values, mask: (batch, tokens).
        reduce: adds a tensor up over processes, where there are several.

    Returns:
        (batch, tokens), 0 on padding; all 0 where the values do not vary.
    """
    valid = mask.to(values.dtype)
    count, total = reduce(torch.stack([valid.sum(), (values * valid).sum()]))
    centred = (values - total / count) * valid
    variance = reduce(centred.square().sum()) / count
    white: Tensor = centred / (variance.sqrt() + 1e-8)
    return white


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 − Var(R − V) / Var(R) over valid tokens: 1 for a perfect critic, 0 for a constant one, below 0 for a worse."""
    keep = mask.bool()
    unexplained: Tensor = (returns - values)[keep].var(correction=0)
    return 1 - unexplained / returns[keep].var(correction=0).clamp(min=1e-8)
