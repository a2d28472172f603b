"""From scores of completions to rewards of tokens. Pure functions on tensors, and running moments.

`mask` is 1 on a completion's tokens up to and including EOS and 0 on the padding to their right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from methods.policy_gradient.actor_critic import model_inputs


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of all numbers seen so far (Welford 1962; Chan et al. 1979)."""

    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, count: float, mean: float, squares: float) -> None:
        """Take in a batch of `count` numbers by its own mean and sum of squared deviations."""
        total, step = self.count + count, mean - self.mean
        self.squares += squares + step**2 * self.count * count / total
        self.mean += step * count / total
        self.count = total

    @property
    def deviation(self) -> float:
        """The population's standard deviation; 1 while nothing has varied."""
        return math.sqrt(self.squares / self.count) if self.squares > 0 else 1.0


def standardise(scores: Tensor, moments: Moments | None, centre: bool, clip: float | None) -> Tensor:
    """Scores by the moments of their history: clip((r − μ) / σ, −δ, δ), or without μ where not `centre`.

    Zheng et al. 2023, "Secrets of RLHF" part I (arXiv:2307.04964), section 5.3.1: reward normalisation and clipping,
    and reward scaling, which divides only.

    Args:
        scores: any shape.
        moments: None leaves their scale alone.
        clip: δ, in the unit that comes out; None for no clipping.
    """
    if moments is not None:
        scores = (scores - moments.mean if centre else scores) / (moments.deviation + 1e-8)
    return scores if clip is None else scores.clamp(-clip, clip)


def terminal_rewards(scores: Tensor, mask: Tensor) -> Tensor:
    """The whole score at the last valid token. Shapes (batch) and (batch, tokens) → (batch, tokens)."""
    rewards = torch.zeros(mask.shape, dtype=scores.dtype, device=scores.device)
    return rewards.scatter_(1, _last(mask), scores.unsqueeze(1))


def dense_rewards(scores: Tensor, prefix_scores: Tensor, mask: Tensor) -> Tensor:
    """A reward for every token: by how much it changed the score, r_t = s(x_≤t) − s(x_<t), s of no token being 0.

    Potential-based shaping (Ng, Harada and Russell 1999, theorem 1): the sum over a completion is the terminal reward,
    so without discount the best policy is the same.

    Args:
        scores: (batch,), of whole completions; stands for the last prefix's.
        prefix_scores: (batch, tokens), after each token.

    Returns:
        (batch, tokens), 0 on padding.
    """
    reached = prefix_scores.scatter(1, _last(mask), scores.unsqueeze(1))
    before = torch.cat([torch.zeros_like(reached[:, :1]), reached[:, :-1]], 1)
    return (reached - before) * mask


@torch.no_grad()
def prefix_scores(module: Any, input_ids: Tensor, attention_mask: Tensor, length: int) -> Tensor:
    """A causal reward model's reading after each of the last `length` tokens, shape (batch, length).

    It was trained to be read at the end of a text only: what it says of unfinished ones is an extrapolation.
    """
    backbone = module.base_model
    hidden = backbone(**model_inputs(backbone, input_ids, attention_mask)).last_hidden_state
    scores: Tensor = module.score(hidden[:, -length:]).squeeze(-1)
    return scores.float()


def penalised(rewards: Tensor, log_ratio: Tensor, mask: Tensor, kl_weight: float, level: str) -> Tensor:
    """Rewards less β KL to the reference, estimated by k1 = log π(a|s) − log π0(a|s) on the policy's own samples.

    token: −β k1 at every token, where it arises (Ziegler et al. 2019, arXiv:1909.08593, eq. 2, spread over tokens).
    sequence: −β Σ k1 at the last token, with the score (the same sum, so the same objective; the credit differs).

    Args:
        rewards, log_ratio, mask: (batch, tokens); log_ratio is log π − log π0 of the sampled tokens, nats.
        kl_weight: β, reward per nat.

    Returns:
        (batch, tokens), 0 on padding.
    """
    charge = kl_weight * log_ratio * mask
    if level == "sequence":
        charge = terminal_rewards(charge.sum(1), mask)
    return rewards - charge


def _last(mask: Tensor) -> Tensor:
    return mask.long().sum(1, keepdim=True) - 1
