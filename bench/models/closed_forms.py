"""Exact quantities of a policy whose every completion is listed, and the best policies in closed form.

Tensors are (N), one entry per completion in the order of `bench.models.enumeration.all_completions`; log-probabilities
in nats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def expected_reward(logp: Tensor, rewards: Tensor) -> Tensor:
    """E_π[r] = Σ_y π(y) r(y). Any other function of completions (their lengths, say) does as well."""
    return (logp.exp() * rewards).sum()


def kl(logp: Tensor, logp_reference: Tensor) -> Tensor:
    """KL(π ‖ π0) = Σ_y π(y) [log π(y) − log π0(y)], nats per completion; infinite where π0 lacks what π has."""
    # 0 log 0 = 0, also where both are impossible (−inf − −inf)
    return (logp.exp() * (logp - logp_reference)).masked_fill(logp == -float("inf"), 0.0).sum()


def entropy(logp: Tensor) -> Tensor:
    """H(π) = −Σ_y π(y) log π(y), nats per completion.

    By the chain rule this is also the expected sum of the per-token entropies over a completion's prefixes; divided by
    ``expected_reward(logp, exact.lengths)`` it is the entropy per token.
    """
    return -(logp.exp() * logp).masked_fill(logp == -float("inf"), 0.0).sum()


def regularised_objective(logp: Tensor, logp_reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """J(π) = E_π[r] − β KL(π ‖ π0), what RLHF maximises (Rafailov et al. 2023, eq. 3)."""
    return expected_reward(logp, rewards) - beta * kl(logp, logp_reference)


def optimal_policy(logp_reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """log π*, π*(y) = π0(y) exp(r(y)/β) / Z: the maximiser of `regularised_objective` (Rafailov et al. 2023, eq. 4)."""
    return (logp_reference + rewards / beta).log_softmax(0)


def optimal_value(logp_reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """max_π J(π) = β log Z, Z = Σ_y π0(y) exp(r(y)/β): what π* attains (Korbak et al. 2022)."""
    return beta * (logp_reference + rewards / beta).logsumexp(0)


def best_of_n(logp_reference: Tensor, rewards: Tensor, n: int) -> Tensor:
    """log π of the best of n draws from π0, the first of those that tie.

    A completion of reward r comes out with probability [F(r)^n − F(r⁻)^n] π0(y) / P0(r), where F(r) and F(r⁻) are π0's
    shares of rewards ≤ r and < r, and P0(r) its share of rewards = r: the first of tied draws is one of them by π0.
    """
    import torch

    _, kind = rewards.unique(return_inverse=True)  # ascending
    share = torch.zeros(int(kind.max()) + 1, dtype=logp_reference.dtype).index_add(0, kind, logp_reference.exp())
    below_or_equal = share.cumsum(0)
    # log [Fⁿ − (F − P)ⁿ] = n log F + log (1 − (1 − P/F)ⁿ), without a difference of what is nearly equal
    lost = n * torch.log1p(-(share / below_or_equal).clamp(max=1))
    log_kind = n * below_or_equal.log() + torch.log(-torch.expm1(lost))
    return (logp_reference + (log_kind - share.log())[kind]).log_softmax(0)  # sums to 1 but for rounding
