"""`ppo_penalty`: PPO with a penalty on the KL of an update in place of clipping (Schulman et al. 2017, section 4)."""

from __future__ import annotations

from bench.contracts import Field
from methods.policy_gradient.method import PolicyGradient


class PPOPenalty(PolicyGradient):
    """PPO whose updates are held by KL(π_old ‖ π), with an adaptive weight (a fixed one: `step_kl_target: null`)."""

    clip_range: float | None = Field(None, gt=0, description="ε of the clipped surrogate; none for no clipping")
    step_kl_weight: float = Field(1.0, ge=0, description="penalty per nat of KL(π_old ‖ π), token mean")
    step_kl_target: float | None = Field(0.01, gt=0, description="nats per token that its weight is adapted to")
